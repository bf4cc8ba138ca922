"""ATT&CK tactics of the statements of a session, by a linear model and the order in which tactics follow one another.

The labels are those of LogPrecis (Boffa et al., arXiv 2307.08309): a tactic of ATT&CK for each statement, Harmless or
Other; there they are learnt by a language model, here by a logistic regression on hashed features (``features``),
decoded with the transitions between tactics (Viterbi). The weight table (``tactics.npz``, 8-bit integers) was trained
by ``benchmarks/session/train.py`` on 287 sessions of CZ.NIC HaaS; it holds no text of theirs. How good it is:
docs/sessions.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Final

import numpy as np

from andon.detect.intel.session import features

NAMES: Final = ("Defense Evasion", "Discovery", "Execution", "Harmless", "Impact", "Other", "Persistence")


@dataclass(frozen=True)
class Model:
    """``weights`` float32 (columns, tactics), ``bias`` (tactics,), ``follows`` (tactics, tactics): how much more
    likely, as a logarithm and already weighted, a tactic is after another than by itself."""

    weights: np.ndarray
    bias: np.ndarray
    follows: np.ndarray

    def scores(self, statements: Sequence[str]) -> np.ndarray:
        """Log probabilities (statements, tactics)."""
        made = np.empty((len(statements), len(NAMES)))
        for at, (near, place) in enumerate(features.around(statements)):
            block = (*features.own(statements[at]), *near, *place)
            columns = np.fromiter((column for column, _ in block), np.int64, len(block))
            values = np.fromiter((value for _, value in block), np.float64, len(block))
            made[at] = values @ self.weights[columns] + self.bias
        made -= made.max(axis=1, keepdims=True)
        return np.asarray(made - np.log(np.exp(made).sum(axis=1, keepdims=True)))

    def decoded(self, scores: np.ndarray) -> np.ndarray:
        """The likeliest tactics in a row, as numbers of ``NAMES``."""
        best, back = scores[0], []
        for row in scores[1:]:
            paths = best[:, None] + self.follows
            before = paths.argmax(axis=0)
            back.append(before)
            best = paths[before, np.arange(len(NAMES))] + row
        at = int(best.argmax())
        found = [at]
        for before in reversed(back):
            at = int(before[at])
            found.append(at)
        return np.array(found[::-1])


def packed(weights: np.ndarray, bias: np.ndarray, follows: np.ndarray) -> dict[str, np.ndarray]:
    """Arrays of the file: weights as 8-bit integers with a scale for each tactic."""
    scale = np.maximum(np.abs(weights).max(axis=0), 1e-9) / 127
    return {
        "weights": np.rint(weights / scale).astype(np.int8), "scale": scale.astype(np.float32),
        "bias": bias.astype(np.float32), "follows": follows.astype(np.float32),
    }  # fmt: skip


def unpacked(arrays: dict[str, np.ndarray]) -> Model:
    return Model(arrays["weights"].astype(np.float32) * arrays["scale"], arrays["bias"], arrays["follows"])


@lru_cache(maxsize=1)
def model() -> Model:
    """The model of the package."""
    with resources.files("andon.detect.intel.session").joinpath("tactics.npz").open("rb") as file:
        arrays = np.load(file, allow_pickle=False)
        return unpacked({name: arrays[name] for name in arrays.files})


def of(statements: Sequence[str]) -> tuple[str, ...]:
    """The tactic of each statement.

    >>> of(("uname -a", "cat /proc/cpuinfo"))
    ('Discovery', 'Discovery')
    """
    if not statements:
        return ()
    use = model()
    return tuple(NAMES[number] for number in use.decoded(use.scores(statements)).tolist())
