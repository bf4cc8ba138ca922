"""Matches of Sigma rules: the JSON of Chainsaw and of Hayabusa (``zircolite`` reads Zircolite's).

Whichever tool found it, the product is "sigma" and the rule is the rule's own identifier, so that the same rule has one
signature. Tags ``attack.t1059.001`` give the technique; the machine is the ``Computer`` of the Windows event.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final

from andon.observe.alerts.columns import either, rewritten
from andon.observe.alerts.documents import Chart, held
from andon.observe.jsonlines import NO_TIME

_EVENT: Final = "document.data.Event."
_DATA: Final = _EVENT + "EventData."
_PLACES: Final = (_DATA, "Details.", "ExtraFieldInfo.", "AllFieldInfo.")
_OFFSET: Final = re.compile(r"\s+(?=[+-]\d\d:?\d\d$)")


def is_one(document: dict[str, Any]) -> bool:
    if "RuleTitle" in document and "Timestamp" in document:
        return True
    return (
        "name" in document
        and ("document" in document or "documents" in document)
        and ("logsource" in document or "group" in document or document.get("source") == "sigma")
    )


def clock(text: str) -> int:
    """ns of the times that these tools write beside ISO 8601: a blank before the offset.

    >>> clock("2026-03-01 17:00:00.500 +09:00")
    1772352000500000000
    """
    try:
        made = datetime.fromisoformat(_OFFSET.sub("", text.strip().removesuffix(" UTC")))
    except ValueError:
        return int(NO_TIME)
    if made.tzinfo is None:
        from datetime import UTC

        made = made.replace(tzinfo=UTC)
    whole = int(made.replace(microsecond=0).timestamp())
    return whole * 1_000_000_000 + made.microsecond * 1000


def _finish(columns: dict[str, Any]) -> None:
    columns["user"] = either(held(columns, "user"), held(columns, "other_user"))
    if "digest" in columns:
        from andon.observe.alerts.wazuh import strongest

        columns["digest"] = rewritten(columns["digest"], strongest)
    if "rule" in columns:
        columns["rule"] = rewritten(columns["rule"], str.lower)


_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "user": ("TargetUserName", "User", "TgtUser"),
    "other_user": ("SubjectUserName", "SrcUser"),
    "src": ("SourceIp", "IpAddress", "SrcIP"),
    "src_port": ("SourcePort", "IpPort", "SrcPort"),
    "dst": ("DestinationIp", "TgtIP"),
    "dst_port": ("DestinationPort", "TgtPort"),
    "protocol": ("Protocol", "Proto"),
    "name": ("QueryName", "DestinationHostname", "Query", "Url"),
    "path": ("TargetFilename", "TargetObject", "Image", "NewProcessName", "Proc", "Path", "ImagePath"),
    "digest": ("Hashes", "Hash"),
    "command": ("CommandLine", "ScriptBlockText", "Cmdline", "ProcessCommandLine"),
}
CHART: Final = Chart(
    source="sigma",
    product="sigma",
    times=("timestamp", "Timestamp", _EVENT + "System.TimeCreated_attributes.SystemTime"),
    clock=clock,
    finish=_finish,
    columns={
        "rule": ("id", "RuleID", "RuleTitle", "name"),
        "title": ("name", "RuleTitle"),
        "severity": ("level", "Level"),
        "category": ("group", "logsource.category", "MitreTactics", "Channel"),
        "host": (_EVENT + "System.Computer", "Computer"),
        "attack": ("tags", "MitreTags"),
        **{
            name: tuple(place + field for field in fields for place in _PLACES)
            for name, fields in _FIELDS.items()
        },
    },
)  # fmt: skip
