"""JSON output of logdata-anomaly-miner (AMiner): a detector found something new or unusual in log lines.

The rule is the name of the detector (``AnalysisComponentName``), which its configuration gives; the machine is where
the miner runs (``AMiner.ID``). The time is that of the log line, not of its detection.
"""

from __future__ import annotations

from typing import Any, Final

from andon.observe.alerts.columns import by_row, chosen, rewritten
from andon.observe.alerts.documents import Chart, held
from andon.observe.logs import encode

_COMPONENT: Final = "AnalysisComponent.AnalysisComponent"


def is_one(document: dict[str, Any]) -> bool:
    component = document.get("AnalysisComponent")
    return isinstance(component, dict) and any(key.startswith("AnalysisComponent") for key in component)


def _name(text: str) -> str:
    return text.removeprefix("AMiner: ")


def _finish(columns: dict[str, Any]) -> None:
    import numpy as np

    for name in ("rule", "title"):
        if name in columns:
            columns[name] = rewritten(columns[name], _name)
    machine = held(columns, "host")
    some = np.array([_is_address(word) for word in machine.dictionary.to_pylist()], np.bool_)
    is_address, none = by_row(machine, some), encode.constant("", len(columns["ts"]))
    columns["address"] = chosen(is_address, machine, held(columns, "address"))
    columns["host"] = chosen(is_address, none, machine)


def _is_address(text: str) -> bool:
    from ipaddress import ip_address

    try:
        ip_address(text)
    except ValueError:
        return False
    return True


CHART: Final = Chart(
    source="aminer",
    product="aminer",
    times=("LogData.Timestamps", "LogData.Timestamp", "LogData.DetectionTimestamp"),
    finish=_finish,
    columns={
        "rule": (_COMPONENT + "Name", _COMPONENT + "Type"),
        "title": (_COMPONENT + "Name", "AnalysisComponent.Message"),
        "category": (_COMPONENT + "Type",),
        "host": ("AMiner.ID", "AMinerID", "host"),
        "address": ("ip",),
        "path": ("LogData.LogResources", "LogData.LogResource"),
        "severity": ("AnalysisComponent.Severity",),
    },
)
