"""Recog: from what a service says of itself to the vendor, the product and the class of the device.

The fingerprints are those of the project Recog (rapid7/recog, BSD 2-clause), read from its own XML files. Of each
database the first fingerprint that matches wins; the order of the file is part of what it says.

    >>> shipped().identify("ssh.banner", "dropbear_2017.75").service
    'Dropbear SSH Project Dropbear SSH 2017.75'
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from andon.observe.recog.fingerprint import BadFingerprint, Fingerprint
from andon.observe.recog.load import SHIPPED, Database, NoRecog, load
from andon.observe.recog.parts import parts

LONGEST: Final = 4096  # characters of a text that are looked at
_REMEMBERED: Final = 1 << 14  # banners: most of a list say the same few

__all__ = ["LONGEST", "BadFingerprint", "Identified", "NoRecog", "Recog", "shipped"]


@dataclass(frozen=True)
class Identified:
    """What a banner tells of the device. Text is "" where it does not say.

    ``device`` is Recog's ``hw.device`` (or ``os.device``); ``vendor`` and ``product`` are of the hardware, or of the
    operating system where that names a device; ``service`` is the program that answered. ``certainty`` is Recog's own.
    ``fields`` has everything as Recog names it, ``matched`` the databases and descriptions that spoke."""

    vendor: str
    product: str
    version: str
    device: str
    os: str
    cpe: str
    service: str
    certainty: float
    fields: Mapping[str, str]
    matched: tuple[str, ...]


class Recog:
    """Databases that have been loaded. Raises NoRecog or OSError while loading."""

    def __init__(self, path: str | Path = SHIPPED) -> None:
        loaded = load(path)
        self.databases: tuple[Database, ...] = tuple(
            sorted(loaded.databases, key=lambda database: (-database.preference, database.name))
        )
        self.left_out = list(loaded.left_out)
        self._vendors = {name.lower(): name for name in loaded.vendors}
        # (text that must be there, fingerprint, database): one look decides of most.
        self._by_key: dict[str, list[tuple[str, Fingerprint, str]]] = {}
        for database in self.databases:
            self._by_key.setdefault(database.matches, []).extend(
                (next(iter(one.literals), ""), one, database.name) for one in database.fingerprints
            )
        self._bad: set[int] = set()
        self._remembered = lru_cache(maxsize=_REMEMBERED)(self._identify)

    def vendor(self, name: str) -> str:
        """A maker's name as Recog writes it (``qnap`` -> ``QNAP``), or as it is given if Recog does not know it."""
        return self._vendors.get(name.lower(), name)

    def match(self, key: str, text: str) -> tuple[Fingerprint, dict[str, str]] | None:
        """The first fingerprint of the databases for ``key`` that matches, and its fields. Of long texts the first
        ``LONGEST`` characters count."""
        text = text[:LONGEST]
        lower = text.lower()
        for literal, fingerprint, name in self._by_key.get(key, ()):
            if literal not in lower or id(fingerprint) in self._bad or not fingerprint.may_match(lower):
                continue
            try:
                fields = fingerprint.match(text)
            except BadFingerprint as error:
                self._bad.add(id(fingerprint))
                self.left_out.append(f"{name}: {error}")
                continue
            if fields is not None:
                return fingerprint, fields
        return None

    def identify(self, protocol_or_key: str, banner: str) -> Identified | None:
        """What a banner tells, or None. The first argument is a kind of text as Recog names it (``http_header.server``)
        or a protocol (``http``, ``ssh``, ``telnet``), whose banner is taken apart as ``parts`` says."""
        return self._remembered(protocol_or_key, banner[: 2 * LONGEST])

    def _identify(self, protocol_or_key: str, banner: str) -> Identified | None:
        if protocol_or_key in self._by_key and protocol_or_key not in ("telnet", "rsh"):
            texts = [(protocol_or_key, banner)]
        else:
            texts = parts(protocol_or_key.lower(), banner)
        fields: dict[str, str] = {}
        matched: list[str] = []
        certainty = 0.0
        for key, text in texts:
            found = self.match(key, text)
            if found is None:
                continue
            fingerprint, said = found
            # The first to speak of hardware is believed in all of it: two halves of two devices are no device.
            taken = {name.split(".")[0] for name, value in fields.items() if value}
            fresh = {n: v for n, v in said.items() if v and n.split(".")[0] not in taken}
            if not fresh:
                continue
            fields.update(fresh)
            matched.append(f"{key}: {fingerprint.description}")
            certainty = max(certainty, fingerprint.certainty)
        return _identified(fields, certainty, tuple(matched)) if fields else None


def _identified(fields: dict[str, str], certainty: float, matched: tuple[str, ...]) -> Identified:
    def said(*names: str) -> str:
        return next((fields[name] for name in names if fields.get(name)), "")

    device = said("hw.device", "os.device")
    of_system = ("os",) if device and not said("hw.vendor") else ()
    vendor = said("hw.vendor", *(f"{name}.vendor" for name in of_system))
    product = said("hw.product", "hw.family", "hw.model", *(f"{name}.product" for name in of_system))
    return Identified(
        vendor=vendor, product=product, version=said("hw.version", *(f"{n}.version" for n in of_system)),
        device=device, os=_words(said("os.vendor"), said("os.product", "os.family"), said("os.version")),
        cpe=said("hw.cpe23", "os.cpe23", "service.cpe23"),
        service=_words(said("service.vendor"), said("service.product", "service.family"), said("service.version")),
        certainty=certainty, fields=fields, matched=matched,
    )  # fmt: skip


def _words(vendor: str, product: str, version: str) -> str:
    vendor = "" if product.lower().startswith(vendor.lower()) else vendor
    return " ".join(word for word in (vendor, product, version) if word)


@lru_cache(maxsize=1)
def shipped() -> Recog:
    """The databases that come with the program."""
    return Recog()
