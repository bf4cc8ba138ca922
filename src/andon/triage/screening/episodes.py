"""Alerts of a span -> episodes, with what was going on when they began.

An episode is a run of cells (``summary``) of one pair without a pause of more than 300 s. One that was open when the
span before ended goes on. The alerts feed the counters (``counters``) in strict order; an episode has the values at its
first alert and the maxima since.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from andon.sketch.hashing import mix64_array
from andon.triage.screening import counters
from andon.triage.screening.memory import GROUPS, OPEN, Memory
from andon.triage.screening.summary import (
    ALWAYS,
    CELL,
    PAIRS,
    VALUE,
    Summary,
    Table,
    joined,
    starts_of,
    take,
    within,
)  # fmt: skip

GAP: Final = 300 * 1_000_000_000  # ns
KEPT: Final = 64  # values of a kind that are remembered of an open episode


@dataclass(frozen=True)
class Episodes:
    """``table``: columns OPEN plus ``host``, ``signature``, ``site`` (keys) and ``row`` (of ``pairs``), sorted by
    (first, pair); ``begun`` (n, WIDTH), ``most`` (n, RISING): features; ``values``: VALUE with ``slot`` the episode's
    row; ``pairs``, ``texts``: what the keys stand for."""

    table: Table
    begun: np.ndarray
    most: np.ndarray
    values: Table
    pairs: Table
    texts: dict[int, str]

    def __len__(self) -> int:
        return len(self.table["pair"])


def mixed(first: np.ndarray, second: np.ndarray, salt: int) -> np.ndarray:
    """Key of two keys together."""
    return np.asarray(mix64_array(mix64_array(first, np.uint64(salt)) + second, np.uint64(salt + 1)))


def group_keys(pairs: Table) -> dict[str, np.ndarray]:
    """Key of each pair's groups."""
    signature = mixed(mixed(pairs["site"], pairs["product"], 11), pairs["rule"], 13)
    host = mixed(pairs["site"], pairs["host"], 17)
    detector = mixed(host, pairs["product"], 19)
    return {"pair": pairs["pair"], "host": host, "signature": signature, "detector": detector}


def _known(held: tuple[np.ndarray, np.ndarray], keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sorted keys and state with new rows for the keys that are not there."""
    old, state = held
    every = np.union1d(old, keys)
    made = counters.fresh(len(every))
    made[np.searchsorted(every, old)] = state
    return every, made


def _pairs(summary: Summary, memory: Memory) -> Table:
    both = joined([summary.pairs, memory.pairs])
    _, at = np.unique(both["pair"], return_index=True)
    return take(both, at)


def advance(summary: Summary, memory: Memory) -> tuple[Episodes, Memory]:
    """Episodes that the span's alerts make or go on with, and open ones that they do not (``last`` tells), and the
    memory with these alerts in its counters; open episodes and queue of the memory are left to ``remember``."""
    cells, rows = summary.cells, summary.rows
    pairs = _pairs(summary, memory)
    old = memory.open
    n_old = len(old["pair"])
    # Cells, and open episodes as if they were cells, by pair and time.
    every = {name: np.concatenate([old[name], cells[name]]) for name in OPEN}
    order = np.lexsort((every["first"], every["pair"]))
    every = take(every, order)
    new = np.ones(len(order), bool)
    new[1:] = (every["pair"][1:] != every["pair"][:-1]) | (every["first"][1:] - every["last"][:-1] > GAP)
    starts = np.flatnonzero(new)
    of = np.cumsum(new) - 1
    if len(starts):
        table = {
            "pair": every["pair"][starts],
            "first": np.minimum.reduceat(every["first"], starts),
            "last": np.maximum.reduceat(every["last"], starts),
            "alerts": np.add.reduceat(every["alerts"], starts),
            "severity": np.maximum.reduceat(every["severity"], starts),
            "open": np.maximum.reduceat(every["open"], starts),
        }
    else:
        table = every
    rank = np.lexsort((table["pair"], table["first"]))
    place = np.empty(len(rank), np.int64)
    place[rank] = np.arange(len(rank))
    table = take(table, rank)
    of_part = np.empty(len(order), np.int64)  # of open episodes, then cells
    of_part[order] = place[of]
    begun, most, started = _features(memory, of_part[:n_old], len(rank))
    groups = _run(rows, cells, of_part[n_old:], pairs, memory, begun, most, started)
    at = np.searchsorted(pairs["pair"], table["pair"])
    keys = group_keys(pairs)
    table |= {
        "host": keys["host"][at],
        "signature": keys["signature"][at],
        "site": pairs["site"][at],
        "row": at,
    }
    texts = memory.texts | summary.texts
    values = _values(summary, memory, cells, of_part, n_old, table)
    made = Episodes(table, begun, most, values, pairs, texts)
    return made, replace(memory, groups=groups)


def _features(memory: Memory, of: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    begun, most = np.zeros((n, counters.WIDTH)), np.zeros((n, counters.RISING))
    started = np.zeros(n, bool)
    if len(of):
        begun[of], most[of], started[of] = memory.begun, memory.most, True
    return begun, most, started


def _run(
    rows: Table, cells: Table, of_cell: np.ndarray, pairs: Table, memory: Memory,
    begun: np.ndarray, most: np.ndarray, started: np.ndarray,
) -> dict[str, tuple[np.ndarray, np.ndarray]]:  # fmt: skip
    """The counters of all groups after the rows."""
    keys = group_keys(pairs)
    held = {name: _known(memory.groups[name], keys[name]) for name in GROUPS}
    places = np.stack([np.searchsorted(held[name][0], keys[name]) for name in GROUPS], axis=1)
    pair = np.searchsorted(pairs["pair"], rows["pair"])
    # Cells are sorted by (pair, slot), so are the rows here, and a row's cell is the group it falls in.
    slot = rows["ts"] // CELL
    order = np.lexsort((slot, rows["pair"]))
    starts = starts_of((rows["pair"][order], slot[order]))
    number = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(order)]))
    cell = np.empty(len(order), np.int64)
    cell[order] = number
    counters.run(
        rows["ts"] / 1e9, pair, of_cell[cell] if len(cell) else np.zeros(0, np.int64), places,
        held["pair"][1], held["host"][1], held["signature"][1], held["detector"][1], begun, most, started,
    )  # fmt: skip
    return held


def _values(
    summary: Summary, memory: Memory, cells: Table, of_part: np.ndarray, n_old: int, table: Table
) -> Table:
    """VALUE of all episodes; those of ALWAYS are given to every episode of their pair."""
    values = summary.values
    always = np.isin(values["kind"], ALWAYS)
    told = take(values, ~always)
    at = np.zeros(0, np.int64)
    if len(told["pair"]):
        # (pair, slot) of the cells is unique and sorted: one key orders both.
        starts = starts_of((told["pair"], told["slot"]))
        where = _find(cells, told["pair"][starts], told["slot"][starts])
        at = np.repeat(of_part[n_old:][where], np.diff(np.r_[starts, len(told["pair"])]))
    parts = [told | {"slot": at}]
    mine = memory.values
    kept = ~np.isin(mine["kind"], ALWAYS)
    parts.append(take(mine, kept) | {"slot": of_part[:n_old][mine["slot"][kept]]})
    both = joined([take(values, always), take(mine, ~kept)])
    order = np.lexsort((both["value"], both["kind"], both["pair"]))
    both = take(both, order)
    first = starts_of((both["pair"], both["kind"]))
    both = take(both, first)
    for kind in ALWAYS:
        one = take(both, both["kind"] == kind)
        if len(one["pair"]):
            where = np.minimum(np.searchsorted(one["pair"], table["pair"]), len(one["pair"]) - 1)
            has = np.flatnonzero(one["pair"][where] == table["pair"])
            parts.append(take(one, where[has]) | {"slot": has})
    every = {name: np.concatenate([part[name] for part in parts]) for name in VALUE}
    order = np.lexsort((every["value"], every["kind"], every["slot"]))
    every = take(every, order)
    starts = starts_of((every["slot"], every["kind"], every["value"]))
    if not len(starts):
        return every
    every = take(every, starts) | {"count": np.add.reduceat(every["count"], starts)}
    return take(every, np.lexsort((every["value"], -every["count"], every["kind"], every["slot"])))


def _find(cells: Table, pair: np.ndarray, slot: np.ndarray) -> np.ndarray:
    """Rows of the cells of these (pair, slot); cells are sorted by both, and all that are asked for are there."""
    low = np.searchsorted(cells["pair"], pair, "left")
    high = np.searchsorted(cells["pair"], pair, "right") - 1
    while (low < high).any():  # all ranges are halved at once
        middle = (low + high) // 2
        right = cells["slot"][middle] < slot
        low, high = np.where(right, np.minimum(middle + 1, high), low), np.where(right, high, middle)
    return np.asarray(low)


def remember(made: Episodes, memory: Memory, still: np.ndarray, chance: np.ndarray) -> Memory:
    """The memory with the episodes ``still`` (n,) bool open. ``chance`` (n,): of the audit's draw."""
    at = np.flatnonzero(still)
    place = np.full(len(made), -1, np.int64)
    place[at] = np.arange(len(at))
    values = take(made.values, still[made.values["slot"]])
    number = within(starts_of((values["slot"], values["kind"])), len(values["slot"]))
    values = take(values, number < KEPT)
    values = values | {"slot": place[values["slot"]]}
    rows = np.unique(made.table["row"][at])
    pairs = take(made.pairs, rows)
    used = np.unique(np.concatenate([values["value"], *(pairs[name] for name in PAIRS[1:])])).tolist()
    return replace(
        memory,
        open={name: made.table[name][at] for name in OPEN},
        begun=made.begun[at],
        most=made.most[at],
        chance=chance[at],
        values=values,
        pairs=pairs,
        texts={key: made.texts[key] for key in used},
    )
