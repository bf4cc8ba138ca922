"""The hours before: what sources of the last hours scanned, so that an alarm need not wait for one hour to show it all.

A bot that a small telescope hears once an hour shows one port an hour. The alarm therefore looks at the last six hours
together, this one included, or at as many of them as fit into ``MOST`` (source, port) entries; on a large telescope,
where an hour has more than that, at this hour alone. Surveys and sweepers are not kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np

from andon.detect.darknet.portsets.kernel import PORTS
from andon.detect.darknet.portsets.scanners import Scanners

MOST = 200_000
_HOURS = 6
_HOUR = 3_600_000_000_000


@dataclass(frozen=True)
class Recent:
    """Entries (source, port), by hour: start of the hour (ns), address, code, packets; first and last time of the
    source, and whether it sent to one dark address only."""

    hour: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    address: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint32))
    code: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    count: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    first: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    last: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    one_target: np.ndarray = field(default_factory=lambda: np.zeros(0, np.bool_))

    def columns(self) -> tuple[np.ndarray, ...]:
        """All columns, in the order of ``COLUMNS``."""
        return tuple(getattr(self, name) for name in COLUMNS)

    def hours(self) -> int:
        """How many hours are here."""
        return len(np.unique(self.hour))

    def with_hour(self, scanners: Scanners, left_out: np.ndarray, start: int) -> Recent:
        """These hours and this one, as many as fit, newest first; ``left_out`` (bool): sources not to keep."""
        some = scanners.only(~left_out & ~scanners.sweeps)
        owner = some.owner
        new = (
            np.full(len(owner), start), some.address[owner], some.codes, some.counts, some.first[owner],
            some.last[owner], some.one_target[owner],
        )  # fmt: skip
        young = self.hour > start - _HOURS * _HOUR
        every = [np.concatenate([a[young], b]) for a, b in zip(self.columns(), new, strict=True)]
        hours, sizes = np.unique(every[0], return_counts=True)
        fit = hours[::-1][np.cumsum(sizes[::-1]) <= MOST]
        keep = np.isin(every[0], fit)
        return Recent(*(column[keep] for column in every))

    def before(self, scanners: Scanners, start: int) -> Scanners:
        """The sources of this hour with what the kept hours before it knew, and the others of these."""
        young = (self.hour > start - _HOURS * _HOUR) & (self.hour < start)
        if not young.any():
            return scanners
        owner = scanners.owner
        _, address, code, count, first, last, one = (column[young] for column in self.columns())
        keys = np.concatenate([scanners.address[owner].astype(np.int64), address.astype(np.int64)]) << 17
        keys |= np.concatenate([scanners.codes, code])
        pairs, place = np.unique(keys, return_inverse=True)
        counts = np.zeros(len(pairs), np.int64)
        np.add.at(counts, place, np.concatenate([scanners.counts, count]))
        sources, begin, sizes = np.unique(pairs >> 17, return_index=True, return_counts=True)
        of = np.searchsorted(sources, keys >> 17)
        packets = np.zeros(len(sources), np.int64)
        np.add.at(packets, np.searchsorted(sources, pairs >> 17), counts)
        begins, ends = np.full(len(sources), np.iinfo(np.int64).max), np.zeros(len(sources), np.int64)
        np.minimum.at(begins, of, np.concatenate([scanners.first[owner], first]))
        np.maximum.at(ends, of, np.concatenate([scanners.last[owner], last]))
        wide, times = np.zeros(len(sources), np.bool_), np.zeros(len(sources), np.int64)
        np.logical_or.at(wide, of, ~np.concatenate([scanners.one_target[owner], one]))
        now = np.searchsorted(sources, scanners.address)
        times[now] = 1
        np.add.at(times, np.unique(np.searchsorted(sources, address)), 1)
        sweeps = sizes > PORTS
        sweeps[now] |= scanners.sweeps
        # Of more than 16 ports the rest is cut off, as in a summary; such a source is not looked at.
        keep = np.arange(len(pairs)) - np.repeat(begin, sizes) < PORTS
        sizes = np.minimum(sizes, PORTS)
        return Scanners(
            address=sources.astype(np.uint32),
            packets=packets,
            first=begins,
            last=ends,
            one_target=~wide & (times < 2),
            sweeps=sweeps,
            begin=np.r_[0, np.cumsum(sizes)],
            codes=pairs[keep] & 0x1FFFF,
            counts=counts[keep],
        )


COLUMNS = tuple(one.name for one in fields(Recent))
