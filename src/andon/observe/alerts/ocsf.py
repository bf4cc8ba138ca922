"""Findings of OCSF: Detection Finding (class 2004) and its forerunner Security Finding (2001).

``analytic.uid`` is the rule; where there is none the name of the analytic, else the title without values. What the
evidences of a finding hold (ends of a connection, process, file) is taken where the finding itself does not say it.
"""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np
import pyarrow as pa

from andon.observe.alerts.columns import either, is_filled, rewritten, texts_of
from andon.observe.alerts.documents import Chart, held
from andon.observe.alerts.words import severity
from andon.records.alert import UNKNOWN

CLASSES: Final = (2001, 2004)
_BLOCKED: Final = frozenset({"2", "3", "4", "5", "6", "21", "24", "25", "26"})
_LET: Final = frozenset({"1", "8", "15", "16", "17", "18", "19"})
_EVIDENCE: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "src": (("src_endpoint", "ip"),),
    "dst": (("dst_endpoint", "ip"),),
    "src_port": (("src_endpoint", "port"),),
    "dst_port": (("dst_endpoint", "port"),),
    "protocol": (("connection_info", "protocol_name"),),
    "user": (("actor", "user", "name"), ("user", "name")),
    "command": (("process", "cmd_line"), ("actor", "process", "cmd_line")),
    "path": (("file", "path"), ("process", "file", "path"), ("process", "path")),
    "name": (("query", "hostname"), ("url", "url_string"), ("dst_endpoint", "hostname")),
    "address": (("device", "ip"),),
    "host": (("device", "hostname"), ("device", "name")),
}


def is_one(document: dict[str, Any]) -> bool:
    try:
        return int(document.get("class_uid", 0)) in CLASSES
    except (TypeError, ValueError):
        return False


def grade(word: str) -> int:
    """OCSF's own numbers, or their names.

    >>> grade("4"), grade("Critical"), grade("99")
    (4, 5, 0)
    """
    if word.isascii() and word.isdecimal() and len(word) < 4:
        return int(word) if int(word) <= 6 else UNKNOWN
    return severity(word)


def _finish(columns: dict[str, Any]) -> None:
    if "action" in columns:
        columns["action"] = rewritten(columns["action"], _action)
    if "evidences" in columns:
        _evidence(columns)
    if "resource" in columns:
        named = rewritten(columns["resource"], _resource)
        if "host" not in columns or not is_filled(columns["host"]).all():
            columns["host"] = either(held(columns, "host"), named)


def _action(word: str) -> str:
    return (
        "blocked" if word in _BLOCKED else "allowed" if word in _LET else word if not word.isdecimal() else ""
    )


def _resource(word: str) -> str:
    """Name of the first resource."""
    try:
        made = json.loads(word)
    except (ValueError, RecursionError):
        return ""
    one = made[0] if isinstance(made, list) and made else made
    if not isinstance(one, dict):
        return ""
    return next(
        (str(one[key])[:255] for key in ("hostname", "name", "uid") if isinstance(one.get(key), str)), ""
    )


def _evidence(columns: dict[str, Any]) -> None:
    found: dict[str, list[str]] = {name: [] for name in (*_EVIDENCE, "digest")}
    for word in columns["evidences"].dictionary.to_pylist():
        told = _told(word)
        for name, texts in found.items():
            texts.append(told.get(name, ""))
    codes = np.asarray(columns["evidences"].indices)
    for name, texts in found.items():
        if any(texts):
            words = texts_of(texts).dictionary_encode()
            made = pa.DictionaryArray.from_arrays(
                pa.array(np.asarray(words.indices)[codes], pa.int32()), words.dictionary
            )
            old = held(columns, name)
            if not pa.types.is_dictionary(old.type):
                old = old.dictionary_encode()
            columns[name] = either(old, made)


def _told(word: str) -> dict[str, str]:
    """What the evidences of a finding say, the first of each."""
    try:
        made = json.loads(word) if word else []
    except (ValueError, RecursionError):
        return {}
    told: dict[str, str] = {}
    for one in (made if isinstance(made, list) else [made])[:16]:
        for name, places in _EVIDENCE.items():
            for place in places:
                value: Any = one
                for step in place:
                    value = value.get(step) if isinstance(value, dict) else None
                if isinstance(value, (str, int)) and not isinstance(value, bool) and value != "":
                    told.setdefault(name, str(value)[:2048])
        hashes = _hashes(one)
        if hashes:
            told.setdefault("digest", hashes)
    return told


def _hashes(one: Any) -> str:
    for holder in ("file", "process"):
        inner = one.get(holder) if isinstance(one, dict) else None
        inner = inner.get("file", inner) if isinstance(inner, dict) else None
        some = inner.get("hashes") if isinstance(inner, dict) else None
        if isinstance(some, list):
            values = [str(each["value"]) for each in some if isinstance(each, dict) and each.get("value")]
            if values:
                return max(values, key=len)[:128].lower()
    return ""


CHART: Final = Chart(
    source="ocsf",
    product="ocsf",
    times=("finding_info.first_seen_time", "time", "time_dt", "finding_info.created_time", "finding.created_time"),
    grade=grade,
    finish=_finish,
    columns={
        "product": ("metadata.product.name", "metadata.product.vendor_name"),
        "rule": (
            "finding_info.analytic.uid", "analytic.uid", "rule.uid", "finding_info.analytic.name", "analytic.name",
        ),
        "title": ("finding_info.title", "finding.title", "finding_info.analytic.name", "finding_info.desc", "message"),
        "severity": ("severity_id", "severity"),
        "category": ("finding_info.types", "finding.types", "finding_info.analytic.category"),
        "host": ("device.hostname", "device.name"),
        "address": ("device.ip",),
        "user": ("actor.user.name", "user.name"),
        "src": ("src_endpoint.ip",),
        "src_port": ("src_endpoint.port",),
        "dst": ("dst_endpoint.ip",),
        "dst_port": ("dst_endpoint.port",),
        "protocol": ("connection_info.protocol_name", "connection_info.protocol_num"),
        "name": ("url.url_string", "dst_endpoint.hostname", "dst_endpoint.domain"),
        "path": ("file.path", "process.file.path"),
        "command": ("process.cmd_line", "actor.process.cmd_line"),
        "attack": ("finding_info.attacks", "attacks"),
        "cve": ("vulnerabilities", "finding_info.related_vulnerabilities"),
        "action": ("disposition_id", "disposition", "action_id", "action"),
        "count": ("count",),
        "uid": ("finding_info.uid", "finding.uid", "metadata.uid"),
        "site": ("metadata.tenant_uid", "cloud.account.uid"),
        "evidences": ("evidences", "evidence"),
        "resource": ("resources", "resource"),
    },
)  # fmt: skip
