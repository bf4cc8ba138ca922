"""What a DAEDALUS hub tells of our own addresses (``andon hub pull``): others' telescopes heard one of them.

``host`` is the address, whatever ``Options.inside`` says: the hub tells of registered prefixes alone. A host of ours
that scans somebody's darknet scans at random, so it is high where several saw it or the tool is a botnet's, else
medium. Backscatter makes a host of ours the victim of a flood with forged sources, and misconfiguration an address in
a wrong place: both are low and stand for no technique. The time is ``told``, when the hub was asked: the hours that it
tells of are past, and a runner would have concluded them. Where that is missing (the hour was old) it is the hour.
"""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np

from andon.observe.alerts.columns import numbers, rewritten
from andon.observe.alerts.documents import Chart, held
from andon.records.alert import HIGH, LOW, MEDIUM

SCHEMA: Final = "andon.hub-sighting/1"
PRODUCT: Final = "daedalus-hub"
_TITLES: Final = {
    "scan": "Others saw this address scan their darknet",
    "backscatter": "Others saw answers of this address to forged packets: it is being flooded",
    "misconfiguration": "Others saw this address send to their darknet by mistake",
}
_SCANS: Final = "T1595.001"
_BOTNETS: Final = frozenset({"mirai", "hajime", "mozi", "gafgyt", "tsunami"})


def is_one(document: dict[str, Any]) -> bool:
    return document.get("schema") == SCHEMA


def _finish(columns: dict[str, Any]) -> None:
    kind = held(columns, "rule")
    tools = held(columns, "category")
    several = numbers(held(columns, "observers"), _number) > 1
    botnet = numbers(tools, lambda word: int(bool(_BOTNETS & set(word.lower().split(","))))) > 0
    scan = numbers(kind, lambda word: int(word == "scan")) > 0
    columns["severity"] = np.where(scan, np.where(several | botnet, HIGH, MEDIUM), LOW)
    columns["title"] = rewritten(kind, lambda word: _TITLES.get(word, word))
    columns["attack"] = rewritten(kind, lambda word: _SCANS if word == "scan" else "")
    if "evidences" in columns:
        ports = columns["evidences"]
        columns["protocol"] = rewritten(ports, lambda word: _first(word)[0])
        columns["dst_port"] = numbers(ports, lambda word: _first(word)[1])


def _number(word: str) -> int:
    return int(word) if word.isascii() and word.isdecimal() and len(word) < 10 else 0


def _first(word: str) -> tuple[str, int]:
    """Protocol and port of the most packets; ("", -1) if none is told.

    >>> _first('[["tcp", 23, 80], ["tcp", 2323, 4]]'), _first("[]")
    (('tcp', 23), ('', -1))
    """
    try:
        listed = json.loads(word) if word else []
    except (ValueError, RecursionError):
        listed = []
    one = listed[0] if isinstance(listed, list) and listed else None
    if not isinstance(one, list) or len(one) < 2 or not isinstance(one[0], str):
        return "", -1
    protocol, port = one[0][:16], one[1]
    if (
        protocol.startswith("icmp")
        or not isinstance(port, int)
        or isinstance(port, bool)
        or not 0 <= port <= 65_535
    ):
        return protocol, -1
    return protocol, port


CHART: Final = Chart(
    source="hub",
    product=PRODUCT,
    times=("told", "hour"),
    finish=_finish,
    columns={
        "rule": ("kind",),
        "title": ("kind",),
        "category": ("tools",),
        "src": ("source",),
        "observers": ("observers",),
        "evidences": ("ports",),
        "uid": ("id",),
    },
)
