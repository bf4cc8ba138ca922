"""A day as matrices: series by hours, terminals, and what each terminal sent to one place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from andon.detect.livenet.flowbaseline.summary import OUT, FlowDay, mixed


@dataclass(frozen=True)
class Day:
    """Series (ascending by key) with ``owner`` (row of ``terminal``), ``service`` and ``direction``; ``flows``,
    ``out``, ``back``, ``fan``: (series, 24). Terminals (ascending by key) with ``peer``; ``probed``: (terminals, 24);
    ``sent``, ``to``: most bytes to one destination outside and its key; ``first``, ``last``: hours."""

    series: np.ndarray
    owner: np.ndarray
    service: np.ndarray
    direction: np.ndarray
    flows: np.ndarray
    out: np.ndarray
    back: np.ndarray
    fan: np.ndarray
    terminal: np.ndarray
    peer: np.ndarray
    total: np.ndarray
    probed: np.ndarray
    sent: np.ndarray
    received: np.ndarray  # from that destination
    to: np.ndarray


def day_of(summary: FlowDay) -> Day:
    rows, who, sent = summary.rows.columns(), summary.who.columns(), summary.sent.columns()
    # A cap may have left out a terminal in one table and not in the other.
    terminal = np.intersect1d(who["owner"], rows["owner"])
    keep = np.isin(rows["owner"], terminal)
    rows = {name: values[keep] for name, values in rows.items()}
    series, first, at = np.unique(rows["series"], return_index=True, return_inverse=True)
    place = rows["place"].astype(np.int64)
    hour = place % 24
    matrices = []
    for name in ("flows", "out", "in"):
        made = np.zeros((len(series), 24))
        np.add.at(made, (at, hour), rows[name])
        matrices.append(made)
    fans, others = summary.fan_out()
    fan = np.zeros((len(series), 24))
    if len(fans):
        where = np.minimum(np.searchsorted(fans, rows["key"]), len(fans) - 1)
        fan[at, hour] = np.where(fans[where] == rows["key"], others[where], 0)
    whose = np.searchsorted(terminal, rows["owner"][first])
    known = np.searchsorted(who["owner"], terminal)
    away = np.isin(sent["owner"], terminal)
    owner, out, to, back = (sent[name][away] for name in ("owner", "out", "dst", "in"))
    order = np.lexsort((to, -out, owner))
    best = order[np.flatnonzero(np.r_[True, owner[order][1:] != owner[order][:-1]])] if len(owner) else order
    most, got, target = np.zeros(len(terminal)), np.zeros(len(terminal)), np.zeros(len(terminal), np.uint64)
    at_best = np.searchsorted(terminal, owner[best])
    most[at_best], got[at_best], target[at_best] = out[best], back[best], to[best]
    return Day(
        series=series,
        owner=whose,
        service=rows["service"][first],
        direction=place[first] // 24,
        flows=matrices[0],
        out=matrices[1],
        back=matrices[2],
        fan=fan,
        terminal=terminal,
        peer=who["peer"][known],
        total=who["flows"][known],
        probed=summary.probed(terminal).astype(np.float64),
        sent=most,
        received=got,
        to=target,
    )


def group_keys(day: Day) -> tuple[np.ndarray, np.ndarray]:
    """(key of service and direction, key of the same among the terminal's peers) of each series."""
    group = mixed(day.service, day.direction.astype(np.uint64))
    return group, mixed(group, day.peer[day.owner].astype(np.uint64))


def is_away(day: Day) -> np.ndarray:
    """Series whose bytes leave the organisation."""
    made: np.ndarray = day.direction == OUT
    return made
