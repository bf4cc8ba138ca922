"""Browsing: sessions of pages as users' habits have it, and the burst of lines that each page is.

A page is drawn from popular sites (Zipf), the user's own, those of the department, the long tail, or places of risk
(in proportion to how risk-loving the user is). It loads from its own host and from networks; behind a tunnel nothing
but one CONNECT for each host is seen. Cross-site referers carry the origin alone, as browsers' default policy has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit

from andon.sketch.hashing import mix64, mix64_array

from . import lines, paths
from . import sites as where
from .lines import LINE
from .people import People, Shift
from .scenario import DAY, HOUR, Scenario
from .sites import EMBEDS, Sites

SESSION: Final = 8  # pages
_LUNCH: Final = (np.array([0, 0.42, 0.58, 1.0]), np.array([0, 0.42, 0.52, 1.0]))
_OWN: Final = 12  # sites of a user's own
MOST_LINES: Final = 5 + 3 * EMBEDS


@dataclass(frozen=True)
class Pages:
    """Columns by page, in time order. ``before``: the page of the same session before it, -1."""

    ts: np.ndarray
    terminal: np.ndarray
    host: np.ndarray
    before: np.ndarray


def pages(scenario: Scenario, who: People, dest: Sites, on: Shift, day: int) -> Pages:
    """The pages of a day."""
    rng = scenario.rng("pages", day)
    many = rng.poisson(who.activity * on.share)
    terminal = np.repeat(np.arange(who.count), many).astype(np.int32)
    total = len(terminal)
    if not total:
        empty = np.empty(0, np.int64)
        return Pages(empty, terminal, empty.astype(np.int32), empty)
    place = np.arange(total) - np.repeat(np.cumsum(many) - many, many)
    opens = place % SESSION == 0
    session = np.cumsum(opens) - 1
    owner = terminal[opens]
    within = np.interp(rng.random(len(owner)), *_LUNCH)
    start = on.begin[owner] + (within * (on.end - on.begin)[owner]).astype(np.int64)
    late = rng.random(len(owner)) < who.late[owner]
    start[late] = day * DAY + rng.integers(0, DAY - HOUR // 6, int(late.sum()))
    gap = rng.exponential(35_000, total).astype(np.int64) + 1500
    gap[opens] = 0
    run = np.cumsum(gap)
    ts = start[session] + run - run[opens][session]
    host = _choice(rng, who, dest, terminal)
    stay = ~opens & (rng.random(total) < 0.45)  # reads on at the same site
    at = np.maximum.accumulate(np.where(stay, 0, np.arange(total)))
    host = host[at]
    order = np.argsort(ts, kind="stable")
    rank = np.empty(total, np.int64)
    rank[order] = np.arange(total)
    before = np.where(opens, -1, rank[np.arange(total) - 1])
    # A night shift begins before midnight, and the scenario at it.
    early, late_ones = np.searchsorted(ts[order], [0, scenario.length])
    order = order[early:late_ones]
    return Pages(ts[order], terminal[order], host[order], np.maximum(before[order] - early, -1))


def _choice(rng: np.random.Generator, who: People, dest: Sites, terminal: np.ndarray) -> np.ndarray:
    total = len(terminal)
    risky = np.minimum(0.012 * who.risk, 0.25)[terminal]
    which, u = rng.random(total), rng.random(total)
    web, many = dest.ranges[where.WEB]
    host = web + 3 * np.minimum((float(many) ** u).astype(np.int64) - 1, many - 1)

    def put(low: np.ndarray | float, high: np.ndarray | float, made: np.ndarray, kind: int) -> None:
        mine = (which >= low) & (which < high)
        host[mine] = dest.ranges[kind][0] + made[mine]

    own = mix64_array(
        (terminal.astype(np.uint64) << np.uint64(8)) + (u**2 * _OWN).astype(np.uint64), np.uint64(77)
    )
    put(0.0, 0.2, (own % np.uint64(dest.ranges[where.PERSONAL][1])).astype(np.int64), where.PERSONAL)
    put(
        0.2,
        0.31,
        who.department[terminal] * where.NICHES + (u**1.5 * where.NICHES).astype(np.int64),
        where.NICHE,
    )
    tail = dest.ranges[where.TAIL][1]
    put(0.31, 0.35, (u * tail).astype(np.int64), where.TAIL)
    put(0.35, 0.37, (u**5 * tail).astype(np.int64), where.TAIL)
    at: np.ndarray | float = 0.37
    for kind, share in (
        (where.SHORTENER, 0.3),
        (where.STREAMING, 0.35),
        (where.DOWNLOAD, 0.15),
        (where.FREE, 0.2),
    ):
        put(at, at + share * risky, (u * dest.ranges[kind][1]).astype(np.int64), kind)
        at = at + share * risky
    return host.astype(np.int32)


def burst(seed: int, dest: Sites, who: People, of: Pages, first: int, last: int) -> np.ndarray:
    """Lines of the pages ``first`` to ``last`` (exclusive), not in time order."""
    room = np.empty((last - first) * MOST_LINES, LINE)
    farm, many = dest.ranges[where.SUBDOMAIN]
    count = _expand(
        first, last, of.ts, of.terminal, of.host, of.before, who.agent, dest.via, dest.odd, dest.pages, dest.embeds,
        farm, many, _STATUS, _SIZES, np.uint64(seed), room,
    )  # fmt: skip
    return room[:count]


_STATUS, _SIZES = lines.status_table(), lines.size_table()
_PAGE0, _PAGES = paths.PAGE
_RES0, _RESOURCES = paths.RESOURCE
_ODD0, _ODDS = paths.ODD
_FARMS = where.FARMS


@njit(cache=True, nogil=True)
def _page_path(page: int, host: int, odd: bool, pages: int, seed: np.uint64) -> int:
    """Path of a page that somebody reads: one of those that its host has."""
    draw = mix64(np.uint64(page), seed)
    if draw % np.uint64(5) == 0:
        return 0
    number = (draw >> np.uint64(8)) % np.uint64(pages)
    hashed = mix64(np.uint64(host) * np.uint64(64) + number, np.uint64(5))
    if odd and hashed & np.uint64(1):
        return int(_ODD0 + np.int64((hashed >> np.uint64(1)) % np.uint64(_ODDS)))
    return int(_PAGE0 + np.int64((hashed >> np.uint64(1)) % np.uint64(_PAGES)))


@njit(cache=True, nogil=True)
def _line(
    out: np.ndarray, at: int, ts: int, terminal: int, host: int, path: int, ref_host: int, ref_path: int, agent: int,
    via: int, what: int, dice: np.uint64, status: np.ndarray, sizes: np.ndarray,
) -> None:  # fmt: skip
    one = out[at]
    if via == 0:
        what, path, ref_host, ref_path = 2, -1, -1, -1
    state = status[what, dice & np.uint64(255)]
    size = sizes[what, (dice >> np.uint64(8)) & np.uint64(1023)]
    if state in (3, 4, 10, 13, 14):  # answers without a body, refusals
        size = 180 + size % 200
    one.ts = ts
    one.elapsed = sizes[what + 4, (dice >> np.uint64(18)) & np.uint64(1023)]
    one.terminal = terminal
    one.host = host
    one.path = path
    one.tail = 0
    one.ref_host = ref_host
    one.ref_path = ref_path
    one.size = size
    one.sent = size // 12 + 900 if via == 0 else 420 + size % 400
    one.agent = agent
    one.status = state
    one.method = 3 if via == 0 else 0


@njit(cache=True, nogil=True)
def _expand(
    first: int, last: int, ts: np.ndarray, terminal: np.ndarray, hosts: np.ndarray, before: np.ndarray,
    agents: np.ndarray, via: np.ndarray, odd: np.ndarray, pages: np.ndarray, embeds: np.ndarray, farm: int, many: int,
    status: np.ndarray, sizes: np.ndarray, seed: np.uint64, out: np.ndarray,
) -> int:  # fmt: skip
    at = 0
    for p in range(first, last):
        host, who, agent = hosts[p], terminal[p], agents[terminal[p]]
        dice = mix64(np.uint64(p) ^ np.uint64(0x5BD1E995), seed)
        path = _page_path(p, host, odd[host], pages[host], seed)
        ref_host, ref_path = -1, -1
        b = before[p]
        if b >= 0 and (dice >> np.uint64(50)) & np.uint64(3):  # three in four follow a link
            from_host = hosts[b]
            # A page behind a tunnel or opened TLS gives no referer to plain HTTP.
            if via[from_host] >= 2 or via[host] == 1:
                ref_host, ref_path = from_host, 0
                if from_host == host:
                    ref_path = _page_path(b, from_host, odd[from_host], pages[from_host], seed)
        _line(out, at, ts[p], who, host, path, ref_host, ref_path, agent, via[host], 0, dice, status, sizes)
        at += 1
        when = ts[p] + 60 + np.int64((dice >> np.uint64(32)) & np.uint64(255))
        if via[host]:
            for _ in range((dice >> np.uint64(54)) & np.uint64(3)):
                dice = mix64(dice, seed)
                kind = _RES0 + np.int64(mix64(np.uint64(host) * np.uint64(64) + (dice & np.uint64(15)),
                                              np.uint64(9)) % np.uint64(_RESOURCES))  # fmt: skip
                when += 10 + np.int64((dice >> np.uint64(40)) & np.uint64(127))
                _line(
                    out,
                    at,
                    when,
                    who,
                    host,
                    kind,
                    host,
                    path,
                    agent,
                    via[host],
                    1,
                    dice >> np.uint64(4),
                    status,
                    sizes,
                )
                at += 1
        for e in range(embeds.shape[1]):
            other = embeds[host, e]
            if other == -1:
                continue
            dice = mix64(dice, seed)
            if (dice >> np.uint64(60)) < np.uint64(
                4
            ):  # a quarter is in the browser's cache or came just before
                continue
            if other < -1:
                domain = np.uint64(-2 - other)
                other = farm + np.int64(
                    domain + np.uint64(_FARMS) * ((dice >> np.uint64(20)) % np.uint64(many // _FARMS))
                )
            loads = 1 if via[other] == 0 else 1 + np.int64((dice >> np.uint64(56)) & np.uint64(1))
            for _ in range(loads):
                dice = mix64(dice, seed)
                kind = _RES0 + np.int64(mix64(np.uint64(other) * np.uint64(64) + (dice & np.uint64(31)),
                                              np.uint64(9)) % np.uint64(_RESOURCES))  # fmt: skip
                when += 10 + np.int64((dice >> np.uint64(40)) & np.uint64(255))
                shown = host if via[host] >= 2 or via[other] == 1 else -1
                _line(out, at, when, who, other, kind, shown, 0 if shown >= 0 else -1, agent, via[other], 1,
                      dice >> np.uint64(5), status, sizes)  # fmt: skip
                at += 1
    return at
