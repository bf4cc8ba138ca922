"""From surprises to alerts: calibrated, within a false-discovery rate and a budget, each told once.

For every terminal and day there is one surprise of each metric, that of its worst hour and service. The past of all
terminals says how often a day is as surprising (``expect.calibrate``); on these p-values of all terminals and metrics
the procedure of Benjamini and Hochberg (JRSS B 57, 1995) keeps the share of false alerts below ``rate``, and none may
be above the p-value that would give ``budget`` alerts of a terminal in a month. A change must also be large enough to
be worth a look (``FLOORS``).

An alert is told on the day it opens. While it is open nothing of that terminal is learned; two quiet days close it. A
change that stays for ``drift`` days is the new usual: it is told once as drift, and the terminal's series are learned
anew. Where three peers of a terminal or more (and 6 % of them) change alike on a day, in anything but scanning and
what they send to one place, that is one event of theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from andon.detect.livenet.flowbaseline.day import Day, group_keys, is_away
from andon.detect.livenet.flowbaseline.expect import (
    bytes_surprise,
    calibrate,
    count_surprise,
    dispersion,
    expected,
    learn,
    per_flow,
    slack,
)
from andon.detect.livenet.flowbaseline.memory import BINS, METRICS, Memory, aligned

FLOWS, FAN, VOLUME, SCAN, SENT, NEW = range(len(METRICS))
KINDS: Final = (
    (FLOWS, FAN),
    (VOLUME,),
    (NEW,),
)  # what may be one event of peers; scans and exfiltration never are
PEAK: Final = 0.1  # of the busiest hour, that any hour may have without being strange
LEARNED_EARLY: Final = (
    3  # days of a series until it is judged; of a terminal until its surprises count as past
)
TIMES: Final = 3.0  # of what was expected
# At least so much: flows, distinct others, bytes, all in an hour; pairs probed in an hour; bytes to one place and flows
# of a new service in a day.
FLOORS: Final = (50.0, 20.0, 10e6, 20.0, 20e6, 3.0)
SHARE_OF_PEERS: Final = 0.06  # and three at least: ten times what chance gives at the usual budget
FEWEST_PEERS: Final = 5
_DECAY = 0.97
_CLOSE = 2


@dataclass(frozen=True)
class Settings:
    """``learning`` days before a terminal is judged; ``budget`` alerts per terminal and month; ``rate`` of false
    discoveries; ``drift`` days until a change is the new usual."""

    learning: int
    budget: float
    rate: float
    drift: int


@dataclass(frozen=True)
class Judged:
    """(terminals, metrics): ``p``, ``alert`` (surprising enough today), ``fresh`` (told today of the terminal alone),
    ``drifted`` (learned anew from today on); ``where``: series of the day that is the reason (-1: none) and ``hour``;
    ``value``, ``usual``; ``ready``: terminals that are judged; ``mean``, ``each``: flows expected of (series, 24),
    bytes and others to a flow."""

    p: np.ndarray
    alert: np.ndarray
    fresh: np.ndarray
    drifted: np.ndarray
    where: np.ndarray
    hour: np.ndarray
    value: np.ndarray
    usual: np.ndarray
    ready: np.ndarray
    mean: np.ndarray
    each: np.ndarray
    cells: np.ndarray  # (series, 24) largest surprise of the three
    events: dict[tuple[int, int], np.ndarray]  # of peers: (peer, metric) -> terminals
    past: int  # days of terminals that the p-values come from


def judge(day: Day, memory: Memory, number: int, settings: Settings) -> Judged:
    """Judge a day (``number``: days since 1970, whose weekday counts) and take it into the memory."""
    weekday = (number + 3) % 7
    group, peers = group_keys(day)
    people, new_people = aligned(memory.terminals, day.terminal, opened=-1)
    rows, new = aligned(memory.series, day.series)
    terminals, series = memory.terminals, memory.series
    terminals.peer[people] = day.peer
    series.owner[rows], series.group[rows], series.peers[rows] = day.terminal[day.owner], group, peers
    fresh_start = rows[new]
    ready = (terminals.days[people] >= settings.learning) & ~new_people
    mean = expected(series, rows, weekday)
    upto = slack(mean)
    each, spread = per_flow(series, rows), dispersion(series, rows)
    peak = PEAK * series.profile[rows].max(axis=1, initial=0).astype(np.float64)[:, None]
    measured = _measured(
        day,
        upto,
        np.maximum(upto, peak),
        each,
        spread,
        series.days[rows] >= LEARNED_EARLY,
    )
    surprise, where, hour, value, usual, cells = measured
    _of_terminals(day, memory, people, new, rows, surprise, where, hour, value, usual)
    past = memory.past[FLOWS].sum()
    p = np.column_stack([calibrate(memory.past[m], surprise[:, m]) for m in range(len(METRICS))])
    large = (value >= np.array(FLOORS)) & (value >= TIMES * usual)
    p = np.where(large & ready[:, None], p, 1.0)
    alert = _discovered(p, ready, settings)
    opened, quiet = terminals.opened[people], terminals.quiet[people]
    fresh = alert & (opened < 0)
    count = np.where(fresh, 1, terminals.count[people] + alert)
    opened = np.where(fresh, number, opened)
    quiet = np.where(alert, 0, quiet + (opened >= 0))
    drifted = (opened >= 0) & (count >= settings.drift)
    over = drifted | ((opened >= 0) & (quiet >= _CLOSE))
    _remember_surprises(memory, surprise, terminals.days[people] >= LEARNED_EARLY)
    events, told = _of_peers(day, memory, ready, fresh, number, settings)
    going = (opened >= 0) & ~drifted
    terminals.opened[people] = np.where(over, -1, opened)
    terminals.quiet[people] = np.where(over, 0, quiet)
    terminals.count[people] = np.where(over, 0, count)
    terminals.last[people], series.last[rows] = number, number
    series.days[fresh_start] = 0
    again: np.ndarray = drifted.sum(axis=1) > 0
    _forget(series, rows[again[day.owner]])
    learning: np.ndarray = going.sum(axis=1) == 0
    terminals.days[people] += learning
    some = learning[day.owner]
    _learn_others(memory, people[learning], day, learning)
    learn(series, rows[some], weekday, day.flows[some], day.out[some], day.fan[some], mean[some])
    memory.days += 1
    return Judged(
        p, alert, told, drifted, where, hour, value, usual, ready, upto, each, cells, events, int(past)
    )


def _measured(
    day: Day, mean: np.ndarray, counts: np.ndarray, each: np.ndarray, spread: np.ndarray, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Surprises of the three metrics of series, the largest for each terminal: (surprise, series, hour, value, usual)
    as (terminals, metrics), and the cells. ``mean``: flows expected; ``counts``: the same with what any hour may
    have."""
    shape = (len(day.terminal), len(METRICS))
    surprise, value, usual = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    where, hour = np.full(shape, -1, np.int64), np.zeros(shape, np.int64)
    cells = np.zeros_like(mean)
    away = is_away(day)
    for metric, x, mu, floor in (
        (FLOWS, day.flows, counts, FLOORS[FLOWS]),
        (FAN, day.fan, np.minimum(counts, counts * each[:, 1:] + 0.5), FLOORS[FAN]),
        (VOLUME, day.out, mean * each[:, :1], FLOORS[VOLUME]),
    ):
        width = spread[:, metric, None] * np.ones(24)
        found = bytes_surprise(x, mu, width) if metric == VOLUME else count_surprise(x, mu, width)
        # A service that is new is another metric; volume is what leaves.
        found = np.where(known[:, None] & (away[:, None] | (metric != VOLUME)), found, 0.0)
        found = np.where((x >= floor) & (x >= TIMES * mu), found, np.minimum(found, 1.0))
        cells = np.maximum(cells, found)
        best_hour = found.argmax(axis=1)
        top = found[np.arange(len(found)), best_hour]
        order = np.lexsort((np.arange(len(top)), -top, day.owner))
        first = order[np.flatnonzero(np.r_[True, day.owner[order][1:] != day.owner[order][:-1]])]
        at, h = day.owner[first], best_hour[first]
        surprise[at, metric], where[at, metric], hour[at, metric] = top[first], first, h
        value[at, metric], usual[at, metric] = x[first, h], mu[first, h]
    return surprise, where, hour, value, usual, cells


def _of_terminals(
    day: Day,
    memory: Memory,
    people: np.ndarray,
    new: np.ndarray,
    rows: np.ndarray,
    surprise: np.ndarray,
    where: np.ndarray,
    hour: np.ndarray,
    value: np.ndarray,
    usual: np.ndarray,
) -> None:
    """The three metrics of terminals: scanning, bytes to one destination, services never used before."""
    terminals, series = memory.terminals, memory.series
    probed = day.probed.max(axis=1, initial=0)
    surprise[:, SCAN] = count_surprise(probed, terminals.probed[people] + 1.0, np.full(len(people), 1.0))
    value[:, SCAN], usual[:, SCAN], hour[:, SCAN] = (
        probed,
        terminals.probed[people],
        day.probed.argmax(axis=1),
    )
    high = np.maximum(terminals.sent[people], 1e6)
    surprise[:, SENT] = np.maximum(0.0, 4 * np.log10(np.maximum(day.sent, 1.0) / high))
    value[:, SENT], usual[:, SENT] = np.where(day.sent > day.received, day.sent, 0), terminals.sent[people]
    # A service is the rarer the fewer of the terminals have it; those of today do not count themselves.
    use = np.ones(len(series.key), np.bool_)
    use[rows[new]] = False
    group, count = np.unique(series.group[use], return_counts=True)
    mine = series.group[rows]
    at = np.minimum(np.searchsorted(group, mine), max(len(group) - 1, 0))
    users = np.where(group[at] == mine, count[at], 0) if len(group) else np.zeros(len(mine))
    rarity = -np.log10((users + 0.5) / (len(terminals.key) + 1.0))
    flows = day.flows.sum(axis=1)
    rarity = np.where(new, np.maximum(rarity, 0.0) + np.log10(np.maximum(flows, 1)) * 0.5, 0.0)
    order = np.lexsort((np.arange(len(rarity)), -rarity, day.owner))
    first = (
        order[np.flatnonzero(np.r_[True, day.owner[order][1:] != day.owner[order][:-1]])]
        if len(order)
        else order
    )
    who = day.owner[first]
    surprise[who, NEW], where[who, NEW], value[who, NEW] = (
        rarity[first],
        first,
        np.where(new[first], flows[first], 0),
    )
    hour[who, NEW] = (day.flows[first] > 0).argmax(axis=1)


def _discovered(p: np.ndarray, ready: np.ndarray, settings: Settings) -> np.ndarray:
    """Which (terminal, metric) are alerts."""
    tests = int(ready.sum()) * p.shape[1]
    if not tests:
        return np.zeros(p.shape, np.bool_)
    flat = np.sort(p[ready].ravel())
    under = np.flatnonzero(flat <= settings.rate * np.arange(1, tests + 1) / tests)
    by_rate = flat[under[-1]] if len(under) else 0.0
    by_budget = settings.budget / (30.0 * p.shape[1])
    made: np.ndarray = ready[:, None] & (p <= min(by_rate, by_budget)) & (p < 1)
    return made


def _remember_surprises(memory: Memory, surprise: np.ndarray, counts: np.ndarray) -> None:
    """Days of terminals are the past that later days are measured by, alerts among them: most of those were nothing,
    and only so the past says how often a day is as surprising."""
    memory.past *= _DECAY
    for metric in range(len(METRICS)):
        at = np.minimum((surprise[counts, metric] * 8).astype(np.int64), BINS - 1)
        memory.past[metric] += np.bincount(at, minlength=BINS)


def _forget(series: object, rows: np.ndarray) -> None:
    """These series begin anew: what they do from today on is learned."""
    for name in ("days", "seen", "profile", "level", "carried", "spread"):
        getattr(series, name)[rows] = 0


def _learn_others(memory: Memory, people: np.ndarray, day: Day, learning: np.ndarray) -> None:
    terminals = memory.terminals
    probed, sent = day.probed.max(axis=1, initial=0)[learning], day.sent[learning]
    terminals.probed[people] = np.maximum(terminals.probed[people] * 0.97, probed)
    terminals.sent[people] = np.maximum(terminals.sent[people] * 0.97, sent)


def _of_peers(
    day: Day, memory: Memory, ready: np.ndarray, fresh: np.ndarray, number: int, settings: Settings
) -> tuple[dict[tuple[int, int], np.ndarray], np.ndarray]:
    """(events of peers that begin: (peer, metric) -> the terminals, rows of the day; what is left to tell of single
    terminals). An event takes in its late members for ``drift`` days and the weekend among them; many flows and many
    others are one event."""
    events: dict[tuple[int, int], np.ndarray] = {}
    told = fresh.copy()
    going = memory.events[memory.events[:, 2] + settings.drift + 2 >= number]
    peer, members = np.unique(day.peer[ready], return_counts=True)
    for kind in KINDS:
        rows = np.flatnonzero(fresh[:, kind].any(axis=1))
        who, counts = np.unique(day.peer[rows], return_counts=True)
        for one, many in zip(who.tolist(), counts.tolist(), strict=True):
            mine = rows[day.peer[rows] == one]
            alike = going[(going[:, 0] == one) & (going[:, 1] == kind[0])]
            size = int(members[np.searchsorted(peer, one)])
            if len(alike):
                told[np.ix_(mine, kind)] = False
            elif size >= FEWEST_PEERS and many >= max(3, SHARE_OF_PEERS * size):
                events[one, kind[0]] = mine
                told[np.ix_(mine, kind)] = False
                going = np.vstack([going, np.array([[one, kind[0], number]])])
    memory.events = going
    return events, told
