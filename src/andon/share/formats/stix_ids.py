"""Ids and times of STIX 2.1: the same thing is the same object everywhere, at every site and on every day.

Observables have the ids that the standard asks for (2.9): UUIDv5, in a namespace that it gives, of the identifying
properties as canonical JSON (RFC 8785). Other objects have UUIDv5 of ours.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha1
from ipaddress import IPv4Address, ip_network
from typing import Any, Final

OBSERVABLES: Final = uuid.UUID("00abedb4-aa42-466c-9c01-fed23315a9b7")  # STIX 2.1, 2.9
NAMESPACE: Final = uuid.UUID("7d9b4c9e-5d0c-5a57-9c1e-3d6d0a7b1f10")  # ours, for ids of everything else
_THEIRS: Final = OBSERVABLES.bytes
_OURS: Final = NAMESPACE.bytes
_VARIANT: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
HASHES: Final = {32: "MD5", 40: "SHA-1", 64: "SHA-256"}
EPOCH: Final = "1970-01-01T00:00:00.000Z"
_HEX: Final = re.compile(r"[0-9a-fA-F]+")
_NAME: Final = re.compile(r"(?:[a-z0-9_-]{1,63}\.)+[a-z0-9-]{2,63}\.?", re.IGNORECASE)
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^\s\x00-\x20\"<>\\^`{|}\x7f-\U0010ffff]+", re.IGNORECASE)


def named(kind: str, text: str) -> str:
    """Id of an object of ours: ``KIND--UUID`` of a text.

    >>> named("note", "x") == f"note--{uuid.uuid5(NAMESPACE, 'x')}"
    True
    """
    return f"{kind}--{uuid5(_OURS, text)}"


def uuid5(namespace: bytes, text: str) -> str:
    """As uuid.uuid5, in half the time. ``namespace``: its 16 bytes."""
    return _uuid(sha1(namespace + text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest())


class Names:
    """uuid5 of many texts that begin alike: the beginning is hashed once.

    >>> Names(NAMESPACE.bytes, "misp ").of("x") == uuid5(NAMESPACE.bytes, "misp x")
    True
    """

    def __init__(self, namespace: bytes, start: str) -> None:
        self._begun = sha1(namespace + start.encode("utf-8", "surrogatepass"), usedforsecurity=False)

    def of(self, text: str) -> str:
        """The UUID of the beginning and ``text``."""
        whole = self._begun.copy()
        whole.update(text.encode("utf-8", "surrogatepass"))
        return _uuid(whole.hexdigest())


def _uuid(digest: str) -> str:
    """Version 5 and the variant (RFC 9562, 5.5) over the first 128 bits of a digest in hexadecimal."""
    d = digest
    return f"{d[:8]}-{d[8:12]}-5{d[13:16]}-{_VARIANT[d[16]]}{d[17:20]}-{d[20:32]}"


def observable(kind: str, identifying: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A cyber-observable object with the id that the standard gives it.

    >>> observable("ipv4-addr", {"value": "198.51.100.3"})["id"]
    'ipv4-addr--28bb3599-77cd-5a82-a950-b5bc3caf07c4'
    """
    text = json.dumps(identifying, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    identity = f"{kind}--{uuid5(_THEIRS, text)}"
    return {"type": kind, "spec_version": "2.1", "id": identity, **identifying, **more}


@lru_cache(maxsize=1 << 15)
def observed(kind: str, value: str) -> Mapping[str, Any] | None:
    """The observable of an entity of ours; None where STIX has none for it, or the value is none of its kind."""
    if kind in ("ipv4-addr", "ipv6-addr"):
        try:
            net = ip_network(value, strict=False)
        except ValueError:
            return None
        return observable(f"ipv{net.version}-addr", {"value": value})
    if kind == "domain-name":
        return observable(kind, {"value": value}) if _NAME.fullmatch(value) else None
    if kind == "url":
        return observable(kind, {"value": value}) if _URL.fullmatch(value) else None
    if kind == "user-account":
        return observable(kind, {"account_login": value[:500]}) if value.isprintable() else None
    if kind == "file":
        if len(value) in HASHES and _HEX.fullmatch(value):
            return observable(kind, {"hashes": {HASHES[len(value)]: value.lower()}})
        return observable(kind, {"name": value[:500]}) if value.isprintable() else None
    return None


def host_observable(host: str) -> dict[str, Any] | None:
    """That of an IPv4 address or a name; None for anything else."""
    try:
        return observable("ipv4-addr", {"value": str(IPv4Address(host))})
    except ValueError:
        if not re.fullmatch(r"(?:[a-z0-9-]{1,63}\.)+[a-z]{2,18}", host):
            return None
        return observable("domain-name", {"value": host})


def stamp(time: str) -> str:
    """A time of ours with the three fraction digits that STIX 2.1 asks for.

    >>> stamp("2026-01-01T00:00:00.123456789Z"), stamp("2026-01-01T00:00:00Z")
    ('2026-01-01T00:00:00.123Z', '2026-01-01T00:00:00.000Z')
    """
    if len(time) < 20 or time[10] != "T" or time[-1] != "Z":
        return EPOCH
    return f"{time[:19]}.{time[20:23].rstrip('Z'):0<3}Z"


def quoted(value: str) -> str:
    """A string constant of a pattern (STIX 2.1, 9.3)."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
