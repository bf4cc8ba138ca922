"""Terminals that try the same destination outside again and again, and nobody answers.

An implant whose server was taken down, moved or blocked goes on asking for it. That needs no past to be seen: a
machine's steady attempts over a good part of its day. RITA calls a pair of hosts with very many connections a strobe
(activecm/rita, ``strobe``: more connections in a day than it has seconds); here what counts is that they fail, go on,
and keep a pace, so that one attempt every half an hour shows too.

An edge is told if nine in ten of its flows came to nothing, there were at least ``attempts`` of them, they went on for
half the time for which the terminal was seen (four hours are always enough, five minutes the least) with the weight of
``EVIDENCE`` attempts times hours, and four in five of the gaps are like the middle one. That an attempt is malicious
is not said: a server that is down, a changed address and a firewall do the same, and the finding tells so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from andon.detect.livenet.flowbaseline.summary import FlowDay
from andon.detect.livenet.flowbaseline.tries import BIN, MOST, protocol_name
from andon.records.contract import Context
from andon.records.finding import Check, Entity, Evidence, Finding, address_type, sql_text
from andon.records.neutral import neutral

_TIME = pa.timestamp("ns", tz="UTC")
_SECOND: Final = 1_000_000_000
FAILING: Final = 0.9  # share of the flows that came to nothing
ENOUGH: Final = 4 * 3600 * _SECOND
LEAST: Final = 300 * _SECOND
EVIDENCE: Final = 50.0  # attempts x hours
STEADY: Final = 0.8  # share of gaps that are like the middle one
MANY: Final = 3  # terminals from which on it is told of the destination
TOO_MANY: Final = 20  # destinations of one terminal: its way out is blocked, or it scans
SHOWN: Final = 5
USUAL_PORTS: Final = (25, 80, 443, 587, 993, 8080)
UNANSWERED: Final = pa.schema(
    [
        pa.field("terminal", pa.string(), nullable=False),
        pa.field("destination", pa.string(), nullable=False),
        pa.field("protocol", pa.string(), nullable=False),  # "tcp" or "udp"
        pa.field("port_low", pa.int64(), nullable=False),
        pa.field("port_high", pa.int64(), nullable=False),
        pa.field("attempts", pa.int64(), nullable=False),  # flows that came to nothing
        pa.field("flows", pa.int64(), nullable=False),  # all flows to the destination
        pa.field("first", _TIME, nullable=False),
        pa.field("last", _TIME, nullable=False),
        pa.field("period", pa.float64(), nullable=False),  # s; minutes are as exact as it gets above two
        pa.field("steady", pa.float64(), nullable=False),  # share of the gaps that are like the middle one
        pa.field("told", pa.bool_(), nullable=False),  # a finding names it
    ]
)
CALIBRATION: Final = "a rule over counts; not calibrated: it says that a machine tries, not what for"


@dataclass(frozen=True)
class Strobes:
    """Rows of ``tries`` with enough attempts, most attempts first, as parallel arrays; ``told``: steady ones."""

    terminal: list[str]
    destination: list[str]
    owner: np.ndarray
    dst: np.ndarray
    protocol: np.ndarray
    low: np.ndarray
    high: np.ndarray
    tries: np.ndarray
    flows: np.ndarray
    first: np.ndarray
    last: np.ndarray
    period: np.ndarray
    steady: np.ndarray
    told: np.ndarray

    def __len__(self) -> int:
        return len(self.tries)


def gaps(active: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(middle gap in bins, share of gaps within 30 % or one bin of it, gaps) of each row of a matrix of bool.

    >>> at = np.zeros((1, 720), bool); at[0, [0, 15, 30, 44, 60, 200]] = True
    >>> [values.tolist() for values in gaps(at)]
    [[15.0], [0.8], [5]]
    """
    row, at = np.nonzero(active)
    number = np.bincount(row, minlength=len(active)) - 1
    middle, share = np.zeros(len(active)), np.zeros(len(active))
    gap, owner = np.diff(at)[np.diff(row) == 0], row[1:][np.diff(row) == 0]
    order = np.lexsort((gap, owner))
    some = np.flatnonzero(number > 0)
    begin = np.searchsorted(owner[order], some)
    middle[some] = gap[order][begin + (number[some] - 1) // 2]
    alike = np.abs(gap - middle[owner]) <= np.maximum(1.0, 0.3 * middle[owner])
    share[some] = np.bincount(owner, alike, minlength=len(active))[some] / number[some]
    return middle, share, np.maximum(number, 0)


def strobes(summary: FlowDay, attempts: int) -> Strobes:
    """What is tried in vain at least ``attempts`` times."""
    held = summary.tries.columns()
    rows = np.flatnonzero(held["tries"] >= attempts)
    rows = rows[np.lexsort((held["key"][rows], -held["tries"][rows]))]
    held = {name: values[rows] for name, values in held.items()}
    sent, who = summary.sent.columns(), summary.who.columns()
    key = summary.edge_keys(held["owner"], held["dst"])
    flows = np.maximum(_looked_up(sent["key"], sent["flows"], key), held["tries"])
    seen = _looked_up(who["key"], who["last"], held["owner"]) - _looked_up(
        who["key"], who["first"], held["owner"]
    )
    middle, steady, number = gaps(held["active"])
    length = held["last"] - held["first"]
    pace = length / _SECOND / np.maximum(held["tries"] - 1, 1)
    covered = (number + 1) * middle >= 0.5 * (length / _SECOND / BIN)
    told = (
        (held["tries"] >= FAILING * flows)
        & (length >= LEAST)
        & (length >= np.minimum(ENOUGH, seen // 2))
        & (held["tries"] * (length / _SECOND / 3600) >= EVIDENCE)
        & (steady >= STEADY)
        & (number >= 2)
        & covered
    )
    return Strobes(
        terminal=summary.names.of(held["owner"]), destination=summary.hosts.of(held["dst"]),
        owner=held["owner"], dst=held["dst"], protocol=held["protocol"], low=held["low"], high=held["high"],
        tries=held["tries"], flows=flows, first=held["first"], last=held["last"],
        period=np.where(middle >= 2, middle * BIN, pace), steady=steady, told=_few(held["owner"], told),
    )  # fmt: skip


def _looked_up(keys: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Values by ascending keys; 0 where there is none."""
    if not len(keys):
        return np.zeros(len(wanted), np.int64)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    made: np.ndarray = np.where(keys[at] == wanted, values[at], 0)
    return made


def _few(owner: np.ndarray, told: np.ndarray) -> np.ndarray:
    """Without terminals that try so many that it is about them or the network, not about a destination."""
    distinct, at = np.unique(owner, return_inverse=True)
    many = np.bincount(at, told, minlength=len(distinct)) > TOO_MANY
    made: np.ndarray = told & ~many[at]
    return made


def table(found: Strobes, most: int) -> pa.Table:
    few = slice(0, most)
    return pa.table(
        {
            "terminal": found.terminal[few],
            "destination": found.destination[few],
            "protocol": [protocol_name(code) for code in found.protocol[few].tolist()],
            "port_low": found.low[few],
            "port_high": found.high[few],
            "attempts": found.tries[few],
            "flows": found.flows[few],
            "first": pa.array(found.first[few]).cast(_TIME),
            "last": pa.array(found.last[few]).cast(_TIME),
            "period": found.period[few],
            "steady": found.steady[few],
            "told": found.told[few],
        },
        schema=UNANSWERED,
    )


def findings(
    found: Strobes, engine: tuple[str, int], most: int, ctx: Context[Any]
) -> tuple[tuple[Finding, ...], int]:
    """(one finding for a destination that more than ``MANY`` terminals try, else one for a terminal; how many more)."""
    told = np.flatnonzero(found.told)
    if not len(told):
        return (), 0
    pairs = np.unique(np.column_stack([found.dst[told], found.owner[told]]), axis=0)
    distinct, many = np.unique(pairs[:, 0], return_counts=True)
    crowd = np.isin(found.dst[told], distinct[many > MANY])
    made: list[Finding] = []
    for rows, keys, make in (
        (told[~crowd], found.owner, _of_terminal),
        (told[crowd], found.dst, _of_destination),
    ):
        _, first, at = np.unique(keys[rows], return_index=True, return_inverse=True)
        made += [make(found, rows[at == n], engine, ctx) for n in np.argsort(first).tolist()]
    made.sort(key=lambda finding: (finding.severity != "medium", -finding.count, finding.subject))
    return tuple(made[:most]), max(0, len(made) - most)


def _of_terminal(found: Strobes, rows: np.ndarray, engine: tuple[str, int], ctx: Context[Any]) -> Finding:
    name = found.terminal[int(rows[0])]
    where = {found.destination[row]: None for row in rows.tolist()}
    usual = all(
        protocol_name(int(found.protocol[row])) == "udp" or int(found.high[row]) in USUAL_PORTS
        for row in rows.tolist()
    )
    more = f", and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
    others = (found.owner == found.owner[rows[0]]) & ~found.told
    chance = float(found.tries[others].mean()) if others.any() else 0.0
    return _finding(
        found, rows, engine, ctx,
        title=f"{neutral(name)}: steady attempts that nobody answers ({', '.join(map(neutral, list(where)[:2]))}"
        f"{', ...' if len(where) > 2 else ''})",
        statement=(
            f"{neutral(name)} tries again and again, in vain: "
            + "; ".join(_said(found, row) for row in rows[:SHOWN].tolist())
            + more
            + ". An implant whose server is down or blocked does this; so do a server of ours or of a supplier that is "
            "down, software with an old address, and a firewall that blocks what a program needs."
        ),
        subject=(_type(name), name),
        entities=(Entity(_type(name), name), *(Entity(_type(each), each) for each in where)),
        severity="low" if usual else "medium",
        evidence=tuple(_evidence(found, row, chance) for row in rows[:SHOWN].tolist()),
    )  # fmt: skip


def _of_destination(found: Strobes, rows: np.ndarray, engine: tuple[str, int], ctx: Context[Any]) -> Finding:
    name = found.destination[int(rows[0])]
    who = {found.terminal[row]: None for row in rows.tolist()}
    return _finding(
        found, rows, engine, ctx,
        title=f"{neutral(name)}: {len(who):,} terminals try it steadily and nobody answers",
        statement=(
            f"{len(who):,} terminals try {neutral(name)} again and again, in vain. The most: "
            f"{_said(found, int(rows[0]))} by {neutral(found.terminal[int(rows[0])])}. So many at once are mostly "
            "software of the organisation whose server is down, moved or blocked; implants of one campaign whose "
            "server is down do the same."
        ),
        subject=(_type(name), name),
        entities=(Entity(_type(name), name), *(Entity(_type(each), each) for each in who)),
        severity="low",
        evidence=(_evidence(found, int(rows[0]), 0.0),),
    )  # fmt: skip


def _finding(
    found: Strobes, rows: np.ndarray, engine: tuple[str, int], ctx: Context[Any], **given: Any
) -> Finding:
    worst = int(rows[0])
    return Finding(
        engine=engine[0], engine_version=engine[1], kind="flow-anomaly", calibration=CALIBRATION, confidence=0.5,
        window=(ctx.start, ctx.end), first_seen=int(found.first[rows].min()), last_seen=int(found.last[rows].max()),
        count=int(found.tries[rows].sum()), aspect="unanswered",
        attributes={
            "metrics": ["unanswered"],
            "destinations": sorted({neutral(found.destination[row]) for row in rows[:100].tolist()}),
            "terminals": sorted({neutral(found.terminal[row]) for row in rows[:100].tolist()}),
            "attempts": int(found.tries[rows].sum()),
            "period": float(found.period[worst]),
            "steady": float(found.steady[worst]),
            "port": int(found.low[worst]),
        },
        **given,
    )  # fmt: skip


def _said(found: Strobes, row: int) -> str:
    low, high = int(found.low[row]), int(found.high[row])
    protocol = protocol_name(int(found.protocol[row]))
    port = f"{protocol}/{low}" if low == high else f"{protocol} ports {low} to {high}"
    many, answered = int(found.tries[row]), int(found.flows[row] - found.tries[row])
    return (
        f"{neutral(found.destination[row])} ({port}) {many:,} times in "
        f"{_length((found.last[row] - found.first[row]) / _SECOND)}, "
        f"{'about every' if found.period[row] >= 2 * BIN else 'on average every'} {_length(found.period[row])}, "
        + (f"{answered:,} flows to it came about" if answered else "none came about")
    )


def _evidence(found: Strobes, row: int, chance: float) -> Evidence:
    terminal, destination = sql_text(found.terminal[row]), sql_text(found.destination[row])
    sql = (
        "SELECT CAST(sum(attempts) AS BIGINT) FROM livenet_flowbaseline_unanswered WHERE protocol = "
        f"'{protocol_name(int(found.protocol[row]))}' AND destination = {destination} AND terminal = {terminal}"
    )
    return Evidence(_said(found, row), Check("", chance, tool="sql", expression=sql))


def _type(name: str) -> str:
    return address_type(name, "user-account")


def _length(seconds: float) -> str:
    """
    >>> _length(0.68), _length(90), _length(7200)
    ('0.7 s', '90 s', '2 h')
    """
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"


__all__ = ["MOST", "UNANSWERED", "Strobes", "findings", "gaps", "strobes", "table"]
