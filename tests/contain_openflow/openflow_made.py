"""Intents, parties and settings for the tests of the openflow enforcer."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from andon.records.intent import ADDRESS, BLOCK_PAIR, HOST, Intent, Party

LAB = Path(__file__).resolve().parent.parent / "lab"
SECOND = 1_000_000_000
C2 = Party(ADDRESS, "192.0.2.66", ("192.0.2.66", "2001:db8:66::66"))
PC = Party(HOST, "pc-2", ("10.0.0.2", "2001:db8::2"), mac="02:00:00:00:00:02", switch="sw", port=2)
PORTS = {
    "ports": {"uplink": 1, "proxy": 4, "capture": 5, "quarantine": 6, "sinkhole": 7},
    "proxy_mac": "02:00:00:00:00:04",
    "quarantine_mac": "02:00:00:00:00:06",
    "sinkhole_mac": "02:00:00:00:00:07",
}


def intent(number: int = 77, action: str = BLOCK_PAIR, ttl: float = 600.0, **more: Any) -> Intent:
    given = {"subject": PC, "target": C2 if action == BLOCK_PAIR else None, "created": time.time_ns(), **more}
    return Intent(
        id=number, action=action, ttl=round(ttl * SECOND), reason="test", requested_by="andon", **given
    )
