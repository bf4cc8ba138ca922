"""From factors to groups of hosts, and from groups to ports (Dark-NMF's rules; settings in ``setting``).

A component of a factorisation is a group. Its row of H times the sum of its column of W is the number of packets it
gives to each host. A host is active in it from one packet on, and anomalous if active and at ``Rule.peak`` of the
group's largest host or above; a group with two such hosts is anomalous. A port is told of an anomalous group if
``Rule.share`` of its hosts, and two at least, asked for it; the hosts asked are the anomalous ones (mode 1) or all
active ones (mode 0).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from andon.detect.darknet.nmf.factorise import Factors
from andon.sketch.factors.surprise import concentration
from andon.sketch.factors.traffic import Pairs, asked


@dataclass(frozen=True)
class Rule:
    """``peak``, ``share``: parts of one; ``least``: hosts; ``mode``: see the module text."""

    peak: float = 0.5
    share: float = 0.3
    least: int = 2
    mode: int = 1


@dataclass(frozen=True)
class Group:
    """Component ``number`` of the factorisation into ``rank``; ``hosts`` (bool) are those whose ports are asked for,
    ``anomalous`` those at the peak; ``minutes`` (bool) where its course is at half its height or above."""

    rank: int
    number: int
    hosts: np.ndarray
    anomalous: np.ndarray
    minutes: np.ndarray


def groups(factors: Factors, of: np.ndarray, rule: Rule) -> list[Group]:
    """The anomalous groups of a factorisation; ``of`` as in ``factorise.Matrix``."""
    packets = factors.h * factors.w.sum(axis=0)[:, None]
    made = []
    for number in range(len(packets)):
        mine = packets[number]
        active = mine >= 1.0
        anomalous = (active & (mine >= rule.peak * mine.max(initial=0.0)))[of]
        if int(anomalous.sum()) < rule.least:
            continue
        course = factors.w[:, number]
        made.append(
            Group(
                rank=factors.w.shape[1],
                number=number,
                hosts=anomalous if rule.mode == 1 else active[of],
                anomalous=anomalous,
                minutes=course >= 0.5 * course.max(),
            )
        )
    return made


@dataclass(frozen=True)
class Told:
    """One port of ``pairs.ports`` over all groups. ``groups``: those that tell it, or, of a port below the threshold,
    the one with the highest score. ``percent``: of their hosts that asked for it, one for each of them."""

    port: int  # index into pairs.ports
    alerted: bool
    groups: tuple[int, ...]
    percent: tuple[float, ...]
    best: int  # the group with the highest score
    score: float  # of concentration
    shared: int  # ports told of the best group


def ports(
    found: list[Group],
    pairs: Pairs,
    hosts: np.ndarray,
    everywhere: np.ndarray,
    rule: Rule,
    floor: float = 0.1,
) -> list[Told]:
    """Ports told of groups, merged over the groups, and those with at least ``floor`` of a group's hosts.

    ``hosts``: the columns of V, ascending; ``everywhere``: of each port the share of all hosts, for the score."""
    if not found or not len(pairs.host_at):
        return []
    members = np.stack([group.hosts for group in found], axis=1)
    hits = asked(pairs, hosts, members)
    size = members.sum(axis=0, dtype=np.int64)
    port, group = np.nonzero((hits >= rule.least) & (hits >= floor * size))
    if not len(port):
        return []
    k, n = hits[port, group], size[group]
    score = concentration(k, n, everywhere[port])
    alerted = k >= rule.share * n
    shared = np.bincount(group[alerted], minlength=len(found))
    made = []
    starts = np.flatnonzero(np.r_[True, port[1:] != port[:-1]])
    for a, b in zip(starts.tolist(), np.r_[starts[1:], len(port)].tolist(), strict=True):
        rows = np.arange(a, b)
        told = rows[alerted[a:b]]
        named = told if len(told) else rows[[int(np.argmax(score[a:b]))]]
        made.append(
            Told(
                port=int(port[a]),
                alerted=len(told) > 0,
                groups=tuple(group[named].tolist()),
                percent=tuple((100.0 * k[named] / n[named]).tolist()),
                best=int(group[named[int(np.argmax(score[named]))]]),
                score=float(score[named].max()),
                shared=max(int(shared[group[named[int(np.argmax(score[named]))]]]), 1),
            )
        )
    return made
