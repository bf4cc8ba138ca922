"""The guard's rules one by one, as they are promised in docs/containment-policy.md."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import guard_site as site
import pytest

from andon.contain.guard import ALLOWED, FORBIDDEN, NEEDS_APPROVAL, Held, Ruling, Terrain, guard, terrain_of
from andon.contain.policy import load_policy
from andon.records.intent import (
    ALLOW,
    BLOCK,
    BLOCK_PAIR,
    MIRROR,
    PROXY,
    QUARANTINE,
    SINKHOLE,
    Ground,
    Intent,
    Party,
)

NOW, HOUR, SECOND = site.NOW, site.HOUR, site.SECOND
GROUNDS = (Ground("finding", "a", "darknet"), Ground("finding", "b", "alerts:suricata"))
C2 = Party("address", "192.0.2.5", ("192.0.2.5",))


@pytest.fixture(scope="module")
def terrain(tmp_path_factory: pytest.TempPathFactory) -> Terrain:
    return site.site(tmp_path_factory.mktemp("site"))[1]


def host(n: int, **more: Any) -> Party:
    made = Party(
        "host",
        f"pc{n}.corp.example",
        (f"10.0.1.{n}",),
        asset_class="workstation",
        basis="lease",
        resolved=NOW,
    )
    return replace(made, **more)


def intent(action: str, subject: Party, target: Party | None = None, **more: Any) -> Intent:
    made = Intent(1, action, subject, target, HOUR, "why", "andon", NOW, GROUNDS, "case", "high")
    return made.with_(**more)


def held(n: int, action: str = QUARANTINE, seconds: int = 600, state: str = "verified", **more: Any) -> Held:
    made = intent(action, host(n), id=1000 + n, created=NOW - seconds * SECOND, **more)
    return Held(made, state, made.created, True)


def says(ruling: Ruling, decision: str, *rules: str) -> bool:
    return ruling.decision == decision and (not rules or ruling.rules == rules)


def test_an_infected_host_is_cut_off_without_a_human(terrain: Terrain) -> None:
    ruling = guard(intent(QUARANTINE, host(30)), terrain, (), NOW)
    assert says(ruling, ALLOWED)
    assert "alerts:suricata, darknet" in ruling.reasons[0]


@pytest.mark.parametrize("who", ["andon", "alice"])
@pytest.mark.parametrize("approvals", [0, 5])
@pytest.mark.parametrize(
    ("action", "subject", "target", "rule"),
    [
        (QUARANTINE, Party("host", "x", ("10.0.9.3",)), None, "protected"),
        (BLOCK_PAIR, host(30), Party("address", "10.0.9.3"), "protected"),  # neither end of a pair
        (PROXY, Party("address", "10.0.0.1"), None, "protected"),
        (SINKHOLE, Party("domain", "ns.corp.example"), None, "protected-name"),
        (
            BLOCK,
            Party("domain", "partner.example"),
            None,
            "protected-name",
        ),  # www.partner.example is below it
        (BLOCK, Party("url", "http://www.partner.example/x"), None, "protected-name"),
        (BLOCK, Party("address", "8.8.8.8"), None, "warning-list"),
        (BLOCK, Party("domain", "evil.example.net", ("104.16.9.9",)), None, "warning-list"),
        (BLOCK, Party("prefix", "192.0.2.0/23"), None, "wide"),
        (BLOCK, Party("prefix", "2001:db8:bad::/63"), None, "wide"),
        (BLOCK, Party("prefix", "64:ff9b::/64"), None, "wide"),
        (BLOCK, Party("address", "255.255.255.255"), None, "special"),
        (QUARANTINE, Party("prefix", "10.0.1.0/24"), None, "protected"),  # the gateway is in it
        (QUARANTINE, host(30, mac="00:00:5e:00:01:07"), None, "protected-mac"),
        (QUARANTINE, host(30, switch="sw1", port=1), None, "protected-port"),
        (QUARANTINE, host(30, switch="sw1", port=7), None, "protected-port"),  # a resolver is behind it
        (QUARANTINE, host(30, asset_class="critical"), None, "protected-class"),
        (QUARANTINE, Party("host", "dc7", ("10.0.1.99",)), None, "protected-class"),
        (BLOCK, Party("domain", "co.uk"), None, "suffix"),
        (BLOCK, Party("domain", "0x0a000001"), None, "unreadable"),
        (QUARANTINE, C2, None, "no-host"),
        (BLOCK_PAIR, host(30), host(30), "itself"),
        (QUARANTINE, Party("host", "x"), None, "nobody"),
    ],
)
def test_nobody_may_cut_these_whoever_agrees(
    terrain: Terrain, who: str, approvals: int, action: str, subject: Party, target: Party | None, rule: str
) -> None:
    ruling = guard(intent(action, subject, target, requested_by=who, approvals=approvals), terrain, (), NOW)
    assert ruling.decision == FORBIDDEN and rule in ruling.rules, ruling


def test_critical_assets_may_be_watched(terrain: Terrain) -> None:
    assert says(guard(intent(MIRROR, Party("host", "x", ("10.0.9.3",))), terrain, (), NOW), ALLOWED)


def test_our_own_control_path_is_copied_only_if_somebody_agrees(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("protect: {critical: [10.0.7.0/24], control: [10.0.7.7]}\n")
    both = terrain_of(load_policy(tmp_path / "p.yaml"), site.INSIDE)
    assert says(guard(intent(MIRROR, Party("address", "10.0.7.7")), both, (), NOW), NEEDS_APPROVAL, "mirror")
    assert says(guard(intent(MIRROR, Party("address", "10.0.7.8")), both, (), NOW), ALLOWED)


def test_evidence_of_one_field_is_one_however_much_there_is(terrain: Terrain) -> None:
    many = tuple(Ground("finding", str(n), "livenet") for n in range(50))
    assert says(
        guard(intent(QUARANTINE, host(30), grounds=many), terrain, (), NOW), NEEDS_APPROVAL, "evidence"
    )
    person = intent(
        QUARANTINE, host(30), grounds=(Ground("analyst", "alice", "alice"),), requested_by="alice"
    )
    assert says(guard(person, terrain, (), NOW), ALLOWED)
    assert says(guard(person.with_(grounds=()), terrain, (), NOW), NEEDS_APPROVAL, "evidence")


def test_sources_outside_are_not_blocked_without_a_human(terrain: Terrain) -> None:
    assert says(guard(intent(BLOCK, C2), terrain, (), NOW), NEEDS_APPROVAL, "outside")
    assert says(guard(intent(BLOCK, C2, requested_by="alice"), terrain, (), NOW), ALLOWED)


def test_the_eleventh_automatic_intent_of_a_minute_waits(terrain: Terrain) -> None:
    def asked(*before: Held) -> Ruling:
        return guard(intent(PROXY, host(200)), terrain, before, NOW)

    ten = [held(n, PROXY, 59) for n in range(30, 40)]
    assert says(asked(*ten[:9]), ALLOWED)
    assert says(asked(*ten), NEEDS_APPROVAL, "rate")
    assert says(asked(*(held(n, PROXY, 61) for n in range(30, 40))), ALLOWED)
    assert says(asked(*(held(n, MIRROR, 5) for n in range(30, 50))), ALLOWED)  # copies are counted apart
    assert says(asked(*(held(n, PROXY, 5, "waiting") for n in range(30, 50))), ALLOWED)
    assert says(asked(*(held(n, PROXY, 5, "revoked") for n in range(30, 50))), NEEDS_APPROVAL, "rate")
    assert says(
        asked(*(held(n, PROXY, -20) for n in range(30, 50))), NEEDS_APPROVAL, "rate"
    )  # the clock went back
    people = [replace(one, automatic=False) for one in ten]
    assert says(asked(*people), ALLOWED)
    assert says(guard(intent(PROXY, host(200), requested_by="alice"), terrain, ten, NOW), ALLOWED)


def test_two_per_cent_of_the_hosts_and_then_somebody_agrees(terrain: Terrain) -> None:
    eight = [held(n) for n in range(30, 38)]  # of 400
    assert says(guard(intent(QUARANTINE, host(90)), terrain, eight[:7], NOW), ALLOWED)
    assert says(guard(intent(QUARANTINE, host(90)), terrain, eight, NOW), NEEDS_APPROVAL, "share")
    assert says(
        guard(intent(QUARANTINE, host(90), requested_by="alice"), terrain, eight, NOW),
        NEEDS_APPROVAL,
        "share",
    )
    assert says(guard(intent(BLOCK_PAIR, host(30), C2), terrain, eight, NOW), ALLOWED)  # cut off already
    assert says(
        guard(intent(QUARANTINE, host(90)), terrain, [*eight[:7], held(41, state="expired")], NOW), ALLOWED
    )
    # Something with an address that nobody can read is no proof that the host is cut off.
    odd = replace(host(90), addresses=("10.0.1.77", "0xe0.0.0.1"), mac="02:00:00:00:01:5a")
    cut = Held(intent(QUARANTINE, odd, id=7, created=NOW - HOUR // 2), "verified", NOW, True)
    same = guard(intent(QUARANTINE, host(90, mac=odd.mac)), terrain, [*eight, cut], NOW)
    assert says(same, NEEDS_APPROVAL, "share")
    net = Party("prefix", "10.0.2.0/24", basis="given", resolved=NOW)  # 150 known hosts
    assert says(guard(intent(QUARANTINE, net), terrain, (), NOW), NEEDS_APPROVAL, "share")


def test_a_small_site_may_still_lose_three_hosts_at_once() -> None:
    small = terrain_of(load_policy(None), site.INSIDE)
    three = [held(n) for n in (30, 31, 32)]
    assert says(guard(intent(QUARANTINE, host(90)), small, three[:2], NOW), ALLOWED)
    assert says(guard(intent(QUARANTINE, host(90)), small, three, NOW), NEEDS_APPROVAL, "share")


def test_what_many_use_is_not_cut_without_a_human(terrain: Terrain) -> None:
    for text, decision in (
        ("192.0.2.50", NEEDS_APPROVAL),
        ("192.0.2.51", ALLOWED),
        ("64:ff9b::192.0.2.50", NEEDS_APPROVAL),
    ):
        ruling = guard(intent(BLOCK_PAIR, host(30), Party("address", text)), terrain, (), NOW)
        assert says(ruling, decision), (text, ruling)
    below = guard(intent(BLOCK_PAIR, host(30), Party("domain", "wide.example.net")), terrain, (), NOW)
    assert says(below, NEEDS_APPROVAL, "blast")  # 15 and 12 users of two names below it
    unknown = replace(terrain, users=None)
    assert says(
        guard(intent(BLOCK, C2, requested_by="alice"), unknown, (), NOW), NEEDS_APPROVAL, "blast-unknown"
    )
    assert says(guard(intent(BLOCK_PAIR, host(30), C2), unknown, (), NOW), ALLOWED)


def test_what_is_exempt_is_not_cut_until_the_exemption_ends(terrain: Terrain) -> None:
    whole = held(30, ALLOW, requested_by="alice")
    for action, target in ((QUARANTINE, None), (BLOCK_PAIR, C2)):
        assert says(guard(intent(action, host(30), target), terrain, (whole,), NOW), FORBIDDEN, "exempt")
        assert says(guard(intent(action, host(31), target), terrain, (whole,), NOW), ALLOWED)
    assert says(guard(intent(BLOCK_PAIR, host(31), host(30)), terrain, (whole,), NOW), FORBIDDEN, "exempt")
    later = intent(QUARANTINE, host(30, resolved=whole.intent.until), created=whole.intent.until)
    assert says(guard(later, terrain, (whole,), whole.intent.until), ALLOWED)
    assert says(
        guard(intent(QUARANTINE, host(30)), terrain, (replace(whole, state="revoked"),), NOW), ALLOWED
    )
    pair = held(30, ALLOW, target=C2)
    assert says(guard(intent(BLOCK_PAIR, host(30), C2), terrain, (pair,), NOW), FORBIDDEN, "exempt")
    assert says(guard(intent(BLOCK, C2, requested_by="alice"), terrain, (pair,), NOW), FORBIDDEN, "exempt")
    assert says(
        guard(intent(BLOCK_PAIR, host(30), Party("address", "192.0.2.6")), terrain, (pair,), NOW), ALLOWED
    )


def test_an_exemption_is_made_by_people_only(terrain: Terrain) -> None:
    assert says(guard(intent(ALLOW, host(30)), terrain, (), NOW), NEEDS_APPROVAL, "exemption")
    assert says(guard(intent(ALLOW, host(30), requested_by="alice"), terrain, (), NOW), ALLOWED)
    assert says(
        guard(intent(ALLOW, Party("prefix", "0.0.0.0/0"), requested_by="alice"), terrain, (), NOW),
        FORBIDDEN,
        "wide",
    )


def test_identity_that_is_doubtful_or_stale_is_left_to_a_human(terrain: Terrain) -> None:
    doubtful = host(30, basis="lease (doubtful: 2 systems are called pc30)")
    ruling = guard(intent(QUARANTINE, doubtful), terrain, (), NOW)
    assert says(ruling, NEEDS_APPROVAL, "doubtful") and "2 systems are called pc30" in ruling.reasons[0]
    assert says(
        guard(intent(QUARANTINE, host(30, resolved=NOW - HOUR)), terrain, (), NOW), NEEDS_APPROVAL, "stale"
    )
    assert says(guard(intent(QUARANTINE, host(30, resolved=0)), terrain, (), NOW), NEEDS_APPROVAL, "stale")
    assert says(
        guard(intent(QUARANTINE, host(30, switch="sw1", port=22)), terrain, (), NOW), NEEDS_APPROVAL, "crowd"
    )


def test_time_has_bounds(terrain: Terrain) -> None:
    week = 7 * 24 * HOUR
    assert says(guard(intent(QUARANTINE, host(30), ttl=week), terrain, (), NOW), NEEDS_APPROVAL, "long")
    assert says(
        guard(intent(QUARANTINE, host(30), ttl=week, requested_by="alice"), terrain, (), NOW), ALLOWED
    )
    short = replace(terrain, limits=replace(terrain.limits, longest=24 * HOUR))
    assert says(
        guard(intent(QUARANTINE, host(30), ttl=week, requested_by="alice"), short, (), NOW), FORBIDDEN, "ttl"
    )
    assert "over" in guard(intent(QUARANTINE, host(30)), terrain, (), NOW + HOUR).rules
    assert "future" in guard(intent(QUARANTINE, host(30), created=NOW + HOUR), terrain, (), NOW).rules


def test_the_policy_of_the_documentation_can_be_used(tmp_path: Path) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "containment-policy.md").read_text()
    blocks = [part.partition("```")[0] for part in text.split("```yaml\n")[1:]]
    assert len(blocks) == 3
    (tmp_path / "own.txt").write_text("portal.example.org\n")
    (tmp_path / "misp-warninglists" / "lists" / "one").mkdir(parents=True)
    (tmp_path / "misp-warninglists" / "lists" / "one" / "list.json").write_text(site.SHARED)
    for number, block in enumerate(blocks):
        path = tmp_path / f"policy{number}.yaml"
        path.write_text(block)
        assert load_policy(path).rules
