"""The fourth act of the demonstration: two days of alerts of an organisation, down to the cases to act on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from time import process_time
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from andon.contain.guard import terrain_of
from andon.contain.policy import load_policy
from andon.contain.resolve import Resolver
from andon.learn.registry import shipped
from andon.observe import lists
from andon.observe.reputation import reputation
from andon.records.case import Case
from andon.records.columns import plain_rows
from andon.records.contract import Site
from andon.records.inside import Inside
from andon.records.reputation import BLACK, WHITE
from andon.run.batch import analyze
from andon.run.casework import Casework, InMemory
from andon.run.casework.intake import take_analysis, tapped
from andon.run.containment.material import material_of
from andon.run.containment.rehearsal import Rehearsed, rehearse
from andon.run.engines import load_engines
from andon.run.inputs import Inputs, with_assets
from andon.simulate.alerts import INSIDE, Scenario, simulate
from andon.simulate.score_cases import Found, found
from andon.store.casebook import Casebook, CaseFilter

_SCENARIO: Final = Scenario(seed=11, days=2, terminals=100, alerts=10_000)
_ENGINES: Final = ("triage.screening", "triage.evidence")
_SHOWN: Final = 5
_PAGE: Final = 500


@dataclass(frozen=True)
class TriageDemo:
    """``queue``: the first cases as an analyst sees them. ``right``: no attack is in a case that was dismissed, and
    most attacks are before somebody."""

    alerts: int
    episodes: int
    queue: list[Case]
    found: Found
    rehearsed: list[tuple[Rehearsed, bool]]  # what containment would do, and whether the case holds an attack
    seconds: Mapping[str, float]  # CPU

    @property
    def right(self) -> bool:
        seen = self.found.attacks("act", "inspect", "audit")
        wrong = any(one.cuts and not true for one, true in self.rehearsed)
        return not wrong and not self.found.attacks("screened") and seen >= 0.6 * len(self.found.tiers)

    def to_dict(self) -> dict[str, Any]:
        return {
            "alerts": self.alerts,
            "episodes": self.episodes,
            "found": self.found.to_dict(),
            "containment": [{**one.to_dict(), "attack": true} for one, true in self.rehearsed],
            "queue": [{"id": case.id, "tier": case.tier, "title": case.title} for case in self.queue],
            "cpu_seconds": {name: round(value, 2) for name, value in self.seconds.items()},
            "right": self.right,
        }


def run_triage(
    folder: Path, progress: Callable[[str, int], None], scenario: Scenario = _SCENARIO
) -> TriageDemo:
    """Simulate into ``folder``, analyse, make cases, and compare with the truth. Raises OSError, StoreError."""
    begun = process_time()
    made = simulate(scenario, folder)
    simulated = process_time()
    inputs = Inputs.of([folder / name for name in ("eve.json", "wazuh.json", "conn.log", "assets.csv")])
    site = with_assets(_site(folder), inputs)
    store = folder / "store"
    store.mkdir(exist_ok=True)
    with Casebook(store) as book:
        book.migrate()
        result = analyze(tapped(inputs, book), site, load_engines(site, _ENGINES), progress)
        take_analysis(book, result)
        Casework(book, InMemory(result.tables), site).run()
        cases = _cases(book)
        scored = found(
            [(case.tier, [id for kind, id in case.items if kind == "episode"]) for case in cases],
            _rows(book, cases),
            pq.read_table(folder / "truth" / "alerts.parquet"),
            pq.read_table(folder / "truth" / "causes.parquet"),
            scenario.days,
        )
        truth = {case.id: true for case, true in zip(cases, scored.holds, strict=True)}
        return TriageDemo(
            made.alerts,
            book.episodes.count(),
            cases[:_SHOWN],
            scored,
            [(one, truth[one.case.id]) for one in _rehearsed(book, cases, site)],
            {"simulate": simulated - begun, "analyse": process_time() - simulated},
        )


def _rehearsed(book: Casebook, cases: list[Case], site: Site) -> list[Rehearsed]:
    """What the built-in policy would do about the cases; nothing is enforced."""
    built_in = load_policy(None)
    # The flows are Zeek's and the alerts are not: what they show is evidence of its own.
    policy = replace(built_in, protect=replace(built_in.protect, flows=("zeek",)))
    resolver = Resolver(site.assets, Inside(site.inside), policy)
    at = max((case.last_seen for case in cases), default=0)
    terrain = terrain_of(policy, site.inside, site.assets, at_ns=at)
    return list(rehearse(cases, lambda case: material_of(book, case), policy, resolver, terrain))


def _site(folder: Path) -> Site:
    judged = [reputation(folder / "lists" / f"{colour}.csv", colour)[0] for colour in (BLACK, WHITE)]
    scanners, _ = lists.scanner_list(folder / "lists" / "scanners.csv")
    site = Site(inside=INSIDE, lists={"sanctioned": scanners}, models=shipped())
    return replace(site, reputation=pa.concat_tables(judged))


def _cases(book: Casebook) -> list[Case]:
    """The whole queue, in its order."""
    cases: list[Case] = []
    before = None
    while page := book.cases.page(CaseFilter(), before, _PAGE):
        cases += page
        before = (page[-1].priority, page[-1].last_seen, page[-1].id)
    return cases


def _rows(book: Casebook, cases: list[Case]) -> list[dict[str, Any]]:
    ids = [id for case in cases for kind, id in case.items if kind == "episode"]
    return plain_rows(book.episodes.get(ids))


def show_triage(demo: TriageDemo) -> None:
    """Print how many are left at each step, the head of the queue, and what became of the attacks."""
    from rich.console import Console

    screen = Console(width=100, highlight=False)
    counted = demo.found
    screen.print()
    screen.print(
        f"An alert queue: two days, {demo.alerts:,} alerts of Suricata and Wazuh, {demo.episodes:,} episodes, "
        f"{sum(counted.cases.values()):,} cases, {counted.looks():.0f} a day to look at, "
        f"{counted.cases.get('act', 0) / counted.days:.0f} a day to act on:"
    )
    for case in demo.queue:
        screen.print(f"  {case.tier:8} {case.level:9} {case.title}", soft_wrap=False)
    screen.print(
        f"  Of {len(counted.tiers)} planted attacks {counted.attacks('act')} are in a case to act on, "
        f"{counted.attacks('inspect', 'audit')} in one to inspect, {counted.attacks('screened')} were dismissed, "
        f"{counted.attacks('')} are in no case."
    )
    cuts = [(one, true) for one, true in demo.rehearsed if one.cuts]
    waits = {one.intent.subject.value for one, _ in demo.rehearsed if one.would == "wait"}
    hosts = len({one.intent.subject.value for one, _ in cuts})
    screen.print(
        f"  Containment, rehearsed: {hosts} host{'s' if hosts != 1 else ''} would be cut off without a human, "
        f"{sum(not true for _, true in cuts)} wrongly; {len(waits)} wait for an agreement."
    )
    for one, _ in cuts[:_SHOWN]:
        target = "" if one.intent.target is None else f" -> {one.intent.target.value}"
        fields = ", ".join(sorted({ground.field for ground in one.intent.grounds if ground.field}))
        screen.print(
            f"  {one.intent.action:10} {one.intent.subject.value}{target} ({fields})", soft_wrap=False
        )
    screen.print(f"CPU: simulate {demo.seconds['simulate']:.1f} s, analyse {demo.seconds['analyse']:.1f} s.")
