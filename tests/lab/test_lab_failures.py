"""Something breaks while a host is cut off: a known state afterwards, and an alarm.

Two cheap ones run always; `make nightly-lab` (ANDON_LAB_NIGHTLY=1) runs all.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from parts.private import missing, privately

_NOT = missing("nft", "squid", "unbound", "unbound-control", "tcpdump")
pytestmark = pytest.mark.skipif(bool(_NOT), reason=_NOT or "the lab can run")
nightly = pytest.mark.skipif(not os.environ.get("ANDON_LAB_NIGHTLY"), reason="nightly: make nightly-lab")


def seen(failure: str, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = privately(f"failures:{failure}", {"folder": "/run/lab", **more}, seconds=480)
    return found


def alarmed(found: dict[str, Any], kind: str, name: str = "alarms") -> bool:
    return any(one == kind for one, _ in found[name])


def unharmed(found: dict[str, Any]) -> bool:
    return (found["harm"]["lost"], found["harm"]["failed"]) == ({}, {})


def closed(leaks: dict[str, Any]) -> bool:
    return leaks["sent"] > 100 and leaks["arrived"] == {} and leaks["on the wire"] == 0


def test_a_switch_that_restarts_never_forwards_for_the_host_that_was_cut_off() -> None:
    found = seen("switch_restarted", tries=int(os.environ.get("ANDON_LAB_TRIES", "1")))

    assert closed(found["leaks"]), found["leaks"]
    assert found["state"] == "verified"
    assert max(found["to the cut"]) < 30
    assert max(found["outages"]) < 30, "everybody's network comes back with it"
    assert alarmed(found, "enforcer-restarted"), found["alarms"]


def test_flows_that_are_deleted_by_hand_are_put_back_before_many_packets_pass() -> None:
    found = seen("flows_flushed")

    for what in ("all", "of the cut", "one of the cut"):
        assert closed(found[f"leaks once mended, {what}"]), what
        assert found[f"open for ms, {what}"] < 10_000, what  # some tens on a machine that is not busy
        assert found[f"outage, {what}"] < 30, what
        assert found[f"flows of the cut missing, {what}"] == 0, what
    assert found["state"] == "verified"
    assert alarmed(found, "rules-lost"), found["alarms"]


@nightly
def test_a_controller_that_is_killed_leaves_the_cut_in_force_until_its_time_is_over() -> None:
    found = seen("controller_killed")

    assert closed(found["leaks while dead"]), found["leaks while dead"]
    assert closed(found["leaks after restart"]), found["leaks after restart"]
    assert found["state after restart"] in ("applied", "verified")
    assert found["same flows after restart"]
    assert found["not back after its time, nobody running"] == []
    assert found["flows of intents left"] == []
    assert found["state of the one that ended meanwhile"] == "expired"
    assert unharmed(found), found["harm"]
    assert alarmed(found, "uncontrolled"), found["alarms"]


@nightly
def test_a_controller_that_somebody_gives_the_bridge_flushes_it_and_is_outdone() -> None:
    found = seen("controller_set")

    assert closed(found["leaks"]), found["leaks"]
    assert found["state"] == "verified"
    for what in ("set-controller", "del-controller"):
        assert found[f"outage, {what}"] < 5
        assert found[f"open for ms, {what}"] < 50
    assert alarmed(found, "rules-lost"), found["alarms"]


@nightly
def test_a_clock_that_jumps_neither_prolongs_nor_shortens_what_is_in_force() -> None:
    found = seen("clock_jumps")

    for way in ("ahead", "back"):
        assert found[f"state, {way}"] == "verified"
        assert found[f"flows of the cut missing, {way}"] == 0
    assert found["leaks"] == 0
    assert 7 < found["seconds in force"] < 12, "its time was eight seconds"
    assert found["arrived afterwards"] > 0
    assert found["state of one proposed afterwards"] == "verified"
    assert found["log is whole"]
    assert alarmed(found, "clock"), found["alarms"]


@nightly
def test_a_damaged_log_enforces_nothing_new_keeps_what_is_in_force_and_obeys_the_kill_switch() -> None:
    found = seen("log_damaged")

    assert closed(found["leaks"]), found["leaks"]
    assert found["flows of the cut missing"] == 0
    assert found["new proposal"].startswith("StoreDamaged")
    assert found["flows of intents after the kill switch"] == 0
    assert [name for name in found["not back after the kill switch"] if "session" not in name] == []
    assert unharmed(found), found["harm"]
    assert alarmed(found, "store") and alarmed(found, "kill-switch"), found["alarms"]


@nightly
def test_a_second_controller_stands_by_and_takes_over() -> None:
    found = seen("two_controllers")

    status, text = found["second runner"]
    assert status == 1 and "in use by process" in text
    assert not found["active beside the runner"]
    assert found["seconds to take over"] < 5
    assert closed(found["leaks"]), found["leaks"]
    assert found["state"] == "verified"
    assert found["seconds to mend a flush under the new one"] < 2
    assert alarmed(found, "standby", "alarms of the one that stood by")


@nightly
def test_a_full_disk_lets_nothing_new_in_and_everything_out() -> None:
    found = seen("disk_full")

    assert closed(found["leaks"]), found["leaks"]
    assert found["new proposal"].startswith("StoreFull")
    assert len(found["taken back"]) == 1 and found["state"] == "revoked"
    assert [name for name in found["not back"] if "session" not in name] == []
    assert found["state of one proposed once there is room"] in ("applied", "verified")
    assert unharmed(found), found["harm"]
    assert any("no room left" in text or "free space" in text for text in found["troubles"]), found[
        "troubles"
    ]


@nightly
def test_a_firewall_goes_on_with_its_list_when_the_server_is_away_and_is_missed_when_it_stays_away() -> None:
    found = seen("list_server_down")

    assert found["blocked"]
    assert found["answers while down"] == [0]
    assert found["arrived while down"] == 0
    assert set(found["answers after the restart"]) <= {0, 200, 304, 503}
    assert found["arrived after the restart"] == 0
    assert found["health without its reader"]["state"] == "degraded"
    assert unharmed(found), found["harm"]
    assert alarmed(found, "enforcer"), found["alarms"]


@nightly
def test_two_sites_at_one_switch_are_told_that_they_are_not_alone() -> None:
    found = seen("other_site")

    assert alarmed(found, "enforcer") or alarmed(found, "rules-lost"), found["alarms"]
    assert found["alarms of the second"] or any(
        one["state"] != "ok" for one in found["status of the second"].values()
    )
