"""Background noise: ordinary hosts of several operating systems, misconfigured or curious, that no family owns.

Packets per source are heavy-tailed (log-normal, sigma 1.6), ports follow Zipf's law over a list that starts with
the ports that telescopes see most. The shares of protocols and stacks are assumptions, written below.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from . import session as s
from .apportion import SECOND, apportion
from .builder import CONTAMINATED, Builder, Group, calm_retries, fill
from .session import SESSION
from .tools import STACKS, TOOLS

TCP_PORTS: Final = (
    445, 23, 22, 80, 3389, 443, 8080, 1433, 5555, 6379, 2323, 81, 8443, 3306, 5900, 21, 25, 8081, 8888, 5432, 110,
    139, 135, 8000, 8728, 2222, 9200, 5038, 7547, 37215, 27017, 1723, 5060, 993, 995, 143, 111, 88, 82, 8090, 9000,
    2375, 49152,
)  # fmt: skip
UDP_PORTS: Final = (
    53,
    123,
    161,
    1900,
    5060,
    11211,
    389,
    137,
    69,
    111,
    500,
    3702,
    5353,
    5683,
    1434,
    3283,
    19,
    4500,
)
ORDINARY: Final = "ordinary"  # the family of foreign packets
SPREAD: Final = 1.6
MOST_SOURCES: Final = 500_000  # unless the configuration says otherwise: memory grows with sources
UDP_SHARE, ECHO_SHARE, ONE_TARGET_SHARE = 0.16, 0.06, 0.12
BRIEF_SHARE, BRIEF_SECONDS = 0.55, 400.0


def _zipf(
    ports: tuple[int, ...], size: int, exponent: float, tail: int, rng: np.random.Generator
) -> np.ndarray:
    """``size`` draws of a port; ``tail`` more ports are taken at random behind the listed ones."""
    others = np.setdiff1d(np.arange(1, 65536), ports)
    ranked = np.concatenate([np.array(ports), rng.choice(others, tail, replace=False)]).astype(np.uint16)
    share = 1.0 / np.arange(1, len(ranked) + 1) ** exponent
    return rng.choice(ranked, size, p=share / share.sum())


def _ordinary(b: Builder, rows: np.ndarray, rng: np.random.Generator, tcp_only: bool) -> np.ndarray:
    """Header behaviour, ports and targets of ordinary hosts; returns the number of each row's stack."""
    n = len(rows)
    names = list(STACKS)
    stack = rng.choice(len(names), n, p=np.array(list(STACKS.values())) / sum(STACKS.values()))
    for i, name in enumerate(names):
        mine = np.flatnonzero(stack == i)
        part = rows[mine]
        fill(part, TOOLS[name], rng)
        for column in part.dtype.names or ():
            if column not in ("src", "truth", "start", "end", "n"):
                rows[column][mine] = part[column]
    tcp = b.pool.add(_zipf(TCP_PORTS, 1 << 16, 1.1, 4000, rng))
    udp = b.pool.add(_zipf(UDP_PORTS, 1 << 14, 0.9, 3000, rng))
    several = np.minimum(rng.geometric(0.6, n), 12)
    rows["ports_off"] = tcp[0] + rng.integers(0, tcp[1] - 12, n)
    rows["ports_len"] = several
    rows["dst_off"], rows["dst_len"] = 0, b.space.size
    if not tcp_only:
        draw = rng.random(n)
        is_udp = draw < UDP_SHARE
        rows["kind"][is_udp] = s.UDP
        rows["ports_off"][is_udp] = udp[0] + rng.integers(0, udp[1] - 12, int(is_udp.sum()))
        is_echo = (draw >= UDP_SHARE) & (draw < UDP_SHARE + ECHO_SHARE)
        rows["kind"][is_echo] = s.ECHO
        rows["icmp_type"][is_echo] = 8
        for name in ("flags", "window", "options", "retries"):
            rows[name][is_udp | is_echo] = 0
        one = rng.random(n) < ONE_TARGET_SHARE
        rows["dst_off"][one] = rng.integers(0, b.space.size, int(one.sum()))
        rows["dst_len"][one] = 1
    return stack


def _groups(family: str) -> list[Group]:
    return [Group(family, "noise", "none", "", "", stack) for stack in STACKS]


def add_noise(b: Builder, packets: int) -> None:
    """Lay out ``packets`` packets of background noise."""
    if packets <= 0:
        return
    rng = b.rng("background noise")
    begin, end = b.config.start_ns, b.config.end_ns
    n = min(packets, b.config.noise_sources or min(max(1, packets // 36), MOST_SOURCES))
    rows = np.zeros(n, SESSION)
    rows["src"] = b.sources.draw(n)
    rows["n"] = 1 + apportion(np.exp(rng.normal(0, SPREAD, n)), packets - n, rng)
    rows["start"], rows["end"] = begin, end
    brief = np.flatnonzero((rng.random(n) < BRIEF_SHARE) & (rows["n"] < 500))
    lasts = (rng.exponential(BRIEF_SECONDS, len(brief)) + 5) * SECOND
    rows["start"][brief] = begin + (rng.random(len(brief)) * np.maximum(end - begin - lasts, 1)).astype(
        np.int64
    )
    rows["end"][brief] = np.minimum(rows["start"][brief] + lasts.astype(np.int64), end)
    stacks = _ordinary(b, rows, rng, tcp_only=False)
    rows["truth"] = b.truth.add(rows["src"], _groups("noise"), stacks, np.ones(n))
    calm_retries(rows)
    b.chunks.append(rows)


def add_contamination(b: Builder, packets: int) -> None:
    """Ordinary hosts behind scanning addresses: ``packets`` in all, in proportion to what each address scans."""
    if packets <= 0:
        return
    rng = b.rng("foreign packets")
    sessions = np.concatenate(b.chunks)
    scanning = np.isin(b.truth.kinds(), CONTAMINATED)[sessions["truth"]]
    sessions = sessions[scanning]
    sources, place = np.unique(sessions["src"], return_inverse=True)
    own = np.bincount(place, sessions["n"])
    start = np.full(len(sources), b.config.end_ns)
    end = np.zeros(len(sources), np.int64)
    np.minimum.at(start, place, sessions["start"])
    np.maximum.at(end, place, sessions["end"])
    counts = apportion(own, packets, rng)
    kept = counts > 0
    rows = np.zeros(int(kept.sum()), SESSION)
    rows["src"], rows["n"], rows["start"], rows["end"] = sources[kept], counts[kept], start[kept], end[kept]
    stacks = _ordinary(b, rows, rng, tcp_only=True)
    rows["truth"] = b.truth.add(rows["src"], _groups(ORDINARY), stacks, np.ones(len(rows)))
    calm_retries(rows)
    b.chunks.append(rows)
