"""What the ranker knows of an episode: counters at its first alert, their maxima, its size, and its neighbours.

*Neighbours* (ours) are other episodes that began close in time: of other signatures on the same host, and of other
hosts of the site, within 10 minutes, one hour and four hours before and, as far as known, after. Each counts with its
rarity: ``1 - exp(-s / 1 d)``, s the time since its pair (or its signature anywhere on the site) was seen before. Many
rare things close together are what an attack looks like, whatever the rules are called.

All values are ``log(1 + x)``. Nothing here knows the name of a rule, a host or a product, so that what was learned on
one network means the same on another.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from andon.triage.screening import counters
from andon.triage.screening.episodes import Episodes
from andon.triage.screening.summary import Table

DAY: Final = 86400.0
WINDOWS: Final = (600, 3600, 14400)  # s
_TAUS: Final = ("1 min", "10 min", "1 h", "1 d")
_GROUPS: Final = ("pair", "host", "signature", "detector", "signatures of host", "hosts of signature")
_NEAR: Final = ("10 min", "1 h", "4 h")
_COUNTED: Final = tuple(f"{group} {tau}" for group in _GROUPS for tau in _TAUS)

FEATURES: Final = (
    *_COUNTED,
    "since pair", "since host", "since signature", "age of pair", "age of signature",
    *(f"most {name}" for name in _COUNTED),
    "alerts", "duration",
    *(f"{what} {where} {tau}" for what in ("new to the host", "new to the site")
      for tau in _NEAR for where in ("on the host", "elsewhere")),
)  # fmt: skip
PRIOR: Final = "signature elsewhere"  # what the model knows of the rule by its name
INPUTS: Final = (*FEATURES, PRIOR)  # of a learned model
NUMBER: Final = {name: i for i, name in enumerate(FEATURES)}


def rarity(seconds: np.ndarray) -> np.ndarray:
    """0 (seen a moment ago) to 1 (not for days)."""
    return np.asarray(1 - np.exp(-seconds / DAY))


def features(made: Episodes, past: Table) -> np.ndarray:
    """(n, len(FEATURES)) f4. ``past``: PAST of the memory, whose episodes are neighbours too."""
    table = made.table
    length = (table["last"] - table["first"]) / 1e9
    near = neighbours(table, made.begun, past)
    plain = np.concatenate([made.begun, made.most, table["alerts"][:, None], length[:, None], near], axis=1)
    return np.asarray(np.log1p(np.maximum(plain, 0)).astype(np.float32))


def neighbours(table: Table, begun: np.ndarray, past: Table) -> np.ndarray:
    """(n, 12): for each kind of rarity and window the sum on the host without the own pair, and on the site without the
    own host."""
    n = len(table["pair"])
    every = {name: np.concatenate([table[name], past[name]]) for name in ("pair", "host", "site", "first")}
    # An episode of the memory that goes on is in both: it counts once.
    mine = np.stack([table["pair"], table["first"].astype(np.uint64)], axis=1)
    theirs = np.stack([past["pair"], past["first"].astype(np.uint64)], axis=1)
    fresh = np.r_[np.ones(n, bool), ~_among(theirs, mine)]
    weights = (
        np.r_[rarity(begun[:, counters.SINCE_PAIR]), past["rarity"]],
        np.r_[rarity(begun[:, counters.SINCE_SIGNATURE]), past["site_rarity"]],
    )
    micro = every["first"] // 1000
    sums = {
        group: _sums(micro, every[group], [w * fresh for w in weights]) for group in ("pair", "host", "site")
    }
    out = np.empty((n, 12))
    for kind in range(2):
        for window in range(3):
            at = 6 * kind + 2 * window
            host = sums["host"][kind][window]
            out[:, at] = (host - sums["pair"][kind][window])[:n]
            out[:, at + 1] = (sums["site"][kind][window] - host)[:n]
    return np.where(out > 1e-9, out, 0.0)  # what is left of equal sums is rounding


def _among(rows: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Which rows (n, 2) are among the known ones."""
    if not len(rows) or not len(known):
        return np.zeros(len(rows), bool)
    kind = np.dtype([("a", rows.dtype), ("b", rows.dtype)])
    left = np.ascontiguousarray(rows).view(kind).ravel()
    return np.isin(left, np.ascontiguousarray(known).view(kind).ravel())


def _sums(micro: np.ndarray, group: np.ndarray, weights: list[np.ndarray]) -> list[list[np.ndarray]]:
    """For each weight and window the sum over all of the same group whose time (microseconds) is at most so far."""
    if not len(micro):
        return [[np.zeros(0) for _ in WINDOWS] for _ in weights]
    order = np.lexsort((micro, group))
    new = np.ones(len(order), bool)
    new[1:] = group[order][1:] != group[order][:-1]
    start = int(micro.min())
    length = int(micro.max()) - start + 2 * WINDOWS[-1] * 1_000_000 + 2
    key = np.cumsum(new) * length + (micro[order] - start)
    totals = [np.concatenate([[0.0], np.cumsum(weight[order])]) for weight in weights]
    made: list[list[np.ndarray]] = [[] for _ in weights]
    for window in WINDOWS:
        reach = window * 1_000_000
        low, high = np.searchsorted(key, key - reach, "left"), np.searchsorted(key, key + reach, "right")
        for total, sums in zip(totals, made, strict=True):
            one = np.empty(len(micro))
            one[order] = total[high] - total[low]
            sums.append(one)
    return made
