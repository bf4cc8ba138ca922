"""Fitness of a feature: how many sources share a value, against how many share the ordinary ones.

The relative-frequency statistic of the published slides: a fingerprint is a pair (function f, value v) that many
different sources show, where "many" is measured neither by an absolute share nor by the distance to the next value
but by the level near the minimum. With h(v) = distinct sources that have f = v in at most ``per_source`` of their
packets, the level b is the mean of h over the lowest 90 % of the observed values, and the fitness -log2 of the Poisson
probability that an ordinary value reaches h(v). (The exact published formula is not public; this one satisfies the
three published cases.)

What the slides do not say and a search needs are guards against functions that take one value whatever the packet
holds (AND-chains, shifts); see ``Guards``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from andon.records.expression.ast import Field, Value, fields_of, walk
from andon.records.expression.chance import DEFAULTED, ZERO_BY_DEFAULT
from andon.records.expression.evaluate import execute
from andon.records.expression.fields import FIELDS
from andon.records.expression.machine import COLUMNS
from andon.records.expression.program import compile_value

from .sample import Sample

# A value in one of these alone is a default, a service or a place on the network, not a scanner's mark.
_NO_MARK = DEFAULTED | {"ip.src", "ip.dst"}
_TOP = 8  # most frequent values that are looked at


@dataclass(frozen=True)
class Guards:
    """What a feature must be besides frequent; ``Guards.none()`` is the published search as far as it is known.

    ``least_values``: f takes at least so many values in the sample. ``minimal``: no word of f is constant on more
    than 80 % of the sources that match (then the word is the feature, not f). ``permuted``: h(v) is also held against
    its count after every column was shuffled by itself, which is what f = v does without any relation; for a function
    of one field, after the column was drawn uniformly.
    ``defaults``: a function of one field that systems or services fill by default, or of one address, is no feature.
    """

    least_values: int = 2000
    minimal: bool = True
    permuted: bool = True
    defaults: bool = True

    @classmethod
    def none(cls) -> Guards:
        """No guard at all."""
        return cls(1, False, False, False)


@dataclass(frozen=True)
class Feature:
    """``sources`` distinct sources show ``value``; ordinary values are shown by ``level``. ``bits`` is -log2 of the
    chance of that, 0 for a feature that is ruled out."""

    value: int
    sources: int
    level: float
    bits: float
    values: int

    @property
    def ratio(self) -> float:
        """Frequency relative to the near-minimum level."""
        return self.sources / self.level if self.level else 0.0


NOTHING = Feature(0, 0, 0.0, 0.0, 0)


def poisson_bits(h: float, level: float) -> float:
    """-log2 P(X >= h) for X ~ Poisson(level), by the Chernoff bound (at most a few bits too low); 0 below the level.

    >>> round(poisson_bits(20, 1.0))
    59
    """
    if h <= level or level <= 0:
        return 0.0
    return (h * math.log(h / level) - h + level) / math.log(2)


def near_minimum(counts: np.ndarray) -> float:
    """Mean of the lowest 90 % of the counts (sources per observed value): float64, 0 for none."""
    kept = np.sort(counts)[: max(1, math.floor(len(counts) * 0.9))]
    return float(kept.mean()) if len(counts) else 0.0


@njit(cache=True, nogil=True)
def tally(values, starts, keys, counts, top_values, top_counts):  # type: ignore[no-untyped-def]
    """Distinct sources per value. ``values``: uint32, rows of source i at ``starts[i]:starts[i+1]``; ``keys`` and
    ``counts``: a hash table, power of two, counts zeroed. Fills the most frequent values; returns (values, level)."""
    mask = np.int64(len(keys) - 1)
    distinct = np.int64(0)
    for s in range(len(starts) - 1):
        for i in range(starts[s], starts[s + 1]):
            v = values[i]
            seen = False
            for j in range(starts[s], i):
                if values[j] == v:
                    seen = True
                    break
            if seen:
                continue
            at = np.int64((np.uint64(v) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)) & mask
            while counts[at] > 0 and keys[at] != v:
                at = (at + 1) & mask
            if counts[at] == 0:
                keys[at] = v
                distinct += 1
            counts[at] += 1
    # The lowest 90 % of the values: count them by frequency; what is beyond the last class is in the top tenth or
    # enters with the class's own mean.
    classes = np.zeros(256, np.int64)
    above = np.int64(0)
    above_sum = np.int64(0)
    for slot in range(len(keys)):
        c = counts[slot]
        if c == 0:
            continue
        if c < 256:
            classes[c] += 1
        else:
            above += 1
            above_sum += c
        if c > top_counts[-1] or (c == top_counts[-1] and keys[slot] < top_values[-1]):
            k = len(top_counts) - 1
            while k > 0 and (
                c > top_counts[k - 1] or (c == top_counts[k - 1] and keys[slot] < top_values[k - 1])
            ):
                top_counts[k] = top_counts[k - 1]
                top_values[k] = top_values[k - 1]
                k -= 1
            top_counts[k] = c
            top_values[k] = keys[slot]
    wanted = max(np.int64(1), distinct * 9 // 10)
    left: Any = wanted
    total = 0.0
    for c in range(1, 256):
        taken = min(left, classes[c])
        total += c * taken
        left -= taken
    if left > 0 and above > 0:
        total += left * (above_sum / above)
    return distinct, total / wanted


@njit(cache=True, nogil=True)
def sharing(values, starts, value):  # type: ignore[no-untyped-def]
    """How many sources have the value in at least one row."""
    found = 0
    for s in range(len(starts) - 1):
        for i in range(starts[s], starts[s + 1]):
            if values[i] == value:
                found += 1
                break
    return found


def uniform_columns(rows: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Every column that an expression may load, uniformly drawn in its wire type."""
    return {
        name: rng.integers(0, np.iinfo(kind).max, rows, dtype=kind, endpoint=True) for name, kind in COLUMNS
    }


class Pool:
    """The packets on which features are judged: at most ``per_source`` rows of each source that is left, of at most
    ``rows`` in all, and the same rows with every column shuffled by itself."""

    def __init__(
        self, sample: Sample, left: np.ndarray, per_source: int, rows: int, guards: Guards, seed: int
    ) -> None:
        sources = np.flatnonzero(left)
        most = max(1, rows // per_source)
        if len(sources) > most:
            sources = sources[np.linspace(0, len(sources) - 1, most).astype(np.int64)]
        sizes = np.minimum(np.diff(sample.starts)[sources], per_source)
        self.starts = np.r_[0, np.cumsum(sizes)].astype(np.int64)
        at = np.repeat(sample.starts[sources] - self.starts[:-1], sizes) + np.arange(self.starts[-1])
        self.columns: dict[str, np.ndarray] = {
            info.column: np.ascontiguousarray(sample.columns[info.column][at])
            for info in FIELDS.values()
            if info.column in sample.columns
        }
        self.columns["src"] = np.repeat(sample.src[sources], sizes)
        rng = np.random.default_rng([seed, 77])
        self.shuffled = {name: rng.permutation(values) for name, values in self.columns.items()}
        self.uniform = uniform_columns(len(at), rng)
        self.sources = len(sources)
        self.guards = guards
        self.evaluations = 0
        size = 1 << max(4, int(2 * max(len(at), 1) - 1).bit_length())
        self._keys, self._counts = np.zeros(size, np.uint32), np.zeros(size, np.int32)

    def feature(self, tree: Value) -> Feature:
        """The most surprising value of a function."""
        names = fields_of(tree)
        guards = self.guards
        if not names or not self.sources:
            return NOTHING
        if guards.defaults and len(names) == 1 and names <= _NO_MARK:
            return NOTHING
        self.evaluations += 1
        code = compile_value(tree)
        values = self._values(code, self.columns)
        self._counts[:] = 0
        top = np.zeros(_TOP, np.uint32), np.zeros(_TOP, np.int32)
        distinct, level = tally(values, self.starts, self._keys, self._counts, *top)
        if distinct < guards.least_values:
            return NOTHING
        best = Feature(0, 0, level, 0.0, int(distinct))
        shuffled: np.ndarray | None = None
        for value, sources in zip(top[0].tolist(), top[1].tolist(), strict=True):
            if poisson_bits(sources, level) <= best.bits:
                break
            if self._is_default(tree, value) or (
                guards.minimal and self._constant_word(tree, values == np.uint32(value))
            ):
                continue
            expected = level
            if guards.permuted:
                if shuffled is None:
                    shuffled = self._values(code, self.shuffled if len(names) > 1 else self.uniform)
                expected = max(level, float(sharing(shuffled, self.starts, np.uint32(value))))
            bits = poisson_bits(sources, expected)
            if bits > best.bits:
                best = Feature(value, sources, expected, bits, int(distinct))
        return best

    def _values(self, code, columns: Mapping[str, np.ndarray]) -> np.ndarray:  # type: ignore[no-untyped-def]
        return execute(code, columns, values=True)[1]

    def _is_default(self, tree: Value, value: int) -> bool:
        if not self.guards.defaults or value:
            return False
        return isinstance(tree, Field) and tree.name in ZERO_BY_DEFAULT

    def _constant_word(self, tree: Value, rows: np.ndarray) -> bool:
        """Whether a word of a composed function is nearly constant where the function has its value."""
        if isinstance(tree, Field):
            return False
        matching = np.flatnonzero(rows)
        for node in walk(tree):
            if isinstance(node, Field):
                column = self.columns[node.info.column][matching]
                # A value that more than half share is the median.
                if np.mean(column == np.sort(column)[len(column) // 2]) > 0.8:
                    return True
        return False
