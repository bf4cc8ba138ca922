"""What the casebook holds of interest to learning, read into the tables that the rest of the package works on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.learn.feedback.votes import Items
from andon.records.case import Verdict
from andon.records.triage import SCREENED

if TYPE_CHECKING:
    from andon.store.casebook import Casebook

MERGED = "merged"


@dataclass(frozen=True)
class Material:
    """``episodes``: columns of EPISODES, one row per episode that some verdict is about, by id; ``cases``: episode id
    -> case id; ``items``: the same for ``labels.fold``; ``verdicts``: all there are, in the order of storing;
    ``merged``: verdicts about cases that were merged since, which say nothing of single episodes any more."""

    verdicts: tuple[Verdict, ...]
    episodes: pa.Table
    items: Items
    cases: dict[str, str]
    merged: int


def read(book: Casebook) -> Material:
    """Raises StoreError. Cost: all verdicts, and the episodes that they are about."""
    told = tuple(book.verdicts.all())
    about: dict[str, list[str]] = {"episode": [], "case": [], "finding": []}
    for verdict in told:
        about.setdefault(verdict.subject[0], []).append(verdict.subject[1])
    held = book.cases.get_many(sorted(set(about["case"])))
    gone = {id for id, case in held.items() if case.state == MERGED}
    cases = {
        id: tuple(name for kind, name in case.items if kind == "episode")
        for id, case in held.items()
        if id not in gone
    }
    findings = {id: _episodes_of(book, id) for id in sorted(set(about["finding"]))}
    wanted = {*about["episode"], *(name for own in cases.values() for name in own)}
    wanted.update(name for own in findings.values() for name in own)
    episodes = book.episodes.get(sorted(wanted))
    case_of = {name: id for id, own in cases.items() for name in own}
    for name in episodes["id"].to_pylist():
        if name not in case_of:
            case = book.cases.of_item("episode", name)
            if case is not None:
                case_of[name] = case.id
    kept = tuple(v for v in told if v.subject[0] != "case" or v.subject[1] not in gone)
    return Material(kept, episodes, items_of(episodes, cases, findings), case_of, len(told) - len(kept))


def items_of(
    episodes: pa.Table, cases: dict[str, tuple[str, ...]], findings: dict[str, tuple[str, ...]]
) -> Items:
    """Episodes (columns of EPISODES, distinct ids) as what verdicts may be about."""
    products, rules = episodes["product"].to_pylist(), episodes["rule"].to_pylist()
    return Items(
        tuple(episodes["id"].to_pylist()),
        tuple(episodes["site"].to_pylist()),
        tuple(f"{product} {rule}" for product, rule in zip(products, rules, strict=True)),
        times(episodes, "first"),
        np.asarray(pc.not_equal(episodes["tier"], SCREENED).to_numpy(zero_copy_only=False), bool),
        cases,
        findings,
    )


def times(table: pa.Table, name: str) -> np.ndarray:
    """A column of times as int64 ns."""
    return np.asarray(table[name].cast(pa.int64()).to_numpy(zero_copy_only=False))


def _episodes_of(book: Casebook, id: str) -> tuple[str, ...]:
    """Episodes that a finding names in its attributes ("episode")."""
    found = book.finding(id)
    if found is None:
        return ()
    try:
        named: Any = json.loads(found.document).get("attributes", {}).get("episode", ())
    except (ValueError, AttributeError):
        return ()
    return (named,) if isinstance(named, str) else tuple(str(each) for each in named)


def recent(book: Casebook, since: int, columns: Sequence[str]) -> pa.Table:
    """Episodes whose last alert is at ``since`` (ns) or later, by their first alert. Read a page at a time."""
    from andon.store.casebook.case_records import EpisodeFilter

    parts, before = [], None
    while True:
        page = book.episodes.page(EpisodeFilter(since=since), limit=5000, before=before)
        parts.append(page.select(list(columns)))
        if page.num_rows < 5000:
            break
        before = (int(page["last"].cast(pa.int64())[-1].as_py()), int(page["seq"][-1].as_py()))
    return pa.concat_tables(parts).sort_by([("first", "ascending"), ("id", "ascending")])
