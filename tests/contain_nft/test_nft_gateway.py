"""The nft enforcer on a real gateway between namespaces: what it cuts, what it leaves, who may change what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from parts.private import HERE as LAB
from parts.private import missing, privately

HERE = Path(__file__).resolve().parent

pytestmark = pytest.mark.skipif(bool(missing("nft")), reason=missing("nft") or "the lab can run")


def seen_in(scenario: str) -> Any:
    return privately(f"nft_scenarios:{scenario}", {}, seconds=240, paths=(LAB, HERE))


def test_a_pair_block_ends_open_sessions_of_both_versions_and_nobody_elses_traffic() -> None:
    found = seen_in("pair_block")

    assert found["before"] == [True, True, True, True]
    assert found["cut"] == [False, False, False, "", "", ""]
    assert not found["back"]
    assert found["clean"] == [True, True, True, True]
    seen = found["seen"]
    assert seen["verify"]
    assert seen["actual"] == {"7": seen["digest"]}
    assert seen["health"] == "ok"
    assert 'comment "0000000000000007"' in seen["listing"]
    assert found["after"] == [True, True]
    assert found["gone"] == {"verify": False, "actual": {}}


def test_a_quarantined_host_sees_the_page_and_what_it_may_reach_by_whatever_ipv6_address() -> None:
    found = seen_in("quarantine")

    assert found["paths"] == [[], ["ipv6"]]
    assert found["unknown before"], "by IPv4 alone its IPv6 stays open, as the plan said"
    assert found["seen"] == {
        "page": "203.0.113.8 80", "other port": "", "open": "", "reach": [True, "203.0.113.9 80"],
        "unknown6": False, "from outside": False,
    }  # fmt: skip


def test_proxy_and_sinkhole_take_new_connections_and_end_open_ones() -> None:
    found = seen_in("redirects")

    assert found["proxy"] == {
        "to the proxy": True, "other target": "203.0.113.8 80", "other port": "203.0.113.7 4444", "quic": False,
        "udp": True, "open": "", "all6": True, "quic6": False,
    }  # fmt: skip
    assert found["sink"] == {
        "to": "203.0.113.9 80", "no sinkhole for IPv6": False, "pair": "203.0.113.9 4444",
        "pair of others": "203.0.113.7 4444", "open": "", "paths": ["names"],
        "host": ["203.0.113.9 80", "203.0.113.7 80"],
    }  # fmt: skip


def test_prefixes_may_overlap_and_what_is_allowed_or_protected_goes_before() -> None:
    found = seen_in("prefixes")

    assert found["seen"] == {
        "blocked": [False, False], "protected": True, "allowed": [True, False], "pair": [False, True], "verify": True,
        "read by another": True,
    }  # fmt: skip
    assert found["narrow"] == [False, True]
    assert found["health"] == "ok"


def test_the_mirror_copies_before_the_verdict_and_stops_with_the_kill_switch() -> None:
    found = seen_in("mirrored")
    copies = [tuple(one) for one in found["copies"]]

    assert not found["cut"]
    assert found["open"] == [True, True, True]
    assert ("10.9.0.5", "203.0.113.7") in copies, "what was then dropped"
    assert {("10.9.0.5", "203.0.113.8"), ("203.0.113.8", "10.9.0.5")} <= set(copies), "both directions"
    assert ("2001:db8:9::5", "2001:db8:f::7") in copies
    assert not any("10.9.0.6" in one for one in copies), "nobody else's"
    assert not any("10.9.0.5" in one for one in found["after"])


def test_elements_are_shared_and_the_kernel_itself_ends_them() -> None:
    found = seen_in("shared")

    assert found["both"] == [51, 52]
    assert found["left"] == [[51], False]
    ended, reaches, actual, listing = found["expired"]
    assert ended == [51]
    assert reaches
    assert actual == {}
    assert "elements" not in listing
    assert found["verified"]
    assert "Rejected" in found["eighth"]
    assert found["last"] == [False, [66]]
    assert found["too late"] == [True, [66]], "what has ended is not begun"


def test_changes_by_hand_are_seen_and_mended_and_another_run_knows_what_is_held() -> None:
    found = seen_in("by_hand")

    rights = {"others": [81, 82], "set": [82], "chain": [], "hook": [], "table": [], "everything": []}
    for word, right in rights.items():
        row = found[word]
        assert row["right"] == right, word
        assert row["reaches"] == (word != "others"), word
        assert row["epoch"] == (0 if word == "others" else 1), word
        assert row["mended"], word
        assert row["verified"], word
    assert [found[word]["state"] for word in ("others", "chain", "hook", "table", "everything")] == [
        "ok", "down", "down", "down", "down",
    ]  # fmt: skip
    assert found["told by tick"] == [81, 82]
    assert found["another"] == [True, "ok"]
    assert found["one revoked by another"] == [[82], True]
    assert found["other settings"] == ["down", [82]]
    assert found["taken over"] == ["ok", True]
    assert found["cleared"] == [{}, True, 1], "the kill switch leaves others' tables"


def test_the_commands_of_a_plan_typed_by_hand_do_the_same_and_their_inverse_undoes_it() -> None:
    found = seen_in("typed")

    assert found["same"]
    assert found["elements"] == 13
    assert found["empty"] == [[], [], []]


def test_what_goes_wrong_is_told_and_leaves_nothing_half_done() -> None:
    found = seen_in("errors")

    assert found["no namespace"].startswith("Unreachable: network namespace /run/netns/nowhere")
    assert found["no namespace, health"] == "down"
    assert found["namespace comes"] == "nothing"
    assert found["namespace anew"].startswith("down"), "the rules went with the old one"
    assert found["namespace anew"].endswith(" 0")
    assert found["no library"].startswith("Unreachable: libnothing.so.9 cannot be loaded")
    assert "max_elements" in found["full"]
    assert found["full, nothing done"] == "{}"
    assert found["one fits"] == "nothing"


def test_on_a_host_its_own_traffic_is_what_is_cut_and_redirected() -> None:
    found = seen_in("own_host")

    assert found["cut"] == [False, "", False]
    assert found["open"]
    assert found["proxy"] == ["203.0.113.9 80", "203.0.113.7 4444", False]
    assert found["sinkhole"] == ["203.0.113.9 4444", "203.0.113.8 4444"]


def test_the_clock_may_be_set_while_intents_are_in_force() -> None:
    found = seen_in("set_clock")

    assert found["put back"] == [False, False, [1, 2]]
    assert found["new"] == [False, [1, 2, 3]]
    assert found["ended"] == [[2], True, [1, 3]], "when it was due, not a day off"


def test_missing_rights_are_told() -> None:
    found = seen_in("unprivileged")

    assert found["said"].startswith("down nf_tables: Operation not permitted"), found["said"]
