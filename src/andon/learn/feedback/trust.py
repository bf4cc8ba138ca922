"""How far each analyst's word goes, from the episodes that more than one of them has judged.

Dawid & Skene, Maximum Likelihood Estimation of Observer Error-Rates Using the EM Algorithm, Applied Statistics 28
(1979): every analyst has a sensitivity and a specificity, every episode a chance of being a true attack, and each is
estimated from the other. We differ in four things. Error rates have Beta priors, so that a newcomer is neither believed
nor doubted beyond ``PRIOR``. Only episodes with two analysts or more teach anything about analysts. The two labels are
as likely as each other beforehand (whoever asks for verdicts at the top of a queue knows no better, and a rare class
must not outvote its only witness). And a word that goes worse than chance weighs nothing: it is never turned round,
for then a liar would be the best witness of all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

PRIOR: Final = (4.0, 0.5)  # Beta: right, wrong; of sensitivity and of specificity
CERTAIN: Final = 0.98  # nobody is believed to be right more often
ROUNDS: Final = 60
_CLOSE = 1e-6


@dataclass(frozen=True)
class Votes:
    """One row per analyst and episode: numbers of both (from 0), and whether he said that it is true."""

    item: np.ndarray  # int64
    analyst: np.ndarray  # int64
    said: np.ndarray  # bool
    items: int
    names: tuple[str, ...]  # of the analysts

    def __post_init__(self) -> None:
        if not len(self.item) == len(self.analyst) == len(self.said):
            raise ValueError("votes need an item, an analyst and a word each")

    def where(self, mask: np.ndarray) -> Votes:
        """Some of them, with the same numbers of items and analysts."""
        return Votes(self.item[mask], self.analyst[mask], self.said[mask], self.items, self.names)


@dataclass(frozen=True)
class Trust:
    """Per analyst, in the order of ``names``: chance to call a true one true, a false one false; episodes judged with
    others, and how many of those judgements the others shared in the end (expected number)."""

    names: tuple[str, ...]
    sensitivity: np.ndarray
    specificity: np.ndarray
    shared: np.ndarray
    agreed: np.ndarray

    def informedness(self) -> np.ndarray:
        """Youden's J, sensitivity + specificity - 1, at least 0: what a word is worth."""
        return np.asarray(np.maximum(self.sensitivity + self.specificity - 1.0, 0.0))

    def word(self) -> tuple[np.ndarray, np.ndarray]:
        """Log-odds that "true" adds and that "not true" takes away; both are >= 0."""
        right = np.clip(self.sensitivity, 1 - CERTAIN, CERTAIN)
        other = np.clip(self.specificity, 1 - CERTAIN, CERTAIN)
        yes = np.maximum(np.log(right / (1 - other)), 0.0)
        no = np.maximum(np.log(other / (1 - right)), 0.0)
        worth = self.informedness() > 0
        return np.where(worth, yes, 0.0), np.where(worth, no, 0.0)

    def to_dict(self) -> dict[str, Any]:
        return {
            name: {
                "sensitivity": round(float(self.sensitivity[n]), 4),
                "specificity": round(float(self.specificity[n]), 4),
                "shared": int(self.shared[n]),
                "agreed": round(float(self.agreed[n]), 2),
                "worth": round(float(self.informedness()[n]), 4),
            }
            for n, name in enumerate(self.names)
        }


def odds(votes: Votes, trust: Trust) -> np.ndarray:
    """float64[items]: what the words add up to, in log-odds; 0 where nobody who is believed said anything.

    >>> sure = Trust(("a",), np.array([0.9]), np.array([0.8]), np.zeros(1), np.zeros(1))
    >>> votes = Votes(np.array([0]), np.array([0]), np.array([True]), 2, ("a",))
    >>> odds(votes, sure).round(3).tolist()
    [1.504, 0.0]
    """
    yes, no = trust.word()
    said = np.where(votes.said, yes[votes.analyst], -no[votes.analyst])
    return np.asarray(np.bincount(votes.item, said, minlength=votes.items))


def chance(log_odds: np.ndarray) -> np.ndarray:
    """Probability from log-odds."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(log_odds, -60, 60))))


def estimate(votes: Votes, kind: np.ndarray | None = None, prior: tuple[float, float] = PRIOR) -> Trust:
    """Trust in each analyst. ``kind`` (int64[items]): what each episode's share of true ones is taken from; all one
    kind without it. Deterministic; O(votes) a round."""
    count = len(votes.names)
    kind = np.zeros(votes.items, np.int64) if kind is None else kind
    often = np.bincount(votes.item, minlength=votes.items) > 1
    own = votes.where(often[votes.item])
    shared = np.bincount(own.analyst, minlength=count).astype(float)
    total = np.maximum(np.bincount(own.item, minlength=votes.items), 1)
    true = np.bincount(own.item, own.said, minlength=votes.items) / total  # the majority to begin with
    trust = _rates(own, true, count, prior, shared)
    for _ in range(ROUNDS):
        before = true
        true = chance(odds(own, trust) + prevalence(true, kind, often))
        trust = _rates(own, true, count, prior, shared)
        if np.abs(true - before)[often].max(initial=0.0) < _CLOSE:
            break
    return trust


def prevalence(true: np.ndarray, kind: np.ndarray, where: np.ndarray) -> np.ndarray:
    """float64[items]: log-odds of the share of true ones in each item's kind, among those ``where``; kinds with few
    lean on the whole, and no share is beyond 1 in 200 or above a half (a label must be able to speak for itself)."""
    size = int(kind.max(initial=0)) + 1
    whole = (true[where].sum() + 0.5) / (np.count_nonzero(where) + 1)
    trues = np.bincount(kind[where], true[where], minlength=size)
    count = np.bincount(kind[where], minlength=size)
    share = np.clip((trues + LEAN * whole) / (count + LEAN), 0.005, 0.5)
    return np.asarray(np.log(share / (1 - share))[kind])


LEAN: Final = 10.0  # items of the whole that a kind starts from


def _rates(
    votes: Votes, believed: np.ndarray, count: int, prior: tuple[float, float], shared: np.ndarray
) -> Trust:
    good, bad = prior
    true = believed[votes.item]
    said = votes.said
    hits = np.bincount(votes.analyst, true * said, minlength=count)
    trues = np.bincount(votes.analyst, true, minlength=count)
    rejects = np.bincount(votes.analyst, (1 - true) * ~said, minlength=count)
    falses = np.bincount(votes.analyst, 1 - true, minlength=count)
    return Trust(
        votes.names,
        (hits + good) / (trues + good + bad),
        (rejects + good) / (falses + good + bad),
        shared,
        hits + rejects,
    )


@dataclass(frozen=True)
class Alarm:
    """Something about verdicts that a person has to look at. ``kind``: "flood", "disagreement", "flip", "conflict"."""

    kind: str
    text: str
    analyst: str = ""
    signature: str = ""
    time: int = 0  # ns
    episodes: tuple[str, ...] = ()  # at most EPISODES
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "text": self.text,
            "analyst": self.analyst,
            "signature": self.signature,
            "time": self.time,
            "episodes": list(self.episodes),
            "attributes": dict(self.attributes),
        }


EPISODES: Final = 16


def share_capped(
    signature: np.ndarray, analyst: np.ndarray, weight: np.ndarray, share: float, floor: float
) -> np.ndarray:
    """Weights (float64[n]) with which no analyst has more than ``share`` of what a signature weighs, nor is cut below
    ``floor`` in all: what one person says about a signature that nobody else has judged teaches a little, not a lot.

    Analysts are taken from the heaviest down; the others' weight is what it is after their own cut (the fixed point of
    w = share / (1 - share) * others, reached from above in as many rounds as there are analysts).

    >>> share_capped(np.zeros(9, int), np.array([0] * 8 + [1]), np.ones(9), 0.5, 2.0).round(2).tolist()
    [0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 1.0]
    """
    if not 0 < share < 1:
        raise ValueError("an analyst's share lies between 0 and 1")
    out = weight.astype(float).copy()
    if not len(out):
        return out
    people = int(analyst.max()) + 1
    key, place = np.unique(signature * people + analyst, return_inverse=True)
    rule, _ = np.divmod(key, people)
    held = np.bincount(place, out)
    start = held.copy()
    ratio = share / (1 - share)
    for _ in range(people + 1):
        whole = np.bincount(rule, held, minlength=int(rule.max()) + 1)[rule]
        allowed = np.maximum(ratio * (whole - held), floor)
        lower = np.minimum(start, allowed)
        if np.allclose(lower, held):
            break
        held = lower
    scale = np.divide(held, start, out=np.ones_like(held), where=start > 0)
    return np.asarray(out * scale[place])


def names_of(texts: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """Distinct texts in order, and each one's number."""
    distinct = tuple(sorted(set(texts)))
    place = {text: number for number, text in enumerate(distinct)}
    return distinct, np.array([place[text] for text in texts], np.int64)
