"""What the tests run inside the private place; each takes one dict and gives JSON values."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from parts.flows import CLEAN_DIRECT, TO_C2_DIRECT
from parts.site import C2, C2_V4, C2_V6, Lab
from parts.spaces import run_in


def plain_rules(given: dict[str, Any]) -> dict[str, Any]:
    """The lab itself: everything arrives; IPv4-only rules leave IPv6 open; rules on the port close all; back again."""
    found: dict[str, Any] = {}
    begun = time.monotonic()
    with Lab(Path(given["folder"])) as lab:
        found["seconds to build"] = time.monotonic() - begun
        flows = (*TO_C2_DIRECT, *CLEAN_DIRECT)
        lab.near.start("c2-udp4", rate=1000)
        lab.near.start(*(name for name in flows if name != "c2-udp4"))
        time.sleep(given["seconds"])
        first = time.time_ns()
        for address in C2_V4:
            lab.switch.ofctl("add-flow", f"priority=300,ip,nw_src={C2.v4},nw_dst={address},actions=drop")
        four = time.time_ns()
        time.sleep(given["seconds"])
        end = time.time_ns()
        found["after IPv4 rules"] = {
            name: lab.far.arrived(name, four + 50_000_000, end) for name in TO_C2_DIRECT
        }
        for address in C2_V6:
            lab.switch.ofctl(
                "add-flow", f"priority=300,ipv6,ipv6_src={C2.v6},ipv6_dst={address},actions=drop"
            )
        six = time.time_ns()
        time.sleep(given["seconds"])
        end = time.time_ns()
        found["after both"] = {name: lab.far.arrived(name, six + 50_000_000, end) for name in TO_C2_DIRECT}
        found["sent after both"] = {name: lab.near.sent(name, six + 50_000_000, end) for name in TO_C2_DIRECT}
        lab.switch.ofctl("del-flows", f"ip,nw_src={C2.v4}")
        lab.switch.ofctl("del-flows", f"ipv6,ipv6_src={C2.v6}")
        back = time.time_ns()
        time.sleep(given["seconds"] + 0.5)
        lab.near.stop()
        late = time.monotonic() + 20
        while time.monotonic() < late and any(
            lab.near.sent(name) > lab.far.arrived(name) for name in CLEAN_DIRECT
        ):
            time.sleep(0.1)  # what was sent last is on its way
        found["before"] = {name: lab.far.arrived(name, 0, first) for name in flows}
        found["again"] = {name: lab.far.arrived(name, back) for name in TO_C2_DIRECT}
        found["lost"] = {name: lab.near.sent(name) - lab.far.arrived(name) for name in CLEAN_DIRECT}
        found["failed"] = {name: lab.near.failed(name) for name in CLEAN_DIRECT}
        found["dropped by the switch"] = lab.switch.dropped()
        found["sent before"] = {name: lab.near.sent(name, 0, first) for name in flows}
    return found


def broken(given: dict[str, Any]) -> None:
    """Fails with the lab up."""
    with Lab(Path(given["folder"])):
        run_in("not-a-host", "true")


def endless(given: dict[str, Any]) -> None:
    time.sleep(3600)
