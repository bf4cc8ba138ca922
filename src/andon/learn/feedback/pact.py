"""PACT's rule, as a comparison: wait for the scores to shift, then ask near the threshold and at the top.

Ndichu, Ban, Ozawa, Takahashi & Inoue, PACT: Reducing Alert Fatigue in Low-Prevalence SOC Streams with Triggered Active
Learning, arXiv 2605.22324 (2026). From its abstract: a screener that is trained once; an adaptive-windowing trigger on
the score; a hybrid acquisition rule of threshold-relative uncertainty and high scores; and the burden, false positives
per benign window. What the abstract does not say is ours: windows are fixed spans of time per site, a window's score is
its highest episode's, the share of high scores is a half, and after a trigger the model learns from everything it was
told so far. It differs from ``queries`` in *when* it asks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from andon.learn.feedback.queries import choose
from andon.sketch.adwin import Adwin

WINDOW: Final = 3_600_000_000_000  # ns
QUERIES: Final = 20  # after a trigger


@dataclass(frozen=True)
class Burden:
    """``windows``: benign ones; ``alarms``: of them above the threshold; ``rate``: alarms per benign window;
    ``recall``: share of windows with a true episode that are above the threshold; ``queries``: verdicts asked for;
    ``triggers``: times the model learnt anew."""

    windows: int
    alarms: int
    positives: int
    recalled: int
    queries: int
    triggers: int

    @property
    def rate(self) -> float:
        return self.alarms / self.windows if self.windows else float("nan")

    @property
    def recall(self) -> float:
        return self.recalled / self.positives if self.positives else float("nan")


def windows(time: np.ndarray, site: np.ndarray, length: int = WINDOW) -> np.ndarray:
    """Number of each row's window, in order of time."""
    place = np.unique(site.astype(str), return_inverse=True)[1]
    key = (time // length) * (int(place.max(initial=0)) + 1) + place
    return np.asarray(np.unique(key, return_inverse=True)[1])


def burden(
    window: np.ndarray,
    score: np.ndarray,
    label: np.ndarray,
    threshold: float,
    queries: int = 0,
    triggers: int = 0,
) -> Burden:
    """False positives per benign window, and recall of the others.

    >>> seen = burden(np.array([0, 0, 1, 2]), np.array([9.0, 1, 8, 2]), np.array([1, 0, 0, 0]), 5.0)
    >>> seen.rate, seen.recall
    (0.5, 1.0)
    """
    count = int(window.max(initial=-1)) + 1
    top = np.full(count, -np.inf)
    np.maximum.at(top, window, score)
    true = np.bincount(window, label == 1, minlength=count) > 0
    there = np.bincount(window, minlength=count) > 0
    above = top >= threshold
    return Burden(
        int((there & ~true).sum()), int((there & ~true & above).sum()), int(true.sum()), int((true & above).sum()),
        queries, triggers,
    )  # fmt: skip


def run(
    time: np.ndarray,
    site: np.ndarray,
    signature: np.ndarray,
    label: np.ndarray,
    score: Callable[[np.ndarray], np.ndarray],
    learn: Callable[[np.ndarray], Callable[[np.ndarray], np.ndarray]],
    threshold: float,
    when: str = "shift",
    asks: int = QUERIES,
    every: int = 24 * WINDOW,
    rule: str = "hybrid",
    seed: int = 1,
    length: int = WINDOW,
) -> tuple[Burden, np.ndarray, np.ndarray]:
    """Replay rows in order of time: score each window as it ends, ask when it is due, learn, go on. Gives the burden,
    each row's window, and the score it had when its window ended.

    ``score(rows)`` gives scores of rows with the model so far; ``learn(asked rows)`` gives the next such function.
    ``when``: "never", "shift" (ADWIN over scores) or "daily"; ``rule``: "hybrid" or "random"."""
    if when not in ("never", "shift", "daily") or rule not in ("hybrid", "random"):
        raise ValueError("when is never, shift or daily; rule is hybrid or random")
    window = windows(time, site, length)
    order = np.argsort(window, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(window[order])) + 1, len(order))
    seen = Adwin()
    rng = np.random.default_rng(seed)
    made = np.zeros(len(time))
    asked = np.zeros(len(time), bool)
    triggers, start, last, since = 0, 0, int(time.min(initial=0)), 0
    for end in ends:
        rows = order[start:end]
        made[rows] = score(rows)
        due = bool(np.count_nonzero(seen.update(made[rows]))) and when == "shift"
        now = int(time[rows].max())
        if when == "daily" and now - last >= every:
            due, last = True, now
        if due:
            pool = order[since:end]
            if rule == "random":
                chosen = rng.permutation(pool[~asked[pool]])[:asks]
            else:
                picked = choose(
                    made[pool], signature[pool], asked[pool], np.zeros(len(pool), bool), asks, threshold
                )
                chosen = pool[[each.row for each in picked]] if picked else pool[:0]
            asked[chosen] = True
            score = learn(np.flatnonzero(asked))
            seen = Adwin()  # another model's scores are another stream
            triggers += 1
            since = max(since, end - 20_000)
        start = end
    return burden(window, made, label, threshold, int(asked.sum()), triggers), window, made


def matched(window: np.ndarray, score: np.ndarray, label: np.ndarray, recall: float) -> Burden:
    """The burden at the highest threshold that recalls this share of windows: what a ranker costs, thresholds aside."""
    count = int(window.max(initial=-1)) + 1
    top = np.full(count, -np.inf)
    np.maximum.at(top, window, score)
    true = np.sort(top[np.bincount(window, label == 1, minlength=count) > 0])[::-1]
    if not len(true):
        return burden(window, score, label, np.inf)
    return burden(window, score, label, float(true[max(0, int(np.ceil(recall * len(true) - 1e-9)) - 1)]))
