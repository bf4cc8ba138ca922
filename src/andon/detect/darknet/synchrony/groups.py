"""How many independent networks ask for a port: the counts that baselines and surprises are made of.

A hundred addresses of one survey organisation are one decision, a hundred addresses strewn over the Internet are
a hundred. So a port's sources are counted as /24 networks, at most ``PER_16`` of one /16 (or 2 % of the port's,
if more). Not counted as *new* are

- networks from which three or more new sources ask for the port in one span, or two others are known to ask for it
  (an organisation or an address pool that is there already);
- sources that asked one dark address alone, where that address drew a large share of the port's new sources:
  a flood with forged senders or a misconfigured host, not a scan (these are not counted as active either).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from andon.detect.darknet.synchrony.memory import Seen
from andon.detect.darknet.synchrony.summary import Pairs

PER_16 = 4
_SHARE_OF_16 = 0.02
_CROWD = 3
_KNOWN_NEIGHBOURS = 2
_ONE_TARGET_LEAST, _ONE_TARGET_SHARE = 5, 0.3
SWEEP_PORTS = 30  # ports and protocols asked within ten minutes: a survey, whoever it is
SWEEP_EVER = 64  # the same within what is remembered


@dataclass(frozen=True)
class Counted:
    """Counts of a span by unit (ascending), and what they are made of."""

    unit: np.ndarray  # int64
    new: np.ndarray  # int64, networks that are new to the unit
    active: np.ndarray  # int64, networks
    minutes: np.ndarray  # int64 (units, 10): new networks by the minute of their first packet
    pairs: Pairs  # those that were judged
    fresh: np.ndarray  # bool, pairs counted in ``new``
    seen: Seen
    one_target: int  # new sources left out because they all asked one dark address


def sweeping(pairs: Pairs) -> np.ndarray:
    """Which pairs belong to a source that asks for ``SWEEP_PORTS`` units or more in the span."""
    _, place, count = np.unique(pairs.source, return_inverse=True, return_counts=True)
    swept: np.ndarray = count[place] >= SWEEP_PORTS
    return swept


def count(pairs: Pairs, seen: Seen) -> Counted:
    """Count the pairs of a span."""
    units = np.unique(pairs.unit)
    every = np.arange(len(pairs))
    there = _spread(pairs, every[~_one_target(pairs, every)])
    active = np.bincount(np.searchsorted(units, pairs.unit[there]), minlength=len(units))
    new = np.flatnonzero(~seen.pair & (seen.neighbours < _KNOWN_NEIGHBOURS))
    one = _one_target(pairs, new)
    new = new[~one]
    network = _network(pairs, new)
    _, place, crowd = np.unique(network, return_inverse=True, return_counts=True)
    fresh_rows = _spread(pairs, new[crowd[place] < _CROWD])
    at = np.searchsorted(units, pairs.unit[fresh_rows])
    minute = np.minimum(pairs.first[fresh_rows] // 60_000, 9)
    minutes = np.bincount(at * 10 + minute, minlength=10 * len(units)).reshape(-1, 10)
    fresh = np.zeros(len(pairs), np.bool_)
    fresh[fresh_rows] = True
    return Counted(units, minutes.sum(axis=1), active, minutes, pairs, fresh, seen, int(one.sum()))


def _network(pairs: Pairs, rows: np.ndarray) -> np.ndarray:
    """unit << 24 | /24 network of each row."""
    found: np.ndarray = (pairs.unit[rows] << 24) | (pairs.source[rows] >> 8)
    return found


def _spread(pairs: Pairs, rows: np.ndarray) -> np.ndarray:
    """Of each /24 of a unit the row that came first, and no more of one /16 than the module text says."""
    order = rows[np.lexsort((pairs.source[rows], pairs.first[rows], _network(pairs, rows)))]
    network = _network(pairs, order)
    order = order[np.r_[True, network[1:] != network[:-1]]] if len(order) else order
    wide = _network(pairs, order) >> 8
    _, begin, count = np.unique(wide, return_index=True, return_counts=True)
    rank = np.arange(len(order)) - np.repeat(begin, count)
    units, of_unit = np.unique(pairs.unit[order], return_inverse=True)
    most = np.maximum(PER_16, np.bincount(of_unit, minlength=len(units)) * _SHARE_OF_16)
    kept: np.ndarray = order[rank < most[of_unit]]
    return kept


def _one_target(pairs: Pairs, rows: np.ndarray) -> np.ndarray:
    """Which of the rows asked one dark address alone, the same as many others of their unit."""
    target = pairs.target[rows]
    single = target >= 0
    found = np.zeros(len(rows), np.bool_)
    if not single.any():
        return found
    _, of_unit = np.unique(pairs.unit[rows], return_inverse=True)
    total = np.bincount(of_unit)
    aimed = (pairs.unit[rows][single] << 32) | target[single]
    _, place, number = np.unique(aimed, return_inverse=True, return_counts=True)
    number = number[place]
    found[single] = number > np.maximum(_ONE_TARGET_LEAST, _ONE_TARGET_SHARE * total[of_unit[single]])
    return found


def networks_of(sources: np.ndarray) -> int:
    """Networks of the sources (int64) of one unit, counted as the module text says."""
    network, crowd = np.unique(sources >> 8, return_counts=True)
    _, count = np.unique(network[crowd < _CROWD] >> 8, return_counts=True)
    return int(np.minimum(count, max(PER_16, int(count.sum() * _SHARE_OF_16))).sum())


def distinct(sources: np.ndarray) -> int:
    """/24 networks of the sources (int64), at most as many of a /16 as the module text says."""
    _, count = np.unique(np.unique(sources >> 8) >> 8, return_counts=True)
    return int(np.minimum(count, max(PER_16, int(count.sum() * _SHARE_OF_16))).sum())
