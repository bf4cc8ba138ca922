"""Sessions for tests, as a honeypot's reader would give them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from andon.records.honeypot import SESSION
from andon.records.kinds import HONEYPOT_SESSION, marked

START = 1_767_225_600_000_000_000  # 2026-01-01
SECOND = 1_000_000_000


def session(number: int, **given: Any) -> dict[str, Any]:
    """One session; ``typed``: lines; ``tried``: pairs; ``accepted``: the last pair got in."""
    address = given.pop("address", 0xC6336400 + number % 200)
    start = given.pop("start", START + number * SECOND)
    typed, tried = given.pop("typed", ()), given.pop("tried", ())
    accepted = given.pop("accepted", False)
    row: dict[str, Any] = {
        "honeypot": "cowrie", "sensor": "hp-1", "session": f"{number:08x}", "protocol": "telnet",
        "start": start,
        "end": start + 5 * SECOND, "closed": True,
        "src": ".".join(str(b) for b in address.to_bytes(4, "big")),
        "address": address, "src_port": 40_000, "dst": "192.0.2.1", "dst_port": 23,
        "client": "", "hassh": "", "events": 3,
        "login": accepted, "relayed": 0,
        "credentials": [
            {"username": user, "password": word, "accepted": accepted and place == len(tried) - 1, "at": start}
            for place, (user, word) in enumerate(tried)
        ],
        "commands": [{"input": line, "at": start} for line in typed],
        "urls": [], "hashes": [], "requests": [], "payloads": [], "outcomes": [],
    }  # fmt: skip
    return row | given


def batch(*rows: dict[str, Any]) -> pa.RecordBatch:
    return marked(pa.RecordBatch.from_pylist(list(rows), SESSION), HONEYPOT_SESSION)
