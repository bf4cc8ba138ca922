"""What a SOC is sent about containment: an intent that waits for an agreement, was put in force, failed or ended, and
alarms. Names are neutralised, so that no mail program makes a link of a malicious one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from andon.records.finding import timestamp
from andon.records.intent import (
    ACCEPTED,
    APPLIED,
    EXPIRED,
    FAILED,
    REFUSED,
    REVOKED,
    WAITING,
    Intent,
)
from andon.records.neutral import neutral
from andon.share.daedalus import Message
from andon.share.formats.view import intent_document

SCHEMA_NAME: Final = "andon.containment-alarm/1"
INTENT, ALARM = "intent", "containment-alarm"  # kinds of messages
# States that somebody is told of, in words, and how grave that is. VERIFIED only confirms what was told.
TOLD: Final = {
    WAITING: ("waits for an agreement", "high"),
    ACCEPTED: ("was agreed to", "medium"),
    APPLIED: ("is in force", "high"),
    FAILED: ("is wanted and not in force", "critical"),
    REFUSED: ("was refused", "medium"),
    EXPIRED: ("has ended: its time is over", "low"),
    REVOKED: ("was taken back", "medium"),
}


def intent_message(
    intent: Intent, state: str, actor: str, time: int, reasons: Sequence[str] = ()
) -> Message | None:
    """The message about what became of an intent at ``time`` (ns); None for a state that nobody is told of.

    >>> from andon.records.intent import Party
    >>> one = Intent(10, "quarantine", Party("host", "pc7"), None, 3600 * 10**9, "a shell", "andon", 0)
    >>> intent_message(one, "applied", "andon", 0).subject
    '[Andon] containment: quarantine of pc7 is in force'
    """
    if state not in TOLD:
        return None
    words, severity = TOLD[state]
    target = "" if intent.target is None else f" towards {neutral(intent.target.value)}"
    what = f"{intent.action} of {neutral(intent.subject.value)}{target}"
    id = f"{intent.id:016x}"
    lines = [f"{what} {words}.", "", f"why: {neutral(intent.reason)}"]
    lines += [f"harder than asked: {neutral(intent.escalated)}"] if intent.escalated else []
    lines += [f"{neutral(reason)}" for reason in reasons]
    lines += [f"until: {timestamp(intent.until)}", f"by: {neutral(actor)}"]
    lines += ["", f"andon contain {'approve' if state == WAITING else 'show'} {id}"]
    lines += [f"andon cases show {intent.case}"] if intent.case else []
    body = {
        **intent_document(intent, state, time),
        "severity": severity,
        "title": f"{what} {words}",
        "actor": actor,
        "reasons": list(reasons),
    }
    return _message(f"containment: {what} {words}", lines, body)


def alarm_message(kind: str, text: str, time: int) -> Message:
    """The message about an alarm of the controller; ``text`` begins with "over: " when it is over."""
    over = text.startswith("over: ")
    body = {
        "schema": SCHEMA_NAME,
        "severity": "informational" if over else "high",
        "title": f"alarm: {kind}",
        "alarm": kind,
        "over": over,
        "time": timestamp(time),
        "statement": text,
    }
    return _message(
        f"containment alarm: {kind}{' is over' if over else ''}",
        [neutral(text), "", "andon contain status"],
        body,
    )


def _message(subject: str, lines: Sequence[str], body: dict[str, Any]) -> Message:
    head = " ".join(f"[Andon] {subject}".split())
    return Message(head[:300], "\n".join(lines) + "\n", json.dumps(body, ensure_ascii=False, allow_nan=False))
