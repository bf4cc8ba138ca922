"""Who is it now: leases that move, lists that contradict them, two systems of one name, names that lead elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from guard_site import HOUR, INSIDE, NOW, SECOND, asset_row, asset_table

from andon.contain.guard import NEEDS_APPROVAL, guard, terrain_of
from andon.contain.policy import load_policy
from andon.contain.resolve import DOUBTFUL, Resolver, moved, renewed, taken
from andon.records.inside import Inside
from andon.records.intent import Ground, Intent

POLICY = load_policy(None)
A, B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
GROUNDS = (Ground("finding", "a", "darknet"), Ground("finding", "b", "livenet"))


def lease(address: str, mac: str, begin: int, end: int | None, **more: Any) -> dict[str, Any]:
    return asset_row(address, mac=mac, basis="lease", valid_from=begin, valid_to=end, **more)


def resolver(*rows: dict[str, Any], **more: Any) -> Resolver:
    return Resolver(asset_table(list(rows)) if rows else None, Inside(INSIDE), POLICY, **more)


def quarantine(subject: Any) -> Intent:
    return Intent(1, "quarantine", subject, None, HOUR, "why", "andon", NOW, GROUNDS, level="high")


def test_a_host_has_all_its_addresses_of_both_versions() -> None:
    made = resolver(
        asset_row("10.0.1.7", hostname="pc7.corp.example", mac=A, device="Desktop"),
        asset_row("2001:db8:10:1::7", hostname="pc7.corp.example", mac=A),
        asset_row("fe80::7", hostname="pc7.corp.example", mac=A),
        asset_row("10.0.1.8", hostname="pc8.corp.example", mac=B),
        places={A: ("sw1", 7, A)},
    ).party("host", "PC7", NOW)
    assert made.addresses == ("10.0.1.7", "2001:db8:10:1::7")
    assert (made.mac, made.switch, made.port, made.asset_class) == (A, "sw1", 7, "workstation")
    assert made.basis == "list" and made.resolved == NOW


@pytest.mark.parametrize(
    "name", ["pc7", "pc7.corp.example", "A-0007", A, "02-00-00-00-00-0A", "10.0.1.7", "2001:DB8:10:1::7"]
)
def test_a_host_is_found_by_whatever_it_is_called(name: str) -> None:
    made = resolver(
        asset_row("10.0.1.7", hostname="pc7.corp.example", asset="A-0007", mac=A),
        asset_row("2001:db8:10:1::7", hostname="pc7.corp.example", mac=A),
    ).party("host", name, NOW)
    assert set(made.addresses) == {"10.0.1.7", "2001:db8:10:1::7"}
    assert DOUBTFUL not in made.basis


def test_who_had_the_address_then_is_cut_off_and_not_who_has_it_now() -> None:
    """Seen at 10.0.1.7 two hours ago; since then the lease has gone to another system."""
    held = resolver(
        lease("10.0.1.7", A, NOW - 5 * HOUR, NOW - HOUR, hostname="laptop-a"),
        lease("10.0.1.9", A, NOW - HOUR, None, hostname="laptop-a"),
        lease("10.0.1.7", B, NOW - HOUR, None, hostname="laptop-b"),
    )
    then = held.party("host", "10.0.1.7", NOW, seen_ns=NOW - 2 * HOUR)
    assert then.addresses == ("10.0.1.9",) and then.mac == A and then.basis == "lease"
    now = held.party("host", "10.0.1.7", NOW)
    assert now.addresses == ("10.0.1.7",) and now.mac == B


def test_a_lease_that_ended_leaves_nothing_to_cut() -> None:
    made = resolver(lease("10.0.1.7", A, NOW - 5 * HOUR, NOW - HOUR, hostname="laptop-a")).party(
        "host", "laptop-a", NOW
    )
    assert made.addresses == () and "lease has ended" in made.basis
    assert guard(quarantine(made), terrain_of(POLICY, INSIDE), (), NOW).decision == "refuse"


def test_a_list_gives_way_to_a_lease() -> None:
    """The list says 10.0.1.7 is pc7's; a lease gives that address to somebody else now."""
    made = resolver(
        asset_row("10.0.1.7", hostname="pc7", mac=A), lease("10.0.1.7", B, NOW - HOUR, None, hostname="guest")
    ).party("host", "pc7", NOW)
    assert "10.0.1.7" not in made.addresses and "leased to another system" in made.basis


def test_the_own_lease_stands_before_the_own_line_in_a_list() -> None:
    made = resolver(
        asset_row("10.0.1.7", hostname="pc7", mac=A),
        asset_row("2001:db8:10:1::7", hostname="pc7", mac=A),
        lease("10.0.1.70", A, NOW - HOUR, None, hostname="pc7"),
    ).party("host", "pc7", NOW)
    assert made.addresses == ("10.0.1.70", "2001:db8:10:1::7")


def test_two_systems_of_one_name_are_left_to_a_human() -> None:
    made = resolver(
        asset_row("10.0.1.7", hostname="web1.a.example", mac=A),
        asset_row("10.0.2.7", hostname="web1.b.example", mac=B),
    ).party("host", "web1", NOW)
    assert f"{DOUBTFUL}2 systems are called web1" in made.basis
    ruling = guard(quarantine(made), terrain_of(POLICY, INSIDE), (), NOW)
    assert ruling.decision == NEEDS_APPROVAL and "doubtful" in ruling.rules


def test_two_leases_of_one_address_are_left_to_a_human() -> None:
    made = resolver(
        lease("10.0.1.7", A, NOW - HOUR, None, hostname="a"),
        lease("10.0.1.7", B, NOW - HOUR, None, hostname="b"),
    ).party("host", "10.0.1.7", NOW)
    assert DOUBTFUL in made.basis


def test_an_old_scan_is_no_identity() -> None:
    old = asset_row("10.0.1.7", hostname="cam", basis="scan", valid_from=NOW - 30 * 24 * HOUR)
    assert "old scan" in resolver(old).party("host", "cam", NOW).basis
    new = asset_row("10.0.1.7", hostname="cam", basis="scan", valid_from=NOW - HOUR)
    assert resolver(new).party("host", "cam", NOW).basis == "scan"


def test_an_address_is_its_own_name_while_it_is_fresh() -> None:
    fresh = resolver().party("host", "pc7", NOW, ("10.0.1.7", "203.0.113.5"), NOW - 60 * SECOND)
    assert (fresh.addresses, fresh.basis) == (("10.0.1.7",), "given")
    stale = resolver().party("host", "pc7", NOW, ("10.0.1.7",), NOW - 3 * HOUR)
    assert stale.addresses == ("10.0.1.7",) and "seen 3 h ago" in stale.basis


def test_another_hardware_address_at_the_port_is_said_and_the_port_left_out() -> None:
    made = resolver(asset_row("10.0.1.7", hostname="pc7", mac=A), places={"10.0.1.7": ("sw1", 7, B)}).party(
        "host", "pc7", NOW
    )
    assert (made.switch, made.port) == ("", 0) and B in made.basis


def test_a_host_outside_is_doubted() -> None:
    assert "not inside" in resolver().party("host", "203.0.113.5", NOW).basis


def test_a_name_has_the_addresses_that_were_seen_here_and_no_shared_one() -> None:
    seen = {
        "Evil.example.net": [
            ("203.0.113.5", NOW - HOUR), ("2001:db8:bad::5", NOW), ("104.16.1.1", NOW), ("10.0.1.9", NOW),
            ("203.0.113.6", NOW - 48 * HOUR), ("no address", NOW),
        ]
    }  # fmt: skip
    made = resolver(observed=seen).party("domain", "evil.example.net.", NOW)
    assert made.value == "evil.example.net"
    assert set(made.addresses) == {"203.0.113.5", "2001:db8:bad::5"}
    assert "1 shared" in made.basis
    assert resolver().party("domain", "evil.example.net", NOW).addresses == ()


def test_what_is_no_such_thing_is_refused() -> None:
    for kind, value in (
        ("address", "x"),
        ("prefix", "10.0.0.1/8"),
        ("domain", "10.0.0.1"),
        ("url", "http://a@b/"),
        ("planet", "x"),
    ):
        with pytest.raises(ValueError):
            resolver().party(kind, value, NOW)


def test_a_held_intent_follows_the_lease() -> None:
    before = resolver(lease("10.0.1.7", A, NOW - HOUR, NOW + HOUR, hostname="laptop-a"))
    intent = quarantine(before.party("host", "laptop-a", NOW)).with_(ttl=10 * HOUR)
    assert moved(intent, before, NOW + 60 * SECOND) == ""
    later = NOW + 2 * HOUR
    after = resolver(
        lease("10.0.1.7", A, NOW - HOUR, NOW + HOUR, hostname="laptop-a"),
        lease("10.0.1.9", A, NOW + HOUR, None, hostname="laptop-a"),
        lease("10.0.1.7", B, NOW + HOUR, None, hostname="laptop-b"),
    )
    assert "10.0.1.9" in moved(intent, after, later)
    made = renewed(intent, after, later, 77)
    assert made is not None
    assert made.subject.addresses == ("10.0.1.9",)
    assert (made.id, made.replaces, made.until) == (77, intent.id, intent.until)
    assert renewed(intent, before, NOW + 60 * SECOND, 78) is None
    assert renewed(intent, after, intent.until, 79) is None


def test_an_intent_stays_with_the_system_when_another_takes_its_address() -> None:
    """Named by an address that is another's by now, the intent follows the system and never the address."""
    rows = [
        lease("10.0.1.7", A, NOW - HOUR, NOW + HOUR, hostname="laptop-a"),
        lease("10.0.1.9", A, NOW + HOUR, None, hostname="laptop-a"),
        lease("10.0.1.7", B, NOW + HOUR, None, hostname="laptop-b"),
    ]
    held = resolver(*rows)
    for mac in (A, ""):  # also where the hardware address was not known
        subject = replace(held.party("host", "10.0.1.7", NOW), mac=mac)
        intent = quarantine(subject).with_(ttl=10 * HOUR)
        assert taken(intent, held, NOW) == ""
        later = NOW + 2 * HOUR
        assert taken(intent, held, later).startswith("10.0.1.7")
        made = renewed(intent, held, later, 77)
        assert made is not None and made.subject.addresses == ("10.0.1.9",) and made.subject.mac == A
        assert moved(made, held, later + HOUR) == ""


def test_an_address_that_went_to_another_while_the_host_is_gone_is_taken() -> None:
    held = resolver(
        lease("10.0.1.7", A, NOW - HOUR, NOW + HOUR, hostname="laptop-a"),
        lease("10.0.1.7", B, NOW + HOUR, None),
    )
    intent = quarantine(held.party("host", "laptop-a", NOW)).with_(ttl=10 * HOUR)
    assert "another system" in taken(intent, held, NOW + 2 * HOUR)


def test_a_user_known_by_the_addresses_of_a_case_has_not_moved() -> None:
    held = resolver(asset_row("10.0.1.7", hostname="pc7"), asset_row("2001:db8:10:1::7", hostname="pc7"))
    intent = quarantine(held.party("host", "zeginu185", NOW, ("10.0.1.7",)))
    assert moved(intent, held, NOW + HOUR) == ""
    alone = quarantine(resolver().party("host", "zeginu185", NOW, ("10.0.1.7",)))
    assert moved(alone, resolver(), NOW + HOUR) == ""


def test_a_host_that_vanished_is_said() -> None:
    before = resolver(lease("10.0.1.7", A, NOW - HOUR, NOW + HOUR, hostname="laptop-a"))
    intent = quarantine(before.party("host", "laptop-a", NOW)).with_(ttl=10 * HOUR)
    assert "no current address" in moved(intent, before, NOW + 2 * HOUR)


def test_rows_that_cannot_be_read_are_counted_and_harmless() -> None:
    from andon.contain.resolve.assets import Assets

    rows = [
        asset_row("10.0.1.7", hostname="pc7"),
        asset_row("2001:zz::1", hostname="odd"),
        asset_row("2001:db8:10::/64"),
    ]
    known = Assets(asset_table(rows))
    assert known.left_out == 1 and len(known.rows) == 2
    assert known.around("2001:db8:10::5")[0].address == "2001:db8:10::/64"
