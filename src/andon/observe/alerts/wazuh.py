"""Wazuh's alerts.json, and the documents of its indexer.

``rule.level`` (0 to 15) becomes OCSF's severity as Wazuh's own dashboard groups levels: to 6 low (to 3
informational), to 11 medium, to 14 high, above critical. What Wazuh passes on of Suricata
(``data.alert.signature_id``) is an alert of Suricata with Suricata's number, so that it has one signature whichever
way it came. The machine is the agent; where the manager itself (agent 000) tells of others' syslog, it is the host
that the line names.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow.compute as pc

from andon.observe.alerts.columns import by_row, chosen, either, rewritten
from andon.observe.alerts.documents import Chart, filled, held
from andon.observe.logs import encode
from andon.records.alert import CRITICAL, HIGH, INFORMATIONAL, LOW, MEDIUM, UNKNOWN

_WINDOWS: Final = "data.win.eventdata."
_METHODS: Final = frozenset(
    {"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE", "PROPFIND"}
)
_PAIRED: Final = r"^[^\\]*(?:\\\\[^\\]*)+$"


def is_one(document: dict[str, Any]) -> bool:
    rule = document.get("rule")
    if not isinstance(rule, dict) or "level" not in rule or "id" not in rule:
        return False
    return any(key in document for key in ("agent", "manager", "decoder", "full_log"))


def grade(level: str) -> int:
    """
    >>> grade("3"), grade("12"), grade("15"), grade("?")
    (1, 4, 5, 0)
    """
    if not level.isascii() or not level.isdecimal() or len(level) > 3:
        return UNKNOWN
    number = int(level)
    if number > 14:
        return CRITICAL
    return INFORMATIONAL if number < 4 else LOW if number < 7 else MEDIUM if number < 12 else HIGH


def _finish(columns: dict[str, Any]) -> None:
    manager = by_row(held(columns, "agent"), _same(held(columns, "agent"), "000"))
    if manager.any():
        told = manager & filled(columns, "hostname")
        columns["host"] = chosen(told, held(columns, "hostname"), held(columns, "host"))
        columns["address"] = chosen(told, encode.constant("", len(told)), held(columns, "address"))
    if "address" in columns:
        columns["address"] = rewritten(columns["address"], lambda word: "" if word == "any" else word)
    relayed = filled(columns, "ids_rule")
    columns["product"] = encode.one_of(["wazuh", "suricata"], relayed)
    if relayed.any():
        from andon.observe.alerts.eve import severity_of

        columns["rule"] = chosen(relayed, held(columns, "ids_rule"), held(columns, "rule"))
        columns["title"] = chosen(relayed, held(columns, "ids_title"), held(columns, "title"))
        columns["category"] = chosen(relayed, held(columns, "ids_category"), held(columns, "category"))
        level = rewritten(held(columns, "severity"), lambda word: str(grade(word)))
        theirs = rewritten(held(columns, "ids_severity"), lambda word: str(severity_of(word)))
        columns["severity"] = chosen(relayed & filled(columns, "ids_severity"), theirs, level)
    else:
        columns["severity"] = rewritten(held(columns, "severity"), lambda word: str(grade(word)))
    columns["user"] = either(held(columns, "user"), held(columns, "other_user"))
    if "digest" in columns:
        columns["digest"] = rewritten(columns["digest"], strongest)
    if "protocol" in columns:  # of an access log it is the method
        columns["protocol"] = rewritten(columns["protocol"], lambda word: "" if word in _METHODS else word)
    columns["user"] = rewritten(columns["user"], single)
    for name in ("path", "command"):
        if name in columns:
            doubled = pc.match_substring_regex(columns[name], _PAIRED)
            plain = pc.replace_substring(columns[name], "\\\\", "\\")
            columns[name] = pc.if_else(doubled, plain, columns[name])


def single(text: str) -> str:
    r"""Backslashes that Wazuh has doubled.

    >>> single("EXAMPLE\\\\alice") == "EXAMPLE\\alice"
    True
    """
    return text.replace("\\\\", "\\") if "\\\\" in text and "\\" not in text.replace("\\\\", "") else text


def _same(column: Any, text: str) -> Any:
    return np.array([word == text for word in column.dictionary.to_pylist()], np.bool_)


def strongest(text: str) -> str:
    """The strongest of Sysmon's ``SHA1=...,MD5=...,SHA256=...``; another text as it is.

    >>> strongest("MD5=AA,SHA256=BB")
    'bb'
    """
    if "=" not in text:
        return text.lower()
    parts = dict(part.split("=", 1) for part in text.split(",") if "=" in part)
    return next((parts[name].lower() for name in ("SHA256", "SHA1", "MD5") if parts.get(name)), "")


CHART: Final = Chart(
    source="wazuh",
    times=("timestamp", "@timestamp"),
    grade=int,
    finish=_finish,
    columns={
        "rule": ("rule.id",),
        "title": ("rule.description",),
        "severity": ("rule.level",),
        "category": ("rule.groups",),
        "attack": ("rule.mitre.id",),
        "agent": ("agent.id",),
        "host": ("agent.name", "predecoder.hostname", "manager.name"),
        "hostname": ("predecoder.hostname",),
        "address": ("agent.ip",),
        "user": ("data.dstuser", _WINDOWS + "targetUserName", _WINDOWS + "user", "data.srcuser", "data.user"),
        "other_user": (_WINDOWS + "subjectUserName", "syscheck.uname_after"),
        "src": ("data.srcip", "data.src_ip", _WINDOWS + "ipAddress", _WINDOWS + "sourceIp"),
        "src_port": ("data.srcport", "data.src_port", _WINDOWS + "ipPort", _WINDOWS + "sourcePort"),
        "dst": ("data.dstip", "data.dest_ip", _WINDOWS + "destinationIp"),
        "dst_port": ("data.dstport", "data.dest_port", _WINDOWS + "destinationPort"),
        "protocol": ("data.protocol", "data.proto", _WINDOWS + "protocol"),
        "name": ("data.url", "data.http.hostname", "data.tls.sni", _WINDOWS + "queryName", "data.hostname"),
        "path": (
            "syscheck.path", _WINDOWS + "targetFilename", _WINDOWS + "targetObject", _WINDOWS + "image",
            "data.audit.file.name", "data.audit.exe", "data.file",
        ),
        "digest": ("syscheck.sha256_after", _WINDOWS + "hashes", "syscheck.sha1_after", "syscheck.md5_after"),
        "command": (_WINDOWS + "commandLine", "data.command", "data.audit.command"),
        "cve": ("data.vulnerability.cve", "rule.cve"),
        "action": ("data.action", "data.alert.action"),
        "uid": ("id",),
        "site": ("cluster.tenant",),
        "ids_rule": ("data.alert.signature_id",),
        "ids_title": ("data.alert.signature",),
        "ids_category": ("data.alert.category",),
        "ids_severity": ("data.alert.severity",),
    },
)  # fmt: skip
