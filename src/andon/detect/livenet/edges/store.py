"""Rows of (terminal, destination, agent) in bounded memory: sorted runs that merge like the levels of an LSM tree.

A hash table of millions of rows costs a miss of the cache for every contact. Here contacts are gathered, sorted and
folded into a ``Run``; runs of like size are merged two at a time, which reads and writes memory in order (O'Neil et
al., "The log-structured merge-tree", Acta Informatica 33, 1996). What is kept depends on the set of contacts alone:

* ``level`` 0 keeps everything, with at most 256 entries an hour in the sketch of a row's times; level 1 at most 64;
  each level above drops every second host that is left by a keyed hash (adaptive sampling: Flajolet, Computing 43,
  1990), black-listed hosts excepted, and from level 10 on every second terminal too. A row goes or stays as a
  whole.
* The level is the lowest at which everything is within ``Bounds``. All bounded numbers only fall with the level and
  only grow with the set, so however the input was cut the same level comes out, and rows that stay are exact.
* Addresses and users of a terminal, servers and ports of a host ("facets") are those eight with the lowest hash (ports:
  the lowest); names that nothing refers to are dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from andon.detect.livenet.edges import kernels as k
from andon.detect.livenet.edges.names import Names, ascending
from andon.sketch.hashing import mix64_array

BLACK, WHITE = 1, 2  # `flags` of a host
ADDRESS_OF, USER_OF, SERVER_OF, PORT_OF = 0, 1, 2, 3
FACETS: Final = 8  # of each kind that are kept
_TERMINALS_FROM: Final = 9
_SAMPLE: Final = np.uint64(0x5851F42D4C957F2D)


def events_an_hour(level: int) -> int:
    return 256 if level == 0 else 64


@dataclass(frozen=True)
class Bounds:
    """``rows`` (and hosts); the rest follows from it."""

    rows: int

    def hold(self, run: Run) -> bool:
        return (
            len(run.keys) <= self.rows
            and len(run.hosts) <= self.rows
            and len(run.terminals) <= max(self.rows // 8, 16)
            and len(run.events) <= 8 * self.rows
            and len(run.facets) <= 4 * self.rows
            # Texts have at most 255 bytes, so those of two runs together stay below 2^31.
            and int(np.searchsorted(run.facets, np.uint64(PORT_OF << 56))) <= max(self.rows // 2, 64)
            and run.hosts.nbytes <= 64 * self.rows
        )


@dataclass(frozen=True)
class Run:
    """Rows by ascending key (``kernels``), the names they refer to, and facets, ascending: kind << 56 | number of the
    terminal or host << 32 | number of a text, or a port. Never changed once made."""

    hosts: Names
    flags: np.ndarray  # uint8, of each host
    terminals: Names
    texts: Names  # of facets
    facets: np.ndarray
    keys: np.ndarray
    wide: np.ndarray
    narrow: np.ndarray
    events: np.ndarray
    level: int = 0

    @classmethod
    def none(cls, level: int = 0) -> Self:
        nothing = np.empty(0, np.uint64)
        return cls(
            Names.none(), np.empty(0, np.uint8), Names.none(), Names.none(), nothing, nothing,
            np.empty((0, 4), np.int64), np.empty((0, 8), np.uint32), nothing, level,
        )  # fmt: skip

    @property
    def host(self) -> np.ndarray:
        """int64 number of the host of each row."""
        return self.host_of(slice(None))

    @property
    def terminal(self) -> np.ndarray:
        return self.terminal_of(slice(None))

    def host_of(self, rows: np.ndarray | slice) -> np.ndarray:
        return (self.keys[rows] >> np.uint64(16) & np.uint64(0xFFFFFF)).astype(np.int64)

    def terminal_of(self, rows: np.ndarray | slice) -> np.ndarray:
        return (self.keys[rows] >> np.uint64(40)).astype(np.int64)

    @property
    def agent(self) -> np.ndarray:
        return (self.keys & np.uint64(0xFFFF)).astype(np.int64)


def row_keys(terminal: np.ndarray, host: np.ndarray, agent: np.ndarray) -> np.ndarray:
    out: np.ndarray = (
        terminal.astype(np.uint64) << np.uint64(40)
        | host.astype(np.uint64) << np.uint64(16)
        | agent.astype(np.uint64)
    )
    return out


def facets_of(kind: int, owner: np.ndarray, value: np.ndarray) -> np.ndarray:
    """uint64 facets, as they come."""
    out: np.ndarray = (
        np.uint64(kind << 56) | owner.astype(np.uint64) << np.uint64(32) | value.astype(np.uint64)
    )
    return out


def split_facets(facets: np.ndarray, kind: int) -> tuple[np.ndarray, np.ndarray]:
    """(owners, values) of one kind, int64, owners ascending."""
    a, b = np.searchsorted(facets, np.array([kind << 56, (kind + 1) << 56], np.uint64))
    held = facets[a:b].astype(np.int64)
    return held >> 32 & 0xFFFFFF, held & 0xFFFFFFFF


def _renumbered(keys: np.ndarray, terminal: np.ndarray, host: np.ndarray) -> np.ndarray:
    """Row keys with other numbers for terminals and hosts."""
    t = terminal[(keys >> np.uint64(40)).astype(np.int64)]
    h = host[(keys >> np.uint64(16) & np.uint64(0xFFFFFF)).astype(np.int64)]
    return row_keys(t, h, keys & np.uint64(0xFFFF))


def _facets_renumbered(
    facets: np.ndarray,
    terminal: np.ndarray | None = None,
    host: np.ndarray | None = None,
    text: np.ndarray | None = None,
) -> np.ndarray:
    parts = []
    for kind in (ADDRESS_OF, USER_OF, SERVER_OF, PORT_OF):
        owner, value = split_facets(facets, kind)
        number = terminal if kind in (ADDRESS_OF, USER_OF) else host
        owner = owner if number is None else number[owner]
        parts.append(facets_of(kind, owner, value if kind == PORT_OF or text is None else text[value]))
    return np.concatenate(parts)


def few_facets(facets: np.ndarray, texts: Names) -> tuple[np.ndarray, Names]:
    """Distinct facets (given in any order), at most ``FACETS`` of a kind for one owner, and the texts they need."""
    facets = ascending(facets)
    facets = facets[k.first_of_groups(facets, 32, FACETS)]
    used = np.zeros(len(texts), np.bool_)
    for kind in (ADDRESS_OF, USER_OF, SERVER_OF):
        used[split_facets(facets, kind)[1]] = True
    if used.all():
        return facets, texts
    texts, number = texts.keep(used)
    return _facets_renumbered(facets, text=number), texts


def union(a: Run, b: Run) -> Run:
    """Both runs as one, at the higher of their levels."""
    level = max(a.level, b.level)
    a, b = at_level(a, level), at_level(b, level)
    for one, other in ((a, b), (b, a)):
        if not len(one.hosts) and not len(one.terminals):
            return other
    hosts, host_a, host_b = a.hosts.with_those_of(b.hosts)
    terminals, terminal_a, terminal_b = a.terminals.with_those_of(b.terminals)
    texts, text_a, text_b = a.texts.with_those_of(b.texts)
    flags = np.zeros(len(hosts), np.uint8)
    flags[host_a], flags[host_b] = a.flags, b.flags
    facets, texts = few_facets(
        np.concatenate(
            [
                _facets_renumbered(a.facets, terminal_a, host_a, text_a),
                _facets_renumbered(b.facets, terminal_b, host_b, text_b),
            ]
        ),
        texts,
    )
    a_keys = _renumbered(a.keys, terminal_a, host_a)
    b_keys = _renumbered(b.keys, terminal_b, host_b)
    rows = k.count_union(a_keys, b_keys)
    keys = np.empty(rows, np.uint64)
    wide, narrow = np.empty((rows, 4), np.int64), np.empty((rows, 8), np.uint32)
    events = np.empty(len(a.events) + len(b.events), np.uint64)
    kept = k.merge_rows(
        a_keys, a.wide, a.narrow, a.events, b_keys, b.wide, b.narrow, b.events,
        events_an_hour(level), keys, wide, narrow, events,
    )  # fmt: skip
    events = events[:kept] if kept > len(events) * 3 // 4 else events[:kept].copy()
    return Run(hosts, flags, terminals, texts, facets, keys, wide, narrow, events, level)


def at_level(run: Run, level: int) -> Run:
    """What of a run stays at this level (at least its own)."""
    if level <= run.level:
        return run
    keep_host = _sampled(run.hosts.keys, level - 1) | (run.flags == BLACK)
    return _kept(run, keep_host, _sampled(run.terminals.keys, level - _TERMINALS_FROM), level)


def _kept(run: Run, keep_host: np.ndarray, keep_terminal: np.ndarray, level: int) -> Run:
    """What of a run belongs to these hosts and terminals, with sketches as long as the level says."""
    hosts, host = run.hosts.keep(keep_host)
    terminals, terminal = run.terminals.keep(keep_terminal)
    mask = keep_host[run.host] & keep_terminal[run.terminal]
    narrow, events = run.narrow.copy(), np.empty(len(run.events), np.uint64)
    kept = k.keep_rows(mask, narrow, run.events, events_an_hour(level), events)
    facets = []
    for kind in (ADDRESS_OF, USER_OF, SERVER_OF, PORT_OF):
        owner, value = split_facets(run.facets, kind)
        stays = (keep_terminal if kind in (ADDRESS_OF, USER_OF) else keep_host)[owner]
        facets.append(facets_of(kind, owner[stays], value[stays]))
    few, texts = few_facets(_facets_renumbered(np.concatenate(facets), terminal, host), run.texts)
    return Run(
        hosts, run.flags[keep_host], terminals, texts, few, _renumbered(run.keys[mask], terminal, host),
        run.wide[mask], narrow[mask], events[:kept].copy(), level,
    )  # fmt: skip


def without_hosts(run: Run, mask: np.ndarray) -> Run:
    """The run without the hosts of a mask, and without terminals that are left with none."""
    used = np.zeros(len(run.terminals), np.bool_)
    used[run.terminal[~mask[run.host]]] = True
    return _kept(run, ~mask, used, run.level)


def within(run: Run, bounds: Bounds) -> Run:
    """The run at the lowest level at which it is within bounds."""
    while not bounds.hold(run):
        if run.level >= 60:
            break  # nothing is left but black-listed hosts
        run = at_level(run, run.level + 1)
    return run


def _sampled(keys: np.ndarray, level: int) -> np.ndarray:
    if level <= 0:
        return np.ones(len(keys), np.bool_)
    kept: np.ndarray = mix64_array(keys, _SAMPLE) >> np.uint64(64 - level) == 0
    return kept
