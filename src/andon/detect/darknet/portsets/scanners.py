"""The rows of a span as arrays: who scanned which ports how often, and which sources are looked at for families."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from andon.detect.darknet.portsets.kernel import FIRST, FREE, LAST, PACKETS, PORTS, TARGETS, code_of_order
from andon.detect.darknet.portsets.summary import Scans
from andon.sketch.hashing import mix64_array

_SET_SALT = np.uint64(0x706F727473657473)


@dataclass(frozen=True)
class Scanners:
    """Sources, ascending by address; the codes (port, plus 65,536 for UDP) of source i are
    ``codes[begin[i]:begin[i + 1]]``, ascending, with ``counts`` packets each.

    ``sweeps``: more than 16 ports, of which 16 are here. ``one_target``: all packets went to one dark address."""

    address: np.ndarray  # uint32
    packets: np.ndarray  # int64
    first: np.ndarray  # int64 ns
    last: np.ndarray  # int64 ns
    one_target: np.ndarray  # bool
    sweeps: np.ndarray  # bool
    begin: np.ndarray  # int64, one longer
    codes: np.ndarray  # int64
    counts: np.ndarray  # int64

    def __len__(self) -> int:
        return len(self.address)

    @cached_property
    def sizes(self) -> np.ndarray:
        """Number of ports of each source."""
        return np.diff(self.begin)

    @cached_property
    def owner(self) -> np.ndarray:
        """Index of the source of each entry of ``codes``."""
        return np.repeat(np.arange(len(self)), self.sizes)

    def only(self, keep: np.ndarray) -> Scanners:
        """Those of a mask over sources."""
        return self.take(np.flatnonzero(keep))

    def take(self, rows: np.ndarray) -> Scanners:
        """Those at these places, ascending. Costs as much as they are, not as all sources."""
        sizes = self.sizes[rows]
        begin = np.r_[0, np.cumsum(sizes)]
        entries = np.arange(begin[-1]) + np.repeat(self.begin[rows] - begin[:-1], sizes)
        return Scanners(
            address=self.address[rows],
            packets=self.packets[rows],
            first=self.first[rows],
            last=self.last[rows],
            one_target=self.one_target[rows],
            sweeps=self.sweeps[rows],
            begin=begin,
            codes=self.codes[entries],
            counts=self.counts[entries],
        )

    @cached_property
    def _by_code(self) -> tuple[np.ndarray, np.ndarray]:
        """Codes in ascending order, and the source of each, ascending too."""
        order = np.argsort(self.codes, kind="stable")
        return self.codes[order], self.owner[order]

    def holders(self, codes: Sequence[int]) -> np.ndarray:
        """Places of the sources that have all these codes, ascending."""
        ordered, owner = self._by_code
        ends = zip(np.searchsorted(ordered, codes), np.searchsorted(ordered, codes, "right"), strict=True)
        found, *others = (owner[a:b] for a, b in ends)
        for other in others:
            found = np.intersect1d(found, other, assume_unique=True)
        return found

    def networks(self) -> np.ndarray:
        """/24 network of each source, as int64."""
        return (self.address >> np.uint32(8)).astype(np.int64)

    def set_hash(self) -> np.ndarray:
        """uint64 for each source: equal for equal sets of ports."""
        return _sums(mix64_array(self.codes.astype(np.uint64), _SET_SALT), self.begin)


def set_hash(codes: tuple[int, ...]) -> int:
    """As ``Scanners.set_hash``, of one set."""
    words = mix64_array(np.array(codes, np.uint64), _SET_SALT)
    return int(np.add.reduce(words, dtype=np.uint64))


def _sums(words: np.ndarray, begin: np.ndarray) -> np.ndarray:
    """Sum of each source's words modulo 2^64; every source has one at least."""
    if not len(words):
        return np.zeros(len(begin) - 1, np.uint64)
    return np.add.reduceat(words, begin[:-1])


def scanners(scans: Scans) -> Scanners:
    """Decode a summary."""
    keys, columns = scans.rows.table()
    head, words = columns["head"], columns["ports"]
    if not len(keys):
        none = np.zeros(0, np.int64)
        empty = np.zeros(0, np.bool_)
        return Scanners(
            keys.astype(np.uint32), none, none, none, empty, empty, np.zeros(1, np.int64), none, none
        )
    used = words != FREE
    owner = np.repeat(np.arange(len(keys)), PORTS).reshape(words.shape)[used]
    word = words[used]
    codes = code_of_order()[(word >> np.uint64(40)).astype(np.int64)]
    counts = (word & np.uint64((1 << 40) - 1)).astype(np.int64)
    order = np.lexsort((codes, owner))
    codes, counts = codes[order], counts[order]
    begin = np.r_[0, np.cumsum(used.sum(axis=1))]
    packets = head[:, PACKETS].astype(np.int64)
    targets = head[:, TARGETS]
    return Scanners(
        address=keys.astype(np.uint32),
        packets=packets,
        first=head[:, FIRST].astype(np.int64),
        last=head[:, LAST].astype(np.int64),
        one_target=(targets >> np.uint64(32)) == (targets & np.uint64(0xFFFFFFFF)),
        sweeps=np.add.reduceat(counts, begin[:-1]) < packets,
        begin=begin,
        codes=codes,
        counts=counts,
    )


def distinct(groups: np.ndarray, networks: np.ndarray, size: int) -> np.ndarray:
    """int64[size]: distinct networks in each group; ``groups`` (int64 below ``size``) and ``networks`` (/24) run
    side by side."""
    pairs = np.unique(groups << 24 | networks)
    return np.bincount(pairs >> 24, minlength=size)
