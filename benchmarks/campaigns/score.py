"""How well names were kept: from what was sent by whom and what the engine called it, day by day."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

DAY_NS = 86_400_000_000_000
NONE = "-"


@dataclass
class Ledger:
    """One line a day: who sent (source -> true campaign), who was called what (source -> name), rows of the table."""

    start: int
    truth: list[Mapping[int, str]] = field(default_factory=list)
    named: list[Mapping[int, str]] = field(default_factory=list)
    rows: list[list[dict[str, Any]]] = field(default_factory=list)

    def add(self, truth: Mapping[int, str], members: Any, campaigns: Any) -> None:
        """``members`` and ``campaigns`` are the engine's tables."""
        self.truth.append(truth)
        self.named.append(dict(zip(members["src"].to_pylist(), members["campaign"].to_pylist(), strict=True)))
        self.rows.append(campaigns.to_pylist())


def dominant(ledger: Ledger, day: int) -> dict[str, str]:
    """True campaign -> the name that at least half of its sources of the day have, "-" if none has."""
    by: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for source, family in ledger.truth[day].items():
        by[family][ledger.named[day].get(source, NONE)] += 1
    out = {}
    for family, counts in by.items():
        name, number = counts.most_common(1)[0]
        out[family] = name if number * 2 >= counts.total() else NONE
    return out


def identity(ledger: Ledger, least: int = 1) -> dict[str, Any]:
    """Share of consecutive active days of a true campaign that carry the same name (days with at least ``least``
    sources), and how often two campaigns had one name on one day."""
    days: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    shared = 0
    for day in range(len(ledger.truth)):
        sizes = Counter(ledger.truth[day].values())
        names = {f: n for f, n in dominant(ledger, day).items() if sizes[f] >= least}
        counts = Counter(name for name in names.values() if name != NONE)
        shared += sum(number - 1 for number in counts.values() if number > 1)
        for family, name in names.items():
            days[family].append((day, name))
    same, pairs, found, total = 0, 0, 0, 0
    per: dict[str, str] = {}
    for family, course in sorted(days.items()):
        kept = sum(a[1] == b[1] != NONE for a, b in pairwise(course))
        seen = sum(name != NONE for _, name in course)
        per[family] = (
            f"{kept}/{len(course) - 1} same, {seen}/{len(course)} found, {len({n for _, n in course} - {NONE})} names"
        )
        same, pairs, found, total = same + kept, pairs + len(course) - 1, found + seen, total + len(course)
    return {
        "identity kept": round(same / max(pairs, 1), 4),
        "campaign days found": round(found / max(total, 1), 4),
        "two campaigns under one name, days": shared,
        "by campaign": per,
    }


def agreement(ledger: Ledger) -> dict[str, float]:
    """V-measure and adjusted Rand index of names against true campaigns over (day, source) items of these."""
    table: Counter[tuple[str, str]] = Counter()
    for truth, named in zip(ledger.truth, ledger.named, strict=True):
        table.update((family, named.get(source, NONE)) for source, family in truth.items())
    families = {f: n for n, f in enumerate(sorted({f for f, _ in table}))}
    names = {m: n for n, m in enumerate(sorted({m for _, m in table}))}
    counts = np.zeros((len(families), len(names)))
    for (family, name), number in table.items():
        counts[families[family], names[name]] = number
    total = counts.sum()

    def entropy(shares: np.ndarray) -> float:
        part = shares[shares > 0] / total
        return float(-(part * np.log(part)).sum())

    joint, by_family, by_name = (
        entropy(counts.ravel()),
        entropy(counts.sum(axis=1)),
        entropy(counts.sum(axis=0)),
    )
    homogeneity = 1 - (joint - by_name) / by_family if by_family else 1.0
    completeness = 1 - (joint - by_family) / by_name if by_name else 1.0

    def pairs(values: np.ndarray) -> float:
        return float((values * (values - 1) / 2).sum())

    inside, rows, columns = pairs(counts), pairs(counts.sum(axis=1)), pairs(counts.sum(axis=0))
    expected = rows * columns / max(total * (total - 1) / 2, 1)
    rand = (inside - expected) / max((rows + columns) / 2 - expected, 1e-9)
    v = 2 * homogeneity * completeness / max(homogeneity + completeness, 1e-9)
    return {
        "homogeneity": round(homogeneity, 4),
        "completeness": round(completeness, 4),
        "V-measure": round(v, 4),
        "adjusted Rand": round(rand, 4),
    }


def births_and_deaths(ledger: Ledger, death_days: int = 7) -> dict[str, Any]:
    """True births after the first day and true deaths with days enough after them, and by how many days they were
    missed: a birth by the first day on which its name was new (the name that it had on its first or second day: eight
    bots at the end of a day may be taken for others'), a death by the last active day that was told. A birth that is
    none may have been told as growth of a campaign that holds its sources, on its first or second day."""
    active: defaultdict[str, list[int]] = defaultdict(list)
    for day, truth in enumerate(ledger.truth):
        for family in set(truth.values()):
            active[family].append(day)
    days = len(ledger.truth)
    names = [dominant(ledger, day) for day in range(days)]
    born = {
        row["campaign"]: day for day in range(days) for row in ledger.rows[day] if "birth" in row["events"]
    }
    dead: defaultdict[str, list[int]] = defaultdict(list)
    for rows in ledger.rows:
        for row in rows:
            if "death" in row["events"]:
                dead[row["campaign"]].append(
                    (round(row["last"].timestamp()) * 10**9 - ledger.start) // DAY_NS
                )
    birth_error: dict[str, int | None] = {}
    as_growth: list[str] = []
    death_error: dict[str, int | None] = {}
    for family, course in sorted(active.items()):
        if course[0] > 0:
            called = [names[d].get(family, NONE) for d in course[:2]]
            name = next((n for n in called if n in born), NONE)
            birth_error[family] = born[name] - course[0] if name in born else None
            if name == NONE:
                growing = {
                    row["campaign"]
                    for d in course[:2]
                    for row in ledger.rows[d]
                    if "growth" in row["events"].split(",")
                }
                if growing & set(called):
                    as_growth.append(family)
        if course[-1] <= days - 2 - death_days:
            name = next(
                (names[d][family] for d in reversed(course) if names[d].get(family, NONE) != NONE), NONE
            )
            death_error[family] = min((d - course[-1] for d in dead.get(name, [])), key=abs, default=None)

    def within(errors: Mapping[str, int | None]) -> str:
        return f"{sum(e is not None and abs(e) <= 1 for e in errors.values())}/{len(errors)}"

    return {
        "births within a day": within(birth_error),
        "deaths within a day": within(death_error),
        "births told as growth of another": as_growth,
        "birth errors": birth_error,
        "death errors": death_error,
    }


def strangers(ledger: Ledger, other: Sequence[Mapping[int, str]] | None = None) -> dict[str, Any]:
    """Active campaigns of a day less than half of whose members belong to any true one. ``other``: sources of planted
    groups that are not followed; they are no mistake. Standing groups (there from the first day, not seen to act as
    one) are counted apart: the engine does not claim that they are campaigns."""
    wrong, standing, told, days = 0, 0, 0, len(ledger.truth)
    for day in range(days):
        known = dict(ledger.truth[day]) | dict(other[day] if other else {})
        members: defaultdict[str, list[bool]] = defaultdict(list)
        for source, name in ledger.named[day].items():
            members[name].append(source in known)
        bad = {name for name, mine in members.items() if 2 * sum(mine) < len(mine)}
        unclaimed = {row["campaign"] for row in ledger.rows[day] if row["standing"]}
        wrong += len(bad - unclaimed)
        standing += len(bad & unclaimed)
        told += sum(bool(row["events"]) for row in ledger.rows[day] if row["campaign"] in bad)
    births = {
        row["campaign"] for day in range(1, days) for row in ledger.rows[day] if "birth" in row["events"]
    }
    return {
        "false campaigns a day": round(wrong / days, 3),
        "standing groups that are none a day": round(standing / days, 3),
        "findings on them a day": round(told / days, 3),
        "births told in all": len(births),
    }


def events(ledger: Ledger) -> dict[str, int]:
    """How often each event was told."""
    return dict(Counter(e for rows in ledger.rows for row in rows for e in row["events"].split(",") if e))
