"""An alert: another product says that something happened (Suricata, Wazuh, AMiner, Zeek, a SIEM).

Columns are attributes of OCSF's Detection Finding (class 2004, schema 1.x), the dots written as underscores: what
other tools call them is in ``docs/alerts.md``. Texts are data of third parties: whoever shows them to a person
neutralises them first (``records.neutral``), and nothing in them is ever looked up or fetched.
"""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

from andon.records.contact import WORDS

LONGEST_RAW: Final = 4096  # bytes of `raw` that are kept
# severity_id of OCSF.
UNKNOWN, INFORMATIONAL, LOW, MEDIUM, HIGH, CRITICAL, FATAL = range(7)
# disposition_id of OCSF, as far as products tell: what became of the thing alerted about.
NOT_TOLD, ALLOWED, BLOCKED = 0, 1, 2

_FIELDS: list[pa.Field[Any]] = [
    pa.field("ts", pa.timestamp("ns", tz="UTC"), nullable=False),  # time: of the event, not of its arrival
    pa.field(
        "product", WORDS, nullable=False
    ),  # metadata.product.name, lower case: "suricata", "wazuh", "aminer"
    # finding_info.analytic.uid: what tells a rule of a product apart from its others ("2013028", "W-5710", the
    # name where there is no number). Together with `product` this is the *signature* of triage.
    pa.field("rule", WORDS, nullable=False),
    pa.field(
        "title", WORDS, nullable=False
    ),  # finding_info.title: what the rule says, without values of the event
    pa.field("severity", pa.int8(), nullable=False),  # severity_id of OCSF, see above
    pa.field("category", WORDS, nullable=False),  # classification of the rule, groups joined with ","; ""
    # device: who the alert is about, the entity of triage: our side of it. Name where known, else the address.
    pa.field("host", WORDS, nullable=False),
    pa.field("address", WORDS, nullable=False),  # device.ip, as text; "" if unknown
    pa.field("user", WORDS, nullable=False),  # actor.user.name; "" if not said
    pa.field("src", WORDS, nullable=False),  # src_endpoint.ip; "" for alerts about a host alone
    pa.field("src_port", pa.int32(), nullable=False),  # -1 if there is none
    pa.field("dst", WORDS, nullable=False),  # dst_endpoint.ip
    pa.field("dst_port", pa.int32(), nullable=False),
    pa.field("protocol", WORDS, nullable=False),  # "tcp", "udp", "icmp", or the number as text; ""
    pa.field("name", WORDS, nullable=False),  # host name or URL asked for; ""
    pa.field("path", pa.string(), nullable=False),  # file, registry key or process concerned; ""
    pa.field("digest", WORDS, nullable=False),  # hash of the file, hex; ""
    pa.field("command", pa.string(), nullable=False),  # process.cmd_line; ""
    pa.field("attack", WORDS, nullable=False),  # ATT&CK techniques, "T1110,T1021.004"; ""
    pa.field("cve", WORDS, nullable=False),  # "CVE-2021-44228,..."; ""
    pa.field("disposition", pa.int8(), nullable=False),  # NOT_TOLD, ALLOWED, BLOCKED
    pa.field("count", pa.int64(), nullable=False),  # alerts that this one stands for; 1
    pa.field("uid", pa.string(), nullable=False),  # finding_info.uid; "" if the product gave none
    pa.field(
        "site", WORDS, nullable=False
    ),  # tenant or network the alert is from; "" where there is one alone
    pa.field("position", pa.int64(), nullable=False),  # line or record number in the source, from 0
    pa.field("raw", pa.string(), nullable=False),  # the original, cut at LONGEST_RAW bytes; "" if not kept
    pa.field(
        "source", WORDS, nullable=False
    ),  # format: "eve", "wazuh", "aminer", "zeek-notice", "cef", "ocsf", ...
]
ALERT: Final = pa.schema(_FIELDS)
