"""A policy rehearsed on cases: in their order, with what would be in force by then, without what people did later."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from guard_site import HOUR, INSIDE, NOW, asset_row, asset_table

from andon.contain.guard import terrain_of
from andon.contain.policy import load_policy
from andon.contain.propose import Material
from andon.contain.resolve import Resolver
from andon.records.case import CLOSED, MERGED, Case
from andon.records.inside import Inside
from andon.records.intent import MIRROR, QUARANTINE
from andon.run.containment.rehearsal import Rehearsed, rehearse, totals

POLICY = load_policy(None)
ASSETS = asset_table(
    [
        asset_row(f"10.0.1.{n}", hostname=f"pc{n}.corp.example", mac=f"02:00:00:00:01:{n:02x}")
        for n in range(1, 200)
    ]
)
RESOLVER = Resolver(ASSETS, Inside(INSIDE), POLICY)
TERRAIN = terrain_of(POLICY, INSIDE, ASSETS, at_ns=NOW)


def case_of(host: int, at: int, **more: Any) -> Case:
    judgement = {"certainty": 0.9, "threat": {"stage": "foothold"}}
    entities = (("device", f"pc{host}.corp.example"),)
    made = Case(f"c{host}-{at}", 1, "open", "act", "high", 1.0, "C2", "", entities, at - HOUR, at, at, at)
    return replace(made, judgement=judgement, **more)


def two(case: Case) -> Material:
    """Two products agree."""
    row = {"title": "C2", "category": "", "tier": "inspect", "sources": [], "targets": [], "attack": []}
    return Material((), tuple({**row, "id": f"{case.id}{n}", "product": n} for n in ("suricata", "wazuh")))


def done(*cases: Case, material: Any = two) -> list[Rehearsed]:
    return list(rehearse(cases, material, POLICY, RESOLVER, TERRAIN))


def test_a_case_is_rehearsed_as_if_it_were_open_and_once() -> None:
    first, again = case_of(7, NOW, state=CLOSED), case_of(7, NOW + HOUR)
    made = done(again, first)
    assert [(one.intent.action, one.would, one.case.id) for one in made] == [
        (QUARANTINE, "done", first.id),
        (MIRROR, "done", first.id),
    ]
    assert made[0].cuts and not made[1].cuts
    assert len(done(first, case_of(7, NOW + 25 * HOUR))) == 4  # its time was over
    assert done(case_of(7, NOW, state=MERGED)) == []


def test_what_would_be_in_force_counts_against_the_limits() -> None:
    cases = [case_of(n, NOW + n * HOUR // 60) for n in range(1, 8)]  # 2 % of 199 are three
    made = [one for one in done(*cases) if one.intent.action == QUARANTINE]
    assert [one.would for one in made] == ["done"] * 3 + ["wait"] * 4
    assert {one.rules for one in made[3:]} == {("share",)}
    counts = totals(done(*cases))
    assert counts[QUARANTINE] == {"done": 3, "wait": 4} and counts["rules"] == {"share": 4}


def test_one_kind_of_evidence_waits() -> None:
    one = done(case_of(7, NOW), material=lambda case: Material((), two(case).episodes[:1]))
    assert [(each.intent.action, each.would) for each in one] == [(QUARANTINE, "wait"), (MIRROR, "done")]
    assert one[0].to_dict()["rules"] == ["evidence"] and not one[0].cuts
