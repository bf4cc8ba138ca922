"""Zircolite's output: a document a rule, with the events that it matched inside. Each event becomes an alert."""

from __future__ import annotations

from typing import Any, Final

from andon.observe.alerts.documents import Chart
from andon.observe.alerts.sigma import _FIELDS, _finish, clock

_RULE: Final = ("title", "id", "rule_level", "tags", "description")


def is_one(document: dict[str, Any]) -> bool:
    return isinstance(document.get("matches"), list) and "title" in document and "rule_level" in document


def expand(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of one rule's document, each with the rule."""
    rule = {key: document.get(key) for key in _RULE}
    matches = document.get("matches")
    return (
        [{"rule": rule, "event": one} for one in matches if isinstance(one, dict)]
        if isinstance(matches, list)
        else []
    )


CHART: Final = Chart(
    source="sigma",
    product="sigma",
    times=(
        "event.SystemTime", "event.TimeCreated", "event.timestamp", "event.UtcTime", "event.@timestamp",
        "event.Timestamp",
    ),
    clock=clock,
    finish=_finish,
    expand=expand,
    columns={
        "rule": ("rule.id", "rule.title"),
        "title": ("rule.title",),
        "severity": ("rule.rule_level",),
        "attack": ("rule.tags",),
        "category": ("event.Channel", "event.type"),
        "host": ("event.Computer", "event.host", "event.hostname"),
        **{name: tuple("event." + field for field in fields) for name, fields in _FIELDS.items()},
    },
)  # fmt: skip
