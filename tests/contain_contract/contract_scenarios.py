"""The contract test at a real switch and a real gateway, in private namespaces."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from parts.spaces import made, run_in
from parts.switch import Switch

from andon.contain.check import check_enforcer
from andon.contain.enforcers import make_enforcer
from andon.records.intent import Intent, Party

SECOND = 1_000_000_000
# Seconds, of an enforcer that is right on a machine that is busy: how long a call takes says nothing there.
BUSY = {"seconds": 60.0, "prompt": 60.0}
PCS = [
    Party(
        "host", f"pc-{n}", (f"10.0.0.{n}", f"2001:db8::{n}"), mac=f"02:00:00:00:00:0{n}", switch="sw", port=n
    )
    for n in (2, 3)
]
C2 = Party("address", "192.0.2.66", ("192.0.2.66", "2001:db8:66::66"))


def intents() -> list[Intent]:
    now = time.time_ns()
    return [
        Intent(77 + n, action, subject, target, 600 * SECOND, "test", "andon", now)
        for n, (action, subject, target) in enumerate(
            (
                ("block-pair", PCS[0], C2),
                ("quarantine", PCS[1], None),
                ("block", C2.__class__("address", "192.0.2.99"), None),
            )
        )
    ]


def openflow(given: dict[str, Any]) -> list[str]:
    switch = Switch(Path(given["folder"]) / "ovs")
    settings = {
        "name": "sw",
        "kind": "openflow",
        "connect": f"unix:{switch.management}",
        "fail_mode": "secure",
    }
    return list(check_enforcer(lambda: make_enforcer(settings), intents(), **BUSY))


def nft(given: dict[str, Any]) -> list[str]:
    made("gw")
    settings = {"name": "gateway", "kind": "nft", "netns": "gw"}
    done = list(check_enforcer(lambda: make_enforcer(settings), intents(), **BUSY))
    listed = run_in("gw", "nft", "list", "ruleset")
    assert "000000000000004d" not in listed, listed
    return done
