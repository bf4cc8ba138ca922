"""Scores of URLs by a linear model over hashed features (``sketch.ngrams``), and what a score means.

The score is a log-odds ``z``: the sum over four groups of features of their weights, divided by the square root of
the group's size. What it means is in the model beside the weights: Platt's map to a probability (1999; one for bare
hosts, one for URLs with a path), and how often URLs of phishing and of harmless sites reach a score, both on domains
and days that the weights have not seen. ``evidence`` is the logarithm of the ratio of the two. How it was trained:
``andon.learn``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pyarrow as pa
from numba import njit

from andon.records.model import Model
from andon.sketch.ngrams import GROUPS, PLACES, ROOM, described, features, rule_table

BARE, WITH_PATH = 0, 1
KIND: Final = "url"
_NEEDED: Final = ("weights", "scale", "factors", "suffixes", "platt", "grid", "phish", "benign", "alarm")


@njit(cache=True, nogil=True)
def _scores(
    data: np.ndarray,
    ends: np.ndarray,
    codes: np.ndarray,
    more: np.ndarray,
    stops: np.ndarray,
    wanted: np.ndarray,
    rules: np.ndarray,
    weights: np.ndarray,
    factors: np.ndarray,
    out: np.ndarray,
) -> None:
    """``out[i]`` = z of the URL with host number ``codes[k]`` and path number k, k = ``wanted[i]``."""
    text = np.zeros(512, np.uint8)
    found = np.empty(ROOM, np.uint32)
    parts = np.empty(GROUPS, np.int64)
    for i in range(wanted.shape[0]):
        k = wanted[i]
        h = codes[k]
        features(data, ends[h], ends[h + 1], more, stops[k], stops[k + 1], rules, text, found, parts)
        begin, z = 0, 0.0
        for group in range(GROUPS):
            end = parts[group]
            if end > begin:
                total = np.int64(0)
                for at in range(begin, end):
                    total += weights[found[at]]
                z += total * factors[group] / np.sqrt(np.float64(end - begin))
            begin = end
        out[i] = z


@njit(cache=True, nogil=True)
def _one(data: np.ndarray, more: np.ndarray, rules: np.ndarray, out: np.ndarray, parts: np.ndarray) -> None:
    features(data, 0, len(data), more, 0, len(more), rules, np.zeros(512, np.uint8), out, parts)


def text_buffers(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """(bytes, offsets int32) of ``pa.string``; a null is as "".

    >>> data, offsets = text_buffers(pa.array(["ab", "c"]))
    >>> bytes(data[offsets[0] : offsets[2]]), offsets.tolist()
    (b'abc', [0, 2, 3])
    """
    texts = texts.fill_null("") if texts.null_count else texts
    if not len(texts):
        return np.zeros(1, np.uint8), np.zeros(1, np.int32)
    _, offsets, data = texts.buffers()
    held = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8)
    return held, np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]


@dataclass(frozen=True)
class Reason:
    """A feature of a URL and what it adds to z."""

    feature: str
    weight: float


class UrlScorer:
    """A model of kind "url" made ready.

    Raises ValueError for arrays that are not of the shapes that ``andon.learn.url`` writes."""

    def __init__(self, model: Model) -> None:
        missing = [name for name in _NEEDED if name not in model.arrays]
        if model.kind != KIND or missing:
            raise ValueError(f"not a model of URLs: {model.kind}, without {', '.join(missing) or 'nothing'}")
        held = model.arrays
        if held["weights"].shape != (PLACES,) or held["weights"].dtype != np.int8:
            raise ValueError(f"a model of URLs has {PLACES:,} 8-bit weights, not {held['weights'].shape}")
        if held["factors"].shape != (GROUPS,) or held["platt"].shape != (2, 2) or held["alarm"].shape != (2,):
            raise ValueError(
                "the factors, calibration or threshold of this model of URLs have the wrong shape"
            )
        if not held["grid"].shape == held["phish"].shape == held["benign"].shape or len(held["grid"]) != 2:
            raise ValueError("the tails of this model of URLs have the wrong shape")
        self.model = model
        self._weights = np.ascontiguousarray(held["weights"])
        self._factors = held["factors"].astype(np.float64) * float(held["scale"][0])
        self._rules = rule_table(held["suffixes"])
        self._platt = held["platt"].astype(np.float64)
        self._grid, self._phish, self._benign = (
            held[name].astype(np.float64) for name in ("grid", "phish", "benign")
        )
        self.alarm = held["alarm"].astype(np.float64)

    def scores(
        self, hosts: pa.Array, paths: pa.Array | None = None, rows: np.ndarray | None = None
    ) -> np.ndarray:
        """z of each URL (float64). ``hosts``: ``pa.string`` or dictionary of it; ``paths``: from "/" on, "" or None
        where only the host is known; ``rows``: only these."""
        if pa.types.is_dictionary(hosts.type):
            codes = hosts.indices.to_numpy(zero_copy_only=False).astype(np.int32, copy=False)
            names = hosts.dictionary
        else:
            codes, names = np.arange(len(hosts), dtype=np.int32), hosts
        data, ends = text_buffers(names)
        more, stops = (
            (np.zeros(1, np.uint8), np.zeros(len(hosts) + 1, np.int32))
            if paths is None
            else text_buffers(paths)
        )
        wanted = np.arange(len(hosts)) if rows is None else rows.astype(np.int64, copy=False)
        out = np.empty(len(wanted))
        if len(wanted):
            _scores(data, ends, codes, more, stops, wanted, self._rules, self._weights, self._factors, out)
        return out

    def probability(self, z: np.ndarray, kinds: np.ndarray) -> np.ndarray:
        """Chance of phishing where both classes are as frequent; ``kinds``: BARE or WITH_PATH of each."""
        slope, offset = self._platt[kinds, 0], self._platt[kinds, 1]
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(slope * z + offset, -700, 700))))

    def tails(self, z: np.ndarray, kinds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(share of phishing URLs, share of harmless URLs) that reach each score."""
        found = np.empty((2, len(z)))
        for kind in (BARE, WITH_PATH):
            own = kinds == kind
            for at, curve in enumerate((self._phish, self._benign)):
                found[at, own] = np.exp(np.interp(z[own], self._grid[kind], np.log(curve[kind])))
        return found[0], found[1]

    def rarity(self, z: np.ndarray, kinds: np.ndarray) -> np.ndarray:
        """How rare a score is among harmless URLs of its kind: minus the logarithm of the share that reaches it."""
        return np.asarray(-np.log(self.tails(z, kinds)[1]))

    def score_of(self, rarity: np.ndarray, kinds: np.ndarray) -> np.ndarray:
        """The score that has this rarity: ``rarity`` the other way round."""
        out = np.empty(len(rarity))
        for kind in (BARE, WITH_PATH):
            own = kinds == kind
            rising = -np.log(self._benign[kind])
            # The last score of a level is the one to find where the share does not change.
            first = np.r_[True, np.diff(rising) > 1e-12]
            out[own] = np.interp(rarity[own], rising[first], self._grid[kind][first])
        return out

    def explain(self, host: str, path: str = "", most: int = 8) -> list[Reason]:
        """The features that add most to the score, whichever way."""
        out, parts = np.empty(ROOM, np.uint32), np.empty(GROUPS, np.int64)
        data, more = (np.frombuffer(text.encode(), np.uint8) for text in (host, path))
        _one(data, more, self._rules, out, parts)
        names = described(host, path)
        added = np.empty(int(parts[-1]))
        begin = 0
        for group, end in enumerate(parts.tolist()):
            if end > begin:
                share = self._factors[group] / np.sqrt(end - begin)
                added[begin:end] = self._weights[out[begin:end]] * share
            begin = end
        total: dict[str, float] = {}
        for name, weight in zip(names, added.tolist(), strict=True):
            total[name] = total.get(name, 0.0) + weight
        ranked = sorted(total.items(), key=lambda item: (-abs(item[1]), item[0]))
        return [Reason(name, round(weight, 3)) for name, weight in ranked[:most]]

    @cached_property
    def version(self) -> str:
        return str(self.model.card.get("version", ""))
