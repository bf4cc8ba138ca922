"""Chains rebuilt backwards from a page: which visit of the same terminal led to it.

For every hop the strongest sign wins:

1. ``location``: an earlier answer said "go there" with exactly this URL; 2. ``status``: the visit just before was a
redirection (30x) whose target the log does not tell, within ``AUTOMATIC``; a browser keeps the referer over such a
hop, so the two referers have to agree where both are known; 3. ``referer``: the page named as referer, or (browsers
send only the origin to other sites) the newest page of its host; 4. ``time``: no referer is no rarity (https to http,
policies, tunnels), so the page just before counts, the less the more hosts were visited in that while.

Each hop has a certainty by its sign; a chain ends where the product falls below ``LEAST``, at a page named as referer
that the log does not show, and at the page by which a user left the site he was reading. Certainties are stated, not
learnt: they order the signs and say how much of a chain is a guess.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

SECOND: Final = 1_000_000_000
AUTOMATIC: Final = 5 * SECOND  # faster than anybody reads and clicks
PAUSE: Final = 120 * SECOND  # longest pause before a click on a page that is named as referer
LONGEST: Final = 600 * SECOND  # of a chain
HOPS: Final = 12
LOOK_BACK: Final = 300  # visits of a terminal that are looked at for one hop
LEAST: Final = 0.1
CERTAIN: Final = {"location": 0.99, "status": 0.85, "referer": 0.95, "origin": 0.8, "time": 0.5, "pause": 0.3}


@dataclass(frozen=True)
class Columns:
    """Visits sorted by terminal and time, as numbers: ``terminal`` (codes), ``ts``, ``done`` (end of the answer, ns),
    keys of ``url``, ``host``, ``domain``, ``referer``, ``referer_host``, ``location`` (0: none), ``redirect`` (status
    30x), ``tunnel``, ``page`` (neither refused nor a download)."""

    terminal: np.ndarray
    ts: np.ndarray
    done: np.ndarray
    url: np.ndarray
    host: np.ndarray
    domain: np.ndarray
    referer: np.ndarray
    referer_host: np.ndarray
    location: np.ndarray
    redirect: np.ndarray
    tunnel: np.ndarray
    page: np.ndarray


@dataclass(frozen=True)
class Hop:
    """How a visit was reached: by which earlier visit (``before``: its row), by which ``sign``, after a pause of
    ``gap`` ns."""

    row: int
    before: int
    sign: str
    gap: int
    certainty: float


@dataclass(frozen=True)
class Chain:
    """``rows``: visits from the entry to the end; ``hops``: one less. ``outside``: the entry has a referer that the
    log does not show (its row says which)."""

    rows: tuple[int, ...]
    hops: tuple[Hop, ...]
    outside: bool

    @property
    def certainty(self) -> float:
        return float(np.prod([hop.certainty for hop in self.hops])) if self.hops else 1.0


def back(columns: Columns, end: int) -> Chain:
    """The chain that led to a visit."""
    hops: list[Hop] = []
    rows, total = [end], 1.0
    current, outside = end, False
    first = int(columns.ts[end]) - LONGEST
    while len(hops) < HOPS:
        hop = _before(columns, current, first)
        if hop is None:
            outside = bool(columns.referer[current])
            break
        if total * hop.certainty < LEAST or _left_site(columns, hop, end):
            break
        total *= hop.certainty
        hops.append(hop)
        rows.append(hop.before)
        current = hop.before
    return Chain(tuple(reversed(rows)), tuple(reversed(hops)), outside)


def _left_site(columns: Columns, hop: Hop, end: int) -> bool:
    """Is the hop a click within a site that is not the end's: what was read before that is not part of the chain?"""
    same = columns.domain[hop.row] == columns.domain[hop.before]
    return bool(same and hop.gap >= AUTOMATIC and columns.domain[hop.row] != columns.domain[end])


def _before(columns: Columns, row: int, first: int) -> Hop | None:
    """The visit that led to ``row``, by the strongest sign."""
    begin, terminal = int(columns.ts[row]), columns.terminal[row]
    referer, origin = columns.referer[row], columns.referer_host[row]
    by_status: int | None = None
    by_referer: int | None = None
    by_origin: int | None = None
    by_time: int | None = None
    by_pause: int | None = None
    hosts: set[int] = set()
    newest = True
    for at in range(row - 1, max(row - 1 - LOOK_BACK, -1), -1):
        ts = int(columns.ts[at])
        if columns.terminal[at] != terminal or ts < first:
            break
        gap = max(begin - max(int(columns.done[at]), ts), 0)
        if columns.location[at] and columns.location[at] == columns.url[row] and gap <= 2 * AUTOMATIC:
            return Hop(row, at, "location", gap, CERTAIN["location"])
        if columns.url[at] == columns.url[row] and gap < AUTOMATIC:
            continue  # asked for twice (a retry, a range)
        if newest and columns.redirect[at] and not columns.location[at] and gap < AUTOMATIC:
            agree = not referer or not columns.referer[at] or referer == columns.referer[at]
            by_status = at if agree else None
        newest = False
        if not columns.page[at]:
            continue
        if referer and by_referer is None and columns.url[at] == referer and gap <= LONGEST:
            by_referer = at
        if origin and by_origin is None and columns.host[at] == origin and gap <= PAUSE:
            by_origin = at
        if gap < AUTOMATIC:
            hosts.add(int(columns.host[at]))
            by_time = at if by_time is None else by_time
        elif by_pause is None and gap <= PAUSE and columns.host[at] == columns.host[row]:
            by_pause = at
        if (by_referer is not None or not referer) and gap > PAUSE:
            break
    found: tuple[int, str, float] | None = None
    if by_status is not None:
        found = by_status, "status", CERTAIN["status"]
    elif by_referer is not None:
        found = by_referer, "referer", CERTAIN["referer"]
    elif by_origin is not None:
        found = by_origin, "origin", CERTAIN["origin"]
    elif referer:
        return None  # it came from a page that the log does not show
    elif by_time is not None:
        found = by_time, "time", CERTAIN["time"] / np.sqrt(len(hosts)) + (0.2 if len(hosts) == 1 else 0.0)
    elif by_pause is not None:
        found = by_pause, "pause", CERTAIN["pause"]
    if found is None:
        return None
    at, sign, certainty = found
    return Hop(
        row, at, sign, max(begin - max(int(columns.done[at]), int(columns.ts[at])), 0), float(certainty)
    )
