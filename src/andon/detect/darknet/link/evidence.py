"""How good a link is: its chance by decoys, its false-discovery rate, the weight of its evidence, its probability.

Weights add up as in record linkage (Fellegi, Sunter, JASA 64, 1969): w = log2(m / u), where m is how often a kind of
agreement is met among true pairs and u among unrelated ones. Here u is what the decoys show, and m what is seen less
what the decoys make up of it:

* address and time: sources that show both, against the same count among decoys within the /24;
* association: how many times more often than independence gives;
* lag: how long after the sighting the session was, in five classes;
* port: whether the set of ports asked for in the darknet holds the honeypot's port.

False discoveries are estimated by target and decoy: links among the decoys of a class (mean of its draws), at least as
good, over links at least as good; the largest of the three classes counts, and as no decoy link in thirty draws is no
proof of none, one in thirty is the least.

The probability is a logistic function of the weight. Its two constants are fitted on simulated scenarios (see
CALIBRATION), never on those a figure is reported for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from andon.detect.darknet.link.associate import Pairings, tail
from andon.detect.darknet.link.decoys import CLASSES, DRAWS
from andon.detect.darknet.link.marks import codes
from andon.detect.darknet.link.versions import TIME, Analysed, Version

SLOPE: Final = 1.3979
INTERCEPT: Final = -6.8251
CALIBRATION: Final = (
    "logistic in the evidence's weight, fitted on eight simulated scenarios (seeds 101 to 108; 749 pairs of a "
    "fingerprint and a token, credential or exploit, of which 368 true; benchmarks/link/planted.py), not on real "
    "traffic"
)
_LAGS: Final = np.array([0, 3600, 6 * 3600, 86400])  # upper ends of the classes; the last is open
LIMIT_FDR: Final = 0.05
LEAST_EFFECT: Final = 1.2
_BETTER: Final = 1e-3
OVER_DECOYS: Final = 3.0  # times as many sources as decoys: else the neighbourhood matches, not the address


@dataclass(frozen=True)
class Judged:
    """Parallel to ``Analysed.target.pairings``. ``decoys`` are sources expected of moved addresses (the largest class),
    ``by_class`` the same for /24, /20, /16 and (NaN if not to be had) another time."""

    decoys: np.ndarray
    by_class: np.ndarray  # (n, 4)
    fdr: np.ndarray
    fdr_time: float  # links at another time over links; NaN if not to be had
    weight: np.ndarray
    probability: np.ndarray
    linked: np.ndarray


def judge(made: Analysed) -> Judged:
    """Judge all pairings of what was seen."""
    target = made.target.pairings
    behaviours = len(made.history.behaviours)
    by_class = np.stack([_sources(made, kind, target, behaviours) for kind in (*CLASSES, TIME)], axis=1)
    moved = np.nan_to_num(by_class[:, :3]).max(axis=1) if len(target) else np.zeros(0)
    score = -np.log10(np.maximum(target.p, 1e-300))
    specific = (target.sources >= OVER_DECOYS * moved) & (target.effect >= LEAST_EFFECT)
    good = target.passed & specific
    fdr = _false_share(made, score, good)
    weight = _weights(made, by_class[:, 0], target)
    probability = 1 / (1 + np.exp(-np.clip(INTERCEPT + SLOPE * weight, -50, 50)))
    at_other_time = [len(np.flatnonzero(v.pairings.passed)) for v in made.decoys if v.kind == TIME]
    share = float(np.mean(at_other_time)) / max(int(good.sum()), 1) if at_other_time else float("nan")
    linked = good & (fdr <= LIMIT_FDR)
    linked[_padded(made, target, linked)] = False
    return Judged(moved, by_class, fdr, share, weight, probability, linked)


def _padded(made: Analysed, target: Pairings, linked: np.ndarray) -> list[int]:
    """Links of sets of ports that a smaller set says as well, by as many sources and not significantly worse: the
    further port is a bystander."""
    by_behaviour: dict[int, list[tuple[frozenset[int], int]]] = {}
    for n in np.flatnonzero(linked & (target.mark >= made.marks.fingerprints)).tolist():
        ports = codes(made.marks.texts[target.mark[n]])
        by_behaviour.setdefault(int(target.behaviour[n]), []).append((ports, n))
    pairs = np.array(
        [
            (n, m)
            for group in by_behaviour.values()
            for ports, n in group
            for other, m in group
            if other < ports and target.sources[m] >= target.sources[n]
        ],
        np.int64,
    ).reshape(-1, 2)
    large, small = pairs[:, 0], pairs[:, 1]
    with_mark, both = target.with_mark, target.sources
    better = tail(
        with_mark[large] + with_mark[small], with_mark[large], both[large] + both[small], both[large]
    )
    return sorted(set(large[better > _BETTER].tolist()))


def _of(made: Analysed, kind: int) -> list[Version]:
    return [version for version in made.decoys if version.kind == kind]


def _sources(made: Analysed, kind: int, target: Pairings, behaviours: int) -> np.ndarray:
    """Mean number of decoy sources with mark and behaviour of each target pair."""
    versions = _of(made, kind)
    if not versions:
        return np.full(len(target), np.nan)
    wanted = target.mark * behaviours + target.behaviour
    total = np.zeros(len(target), np.int64)
    for version in versions:
        key = np.sort(version.labels.triples[:, 1] * behaviours + version.labels.triples[:, 2])
        total += np.searchsorted(key, wanted, "right") - np.searchsorted(key, wanted, "left")
    return total / len(versions)


def _false_share(made: Analysed, score: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Estimated share of false links among the good ones with at least the score of each."""
    false = np.full(len(score), 1 / (DRAWS * len(CLASSES)))
    for kind in CLASSES:
        versions = _of(made, kind)
        scores = [-np.log10(np.maximum(v.pairings.p[v.pairings.passed], 1e-300)) for v in versions]
        every = np.sort(np.concatenate([np.zeros(0), *scores]))
        above = len(every) - np.searchsorted(every, score, "left")
        false = np.maximum(false, above / max(len(versions), 1))
    true = np.sort(score[good])
    above = len(true) - np.searchsorted(true, score, "left")
    share = np.minimum(false / np.maximum(above, 1), 1.0)
    # Not above that of a worse threshold: that one holds all these links too.
    order = np.argsort(score, kind="stable")
    share[order] = np.minimum.accumulate(share[order])
    return share


def _weights(made: Analysed, decoys: np.ndarray, target: Pairings) -> np.ndarray:
    near = np.minimum(np.log2((target.sources + 0.5) / (np.nan_to_num(decoys) + 0.5)), 10.0)
    together = np.minimum(np.log2(np.maximum(target.effect, 0.1)), 6.0)
    lag, port = agreements(made, made.target)
    others = [agreements(made, version) for version in made.decoys if version.kind in CLASSES]
    weight = np.zeros(len(target))
    pair, match = matches_of(made, target)
    for own, classes, column in ((lag, len(_LAGS) + 1, 0), (port, 2, 1)):
        seen = np.bincount(own, minlength=classes)
        by_chance = np.sum([np.bincount(o[column], minlength=classes) for o in others], axis=0) / max(
            len(others), 1
        )
        u = (by_chance + 0.5) / (by_chance.sum() + 0.5 * classes)
        true = np.maximum(seen - by_chance, 0)
        m = (true + 0.5) / (true.sum() + 0.5 * classes)
        each = np.log2(m / u)[own]
        count = np.bincount(pair, minlength=len(target))
        weight += np.bincount(pair, weights=each[match], minlength=len(target)) / np.maximum(count, 1)
    return np.asarray(near + together + weight)


def agreements(made: Analysed, version: Version) -> tuple[np.ndarray, np.ndarray]:
    """Class of lag, and whether the port agrees, of each marked match."""
    found = version.marked
    port = made.history.sessions.port[made.session[found.session]]
    ports = made.history.darknet.ports[found.row]
    return np.searchsorted(_LAGS, np.abs(found.lag)), made.marks.contain(ports, port).astype(np.int64)


def matches_of(made: Analysed, target: Pairings) -> tuple[np.ndarray, np.ndarray]:
    """(number of the pairing, number of the marked match) of all matches behind pairings."""
    from andon.detect.darknet.link.history import spans

    found, behaviours = made.target.marked, len(made.history.behaviours)
    count = made.count[found.session]
    match = np.repeat(np.arange(len(found.session)), count)
    behaviour = made.behaviour[spans(made.begin[found.session], count)]
    key = found.mark[match] * behaviours + behaviour
    wanted = target.mark * behaviours + target.behaviour
    order = np.argsort(wanted, kind="stable")
    if not len(order):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    place = np.minimum(np.searchsorted(wanted[order], key), len(order) - 1)
    hit = wanted[order][place] == key
    return order[place[hit]], match[hit]
