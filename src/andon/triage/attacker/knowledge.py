"""What is known of attackers: weights of techniques, calibration, families, actors, profiles of groups.

It is the content of a model of kind "attacker" (``records.model``): plain arrays, made by ``andon learn knowledge``
from the user's copy of ATT&CK and MISP galaxies, or the one that is shipped. Nothing here reads a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np

from andon.records.case import CLASSES, FINANCIAL, HACKTIVIST, TARGETED
from andon.records.model import Model

KIND: Final = "attacker"
FORMAT: Final = 1
LEARNT: Final = (TARGETED, FINANCIAL)  # the classes that techniques can tell apart; index = label 0, 1
POPULATIONS: Final = ("groups", "families")
SHARED_CLASS: Final = "shared"  # of families that more than one class uses


@dataclass(frozen=True)
class Family:
    """A piece of software and who uses it: a class, "shared", or "" if that is not known."""

    name: str
    cls: str
    number: str = ""  # of ATT&CK: S0154


@dataclass(frozen=True)
class Group:
    """A named actor: techniques and families (``software:NAME``) told of it."""

    name: str
    number: str
    cls: str
    features: frozenset[str]


@dataclass(frozen=True, eq=False)
class Knowledge:
    """``weights``: log-odds of a technique for financial against targeted, before the discount for dependence.
    ``map``: calibration to log-odds (``ledger.log_odds``). ``views``: numbers of techniques from which on ``scores``
    ((view, population, class) -> sorted log-odds of profiles that were not learnt from) hold."""

    digest: str
    card: Mapping[str, Any]
    techniques: Mapping[str, tuple[str, tuple[str, ...]]]  # number -> (name, tactics)
    weights: Mapping[str, float]
    views: np.ndarray
    map: np.ndarray
    scores: Mapping[tuple[int, int, int], np.ndarray]
    family_weight: Mapping[str, float]  # log-odds that a hit on a family of this class gives its class
    families: Mapping[str, Family]  # by folded name and number
    actors: Mapping[str, tuple[str, tuple[str, ...]]]  # folded -> (name, classes)
    artefacts: Mapping[str, str]  # "kind:written" -> folded name of the family
    groups: tuple[Group, ...]
    idf: Mapping[str, float]

    @staticmethod
    def of(model: Model | None) -> Knowledge | None:
        """The knowledge in a model; None for none. Raises ValueError where the model is not one of this kind."""
        if model is None:
            return None
        if model.kind != KIND:
            raise ValueError(
                f"a model of kind {model.kind!r} holds no knowledge of attackers; needed is {KIND!r}"
            )
        return _of(model.digest, _Held(model))

    def view(self, techniques: int) -> int:
        """Number of the largest view that is not above this many techniques, or -1."""
        return int(np.searchsorted(self.views, techniques, "right")) - 1


class _Held:
    """A model as a key of the cache: its digest says whether two are equal."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held) and self.model.digest == other.model.digest

    def __hash__(self) -> int:
        return hash(self.model.digest)


@lru_cache(maxsize=4)
def _of(digest: str, held: _Held) -> Knowledge:
    model = held.model
    if model.card.get("format") != FORMAT:
        raise ValueError(
            f"this knowledge base has format {model.card.get('format')!r}, needed is {FORMAT}: make it anew with "
            "andon learn knowledge"
        )
    try:
        return _read(digest, model)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ValueError(f"the knowledge base is damaged: {type(error).__name__}: {error}") from error


def _texts(model: Model, name: str) -> list[str]:
    array = model.arrays[name]
    if array.ndim != 1 or array.dtype.kind != "U":
        raise TypeError(f"array {name} holds no texts")
    return [str(value) for value in array]


def _numbers(model: Model, name: str, size: int) -> np.ndarray:
    array = np.asarray(model.arrays[name], np.float64)
    if array.shape != (size,) or not np.isfinite(array).all():
        raise TypeError(f"array {name} is not {size} finite numbers")
    return array


def _read(digest: str, model: Model) -> Knowledge:
    numbers, names, tactics = (_texts(model, f"technique_{each}") for each in ("id", "name", "tactics"))
    features = _texts(model, "feature")
    weights = _numbers(model, "weight", len(features))
    views = np.asarray(model.arrays["view"], np.int64)
    rows = len(model.arrays["score"])
    score = _numbers(model, "score", rows)
    keys = np.asarray(model.arrays["score_key"], np.int64)
    if keys.shape != (rows, 3) or views.ndim != 1 or (np.diff(views) <= 0).any():
        raise TypeError("arrays view and score_key do not fit")
    scores = {}
    for view in range(len(views)):
        for population in range(len(POPULATIONS)):
            for cls in range(len(LEARNT)):
                own = score[(keys == (view, population, cls)).all(axis=1)]
                scores[view, population, cls] = np.sort(own)
    families: dict[str, Family] = {}
    folds = _texts(model, "family")
    for fold, name, cls, number in zip(
        folds, *(_texts(model, f"family_{each}") for each in ("name", "class", "number")), strict=True
    ):
        if cls not in (*CLASSES, SHARED_CLASS, ""):
            raise TypeError(f"family {name!r} has class {cls!r}")
        families[fold] = Family(name, cls, number)
        if number:
            families[number.casefold()] = families[fold]
    actors = {
        fold: (name, tuple(each for each in CLASSES if each in classes.split(";")))
        for fold, name, classes in zip(
            _texts(model, "actor"), _texts(model, "actor_name"), _texts(model, "actor_classes"), strict=True
        )
    }
    given = _texts(model, "group_feature")
    starts = np.asarray(model.arrays["group_start"], np.int64)
    named = list(zip(*(_texts(model, f"group_{each}") for each in ("name", "number", "class")), strict=True))
    if len(starts) != len(named) + 1 or (np.diff(starts) < 0).any() or starts[-1] != len(given):
        raise TypeError("array group_start does not fit")
    groups = tuple(
        Group(name, number, cls, frozenset(given[starts[at] : starts[at + 1]]))
        for at, (name, number, cls) in enumerate(named)
    )
    weight = _numbers(model, "family_weight", 2)
    return Knowledge(
        digest=digest,
        card=model.card,
        techniques={
            number: (name, tuple(t for t in each.split(";") if t))
            for number, name, each in zip(numbers, names, tactics, strict=True)
        },
        weights=dict(zip(features, weights.tolist(), strict=True)),
        views=views,
        map=_numbers(model, "map", 4),
        scores=scores,
        # A name that is called hacktivist has no measured weight; it counts like the others.
        family_weight={
            TARGETED: float(weight[0]), FINANCIAL: float(weight[1]), HACKTIVIST: float(weight.mean())
        },
        families=families,
        actors=actors,
        artefacts=dict(zip(_texts(model, "artefact"), _texts(model, "artefact_family"), strict=True)),
        groups=groups,
        idf=inverse_frequency(groups),
    )  # fmt: skip


def inverse_frequency(groups: tuple[Group, ...]) -> dict[str, float]:
    """log(1 + groups / groups that have it) of each feature: what nearly all do tells next to nothing."""
    counts: dict[str, int] = {}
    for group in groups:
        for feature in group.features:
            counts[feature] = counts.get(feature, 0) + 1
    return {name: float(np.log((1 + len(groups)) / (1 + count))) for name, count in sorted(counts.items())}
