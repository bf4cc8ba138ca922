"""Redirect chains: from a page to what it leads to, hop by hop, as lines.

*drive-by*: a compromised legitimate page, one to three automatic hops within seconds, a page that delivers, a program
without anybody having clicked. *social engineering*: an advertisement or a shortened link, a pause, a page that asks
for something, a pause, a click that downloads. *benign*: a short link or an advertisement that leads to a shop, two or
three hops. A hop by status 302 keeps the referer of the page it began at; a hop by script or by a click has the page
before it. Each referer may be missing; behind a tunnel a hop is one CONNECT without path and referer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from . import lines, paths
from . import sites as where
from .browse import Pages
from .people import People
from .scenario import Scenario
from .sites import Sites

DRIVE_BY, SOCIAL, BENIGN = range(3)
CLASSES: Final = ("drive-by", "social-engineering", "benign")
MOST_HOPS: Final = 6


@dataclass(frozen=True)
class Chains:
    """Columns by chain; ``hosts`` (chains, MOST_HOPS), -1 behind the end."""

    terminal: np.ndarray
    ts: np.ndarray
    kind: np.ndarray
    campaign: np.ndarray
    hosts: np.ndarray

    def __len__(self) -> int:
        return len(self.terminal)

    def where(self, mask: np.ndarray) -> Chains:
        return Chains(
            self.terminal[mask], self.ts[mask], self.kind[mask], self.campaign[mask], self.hosts[mask]
        )

    @classmethod
    def join(cls, parts: list[Chains]) -> Chains:
        return cls(
            *(
                np.concatenate([getattr(p, f) for p in parts])
                for f in ("terminal", "ts", "kind", "campaign", "hosts")
            )
        )


def benign(scenario: Scenario, dest: Sites, of: Pages, day: int) -> Chains:
    """One page in 200 is reached over a shortener or an advertiser's counters."""
    rng = scenario.rng("chains", day)
    mine = np.nonzero(rng.random(len(of.ts)) < 0.005)[0]
    n = len(mine)
    hosts = np.full((n, MOST_HOPS), -1, np.int32)
    web, many = dest.ranges[where.WEB]
    short = rng.random(n) < 0.5
    cdn, of_cdn = dest.ranges[where.CDN]
    hosts[:, 0] = np.where(short, dest.ranges[where.SHORTENER][0] + rng.integers(0, 12, n), of.host[mine])
    hosts[:, 1] = cdn + rng.integers(0, of_cdn, n)
    hosts[:, 2] = web + 3 * rng.integers(0, many, n)
    longer = rng.random(n) < 0.3
    hosts[longer, 3] = hosts[longer, 2]
    hosts[longer, 2] = cdn + rng.integers(0, of_cdn, int(longer.sum()))
    shop = rng.random(n) < 0.1  # the shop offers a program
    place = np.where(longer, 4, 3)[shop]
    hosts[np.nonzero(shop)[0], place] = dest.ranges[where.DOWNLOAD][0] + rng.integers(0, 50, int(shop.sum()))
    return Chains(of.terminal[mine], of.ts[mine] + 3000, np.full(n, BENIGN, np.int8), np.full(n, -1), hosts)


@dataclass(frozen=True)
class Hops:
    """Lines of chains, in the order of chain and hop; ``chain`` of each; how many referers are ``missing`` by chain."""

    lines: np.ndarray
    chain: np.ndarray
    missing: np.ndarray


def hops(scenario: Scenario, who: People, dest: Sites, of: Chains, name: str, day: int) -> Hops:
    """The chains as lines. Raises nothing."""
    rng = scenario.rng(f"hops {name}", day)
    chain, hop = np.nonzero(of.hosts >= 0)
    host = of.hosts[chain, hop].astype(np.int64)
    length = (of.hosts >= 0).sum(axis=1)
    kind, last, near = of.kind[chain], hop == length[chain] - 1, hop == length[chain] - 2
    n = len(host)
    shortened = np.isin(dest.kind[of.hosts[chain, 0]], (where.SHORTENER, where.CDN))
    dice = rng.random(n)
    # How a hop was reached: by a script or a click on the page before it, else by its 302.
    by_page = np.select(
        [kind == DRIVE_BY, kind == SOCIAL],
        [(hop == 1) | last | near | (dice < 0.4), last | (near & (dice < 0.4))],
        (hop == 1) & ~shortened | (hop > 1) & (dice < 0.15) | (last & (dest.kind[host] == where.DOWNLOAD)),
    ) & (hop > 0)  # fmt: skip
    slow = by_page & (kind != DRIVE_BY)  # somebody read and clicked
    gap = rng.integers(90, 900, n) + np.where(by_page, rng.integers(50, 1200, n), 0)
    gap[slow] = rng.integers(3000, 45_000, int(slow.sum()))
    gap[hop == 0] = 0
    run = np.cumsum(gap)
    begin = np.cumsum(length) - length
    made = lines.lines(n)
    made["ts"] = of.ts[chain] + run - run[begin][chain]
    made["terminal"], made["host"], made["agent"] = of.terminal[chain], host, who.agent[of.terminal[chain]]
    hashed = (host * 7919 + hop * 104_729 + of.campaign[chain] * 31) & 0x7FFFFFFF
    web = np.where(
        dest.odd[host], paths.ODD[0] + hashed % paths.ODD[1], paths.PAGE[0] + hashed % paths.PAGE[1]
    )
    infects = (kind != BENIGN) & (of.campaign[chain] >= 0)  # who is but exposed gets no program
    payload = last & (infects | (dest.kind[host] == where.DOWNLOAD))
    program = paths.DOWNLOAD[0] + hashed % paths.DOWNLOAD[1] // 4 * 4 + np.where(hashed % 3 == 0, 1, 0)
    made["path"] = np.where(payload, program, web)
    redirects = ~last & ~np.r_[by_page[1:], False]
    made["status"] = np.where(redirects, np.where(rng.random(n) < 0.2, lines.MOVED, lines.FOUND), lines.OK)
    body = np.where(payload, 90_000 + hashed % 4_000_000, 2000 + hashed % 40_000)
    made["size"] = np.where(redirects, 300 + hashed % 300, body)
    # A 302 keeps the referer of the page that led to it.
    source = np.full(n, -1)
    for step in range(1, MOST_HOPS):
        (mine,) = np.nonzero(hop == step)
        source[mine] = np.where(by_page[mine], mine - 1, source[mine - 1])
    told = (source >= 0) & ((dest.via[host[source]] >= 2) | (dest.via[host] == where.OPENED))
    told &= dest.via[host] != where.CONNECT
    shown = told & (rng.random(n) >= scenario.missing_referer)
    made["ref_host"] = np.where(shown, host[source], -1)
    full = (host[source] == host) | (dest.via[host[source]] >= 2) & (rng.random(n) < 0.7)
    full &= dest.via[host[source]] != where.CONNECT
    made["ref_path"] = np.where(shown, np.where(full, made["path"][source], 0), -1)
    lines.finish(made, dest.via, lines.A_PAGE, rng, keep=True)
    made["elapsed"] = np.minimum(
        made["elapsed"], np.where(made["method"] == lines.CONNECT, made["elapsed"], 250)
    )
    return Hops(made, chain, np.bincount(chain[told & ~shown], minlength=len(of)))
