"""Logistic regression over hashed features by AdaGrad with averaged weights, one URL at a time.

Step sizes by feature are Duchi, Hazan and Singer's (JMLR 2011), the average of all iterates is Polyak and Juditsky's
(1992), kept up lazily (Xu, arXiv 1107.2490): beside each weight stands the sum of its steps times when they were
taken. Nothing is random: the order of an epoch is a keyed hash of the rows' numbers; so equal data give equal bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numba import njit

from andon.sketch.hashing import mix64_array
from andon.sketch.ngrams import GROUPS, PLACES, ROOM, features
from andon.sketch.urlscore import text_buffers

FACTORS: Final = (1.0, 1.0, 1.0, 1.5)  # how much a group counts: host, path, words, shape
EPOCHS: Final = 4
RATE: Final = 0.3
FIRST: Final = 0.01  # what the squared gradients of a feature begin with


@njit(cache=True, nogil=True)
def _bags(
    data: np.ndarray,
    ends: np.ndarray,
    more: np.ndarray,
    stops: np.ndarray,
    rules: np.ndarray,
    found: np.ndarray,
    parts: np.ndarray,
) -> int:
    """All features into ``found`` (if it is long enough), ends of the groups into ``parts``; gives their number."""
    text = np.zeros(512, np.uint8)
    out = np.empty(ROOM, np.uint32)
    own = np.empty(GROUPS, np.int64)
    at = 0
    for i in range(parts.shape[0]):
        features(data, ends[i], ends[i + 1], more, stops[i], stops[i + 1], rules, text, out, own)
        size = own[GROUPS - 1]
        if at + size <= found.shape[0]:
            found[at : at + size] = out[:size]
        for group in range(GROUPS):
            parts[i, group] = at + own[group]
        at += size
    return at


@dataclass(frozen=True)
class Bags:
    """``found``: places of the features of all URLs, one after another; ``parts[i, g]``: end of group g of URL i."""

    found: np.ndarray
    parts: np.ndarray


def bags(hosts: pa.Array, paths: pa.Array, rules: np.ndarray) -> Bags:
    """Features of URLs (``pa.string``); ``rules`` as ``ngrams.rule_table`` gives them."""
    parts = np.empty((len(hosts), GROUPS), np.int64)
    data, ends = text_buffers(hosts)
    more, stops = text_buffers(paths)
    size = _bags(data, ends, more, stops, rules, np.empty(0, np.uint32), parts)
    found = np.empty(size, np.uint32)
    _bags(data, ends, more, stops, rules, found, parts)
    return Bags(found, parts)


@njit(cache=True, nogil=True)
def _epoch(
    found: np.ndarray,
    parts: np.ndarray,
    label: np.ndarray,
    weight: np.ndarray,
    order: np.ndarray,
    factors: np.ndarray,
    rate: float,
    w: np.ndarray,
    drift: np.ndarray,
    squares: np.ndarray,
    taken: int,
) -> int:
    for k in range(order.shape[0]):
        i = order[k]
        begin = parts[i - 1, -1] if i else 0
        z, b = 0.0, begin
        for group in range(parts.shape[1]):
            end = parts[i, group]
            if end > b:
                total = 0.0
                for at in range(b, end):
                    total += w[found[at]]
                z += total * factors[group] / np.sqrt(np.float64(end - b))
            b = end
        gradient = (1.0 / (1.0 + np.exp(-z)) - label[i]) * weight[i]
        taken += 1
        b = begin
        for group in range(parts.shape[1]):
            end = parts[i, group]
            if end > b:
                step = gradient * factors[group] / np.sqrt(np.float64(end - b))
                for at in range(b, end):
                    place = found[at]
                    squares[place] += np.float32(step * step)
                    change = np.float32(rate * step / np.sqrt(np.float64(squares[place])))
                    w[place] -= change
                    drift[place] += np.float64(taken) * change
            b = end
    return taken


def fit(bag: Bags, label: np.ndarray, weight: np.ndarray, seed: int = 1, epochs: int = EPOCHS) -> np.ndarray:
    """Averaged weights, float32 (PLACES,). ``weight``: how much a row counts (1 = as one)."""
    w, squares = np.zeros(PLACES, np.float32), np.full(PLACES, FIRST, np.float32)
    drift = np.zeros(PLACES, np.float64)
    taken = 0
    numbers = np.arange(len(label), dtype=np.uint64)
    for epoch in range(epochs):
        order = np.argsort(mix64_array(numbers, np.uint64(seed * 1_000_003 + epoch)), kind="stable")
        taken = _epoch(
            bag.found, bag.parts, label.astype(np.float64), weight, order, np.array(FACTORS), RATE, w, drift, squares,
            taken,
        )  # fmt: skip
    return np.asarray(w + (drift / max(taken, 1)).astype(np.float32))


def quantised(w: np.ndarray) -> tuple[np.ndarray, float]:
    """(8-bit weights, what one step of them is worth). The few largest weights are cut to the range of the others."""
    used = np.abs(w[w != 0])
    scale = float(np.quantile(used, 0.9999)) / 127 if len(used) else 1.0
    return np.rint(np.clip(w / scale, -127, 127)).astype(np.int8), scale
