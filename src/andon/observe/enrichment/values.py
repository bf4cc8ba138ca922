"""Values as feeds write them, made equal where they mean the same; and the rows of relations made of them.

What is refused is counted with its reason: a text that is no name, address or hash, an address that says nothing
(unspecified, loopback, link-local, multicast), registration data that was redacted. Nothing is looked up.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, Final

import pyarrow as pa

from andon.observe.assets.times import BadTime, when
from andon.observe.lists import Skipped
from andon.records.infrastructure import (
    ADDRESS,
    ALIAS,
    ANNOUNCED,
    CASE,
    CERTIFICATE,
    CERTIFIED,
    CONTACTS,
    DETECTED,
    DETECTION,
    DOMAIN,
    FILE,
    FILE_NAME,
    HOST,
    IS_A,
    MALWARE,
    NAME_SERVER,
    NAMED,
    OPERATOR,
    PRESENTS,
    REGISTERED,
    REGISTERED_AT,
    REGISTERED_BY,
    REGISTRANT,
    REGISTRAR,
    RELATED,
    RELATION,
    RESOLVES,
    SAME,
    SEEN_IN,
    SERVED,
    UNDER,
)

MOST_ROWS: Final = 20_000_000
_LONGEST: Final = 400
_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_HEX: Final = re.compile(r"[0-9a-f]+")
_EMAIL: Final = re.compile(r"[^@\s\"<>(),;:]{1,64}@[^@\s\"<>(),;:]{3,253}")
_REDACTED: Final = re.compile(
    r"redact|not disclosed|withheld|gdpr|data protected|statutory masking|personal data|^n/?a$|^none$|^null$|^unknown$|"
    r"^private$|^-+$|^\*+$|query the rdds|select (?:request|contact)",
    re.IGNORECASE,
)
_DEFANG: Final = (
    ("[.]", "."),
    ("(.)", "."),
    ("[:]", ":"),
    ("hxxp", "http"),
    ("[dot]", "."),
    ("[at]", "@"),
    ("[@]", "@"),
)
_RECORDS: Final = {"A": RESOLVES, "AAAA": RESOLVES, "NS": SERVED, "CNAME": ALIAS, "MX": "mail-through"}
# What two things have to do with one another if nothing says it, by their kinds; read from the first to the second.
_USUAL: Final = {
    (DOMAIN, ADDRESS): RESOLVES, (DOMAIN, REGISTRANT): REGISTERED_BY, (DOMAIN, REGISTRAR): REGISTERED_AT,
    (DOMAIN, NAME_SERVER): SERVED, (DOMAIN, CERTIFICATE): CERTIFIED, (ADDRESS, CERTIFICATE): PRESENTS,
    (ADDRESS, OPERATOR): ANNOUNCED, (DOMAIN, OPERATOR): ANNOUNCED, (FILE, DOMAIN): CONTACTS, (FILE, ADDRESS): CONTACTS,
    (FILE, FILE_NAME): NAMED, (FILE, DETECTION): DETECTED, (FILE, MALWARE): IS_A, (DOMAIN, REGISTERED): UNDER,
    (HOST, ADDRESS): RESOLVES,
}  # fmt: skip
_KINDS_IN: Final = {
    "ip": ADDRESS, "ipv4": ADDRESS, "ipv6": ADDRESS, "ipv4-addr": ADDRESS, "ipv6-addr": ADDRESS, "ip-src": ADDRESS,
    "ip-dst": ADDRESS, "address": ADDRESS, "domain": DOMAIN, "hostname": DOMAIN, "fqdn": DOMAIN, "domain-name": DOMAIN,
    "regdom": REGISTERED, "registered-domain": REGISTERED, "url": "url", "uri": "url", "link": "", "md5": FILE,
    "sha1": FILE, "sha-1": FILE, "sha256": FILE, "sha-256": FILE, "file": FILE, "hash": FILE, "filename": FILE_NAME,
    "file-name": FILE_NAME, "det": DETECTION, "detection": DETECTION, "malware": MALWARE, "family": MALWARE,
    "org": OPERATOR, "operator": OPERATOR, "asn": OPERATOR, "as": OPERATOR, "autonomous-system": OPERATOR,
    "email": REGISTRANT, "email-addr": REGISTRANT, "registrant": REGISTRANT, "whois-registrant-email": REGISTRANT,
    "whois-registrant-name": REGISTRANT, "whois-registrant-org": REGISTRANT, "registrar": REGISTRAR,
    "whois-registrar": REGISTRAR, "name-server": NAME_SERVER, "nameserver": NAME_SERVER, "ns": NAME_SERVER,
    "certificate": CERTIFICATE, "cert": CERTIFICATE, "x509-fingerprint-sha1": CERTIFICATE,
    "x509-fingerprint-sha256": CERTIFICATE, "x509-fingerprint-md5": CERTIFICATE, "host": HOST, "case": CASE,
    "finding": CASE, "report": CASE,
}  # fmt: skip


class Refused(ValueError):
    """A value that is none; the text says what is wrong with it."""


def usual_relation(a: str, b: str) -> tuple[str, bool]:
    """(relation, whether it is read from the second to the first) of two kinds of nodes."""
    if (a, b) in _USUAL:
        return _USUAL[a, b], False
    if (b, a) in _USUAL:
        return _USUAL[b, a], True
    if CASE in (a, b):
        return SEEN_IN, a == CASE
    if a == b == FILE:
        return RELATED, False
    return RELATED, b < a


def kind_of(word: str) -> str:
    """The kind of node that a feed's own word means; "url" for URLs, "" if none."""
    word = word.strip().lower().replace("_", "-")
    return _KINDS_IN.get(word, _KINDS_IN.get(word.split("|")[0], ""))


@lru_cache(maxsize=1 << 18)
def name(text: str) -> str:
    """A name of the DNS. Raises Refused.

    >>> name("WWW.Evil[.]example."), name("*.evil.example")
    ('www.evil.example', 'evil.example')
    """
    made = _plain(text).rstrip(".").removeprefix("*.")
    if not made.isascii():
        try:
            made = made.encode("idna").decode()
        except (UnicodeError, ValueError):
            raise Refused("not a name of the DNS") from None
    labels = made.split(".")
    if len(labels) < 2 or len(made) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise Refused("not a name of the DNS")
    if labels[-1].isdigit():
        raise Refused("an address where a name should be")
    return made


@lru_cache(maxsize=1 << 18)
def address(text: str) -> str:
    """An address. Raises Refused.

    >>> address("198[.]51.100.7"), address("2001:DB8::1")
    ('198.51.100.7', '2001:db8::1')
    """
    try:
        made = ip_address(_plain(text).strip("[]"))
    except ValueError:
        raise Refused("not an address") from None
    if getattr(made, "ipv4_mapped", None) is not None:
        made = made.ipv4_mapped  # type: ignore[union-attr,assignment]
    if (
        made.is_unspecified
        or made.is_loopback
        or made.is_link_local
        or made.is_multicast
        or made.packed[:1] == b"\0"
    ) and (made.version == 4 or not made.is_global):
        raise Refused("an address that says nothing")
    return str(made)


def digest(text: str) -> str:
    """MD5, SHA-1 or SHA-256 in hex, also as ``sha1:...`` or with colons. Raises Refused."""
    made = text.strip().lower()
    head, _, rest = made.partition(":")
    if head in ("md5", "sha1", "sha256", "sha-1", "sha-256"):
        made = rest
    made = made.replace(":", "").replace(" ", "")
    if len(made) not in (32, 40, 64) or not _HEX.fullmatch(made) or len(set(made)) < 4:
        raise Refused("not a hash")
    return made


def registrant(text: str) -> str:
    """An e-mail address, name, organisation or handle. Raises Refused for what was redacted."""
    made = " ".join(_plain(text).removeprefix("mailto:").split())
    if len(made) < 3 or _REDACTED.search(made):
        raise Refused("registration data that was redacted")
    if "@" in made and not _EMAIL.fullmatch(made):
        raise Refused("not an e-mail address")
    return made[:_LONGEST]


def words(text: str) -> str:
    """Any other value: lower case, one space. Raises Refused if nothing is left."""
    made = " ".join(text.lower().split())[:_LONGEST]
    if not made:
        raise Refused("empty")
    return made


def operator(number: Any, organisation: str = "") -> str:
    """``AS64500``, or the name of an organisation where there is no number. Raises Refused."""
    found = re.fullmatch(r"\s*(?:AS)?\s*(\d{1,10})\b.*", str(number or ""), re.IGNORECASE | re.DOTALL)
    if found and 0 < int(found[1]) < 2**32:
        return f"as{int(found[1])}"
    return words(organisation or str(number or ""))


def _plain(text: str) -> str:
    made = text.strip().lower()
    if "[" in made or "(" in made or made.startswith("hxxp"):
        for written, meant in _DEFANG:
            made = made.replace(written, meant)
    return made


def host_of(url: str) -> tuple[str, str]:
    """(kind, value) of the host of a URL, of ``host:port`` or ``host/path``. Raises Refused."""
    rest = _plain(url)
    rest = rest.split("://", 1)[-1].split("/", 1)[0].split("?", 1)[0].rsplit("@", 1)[-1]
    if rest.startswith("["):
        return ADDRESS, address(rest[1:].split("]", 1)[0])
    if rest.count(":") > 1:
        return ADDRESS, address(rest)
    rest = rest.split(":", 1)[0]
    return endpoint(rest)


def endpoint(text: str) -> tuple[str, str]:
    """(kind, value) of an address or name. Raises Refused."""
    try:
        return ADDRESS, address(text)
    except Refused as error:
        if "says nothing" in str(error):
            raise
        return DOMAIN, name(text)


_MAKERS: Final = {
    DOMAIN: name,
    REGISTERED: name,
    NAME_SERVER: name,
    ADDRESS: address,
    FILE: digest,
    REGISTRANT: registrant,
}


def node(kind: str, text: str) -> tuple[str, str]:
    """(kind, normal value); for "url" that of its host. Raises Refused."""
    if kind == "url":
        return host_of(text)
    if kind in (DOMAIN, ADDRESS) and "/" not in text:
        return endpoint(text)  # feeds mix them up
    if kind == OPERATOR:
        return kind, operator(text)
    if kind == FILE and "." in text:
        return FILE_NAME, words(text)  # "file" is a name with some and a hash with others
    maker: Any = _MAKERS.get(kind, words)
    return kind, maker(text)


def moment(value: Any) -> int | None:
    """ns since 1970, or None where nothing usable is said."""
    try:
        return when(value).ns
    except (BadTime, OverflowError, ValueError):
        return None


class Rows:
    """Relations as columns; what is refused goes into ``skipped``."""

    def __init__(self, skipped: Skipped) -> None:
        self.skipped = skipped
        self.columns: tuple[list[Any], ...] = tuple([] for _ in RELATION)

    def add(
        self, source: tuple[str, str], relation: str, target: tuple[str, str], origin: str,
        first: int | None = None, last: int | None = None, count: int = 1,
    ) -> None:  # fmt: skip
        """One relation of values that are normal already."""
        if source == target:
            return
        if len(self.columns[0]) >= MOST_ROWS:
            self.skipped.add(f"more than {MOST_ROWS:,} relations")
            return
        if first is not None and last is not None and first > last:
            first, last = last, first
        row = (*source, relation, *target, first, last, max(count, 1), origin)
        for column, value in zip(self.columns, row, strict=True):
            column.append(value)

    def link(
        self, kind: str, text: Any, relation: str, other: str, other_text: Any, origin: str, where: str,
        first: int | None = None, last: int | None = None, count: int = 1,
    ) -> bool:  # fmt: skip
        """One relation of values as a feed writes them; False if one is refused, which is counted. ``relation`` "": the
        usual one of their kinds."""
        try:
            a, b = node(kind, str(text)), node(other, str(other_text))
        except Refused as error:
            self.skipped.add(f"{where}: {str(text)[:40]!r}, {str(other_text)[:40]!r}: {error}")
            return False
        if not relation:
            relation, turned = usual_relation(a[0], b[0])
            a, b = (b, a) if turned else (a, b)
        self.add(a, relation, b, origin, first, last, count)
        return True

    def record(
        self, rrname: Any, rrtype: Any, data: Any, origin: str, where: str, first: Any, last: Any, n: int
    ) -> None:
        """One answer of the DNS."""
        kind = str(rrtype or "A").upper()
        relation = _RECORDS.get(kind)
        if relation is None:
            self.skipped.add(f"{where}: a record of type {kind[:10]!r}")
            return
        text = str(data).split()[-1] if kind == "MX" and str(data).split() else data
        target = {RESOLVES: ADDRESS, SERVED: NAME_SERVER}.get(relation, DOMAIN)
        self.link(DOMAIN, rrname, relation, target, text, origin, where, first, last, n)

    def same(self, hashes: list[Any], origin: str, where: str) -> str:
        """Hashes of one file as one node: the strongest, to which the others are tied. "" if there is none."""
        good: list[str] = []
        for text in hashes:
            try:
                good.append(digest(str(text)))
            except Refused as error:
                self.skipped.add(f"{where}: {str(text)[:40]!r}: {error}")
        if not good:
            return ""
        best = max(dict.fromkeys(good), key=lambda text: (len(text), text))
        for text in dict.fromkeys(good):
            if text != best:
                self.add((FILE, best), SAME, (FILE, text), origin)
        return best

    def table(self) -> pa.Table:
        arrays = [pa.array(column, field.type) for column, field in zip(self.columns, RELATION, strict=True)]
        return pa.table(arrays, schema=RELATION)
