"""Verification of cases on the organisation simulator: what it removes, what it loses, what is left.

    .venv/bin/python benchmarks/triage/verification.py seeds 101-112    # bar: 0 true cases lost; baselines
    .venv/bin/python benchmarks/triage/verification.py spoiled 101-106  # lists stale 0..50 %, flows missing 0..60 %
    .venv/bin/python benchmarks/triage/verification.py fit 1-8 101-108  # weights from some seeds, ECE on others
    .venv/bin/python benchmarks/triage/verification.py soon 101-104     # half an hour after a case's last alert
    .venv/bin/python benchmarks/triage/verification.py day 7            # 100,000 alerts a day; CPU of each step

Seeds 1 to 8 were looked at while the checks were written, no others. Each seed is three days, of which the first
only shows what is usual. Cases are what ``simulate.score_alerts_triage.cases`` makes of episodes of at least medium
severity."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from verification_world import DAY, Observed, alerts, observed, subject

from andon.records.case import FAILED, CheckResult
from andon.simulate.alerts import Happened, Scenario, play, write
from andon.simulate.score_alerts_triage import Episode, Judged, Plain, Scores, episodes, score
from andon.triage.verification import DISMISS, INSPECT, Weights, fit, verify

SMALL = 8_000  # alerts a day where their number does not matter


@dataclass(frozen=True)
class Answered:
    case: Plain
    decision: str
    log_odds: float
    checks: tuple[CheckResult, ...]


def seeds(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def seen(
    happened: Happened,
    scenario: Scenario,
    every: list[Episode] | None = None,
    tables: dict[str, pa.Table] | None = None,
) -> Observed:
    folder = Path(tempfile.mkdtemp(prefix="andon-verification-"))
    try:
        write(happened, scenario, folder)
        return observed(folder, every, tables)
    finally:
        shutil.rmtree(folder)


def verified(world: Observed, scenario: Scenario, weights: Weights | None = None) -> list[Answered]:
    since = scenario.organisation.begin * 1_000_000 + DAY
    made = []
    for case in world.cases:
        if case.first >= since:
            result = verify(subject(case), world.facts, weights)
            made.append(Answered(case, result.decision, result.log_odds, result.checks))
    return made


def worlds(text: str) -> Iterator[tuple[Scenario, Happened]]:
    for seed in seeds(text):
        scenario = Scenario(seed=seed, alerts=SMALL)
        yield scenario, play(scenario)


def line(name: str, s: Scores) -> str:
    precision = s.act_true / s.act if s.act else float("nan")
    return (
        f"{name:34s} {s.removed / max(s.false, 1):7.1%} {s.lost:4d} of {s.true:4d} {s.looks:9.1f} {s.minutes:8.0f} "
        f"{s.act / s.days:7.1f} {precision:8.0%}"
    )


HEAD = f"{'':34s} {'removed':>7s} {'lost':>12s} {'looks/day':>9s} {'min/day':>8s} {'act/day':>7s} {'of true':>8s}"


def judged(made: list[Answered]) -> list[Judged]:
    return [Judged(a.case, a.decision, a.log_odds) for a in made]


def ranked(made: list[Answered], value: list[float], keep: int) -> list[Judged]:
    """The ``keep`` highest stay."""
    order = np.argsort(-np.array(value), kind="stable")
    stay = set(order[:keep].tolist())
    return [Judged(a.case, INSPECT if n in stay else DISMISS, 0.0) for n, a in enumerate(made)]


def severity(case: Plain) -> float:
    return float(max(e.row["severity"] for e in case.episodes))


def risk(case: Plain) -> float:
    """Risk-based alerting: points for each different rule of a host, by severity; half as many again for a critical
    asset (a server)."""
    rules = {(e.row["product"], e.row["rule"]): e.row["severity"] for e in case.episodes}
    points = sum({3: 20, 4: 40, 5: 60, 6: 80}.get(s, 5) for s in rules.values())
    return points * (1.5 if case.address.startswith(("10.11.", "10.12.", "203.")) else 1.0)


def unanswered(one: Answered) -> bool:
    return any(c.name == "answered" and c.outcome == FAILED for c in one.checks)


def command_seeds(text: str) -> None:
    made: list[Answered] = []
    days = 0
    for scenario, happened in worlds(text):
        part = verified(seen(happened, scenario), scenario)
        made += part
        days += scenario.days - 1
        print(line(f"seed {scenario.seed}", score(judged(part), scenario.days - 1)), flush=True)
    ours = score(judged(made), days)
    keep = sum(a.decision != DISMISS for a in made)
    print(f"\n{days} days, {len(made)} cases ({len(made) / days:.0f} a day), {ours.true} true\n{HEAD}")
    print(line("everything is looked at", score([Judged(a.case, INSPECT, 0.0) for a in made], days)))
    print(
        line(
            "severity: high alone",
            score([Judged(a.case, INSPECT if severity(a.case) >= 4 else DISMISS, 0.0) for a in made], days),
        )
    )
    answered = [Judged(a.case, DISMISS if unanswered(a) else INSPECT, 0.0) for a in made]
    print(line("target answered", score(answered, days)))
    print(
        line(
            "risk-based, as many looks as ours", score(ranked(made, [risk(a.case) for a in made], keep), days)
        )
    )
    print(
        line("our log-odds, no grounds, ditto", score(ranked(made, [a.log_odds for a in made], keep), days))
    )
    print(line("verification", ours))
    expected = sum(1 / (1 + np.exp(-a.log_odds)) for a in made if a.decision == DISMISS)
    print(f"\nlost by its own estimate: {expected:.2f} of what was dismissed")
    for true in (True, False):
        table = Counter(("+".join(sorted(a.case.kinds)), a.decision) for a in made if a.case.true == true)
        kinds = Counter("+".join(sorted(a.case.kinds)) for a in made if a.case.true == true)
        print(f"\n{'true' if true else 'false'} cases by cause       act  inspect  dismiss")
        for kind, _ in kinds.most_common(14):
            print(f"  {kind:44s} " + " ".join(f"{table[kind, d]:5d}" for d in ("act", "inspect", "dismiss")))


def command_spoiled(text: str) -> None:
    parts: dict[tuple[float, float], list[Answered]] = {}
    days = 0
    for scenario, happened in worlds(text):
        days += scenario.days - 1
        every = None
        for missing in (0.0, 0.1, 0.3, 0.6):
            tables = None
            for stale in (0.0, 0.2, 0.5):
                spoiled = replace(scenario, stale=stale, missing=missing)
                world = seen(happened, spoiled, every, tables)
                every, tables = world.episodes, world.tables
                parts.setdefault((stale, missing), []).extend(verified(world, spoiled))
        print(f"seeds to {scenario.seed}, {days} days\n{HEAD}")
        for (stale, missing), made in sorted(parts.items()):
            print(line(f"stale {stale:.0%}, missing {missing:.0%}", score(judged(made), days)), flush=True)


def error(odds: np.ndarray, true: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error, bins of equal size."""
    p = 1 / (1 + np.exp(-odds))
    parts = np.array_split(np.argsort(p, kind="stable"), bins)
    return float(sum(len(i) * abs(p[i].mean() - true[i].mean()) for i in parts) / len(p))


def command_fit(train: str, test: str) -> None:
    first: list[Answered] = []
    for scenario, happened in worlds(train):
        first += verified(seen(happened, scenario), scenario)
    fitted = fit([a.checks for a in first], [a.case.true for a in first], Weights())
    print(f"fitted to {len(first)} cases, {sum(a.case.true for a in first)} true")
    for name, pair in fitted.by_name.items():
        print(f"  {name:12s} {Weights().by_name[name]!s:>14s} -> ({pair[0]:.2f}, {pair[1]:.2f})")
    before: list[Answered] = []
    after: list[Answered] = []
    days = 0
    for scenario, happened in worlds(test):
        world = seen(happened, scenario)
        before += verified(world, scenario)
        after += verified(world, scenario, fitted)
        days += scenario.days - 1
    print(HEAD)
    for name, made in (("default weights", before), ("fitted weights", after)):
        odds, true = np.array([a.log_odds for a in made]), np.array([a.case.true for a in made])
        print(line(name, score(judged(made), days)) + f"   ECE {error(odds, true):.4f}")


def command_soon(text: str) -> None:
    """Every case as it stands half an hour after its last alert: later flows and episodes are not there yet."""
    import pyarrow.compute as pc

    made: list[Answered] = []
    days = 0
    for scenario, happened in worlds(text):
        world = seen(happened, scenario)
        days += scenario.days - 1
        since = scenario.organisation.begin * 1_000_000 + DAY
        for case in world.cases:
            if case.first < since:
                continue
            facts = world.facts
            until = pa.scalar(case.last + 1_800_000_000_000, pa.int64())
            known = facts.__class__.__new__(facts.__class__)
            held = {k: v for k, v in facts.__dict__.items() if k in _PLAIN}
            known.__dict__.update(held | {"_coverage": facts.coverage()})
            known._flows = facts._flows.filter(pc.less(facts._flows.column("first").cast(pa.int64()), until))
            known._episodes = facts._episodes.filter(
                pc.less(facts._episodes.column("first").cast(pa.int64()), until)
            )
            result = verify(subject(case), known)
            made.append(Answered(case, result.decision, result.log_odds, result.checks))
    print(HEAD)
    print(line("half an hour after the last alert", score(judged(made), days)))


_PLAIN = (
    "_services",
    "_inside",
    "_scanners",
    "_assets",
    "_reputation",
    "_verdicts",
    "_products",
    "_findings",
)


def command_day(seed: str) -> None:
    clock = time.process_time()

    def step(name: str) -> None:
        nonlocal clock
        now = time.process_time()
        print(f"{name:50s} {now - clock:7.1f} CPU s", flush=True)
        clock = now

    scenario = Scenario(seed=int(seed))
    happened = play(scenario)
    step(f"play {scenario.days} days, {len(happened.book.alarms):,} alerts")
    folder = Path(tempfile.mkdtemp(prefix="andon-verification-"))
    try:
        write(happened, scenario, folder)
        step("write")
        batches = alerts(folder)
        step(f"read {sum(b.num_rows for b in batches):,} alerts")
        every = episodes(batches, pq.read_table(folder / "truth" / "alerts.parquet"))
        step(f"{len(every):,} episodes (stand-in for screening)")
        world = observed(folder, every)
        step("flows as evidence, lists")
        made = verified(world, scenario)
        step(f"verify {len(made)} cases")
    finally:
        shutil.rmtree(folder)
    days = scenario.days - 1
    print(HEAD)
    print(line(f"{scenario.alerts:,} alerts a day", score(judged(made), days)))


COMMANDS = {
    "seeds": command_seeds,
    "spoiled": command_spoiled,
    "fit": command_fit,
    "soon": command_soon,
    "day": command_day,
}

if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    COMMANDS[sys.argv[1]](*sys.argv[2:])  # type: ignore[operator]
