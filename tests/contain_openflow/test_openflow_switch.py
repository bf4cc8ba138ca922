"""The enforcer and a real Open vSwitch, in private namespaces: what is claimed is read from the switch."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from openflow_keys import keys_in
from openflow_made import LAB
from parts.private import missing, privately

pytestmark = pytest.mark.skipif(bool(missing("ovs-appctl")), reason=missing("ovs-appctl") or "it can run")

HERE = Path(__file__).resolve().parent


def run(scenario: str, folder: Path, **more: Any) -> Any:
    paths = (LAB, HERE, LAB.parents[1] / "src")
    return privately(f"openflow_switch:{scenario}", {"folder": str(folder), **more}, 240, paths=paths)


def test_what_is_typed_and_what_is_applied_is_the_same_and_only_our_own_is_taken_back(tmp_path: Path) -> None:
    found = run("life", tmp_path)
    assert found["by hand"] == found["digests"][4:], "the commands of the plan make the same rules"
    assert found["inverse left"] == []
    assert all(found["verified"]) and found["again"]
    assert found["held"] == [3, 4, 5, 6, 7]
    assert found["altered"] is False, "a rule changed by other hands is seen"
    others = [flow for flow in found["end"] if flow not in found["pipeline"]]
    assert len(others) == 2 and len(found["pipeline"]) == 9, others
    assert found["fresh"] == {"same": True, "mended": True, "other plan": True, "left": 0}


DROPPED: list[str] = []
FORWARDED = ["NORMAL"]


def steered(port: int) -> list[str]:
    return [f"set_field:02:00:00:00:00:0{port}->eth_dst", f"output:{port}"]


BASICS = ("arp", "nd", "dhcp", "dhcp answer")
OF_THE_PAIR = (
    "c2 http",
    "c2 tls",
    "c2 quic",
    "c2 http v6",
    "c2 quic v6",
    "c2 answer",
    "c2 from elsewhere",
    "dhcp to c2",
)


def test_every_packet_goes_where_its_intent_says(tmp_path: Path) -> None:
    found = run("packets", tmp_path)
    every = set(found["nothing"])
    assert all(way == FORWARDED for way in found["nothing"].values())

    def only(name: str, changed: dict[str, list[str]]) -> None:
        assert found[name] == {packet: changed.get(packet, FORWARDED) for packet in every}, name

    pair = dict.fromkeys((*OF_THE_PAIR, "page", "sink"), DROPPED)
    only("pair", pair)
    by_address = found["by address"]
    assert all(by_address[packet] == DROPPED for packet in OF_THE_PAIR)
    # The mirror sees what is protected, and what is cut behind it.
    copied = {packet for packet, way in found["mirror"].items() if way == ["output:5", "NORMAL"]}
    assert copied == every - {"clean http"}
    assert all(found["mirror and pair"][packet] == ["output:5"] for packet in pair)
    proxied = dict.fromkeys(("c2 http", "c2 http v6", "other http"), steered(4))
    only("proxy", {**proxied, "c2 quic": DROPPED, "c2 quic v6": DROPPED})
    assert found["proxy by address"]["c2 http"] == steered(4)
    free = {"clean http", "page", "protected", "from protected", *BASICS}
    paged = dict.fromkeys(("c2 http", "other http"), steered(6))
    only("quarantine", {packet: paged.get(packet, DROPPED) for packet in every - free})
    only("block", dict.fromkeys(every - (free - {"page"}), DROPPED))
    strict = {"protected", "from protected"}
    only("strict quarantine", {packet: paged.get(packet, DROPPED) for packet in every - (free - strict)})
    only("block of the c2", dict.fromkeys((*OF_THE_PAIR, "page", "sink", "clean http"), DROPPED))
    v4 = [packet for packet in (*OF_THE_PAIR, "page", "sink", "clean http") if "v6" not in packet]
    only("block of a prefix", dict.fromkeys(v4, DROPPED))
    sunk = {packet: steered(7) for packet in OF_THE_PAIR if packet != "c2 answer"}
    only("sinkhole", {**sunk, "c2 answer": DROPPED, "page": DROPPED})
    allowed = found["allow and quarantine"]
    assert all(allowed[packet] == FORWARDED for packet in OF_THE_PAIR)
    assert allowed["other tls"] == allowed["lateral"] == DROPPED and allowed["other http"] == steered(6)


def test_a_restart_a_flush_and_a_changed_controller_are_mended_and_told(tmp_path: Path) -> None:
    found = run("mending", tmp_path)
    assert found["held"]
    for name in ("restart", "flush", "one rule", "pipeline", "controller"):
        assert found[name] < 10.0, (name, found[name])  # five times the bar of two seconds
    epochs = found["epochs"]
    assert all(later > earlier for earlier, later in pairwise(epochs)), epochs
    assert found["gone"][2] == [1, 2] and found["gone"][3] == [1] and found["gone"][5] == [1, 2]
    assert "refused" in found["down"] and "tried again" in found["down"]
    assert found["revoked while down"] == "Unreachable" and found["after"] == [1]
    assert found["ended while down"] == [1]
    assert (
        found["all while down"] == "Unreachable" and found["after all"] == [] and found["pipeline left"] == 9
    )


def test_each_intent_ends_in_time_and_hands_on_what_another_needs(tmp_path: Path) -> None:
    found = run("clocks", tmp_path)
    assert found["shared"] == [[1, 2, 3], ["cookie=0x8000000000000002", "cookie=0x8000000000000003"]]
    assert found["handed on"] == [[1, 2, 3], True, ["cookie=0x8000000000000001", "cookie=0x8000000000000003"]]
    short, *long = found["timeouts"]
    assert short in range(5, 11) and long and set(long) <= set(range(50, 61))
    assert found["expired"] == [3] and found["expired after"] < 20
    assert found["by our clock"] == [1, 2]
    assert "has ended 100 s ago" in found["too late"]
    assert found["clock set"] == [True, [6]], "told that its rules had gone, and they are back"
    assert found["told once"] is True
    assert found["long"] == [[5], []], "what holds longer than a time-out can is pushed again in time"


def test_what_is_not_as_it_should_be_is_never_called_healthy(tmp_path: Path) -> None:
    found = run("troubles", tmp_path)
    assert found["ok"] == ["ok", "secure", "master"]
    assert found["unknown"][0] == "degraded" and "fail mode not known" in found["unknown"][1]
    assert found["second"][0] == "degraded" and "another controller" in found["second"][1]
    assert "another controller" in found["slave"]
    assert found["standalone"][0] == "degraded" and "set it to secure" in found["standalone"][1]
    assert "no port 5 (capture)" in found["ports"]
    for name in ("full", "full, no bundles"):
        assert found[name] == ["the table is full", True, True, [1]], (
            "all or nothing, and what was there stays"
        )
    told, why = found["no room to mend"]
    assert told == 0 and "the table is full" in why, "told once, and tried again without telling"
    assert found["full health"][0] == "degraded" and "no room" in found["full health"][1]
    assert found["cap"] == ["that would be 50 rules, and it is to hold 40", [1]]
    assert found["no bundles"] == [1, 10, 12]
    assert found["version"][0] == "down" and "protocols=OpenFlow13" in found["version"][1]
    assert "protocols=OpenFlow13" in found["version error"]


def test_over_tcp_and_tls_we_call_or_are_called_and_strangers_are_not_let_in(tmp_path: Path) -> None:
    found = run("far", tmp_path, keys=str(keys_in(tmp_path / "keys")))
    for way in ("tcp", "ssl", "listen tcp", "listen ssl"):
        assert found[way] == "master", way
    assert found["wrong authority"][0] == "down" and "certificate" in found["wrong authority"][1].lower()
    assert "no switch has called" in found["nobody called"]
    assert found["listen health"] == ["ok", ""]
    assert found["stranger"] == "down"
    assert "not 0000000000000001" in found["wrong datapath"]
