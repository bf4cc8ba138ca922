"""Tables and findings of the forecasts."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa

from andon.records.contract import Context
from andon.records.finding import Check, Evidence, Finding, timestamp
from andon.triage.forecast.memory import MISSING, Volumes
from andon.triage.prediction.gate import SHUT
from andon.triage.prediction.volume import BASELINES, CANDIDATES, DAY, TAUS, surprise

NAME: Final = "triage.forecast"
VERSION: Final = 1
_HOUR: Final = 3600 * 1_000_000_000
_TIME: Final = pa.timestamp("ns", tz="UTC")
_LEAST: Final = 30  # packets of an hour that are worth a word
_TIMES: Final = 2.0  # the usual total, and the 95 % quantile
_PORT: list[pa.Field[Any]] = [
    pa.field("start", _TIME, nullable=False),  # of the hour; in quality: of the day that was judged
    pa.field("proto", pa.uint8(), nullable=False),
    pa.field("port", pa.uint16(), nullable=False),
]
_QUANTILES: Final = tuple(f"q{round(100 * tau):02d}" for tau in TAUS)
# Only where the gate is open.
FORECAST: Final = pa.schema(
    [*_PORT, pa.field("by", pa.string(), nullable=False)]
    + [pa.field(name, pa.float64(), nullable=False) for name in _QUANTILES]
)
# Every hour that is over, of every port that is followed; low and high (5 and 95 %) are null where the gate is shut.
VOLUME: Final = pa.schema(
    [
        *_PORT,
        pa.field("packets", pa.int64(), nullable=False),
        pa.field("median", pa.float64()),
        pa.field("low", pa.float64()),
        pa.field("high", pa.float64()),
    ]
)
# Pinball losses of the day, lower is better; null where nothing was forecast. ``shown``: the way that was shown, or "".
QUALITY: Final = pa.schema(
    [*_PORT, pa.field("shown", pa.string(), nullable=False)]
    + [pa.field(name, pa.float64()) for name in (*BASELINES, *CANDIDATES)]
)


def name_of(code: int) -> str:
    """
    >>> name_of(6 << 16 | 23)
    '23/tcp'
    """
    return f"{code & 0xFFFF}/{'tcp' if code >> 16 == 6 else 'udp'}"


def _way(memory: Volumes, at: int) -> int:
    return len(BASELINES) + int(memory.shown[at])


def _open(memory: Volumes) -> list[int]:
    found: list[int] = np.flatnonzero(memory.shown != SHUT).tolist()
    return found


def _columns(memory: Volumes, rows: np.ndarray, start: np.ndarray) -> list[pa.Array]:
    code = memory.ports[rows]
    return [
        pa.array(start.astype(np.int64)).cast(_TIME),
        pa.array((code >> 16).astype(np.uint8)),
        pa.array((code & 0xFFFF).astype(np.uint16)),
    ]


def forecast_table(memory: Volumes) -> pa.Table:
    """The forecasts of the day that begins, of ports whose gate is open."""
    rows = np.repeat(np.array(_open(memory), np.int64), DAY)
    if not len(rows):
        return FORECAST.empty_table()
    hours = np.tile(np.arange(DAY), len(rows) // DAY)
    ways = np.array([_way(memory, at) for at in rows.tolist()])
    held = memory.quantiles[rows, ways, hours]
    names = pa.array([CANDIDATES[way - len(BASELINES)] for way in ways.tolist()])
    columns = [*_columns(memory, rows, (memory.day * DAY + hours) * _HOUR), names]
    return pa.table([*columns, *(pa.array(held[:, k]) for k in range(len(TAUS)))], schema=FORECAST)


def volume_table(memory: Volumes) -> pa.Table:
    """The hour that is just over."""
    n, hour = len(memory.ports), memory.hour % DAY
    rows = np.arange(n)
    bounds = np.full((n, len(TAUS)), np.nan)
    for at in _open(memory):
        bounds[at] = memory.quantiles[at, _way(memory, at), hour]
    columns = _columns(memory, rows, np.full(n, memory.hour * _HOUR))
    return pa.table(
        [
            *columns,
            pa.array(memory.today[:, hour]),
            *(pa.array(bounds[:, k], from_pandas=True) for k in (2, 0, 4)),
        ],
        schema=VOLUME,
    )


def quality_table(memory: Volumes, losses: np.ndarray) -> pa.Table:
    """Losses of the day that is over, before the ports are chosen anew."""
    rows = np.flatnonzero(np.isfinite(losses).all(axis=1))
    shown = [CANDIDATES[int(memory.shown[at])] if memory.shown[at] != SHUT else "" for at in rows.tolist()]
    columns = [
        *_columns(memory, rows, np.full(len(rows), memory.day * DAY * _HOUR)),
        pa.array(shown, pa.string()),
    ]
    return pa.table([*columns, *(pa.array(losses[rows, k]) for k in range(losses.shape[1]))], schema=QUALITY)


def exceeded(memory: Volumes, most: int, false_alarms: float, ctx: Context[Volumes]) -> tuple[Finding, ...]:
    """Findings about the hour that is just over, most surprising first; a port is told once a day (``memory`` takes
    note)."""
    hour = memory.hour % DAY
    shown = _open(memory)
    bar = false_alarms / (DAY * max(len(shown), 1))
    found = []
    for at in shown:
        count = int(memory.today[at, hour])
        high = float(memory.quantiles[at, _way(memory, at), hour, -1])
        chance = surprise(count, float(memory.mean[at, hour]), float(memory.alpha[at]))
        fresh = memory.spoken[at] < memory.day  # a port is told once a day
        if fresh and count >= _LEAST and count > _TIMES * high and chance < bar:
            found.append((chance, at, count))
    found.sort()
    room = max(most - memory.told, 0)
    left = len(found) - room
    for _, at, _ in found[:room]:
        memory.spoken[at] = memory.day
    return tuple(
        _exceeded(memory, at, count, chance, left if left > 0 else 0, ctx)
        for chance, at, count in found[:room]
    )


def _exceeded(
    memory: Volumes, at: int, count: int, chance: float, left: int, ctx: Context[Volumes]
) -> Finding:
    code, hour = int(memory.ports[at]), memory.hour % DAY
    bounds = memory.quantiles[at, _way(memory, at), hour]
    start = memory.hour * _HOUR
    port = name_of(code)
    more = f" {left} more hours above their bounds are not told." if left else ""
    return _finding(
        ctx,
        f"{port}: {count:,} packets in an hour, {bounds[-1]:,.0f} at most were expected",
        f"Between {timestamp(start)} and {timestamp(start + _HOUR)} the darknet got {count:,} packets to {port}. The "
        f"forecast of the day had {bounds[2]:,.0f}, between {bounds[0]:,.0f} and {bounds[-1]:,.0f} (90 % interval); so "
        f"many have a chance of about {max(chance, 1e-12):.1g}. {_record(memory, at)}{more}",
        port,
        f"hour {timestamp(start)}",
        (start, start + _HOUR),
        count,
        code,
        {
            "port": port, "packets": count, "median": round(float(bounds[2]), 2), "low": round(float(bounds[0]), 2),
            "high": round(float(bounds[-1]), 2), "chance": max(chance, 1e-12), "by": CANDIDATES[int(memory.shown[at])],
        },
    )  # fmt: skip


def unusual_days(memory: Volumes, most: int, ctx: Context[Volumes]) -> tuple[Finding, ...]:
    """Findings about forecasts of a day with twice the usual total, largest first."""
    found = []
    for at in _open(memory):
        days = memory.hours[at].reshape(-1, DAY)[-14:]
        totals = days[(days != MISSING).all(axis=1)].sum(axis=1)
        expected = float(memory.quantiles[at, _way(memory, at), :, 2].sum())
        low = float(memory.quantiles[at, _way(memory, at), :, 1].sum())
        usual = float(np.median(totals))
        if low > _TIMES * usual and expected - usual >= DAY * _LEAST:
            found.append((expected / max(usual, 1.0), at, expected, usual))
    found.sort(reverse=True)
    start = memory.day * DAY * _HOUR
    return tuple(
        _finding(
            ctx,
            f"{name_of(int(memory.ports[at]))}: {expected:,.0f} packets expected today, {usual:,.0f} is usual",
            f"For {timestamp(start)[:10]} {expected:,.0f} packets to {name_of(int(memory.ports[at]))} are forecast, "
            f"{times:.1f} times the median day of the last two weeks. {_record(memory, at)}",
            name_of(int(memory.ports[at])),
            f"day {timestamp(start)[:10]}",
            (start, start + DAY * _HOUR),
            0,
            int(memory.ports[at]),
            {
                "port": name_of(int(memory.ports[at])),
                "expected": round(expected, 1),
                "usual": round(usual, 1),
            },
            hour=False,
        )
        for times, at, expected, usual in found[:most]
    )


def _record(memory: Volumes, at: int) -> str:
    """How the way that is shown did."""
    losses = memory.losses[at]
    known = np.isfinite(losses).all(axis=0)
    means = losses[:, known].mean(axis=1)
    best = min(range(len(BASELINES)), key=lambda k: float(means[k]))
    return (
        f"In the last {int(known.sum())} days this forecast ({CANDIDATES[int(memory.shown[at])]}) had a pinball loss "
        f"of {means[_way(memory, at)]:,.2f}, the better baseline ({BASELINES[best]}) {means[best]:,.2f}."
    )


def _finding(
    ctx: Context[Volumes],
    title: str,
    statement: str,
    port: str,
    aspect: str,
    window: tuple[int, int],
    count: int,
    code: int,
    attributes: dict[str, Any],
    hour: bool = True,
) -> Finding:
    table, what = ("volume", "packets") if hour else ("forecast", "round(sum(q50))::BIGINT")
    check = Check(
        relation="",
        by_chance=0.0,
        tool="sql",
        expression=f"SELECT {what} FROM triage_forecast_{table} WHERE proto = {code >> 16} AND port = {code & 0xFFFF}",
    )
    return Finding(
        engine=NAME,
        engine_version=VERSION,
        kind="volume-forecast",
        title=title,
        statement=statement,
        confidence=0.9,
        calibration="the gate: its intervals beat those of two trivial forecasts on this telescope's own past",
        window=(ctx.start, ctx.end),
        subject=("port", port),
        aspect=aspect,
        first_seen=window[0],
        last_seen=window[1] - 1,
        count=count,
        evidence=(Evidence("the counted hour" if hour else "the forecast of the day", check),),
        attributes=attributes,
    )
