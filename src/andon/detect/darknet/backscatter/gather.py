"""One record per victim from its episodes, answers and sampled pairs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

import numpy as np

from andon.detect.darknet.backscatter import classes
from andon.detect.darknet.backscatter.episodes import MOST_COUNTED, Episodes
from andon.detect.darknet.backscatter.rates import Hits, Rate, counting_error, global_rate
from andon.detect.darknet.backscatter.victims import Answers

_ENOUGH = 30  # sampled pairs of a victim from which on their number is an estimate
_TCP = (classes.SYN_ACK, classes.RST, classes.RST_ACK)


@dataclass(frozen=True)
class Victim:
    """One attacked address with its episodes (rows of one source)."""

    address: int
    episodes: Episodes
    flavours: np.ndarray  # int64[10]: packets by flavour, of the whole span
    nature: str
    ports: list[tuple[int, int]]  # (its own port, packets), most first
    rates: tuple[Rate | None, ...]  # one per episode
    addresses: int  # distinct dark addresses, estimate
    at_least: bool  # more than can be told apart

    @property
    def packets(self) -> int:
        return int(self.episodes.packets.sum())

    @property
    def peak_rate(self) -> Rate | None:
        rates = [rate for rate in self.rates if rate is not None]
        return max(rates, key=lambda rate: rate.value) if rates else None


def gather(
    episodes: Episodes, answers: Answers, pairs: dict[str, np.ndarray], scale: int, dark: int
) -> list[Victim]:
    """Victims, most packets first. ``episodes`` stand by source and time; 1 in ``scale`` pairs was kept."""
    changes = np.flatnonzero(episodes.source[1:] != episodes.source[:-1]) + 1
    edges = [0, *changes.tolist(), len(episodes)] if len(episodes) else []
    flavours = answers.of(episodes.source)
    pair_sources = np.sort(pairs["src"])
    found = []
    for first, end in pairwise(edges):
        mine = episodes.only(np.arange(first, end))
        low, high = (np.searchsorted(pair_sources, mine.source[0], side=side) for side in ("left", "right"))
        found.append(_victim(mine, flavours[first], answers, (int(high - low), scale), dark))
    return sorted(found, key=lambda victim: (-victim.packets, victim.address))


def _victim(
    mine: Episodes, flavours: np.ndarray, answers: Answers, sample: tuple[int, int], dark: int
) -> Victim:
    total = int(mine.packets.sum())
    hit, full = _together(mine.addresses, dark), bool(mine.addresses.max() >= MOST_COUNTED)
    if full and sample[0] >= _ENOUGH:  # the masks are full, but the sample of pairs tells
        hit, full = max(hit, float(sample[0] * sample[1])), False
    repeated = bool(flavours[classes.SYN_ACK] * 20 > total)
    one = sample if len(mine) == 1 else None
    rates = []
    for n in range(len(mine)):
        packets = int(mine.packets[n])
        hits = _hits(packets, float(mine.addresses[n]), repeated, one)
        rates.append(global_rate(packets, hits, int(mine.last[n] - mine.first[n]), dark))
    tcp = flavours[list(_TCP)].sum() >= flavours[classes.UDP_ANSWER]
    return Victim(
        address=int(mine.source[0]),
        episodes=mine,
        flavours=flavours,
        nature=nature(flavours),
        ports=answers.ports(mine.source[:1], _TCP if tcp else (classes.UDP_ANSWER,)),
        rates=tuple(rates),
        addresses=round(min(hit, total)),
        at_least=full,
    )


def _hits(packets: int, counted: float, repeated: bool, sample: tuple[int, int] | None) -> Hits | None:
    """Forged packets behind one attack: its answers if nothing is repeated, else its distinct dark addresses,
    counted or from (pairs in the sample, scale) if that holds enough of just this attack."""
    if not repeated:
        return Hits(packets)
    if counted < MOST_COUNTED:
        return Hits(counted, counting_error(counted))
    if sample is None or sample[0] < _ENOUGH:
        return None
    number, scale = sample
    return Hits(number * scale, sqrt((1 - 1 / scale) / number))


def _together(addresses: np.ndarray, dark: int) -> float:
    """Distinct addresses hit by several attacks that each hit so many of ``dark`` at random."""
    if dark <= 0:
        return float(addresses.sum())
    return float(dark * (1.0 - np.prod(1.0 - np.minimum(addresses / dark, 1.0))))


def nature(flavours: np.ndarray) -> str:
    """What kind of flood causes answers of these flavours (packets by flavour).

    >>> nature(np.array([0, 90, 0, 10, 0, 0, 0, 0, 0, 0]))
    'SYN flood'
    """
    syn_ack, rst, rst_ack, icmp, closed, error, udp, fragment = (int(n) for n in flavours[1:9])
    tcp = syn_ack + rst + rst_ack
    groups = {"tcp": tcp, "udp": udp + closed + fragment, "icmp": icmp, "error": error}
    most = max(groups, key=lambda name: groups[name])
    if most == "tcp":
        return "SYN flood" if syn_ack else "TCP flood on closed ports or without SYN"
    return {"udp": "UDP flood", "icmp": "ICMP echo flood", "error": "flood of unknown protocol"}[most]
