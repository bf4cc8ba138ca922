"""What a network sensor had written before the lab began: hours of flows of everybody, and alerts about one client.

Lines are those of Suricata's EVE log. The infected client has called its C2 every two minutes for an hour; in the last
ten minutes that are over, a rule has fired on it. That alone is a case of level medium: nobody else speaks of the
host yet.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from parts.site import C1, C2, C2_V4, GOOD_V4, PX, WEB

MINUTE: Final = 60_000_000_000
SPAN: Final = 10 * MINUTE  # of the tables that triage reads
HOURS: Final = 3
RULE: Final = {
    "action": "allowed", "gid": 1, "signature_id": 2035442, "rev": 2,
    "signature": "ET MALWARE Generic Stealer CnC Checkin (POST)",
    "category": "Malware Command and Control Activity Detected",
    "severity": 1,
    "metadata": {"mitre_tactic_id": ["TA0011"], "mitre_technique_id": ["T1071"], "signature_severity": ["Major"]},
}  # fmt: skip


def _time(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns // 10**9, UTC):%Y-%m-%dT%H:%M:%S}.{ns % 10**9 // 1000:06d}+0000"


class Sensor:
    """Writes ``path``; ``past()`` once, then ``live()`` a line a second until ``stop()``: of time that a log has
    not reached, nobody knows whether it is whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._number = 0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def _line(self, event: str, at: int, src: str, dst: str, port: int, more: dict[str, Any]) -> str:
        self._number += 1
        head = {
            "timestamp": _time(at), "flow_id": 10**15 + self._number, "in_iface": "tap0", "event_type": event,
            "src_ip": src, "src_port": 30_000 + self._number % 30_000, "dest_ip": dst, "dest_port": port,
            "proto": "TCP", "app_proto": "http" if port == 80 else "tls",
        }  # fmt: skip
        return json.dumps({**head, **more}) + "\n"

    def _flow(self, at: int, src: str, dst: str, port: int, out: int, back: int) -> str:
        flow = {
            "pkts_toserver": 6 + out // 1000, "pkts_toclient": 5 + back // 1000, "bytes_toserver": out,
            "bytes_toclient": back, "start": _time(at - 500_000_000), "end": _time(at), "age": 1, "state": "closed",
            "reason": "timeout", "alerted": False,
        }  # fmt: skip
        return self._line("flow", at, src, dst, port, {"flow": flow})

    def _lines(self, now: int) -> Iterator[tuple[int, str]]:
        for minute in range(HOURS * 60, 0, -1):
            at = now - minute * MINUTE
            for n, host in enumerate((C1, C2, PX)):
                yield (
                    at + n * 10**9,
                    self._flow(at + n * 10**9, host.v4, GOOD_V4, 443, 1500 + 7 * minute, 20_000),
                )
                yield at + n * 10**9 + 5, self._flow(at + n * 10**9 + 5, host.v4, WEB.v4, 80, 800, 5_000)
            if minute <= 62 and minute % 2:
                yield at + 9 * 10**9, self._flow(at + 9 * 10**9, C2.v4, C2_V4[0], 443, 900, 400)
        last = now // SPAN * SPAN
        for minute in (9, 7, 5, 3):
            at = last - minute * MINUTE
            yield at, self._line("alert", at, C2.v4, C2_V4[0], 443, {"alert": RULE})
            yield (
                at + 9,
                self._flow(at + 20 * 10**9, C2.v4, C2_V4[2], 4444, 900, 400),
            )  # a port that it never used

    def past(self, now: int) -> None:
        lines = sorted(self._lines(now))
        self.path.write_text("".join(line for _, line in lines))

    def live(self) -> None:
        def write() -> None:
            while not self._stopping.wait(1.0):
                at = time.time_ns()
                with self.path.open("a") as log:
                    log.write(self._flow(at, C1.v4, WEB.v4, 80, 800, 5_000))

        self._thread = threading.Thread(target=write, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(5)
