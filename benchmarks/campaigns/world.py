"""A month of campaigns with known truth: thirty days, all addresses new each day, one simulated Internet a day.

What is traced: nine bots, tools and surveys with courses of their own (always, every other day, weekdays, born late,
dying early, pausing, changing ports or fingerprint), over noise of ordinary hosts and the hits of many surveys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from andon.simulate.internet import Always, Family, InStep, InternetConfig, Repeat, packets, truth
from andon.simulate.internet.catalogue import HAJIME, IOT, MOZI, SCANNED, TELNET

START = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
DAY_NS = 86_400_000_000_000
Active = Callable[[int], bool]


@dataclass(frozen=True)
class Campaign:
    """``of`` gives the family of a day; ``active`` says on which days it sends; ``changes`` are the days on which its
    ports or fingerprint are new."""

    of: Callable[[int], Family]
    active: Active
    changes: tuple[tuple[int, str], ...] = ()

    def days(self, days: int) -> list[int]:
        return [day for day in range(days) if self.active(day)]


def _bot(name: str, tool: str, sources: int, ports: tuple[tuple[int, int], ...], **more: object) -> Family:
    weight = sources / 100
    return Family(name, tool, "botnet", "attack", sources, weight, ports, **more)  # type: ignore[arg-type]


def _always(day: int) -> bool:
    return True


def campaigns() -> tuple[Campaign, ...]:
    """Those of the month."""
    redis = ((6379, 3), (1433, 1))
    return (
        Campaign(lambda d: _bot("mirai", "mirai", 160, TELNET), _always),
        Campaign(lambda d: _bot("mirai-iot", "mirai", 90, IOT[2:]), lambda d: d >= 6),
        Campaign(lambda d: _bot("hajime", "hajime", 80, HAJIME), lambda d: d < 17),
        Campaign(lambda d: _bot("mozi", "mozi", 120, MOZI), lambda d: not 10 <= d < 15),
        Campaign(lambda d: _bot("redis-worm", "connect", 60, redis), lambda d: d >= 9),
        Campaign(
            lambda d: _bot(
                "router", "mirai-random-seq", 70, ((8291, 1), (8728, 1)), schedule=InStep(30_000, 60_000)
            ),
            lambda d: 4 <= d < 22,
        ),
        Campaign(  # shares its ports with router, not its header
            lambda d: _bot("router-2", "windows-7", 50, ((8291, 1), (8728, 1))), lambda d: d >= 12
        ),
        Campaign(
            lambda d: _bot(
                "evolving", "masscan", 60, ((8080, 2), (81, 1)) if d < 14 else ((8080, 2), (81, 1), (5555, 3))
            ),
            _always,
            ((14, "ports"),),
        ),
        Campaign(
            lambda d: _bot(
                "turned", "mirai" if d < 13 else "mirai-random-seq", 70, ((80, 1), (8000, 1), (37215, 2))
            ),
            lambda d: d >= 2,
            ((13, "fingerprint"),),
        ),
        Campaign(
            lambda d: _bot("growing", "windows-xp", 20 if d < 18 else 90, ((445, 1), (139, 1))),
            lambda d: d >= 3,
        ),
        Campaign(
            lambda d: replace(
                _bot("survey-weekday", "zmap", 24, SCANNED[:6], schedule=Repeat(86400, 30_000, 8_000)),
                kind="survey",
                purpose="survey",
                one_block=True,
                weight=1.2,
            ),
            lambda d: d % 7 < 5,
        ),
        Campaign(
            lambda d: replace(
                _bot(
                    "survey-all-ports",
                    "masscan",
                    30,
                    tuple((p, 1) for p in range(1, 60_000, 97)),
                    schedule=Always(),
                ),
                kind="survey",
                purpose="survey",
                one_block=True,
                weight=1.5,
            ),
            _always,
        ),
    )


def config(day: int, size: int, seed: int) -> InternetConfig:
    """A day of ``size`` packets, half of them noise; all addresses are drawn anew."""
    families = tuple(c.of(day) for c in campaigns() if c.active(day))
    return InternetConfig(
        seed=seed * 1000 + day,
        packets=size,
        start=START + timedelta(days=day),
        duration=86_399,
        families=families,
        noise=0.5,
        contamination=0.05,
    )


def month(
    days: int, size: int, seed: int, persist: float = 0.0
) -> Iterator[tuple[int, list[pa.RecordBatch], pa.Table]]:
    """(day, batches, truth) one after the other. ``persist``: share of a family's addresses that stay from the day
    before; the others are new."""
    rng = np.random.default_rng(seed)
    before: dict[str, np.ndarray] = {}
    for day in range(days):
        made = config(day, size, seed)
        table, _ = truth(made)
        batches = list(packets(made))
        if persist:
            table, batches = _stay(table, batches, before, persist, rng)
        yield day, batches, table


def _stay(
    table: pa.Table,
    batches: list[pa.RecordBatch],
    before: dict[str, np.ndarray],
    persist: float,
    rng: np.random.Generator,
) -> tuple[pa.Table, list[pa.RecordBatch]]:
    source = table["src"].to_numpy().copy()
    family = np.array(table["family"].to_pylist())
    moved: dict[int, int] = {}
    for name in sorted(set(family)):
        mine = np.unique(source[family == name])
        old = before.get(name, np.zeros(0, np.uint32))
        old = old[~np.isin(old, source)]
        count = min(int(persist * len(mine)), len(old))
        for a, b in zip(
            rng.permutation(mine)[:count].tolist(), rng.permutation(old)[:count].tolist(), strict=True
        ):
            moved.setdefault(a, b)
        before[name] = np.array([moved.get(a, a) for a in mine.tolist()], np.uint32)
    keys = np.array(sorted(moved), np.uint32)
    values = np.array([moved[int(k)] for k in keys], np.uint32)

    def renamed(column: np.ndarray) -> np.ndarray:
        at = np.minimum(np.searchsorted(keys, column), len(keys) - 1)
        return np.where(keys[at] == column, values[at], column) if len(keys) else column

    place = table.schema.get_field_index("src")
    table = table.set_column(place, "src", pa.array(renamed(source)))
    out = []
    for batch in batches:
        at = batch.schema.get_field_index("src")
        out.append(
            batch.set_column(at, batch.schema.field(at), pa.array(renamed(batch.column(at).to_numpy())))
        )
    return table, out
