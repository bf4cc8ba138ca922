"""Files as one stream of batches in time order, restricted to the telescope.

Files are read side by side where they overlap in time, always the one that is furthest behind, so that few
windows are open at once and the order of the command line does not matter.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, collapse_addresses, ip_network
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numba import njit

from andon.observe import read
from andon.records.columns import column

LATENESS = 60_000_000_000  # how far out of order a batch file may be: 60 s
MAX_OPEN_FILES = 64


@dataclass
class FileReport:
    """What came of reading one file."""

    path: str
    packets: int = 0
    rows: int = 0
    outside: int = 0  # rows whose destination is not in the telescope given
    vlan_depth: int = 0  # most VLAN tags on one packet
    first: int | None = None  # ns
    last: int | None = None
    skipped: dict[str, int] = field(default_factory=dict)
    damage: list[str] = field(default_factory=list)
    places: int = 0  # damaged places; ``damage`` names the first thousand
    error: str | None = None


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
                raise ValueError(f"telescope prefix {prefix!r}: only IPv4 prefixes can be given so far")
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

    The watermark is a time before which nothing more is expected: the least, over all files, of the middle
    time of the last batch, less the lateness. (The middle, so that a damaged timestamp does not move it.)
    ``reports`` is complete when the iteration has ended."""

    def __init__(
        self, paths: Sequence[str | Path], columns: Sequence[str], telescope: Telescope | None
    ) -> None:
        self.columns = tuple(dict.fromkeys(("ts", "dst", "vlan_tags", *columns)))
        self.telescope = telescope
        self.reports = [FileReport(str(path)) for path in paths]

    def __iter__(self) -> Iterator[tuple[int, pa.RecordBatch, np.ndarray, int]]:
        readers: dict[int, tuple[Any, Iterator[pa.RecordBatch]]] = {}
        heap: list[tuple[int, int]] = []
        for number, report in enumerate(self.reports):
            start = self._peek(report)
            if start is not None:
                heapq.heappush(heap, (start, number))
        while heap:
            _, number = heapq.heappop(heap)
            report = self.reports[number]
            if number not in readers:
                reader = read(report.path, columns=self.columns)
                readers[number] = (reader, iter(reader))
            reader, batches = readers[number]
            batch = next(batches, None)
            if batch is None:
                self._finish(report, reader)
                del readers[number]
                continue
            if not batch.num_rows:
                heapq.heappush(heap, (heap[0][0] if heap else 0, number))
                continue
            ts = column(batch, "ts")
            middle = int(np.partition(ts, len(ts) // 2)[len(ts) // 2])
            heapq.heappush(heap, (middle, number))
            self._note(report, batch, ts)
            if self.telescope is not None:
                kept = self.telescope.keep(batch)
                report.outside += batch.num_rows - kept.num_rows
                batch, ts = kept, column(kept, "ts")
            yield number, batch, ts, heap[0][0] - LATENESS

    def _peek(self, report: FileReport) -> int | None:
        """First time in the file; None (and an error in the report) if it cannot be read."""
        try:
            reader = read(report.path, columns=("ts",))
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
        report.packets = reader.counts.packets
        report.rows = reader.counts.rows
        report.skipped = dict(reader.counts.skipped)
        report.damage = [f"at byte {item.offset:,}: {item.what}" for item in reader.damage]
        report.places = reader.damage_total
