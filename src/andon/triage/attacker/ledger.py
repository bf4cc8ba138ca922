"""Log-odds of financial against targeted from techniques and families, line by line.

Weights of techniques are the mean of two that are each linear: naive Bayes over what is present, shrunk to what both
classes do, which stands partial views well, and ridge logistic regression learnt on whole and partial profiles, which
discounts techniques that come together. What is absent says nothing: a case is a partial view. Because techniques
depend on each other their sum is divided by the root of how many there are, and what is left is put right by
calibration on profiles that were not learnt from. The confidence of a detection multiplies its line (it is the
exponent of the likelihood ratio)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from andon.records.case import FINANCIAL, TARGETED
from andon.triage.attacker.vocabulary import parent


@dataclass(frozen=True)
class Shares:
    """``total`` and what each technique adds to it (financial above 0); ``known``: how many have a weight."""

    total: float
    parts: Mapping[str, float]
    known: int


def score(techniques: Mapping[str, float], weights: Mapping[str, float]) -> Shares:
    """The sum of weights of techniques (number -> confidence) and of the techniques above them, divided by the root
    of their number. A parent counts once, at its surest child's confidence, and is shared among its children.

    >>> score({"T1486": 1.0}, {"T1486": 2.0}).total
    2.0
    """
    parents: dict[str, list[str]] = {}
    for number in techniques:
        parents.setdefault(parent(number), []).append(number)
    terms: dict[str, float] = dict.fromkeys(sorted(techniques), 0.0)
    count, known = 0.0, 0
    for number, confidence in techniques.items():
        if number in weights:
            terms[number] += confidence * weights[number]
            count += confidence
        known += number in weights or parent(number) in weights
    for above, children in parents.items():
        if above in weights and above not in techniques:
            sure = max(techniques[child] for child in children)
            whole = sum(techniques[child] for child in children)
            for child in children:
                terms[child] += sure * weights[above] * (techniques[child] / whole if whole > 0 else 0.0)
            count += sure
    root = float(np.sqrt(max(count, 1.0)))
    parts = {number: value / root for number, value in terms.items()}
    return Shares(float(sum(parts.values())), parts, known)


def basis(total: Any, known: Any) -> tuple[Any, Any, Any, Any]:
    """What the calibration is linear in: the sum and the number of techniques, as numbers or arrays."""
    return total, total * np.log(known), total * 0.0 + 1.0, np.sqrt(known)


def log_odds(total: Any, known: Any, numbers: np.ndarray) -> Any:
    """Calibrated log-odds of financial against targeted: (a + b log k) total + c + d root(k) for k techniques."""
    terms = basis(total, known)
    return sum(float(number) * term for number, term in zip(numbers, terms, strict=True))


def families(hits: Mapping[str, tuple[str, float]], weight: Mapping[str, float]) -> Shares:
    """The same of families that were seen (name -> (class, confidence)): each adds the measured log-odds of its
    class, all of them divided by the root of their number."""
    terms, count = {}, 0.0
    for name in sorted(hits):
        cls, confidence = hits[name]
        sign = {FINANCIAL: 1.0, TARGETED: -1.0}.get(cls, 0.0)
        if sign:
            terms[name] = sign * confidence * weight[cls]
            count += confidence
    root = float(np.sqrt(max(count, 1.0)))
    parts = {name: value / root for name, value in terms.items()}
    return Shares(float(sum(parts.values())), parts, len(parts))
