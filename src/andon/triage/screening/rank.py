"""How much an episode is worth a look: a learned model, or without labels its rarity.

The learned score is the mean vote of a forest of extremely randomised trees (``sketch.trees``). Beside it stands an
additive model (``sketch.additive``) trained on the same rows, whose contributions are the reasons that are shown. The
model also holds what it knows of signatures by name: how often each was true, learned out of fold (the networks it is
asked about never gave that figure when the trees were grown); of a signature it does not know it says so by the mean.

Without a model the score is rarity alone: how long the pair and the signature have not been seen, how many different
signatures the host shows, how many rare things are near. The weights are plain and fixed; nothing in them was learned.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np

from andon.records.model import Model
from andon.sketch.additive import Additive
from andon.sketch.trees import Forest
from andon.triage.screening.conformal import Promise, adapted, certain, miss_rate, transferred
from andon.triage.screening.features import INPUTS, NUMBER

KIND: Final = "screening"
FIRST_SEEN: Final = "first-seen"  # name of the score without a model


@dataclass(frozen=True)
class Scored:
    """``score`` 0..1; ``probability``: NaN without labels; ``parts`` (n, len(INPUTS)): log-odds that each input adds
    to the explanation (without a model: to the score)."""

    score: np.ndarray
    probability: np.ndarray
    parts: np.ndarray


def signature_key(product: str, words: str) -> int:
    """63-bit key of a rule of a product by its number or its words, case and the product's own prefix aside.

    >>> signature_key("suricata", "Suricata: Alert - ET SCAN x") == signature_key("Suricata", "et scan x")
    True
    """
    product, words = product.strip().lower(), " ".join(words.lower().split())
    words = words.removeprefix(f"{product}: ").removeprefix("alert - ")
    made = hashlib.blake2b(f"{product}\x1f{words}".encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(made, "little") >> 1


@dataclass(frozen=True)
class Prior:
    """``keys`` sorted, ``values``: log of the share of true episodes, drawn to the mean; ``other`` of unknown ones."""

    keys: np.ndarray
    values: np.ndarray
    other: float

    def of(self, signatures: Sequence[tuple[str, str, str]]) -> np.ndarray:
        """For (product, rule, title): by rule, else by title, else ``other``."""
        out = np.full(len(signatures), self.other)
        known: dict[tuple[str, str, str], float] = {}
        for i, signature in enumerate(signatures):
            if signature not in known:
                product, rule, title = signature
                found = (self._find(signature_key(product, words)) for words in (rule, title) if words)
                known[signature] = next((value for value in found if value is not None), self.other)
            out[i] = known[signature]
        return out

    def _find(self, key: int) -> float | None:
        at = int(np.searchsorted(self.keys, np.uint64(key)))
        return float(self.values[at]) if at < len(self.keys) and int(self.keys[at]) == key else None


@dataclass(frozen=True)
class Ranker:
    """See the module text. ``calibration``: (scores of true episodes by models that had not seen their network, number
    of the network of each; -1: this site's own)."""

    forest: Forest
    additive: Additive
    prior: Prior
    curve: tuple[np.ndarray, np.ndarray]  # score -> probability, straight between points
    calibration: tuple[np.ndarray, np.ndarray]
    digest: str
    audit: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of(cls, model: Model) -> Self:
        """Raises ValueError for a model that is not one of screening, or of other features."""
        if model.kind != KIND:
            raise ValueError(f"a model of kind {model.kind!r}, not {KIND!r}")
        if list(model.card.get("features", ())) != list(INPUTS):
            raise ValueError("the screening model was made for other features; train it anew (andon learn)")
        try:
            a: Mapping[str, np.ndarray] = model.arrays
            made = cls(
                Forest.of(a, "forest "),
                Additive.of(a, "additive "),
                Prior(a["prior keys"], a["prior values"], float(a["prior other"][0])),
                (a["probability score"], a["probability"]),
                (a["calibration scores"], a["calibration networks"]),
                model.digest,
                _outcomes(a),
            )
        except KeyError as error:
            raise ValueError(f"the screening model lacks {error}") from error
        if made.additive.width != len(INPUTS) or int(made.forest.feature.max(initial=-1)) >= len(INPUTS):
            raise ValueError("the screening model asks for features that there are not")
        return made

    def scored(
        self, x: np.ndarray, signatures: Sequence[tuple[str, str, str]], explain: bool = True
    ) -> Scored:
        """``x``: features of the episodes; ``signatures``: (product, rule, title) of each; ``explain``: with ``parts``
        (else it has no rows)."""
        whole = self._inputs(x, signatures)
        score = self.forest.mean(whole)
        parts = self.additive.contributions(whole) if explain else np.zeros((0, len(INPUTS)))
        return Scored(score, np.interp(score, *self.curve), parts)

    def parts(self, x: np.ndarray, signatures: Sequence[tuple[str, str, str]]) -> np.ndarray:
        """Of some episodes, see ``Scored``."""
        return self.additive.contributions(self._inputs(x, signatures))

    def _inputs(self, x: np.ndarray, signatures: Sequence[tuple[str, str, str]]) -> np.ndarray:
        return np.concatenate([x, self.prior.of(signatures)[:, None]], axis=1).astype(np.float32)

    def promise(self, alpha: float, confidence: float) -> Promise:
        """From the site's own labels where they are enough, else from the networks the model was trained on. What the
        audit found moves alpha down; never up, since what was never drawn would loosen it too."""
        scores, network = self.calibration
        moved = adapted(alpha, alpha, self.audit[0].tolist(), self.audit[1].tolist(), most=alpha)
        if moved <= 0:
            rate, error = miss_rate(*self.audit)
            return Promise(
                -np.inf, alpha, len(self.audit[0]), 0, False, float("nan"), 1,
                f"no promise at alpha {alpha:g}: the audit found true episodes that screening had missed, about "
                f"{rate:.1%} of all (standard error {error:.1%})",
            )  # fmt: skip
        others = network >= 0
        own = certain(scores[~others], moved, confidence)
        made = own
        if not own.kept and others.any():
            made = transferred(scores[others], network[others], moved)
        if moved < alpha:
            note = f"; alpha {alpha:g} was moved to {moved:.2g} by what the audit found"
            made = replace(made, statement=made.statement + note)
        return made


def _outcomes(arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    if "audit missed" not in arrays:
        return np.zeros(0, bool), np.zeros(0)
    missed, drawn = np.asarray(arrays["audit missed"], bool), np.asarray(arrays["audit drawn"], np.float64)
    if missed.shape != drawn.shape or not ((drawn > 0) & (drawn <= 1)).all():
        raise ValueError("the screening model has audit outcomes that are none")
    return missed, drawn


# Of the score without a model: input -> weight on log(1 + x); "since" is in seconds.
_RARE: Final = {
    "since pair": 0.25,
    "since signature": 0.25,
    "signatures of host 10 min": 0.8,
    "new to the host on the host 1 h": 0.8,
    "new to the site on the host 1 h": 0.8,
    "pair 1 d": -0.5,
    "hosts of signature 1 d": -0.5,
}
_MIDDLE: Final = (
    12.0  # above nearly all sums: scores are as good as exponential, and the queue's discounts bite evenly
)


def rarity(x: np.ndarray) -> Scored:
    """The score without a model, for features ``x`` (n, len(FEATURES))."""
    parts = np.zeros((len(x), len(INPUTS)))
    for name, weight in _RARE.items():
        parts[:, NUMBER[name]] = weight * x[:, NUMBER[name]]
    score = 1 / (1 + np.exp(_MIDDLE - parts.sum(axis=1)))
    return Scored(score, np.full(len(x), np.nan), parts)
