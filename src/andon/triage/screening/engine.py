"""The engine: alerts in, episodes with score, rank, tier and reasons out. See the package's text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, ClassVar, Final

import numpy as np
import pyarrow as pa

from andon.records.contract import Context, Outcome, Site, State, Window
from andon.records.finding import Finding
from andon.records.triage import EPISODES
from andon.triage.screening import counters, queue
from andon.triage.screening.conformal import Promise
from andon.triage.screening.episodes import GAP, Episodes, advance, remember
from andon.triage.screening.features import INPUTS, features, rarity
from andon.triage.screening.memory import PAST, Memory
from andon.triage.screening.rank import FIRST_SEEN, KIND, Ranker, Scored
from andon.triage.screening.rank import rarity as rarity_score
from andon.triage.screening.reasons import concepts, reasons
from andon.triage.screening.report import Said, findings
from andon.triage.screening.severity import Told, counted, told
from andon.triage.screening.summary import TITLE, Summary, Table, joined, take
from andon.triage.screening.table import ids, single, table, words
from andon.triage.screening.tiers import chances, tiers

_DAY: Final = 86_400_000_000_000
_NEAR: Final = 14_400_000_000_000  # ns; how far back episodes are neighbours
_PAST: Final = 50_000  # episodes that are remembered for that and for the day's queue


def engine(site: Site) -> ScreeningEngine:
    return ScreeningEngine(site)


class ScreeningEngine:
    """See the package's text. Raises ValueError for a setting out of range or a model that does not fit."""

    name: ClassVar[str] = "triage.screening"
    version: ClassVar[int] = 2
    reads: ClassVar[tuple[str, ...]] = ("alert",)
    columns: ClassVar[tuple[str, ...]] = ()
    window: ClassVar[Window] = Window(tile="10min", spans=("10min", "1d"))
    needs: ClassVar[tuple[str, ...]] = ()
    uses: ClassVar[tuple[str, ...]] = (
        "hash_key",
        "models",
        *(
            f"triage.screening.{name}"
            for name in (
                "model",
                "budget",
                "audit",
                "audit_budget",
                "alpha",
                "confidence",
                "findings",
                "pairs",
                "remembered",
            )
        ),
    )
    publishes: ClassVar[Mapping[str, pa.Schema]] = MappingProxyType({"episodes": EPISODES})
    limit: ClassVar[int] = 4 << 30
    carries: ClassVar[type[State]] = Memory

    def __init__(self, site: Site) -> None:
        wanted = site.setting(self.name, "model", "shipped")
        if wanted not in ("shipped", "rarity"):
            raise ValueError(f'{self.name}.model is "shipped" or "rarity", not {wanted!r}')
        self._budget = site.count(self.name, "budget", 100, 100_000)
        self._audit = site.number(self.name, "audit", 0.01, 1.0, least=0.0)
        self._audits = self._budget * site.number(self.name, "audit_budget", 0.1, 1.0, least=0.0)
        self._alpha = site.number(self.name, "alpha", 0.1, 0.5)
        self._confidence = site.number(self.name, "confidence", 0.95, 0.9999)
        self._findings = site.count(self.name, "findings", 1000, 100_000)
        self._pairs = site.count(self.name, "pairs", 500_000, 50_000_000)
        self._remembered = site.count(self.name, "remembered", 1_000_000, 100_000_000)
        self._key = site.hash_key
        self._ranker = Ranker.of(site.models[KIND]) if wanted == "shipped" and KIND in site.models else None
        self._promise = self._ranker.promise(self._alpha, self._confidence) if self._ranker else None

    def empty(self) -> Summary:
        return Summary(self._pairs)

    def summarise(self, batch: pa.RecordBatch, into: Summary) -> Summary:
        into.add(batch)
        return into

    def merge(self, a: Summary, b: Summary) -> Summary:
        a.merge(b)
        return a

    def conclude(self, summary: Summary, carry: Memory | None, ctx: Context[Memory]) -> Outcome[Memory]:
        before = carry or Memory()
        made, memory = advance(summary, before)
        if not len(made):
            past = _recent(memory.past, ctx)
            return Outcome(tables={"episodes": EPISODES.empty_table()}, carry=replace(memory, past=past))
        x = features(made, before.past)
        ranked = self._score(made, x)
        severity = told(made, before.severities)
        scored = replace(
            ranked, score=severity.scored(ranked.score), probability=severity.likely(ranked.probability)
        )
        chance = self._chances(made, before, ctx)
        touched = made.table["last"] >= ctx.start
        over = made.table["last"] + GAP < ctx.end
        past, rank, worth = _queued(before.past, made, scored, ctx)
        after = remember(made, memory, ~over, chance)
        since = int(made.table["first"].min()) if before.since < 0 else before.since
        after = replace(after, past=past, severities=counted(made, before.severities, over), since=since)
        after = after.bounded(ctx.end / 1e9, self._remembered)
        # A day's queue shows what fired on that day; the short spans also tell that an episode is over.
        listed = touched | (over if ctx.end - ctx.start < _DAY else np.zeros(len(made), bool))
        shown = self._table(made, x, scored, ranked.score, severity, chance, rank, over | ctx.partial, listed,
                            self._looks(since, ctx))  # fmt: skip
        raised: tuple[Finding, ...] = ()
        if ctx.end - ctx.start >= _DAY:
            extra = (worth[listed], severity.weight[listed])
            raised = findings(shown, *extra, self._findings, self._said(summary, after), ctx)
        return Outcome(findings=raised, tables={"episodes": shown}, carry=after)

    def _looks(self, since: int, ctx: Context[Memory]) -> int:
        """How many places of the queue are shown: the budget, and of it on the first day (alerts have come ``since``,
        ns) the part that its time so far may use, or nearly everything of its early hours would be shown."""
        gone = 1.0 if ctx.end - ctx.start >= _DAY else (ctx.end - since) / _DAY
        return math.ceil(self._budget * min(gone, 1.0))

    def _score(self, made: Episodes, x: np.ndarray) -> Scored:
        if self._ranker is None:
            return rarity_score(x)
        return self._ranker.scored(x, _signatures(made), explain=False)

    def _concepts(self, made: Episodes, x: np.ndarray, scored: Scored, rows: np.ndarray) -> np.ndarray:
        """Of these rows; reasons of what is not shown would be most of the work."""
        if self._ranker is None or not len(rows):
            return concepts(scored.parts[rows] if self._ranker is None else np.zeros((0, len(INPUTS))))
        told = _signatures(made)
        return concepts(self._ranker.parts(x[rows], [told[i] for i in rows.tolist()]))

    def _chances(self, made: Episodes, before: Memory, ctx: Context[Memory]) -> np.ndarray:
        """Of the audit's draw: what it was when the episode began."""
        table = made.table
        out = chances(table["site"], table["first"], self._audit, self._audits)
        if len(before.chance):
            order = np.argsort(before.open["pair"])
            at = order[np.searchsorted(before.open["pair"], table["pair"], sorter=order) % len(order)]
            same = (before.open["pair"][at] == table["pair"]) & (before.open["first"][at] == table["first"])
            out[same] = before.chance[at[same]]
        return out

    def _table(
        self,
        made: Episodes,
        x: np.ndarray,
        scored: Scored,
        ranked: np.ndarray,
        severity: Told,
        chance: np.ndarray,
        rank: np.ndarray,
        over: np.ndarray,
        listed: np.ndarray,
        budget: int,
    ) -> pa.Table:
        """``ranked``: scores without severities, which the promise was calibrated on; ``budget``: of looks so far."""
        names = ids(made)
        chosen = tiers(ranked, rank, names, self._promise, budget, chance, self._key)
        nothing: tuple[list[str], list[float]] = ([], [])
        why = [nothing] * len(names)
        rows = np.flatnonzero(chosen.shown & listed)
        for i, summed in zip(rows.tolist(), self._concepts(made, x, scored, rows), strict=True):
            why[i] = reasons(x[i], summed, severity.reason(i))
        width = x.shape[1]
        values = pa.ListArray.from_arrays(
            pa.array(np.arange(0, len(x) * width + 1, width), pa.int32()), pa.array(x.ravel(), pa.float32())
        )
        judged: dict[str, Any] = {
            "id": names,
            "over": over,
            "score": scored.score,
            "probability": scored.probability,
            "rank": rank,
            "tier": chosen.tiers,
            "why_tier": chosen.reasons,
            "reasons": [each[0] for each in why],
            "weights": [each[1] for each in why],
            "features": values,
            "model": [self._ranker.digest if self._ranker else FIRST_SEEN] * len(names),
            "audit_probability": chosen.drawn,
        }
        return table(made, judged, lambda: listed)

    def _said(self, summary: Summary, memory: Memory) -> Said:
        promise: Promise | None = self._promise
        note = (
            "No labels yet: ordered by rarity."
            if self._ranker is None
            else promise.statement
            if promise
            else ""
        )
        left_out = ""
        if summary.left_out:
            many = f"{summary.left_out:,} alerts of the day were left out for want of room"
            left_out += f"{many} (raise {self.name}.pairs)."
        if memory.forgotten:
            left_out += (
                f" {memory.forgotten:,} pairs of rule and host were forgotten for want of room since the beginning "
                f"(raise {self.name}.remembered): some of what is called new may not be."
            )
        if note:
            note = note[0].upper() + note[1:] + ("" if note.endswith(".") else ".")
        return Said((self.name, self.version), promise, note, left_out.strip(), self._ranker is not None)


def _signatures(made: Episodes) -> list[tuple[str, str, str]]:
    """(product, rule, title) of each."""
    return list(zip(words(made, "product"), words(made, "rule"), single(made, TITLE), strict=True))


def _recent(past: Table, ctx: Context[Any]) -> Table:
    """What is still near, or of the queue."""
    return take(past, (past["last"] >= _queue_from(ctx)) | (past["first"] >= ctx.end - _NEAR))


def _queue_from(ctx: Context[Any]) -> int:
    """ns from which on episodes stand in one queue: the day's, or in shorter spans that of the last 24 hours. A queue
    that began anew at midnight would have next to no place for what happens soon after it."""
    return ctx.start // _DAY * _DAY if ctx.end - ctx.start >= _DAY else ctx.end - _DAY


def _queued(
    past: Table, made: Episodes, scored: Scored, ctx: Context[Any]
) -> tuple[Table, np.ndarray, np.ndarray]:
    """(PAST with the episodes of the span, new figures for those that go on; rank of each of them among the episodes of
    its site in the queue so far; its worth there)."""
    t, n = made.table, len(made)
    mine = {name: t[name] for name in ("pair", "host", "signature", "site", "first", "last")} | {
        "rarity": rarity(made.begun[:, counters.SINCE_PAIR]),
        "site_rarity": rarity(made.begun[:, counters.SINCE_SIGNATURE]),
        "score": scored.score,
    }
    every = joined([{name: mine[name] for name in PAST}, past])
    order = np.lexsort((np.arange(len(every["pair"])) >= n, every["pair"], every["first"]))
    every = take(every, order)
    new = np.ones(len(order), bool)
    new[1:] = (every["pair"][1:] != every["pair"][:-1]) | (every["first"][1:] != every["first"][:-1])
    place = np.empty(len(order), np.int64)
    place[order] = np.cumsum(new) - 1
    every = take(every, new)
    rank, worth = np.zeros(len(every["pair"]), np.int64), np.zeros(len(every["pair"]))
    queued = every["last"] >= _queue_from(ctx)
    for site in np.unique(t["site"]).tolist():
        at = np.flatnonzero(queued & (every["site"] == site))
        columns = (every[name][at] for name in ("score", "signature", "host", "first"))
        rank[at], worth[at] = queue.ranks(*columns)
    kept = _recent(every, ctx)
    if len(kept["pair"]) > _PAST:
        kept = take(kept, np.sort(np.lexsort((kept["pair"], -kept["score"]))[:_PAST]))
    return kept, rank[place[:n]], worth[place[:n]]
