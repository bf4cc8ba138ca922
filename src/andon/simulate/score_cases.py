"""What became of planted attacks (``simulate.alerts``) in a casebook: before whom each is, and what else is there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from andon.records.triage import ACT, AUDIT, INSPECT

Key = tuple[str, str, str]


@dataclass
class Found:
    """``tiers``: attack (number of its cause) -> the best tier of a case that holds an episode of it, "" if none does.
    ``cases``: tier -> cases, ``true``: tier -> cases that hold an attack. ``holds``: whether each case holds one,
    in the order in which they were given. ``days``: of the simulation."""

    tiers: dict[int, str]
    kinds: dict[int, str]
    cases: dict[str, int] = field(default_factory=dict)
    true: dict[str, int] = field(default_factory=dict)
    holds: list[bool] = field(default_factory=list)
    days: float = 1.0

    def attacks(self, *tiers: str) -> int:
        """How many attacks are in a case of one of these tiers."""
        return sum(tier in tiers for tier in self.tiers.values())

    def looks(self) -> float:
        """Cases a day that somebody is asked to look at."""
        return sum(self.cases.get(tier, 0) for tier in (ACT, INSPECT, AUDIT)) / self.days

    def to_dict(self) -> dict[str, Any]:
        return {
            "attacks": len(self.tiers),
            "in a case to act on": self.attacks(ACT),
            "in a case to inspect": self.attacks(INSPECT, AUDIT),
            "dismissed": self.attacks("screened"),
            "in no case": self.attacks(""),
            "cases": self.cases,
            "true cases": self.true,
            "looks a day": round(self.looks(), 1),
        }


def found(
    cases: Iterable[tuple[str, Iterable[str]]],
    episodes: Iterable[Mapping[str, Any]],
    alerts: pa.Table,
    causes: pa.Table,
    days: float,
) -> Found:
    """``cases``: (tier, ids of episodes) of each; ``episodes``: rows of EPISODES, times as ns; ``alerts``, ``causes``:
    the truth that ``simulate.alerts`` writes."""
    attacks = {row["number"]: row["kind"] for row in causes.to_pylist() if row["true"]}
    hits = alerts.filter(pc.is_in(alerts["cause"], pa.array(list(attacks), pa.int64())))
    at = hits["ts"].cast(pa.int64()).to_pylist()
    by_key: dict[Key, list[tuple[int, int]]] = {}
    for ts, product, rule, address, cause in zip(
        at, *(hits[name].to_pylist() for name in ("product", "rule", "address", "cause")), strict=True
    ):
        by_key.setdefault((product, rule, address), []).append((ts, cause))
    holds: dict[str, set[int]] = {}
    for row in episodes:
        for ts, cause in by_key.get((row["product"], row["rule"], row["address"]), ()):
            if row["first"] <= ts <= row["last"]:
                holds.setdefault(row["id"], set()).add(cause)
    rank = {ACT: 0, INSPECT: 1, AUDIT: 2, "screened": 3, "": 4}
    made = Found(dict.fromkeys(attacks, ""), attacks, days=days)
    for tier, ids in cases:
        mine = set().union(*(holds.get(id, set()) for id in ids))
        made.holds.append(bool(mine))
        made.cases[tier] = made.cases.get(tier, 0) + 1
        made.true[tier] = made.true.get(tier, 0) + bool(mine)
        for cause in mine:
            made.tiers[cause] = min(made.tiers[cause], tier, key=rank.__getitem__)
    return made
