"""Files as one stream of batches in time order, restricted to the telescope.

Files are read side by side where they overlap in time, always the one that is furthest behind, so that few
windows are open at once and the order of the command line does not matter.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, collapse_addresses, ip_network
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numba import njit

from andon.records.columns import column
from andon.records.kinds import PACKET
from andon.run.order import astray
from andon.run.packets import open_packets

LATENESS = 60_000_000_000  # how far out of order a batch file may be: 60 s
_STRAGGLERS = 8
IPV6_TELESCOPE = (
    "a telescope is given by IPv4 prefixes; engines look at no IPv6 destination. Leave it out: IPv6 packets of the "
    "input are counted (and kept in the history of `andon run`), and not analysed"
)


@dataclass
class FileReport:
    """What came of reading one file. ``records``: of its kind; for captures and files of a history, packets.

    Four fields say how it is to be read, and are left as they are: only packets with ``start`` <= ts < ``end`` (ns;
    None: no bound); ``begins``: ns before which it holds none, where that is known without opening it; ``within``: the
    folder of the table that it is a file of."""

    path: str
    packets: int = 0
    rows: int = 0
    astray: int = 0  # rows whose time does not fit those around them
    outside: int = 0  # rows whose destination is not in the telescope given
    vlan_depth: int = 0  # most VLAN tags on one packet
    first: int | None = None  # ns
    last: int | None = None
    link_types: tuple[int, ...] = ()
    skipped: dict[str, int] = field(default_factory=dict)
    damage: list[str] = field(default_factory=list)
    places: int = 0  # damaged places; ``damage`` names the first thousand
    error: str | None = None
    kind: str = PACKET
    records: int = 0
    start: int | None = None
    end: int | None = None
    begins: int | None = None
    within: str = ""

    def fresh(self) -> FileReport:
        """The same file, to be read again."""
        return FileReport(
            self.path, kind=self.kind, start=self.start, end=self.end, begins=self.begins, within=self.within
        )


@njit(cache=True, nogil=True)
def _inside(dst: np.ndarray, starts: np.ndarray, ends: np.ndarray, out: np.ndarray) -> int:
    kept = 0
    for i in range(dst.shape[0]):
        at = np.searchsorted(starts, dst[i], side="right") - 1
        inside = at >= 0 and dst[i] <= ends[at]
        out[i] = inside
        kept += inside
    return kept


class Telescope:
    """The operator's prefixes as sorted intervals.

    >>> Telescope(("192.0.2.0/24", "198.51.100.0/24")).addresses
    512
    """

    def __init__(self, prefixes: Sequence[str]) -> None:
        networks: list[IPv4Network] = []
        for prefix in prefixes:
            try:
                network = ip_network(prefix.strip())
            except ValueError as error:
                raise ValueError(f"telescope prefix {prefix!r}: {error}") from error
            if not isinstance(network, IPv4Network):
                raise ValueError(f"telescope prefix {prefix!r}: {IPV6_TELESCOPE}")
            networks.append(network)
        self.networks = sorted(collapse_addresses(networks))
        self.addresses = sum(network.num_addresses for network in self.networks)
        self._starts = np.array([int(n.network_address) for n in self.networks], np.uint32)
        self._ends = np.array([int(n.broadcast_address) for n in self.networks], np.uint32)

    def keep(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Rows whose IPv4 destination is inside; the batch itself if all are."""
        dst = column(batch, "dst")
        inside = np.empty(len(dst), np.bool_)
        if _inside(dst, self._starts, self._ends, inside) == len(dst):
            return batch
        return batch.filter(pa.array(inside))

    def bpf(self) -> str:
        """The tcpdump filter for packets to the telescope."""
        return " or ".join(f"dst net {network}" for network in self.networks)


class Feed:
    """Iterate to get (file number, batch, times in ns, watermark after it).

    The watermark is a time before which nothing more is expected: the least, over all files, of where each file
    stands, less the lateness. A file stands at the time of its last but seventh row, so that a few damaged
    timestamps do not move it; one of a history, whose reader knows what is still to come, no further than that. Batches
    are cut at the days of ``cut`` (ns; 0: not cut), in time order, and rows whose times do not fit those around them
    (``order.astray``) are left out and counted, so that wild timestamps cannot open windows without end. ``reports`` is
    complete when the iteration has ended; a path may be given as its report, which is then filled in. ``reached``: the
    latest position of any file, in ns. ``meets``: see ``open_packets``; ``left``: rows that were left out for it, at
    most."""

    def __init__(
        self,
        paths: Sequence[str | Path | FileReport],
        columns: Sequence[str],
        telescope: Telescope | None,
        cut: int = 0,
        meets: Callable[[int, int], bool] | None = None,
    ) -> None:
        self.columns = tuple(dict.fromkeys(("ts", "dst", "vlan_tags", *columns)))
        self.telescope = telescope
        self.cut = cut
        self.meets = meets
        self.left = 0
        self.reached: int | None = None
        self.reports = [one if isinstance(one, FileReport) else FileReport(str(one)) for one in paths]

    def __iter__(self) -> Iterator[tuple[int, pa.RecordBatch, np.ndarray, int]]:
        readers: dict[int, tuple[Any, Iterator[pa.RecordBatch]]] = {}
        heap: list[tuple[int, int]] = []
        for number, report in enumerate(self.reports):
            start = self._peek(report)
            if start is not None:
                heapq.heappush(heap, (start, number))
        while heap:
            position, number = heapq.heappop(heap)
            report = self.reports[number]
            batch = self._next(readers, number)
            if batch is None:
                continue
            if not batch.num_rows:
                heapq.heappush(heap, (position, number))
                continue
            ts = column(batch, "ts")
            self._note(report, batch, ts)
            if self.telescope is not None:
                kept = self.telescope.keep(batch)
                report.outside += batch.num_rows - kept.num_rows
                batch, ts = kept, column(kept, "ts")
            batch, ts = self._in_order(report, batch, ts)
            ahead = getattr(readers[number][0], "ahead", None)
            if len(ts):
                position = int(np.partition(ts, max(len(ts) - _STRAGGLERS, 0))[max(len(ts) - _STRAGGLERS, 0)])
                position = position if ahead is None else min(position, ahead)
                self.reached = position if self.reached is None else max(self.reached, position)
            elif ahead is not None:
                position = ahead
            heapq.heappush(heap, (position, number))
            others = heap[0][0]
            for start, end in self._pieces(ts):
                last = end == len(ts)
                next_start = others if last else min(others, int(ts[end:].min()))
                yield number, batch.slice(start, end - start), ts[start:end], next_start - LATENESS

    def _next(self, readers: dict[int, Any], number: int) -> pa.RecordBatch | None:
        """The next batch of a file; None at its end, or when it cannot be read any further (said in the report)."""
        report = self.reports[number]
        reader = None
        try:
            if number not in readers:
                opened = open_packets(report.path, self.columns, report.start, report.end, meets=self.meets)
                readers[number] = (opened, iter(opened))
            reader, batches = readers[number]
            batch = next(batches, None)
        except (OSError, ValueError) as error:
            batch = None
            if reader is None:
                report.error = f"{error}"
            else:
                report.damage.append(f"reading stopped: {error}")
                report.places += 1
        if batch is None:
            readers.pop(number, None)
            if reader is not None:
                self._finish(report, reader)
        return batch

    def _in_order(
        self, report: FileReport, batch: pa.RecordBatch, ts: np.ndarray
    ) -> tuple[pa.RecordBatch, np.ndarray]:
        """Rows that fit, in the order of the days they are cut at."""
        if not self.cut or not len(ts):
            return batch, ts
        gone = astray(ts)
        if gone is not None:
            report.astray += int(gone.sum())
            batch = batch.filter(pa.array(~gone))
            ts = column(batch, "ts")
        days = ts // self.cut
        if np.any(days[1:] < days[:-1]):
            batch = batch.take(pa.array(np.argsort(days, kind="stable")))
            ts = column(batch, "ts")
        return batch, ts

    def _pieces(self, ts: np.ndarray) -> Iterator[tuple[int, int]]:
        if not len(ts):
            return
        edges = np.flatnonzero(np.diff(ts // self.cut)) + 1 if self.cut else np.empty(0, np.int64)
        yield from pairwise([0, *edges.tolist(), len(ts)])

    def _peek(self, report: FileReport) -> int | None:
        """First time in the file; None (and an error in the report) if it cannot be read."""
        if report.begins is not None:
            return report.begins
        try:
            reader = open_packets(report.path, ("ts",), report.start, report.end, check=False)
            ahead: int | None = getattr(reader, "ahead", None)
            if ahead is not None:
                reader.close()
                return ahead
            for batch in reader:
                if batch.num_rows:
                    return int(column(batch, "ts").min())
            self._finish(report, reader)
        except (OSError, ValueError) as error:
            report.error = f"{error}"
        return None

    def _note(self, report: FileReport, batch: pa.RecordBatch, ts: np.ndarray) -> None:
        low, high = int(ts.min()), int(ts.max())
        report.first = low if report.first is None else min(report.first, low)
        report.last = high if report.last is None else max(report.last, high)
        report.vlan_depth = max(report.vlan_depth, int(column(batch, "vlan_tags").max()))

    def _finish(self, report: FileReport, reader: Any) -> None:
        report.packets = report.records = reader.counts.packets
        report.rows = reader.counts.rows
        self.left += getattr(reader, "left", 0)
        report.astray += getattr(reader, "astray", 0) if self.cut else 0
        report.skipped = dict(reader.counts.skipped)
        report.link_types = tuple(reader.link_types)
        report.damage += [f"at byte {item.offset:,}: {item.what}" for item in reader.damage]
        report.places += reader.damage_total
