"""The built-in policy rehearsed on simulated organisations whose attacks are known: who is cut off without a human.

    python benchmarks/contain/rehearsal.py [--seeds 31,32,33] [--days 3] [--terminals 150] [--keep FOLDER]

An organisation is simulated (alerts of Suricata and Wazuh, flows of Zeek), analysed and made into cases as
``andon analyze --cases`` does; then the cases go through ``run.containment.rehearsal`` in the order of their ends. A
host is *attacked* if something true had begun on it by then; an attack's fate is the hardest thing done to one of its
hosts within a day, or what is in force or waits already. ``flows said``: the policy says that flows are Zeek's
(``protect.flows: [zeek]``), so what they show counts beside Suricata's alerts. ``any passed check``: what if every
check of the flows that passed counted as evidence, and not only what ``propose.seen_in_flows`` takes. Baselines:
cutting every host of a case of level high or more, and of every case to act on, for a day.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import process_time
from typing import Any
from unittest.mock import patch

import pyarrow.parquet as pq

from andon.contain import propose
from andon.contain.guard import CHECK, FLOWS, terrain_of
from andon.contain.policy import Policy, load_policy
from andon.contain.propose import host_of
from andon.contain.resolve import Resolver
from andon.records.case import MERGED, PASSED, Case
from andon.records.contract import Site
from andon.records.inside import Inside
from andon.records.intent import CUTTING, Ground
from andon.run.containment.rehearsal import Rehearsed, rehearse
from andon.run.demo_triage import run_triage
from andon.run.inputs import Inputs, with_assets
from andon.run.live.contain import material_of
from andon.simulate.alerts import INSIDE, Scenario
from andon.store.casebook import Casebook, CaseFilter

DAY = 86_400 * 1_000_000_000
FATES = ("cut", "waits", "watched", "untouched")  # the hardest first
ACTED = ("high", "critical")


@dataclass(frozen=True)
class Attack:
    """``hosts``: addresses on which it happened; ``begin``: ns."""

    number: int
    kind: str
    hosts: frozenset[str]
    begin: int


@dataclass
class Score:
    """Over one organisation. ``right``, ``wrong``: hosts cut without a human that were attacked, or not;
    ``fates``: of attacks; ``approvals``: intents that wait for somebody; ``watched``: mirrors, proxies."""

    days: int
    right: set[str] = field(default_factory=set)
    wrong: set[str] = field(default_factory=set)
    fates: Counter[str] = field(default_factory=Counter)
    kinds: Counter[tuple[str, str]] = field(default_factory=Counter)
    approvals: int = 0
    false_approvals: int = 0
    watched: int = 0
    rules: Counter[str] = field(default_factory=Counter)


def attacks_of(folder: Path) -> list[Attack]:
    rows = pq.read_table(folder / "truth" / "causes.parquet").to_pylist()
    return [
        Attack(row["number"], row["kind"], frozenset(row["hosts"]), row["begin"])
        for row in rows
        if row["true"]
    ]


def cases_of(book: Casebook) -> list[Case]:
    cases: list[Case] = []
    before = None
    while page := book.cases.page(CaseFilter(state=""), before, 500):
        cases += page
        before = (page[-1].priority, page[-1].last_seen, page[-1].id)
    return cases


def attacked(addresses: Iterable[str], at: int, attacks: Sequence[Attack]) -> bool:
    known = set(addresses)
    return any(one.begin <= at and known & one.hosts for one in attacks)


def score(done: Sequence[Rehearsed], attacks: Sequence[Attack], days: int) -> Score:
    made = Score(days)
    for one in done:
        host, at = one.intent.subject, one.case.last_seen
        true = attacked(host.addresses, at, attacks)
        if one.cuts:
            (made.right if true else made.wrong).add(host.value)
        elif one.would == "wait":
            made.approvals += 1
            made.false_approvals += not true
            made.rules.update(one.rules)
        elif one.would == "done":
            made.watched += 1
    for attack in attacks:
        fate = min(_fates(done, attack), key=FATES.index, default="untouched")
        made.fates[fate] += 1
        made.kinds[attack.kind, fate] += 1
    return made


def _fates(done: Sequence[Rehearsed], attack: Attack) -> Iterator[str]:
    for one in done:
        if one.intent.until < attack.begin or one.case.last_seen > attack.begin + DAY:
            continue
        if one.would == "refuse" or not attack.hosts.intersection(one.intent.subject.addresses):
            continue
        if one.would == "wait":
            yield "waits"
        else:
            yield "cut" if one.intent.action in CUTTING else "watched"


def baseline(
    cases: Sequence[Case], resolver: Resolver, attacks: Sequence[Attack], days: int, level: bool
) -> Score:
    """Everything of a level, or everything to act on, cut at once."""
    made = Score(days)
    cut: list[tuple[int, set[str]]] = []
    for case in cases:
        if case.state == MERGED or not case.entities or case.tier in ("screened", "audit"):
            continue
        if case.level not in ACTED if level else case.tier != "act":
            continue
        host = host_of(case, resolver, case.last_seen)
        cut.append((case.last_seen, set(host.addresses)))
        true = attacked(host.addresses, case.last_seen, attacks)
        (made.right if true else made.wrong).add(host.value)
    for attack in attacks:
        hit = any(abs(at - attack.begin) <= DAY and attack.hosts & there for at, there in cut)
        made.fates["cut" if hit else "untouched"] += 1
    return made


def loose(case: Case, episodes: Any) -> Ground | None:
    """The looser rule: any check of the flows that passed."""
    checks = case.judgement.get("verification", {}).get("checks", ())
    names = [
        one["name"] for one in checks if one["outcome"] == PASSED and one["name"] in ("behaviour", "session")
    ]
    return Ground(CHECK, names[0], FLOWS) if names else None


def rehearsed(folder: Path, policy: Policy) -> tuple[list[Rehearsed], list[Case], Resolver]:
    site = with_assets(Site(inside=INSIDE), Inputs.of([folder / "assets.csv"]))
    with Casebook(folder / "store", read_only=True) as book:
        cases = cases_of(book)
        at = max(case.last_seen for case in cases)
        resolver = Resolver(site.assets, Inside(site.inside), policy)
        terrain = terrain_of(policy, site.inside, site.assets, at_ns=at)
        done = list(rehearse(cases, lambda case: material_of(book, case), policy, resolver, terrain))
    return done, cases, resolver


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", default="31,32,33")
    parser.add_argument("--days", type=int, default=3)
    parser.add_argument("--terminals", type=int, default=150)
    parser.add_argument("--alerts", type=int, default=10_000, help="a day")
    parser.add_argument("--keep", type=Path, help="keep the organisations here, and take what is there")
    options = parser.parse_args()
    policy = load_policy(None)
    told = replace(policy, protect=replace(policy.protect, flows=("zeek",)))
    rows: dict[str, list[Score]] = {}
    begun = process_time()
    for seed in map(int, options.seeds.split(",")):
        scenario = Scenario(seed=seed, days=options.days, terminals=options.terminals, alerts=options.alerts)
        with tempfile.TemporaryDirectory(prefix="andon-rehearsal-") as made:
            folder = Path(made) if options.keep is None else options.keep / f"org{seed}"
            if not (folder / "store").exists():
                folder.mkdir(parents=True, exist_ok=True)
                run_triage(folder, lambda stage, count: None, scenario)
            attacks = attacks_of(folder)
            for name, each, seen in (
                ("built-in", policy, propose.seen_in_flows),
                ("built-in, flows said", told, propose.seen_in_flows),
                ("the same, any passed check", told, loose),
            ):
                with patch.object(propose, "seen_in_flows", seen):
                    done, cases, resolver = rehearsed(folder, each)
                made_score = score(done, attacks, options.days)
                rows.setdefault(name, []).append(made_score)
                for host in sorted(made_score.wrong):
                    print(f"seed {seed}, {name}: {host} would have been cut without an attack on it")
            for name, level in (("cut all of level high", True), ("cut all to act on", False)):
                rows.setdefault(name, []).append(baseline(cases, resolver, attacks, options.days, level))
    show(rows, process_time() - begun)


def show(rows: dict[str, list[Score]], seconds: float) -> None:
    print(
        "\n| policy | hosts cut without a human | of them attacked | not attacked | attacks | cut | wait "
        "| watched only | untouched | approvals a day | of them about no attack |\n" + "|---" * 11 + "|"
    )
    for name, scores in rows.items():
        right, wrong = (
            sum(len(s) for s in each) for each in zip(*((x.right, x.wrong) for x in scores), strict=True)
        )
        fates: Counter[str] = sum((one.fates for one in scores), Counter())
        days = sum(one.days for one in scores)
        asked, false = sum(one.approvals for one in scores), sum(one.false_approvals for one in scores)
        print(
            f"| {name} | {right + wrong} | {right} | {wrong} | {sum(fates.values())} | "
            + " | ".join(str(fates[fate]) for fate in FATES)
            + f" | {asked / days:.1f} | {false} of {asked} |"
        )
    for name, scores in rows.items():
        rules: Counter[str] = sum((one.rules for one in scores), Counter())
        if rules:
            print(f"{name}: waits for " + ", ".join(f"{rule} {count}" for rule, count in rules.most_common()))
    kinds: Counter[tuple[str, str]] = sum((one.kinds for one in rows["built-in, flows said"]), Counter())
    print(
        "attacks, flows said: " + ", ".join(f"{kind} {fate} {n}" for (kind, fate), n in sorted(kinds.items()))
    )
    print(f"{seconds:.0f} CPU s, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
