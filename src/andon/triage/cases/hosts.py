"""Under which names one host goes: addresses, host names with and without domain, the number in the asset list."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, ip_address
from typing import Any, Final

import numpy as np
import pyarrow as pa

from andon.records.asset import LEASE
from andon.records.columns import plain_rows

_COLUMNS: Final = ["asset", "first", "last", "address", "basis", "hostname", "valid_from", "valid_to"]


def address(text: str) -> str:
    """The address in its one spelling, "" if the text is none.

    >>> address("2001:DB8::0:1"), address("web1")
    ('2001:db8::1', '')
    """
    try:
        return str(ip_address(text))
    except ValueError:
        return ""


class HostNames:
    """Names of hosts, with what an asset list (``records.asset.ASSET``) knows of them.

    >>> sorted(HostNames().of("Web1.corp.example", "10.0.0.5"))
    ['10.0.0.5', 'web1', 'web1.corp.example']
    """

    def __init__(self, assets: pa.Table | None = None) -> None:
        rows: list[dict[str, Any]] = [] if assets is None else plain_rows(assets.select(_COLUMNS))
        self._rows = rows
        self._first = np.array([row["first"] for row in rows], np.int64)
        self._last = np.array([row["last"] for row in rows], np.int64)
        self._named: dict[str, list[int]] = {}
        for number, row in enumerate(rows):
            for name in _names(row):
                self._named.setdefault(name, []).append(number)

    def of(self, *names: str, at: int | None = None) -> frozenset[str]:
        """Everything that a host with one of these names or addresses is called. ``at`` (ns): of leases those count
        that cover it."""
        made: set[str] = set()
        for name in names:
            plain = address(name) or name.strip().lower().rstrip(".")
            if not plain or plain == "-":
                continue
            made.add(plain)
            if address(plain):
                for number in self._holders(plain, at):
                    made |= set(_names(self._rows[number]))
            else:
                label = plain.partition(".")[0]
                made |= {label} if label else set()
                for number in self._named.get(plain, ()):
                    row = self._rows[number]
                    if _valid(row, at) and row["first"] == row["last"] and row["address"]:
                        made.add(address(row["address"]) or row["address"])
        return frozenset(made)

    def _holders(self, text: str, at: int | None) -> Iterable[int]:
        parsed = ip_address(text)
        if not isinstance(parsed, IPv4Address) or not len(self._first):
            return ()
        number = int(parsed)
        # A prefix names a network, not a host: only an entry for the address alone says who it is.
        hits = np.flatnonzero((self._first == number) & (self._last == number))
        return [int(hit) for hit in hits if _valid(self._rows[int(hit)], at)]


def _names(row: dict[str, Any]) -> list[str]:
    host = row["hostname"].strip().lower().rstrip(".")
    # A lease's asset is the device; a list may number its rows 1, 2, 3: such a number is no name to be met in a log.
    asset = row["asset"].strip().lower()
    names = [host, host.partition(".")[0], asset if not asset.isdigit() else ""]
    return [name for name in dict.fromkeys(names) if name]


def _valid(row: dict[str, Any], at: int | None) -> bool:
    if at is None or row["basis"] != LEASE:
        return True
    start, end = row["valid_from"], row["valid_to"]
    return (start is None or start <= at) and (end is None or at < end)
