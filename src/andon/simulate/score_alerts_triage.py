"""Scoring decisions about cases of alerts against a simulated truth (``simulate.alerts``).

A case is *true* if one of its alerts tells of a host that was hurt. *Lost* are true cases that were dismissed;
*removed* are false ones that were. What is left to a human is what is not dismissed.

``episodes`` and ``cases`` stand in for screening where verification is measured by itself: alerts of one signature
about one host without a pause of five minutes are an episode, and every episode of at least medium severity is
inspected. Thresholds of nothing are learned here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa

from andon.records.alert import BLOCKED, MEDIUM, NOT_TOLD
from andon.records.case import CASE_GAP, LONGEST_CASE
from andon.records.triage import INSPECT, SCREENED, episode_id

GAP: Final = 300_000_000_000  # ns
MINUTES: Final = 2.4  # an analyst's, for a look: four hours for a hundred


@dataclass(frozen=True)
class Episode:
    """``row``: with the columns of ``records.triage.EPISODES`` that do not come from a ranker; ``true``: of the
    truth."""

    row: Mapping[str, Any]
    kinds: frozenset[str]
    true: bool


@dataclass
class Plain:
    """A case as it comes to verification."""

    id: str
    host: str
    address: str
    first: int
    last: int
    episodes: list[Episode] = field(default_factory=list)

    @property
    def true(self) -> bool:
        return any(e.true for e in self.episodes)

    @property
    def kinds(self) -> frozenset[str]:
        """Of causes; of a true case those of its true episodes."""
        return frozenset(k for e in self.episodes if e.true == self.true for k in e.kinds)


@dataclass(frozen=True)
class Judged:
    """``decision``: "act", "inspect" or "dismiss"."""

    case: Plain
    decision: str
    log_odds: float


def episodes(batches: Iterable[pa.RecordBatch], truth: pa.Table) -> list[Episode]:
    """Episodes of alerts (batches of kind alert), by time. ``truth``: ``simulate.alerts.TRUTH``."""
    table = (
        pa.Table.from_batches([b.replace_schema_metadata(None) for b in batches])
        .unify_dictionaries()
        .combine_chunks()
    )
    keys = [table.column(n).combine_chunks() for n in ("host", "product", "rule")]
    ts = table.column("ts").cast(pa.int64()).to_numpy()
    codes = [k.indices.to_numpy().astype(np.int64) for k in keys]
    order = np.lexsort((ts, *codes[::-1]))
    new = np.ones(len(order), np.bool_)
    if len(order) > 1:
        same = np.ones(len(order) - 1, np.bool_)
        for code in codes:
            same &= code[order][1:] == code[order][:-1]
        new[1:] = ~same | (np.diff(ts[order]) > GAP)
    begins = np.append(np.flatnonzero(new), len(order))
    real = {
        (file.split(".")[0], position): (kind, true)
        for file, position, kind, true in zip(
            *(truth.column(n).to_pylist() for n in ("file", "position", "kind", "true")), strict=True
        )
    }
    names = (
        "host", "product", "rule", "address", "title", "category", "src", "dst", "dst_port", "protocol", "user", "name",
        "attack", "cve", "severity", "disposition", "position", "source",
    )  # fmt: skip
    columns = {n: table.column(n).to_pylist() for n in names}
    made = []
    for a, b in zip(begins[:-1].tolist(), begins[1:].tolist(), strict=True):
        made.append(_episode(columns, ts, order[a:b].tolist(), real))
    return sorted(made, key=lambda e: (e.row["first"], e.row["id"]))


def _episode(
    columns: Mapping[str, list[Any]], ts: np.ndarray, rows: list[int], real: Mapping[tuple[str, int], Any]
) -> Episode:
    def each(name: str, most: int) -> list[str]:
        values = Counter(columns[name][r] for r in rows)
        return [v for v, _ in values.most_common(most) if v]

    one = rows[0]
    targets = Counter(
        f"{columns['dst'][r]}:{columns['dst_port'][r]}/{columns['protocol'][r]}"
        for r in rows
        if columns["dst"][r]
    )
    first, last = int(ts[rows[0]]), int(ts[rows[-1]])
    host, product, rule = columns["host"][one], columns["product"][one], columns["rule"][one]
    severity = max(columns["severity"][r] for r in rows)
    told = {columns["disposition"][r] for r in rows}
    row = {
        "id": episode_id("", host, product, rule, first), "site": "", "host": host, "address": columns["address"][one],
        "product": product, "rule": rule, "title": columns["title"][one], "severity": severity,
        "category": columns["category"][one], "first": first, "last": last, "alerts": len(rows), "over": True,
        "sources": each("src", 16), "targets": [t for t, _ in targets.most_common(16)], "users": each("user", 8),
        "names": each("name", 16), "paths": [], "digests": [], "commands": [],
        "attack": sorted({t for text in each("attack", 8) for t in text.split(",")}),
        "cves": sorted({t for text in each("cve", 8) for t in text.split(",")}),
        "disposition": told.pop() if len(told) == 1 else NOT_TOLD if BLOCKED in told else max(told),
        "tier": INSPECT if severity >= MEDIUM else SCREENED,
    }  # fmt: skip
    said = [real[columns["source"][r], columns["position"][r]] for r in rows]
    true = any(t for _, t in said)
    return Episode(row, frozenset(k for k, t in said if t == true), true)


def cases(every: Sequence[Episode]) -> list[Plain]:
    """Inspected episodes of one host, at most four hours, without a pause of half an hour."""
    open_now: dict[str, Plain] = {}
    made: list[Plain] = []
    for episode in every:
        row = episode.row
        if row["tier"] != INSPECT:
            continue
        held = open_now.get(row["address"])
        if held is None or row["first"] - held.last > CASE_GAP or row["first"] - held.first > LONGEST_CASE:
            held = Plain(row["id"], row["host"], row["address"], row["first"], row["last"])
            open_now[row["address"]] = held
            made.append(held)
        held.last = max(held.last, row["last"])
        held.episodes.append(episode)
    return made


@dataclass(frozen=True)
class Scores:
    """Cases: ``true``, ``lost`` of them; ``false``, ``removed`` of them; ``act``, ``act_true`` of them; ``days``."""

    true: int
    lost: int
    false: int
    removed: int
    act: int
    act_true: int
    days: float
    lost_kinds: Mapping[str, int]
    left_kinds: Mapping[str, int]

    @property
    def looks(self) -> float:
        """A day."""
        return (self.true - self.lost + self.false - self.removed) / self.days

    @property
    def minutes(self) -> float:
        """Of an analyst, a day."""
        return self.looks * MINUTES


def score(judged: Sequence[Judged], days: float) -> Scores:
    lost = [j for j in judged if j.case.true and j.decision == "dismiss"]
    false = [j for j in judged if not j.case.true]
    left = [j for j in false if j.decision != "dismiss"]
    act = [j for j in judged if j.decision == "act"]
    return Scores(
        true=len(judged) - len(false), lost=len(lost), false=len(false), removed=len(false) - len(left), act=len(act),
        act_true=sum(j.case.true for j in act), days=days,
        lost_kinds=Counter("+".join(sorted(j.case.kinds)) for j in lost),
        left_kinds=Counter("+".join(sorted(j.case.kinds)) for j in left),
    )  # fmt: skip
