"""A sample as series: the addresses one source sent to at one port, in order of time.

A scan of one port has one order, so a source with several ports gives a series for each, and one for all of them.
Foreign packets (another host behind the same address) mostly differ in TTL, length or window: where one combination
has half of a series' packets, the others are left out. An address that comes again (a retransmission) counts once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from andon.detect.darknet.fingerprint.again import WHOLE, Turn
from andon.detect.darknet.fingerprint.sample import Sample

MOST_ROWS = 512
ALL_PORTS = -1


@dataclass(frozen=True)
class Series:
    """``source``: int64 index into ``Sample.src``; ``port``: int64, or ``ALL_PORTS``; rows of series i are
    ``starts[i]:starts[i+1]`` (int64) of ``rows`` (int64 indices into the sample), ``t`` (float64 seconds since the
    first packet of the sample) and ``dst`` (uint32), in order of time, every address once. ``seen`` (int64): packets of
    the series in the sample before repeats and foreign ones were left out."""

    source: np.ndarray
    port: np.ndarray
    starts: np.ndarray
    rows: np.ndarray
    t: np.ndarray
    dst: np.ndarray
    seen: np.ndarray

    def __len__(self) -> int:
        return len(self.source)

    @property
    def sizes(self) -> np.ndarray:
        return np.diff(self.starts)

    def take(self, which: np.ndarray) -> Series:
        """Only these series (int64)."""
        sizes = self.sizes[which]
        at = _ranges(self.starts[which], sizes)
        return Series(
            self.source[which], self.port[which], np.r_[0, np.cumsum(sizes)].astype(np.int64), self.rows[at],
            self.t[at], self.dst[at], self.seen[which],
        )  # fmt: skip


def series_of(sample: Sample, least: int, turn: Turn = WHOLE) -> Series:
    """All series of at least ``least`` packets (to different addresses), by source and port; of the sources with so
    many packets those whose ``turn`` it is."""
    source = sample.of_row.astype(np.int64)
    port = sample.columns["dst_port"].astype(np.int64)
    enough = np.zeros(len(sample.src), np.bool_)
    enough[turn.mine(np.flatnonzero(np.diff(sample.starts) >= least))] = True
    rows = np.flatnonzero(enough[source])
    single = _single_port(source[rows], port[rows], len(sample.src))
    by_port = (source[rows] << 17) | port[rows]
    mixed = rows[~single[source[rows]]]
    all_ports = (source[mixed] << 17) | 0x10000
    key = np.r_[by_port, all_ports]
    rows = np.r_[rows, mixed]
    key, rows, seen = _at_least(key, rows, least)
    key, rows = _usual_header(key, rows, sample)
    key, rows = _first_visits(key, rows, sample)
    key, rows, _ = _at_least(key, rows, least)
    ts = sample.columns["ts"][rows]
    order = np.lexsort((rows, ts, key))
    key, rows, ts = key[order], rows[order], ts[order]
    names, starts = np.unique(key, return_index=True)
    number = names & 0x1FFFF
    first = int(ts.min()) if len(ts) else 0
    series = Series(
        source=names >> 17,
        port=np.where(number == 0x10000, ALL_PORTS, number),
        starts=np.r_[starts, len(key)].astype(np.int64),
        rows=rows,
        t=(ts - first) / 1e9,
        dst=sample.columns["dst"][rows].astype(np.uint32),
        seen=np.array([seen[int(name)] for name in names], np.int64),
    )
    return series if len(series) == 0 or int(series.sizes.max()) <= MOST_ROWS else _cut(series)


def _cut(series: Series) -> Series:
    sizes = np.minimum(series.sizes, MOST_ROWS)
    at = _ranges(series.starts[:-1], sizes)
    starts = np.r_[0, np.cumsum(sizes)].astype(np.int64)
    return Series(
        series.source, series.port, starts, series.rows[at], series.t[at], series.dst[at], series.seen
    )


def _ranges(starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    ends = np.cumsum(sizes)
    made: np.ndarray = np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(
        starts - (ends - sizes), sizes
    )
    return made


def _single_port(source: np.ndarray, port: np.ndarray, sources: int) -> np.ndarray:
    """Whether all rows of a source have one port (bool per source)."""
    low, high = np.full(sources, 1 << 16), np.full(sources, -1)
    np.minimum.at(low, source, port)
    np.maximum.at(high, source, port)
    same: np.ndarray = low >= high
    return same


def _at_least(key: np.ndarray, rows: np.ndarray, least: int) -> tuple[np.ndarray, np.ndarray, dict[int, int]]:
    names, group, counts = np.unique(key, return_inverse=True, return_counts=True)
    kept = counts[group] >= least
    seen = {int(names[i]): int(counts[i]) for i in np.flatnonzero(counts >= least)}
    return key[kept], rows[kept], seen


def _usual_header(key: np.ndarray, rows: np.ndarray, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    columns = sample.columns
    header = (
        (columns["ttl"][rows].astype(np.int64) << 32)
        | (columns["ip_len"][rows].astype(np.int64) << 16)
        | columns["tcp_window"][rows].astype(np.int64)
    )
    order = np.lexsort((header, key))
    key, rows, header = key[order], rows[order], header[order]
    if not len(key):
        return key, rows
    new = np.r_[True, (key[1:] != key[:-1]) | (header[1:] != header[:-1])]
    run = np.cumsum(new) - 1
    lengths = np.bincount(run)
    _, group = np.unique(key, return_inverse=True)
    total = np.bincount(group)
    longest = np.zeros(len(total), np.int64)
    np.maximum.at(longest, group, lengths[run])
    kept = (longest[group] * 2 < total[group]) | (lengths[run] == longest[group])
    return key[kept], rows[kept]


def _first_visits(key: np.ndarray, rows: np.ndarray, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    dst, ts = sample.columns["dst"][rows], sample.columns["ts"][rows]
    order = np.lexsort((rows, ts, dst, key))
    key, rows, dst = key[order], rows[order], dst[order]
    if not len(key):
        return key, rows
    new = np.r_[True, (key[1:] != key[:-1]) | (dst[1:] != dst[:-1])]
    return key[new], rows[new]
