"""Tables and findings: who is at risk, by how much more than all, what moved the forecast, and how well forecasts
held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from andon.detect.livenet.userrisk import memory as kept
from andon.detect.livenet.userrisk.counters import COLUMN, COUNTERS, Day
from andon.detect.livenet.userrisk.memory import BOOST, FEATURES, HALF_LIVES, RATE, C, Memory
from andon.detect.livenet.userrisk.weekly import WEEK, Forecast
from andon.records.contract import Context
from andon.records.finding import Check, Entity, Evidence, Finding, address_type, sql_text, timestamp
from andon.records.neutral import neutral

_DAY: Final = 86_400_000_000_000
_TIME: Final = pa.timestamp("ns", tz="UTC")
MODELS: Final = ("used", "gamma-poisson", "boosted trees", "met before")
RISK: Final = pa.schema([
    pa.field("terminal", pa.string(), nullable=False),
    pa.field("probability", pa.float64(), nullable=False),  # of meeting something new that is malicious in 7 days
    pa.field("rate", pa.float64(), nullable=False),  # such contacts a week, gamma-Poisson
    pa.field("low", pa.float64(), nullable=False),  # of the rate, 80 % interval
    pa.field("high", pa.float64(), nullable=False),
    pa.field("model", pa.string(), nullable=False),  # where the probability comes from: one of MODELS
    pa.field("infected", pa.bool_(), nullable=False),  # certainly or probably, within the last 30 days
    pa.field("reasons", pa.list_(pa.string()), nullable=False),  # of the first rows; texts
])  # fmt: skip
QUALITY: Final = pa.schema([
    pa.field("from", _TIME, nullable=False),  # the seven days that were forecast begin here
    pa.field("model", pa.string(), nullable=False),
    pa.field("used", pa.bool_(), nullable=False),  # its probabilities were those of the table of that week
    pa.field("terminals", pa.int64(), nullable=False),
    pa.field("met", pa.int64(), nullable=False),  # of them that met something new that is malicious
    pa.field("auc", pa.float64()),  # null: not defined, all or none met something
    pa.field("calibration_error", pa.float64()),  # mean distance of forecast and outcome over ten bins
    pa.field("log_loss", pa.float64()),
    pa.field("precision", pa.float64()),  # share among the first hundredth that met something
    pa.field("lift", pa.float64()),  # that over the share of all
])  # fmt: skip
EXPLAINED: Final = 200  # rows of the table with reasons
INFECTED_DAYS: Final = 30


@dataclass(frozen=True)
class Limits:
    """``findings`` a week; ``lift``: how many times the mean forecast, and ``least``: the smallest probability,
    told."""

    findings: int
    lift: float
    least: float


def quality_table(rows: np.ndarray) -> pa.Table:
    """What is known of past weeks; the row "used" is left to the flag of the model that was."""
    rows = rows[rows[:, 1] != kept.USED] if len(rows) else rows

    def number(column: int) -> pa.Array:
        values = rows[:, column]
        return pa.array(values, pa.float64(), mask=np.isnan(values))

    return pa.table({
        "from": pa.array(((rows[:, 0] + 1) * _DAY).astype(np.int64), _TIME),
        "model": pa.array([MODELS[int(m)] for m in rows[:, 1]], pa.string()),
        "used": pa.array(rows[:, 9] > 0, pa.bool_()),
        "terminals": pa.array(rows[:, 2].astype(np.int64)), "met": pa.array(rows[:, 3].astype(np.int64)),
        "auc": number(4), "calibration_error": number(5), "log_loss": number(6), "precision": number(7),
        "lift": number(8),
    }, schema=QUALITY)  # fmt: skip


@dataclass(frozen=True)
class Told:
    """Rows of the memory in the order of the table, with the reasons of the first."""

    rows: np.ndarray
    reasons: list[list[str]]
    infected: np.ndarray
    table: pa.Table


def told(memory: Memory, of: Forecast) -> Told:
    mine = memory.population()
    p = of.p[mine, kept.USED]
    names = np.array([memory.names[i] for i in mine.tolist()], object)
    order = np.array(sorted(range(len(mine)), key=lambda i: (-p[i], names[i])), np.int64)
    rows = mine[order]
    rate = memory.rates()
    infected = memory.infected[rows] > memory.today - INFECTED_DAYS
    reasons = why(memory, of, rows[:EXPLAINED]) + [[] for _ in range(max(len(rows) - EXPLAINED, 0))]
    table = pa.table({
        "terminal": pa.array(names[order].tolist(), pa.string()),
        "probability": p[order], "rate": rate.rate[rows], "low": rate.low[rows], "high": rate.high[rows],
        "model": pa.array([MODELS[of.used]] * len(rows), pa.string()), "infected": infected,
        "reasons": pa.array(reasons, pa.list_(pa.string())),
    }, schema=RISK)  # fmt: skip
    return Told(rows, reasons, infected, table)


def why(memory: Memory, of: Forecast, rows: np.ndarray) -> list[list[str]]:
    """What moved the forecast of each of these terminals, the most first."""
    if not len(rows):
        return []
    if of.used != BOOST or memory.model is None:
        return [_rate_reason(memory, row) for row in rows.tolist()]
    moved = memory.model.contributions(of.features[rows])
    mine = memory.population()
    usual = np.median(of.features[mine], axis=0)
    most = np.argsort(-moved, axis=1, kind="stable")[:, :3].tolist()
    return [
        [
            _reason(memory, row, f, of.features[row, f], usual[f], moved[i, f])
            for f in most[i]
            if moved[i, f] > 0.05
        ]
        for i, row in enumerate(rows.tolist())
    ]


def _rate_reason(memory: Memory, row: int) -> list[str]:
    k, t = memory.sums[row, COLUMN["met"], 2], memory.weights()[row, 2]
    days = memory.today - int(memory.first[row]) + 1
    if k < 0.01:
        return [
            f"met nothing malicious in the {_days(days)} it is known: the rate of all terminals, lowered by that"
        ]
    return [f"new malicious destinations: {k:.2g} in {_days(round(t))}, older ones counting less"]


def _reason(memory: Memory, row: int, feature: int, value: float, usual: float, moved: float) -> str:
    odds = f"odds x {np.exp(moved):.1f}"
    name = FEATURES[feature]
    if name == "age":
        return f"known for {_days(memory.today - int(memory.first[row]) + 1)} ({odds})"
    if name == "rate":
        return f"{_rate_reason(memory, row)[0]} ({odds})"
    if " of " in name:
        one, other = (COUNTERS[part] for part in name.split(" of "))
        return f"{one}, over {other}: {value:.3g}, median {usual:.3g} ({odds})"
    label = list(COUNTERS.values())[feature % C]
    half = HALF_LIVES[feature // C]
    return f"{label}: {np.expm1(value):.3g} a day over about {_days(half)}, median {np.expm1(usual):.3g} ({odds})"


def findings(
    engine: tuple[str, int],
    memory: Memory,
    of: Forecast,
    who: Told,
    day: Day,
    limits: Limits,
    ctx: Context[Any],
) -> tuple[Finding, ...]:
    """The terminals most at risk, at the end of a week; not those that are infected or suspected, whose findings are
    another engine's. Nothing is told before one week's forecast was held against what came."""
    p = of.p[who.rows, kept.USED]
    if not len(p) or not len(memory.quality):
        return ()
    mean = float(p.mean())
    worth = np.flatnonzero((p >= limits.lift * mean) & (p >= limits.least))
    ill = int(who.infected[worth].sum())
    worth = worth[~who.infected[worth]]
    said, left = worth[: limits.findings], max(len(worth) - limits.findings, 0)
    aside = f" Infected or suspected already, with as high a chance: {ill:,}." if ill else ""
    aside += f" More that are above the bar: {left:,} (raise livenet.userrisk.findings)." if left else ""
    held, rate = _held(memory, of.used), memory.rates()
    today = dict(zip(day.names, range(len(day.names)), strict=True))
    ends = timestamp(ctx.end + WEEK * _DAY)
    made = []
    for place in said.tolist():
        row, chance = int(who.rows[place]), float(p[place])
        name = memory.names[row]
        shown = neutral(name)
        made.append(Finding(
            engine=engine[0], engine_version=engine[1], kind="user-at-risk",
            title=f"{shown}: {chance:.0%} chance of meeting something malicious within a week",
            statement=(
                f"Until {ends} {shown} will, with a chance of {chance:.1%}, contact a black-listed or certainly "
                f"malicious destination that it has not contacted before: {chance / mean:.1f} times the mean of all "
                f"{len(p):,} terminals ({mean:.2%}). What moved it: "
                f"{'; '.join(who.reasons[place]) or 'many counters, each a little'}."
                f"{aside}"
            ),
            confidence=min(max(chance, 0.0), 1.0), calibration=held, window=(ctx.start, ctx.end),
            subject=(address_type(name, "user-account"), name), first_seen=int(memory.first[row]) * _DAY,
            last_seen=min((int(memory.last[row]) + 1) * _DAY, ctx.end),
            count=int(day.values[today[name], COLUMN["requests"]]) if name in today else 0,
            entities=(Entity(address_type(name, "user-account"), name),),
            evidence=_evidence(name, who.reasons[place], day, today),
            attributes={
                "rank": place + 1, "probability": round(chance, 6), "mean": round(mean, 6), "model": MODELS[of.used],
                "rate": round(float(rate.rate[row]), 6), "low": round(float(rate.low[row]), 6),
                "high": round(float(rate.high[row]), 6), "until": ends, "reasons": who.reasons[place],
            },
        ))  # fmt: skip
    return tuple(made)


def _days(number: float) -> str:
    return f"{number:g} day{'s' * (number != 1)}"


def _evidence(name: str, reasons: list[str], day: Day, today: dict[str, int]) -> tuple[Evidence, ...]:
    """The reasons, and of the last day what can be counted."""
    made = [Evidence(reason) for reason in reasons]
    if name in today:
        quoted = sql_text(name)
        made.append(Evidence(
            "On the last day it visited so many destinations (by chance: the mean of all terminals).",
            Check(relation="", by_chance=round(float(day.values[:, COLUMN["destinations"]].mean()), 3), tool="sql",
                  expression=f"SELECT count(*) FROM livenet_edges_edges WHERE terminal = {quoted}"),
        ))  # fmt: skip
        made.append(Evidence(
            "So many of them stand on no list.",
            Check(relation="", by_chance=round(float(day.values[:, COLUMN["gray"]].mean()), 3), tool="sql",
                  expression="SELECT count(*) FROM livenet_edges_edges e JOIN livenet_edges_destinations d ON "
                  f"e.destination = d.destination WHERE d.colour = 'gray' AND e.terminal = {quoted}"),
        ))  # fmt: skip
    return tuple(made)


def _held(memory: Memory, used: int) -> str:
    """How the forecasts of the last weeks held."""
    rows = memory.quality
    rows = rows[(rows[:, 1] == used) & ~np.isnan(rows[:, 4])][-4:]
    model = (
        MODELS[used] if used != RATE else "gamma-Poisson rate alone (no trees yet, or they were no better)"
    )
    if not len(rows):
        return f"{model}; no finished week yet that could show whether its forecasts hold"
    return (
        f"{model}; last {len(rows)} finished weeks: AUC {rows[:, 4].mean():.2f}, calibration error "
        f"{rows[:, 5].mean():.4f}, {np.nanmean(rows[:, 8]):.1f} times the mean among the first hundredth"
    )
