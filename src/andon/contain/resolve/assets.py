"""The asset list as it is asked when somebody is to be cut off: which system is it, and which addresses has it now?

Rows of ``records.asset.ASSET`` belong to one system if they have the same hardware address, the same number in the list
or the same full host name. A short name ("web1") finds every system whose name begins so; more than one is an answer
too, and not a good one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from andon.contain.spelling import Unreadable, mac, plain, spans
from andon.records.asset import LEASE, LIST, SCAN
from andon.records.columns import plain_rows

_COLUMNS: Final = (
    "asset", "first", "last", "address", "valid_from", "valid_to", "basis", "hostname", "mac", "device",
    "product", "os",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """``low``, ``high``: numbers of its addresses in its version; equal for a single address. Times are ns or None."""

    version: int
    low: int
    high: int
    address: str
    basis: str
    begin: int | None
    end: int | None
    hostname: str
    mac: str
    asset: str
    device: tuple[str, ...]

    @property
    def single(self) -> bool:
        return self.low == self.high

    def valid(self, at: int) -> bool:
        """Whether a lease covers that time, or a row of a list has not ended."""
        if self.basis == SCAN:
            return True
        return (self.begin is None or self.basis != LEASE or self.begin <= at) and (
            self.end is None or at < self.end
        )


class Assets:
    """``left_out``: rows without an address that can be read."""

    def __init__(self, table: pa.Table | None) -> None:
        self.rows: list[Row] = []
        self.left_out = 0
        if table is not None:
            for given in plain_rows(table.select(list(_COLUMNS))):
                self._take(given)
        self._by_name: dict[str, list[int]] = {}
        self._by_mac: dict[str, list[int]] = {}
        self._by_address: dict[tuple[int, int], list[int]] = {}
        wide: list[tuple[int, int, int, int]] = []
        for number, row in enumerate(self.rows):
            for name in {row.hostname, row.hostname.partition(".")[0], row.asset} - {""}:
                self._by_name.setdefault(name, []).append(number)
            if row.mac:
                self._by_mac.setdefault(row.mac, []).append(number)
            if row.single:
                self._by_address.setdefault((row.version, row.low), []).append(number)
            else:
                wide.append((row.version, row.low, row.high, number))
        self._wide = sorted(wide)

    def _take(self, row: Mapping[str, Any]) -> None:
        first, last, text = int(row["first"]), int(row["last"]), str(row["address"])
        try:
            if first >= 0:
                version, low, high = 4, first, last
            else:
                body, _, end = text.partition("-")
                start = spans(body.strip())[0]
                version, low, high = (
                    start.version,
                    start.low,
                    spans(end.strip())[0].high if end else start.high,
                )
        except Unreadable:
            self.left_out += 1
            return
        try:
            hardware = mac(str(row["mac"])) if row["mac"] else ""
        except Unreadable:
            hardware = ""
        self.rows.append(
            Row(
                version, low, high, plain(text) if low == high and "-" not in text and "/" not in text else text,
                str(row["basis"]), row["valid_from"], row["valid_to"],
                str(row["hostname"]).strip().casefold().rstrip("."), hardware,
                str(row["asset"]).strip().casefold(),
                tuple(str(row[key]) for key in ("device", "product", "os") if row[key]),
            )
        )  # fmt: skip

    def called(self, name: str) -> list[Row]:
        """Rows of systems that have this name, number or hardware address; those of exactly this full name alone if
        there are any."""
        wanted = name.strip().casefold().rstrip(".")
        try:
            return [self.rows[i] for i in self._by_mac.get(mac(wanted), ())]
        except Unreadable:
            pass
        found = [self.rows[i] for i in self._by_name.get(wanted, ())]
        exact = [row for row in found if wanted in (row.hostname, row.asset)]
        return exact or found

    def holders(self, address: str, at: int) -> list[Row]:
        """Rows that give a single address at that time to somebody, leases only if there are any."""
        first = spans(address)[0]
        found = [self.rows[i] for i in self._by_address.get((first.version, first.low), ())]
        leased = [row for row in found if row.basis == LEASE]
        now = [row for row in leased if row.valid(at)]
        return now or [row for row in found if row.basis != LEASE and row.valid(at)]

    def around(self, address: str) -> list[Row]:
        """Rows of prefixes and ranges that the address lies in."""
        first = spans(address)[0]
        upto = bisect_right(self._wide, (first.version, first.low, 1 << 129, 0))
        return [
            self.rows[number]
            for version, _, high, number in self._wide[:upto]
            if version == first.version and high >= first.low
        ]

    def same(self, seeds: Iterable[Row]) -> list[Row]:
        """Every row of the systems that these rows are of."""
        found: dict[int, Row] = {}
        todo = list(seeds)
        while todo:
            row = todo.pop()
            if id(row) in found:
                continue
            found[id(row)] = row
            todo += [self.rows[i] for i in self._by_mac.get(row.mac, ())] if row.mac else []
            for name in {
                row.hostname if "." in row.hostname else "",
                row.asset if not row.asset.isdigit() else "",
            } - {""}:
                todo += [
                    other
                    for other in (self.rows[i] for i in self._by_name.get(name, ()))
                    if name in (other.hostname, other.asset)
                ]
        return list(found.values())

    def systems(self, rows: Iterable[Row]) -> list[list[Row]]:
        """Rows sorted into systems."""
        left, made = list(rows), list[list[Row]]()
        while left:
            mine = {id(row) for row in self.same(left[:1])}
            made.append([row for row in left if id(row) in mine])
            left = [row for row in left if id(row) not in mine]
        return made

    def count(self, at: int) -> int:
        """How many systems are known at that time: single addresses of lists and scans, leases that are running; rows
        with one hardware address, number or name count once."""
        seen = set()
        for row in self.rows:
            if row.single and row.valid(at):
                seen.add(row.mac or row.asset or row.hostname or (row.version, row.low))
        return len(seen)


__all__ = ["LEASE", "LIST", "SCAN", "Assets", "Row"]
