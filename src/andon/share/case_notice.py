"""What a SOC is sent when a case is to be acted on: mail text and JSON. Names in it are neutralised, so that no mail
program makes a link of a malicious one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from andon.records.case import Case
from andon.records.finding import timestamp
from andon.records.neutral import neutral
from andon.share.daedalus import Message

SCHEMA_NAME: Final = "andon.case-notice/1"
KIND: Final = "case"
_ENTITIES: Final = 20


def case_message(case: Case) -> Message:
    """The message about one case.

    >>> host = (("device", "web1"),)
    >>> case = Case("c1", 1, "open", "act", "high", 1.8, "web1: shell", "It is real.", host, 0, 1, 2, 2)
    >>> case_message(case).subject
    '[Andon] high: web1: shell'
    """
    checks = _of(case, "verification").get("checks", [])
    lines = [case.statement, ""]
    lines += [f"first seen: {timestamp(case.first_seen)}", f"last seen: {timestamp(case.last_seen)}"]
    lines += [f"host: {', '.join(neutral(value) for _, value in case.entities[:1])}"]
    lines += ["", *(f"{check['outcome']:>8}  {check['statement']}" for check in checks)]
    lines += ["", f"andon cases show {case.id}"]
    body = {
        "schema": SCHEMA_NAME,
        "id": case.id,
        "version": case.version,
        "level": case.level,
        "tier": case.tier,
        "title": case.title,
        "statement": case.statement,
        "site": case.site,
        "first_seen": timestamp(case.first_seen),
        "last_seen": timestamp(case.last_seen),
        "entities": [{"type": kind, "value": value} for kind, value in case.entities[:_ENTITIES]],
        "checks": checks,
        "attacker": _of(case, "attacker").get("classes", []),
    }
    subject = " ".join(f"[Andon] {case.level}: {case.title}".split())
    return Message(
        subject[:300], "\n".join(lines) + "\n", json.dumps(body, ensure_ascii=False, allow_nan=False)
    )


def _of(case: Case, name: str) -> Mapping[str, Any]:
    made: Mapping[str, Any] = case.judgement.get(name) or {}
    return made
