"""The way of a model: verdicts -> data set -> candidate -> comparison -> promoted or refused -> perhaps rolled back.

Each step can be done again and gives the same: data sets and models are named by their content. Nothing is promoted but
through ``promote``, which compares first; a person may overrule what it says, with a reason, in the audit log."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from andon.learn import registry
from andon.learn.feedback import datasets, material
from andon.learn.feedback.compare import LEAST_GROUPS, LOOKS, Comparison, OnSet, on_set, threshold
from andon.learn.feedback.datasets import RECENT, TRUE_GROUPS, DataSet, DataSetError, build, frozen_of
from andon.learn.feedback.labels import UNCONFIRMED, Labelled, Rules, fold
from andon.learn.feedback.shelf import Shelf
from andon.records.model import Model

if TYPE_CHECKING:
    from andon.store.casebook import Casebook

SCREENING: Final = "screening"
WEEK: Final = 7 * 86_400_000_000_000


class NotBetter(ValueError):
    """The candidate is refused; ``comparison`` tells why."""

    def __init__(self, comparison: Comparison) -> None:
        super().__init__("; ".join(comparison.reasons))
        self.comparison = comparison


@dataclass(frozen=True)
class Made:
    """A data set that was just made, what it was folded from, and the frozen set (None: not enough yet, ``waiting``
    says what is missing)."""

    data: DataSet
    labelled: Labelled
    frozen: DataSet | None
    waiting: str


def make_data(
    book: Casebook,
    shelf: Shelf,
    now: int,
    rules: Rules | None = None,
    held_sites: Collection[str] = (),
    refreeze: str = "",
) -> Made:
    """Fold all verdicts of the casebook, keep the data set, and freeze the evaluation set if that was not done yet and
    there is enough (``refreeze``: freeze it anew, for this reason). ``now``: ns.

    Raises StoreError, DataSetError."""
    held = material.read(book)
    rules = rules or Rules()
    labelled = fold(held.verdicts, held.items, rules)
    before = shelf.named("newest")
    about = {
        "kind": SCREENING,
        "rules": rules.to_dict(),
        "verdicts": len(held.verdicts),
        "last_verdict": max((verdict.id for verdict in held.verdicts), default=0),
        "merged_away": held.merged,
        "skipped": dict(labelled.skipped),
        "trust": labelled.trust.to_dict(),
        "alarms": [alarm.to_dict() for alarm in labelled.alarms][:100],
    }
    data = build(labelled.table, held.episodes, held.cases, before, held_sites, about)
    same = before is not None and _said(before) == _said(data) and before.table.equals(data.table)
    data = before if same and before is not None else shelf.keep_data(data, when=now)
    frozen, waiting = shelf.named("frozen"), ""
    if frozen is None or refreeze:
        try:
            made = frozen_of(data, refreeze or "first", TRUE_GROUPS)
            frozen = shelf.keep_data(made, "frozen", refreeze or "first", now)
        except DataSetError as error:
            waiting = str(error)
    return Made(data, labelled, frozen, waiting)


def _said(data: DataSet) -> dict[str, Any]:
    """The manifest without what names the data set and its forerunner."""
    return {
        name: value for name, value in data.manifest.items() if name not in ("hash", "data_sha256", "before")
    }


def groups_of(data: DataSet) -> np.ndarray:
    """What is left out together in training: networks; with one network alone its weeks, with one week its days."""
    site, time = data.column("site"), data.column("time")
    if len(set(site.tolist())) > 1:
        return np.array(site, dtype=str)
    for length in (WEEK, WEEK // 7):
        part = time // length
        if len(np.unique(part)) > 1:
            return part.astype(str)
    return np.array(data.column("group"), dtype=str)


def train_screening(data: DataSet, now: int, seed: int = 1, trees: int = 300) -> Model:
    """A screening model from the training side of a stored data set. Raises ValueError where it does not hold both true
    and false episodes."""
    from andon.learn.screening import audited, train

    own = data.training()
    if not len(own.table):
        raise ValueError("there is no episode to learn from yet")
    # Nothing is learnt from outcomes of the audit but alpha: those of both sides count, and a surprising "true" that
    # nobody confirmed yet too, since misses are just that.
    heard = data.where((data.column("weight") > 0) | (data.column("state") == UNCONFIRMED))
    outcomes = audited(heard.column("label"), heard.column("inclusion"), heard.column("time"))
    rate, error = outcomes.rate()
    groups = groups_of(own)
    card: dict[str, Any] = {
        "kind": SCREENING,
        "version": "1",
        "made": now,
        "data_set": data.hash,
        "data": "verdicts of this site's analysts; see the manifest of the data set",
        "label_rules": dict(data.manifest.get("rules", {})),
        "from": int(own.column("time").min()),
        "to": int(own.column("time").max()),
        "sites": sorted(set(own.column("site").tolist())),
        "not_for": "sites whose sensors and rules differ; a promise of what is missed without the audit sample",
        "audit": {
            "true": len(outcomes.drawn),
            "missed": int(outcomes.missed.sum()),
            "miss_rate": round(rate, 6) if len(outcomes.drawn) else None,
            "standard_error": round(error, 6) if len(outcomes.drawn) else None,
        },
    }
    made = train(
        own.features,
        own.column("label"),
        groups,
        own.column("weight"),
        seed,
        signatures=signatures(own),
        own=np.unique(groups).tolist(),  # all of them are of this store
        audit=outcomes,
        trees=trees,
        card=card,
    )
    return Model(made.kind, made.arrays, dict(made.card) | {"kind": SCREENING})


def signatures(data: DataSet) -> list[tuple[str, str, str]]:
    """(product, rule, title) of each row."""
    columns = (data.column(name).tolist() for name in ("product", "rule", "title"))
    return list(zip(*columns, strict=True))


def scores(model: Model | None, data: DataSet) -> np.ndarray:
    """Scores by a screening model; by rarity alone without one. Raises ValueError for a model of other features."""
    from andon.triage.screening.rank import Ranker, rarity

    if model is None:
        return rarity(data.features).score
    return Ranker.of(model).scored(data.features, signatures(data)).score


def _fits(model: Model) -> bool:
    """Is it made for the features of today?"""
    from andon.triage.screening.features import INPUTS

    return list(model.card.get("features", ())) == list(INPUTS)


def current(book: Casebook, shelf: Shelf, kind: str = SCREENING) -> tuple[str, Model | None]:
    """(what it is called, the model in use): promoted, else shipped, else none."""
    row = book.models.promoted(kind)
    if row is not None:
        return row.digest, shelf.model(kind, row.digest)
    shipped = registry.shipped()
    if kind in shipped:
        return f"shipped {shipped[kind].digest}", shipped[kind]
    return "first-seen", None


def compare(
    candidate: Model,
    now_in_use: Model | None,
    name: str,
    data: DataSet,
    frozen: DataSet | None,
    looks: int = LOOKS,
) -> Comparison:
    """On the frozen set, and on the evaluation side of the last 30 days of the candidate's data set."""
    if frozen is None:
        empty = OnSet(
            "frozen",
            "",
            0,
            0,
            0,
            why=(f"there is no frozen set yet ({LEAST_GROUPS['frozen']} true cases make one)",),
        )
        return Comparison(candidate.digest, name, (empty,), looks)
    if frozen.features.shape[1] != data.features.shape[1]:
        why = "it was frozen with other features: freeze it anew (andon learn dataset --refreeze REASON)"
        return Comparison(candidate.digest, name, (OnSet("frozen", frozen.hash, 0, 0, 0, why=(why,)),), looks)
    if now_in_use is not None and not _fits(now_in_use):  # it cannot screen any more either
        now_in_use, name = None, f"first-seen, {name} being of other features"
    sets = []
    pair = [scores(model, frozen) for model in (candidate, now_in_use)]
    sets.append(on_set("frozen", frozen, pair[0], pair[1], looks))
    label = frozen.column("label")
    limits = (threshold(pair[0], label), threshold(pair[1], label))
    newest = int(data.column("time").max(initial=0))
    late = data.evaluation(since=newest - RECENT)
    if len(late.table):
        pair = [scores(model, late) for model in (candidate, now_in_use)]
        sets.append(on_set("recent", late, pair[0], pair[1], looks, limits))
    else:
        sets.append(
            OnSet("recent", data.hash, 0, 0, 0, why=("nothing of the last 30 days was kept for evaluation",))
        )
    return Comparison(candidate.digest, name, tuple(sets), looks)


def train(
    book: Casebook, shelf: Shelf, data: DataSet, actor: str, now: int, seed: int = 1, trees: int = 300
) -> Model:
    """Train a candidate and enter it in the casebook. Raises ValueError, StoreError."""
    model = shelf.keep_model(train_screening(data, int(data.manifest.get("to", 0)), seed, trees))
    book.models.add(SCREENING, model.digest, dict(model.card), {}, actor, now)
    return model


def compared(book: Casebook, shelf: Shelf, digest: str, looks: int = LOOKS) -> Comparison:
    """Compare a stored model with the one in use. Raises ShelfError, DataSetError, StoreError."""
    candidate = shelf.model(SCREENING, digest)
    name, used = current(book, shelf)
    data = datasets.load(shelf.data, str(candidate.card.get("data_set", "")))
    return compare(candidate, used, name, data, shelf.named("frozen"), looks)


def promote(
    book: Casebook, shelf: Shelf, digest: str, actor: str, now: int, override: str = "", looks: int = LOOKS
) -> Comparison:
    """Compare and promote, or refuse: NotBetter. ``override``: a reason for promoting whatever the comparison says."""
    comparison = compared(book, shelf, digest, looks)
    told = comparison.to_dict()
    if comparison.promote:
        book.models.promote(SCREENING, digest, actor, told, now)
        return comparison
    if override:
        told |= {"override": {"reason": override, "by": actor}}
        book.models.promote(SCREENING, digest, actor, told, now, override)
        return comparison
    if book.models.get(SCREENING, digest).state == "candidate":
        book.models.refuse(SCREENING, digest, "; ".join(comparison.reasons), actor, told, now)
    raise NotBetter(comparison)
