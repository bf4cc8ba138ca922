"""What readers of asset lists hand over, and the table that is made of it."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from andon.observe.assets.places import Place
from andon.observe.jsonlines import Skipped
from andon.records.asset import ASSET, LIST

if TYPE_CHECKING:
    from andon.observe.recog import Recog

LONGEST: Final = 1024  # characters of a text
LONGEST_BANNER: Final = 4096
MOST_SERVICES: Final = 64  # of one asset
MOST_ROWS: Final = 20_000_000
_CHUNK: Final = 1 << 16
_NOTES: Final = b"andon.assets"
_CONTROL: Final = dict.fromkeys((*range(32), 127), " ")


@dataclass
class Entry:
    """One line of a list. Times are ns since 1970 UTC, None where nothing is said; ``at``: where it was read."""

    places: tuple[Place, ...]
    at: str
    asset: str = ""
    valid_from: int | None = None
    valid_to: int | None = None
    basis: str = LIST
    hostname: str = ""
    mac: str = ""
    vendor: str = ""
    product: str = ""
    version: str = ""
    device: str = ""
    os: str = ""
    cpe: str = ""
    owner: str = ""
    contact: str = ""
    services: list[dict[str, Any]] = field(default_factory=list)

    def add_service(self, port: int, transport: str, protocol: str, banner: str) -> None:
        """A service, up to ``MOST_SERVICES``; out of range ports are no services."""
        if 0 <= port <= 0xFFFF and len(self.services) < MOST_SERVICES:
            self.services.append(
                {
                    "port": port,
                    "transport": clean(transport).lower(),
                    "protocol": clean(protocol).lower(),
                    "banner": banner[:LONGEST_BANNER].replace("\0", " "),
                }
            )


class Rows:
    """Collects entries; ``table`` gives them as ``ASSET``. ``owner`` is the operator's word and goes before the list's:
    a list must not have its alerts sent to somebody else."""

    def __init__(
        self, name: str, skipped: Skipped, owner: str, recog: Callable[[], Recog] | None = None
    ) -> None:
        self.name, self.skipped, self.owner = name, skipped, owner
        self.notes: Counter[str] = Counter()
        self._load = recog
        self._columns: dict[str, list[Any]] = {name: [] for name in ASSET.names}
        self._batches: list[pa.RecordBatch] = []
        self.count = 0

    @cached_property
    def _recog(self) -> Recog | None:
        return self._load() if self._load is not None else None

    def note(self, text: str, count: int = 1) -> None:
        """Something the reader of the list should know: ``count`` times."""
        self.notes[text] += count

    def add(self, entry: Entry) -> None:
        """A row for each place."""
        if entry.valid_from is not None and entry.valid_to is not None and entry.valid_to < entry.valid_from:
            self.skipped.add(0, f"ends before it begins: {entry.at}"[:120])
            return
        if entry.vendor.islower() and self._recog is not None:
            entry.vendor = self._recog.vendor(entry.vendor)  # CPE names are in lower case
        if any(service["banner"] for service in entry.services) and self._recog is not None:
            self._identify(entry, self._recog)
        values = {
            "valid_from": entry.valid_from, "valid_to": entry.valid_to, "basis": entry.basis,
            "services": entry.services, "owner": self.owner or clean(entry.owner), "mac": hardware(entry.mac),
            "contact": clean(entry.contact or (entry.owner if self.owner else "")),
            "source": f"{self.name}: {entry.at}"[:2 * LONGEST],
        }  # fmt: skip
        for name in ("asset", "hostname", "vendor", "product", "version", "device", "os", "cpe"):
            values[name] = clean(getattr(entry, name))
        for place in entry.places:
            if self.count >= MOST_ROWS:
                self.skipped.add(0, f"more than {MOST_ROWS:,} addresses in one list")
                return
            self.count += 1
            for name, column in self._columns.items():
                if name in values:
                    column.append(values[name])
            self._columns["first"].append(place.first)
            self._columns["last"].append(place.last)
            self._columns["address"].append(place.text)
            if len(self._columns["first"]) >= _CHUNK:
                self._flush()

    def _identify(self, entry: Entry, recog: Recog) -> None:
        """Device, vendor and product from banners, where the list says nothing of them; a banner that names another
        vendor than the list tells of something else (a proxy, a library) and is left alone."""
        for service in entry.services:
            if entry.device and entry.vendor and entry.product and entry.os:
                return
            if not service["banner"]:
                continue
            found = recog.identify(service["protocol"], service["banner"])
            if found is None or (
                entry.vendor and found.vendor and entry.vendor.lower() != found.vendor.lower()
            ):
                continue
            filled = []
            if not entry.product or (not found.product or entry.product.lower() == found.product.lower()):
                for name in ("vendor", "product", "version", "device"):
                    if not getattr(entry, name) and getattr(found, name):
                        setattr(entry, name, getattr(found, name))
                        filled.append(name)
            if not entry.os and found.os:
                entry.os = found.os
                filled.append("os")
            if filled:
                entry.cpe = entry.cpe or found.cpe
                banner = " ".join(service["banner"].split())[:80]
                self.note("rows with something filled in from a banner (Recog)")
                entry.at += (
                    f"; {', '.join(filled)} from the banner {banner!r} of "
                    f"{service['transport'] or 'tcp'}/{service['port']} ({'; '.join(found.matched)[:200]})"
                )

    def _flush(self) -> None:
        if self._columns["first"]:
            arrays = [pa.array(self._columns[f.name], f.type) for f in ASSET]
            self._batches.append(pa.RecordBatch.from_arrays(arrays, schema=ASSET))
            for column in self._columns.values():
                column.clear()

    def table(self, kind: str) -> pa.Table:
        """Everything added. What ``note`` was told is in the metadata of the schema: see ``said``."""
        self._flush()
        body = json.dumps({"format": kind, "notes": dict(self.notes)}, ensure_ascii=False)
        schema = ASSET.with_metadata({_NOTES: body.encode()})
        return pa.Table.from_batches(self._batches, ASSET).cast(schema)


def said(table: pa.Table) -> tuple[str, dict[str, int]]:
    """(format, remark -> how often) of a table that ``assets`` gave."""
    body = json.loads((table.schema.metadata or {}).get(_NOTES, b'{"format": "", "notes": {}}'))
    return body["format"], body["notes"]


def clean(text: Any) -> str:
    """Text from a list: NFKC, no control characters, no blanks around it, at most 1,024 characters."""
    if text is None:
        return ""
    shown = str(text)[: 2 * LONGEST]
    if shown.isascii() and shown.isprintable():
        return shown.strip()[:LONGEST]
    return " ".join(unicodedata.normalize("NFKC", shown).translate(_CONTROL).split())[:LONGEST]


def hardware(text: str) -> str:
    """A MAC address as ``00:11:22:33:44:55``, "" for what is none.

    >>> hardware("0011.2233.44AA"), hardware("00-11-22-33-44-aa"), hardware("none")
    ('00:11:22:33:44:aa', '00:11:22:33:44:aa', '')
    """
    digits = "".join(c for c in clean(text).lower() if c in "0123456789abcdef")
    others = set(clean(text).lower()) - set("0123456789abcdef:-. ")
    if others or len(digits) != 12:
        return ""
    return ":".join(digits[n : n + 2] for n in range(0, 12, 2))


def first_of(values: Iterable[Any]) -> str:
    """The first that is not empty."""
    return next((clean(value) for value in values if clean(value)), "")
