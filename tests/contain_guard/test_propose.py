"""From a case to intents: whom it is about, whom it talks to, and what speaks for it."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from guard_site import HOUR, INSIDE, NOW, SECOND, asset_row, asset_table

from andon.contain.contract import ELSEWHERE, ESTABLISHED, IPV6, NAMES, QUIC
from andon.contain.escalate import escalated
from andon.contain.guard import ALLOWED, NEEDS_APPROVAL, Held, approval, fields_of, guard, terrain_of
from andon.contain.policy import load_policy
from andon.contain.propose import Material, field_of, fresh, grounds_of, instead, intents_of, targets_of
from andon.contain.resolve import Resolver
from andon.records.case import Case
from andon.records.inside import Inside
from andon.records.intent import BLOCK, BLOCK_PAIR, MIRROR, QUARANTINE, Intent

POLICY = load_policy(None)
ASSETS = asset_table(
    [
        asset_row("10.0.1.7", hostname="pc7.corp.example", device="Desktop", mac="02:00:00:00:00:07"),
        asset_row("2001:db8:10:1::7", hostname="pc7.corp.example", mac="02:00:00:00:00:07"),
        asset_row("10.0.1.8", hostname="srv8.corp.example", device="Server"),
        asset_row("10.0.1.9", hostname="dc01.corp.example"),
        *(asset_row(f"10.0.4.{n}", hostname=f"pc{n}x") for n in range(1, 200)),
    ]
)
RESOLVER = Resolver(ASSETS, Inside(INSIDE), POLICY)
TERRAIN = terrain_of(POLICY, INSIDE, ASSETS, {"203.0.113.5": 1}, at_ns=NOW)


def case_of(host: str = "pc7.corp.example", level: str = "high", **more: Any) -> Case:
    judgement = {
        "certainty": 0.9, "attacker": {"classes": more.pop("classes", [])},
        "threat": {"stage": more.pop("stage", "unknown")}, "group": {"names": more.pop("names", [])},
    }  # fmt: skip
    made: dict[str, Any] = {
        "id": "c1", "version": 1, "state": "open", "tier": "act", "level": level, "priority": 1.0, "title": "C2 seen",
        "statement": "", "entities": (("device", host), ("ipv4-addr", "203.0.113.77")), "first_seen": NOW - HOUR,
        "last_seen": NOW - 60 * SECOND, "opened": NOW, "updated": NOW, "judgement": judgement,
    }  # fmt: skip
    return Case(**made | more)


def infected(*black: str, **more: Any) -> dict[str, Any]:
    return {
        "id": "f1", "engine": "livenet.proxygraph", "kind": "infected-terminal", "confidence": 0.97,
        "title": "pc7 is infected", "subject": {"type": "user-account", "value": "pc7"},
        "attributes": {"black": list(black)}, **more,
    }  # fmt: skip


def darknet(**more: Any) -> dict[str, Any]:
    return {
        "id": "f2", "engine": "darknet.daedalus", "kind": "own-host-alert", "confidence": 0.9, "title": "pc7 scans",
        "subject": {"type": "ipv4-addr", "value": "10.0.1.7"}, "attributes": {}, **more,
    }  # fmt: skip


def episode(**more: Any) -> dict[str, Any]:
    return {
        "id": "e1", "product": "Suricata", "title": "ET CNC beacon", "category": "trojan", "tier": "inspect",
        "attack": ["T1071.001"], "sources": ["10.0.1.7"], "targets": ["203.0.113.9:443/tcp", "10.0.1.8:53/udp"], **more,
    }  # fmt: skip


def wanted(case: Case, *findings: dict[str, Any], episodes: tuple[dict[str, Any], ...] = ()) -> list[Intent]:
    ids = count(100)
    return intents_of(case, POLICY, RESOLVER, TERRAIN, NOW, lambda: next(ids), Material(findings, episodes))


def test_high_is_cut_without_a_human_where_two_fields_agree() -> None:
    made = wanted(case_of(), infected("203.0.113.5"), darknet())
    assert [(one.action, one.target and one.target.value) for one in made] == [
        (BLOCK_PAIR, "203.0.113.5"),
        (MIRROR, None),
    ]
    pair, mirror = made
    assert (
        pair.subject.addresses == ("10.0.1.7", "2001:db8:10:1::7")
        and pair.subject.asset_class == "workstation"
    )
    assert fields_of(pair) == {"livenet", "darknet"}
    assert (pair.requested_by, pair.case, pair.level, pair.ttl, pair.id) == (
        "andon",
        "c1",
        "high",
        24 * HOUR,
        100,
    )
    assert "rule 'high'" in pair.reason and "C2 seen" in pair.reason
    assert guard(pair, TERRAIN, (), NOW).decision == ALLOWED
    assert guard(mirror, TERRAIN, (), NOW).decision == ALLOWED


def test_one_field_alone_waits_for_a_human() -> None:
    ruling = guard(wanted(case_of(), infected("203.0.113.5"))[0], TERRAIN, (), NOW)
    assert ruling.decision == NEEDS_APPROVAL and ruling.rules == ("evidence",)


TABLE = "triage_evidence_conversations"


def looked(
    *signs: tuple[str, ...], weight: float = 3.5, outcome: str = "passed", table: str = TABLE
) -> dict[str, Any]:
    """A case's judgement after verification found that the host went to these ends."""
    evidence = [
        {
            "statement": f"It called {ends[0]}.",
            "check": {
                "tool": "sql", "expected": 1,
                "expression": f"SELECT count(*) FROM {table} WHERE src IN ('10.0.1.7') AND dst IN "
                f"({', '.join(repr(end) for end in ends)}) AND port = 445",
            },
        }
        for ends in signs
    ]  # fmt: skip
    check = {"name": "behaviour", "outcome": outcome, "weight": weight, "evidence": evidence}
    return {"verification": {"checks": [{"name": "answered"}, check]}, "threat": {"stage": "objective"}}


SWEEP = tuple(f"10.0.4.{n}" for n in range(1, 13))


@pytest.mark.parametrize(
    ("judgement", "counts"),
    [
        (looked(("10.0.4.8",), ("203.0.113.70",)), True),
        (looked(SWEEP), True),  # plain by itself
        (looked(("198.51.100.3",)), True),  # who had attacked it
        (looked(("10.0.4.8",)), False),  # one sign
        (looked(("203.0.113.9",), ("10.0.4.8",)), False),  # the first is what the alert says
        (looked(("203.0.113.9",), ("10.0.1.8",)), False),
        (looked(("10.0.4.8",), ("10.0.4.8",)), False),  # the same sign twice
        (
            looked(("10.0.4.8",), ("203.0.113.70",), weight=2.45),
            False,
        ),  # flows are known since shortly before
        (looked(("10.0.4.8",), ("203.0.113.70",), outcome="failed"), False),
        (looked(SWEEP, table="triage_screening_episodes"), False),
        ({"verification": {"checks": [{"name": "session", "outcome": "passed", "weight": 9.0}]}}, False),
        ({"verification": "passed"}, False),
        ({"verification": {"checks": [3, {"name": "behaviour", "outcome": "passed", "weight": "9"}]}}, False),
    ],
)
def test_flows_are_a_ground_where_they_say_more_than_the_alerts(
    judgement: dict[str, Any], counts: bool
) -> None:
    came = episode(id="e2", sources=["198.51.100.3"], targets=["10.0.1.7:445/tcp"])
    case = case_of(judgement=judgement)
    made = grounds_of(case, Material((), (episode(), came)))
    assert [one for one in made if one.field == "flows"] == [one for one in made if one.kind == "check"]
    assert any(one.field == "flows" for one in made) == counts


def test_flows_count_beside_alerts_only_where_they_are_known_to_be_anothers() -> None:
    case = case_of(judgement=looked(SWEEP))
    (cut, _) = wanted(case, episodes=(episode(),))
    assert cut.action == QUARANTINE
    unknown = guard(cut, TERRAIN, (), NOW)
    assert unknown.decision == NEEDS_APPROVAL and unknown.rules == ("evidence",)
    assert "protect.flows" in unknown.reasons[0]
    for flows, expected in (("zeek", ALLOWED), ("suricata", NEEDS_APPROVAL), ("netflow", ALLOWED)):
        said = replace(TERRAIN, flows=frozenset({flows}))
        assert guard(cut, said, (), NOW).decision == expected, flows
    both = replace(TERRAIN, flows=frozenset({"zeek", "suricata"}))
    assert guard(cut, both, (), NOW).decision == NEEDS_APPROVAL
    zeek = replace(TERRAIN, flows=frozenset({"zeek"}))
    (noticed, _) = wanted(case, episodes=(episode(product="Zeek"),))
    same = guard(noticed, zeek, (), NOW)
    assert same.decision == NEEDS_APPROVAL and "the same product" in same.reasons[0]
    beside, *_ = wanted(case, infected("203.0.113.5"))  # livenet may have read the same flows
    assert fields_of(beside, zeek.flows) == {"livenet"}
    beside, *_ = wanted(case, darknet())
    assert fields_of(beside) == {"darknet", "flows"}  # a telescope is no flow sensor


@pytest.mark.parametrize(
    ("right", "of", "alone"), [(73, 73, True), (72, 72, False), (145, 150, False), (0, 0, False)]
)
def test_a_field_acts_alone_only_if_verdicts_say_that_it_is_right(right: int, of: int, alone: bool) -> None:
    (cut, _) = wanted(case_of(stage="foothold"), darknet())
    bold = replace(TERRAIN, limits=replace(TERRAIN.limits, evidence=1))
    assert guard(cut, bold, (), NOW).rules == ("precision",)  # nothing was measured
    measured = replace(bold, precision={("darknet", "high"): (right, of)})
    ruling = guard(cut, measured, (), NOW)
    assert (ruling.decision == ALLOWED) == alone and (alone or ruling.rules == ("precision",))
    other = replace(bold, precision={("darknet", "critical"): (500, 500), ("livenet", "high"): (500, 500)})
    assert guard(cut, other, (), NOW).rules == ("precision",)  # of that level and that field
    assert guard(cut.with_(requested_by="alice"), bold, (), NOW).decision == ALLOWED  # a person's word
    two, _ = wanted(case_of(stage="foothold"), darknet(), infected("203.0.113.5"))
    assert guard(two, bold, (), NOW).decision == ALLOWED


def test_without_a_known_target_the_host_is_cut_and_it_is_said_why() -> None:
    made = wanted(case_of(), darknet(), episodes=(episode(attack=[], title="policy", category=""),))
    assert made[0].action == QUARANTINE and made[0].target is None
    assert "not known" in made[0].escalated and "not known" in made[0].reason


def test_an_infected_host_is_quarantined_and_mirrored() -> None:
    made = wanted(case_of(stage="foothold"), infected("203.0.113.5"), darknet())
    assert [one.action for one in made] == [QUARANTINE, MIRROR]


def test_a_targeted_attack_waits_for_somebody_and_is_cut_everywhere() -> None:
    made = wanted(case_of(classes=["targeted"]), infected("203.0.113.5", "evil.example.net"), darknet())
    assert [one.action for one in made] == [QUARANTINE, MIRROR, BLOCK, BLOCK]
    assert [one.approvals for one in made] == [1, 0, 1, 1]
    assert made[2].subject.value == "203.0.113.5" and made[3].subject.value == "evil.example.net"
    assert [guard(one, TERRAIN, (), NOW).decision for one in made] == [
        NEEDS_APPROVAL,
        ALLOWED,
        NEEDS_APPROVAL,
        NEEDS_APPROVAL,
    ]


def test_an_analyst_may_observe_where_the_policy_leaves_the_choice() -> None:
    quarantine = wanted(case_of(classes=["targeted"]), infected("203.0.113.5"), darknet())[0]
    made = instead(quarantine, "observe", "alice", POLICY, NOW + HOUR, lambda: 7)
    assert (made.action, made.requested_by, made.approvals, made.replaces) == (
        MIRROR,
        "alice",
        0,
        quarantine.id,
    )
    assert made.until == quarantine.until and "alice chose observe" in made.reason
    for choice in ("block", "block-pair", "none"):  # not offered; offered without a target; no action
        with pytest.raises(ValueError):
            instead(quarantine, choice, "alice", POLICY, NOW, lambda: 7)
    with pytest.raises(ValueError, match="over"):
        instead(quarantine, "observe", "alice", POLICY, quarantine.until, lambda: 7)
    plain = wanted(case_of(), infected("203.0.113.5"), darknet())[0]
    with pytest.raises(ValueError, match="nothing"):
        instead(plain, "observe", "alice", POLICY, NOW, lambda: 7)


def test_a_destination_that_must_not_be_cut_leads_to_the_host() -> None:
    made = wanted(case_of(), infected("203.0.113.5", "104.16.3.3"), darknet())
    assert made[0].action == QUARANTINE and "public services" in made[0].escalated
    assert guard(made[0], TERRAIN, (), NOW).decision == ALLOWED


def test_many_destinations_lead_to_the_host() -> None:
    made = wanted(case_of(), infected(*(f"203.0.113.{n}" for n in range(1, 10))), darknet())
    assert made[0].action == QUARANTINE and "more than 8" in made[0].escalated


def test_servers_wait_and_critical_assets_are_only_watched() -> None:
    server = wanted(case_of("srv8.corp.example"), infected("203.0.113.5"), darknet())
    assert (server[0].action, server[0].approvals) == (BLOCK_PAIR, 1)
    critical = wanted(case_of("dc01.corp.example"), infected("203.0.113.5"), darknet())
    assert [one.action for one in critical] == [MIRROR]


@pytest.mark.parametrize(
    "change",
    [
        {"state": "closed"},
        {"state": "merged"},
        {"tier": "screened"},
        {"level": "informational"},
        {"entities": ()},
    ],
)
def test_nothing_is_wanted_where_nothing_is_to_be_done(change: dict[str, Any]) -> None:
    assert wanted(case_of(**change), infected("203.0.113.5"), darknet()) == []


def test_a_user_is_found_by_the_addresses_of_the_case() -> None:
    made = wanted(case_of("zeginu185", names=["zeginu185", "10.0.1.7"]), infected("203.0.113.5"), darknet())
    assert set(made[0].subject.addresses) == {"10.0.1.7", "2001:db8:10:1::7"}


def test_a_host_that_nobody_knows_is_refused_and_not_guessed() -> None:
    made = wanted(case_of("nobody"), infected("203.0.113.5"), darknet())
    assert made[0].subject.addresses == ()
    ruling = guard(made[0], TERRAIN, (), NOW)
    assert ruling.decision == "refuse" and ruling.rules == ("nobody",)


def test_entities_of_a_case_are_no_targets() -> None:
    assert all(one.target is None for one in wanted(case_of(), darknet()))


def test_targets_of_alerts_are_outside_ends_of_our_own_calls() -> None:
    def ends(**more: Any) -> list[str]:
        return [one.value for one in targets_of(Material((), (episode(**more),)), RESOLVER, TERRAIN, NOW)[0]]

    assert ends() == ["203.0.113.9"]
    assert ends(targets=["2001:db8:bad::9:443/tcp"]) == ["2001:db8:bad::9"]
    assert (
        ends(sources=["203.0.113.9"], targets=["10.0.1.7:22/tcp"]) == []
    )  # somebody came to us: can be forged
    assert ends(sources=["10.0.1.7", "198.51.100.3"]) == []
    assert ends(tier="screened") == []
    assert ends(attack=["T1110"], title="ET SCAN ssh") == []


def test_grounds_name_their_field_and_unknown_items_count_for_nothing() -> None:
    case = case_of(items=(("finding", "f1"), ("episode", "e1"), ("finding", "gone")))
    made = grounds_of(
        case,
        Material(
            (infected("203.0.113.5"), infected(id="weak", confidence=0.2)), (episode(), episode(id="e2"))
        ),
    )
    assert {(one.id, one.field) for one in made} == {
        ("f1", "livenet"),
        ("e1", "alerts:suricata"),
        ("e2", "alerts:suricata"),
        ("gone", ""),
    }
    flood = Material([darknet(id=f"d{n}") for n in range(500)] + [infected("203.0.113.5")])
    assert {one.field for one in grounds_of(case_of(), flood)} == {"darknet", "livenet"}
    assert field_of({"engine": "triage.screening", "attributes": {"product": "Wazuh"}}) == "alerts:wazuh"


def test_what_is_in_force_is_not_wanted_again() -> None:
    made = wanted(case_of(), infected("203.0.113.5"), darknet())
    held = [Held(one, "verified", NOW, True) for one in made]
    assert fresh(made, held, NOW) == []
    assert fresh(made, [Held(made[0], "revoked", NOW, True)], NOW) == made
    assert fresh(made, held, made[0].until) == made
    other = wanted(case_of(), infected("203.0.113.6"), darknet())
    assert [one.action for one in fresh(other, held, NOW)] == [BLOCK_PAIR]


def test_a_pair_with_open_paths_becomes_a_quarantine_with_the_reason() -> None:
    pair = wanted(case_of(), infected("203.0.113.5"), darknet())[0]
    later = NOW + HOUR
    made = escalated(pair, (IPV6, QUIC, NAMES, ESTABLISHED), later, lambda: 7, POLICY, TERRAIN)
    assert made is not None
    assert (made.action, made.target, made.id, made.replaces, made.until) == (
        QUARANTINE,
        None,
        7,
        pair.id,
        pair.until,
    )
    for word in ("IPv6", "QUIC", "further addresses", "open already", "203[.]0[.]113[.]5"):
        assert word in made.escalated
    assert (
        guard(
            made.with_(subject=RESOLVER.party("host", made.subject.value, later)), TERRAIN, (), later
        ).decision
        == ALLOWED
    )


def test_a_host_that_must_not_be_cut_off_keeps_its_pair_and_somebody_agrees() -> None:
    pair = wanted(case_of("srv8.corp.example"), infected("203.0.113.5"), darknet())[0].with_(approvals=0)
    made = escalated(pair, (ELSEWHERE,), NOW, lambda: 7, POLICY, TERRAIN)
    assert made is not None
    assert made.action == BLOCK_PAIR and made.target == pair.target and made.approvals == 1
    assert "class server" in made.escalated and "a way round" in made.escalated
    ruling = guard(made, TERRAIN, (), NOW)
    assert ruling.decision == NEEDS_APPROVAL and any("a way round" in reason for reason in ruling.reasons)
    assert escalated(made, (ELSEWHERE,), NOW, lambda: 8, POLICY, TERRAIN) is None  # said and agreed to


def test_nothing_escalates_without_an_open_path_or_a_pair_or_time() -> None:
    pair, mirror = wanted(case_of(), infected("203.0.113.5"), darknet())
    assert escalated(pair, (), NOW, lambda: 7, POLICY, TERRAIN) is None
    assert escalated(mirror, (IPV6,), NOW, lambda: 7, POLICY, TERRAIN) is None
    assert escalated(pair, (IPV6,), pair.until, lambda: 7, POLICY, TERRAIN) is None


def test_approval_is_by_another_person_and_each_counts_once() -> None:
    asked = wanted(case_of(), darknet())[0].with_(requested_by="alice", approvals=2)
    assert not approval(asked, (), "alice").accepted
    assert not approval(asked, (), " ＡＬＩＣＥ\u200b").accepted
    assert not approval(asked, (), "andon").accepted and not approval(asked, (), "  ").accepted
    first = approval(asked, (), "bob")
    assert first.accepted and not first.complete and first.missing == 1
    assert not approval(asked, ("bob",), "Bob").accepted
    second = approval(asked, ("bob",), "carol")
    assert second.accepted and second.complete and second.missing == 0
    assert not approval(
        asked, ("alice", "andon"), "bob"
    ).complete  # what was forged into the list does not count
    nobody = asked.with_(requested_by="andon", approvals=0)
    assert approval(nobody, (), "alice").complete
