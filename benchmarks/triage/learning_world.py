"""Analysts over AIT-ADS episodes: who is shown what, and what he says of it, honest, tired or hostile."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import ait
import numpy as np
import pyarrow as pa

from andon.learn.feedback.datasets import DataSet, build
from andon.learn.feedback.labels import Labelled, Rules, fold
from andon.learn.feedback.material import items_of
from andon.learn.feedback.queries import seconds
from andon.learn.feedback.votes import Items
from andon.learn.screening.training import Rows, scores
from andon.records.case import Verdict
from andon.records.triage import EPISODES

HOUR = 3_600_000_000_000
DAY = 24 * HOUR
TREES = 100


@dataclass(frozen=True)
class World:
    """All networks in order. ``truth``: 1, 0, -1 (inside an attack, not labelled: never judged here)."""

    site: np.ndarray
    first: np.ndarray
    host: np.ndarray
    rules: list[tuple[str, str, str]]
    features: np.ndarray
    truth: np.ndarray
    steps: list[frozenset[str]]
    days: dict[str, int]
    id: np.ndarray
    case: np.ndarray
    shown: np.ndarray  # "", "top", "audit"
    score: np.ndarray

    def rows(
        self, mask: np.ndarray, label: np.ndarray | None = None, weight: np.ndarray | None = None
    ) -> Rows:
        at = np.flatnonzero(mask)
        return Rows(
            self.features[at], (self.truth[at] if label is None else label).astype(float), self.site[at],
            [self.rules[i] for i in at], np.ones(len(at)) if weight is None else weight,
        )  # fmt: skip


def world(looks: int = 40, audit: float = 0.03, seed: int = 1) -> World:
    """``looks`` a day and network by a score that did not see the network, and an audit of the rest."""
    nets = [ait.network(name, table) for name, table in ait.load().items()]
    site = np.concatenate([np.full(len(n), n.name, object) for n in nets]).astype(str)
    first = np.concatenate([n.first for n in nets])
    truth = np.concatenate([np.where(n.true, 1, np.where(n.unclear, -1, 0)) for n in nets])
    host = np.concatenate([np.array([f"{n.name}-{h}" for h in n.host]) for n in nets])
    made = World(
        site, first, host, [r for n in nets for r in n.rules], np.concatenate([n.features for n in nets]), truth,
        [s for n in nets for s in n.steps], {n.name: n.days for n in nets},
        np.array([f"e{i:05d}" for i in range(len(site))]), _cases(host, first), np.full(len(site), "", object),
        np.zeros(len(site)),
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    for name in made.days:
        train, own = (site != name) & (truth >= 0), site == name
        made.score[own] = scores(made.rows(train), made.rows(own), 1, TREES)
        for day in np.unique(first[own] // DAY):
            rows = np.flatnonzero(own & (first // DAY == day) & (truth >= 0))
            best = rows[np.argsort(-made.score[rows], kind="stable")]
            made.shown[best[:looks]] = "top"
            made.shown[best[looks:][rng.random(len(best[looks:])) < audit]] = "audit"
    return replace(made)


def _cases(host: np.ndarray, first: np.ndarray) -> np.ndarray:
    out = np.zeros(len(host), np.int64)
    number, begun, last, held = -1, 0, 0, ""
    for row in np.lexsort((first, host)):
        if host[row] != held or first[row] - last > HOUR // 2 or first[row] - begun > 4 * HOUR:
            number, begun, held = number + 1, first[row], host[row]
        last = first[row]
        out[row] = number
    return out


@dataclass(frozen=True)
class Team:
    """``noise``: share of slips; ``hostile``: "" or what analyst 0 does: "deny" (every true one is false), "invert",
    "target" (one rule is always false), "flood" (the same, and he closes all of that rule unasked)."""

    analysts: int = 3
    noise: float = 0.0
    hostile: str = ""
    target: str = ""
    seed: int = 0

    def name(self) -> str:
        what = {"deny": "one denies all true ones", "invert": "one says the opposite", "target": "one protects a rule",
                "flood": "one floods a rule", "": ""}[self.hostile]  # fmt: skip
        noise = f"{self.noise:.0%} slips" if self.noise else ""
        return f"{self.analysts} analysts, " + (", ".join(filter(None, (noise, what))) or "no errors")


def _says(w: World, team: Team, who: int, row: int, rng: np.random.Generator) -> bool:
    true = bool(w.truth[row] == 1)
    slip = bool(rng.random() < team.noise)
    if who == 0 and team.hostile == "deny":
        return False
    if who == 0 and team.hostile == "invert":
        return not true
    if who == 0 and team.hostile in ("target", "flood") and w.rules[row][1] == team.target:
        return False
    return true != slip


def judged(w: World, where: np.ndarray, team: Team, rules: Rules | None = None) -> tuple[Labelled, int]:
    """Labels of what was shown of ``where``, after the second looks, and how many verdicts it took."""
    told, items = told_of(w, where, team)
    return fold(told, items, rules), len(told)


def told_of(w: World, where: np.ndarray, team: Team, second: int = 2) -> tuple[list[Verdict], Items]:
    """Verdicts on what was shown of ``where``, and ``second`` rounds of second looks."""
    rng = np.random.default_rng(team.seed)
    told: list[Verdict] = []

    def say(row: int, who: int, shown: str, later: int) -> None:
        label = "true-positive" if _says(w, team, who, row, rng) else "false-positive"
        when = int(w.first[row]) + later
        told.append(
            Verdict(
                ("episode", str(w.id[row])), label, f"a{who}", shown=shown, time=when, id=len(told) + 1,
                note="second look" if later >= 2 * DAY else "",
            )
        )  # fmt: skip

    for row in np.flatnonzero(where & (w.shown != "")):
        say(row, int(rng.integers(team.analysts)), str(w.shown[row]), HOUR)
    if team.hostile == "flood":
        for row in np.flatnonzero(where & (np.array([r[1] for r in w.rules]) == team.target)):
            say(row, 0, "manual", 2 * HOUR)
    _, items = episodes(w, where)
    place = {str(name): n for n, name in enumerate(w.id)}
    for turn in range(second):
        made = fold(told, items).table
        ids = made["id"].to_pylist()
        for query in seconds(made):
            free = [a for a in range(team.analysts) if f"a{a}" not in query.not_by]
            if free:
                say(place[ids[query.row]], int(rng.choice(free)), "manual", (turn + 2) * DAY)
    return told, items


def episodes(w: World, where: np.ndarray) -> tuple[pa.Table, Items]:
    """Rows as EPISODES (what learning reads of them) and as items."""
    rows = np.flatnonzero(where)
    n = len(rows)
    columns: dict[str, object] = {}
    for field in EPISODES:
        if pa.types.is_string(field.type):
            columns[field.name] = pa.array([""] * n)
        elif pa.types.is_list(field.type):
            columns[field.name] = pa.array([[]] * n, field.type)
        elif pa.types.is_boolean(field.type):
            columns[field.name] = pa.array(np.ones(n, bool))
        else:
            columns[field.name] = (
                pa.array(np.zeros(n))
                .cast(field.type if not pa.types.is_timestamp(field.type) else pa.int64())
                .cast(field.type)
            )
    product, rule, title = (list(each) for each in zip(*(w.rules[i] for i in rows), strict=True))
    tier = ["audit" if w.shown[i] == "audit" else "inspect" if w.shown[i] else "screened" for i in rows]
    columns |= {
        "id": pa.array(w.id[rows].tolist()), "site": pa.array(w.site[rows].tolist()),
        "host": pa.array(w.host[rows].tolist()), "product": pa.array(product), "rule": pa.array(rule),
        "title": pa.array(title), "first": pa.array(w.first[rows]).cast(EPISODES.field("first").type),
        "last": pa.array(w.first[rows]).cast(EPISODES.field("last").type), "tier": pa.array(tier),
        "score": pa.array(w.score[rows]), "model": pa.array(["first-seen"] * n),
        "audit_probability": pa.array(np.where(w.shown[rows] == "audit", 0.03, 0.0)),
        "features": pa.array(list(w.features[rows]), EPISODES.field("features").type),
    }  # fmt: skip
    table = pa.Table.from_arrays([columns[f.name] for f in EPISODES], schema=EPISODES)
    return table, items_of(table, {}, {})


def data_set(w: World, where: np.ndarray, made: Labelled, held: Sequence[str] = ()) -> DataSet:
    """The data set of these labels, not stored."""
    table, _ = episodes(w, where)
    cases = {str(w.id[i]): str(w.case[i]) for i in np.flatnonzero(where)}
    return build(made.table, table, cases, None, held)


def found(w: World, where: np.ndarray, score: np.ndarray, looks: int = 10) -> int:
    """Steps with an episode among the first ``looks`` a day of each network of ``where``."""
    count = 0
    for name, days in w.days.items():
        own = np.flatnonzero(where & (w.site == name))
        if len(own):
            best = own[np.argsort(-score[own], kind="stable")][: looks * days]
            count += len(frozenset().union(*(w.steps[i] for i in best)))
    return count


def provenance(made: Labelled) -> list[list[dict[str, object]]]:
    return [json.loads(text) for text in made.table["provenance"].to_pylist()]
