"""Tables through which the engines of the joint system speak: sessions and behaviours, links, profiles.

``BEHAVIOURS`` come from ``intel.session``, sightings (``records.sighting``) from ``darknet.sightings``, ``LINKS`` and
``MATCHES`` from ``darknet.link``, ``PROFILES`` from ``intel.profile``; ``darknet.asset`` reads all of them.
"""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

_TIME: Final = pa.timestamp("ns", tz="UTC")
_TEXTS: Final = pa.list_(pa.string())


def _schema(*fields: tuple[str, pa.DataType]) -> pa.Schema:
    made: list[pa.Field[Any]] = [pa.field(name, kind, nullable=False) for name, kind in fields]
    return pa.schema(made)


# What a session shows of whoever is behind it. Rare ones say much, common ones little: `darknet.link` measures it.
TOKEN, CREDENTIAL, URL_BASE, URL, PAYLOAD = "token", "credential", "url-base", "url", "payload"
EXPLOIT, TACTICS, CLUSTER, HASSH, CLIENT, PORT = "exploit", "tactics", "cluster", "hassh", "client", "port"
BEHAVIOUR_KINDS: Final = (
    TOKEN, CREDENTIAL, URL_BASE, URL, PAYLOAD, EXPLOIT, TACTICS, CLUSTER, HASSH, CLIENT, PORT,
)  # fmt: skip
BOT, LOADER, SURVEY, RELAY, PERSON, UNKNOWN = "bot", "loader", "survey", "relay", "person", "unknown"

SESSIONS: Final = _schema(  # intel.session:sessions, one row a session
    ("session", pa.string()),  # "SENSOR/NUMBER", or a hash where the honeypot gives no number
    ("start", _TIME),
    ("end", _TIME),
    ("src", pa.string()),
    ("address", pa.int64()),  # IPv4 as a number, else -1
    ("honeypot", pa.string()),
    ("protocol", pa.string()),
    ("dst_port", pa.int32()),
    ("role", pa.string()),  # BOT .. UNKNOWN
    ("role_confidence", pa.float64()),
    ("family", pa.string()),  # name, or "" if nothing tells
    ("family_confidence", pa.float64()),
    ("family_evidence", pa.string()),  # "token SATORI; URL base /bins/satori."
    ("steps", _TEXTS),  # of "scan", "login", "download", "delivery", "execution", "command-and-control"
    ("techniques", _TEXTS),  # ATT&CK
    ("cves", _TEXTS),
    ("targets", _TEXTS),  # "vendor|product|device" of the systems that the exploits are for
    ("cluster", pa.string()),
    ("login", pa.bool_()),
    ("commands", pa.int64()),
)
BEHAVIOURS: Final = _schema(  # intel.session:behaviours, one row for each (session, behaviour)
    ("session", pa.string()),
    ("at", _TIME),
    ("address", pa.int64()),  # IPv4 as a number, else -1
    ("sensor", pa.string()),
    ("kind", pa.string()),  # one of BEHAVIOUR_KINDS
    ("value", pa.string()),  # normalised; an exploit is its CVE, or its signature's name where it has none
    ("role", pa.string()),
)

MARK_FINGERPRINT, MARK_PORT_SET = "fingerprint", "port-set"
LINKS: Final = (
    _schema(  # darknet.link:links, one row for each (mark, behaviour) that passed, as of the span's end
        ("mark_kind", pa.string()),  # MARK_FINGERPRINT or MARK_PORT_SET
        ("mark", pa.string()),  # relation, tool or number; "23,2323"
        ("kind", pa.string()),  # of the behaviour
        ("value", pa.string()),
        ("sources", pa.int64()),  # addresses that show both within the window
        ("networks_24", pa.int64()),  # distinct /24 of these
        ("decoys", pa.float64()),  # the same count, expected of moved addresses
        ("p_value", pa.float64()),
        ("fdr", pa.float64()),  # estimated share of false ones among links at least as good
        ("effect", pa.float64()),  # times more often than independence gives
        ("probability", pa.float64()),  # calibrated
        ("first", _TIME),
        ("last", _TIME),
        ("lag_median", pa.int64()),  # ns from the darknet to the honeypot; negative: the honeypot was first
        ("series", pa.string()),  # of the finding
    )
)
MATCHES: Final = _schema(  # darknet.link:matches, one row for each pair behind a link
    ("mark_kind", pa.string()),
    ("mark", pa.string()),
    ("kind", pa.string()),
    ("value", pa.string()),
    ("src", pa.uint32()),
    ("session", pa.string()),
    ("darknet_at", _TIME),
    ("honeypot_at", _TIME),
)
PROFILES: Final = _schema(  # intel.profile:profiles, one row a family
    ("family", pa.string()),  # name, or "family N" where nobody has named it
    ("aliases", _TEXTS),
    ("fingerprints", _TEXTS),
    ("port_sets", _TEXTS),
    ("tokens", _TEXTS),
    ("credentials", _TEXTS),
    ("cves", _TEXTS),
    ("targets", _TEXTS),  # "vendor|product|device"
    ("url_bases", _TEXTS),
    ("payloads", _TEXTS),
    ("loaders", _TEXTS),
    ("controllers", _TEXTS),  # C&C
    ("reports", _TEXTS),  # their ids
    ("state", pa.string()),  # emerging, bootstrap, epidemic, plateau, decline, replaced
    ("first_darknet", _TIME),
    ("first_honeypot", _TIME),
    ("first_report", _TIME),
    ("probability", pa.float64()),  # least of the links that hold the page together
    ("series", pa.string()),
)
NEVER: Final = 0  # of a time that has not come: 1970
