"""Tables that the operator gives: lists of known scanners, reverse names, countries and AS.

Files are checked line by line; a bad line is counted and the first ones are named, never fatal.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, ip_network
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

LIST_SCHEMA = pa.schema([("cidr", pa.string()), ("organisation", pa.string())])
_MAX_EXAMPLES = 3


class TableError(ValueError):
    """A table given by the user cannot be used; the text says why and what is expected."""


@dataclass
class Skipped:
    """Lines that were not understood: how many, and the first few."""

    lines: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, where: str) -> None:
        self.lines += 1
        if len(self.examples) < _MAX_EXAMPLES:
            self.examples.append(where)


def _rows(path: Path, skipped: Skipped, width: int) -> Iterator[tuple[int, list[str]]]:
    with path.open(encoding="utf-8", errors="replace", newline="") as lines:
        for number, row in enumerate(csv.reader(line.replace("\0", "") for line in lines), 1):
            cells = [cell.strip() for cell in row]
            if not cells or not cells[0] or cells[0].startswith("#"):
                continue
            if len(cells) < width:
                skipped.add(f"line {number}: {','.join(cells)[:60]!r}")
                continue
            yield number, cells


def scanner_list(path: str | Path) -> tuple[pa.Table, Skipped]:
    """(cidr, organisation) of a Parquet file with these columns, or of a CSV file ``CIDR,ORGANISATION``.

    Raises OSError, or TableError for a Parquet file without the columns or a file without one good line."""
    path, skipped = Path(path), Skipped()
    if path.suffix == ".parquet":
        try:
            table = pq.read_table(path)
        except pa.ArrowInvalid as error:
            raise TableError(f"{path}: not a Parquet file: {error}") from error
        names = {"cidr", "ip"} & set(table.column_names), {"organisation", "class"} & set(table.column_names)
        if not all(names):
            raise TableError(f"{path}: needs columns cidr and organisation, has {table.column_names}")
        pairs = zip(table[names[0].pop()].to_pylist(), table[names[1].pop()].to_pylist(), strict=True)
        rows = [(n, [str(a), str(b)]) for n, (a, b) in enumerate(pairs, 1)]
    else:
        rows = list(_rows(path, skipped, 2))
    cidrs, organisations = [], []
    for number, (cidr, organisation, *_) in rows:
        try:
            network = ip_network(cidr, strict=False)
        except ValueError:
            if number > 1:  # a heading is not a bad line
                skipped.add(f"line {number}: {cidr[:60]!r} is not a prefix")
            continue
        cidrs.append(str(network))
        organisations.append(organisation)
    if not cidrs:
        raise TableError(f"{path}: no line of the form CIDR,ORGANISATION")
    return pa.table([cidrs, organisations], schema=LIST_SCHEMA), skipped


def reverse_names(path: str | Path) -> tuple[dict[int, str], Skipped]:
    """IPv4 address -> host name, from a CSV file ``ADDRESS,NAME``. Nothing is looked up."""
    names: dict[int, str] = {}
    skipped = Skipped()
    for number, (address, name, *_) in _rows(Path(path), skipped, 2):
        try:
            names[int(IPv4Address(address))] = name.rstrip(".").lower()
        except ValueError:
            if number > 1:
                skipped.add(f"line {number}: {address[:60]!r} is not an IPv4 address")
    return names, skipped


class CsvLocator:
    """Country and AS from a CSV file ``CIDR,COUNTRY,ASN[,NAME]``; the longest prefix wins."""

    def __init__(self, path: str | Path) -> None:
        self.skipped = Skipped()
        spans: list[tuple[int, int, str, str]] = []
        for number, cells in _rows(Path(path), self.skipped, 3):
            try:
                network = IPv4Network(cells[0], strict=False)
            except ValueError:
                if number > 1:
                    self.skipped.add(f"line {number}: {cells[0][:60]!r} is not an IPv4 prefix")
                continue
            asn = cells[2].removeprefix("AS")
            label = " ".join(part for part in (f"AS{asn}" if asn else "", *cells[3:4]) if part)
            spans.append((int(network.network_address), int(network.broadcast_address), cells[1], label))
        if not spans:
            raise TableError(f"{path}: no line of the form CIDR,COUNTRY,ASN,NAME")
        self._flatten(sorted(spans, key=lambda span: (span[0], -span[1])))

    def _flatten(self, spans: list[tuple[int, int, str, str]]) -> None:
        """Nested prefixes as disjoint intervals, each labelled by the innermost."""
        starts: list[int] = []
        labels: list[tuple[str, str]] = []
        stack: list[tuple[int, int, str, str]] = []

        def begin(at: int, label: tuple[str, str]) -> None:
            if starts and starts[-1] == at:
                labels[-1] = label
            else:
                starts.append(at)
                labels.append(label)

        def close(before: int) -> None:
            while stack and stack[-1][1] < before:
                end = stack.pop()[1]
                begin(end + 1, (stack[-1][2], stack[-1][3]) if stack else ("", ""))

        for span in spans:
            close(span[0])
            stack.append(span)
            begin(span[0], (span[2], span[3]))
        close(1 << 33)
        self._starts = np.array(starts, np.int64)
        self._labels = labels

    def locate(self, addresses: np.ndarray) -> tuple[list[str], list[str]]:
        at = np.searchsorted(self._starts, addresses.astype(np.int64), side="right") - 1
        found = [self._labels[n] if n >= 0 else ("", "") for n in at.tolist()]
        return [country for country, _ in found], [label for _, label in found]


class MmdbLocator:
    """Country and AS from MaxMind DB files (GeoLite2-like: country.iso_code, autonomous_system_number)."""

    def __init__(self, *paths: str | Path) -> None:
        import maxminddb

        try:
            self._readers = [maxminddb.open_database(str(path)) for path in paths]
        except maxminddb.InvalidDatabaseError as error:
            raise TableError(f"{', '.join(map(str, paths))}: {error}") from error

    def locate(self, addresses: np.ndarray) -> tuple[list[str], list[str]]:
        countries, systems = [], []
        for address in addresses.tolist():
            country = system = ""
            for reader in self._readers:
                record: Any = reader.get(IPv4Address(address))
                if not isinstance(record, dict):
                    continue
                place = record.get("country") or record.get("registered_country") or {}
                country = country or (place if isinstance(place, str) else str(place.get("iso_code", "")))
                number = record.get("autonomous_system_number") or record.get("asn")
                if number and not system:
                    name = record.get("autonomous_system_organization") or record.get("as_name") or ""
                    system = f"AS{str(number).removeprefix('AS')} {name}".strip()
            countries.append(country)
            systems.append(system)
        return countries, systems


def locator(path: str | Path) -> CsvLocator | MmdbLocator:
    """A locator for an ``.mmdb`` or a CSV file. Raises OSError or TableError."""
    return MmdbLocator(path) if Path(path).suffix == ".mmdb" else CsvLocator(path)
