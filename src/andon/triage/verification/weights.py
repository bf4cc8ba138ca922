"""What each answer weighs, and what it costs to be wrong: from answers to log-odds, and log-odds fitted to verdicts.

The default weights are judgements, in log-odds of "worth acting on": 0.7 doubles the odds, 2.3 makes them ten times
as great. They start from five in a hundred (of a hundred cases that an expert looked at, five were acted on).
Verdicts replace them bit by bit: ``fit`` is the maximum of a logistic likelihood with a Gaussian prior around the
defaults (Genkin, Lewis and Madigan, Technometrics 49, 2007, with a mean that is not zero), so that few verdicts
change little."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Self

import numpy as np

from andon.records.case import FAILED, NOT_KNOWN, PASSED, CheckResult
from andon.records.model import Model
from andon.triage.verification.answer import NAMES

KIND: Final = "verification"
START: Final = math.log(5 / 95)
DEFAULT: Final[Mapping[str, tuple[float, float]]] = MappingProxyType(
    {
        # (passed, failed)
        "answered": (0.5, -2.5),  # most targets of what is false answer too
        "session": (2.0, -1.0),
        "blocked": (0.0, -2.5),
        "runs": (1.5, -2.0),
        "behaviour": (3.5, -2.0),  # what was done afterwards is what an attack is for
        "independent": (3.0, 0.0),
        "known-false": (2.5, -3.0),
        "sanctioned": (0.0, -4.0),
        "log-in": (7.0, -2.5),
        "spray": (3.0, -1.0),  # passed: one of ours scans
        "popular": (0.0, -2.0),
        "inside": (1.0, -0.3),
        "privileged": (0.5, 0.0),
    }
)


@dataclass(frozen=True)
class Weights:
    """``act``: log-odds from which on a case is put before a human for action; ``dismiss``: below which it may be
    dismissed: the loss of a true one weighs as much as ``exp(-dismiss)`` looks at false ones."""

    start: float = START
    by_name: Mapping[str, tuple[float, float]] = field(default_factory=lambda: DEFAULT)
    act: float = 1.0
    dismiss: float = -4.6

    def of(self, name: str, outcome: str, strength: float) -> float:
        if outcome == NOT_KNOWN or name not in self.by_name:
            return 0.0
        return self.by_name[name][outcome == FAILED] * strength

    def model(self, card: Mapping[str, object] | None = None) -> Model:
        """As a model (kind "verification") that the registry can keep."""
        numbers = np.array([[*self.by_name.get(name, (0.0, 0.0))] for name in NAMES])
        rest = np.array([self.start, self.act, self.dismiss])
        return Model(KIND, {"weights": numbers, "rest": rest}, {"checks": list(NAMES), **(card or {})})

    @classmethod
    def of_model(cls, model: Model) -> Self:
        """Raises ValueError for a model of another kind or shape."""
        names = tuple(model.card.get("checks", ()))
        if model.kind != KIND or set(model.arrays) != {"weights", "rest"}:
            raise ValueError(f"a model of kind {model.kind!r} holds no weights of verification")
        numbers, rest = model.arrays["weights"], model.arrays["rest"]
        if numbers.shape != (len(names), 2) or rest.shape != (3,) or not np.isfinite(numbers).all():
            raise ValueError("the weights of verification have another shape than their names")
        by_name = {name: (float(a), float(b)) for name, (a, b) in zip(names, numbers.tolist(), strict=True)}
        return cls(float(rest[0]), MappingProxyType(by_name), float(rest[1]), float(rest[2]))


def features(results: Sequence[CheckResult], weights: Weights) -> np.ndarray:
    """(2 x checks,) strengths: of each check first of PASSED, then of FAILED. ``weights``: with which they were
    made."""
    made = np.zeros(2 * len(NAMES))
    for result in results:
        if result.outcome == NOT_KNOWN or result.name not in NAMES:
            continue
        full = weights.by_name[result.name][result.outcome == FAILED]
        at = 2 * NAMES.index(result.name) + (result.outcome == FAILED)
        made[at] = (
            min(abs(result.weight / full), 1.0) if full else 0.0
        )  # what weighs nothing by design stays so
    return made


def fit(
    cases: Sequence[Sequence[CheckResult]], labels: Sequence[bool], made_with: Weights, spread: float = 1.0
) -> Weights:
    """Weights moved from ``made_with`` towards what ``labels`` (True: worth acting on) say. ``spread``: standard
    deviation of each weight around its default; the smaller, the less verdicts move it. PASSED keeps its sign or is 0,
    FAILED likewise. Raises ValueError without cases of both kinds.

    Newton's method, at most 50 steps; a few milliseconds for thousands of cases."""
    y = np.asarray(labels, np.float64)
    if not len(y) or y.min() == y.max():
        raise ValueError("weights are fitted to cases of both kinds, worth acting on and not")
    x = np.column_stack([np.ones(len(y)), np.vstack([features(case, made_with) for case in cases])])
    mean = np.concatenate(
        [[made_with.start], np.ravel([made_with.by_name.get(n, (0.0, 0.0)) for n in NAMES])]
    )
    precision = np.full(len(mean), 1 / spread**2)
    precision[0] = 1 / (2 * spread) ** 2
    w = mean.copy()
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(x @ w, -30, 30)))
        slope = x.T @ (y - p) - precision * (w - mean)
        curve = (x * (p * (1 - p))[:, None]).T @ x + np.diag(precision)
        step = np.linalg.solve(curve, slope)
        w = w + step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        if float(np.abs(step).max()) < 1e-8:
            break
    sign = np.sign(mean[1:])
    w[1:] = np.where(sign * w[1:] < 0, 0.0, w[1:])
    pairs = w[1:].reshape(-1, 2)
    by_name = {name: (float(a), float(b)) for name, (a, b) in zip(NAMES, pairs.tolist(), strict=True)}
    return Weights(float(w[0]), MappingProxyType(by_name), made_with.act, made_with.dismiss)


__all__ = ["DEFAULT", "KIND", "PASSED", "START", "Weights", "features", "fit"]
