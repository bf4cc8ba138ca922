"""What a day is made of without any campaign: how many sources of a header class usually show a port, tool or /24.

A telescope has standing populations: whoever runs one scanner against one service looks like a group and is none, and
crosses any threshold now and then. So a group is a birth only if it is new in time as well: its ports (its tool, its
/24) are shown by more sources than on the days before, by half of the group or more. Means forget with a half-life of
a week; cells below a third of a source a day are dropped, and so are the smallest beyond a hundred thousand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from andon.detect.darknet.campaigns.mixture import deviance
from andon.detect.darknet.campaigns.profile import Profiles
from andon.sketch.hashing import mix64_array

_FORGET = 0.1  # weight of a new day once ten are known
_LEAST_MEAN, _MOST = 0.34, 100_000
_LABEL_AT, _ALL = 0x10000, 0x1FFFF  # codes in a cell: ports below, then hashes of labels; all of the class
_BLOCK, _HEADER = 1 << 62, 1 << 61
_EXCESS, _NOVEL_DEVIANCE, _NOVEL_SHARE = 0.5, 15.0, 0.25
_SWAYS = 0.24  # relative excess that numbers of sources have by themselves: three times eight per cent
_OF_EXCESS = 0.25
_IN_BLOCK = 0.6  # share of a group in one /24
MOST_KEYS, _KEY_SHARE = (
    4,
    0.1,
)  # ports that stand for a group: at most so many, each with so much of its packets


@dataclass(frozen=True)
class Usual:
    """Mean sources a day by cell (class << 17 | code, or a /24), ascending: ``means`` of all, ``rest`` of those that no
    campaign explains."""

    cells: np.ndarray  # int64
    means: np.ndarray  # float64
    rest: np.ndarray  # float64

    @classmethod
    def empty(cls) -> Self:
        return cls(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))

    def of(self, cells: np.ndarray, values: np.ndarray | None = None) -> np.ndarray:
        """Means of cells (or of ``values``); 0 where nothing is known."""
        if not len(self.cells):
            return np.zeros(len(cells))
        at = np.minimum(np.searchsorted(self.cells, cells), len(self.cells) - 1)
        found = (self.means if values is None else values)[at]
        return np.asarray(np.where(self.cells[at] == cells, found, 0.0))

    def seen(self, klass: int, codes: np.ndarray) -> np.ndarray | None:
        """Share of the class's usual sources that show each port, campaigns apart; None if the class is not known."""
        total = float(self.of(np.array([klass << 17 | _ALL]), self.rest)[0])
        if total < 1:
            return None
        return np.asarray((self.of(klass << 17 | codes.astype(np.int64), self.rest) + 0.5) / (total + 1))

    def next_day(self, day: Profiles, explained: np.ndarray, days: int, share: float) -> Usual:
        """With a day more of which a ``share`` was observed; ``explained``: sources of campaigns."""
        rows = np.flatnonzero(day.klass >= 0)
        cells, counts = cells_of(day, rows)
        unexplained, some = cells_of(day, rows[~explained[rows]])
        every = np.union1d(self.cells, cells)
        weight = max(_FORGET, 1.0 / (days + 1))
        means, rest = np.zeros(len(every)), np.zeros(len(every))
        means[np.searchsorted(every, self.cells)] = (1 - weight) * self.means
        rest[np.searchsorted(every, self.cells)] = (1 - weight) * self.rest
        weight /= max(share, 1 / 24)
        means[np.searchsorted(every, cells)] += weight * counts
        rest[np.searchsorted(every, unexplained)] += weight * some
        keep = np.flatnonzero(means >= _LEAST_MEAN)
        if len(keep) > _MOST:
            keep = np.sort(keep[np.lexsort((every[keep], -means[keep]))][:_MOST])
        return Usual(every[keep], means[keep], rest[keep])


def cells_of(day: Profiles, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(cells ascending, sources in each) of some sources; each counts once in a cell."""
    klass = day.klass[rows] << 17
    ports = np.sort(day.ports[rows], axis=1)
    fresh = ports >= 0
    fresh[:, 1:] &= ports[:, 1:] != ports[:, :-1]
    named = day.label[rows] > 0
    parts = [
        (klass[:, None] | ports)[fresh],
        klass | _ALL,
        klass[named] | label_codes(day)[day.label[rows][named]],
        (_HEADER | day.klass[rows][:, None] >> 17 << 17 | ports)[
            fresh
        ],  # windows come and go with who shares them
        _BLOCK | (day.address[rows] >> np.uint32(8)).astype(np.int64),
    ]
    cells, counts = np.unique(np.concatenate(parts), return_counts=True)
    return cells, counts


def keys_of(klass: int, ports: tuple[np.ndarray, np.ndarray], block: int) -> np.ndarray:
    """Cells by which a group can be seen without having been told apart: its /24, or its heaviest ports with its
    header. None for a long list of ports without a /24."""
    if block >= 0:
        return np.array([_BLOCK | block], np.int64)
    codes, shares = ports
    heavy = np.flatnonzero((shares >= _KEY_SHARE) & (codes < _LABEL_AT))
    heavy = heavy[np.lexsort((codes[heavy], -shares[heavy]))][:MOST_KEYS]
    return header_cells(klass, np.sort(codes[heavy]))


def header_cells(klass: int, codes: np.ndarray) -> np.ndarray:
    """Cells of ports with the header of a class, whatever the window."""
    return np.asarray(_HEADER | klass >> 17 << 17 | codes.astype(np.int64))


def label_codes(day: Profiles) -> np.ndarray:
    """A code for each label of the day: a hash of its text, the same every day."""
    keys = np.array(
        [int.from_bytes(name.encode()[:8].ljust(8, b"\0"), "little") for name in day.labels], np.uint64
    )
    lengths = np.array([sum(name.encode()) for name in day.labels], np.uint64)
    hashed = mix64_array(keys, np.uint64(7)) ^ mix64_array(lengths, np.uint64(11))
    return np.asarray(_LABEL_AT + (hashed % np.uint64(0xFFFF)).astype(np.int64))


@dataclass(frozen=True)
class Today:
    """Sources of a day by cell, to be held against what is usual. ``share`` of the day was observed."""

    cells: np.ndarray
    counts: np.ndarray
    share: float

    @classmethod
    def of_day(cls, day: Profiles, share: float) -> Self:
        return cls(*cells_of(day, np.flatnonzero(day.klass >= 0)), share)

    def of(self, cells: np.ndarray) -> np.ndarray:
        """Sources of the day in each of some cells (int64)."""
        if not len(self.cells):
            return np.zeros(len(cells), np.int64)
        at = np.minimum(np.searchsorted(self.cells, cells), len(self.cells) - 1)
        return np.asarray(np.where(self.cells[at] == cells, self.counts[at], 0))

    def is_novel(self, usual: Usual, day: Profiles, klass: int, mine: np.ndarray) -> bool:
        """Whether a group is new in time: its /24, or ports that carry a quarter of its packets, or its tool are shown
        by more sources than usual, the excess is half of the group or more, and the group a quarter of it (of a tool:
        half)."""
        cells, counts = cells_of(day, mine)
        above = self._above(usual, cells, counts)
        in_block = (cells & _BLOCK != 0) & (counts >= _IN_BLOCK * len(mine))
        if in_block.any():
            return bool(above[in_block].any())
        above &= cells >> 17 == klass
        # What more there is has to be this group for a good part: beside a wave of a thousand, ten are not news.
        excess = self.of(cells) - usual.of(cells) * self.share
        codes = cells & _ALL
        new_ports = codes[above & (codes < _LABEL_AT) & (counts >= _OF_EXCESS * excess)]
        drawn = day.ports[mine]
        if np.isin(drawn[drawn >= 0], new_ports).sum() >= _NOVEL_SHARE * (drawn >= 0).sum():
            return True
        label = above & (codes >= _LABEL_AT) & (codes != _ALL) & (counts >= 0.5 * len(mine))
        return bool((label & (counts >= 2 * _OF_EXCESS * excess)).any())

    def _above(self, usual: Usual, cells: np.ndarray, counts: np.ndarray) -> np.ndarray:
        means = usual.of(cells) * self.share + 0.5
        total = self.counts[np.searchsorted(self.cells, cells)]
        clear = (deviance(total, means) >= _NOVEL_DEVIANCE) & (total - means >= _SWAYS * means)
        return np.asarray((total - means >= _EXCESS * counts) & clear)
