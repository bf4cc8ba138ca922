"""Findings, conclusions and messages to store."""

from __future__ import annotations

from typing import Any

from andon.records.finding import Entity, Finding
from andon.store.casebook import Conclusion, Message

SECOND = 1_000_000_000
DAY = 86_400 * SECOND


def finding(number: int = 1, **changes: Any) -> Finding:
    """The finding of one day, about one of a few scanners."""
    values: dict[str, Any] = {
        "engine": "darknet.tools",
        "engine_version": 1,
        "kind": "known-tool",
        "title": f"scanner {number}",
        "statement": "It scans.",
        "confidence": 0.9,
        "calibration": "by chance",
        "window": (number * DAY, (number + 1) * DAY),
        "subject": ("tool", f"tool-{number % 3}"),
        "first_seen": number * DAY + SECOND,
        "last_seen": number * DAY + 2 * SECOND,
        "count": 100 + number,
        "entities": (Entity("ipv4-addr", f"198.51.100.{number % 200}", 5),),
    }
    return Finding(**{**values, **changes})


def message(number: int = 1, sink: str = "soc", **changes: Any) -> Message:
    """An alert to one sink."""
    values: dict[str, Any] = {
        "dedup_key": f"alert-{number}",
        "sink": sink,
        "kind": "alert",
        "subject": f"Alert {number}",
        "text": f"Text of alert {number}.",
        "body": {"number": number},
    }
    return Message(**{**values, **changes})


def conclusion(day: int = 0, **changes: Any) -> Conclusion:
    """One day of one engine, with a finding, a carry, a table and a message."""
    values: dict[str, Any] = {
        "engine": "darknet.tools",
        "version": 1,
        "span": "1d",
        "start": day * DAY,
        "end": (day + 1) * DAY,
        "segment": 100 + day,
        "findings": (finding(day),),
        "carry_digest": f"{day:064x}",
        "tables": (("sources", f"tables/{day}.parquet", "d" * 64, 7),),
        "messages": (message(day),),
        "clock": (day + 1) * DAY + SECOND,
    }
    return Conclusion(**{**values, **changes})
