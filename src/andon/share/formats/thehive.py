"""Alerts and cases of TheHive 5 (``POST /api/v1/alert``, ``/api/v1/case``).

``sourceRef`` is the id of the finding or intent, so that TheHive refuses a repetition; a case that is told as an
alert has its id. What a finding names are observables, *ioc* only where the view calls it hostile and no warning list
names it. TLP counts as TheHive 5 does: 0 clear, 1 green, 2 amber, 3 amber+strict, 4 red. Severity is 1 to 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from andon.share.formats.view import View, milliseconds
from andon.share.policy import AMBER, LEVELS, Caution

_SEVERITY: Final[Mapping[str, int]] = {"informational": 1, "low": 1, "medium": 2, "high": 3, "critical": 4}
_TYPES: Final[Mapping[str, str]] = {
    "ipv4-addr": "ip", "ipv6-addr": "ip", "domain-name": "domain", "url": "url", "device": "hostname",
    "x-host": "hostname", "file": "hash",
}  # fmt: skip
_TITLE: Final = 512
_TEXT: Final = 100_000
_MOST: Final = 100


def alert(told: View, level: str = AMBER, caution: Caution | None = None) -> dict[str, Any]:
    """The body of an alert."""
    caution = caution or Caution()
    hostile = {one for one in told.hostile if not caution.holds(*one)}
    observables: list[dict[str, Any]] = []
    for one in dict.fromkeys([told.subject, *told.entities]):
        if len(observables) >= _MOST or not one[1]:
            continue
        known = _TYPES.get(one[0])
        observables.append(
            {"dataType": known or "other", "data": one[1] if known else f"{one[0]}: {one[1]}", "ioc": one in hostile,
             "sighted": True, "tlp": LEVELS.index(level), "tags": [one[0]]}
        )  # fmt: skip
    made: dict[str, Any] = {
        "type": told.kind or told.what,
        "source": "andon",
        "sourceRef": told.id[:128] or "-",
        "title": (told.title or told.kind)[:_TITLE],
        "description": _markdown(told),
        "severity": _SEVERITY.get(told.severity, 2),
        "date": milliseconds(told.first or told.issued) or 0,
        "tlp": LEVELS.index(level),
        "pap": 2,
        "tags": _tags(told),
        "observables": observables,
    }
    when = milliseconds(told.last) or made["date"]
    if told.attack:
        made["procedures"] = [{"patternId": one, "occurDate": when} for one in told.attack]
    return made


def case(told: View, level: str = AMBER) -> dict[str, Any]:
    """The body of a case."""
    body = told.body
    assignee = body.get("assignee")
    verdicts = body.get("verdicts")
    given = [one for one in verdicts if isinstance(one, Mapping)] if isinstance(verdicts, list) else []
    last = next((one for one in reversed(given) if one.get("label") != "unsure"), given[-1] if given else {})
    made: dict[str, Any] = {
        "title": (told.title or told.kind)[:_TITLE],
        "description": _markdown(told),
        "severity": _SEVERITY.get(told.severity, 2),
        "startDate": milliseconds(told.first or told.issued) or 0,
        "tlp": LEVELS.index(level),
        "pap": 2,
        "flag": told.severity == "critical",
        "tags": _tags(told),
    }
    if isinstance(assignee, str) and assignee:
        made["assignee"] = assignee
    if told.state == "closed":
        made["endDate"] = milliseconds(told.issued) or made["startDate"]
        label = last.get("label")
        made["status"] = {"true-positive": "TruePositive", "false-positive": "FalsePositive"}.get(
            str(label), "Indeterminate" if label in (None, "unsure") else "Other"
        )
        made["summary"] = str(last.get("reason") or last.get("note") or "")
    return made


def _tags(told: View) -> list[str]:
    tags = [f"andon:{told.what}", f"kind:{told.kind}", *(f"technique:{one}" for one in told.attack)]
    if told.state:
        tags.append(f"state:{told.state}")
    classes = told.body.get("attacker")
    tags += (
        [f"attacker:{one}" for one in classes if isinstance(one, str)] if isinstance(classes, list) else []
    )
    return tags


def _markdown(told: View) -> str:
    """Text of others is quoted as code, so that no name becomes a link or an image."""
    lines = [_quoted(told.statement or told.title), ""]
    for statement, check in told.evidence:
        lines.append(f"- {_quoted(statement)}")
        expression = check.get("expression")
        if isinstance(expression, str) and expression:
            lines += [
                f"  check with {check.get('tool')}, expected {check.get('expected')}:",
                "",
                f"      {_line(expression)}",
            ]
    if told.confidence is not None:
        lines += ["", f"confidence: {told.confidence:.2f}"]
    return "\n".join(lines)[:_TEXT]


def _quoted(text: str) -> str:
    return "`" + _line(text).replace("`", "'") + "`" if text else ""


def _line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
