"""A relation: two things of an attack's infrastructure that were seen together, since when, until when, by whom.

Rows of ``RELATION`` are what readers of enrichment (``observe.enrichment``) and findings give to the graph
(``triage.infrastructure``). Values are normalised so that equal things are equal text: names in lower case without a
dot at the end, addresses as ``ipaddress`` prints them, hashes in lower case.
"""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

DOMAIN, ADDRESS, REGISTRANT = "domain", "address", "registrant"
NAME_SERVER, CERTIFICATE, OPERATOR, REGISTRAR = "name-server", "certificate", "operator", "registrar"
FILE, FILE_NAME, MALWARE, DETECTION = "file", "file-name", "malware", "detection"
CASE, HOST, REGISTERED = "case", "host", "registered-domain"
# DOMAIN: a name of the DNS as it was seen; REGISTERED: what its owner registered (the graph puts names under it); HOST:
# a machine of ours; CASE: a case, finding, report or event that names things; FILE: by hash.
NODE_KINDS: Final = (
    DOMAIN,
    REGISTERED,
    HOST,
    ADDRESS,
    REGISTRANT,
    NAME_SERVER,
    CERTIFICATE,
    OPERATOR,
    REGISTRAR,
    FILE,
    FILE_NAME,
    MALWARE,
    DETECTION,
    CASE,
)

UNDER, RESOLVES, ALIAS, MAIL = "under", "resolves-to", "alias-of", "mail-through"
SERVED, ANNOUNCED = "served-by", "announced-by"
REGISTERED_BY, REGISTERED_AT = "registered-by", "registered-at"
CERTIFIED, PRESENTS = "certified-by", "presents"
CONFIGURED, CONTACTS, FETCHED, DROPS = "configured-with", "contacts", "fetched-from", "drops"
SAME, NAMED, DETECTED, IS_A = "same-as", "named", "detected-as", "is-a"
SEEN_IN, RELATED = "seen-in", "related-to"
# Each relation with the family of evidence it belongs to: two relations of one family are not independent witnesses
# (who
# rents a place at a small hoster gets its name server with it).
FAMILIES: Final = {
    UNDER: "naming",
    ALIAS: "hosting",
    RESOLVES: "hosting",
    MAIL: "hosting",
    SERVED: "hosting",
    ANNOUNCED: "hosting",
    REGISTERED_BY: "registration",
    REGISTERED_AT: "registration",
    CERTIFIED: "certificate",
    PRESENTS: "certificate",
    CONFIGURED: "malware",
    CONTACTS: "malware",
    FETCHED: "malware",
    DROPS: "malware",
    SAME: "identity",
    NAMED: "malware",
    DETECTED: "malware",
    IS_A: "malware",
    SEEN_IN: "report",
    RELATED: "report",
}
RELATIONS: Final = tuple(FAMILIES)

_WORDS: Final = pa.dictionary(pa.int32(), pa.string())
_FIELDS: list[pa.Field[Any]] = [
    pa.field("source_kind", _WORDS, nullable=False),  # one of NODE_KINDS
    pa.field("source", pa.string(), nullable=False),
    pa.field("relation", _WORDS, nullable=False),  # one of RELATIONS, read from source to target
    pa.field("target_kind", _WORDS, nullable=False),
    pa.field("target", pa.string(), nullable=False),
    pa.field("first", pa.timestamp("ns", tz="UTC")),  # null: not said
    pa.field("last", pa.timestamp("ns", tz="UTC")),
    pa.field("count", pa.int64(), nullable=False),  # observations behind it, at least 1
    pa.field("origin", _WORDS, nullable=False),  # feed or engine that says so
]
RELATION: Final = pa.schema(_FIELDS)
