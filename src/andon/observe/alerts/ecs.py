"""Alerts in the Elastic Common Schema: of Elastic's or OpenSearch's detection engine, or of a product behind a shipper.

Fields are looked for nested, and with dots in their names as Kibana stores them. A rule of the detection engine is
known by ``rule_id``, which is the same in every installation, and its product is "elastic". Other alerts are of the
product that ``event.module`` (or provider, or observer) names. A sensor on the wire is no machine that an alert is
about, so its ``host.name`` is left aside where both ends of the connection are told.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from andon.observe.alerts.columns import by_row, chosen, rewritten
from andon.observe.alerts.documents import Chart, filled, held
from andon.observe.alerts.words import hundred, severity
from andon.observe.logs import encode

_ENGINE: Final = ("kibana.alert.rule.", "signal.rule.", "alert.rule.")
_ON_THE_WIRE: Final = frozenset({"suricata", "zeek", "snort", "cisco", "panw", "fortinet", "checkpoint", "netflow",
                                 "paloalto", "sophos", "juniper", "corelight", "pfsense", "opnsense"})  # fmt: skip


def is_one(document: dict[str, Any]) -> bool:
    if any(key.startswith(("kibana.alert.rule.", "signal.rule.")) for key in document):
        return True
    for name in ("kibana", "signal"):
        inner = document.get(name)
        if isinstance(inner, dict) and ("rule" in inner or "alert" in inner or "alert.rule" in inner):
            return True
    if "@timestamp" not in document:
        return False
    event, rule = document.get("event"), document.get("rule")
    kind = event.get("kind") if isinstance(event, dict) else document.get("event.kind")
    if isinstance(kind, list):
        kind = kind[0] if kind else None
    named = isinstance(rule, dict) and bool({"name", "id", "uuid", "description"} & rule.keys())
    return kind in ("alert", "signal") or named or any(key in document for key in ("rule.name", "rule.id"))


def _both(*names: str) -> tuple[str, ...]:
    """Each path nested, and as one name with dots in it."""
    return tuple(form for name in names for form in (name, name.replace(".", "\\.")))


def _engine(*names: str) -> tuple[str, ...]:
    return tuple(path for name in names for path in _both(*(prefix + name for prefix in _ENGINE)))


def grade(word: str) -> int:
    """
    >>> grade("high"), grade("73"), grade("2")
    (4, 4, 2)
    """
    return (
        hundred(word)
        if word.isascii() and word.isdecimal() and len(word) > 1 and word != "10"
        else severity(word)
    )


def _finish(columns: dict[str, Any]) -> None:
    rows = len(columns["ts"])
    engine = filled(columns, "engine")
    product = rewritten(held(columns, "product"), lambda word: word.lower() or "ecs")
    columns["product"] = chosen(engine, encode.constant("elastic", rows), product)
    if "module_severity" in columns:
        from andon.observe.alerts.eve import severity_of

        suricata = _is(product, frozenset({"suricata"})) & ~engine
        graded = rewritten(columns["module_severity"], lambda word: str(grade(word)))
        theirs = rewritten(columns["module_severity"], lambda word: str(severity_of(word)))
        said = rewritten(held(columns, "severity"), lambda word: str(grade(word)))
        columns["severity"] = chosen(filled(columns, "severity"), said, chosen(suricata, theirs, graded))
    else:
        columns["severity"] = rewritten(held(columns, "severity"), lambda word: str(grade(word)))
    wire = _is(product, _ON_THE_WIRE) | filled(columns, "observer")
    wire &= filled(columns, "src") & filled(columns, "dst")
    if wire.any():
        nothing = encode.constant("", rows)
        for name in ("host", "address"):
            columns[name] = chosen(wire, nothing, held(columns, name))


def _only(columns: dict[str, Any]) -> np.ndarray:
    """Documents that name a rule or say that they are an alert: events may lie in the same index."""
    said = _is(rewritten(held(columns, "kind"), str.lower), frozenset({"alert", "signal"}))
    return np.asarray(said | filled(columns, "engine") | filled(columns, "named"))


def _is(column: Any, some: frozenset[str]) -> np.ndarray:
    return by_row(column, np.array([word in some for word in column.dictionary.to_pylist()], np.bool_))


CHART: Final = Chart(
    source="ecs",
    times=_both("kibana.alert.original_time", "signal.original_time", "@timestamp", "event.created"),
    grade=int,
    finish=_finish,
    only=_only,
    columns={
        "engine": _engine("name", "rule_id"),
        "named": _both("rule.name", "rule.id", "rule.uuid"),
        "kind": _both("event.kind"),
        "product": _both("event.module", "event.provider", "observer.product", "agent.type"),
        "observer": _both("observer.type", "observer.product"),
        "rule": (*_engine("rule_id", "uuid", "id"), *_both("rule.id", "rule.uuid", "event.code")),
        "title": (*_engine("name"), *_both("rule.name", "rule.description", "event.action")),
        "severity": (*_both("kibana.alert.severity"), *_engine("severity")),
        "module_severity": _both("event.severity", "event.risk_score", "kibana.alert.risk_score"),
        "category": (*_both("rule.category", "rule.ruleset", "event.category"), *_engine("category")),
        "host": _both("host.name", "host.hostname"),
        "address": _both("host.ip"),
        "user": _both("user.name", "source.user.name"),
        "src": _both("source.ip", "source.address"),
        "src_port": _both("source.port"),
        "dst": _both("destination.ip", "destination.address"),
        "dst_port": _both("destination.port"),
        "protocol": _both("network.transport", "network.iana_number"),
        "name": _both("url.full", "url.domain", "destination.domain", "dns.question.name", "url.original"),
        "path": _both("file.path", "process.executable", "registry.path"),
        "digest": _both("file.hash.sha256", "process.hash.sha256", "file.hash.sha1", "file.hash.md5"),
        "command": _both("process.command_line"),
        "attack": (
            *_both("threat.technique.subtechnique.id", "threat.technique.id"),
            *_engine("threat", "parameters.threat"), *_both("threat"),
        ),
        "cve": _both("vulnerability.id"),
        "action": _both("event.type", "event.action", "suricata.eve.alert.action"),
        "uid": _both("kibana.alert.uuid", "event.id"),
        "site": _both("organization.id", "data_stream.namespace"),
    },
)  # fmt: skip
