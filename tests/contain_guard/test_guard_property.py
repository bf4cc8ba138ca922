"""The guard against an oracle written otherwise: no forbidden intent gets through, and each broken rule shows."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import guard_oracle as oracle
import guard_site as site
import pytest
from guard_cases import Case, Cases, Parties
from guard_mutants import broken, mutants
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.contain.guard import ALLOWED, FORBIDDEN, Terrain, guard
from andon.contain.policy import Policy
from andon.records.intent import ACTIONS, PARTIES, Ground, Intent, Party

COUNT = 25_000


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Policy, Terrain]:
    policy, terrain, _ = site.site(tmp_path_factory.mktemp("site"))
    return policy, terrain


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    drawn = Cases(20260401, Parties(7))
    return [next(drawn) for _ in range(COUNT)]


@pytest.fixture(scope="module")
def wrong(cases: list[Case]) -> list[tuple[Case, str, str]]:
    """Cases that must not go through without a human, with the oracle's reason; "" first where a human may agree."""
    made = []
    for case in cases:
        never = oracle.forbidden(*case)
        ask = never or oracle.needs_human(*case)
        if ask:
            made.append((case, never, ask))
    return made


def test_no_forbidden_intent_gets_through(
    world: tuple[Policy, Terrain], wrong: list[tuple[Case, str, str]]
) -> None:
    assert len(wrong) > COUNT // 3, "the cases are too tame to prove anything"
    assert len({why for _, _, why in wrong}) >= 30
    for case, never, ask in wrong:
        ruling = guard(case.intent, world[1], case.held, case.now)
        assert ruling.decision != ALLOWED, (ask, case.intent, ruling)
        if never:
            assert ruling.decision == FORBIDDEN, (never, case.intent, ruling)


def test_what_the_oracle_does_not_mind_is_mostly_allowed(
    world: tuple[Policy, Terrain], cases: list[Case], wrong: list[tuple[Case, str, str]]
) -> None:
    """A guard that refuses everything is safe and useless. What cannot be read is refused on principle."""
    bad = {case.intent.id for case, _, _ in wrong}
    strict = good = 0
    for case in cases:
        if case.intent.id in bad:
            continue
        ruling = guard(case.intent, world[1], case.held, case.now)
        if "unreadable" in ruling.rules:
            continue
        good += ruling.decision == ALLOWED
        strict += ruling.decision != ALLOWED
    assert good > COUNT // 5
    assert strict < 0.05 * good


def test_the_oracle_notices_every_broken_rule(
    world: tuple[Policy, Terrain], wrong: list[tuple[Case, str, str]]
) -> None:
    missed = []
    for mutant in mutants(*world):
        with broken(mutant) as ground:
            for case, never, _ in wrong:
                ruling = guard(case.intent, ground, case.held, case.now)
                if ruling.decision == ALLOWED or (never and ruling.decision != FORBIDDEN):
                    break
            else:
                missed.append(mutant.name)
    assert not missed


def test_the_same_question_has_the_same_answer_and_every_answer_a_reason(
    world: tuple[Policy, Terrain], cases: list[Case]
) -> None:
    for case in cases[:3000]:
        ruling = guard(case.intent, world[1], case.held, case.now)
        assert ruling == guard(case.intent, world[1], case.held, case.now)
        assert ruling.reasons and ruling.rules
        assert all(reason.isprintable() and 10 < len(reason) < 900 for reason in ruling.reasons)


def _cut(intent: Intent, a: str, b: str) -> bool:
    """Whether a switch that holds the intent drops a packet from a to b: by the texts of its parties alone."""

    def has(party: Party, address: str) -> bool:
        end = ip_address(address)
        return any(end in net for net in oracle.effect(party).nets if net.version == end.version)

    if intent.target is None:
        return has(intent.subject, a) or has(intent.subject, b)
    there = has(intent.subject, a) and has(intent.target, b)
    return there or (has(intent.subject, b) and has(intent.target, a))


def test_packets_of_what_is_protected_pass_every_intent_that_was_allowed(
    world: tuple[Policy, Terrain], cases: list[Case]
) -> None:
    """Packet by packet: critical assets, gateways, resolvers, the control path and shared services, with each other
    and with bystanders, in every address form they can be reached by."""
    protected = [str(form) for text in oracle.ADDRESSES[:24] for form in oracle.forms(text)]
    bystanders = ["10.0.8.8", "2001:db8:10:8::8", "203.0.113.5", "2001:db8:ffff::1"]
    checked = 0
    for case in cases:
        if case.intent.action not in oracle.CUTS or checked >= 200:
            continue
        if guard(case.intent, world[1], case.held, case.now).decision == FORBIDDEN:
            continue
        checked += 1
        for end in protected:
            for other in bystanders:
                assert not _cut(case.intent, end, other), (case.intent, end, other)
        if case.intent.target is not None:
            for party in (case.intent.subject, case.intent.target):
                nets = oracle.effect(party).nets
                assert not any(
                    ip_address(p) in net
                    for p in protected
                    for net in nets
                    if net.version == ip_address(p).version
                )
    assert checked == 200


_TEXTS = st.one_of(
    st.text(max_size=40),
    st.ip_addresses().map(str),
    st.sampled_from([str(form) for text in oracle.ADDRESSES for form in oracle.forms(text)]),
    st.from_regex(r"[a-z0-9.:/%@\[\]*-]{0,30}", fullmatch=True),
    st.sampled_from([*oracle.OWN_NAMES, *oracle.SHARED_NAMES, *oracle.EXACT_NAMES]),
)
_PARTIES = st.builds(
    Party,
    st.sampled_from(PARTIES),
    st.one_of(_TEXTS, _TEXTS.map(lambda t: f"http://{t}/x")),
    st.lists(_TEXTS, max_size=3).map(tuple),
    st.one_of(st.just(""), st.text(max_size=18)),
    st.sampled_from(["", "sw1", "sw2"]),
    st.integers(-2, 1 << 33),
    st.just(""),
    st.just("list"),
    st.just(site.NOW),
)
_INTENTS = st.builds(
    Intent,
    st.integers(1, (1 << 63) - 1),
    st.sampled_from(ACTIONS),
    _PARTIES,
    _PARTIES,
    st.integers(site.SECOND, 7 * 24 * site.HOUR),
    st.just("why"),
    st.sampled_from(["andon", "alice"]),
    st.just(site.NOW),
    st.just((Ground("finding", "a", "darknet"), Ground("finding", "b", "livenet"))),
    level=st.just("high"),
)


@settings(max_examples=600)
@given(_INTENTS)
def test_any_text_gets_an_answer_and_nothing_forbidden_gets_through(
    world: tuple[Policy, Terrain], intent: Intent
) -> None:
    ruling = guard(intent, world[1], (), site.NOW)
    never = oracle.forbidden(intent, (), site.NOW)
    if never:
        assert ruling.decision == FORBIDDEN, (never, ruling)
    elif oracle.needs_human(intent, (), site.NOW):
        assert ruling.decision != ALLOWED


def test_where_it_is_kept_the_world_is_as_it_is_told(tmp_path: Path) -> None:
    """The oracle's own figures: 400 hosts, so 8 at once and 20 users."""
    _, terrain, _ = site.site(tmp_path)
    assert terrain.hosts == 400
    assert terrain.users is not None
