"""What a running Andon says of itself: ``status.json`` in its store, Prometheus metrics, one log line a minute."""

from __future__ import annotations

import json
import os
import resource
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from andon.records.finding import timestamp

NAME = "status.json"
_STALE = 60.0  # seconds: it is written once a second


@dataclass(frozen=True)
class Status:
    """``lag``: seconds that the engines are behind the journal (None before their first segment); ``severities``:
    findings by severity; ``sources``: packets or other records of each; ``records``: of other kinds, by kind;
    ``engines``: CPU seconds of taking in and concluding; ``trouble``: what stands in the way, in words."""

    pid: int
    started: int
    clock: int
    received: int
    journaled: int
    backlog: int
    shed: int
    lost: int
    segment: int
    findings: int
    lag: float | None
    state: str
    trouble: tuple[str, ...] = ()
    severities: dict[str, int] = field(default_factory=dict)
    engines: dict[str, tuple[float, float]] = field(default_factory=dict)
    sources: dict[str, int] = field(default_factory=dict)
    records: dict[str, int] = field(default_factory=dict)
    outbox: dict[str, dict[str, int]] = field(default_factory=dict)
    journal_bytes: int = 0
    cases: int = 0  # opened since the start
    contain: dict[str, Any] = field(default_factory=dict)  # mode, intents by state, enforcers by health
    withheld: int = 0  # messages that their sink may not carry (TLP, telescope), since the start
    bus: dict[str, Any] = field(default_factory=dict)  # what is sent ("") and read, by source (docs/bus.md)
    unread: int = 0  # segments whose alerts are not in the casebook yet

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        made = dict(vars(self))
        made["started"], made["clock"] = timestamp(self.started), timestamp(self.clock)
        made["uptime"] = round((self.clock - self.started) / 1e9, 1)
        made["peak_rss"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return made


def write_status(store: Path, status: dict[str, Any]) -> None:
    """Replace the store's status file; a full disk is no reason to stop."""
    path = store / NAME
    temporary = path.with_name(f".{NAME}.part")
    try:
        temporary.write_text(json.dumps(status, sort_keys=True), "utf-8")
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)


def read_status(store: Path) -> dict[str, Any] | None:
    """The last status written; None if there is none. ``alive``: that process still runs and writes (another one may
    have its number by now)."""
    path = store / NAME
    try:
        status: dict[str, Any] = json.loads(path.read_text("utf-8"))
        pid, age = int(status["pid"]), time.time() - path.stat().st_mtime
    except (OSError, ValueError, KeyError):
        return None
    status["alive"] = _runs(pid) and age < _STALE
    return status


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
