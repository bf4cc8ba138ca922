"""What three analysts said on the days before: a hundred verdicts a day on alerts of the same kinds of cause."""

from __future__ import annotations

from typing import Any, Final

from andon.simulate.organisation.scenario import DAY

from .attacks import ATTACKS
from .book import Book
from .catalogue import SURICATA
from .estate import Estate
from .nuisances import NUISANCES
from .observed import translated
from .scenario import PAST, Scenario
from .stage import Stage

ANALYSTS: Final = ("analyst-1", "analyst-2", "analyst-3")
A_DAY: Final = 100
WRONG: Final = 0.02  # of the verdicts


def happened(scenario: Scenario, stage: Stage, days: int) -> None:
    """Causes of some days, drawn into the stage's book."""
    rng = stage.rng
    for day in range(days):
        for acts, mean in ((ATTACKS, scenario.true), (NUISANCES, scenario.false)):
            for act, share in acts:
                for _ in range(int(rng.poisson(mean * share))):
                    act(stage, day)


def verdicts(scenario: Scenario, estate: Estate) -> list[dict[str, Any]]:
    """Rows: product, rule, host, peers, label, analyst, shown, time (ns)."""
    rng = scenario.rng("past")
    stage = Stage(estate, Book(flows_too=False), rng, PAST * DAY)
    happened(scenario, stage, PAST)
    public = {s.address: s.public for s in estate.servers if s.public}
    seen: dict[tuple[int, str, str], dict[str, Any]] = {}
    for alarm in stage.book.alarms:
        if alarm.cause < 0:
            continue
        src, dst = alarm.src, alarm.dst
        if alarm.rule.product == SURICATA:
            src, dst = translated(estate, public, src, dst)
        ours = src if src.startswith("10.") and not dst.startswith("10.") else dst
        host = alarm.machine or ours
        key = (alarm.cause, alarm.rule.number, host)
        row = seen.setdefault(
            key,
            {
                "product": alarm.rule.product, "rule": alarm.rule.number, "host": host, "peers": [], "true": False,
                "ts": alarm.ts,
            },
        )  # fmt: skip
        row["true"] |= alarm.harm
        peer = dst if host == src else src
        if peer and peer not in row["peers"] and len(row["peers"]) < 8:
            row["peers"].append(peer)
    rows = list(seen.values())
    keep: list[int] = (
        rng.choice(len(rows), min(len(rows), A_DAY * PAST), replace=False).tolist() if rows else []
    )
    made = []
    for n in sorted(keep):
        row = rows[n]
        true = row.pop("true") != (rng.random() < WRONG)
        ts = row.pop("ts")
        label = "true-positive" if true else "benign-positive" if rng.random() < 0.3 else "false-positive"
        time = (scenario.organisation.begin - PAST * DAY + ts) * 1_000_000
        analyst = ANALYSTS[int(rng.integers(len(ANALYSTS)))]
        made.append(row | {"label": label, "analyst": analyst, "shown": "top", "time": time})
    return made
