"""From rows to edges: which destination a host is, and one row for a terminal and a destination.

Where a registered domain has more names in a span than a person or a graph can make use of (content networks, tracking,
names that are made up for each visit), its names become one destination ``*.domain``. Names that stand on a list by
themselves stay apart, and a domain is folded only within one colour, so a black host is never lost among others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from andon.detect.livenet.edges import kernels as k
from andon.detect.livenet.edges.names import ascending
from andon.detect.livenet.edges.store import BLACK, Run, events_an_hour
from andon.records.domains import NAME, kinds_of_hosts, registered_domains


@dataclass(frozen=True)
class Destinations:
    """Destinations by name. ``of_host``: the destination of each host of the run; ``colour`` as in ``store``."""

    names: pa.Array
    domains: pa.Array
    is_address: np.ndarray
    colour: np.ndarray
    of_host: np.ndarray
    folded: np.ndarray  # hosts that are none by themselves, of each destination

    def __len__(self) -> int:
        return len(self.names)


def destinations(hosts: pa.Array, colour: np.ndarray, most: int) -> Destinations:
    """Fold domains of more than ``most`` names."""
    is_address = kinds_of_hosts(hosts) != NAME
    domains = registered_domains(hosts).dictionary_encode()
    domain = np.asarray(domains.indices).astype(np.int64)
    can = (colour != BLACK) & ~is_address
    # Within a domain only the names of the more frequent colour fold, so that "*.domain" has one.
    white = np.bincount(domain[can & (colour != 0)], minlength=len(domains.dictionary))
    gray = np.bincount(domain[can & (colour == 0)], minlength=len(domains.dictionary))
    can &= (colour != 0) == (white > gray)[domain]
    folds = can & (np.maximum(white, gray) > most)[domain]
    starred = ascending(domain[folds])
    alone = np.flatnonzero(~folds)
    stars = domains.dictionary.take(pa.array(starred))
    names = pa.concat_arrays([hosts.filter(pa.array(~folds)), pc.binary_join_element_wise("*", stars, ".")])
    order = np.asarray(pc.array_sort_indices(names)).astype(np.int64)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    of_host = np.empty(len(hosts), np.int64)
    of_host[alone] = rank[: len(alone)]
    of_host[folds] = rank[len(alone) + np.searchsorted(starred, domain[folds])]
    some = np.empty(len(order), np.int64)  # a host of each destination
    some[of_host] = np.arange(len(hosts))
    return Destinations(
        names.take(pa.array(order)),
        domains.dictionary.take(pa.array(domain[some])),
        is_address[some],
        colour[some],
        of_host,
        np.bincount(of_host[folds], minlength=len(order)),
    )


@njit(cache=True, nogil=True)
def _fold(
    order: np.ndarray,
    pairs: np.ndarray,
    wide: np.ndarray,
    narrow: np.ndarray,
    ends: np.ndarray,
    events: np.ndarray,
    most: int,
    out_pairs: np.ndarray,
    out_wide: np.ndarray,
    out_narrow: np.ndarray,
    out_events: np.ndarray,
) -> tuple[int, int]:
    n, kept, at = 0, 0, 0
    while at < order.shape[0]:
        begin, first, pair = kept, order[at], pairs[at]
        out_pairs[n] = pair
        k.copy_row(out_wide[n], out_narrow[n], wide[first], narrow[first])
        pieces = 0
        while at < order.shape[0] and pairs[at] == pair:
            row = order[at]
            if row != first:
                k.add_row(out_wide[n], out_narrow[n], wide[row], narrow[row])
            if narrow[row, k.LISTED]:
                pieces += 1
                for i in range(np.int64(ends[row]) - narrow[row, k.LISTED], np.int64(ends[row])):
                    out_events[kept] = events[i]
                    kept += 1
            at += 1
        if pieces > 1:
            k.sort_events(out_events, begin, kept)
            end, kept = kept, begin
            held, hour = 0, np.uint64(99)
            for i in range(begin, end):
                now = out_events[i] // k.HOUR
                if now != hour:
                    held, hour = 0, now
                if held < most:
                    held += 1
                    out_events[kept] = out_events[i]
                    kept += 1
        out_narrow[n, k.LISTED] = kept - begin
        n += 1
    return n, kept


@dataclass(frozen=True)
class Edges:
    """One row for a terminal and a destination, ascending by (``terminal``, ``destination``), which are ranks by name;
    ``wide``, ``narrow`` and ``events`` as in ``kernels``."""

    terminal: np.ndarray
    destination: np.ndarray
    wide: np.ndarray
    narrow: np.ndarray
    events: np.ndarray


def edges(run: Run, terminal: np.ndarray, of_host: np.ndarray, size: int = 1 << 18) -> Iterator[Edges]:
    """The edges in pieces of whole terminals, about ``size`` rows each, so that they are never held beside the rows and
    the tables.

    ``terminal``: rank of each terminal; ``of_host``: destination of each host."""
    ends = np.cumsum(run.narrow[:, k.LISTED], dtype=np.uint32)
    by_rank = np.argsort(terminal).astype(np.uint64)
    begins, stops = (
        np.searchsorted(run.keys, number << np.uint64(40)) for number in (by_rank, by_rank + np.uint64(1))
    )
    reached = np.cumsum(stops - begins)
    first = 0
    while first < len(by_rank):
        last = max(int(np.searchsorted(reached, (reached[first - 1] if first else 0) + size)), first + 1)
        rows = _ranges(begins[first:last], stops[first:last])
        # Rows of one terminal stand together, so sorting by both is sorting within each.
        pairs = terminal[run.terminal_of(rows)] << 32 | of_host[run.host_of(rows)]
        order = np.argsort(pairs, kind="stable")
        out_pairs = np.empty(len(rows), np.int64)
        wide, narrow = np.empty((len(rows), 4), np.int64), np.empty((len(rows), 8), np.uint32)
        events = np.empty(int(run.narrow[rows, k.LISTED].sum(dtype=np.int64)), np.uint64)
        n, kept = _fold(
            rows[order], pairs[order], run.wide, run.narrow, ends, run.events, events_an_hour(run.level), out_pairs,
            wide, narrow, events,
        )  # fmt: skip
        yield Edges(out_pairs[:n] >> 32, out_pairs[:n] & 0xFFFFFFFF, wide[:n], narrow[:n], events[:kept])
        first = last


def _ranges(begins: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """The numbers of all ranges, one after the other."""
    lengths = stops - begins
    shift = np.repeat(begins - np.r_[0, np.cumsum(lengths)[:-1]], lengths)
    out: np.ndarray = np.arange(len(shift)) + shift
    return out


@njit(cache=True, nogil=True)
def sums(
    owner: np.ndarray, wide: np.ndarray, narrow: np.ndarray, out_wide: np.ndarray, out: np.ndarray
) -> None:
    """Add edges to their owners: ``wide`` as in edges; ``out`` (int64) the columns of ``narrow``, LISTED counting
    edges."""
    for i in range(owner.shape[0]):
        at = owner[i]
        if out[at, k.LISTED] == 0:
            out_wide[at, k.FIRST], out_wide[at, k.LAST] = wide[i, k.FIRST], wide[i, k.LAST]
        out_wide[at, k.FIRST] = min(out_wide[at, k.FIRST], wide[i, k.FIRST])
        out_wide[at, k.LAST] = max(out_wide[at, k.LAST], wide[i, k.LAST])
        out_wide[at, k.IN] += wide[i, k.IN]
        out_wide[at, k.OUT] += wide[i, k.OUT]
        for column in range(k.HOURS):
            out[at, column] += narrow[i, column]
        out[at, k.HOURS] |= np.int64(narrow[i, k.HOURS])
        out[at, k.LISTED] += 1


@njit(cache=True, nogil=True)
def _agents_used(terminal: np.ndarray, agent: np.ndarray, users: np.ndarray, of_terminal: np.ndarray) -> None:
    """Terminals of each agent and agents of each terminal; rows of one terminal stand together."""
    stamp = np.zeros(users.shape[0], np.int64)
    for i in range(terminal.shape[0]):
        if agent[i] > 1 and stamp[agent[i]] != terminal[i] + 1:
            stamp[agent[i]] = terminal[i] + 1
            users[agent[i]] += 1
            of_terminal[terminal[i]] += 1


@njit(cache=True, nogil=True)
def _rare_contacts(
    owner: np.ndarray, agent: np.ndarray, counts: np.ndarray, rare: np.ndarray, out: np.ndarray
) -> None:
    for i in range(owner.shape[0]):
        if agent[i] > 0:
            out[owner[i], 0] += counts[i]
            if agent[i] == 1 or rare[agent[i]]:
                out[owner[i], 1] += counts[i]


def agents(run: Run, of_host: np.ndarray, destinations: int) -> tuple[np.ndarray, np.ndarray]:
    """(contacts with the field and those of a rare agent, of each destination; agents of each terminal of the run).

    An agent is rare if at most two terminals use it, or one in a hundred of those whose agents are known."""
    agent, terminal = run.agent, run.terminal
    users, of_terminal = np.zeros(1 << 16, np.int64), np.zeros(len(run.terminals), np.int64)
    _agents_used(terminal, agent, users, of_terminal)
    rare = users <= max(2, int(np.count_nonzero(of_terminal)) // 100)
    out = np.zeros((destinations, 2), np.int64)
    _rare_contacts(of_host[run.host], agent, run.narrow[:, k.COUNT], rare, out)
    return out, of_terminal
