"""Stops by those who are gone: of the sources that came to a port for hours, how many still come?

The number of active networks sways with the hour and with passers-by, and a botnet of two hundred that falls silent
is lost in a thousand of these. Whoever first came four hours ago or more and was there in the last three hours is a
*regular*; the part of a port's regulars that come again within an hour sways little, for passers-by are none. At the
end of each hour it is compared with that of the hours before (discounted by 0.85 an hour) and with what all ports
together did. Of thousands of regulars far fewer come again by chance than by the moods of a port: where there are many
busy ports, how far they all sway is measured anew each hour. Candidates are counted again by /24 networks, so that an
organisation that goes is no stop.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from andon.detect.darknet.synchrony.groups import distinct
from andon.detect.darknet.synchrony.kernel import UNIT_BITS, UNIT_MASK
from andon.detect.darknet.synchrony.memory import Memory
from andon.detect.darknet.synchrony.reference import Reference, common_ratio

_OLD, _LATELY = 24, 18  # spans before the hour: first seen before, last seen since
_KEEP = 0.85
_SHARE, _WEIGHT = 0.3, 2.0  # of regulars that come again, before anything is known, and its weight
_LEAST = 6.0  # regulars expected again
_LEFT = 0.85  # a stop leaves less than this of them
_NORMAL = (0.5, 2.0)
_PHI_FIRST, _PHI_LEAST, _PHI_MOST, _OWN = 0.0009, 0.0004, 0.1, 12.0
_STRETCH = 1.5
_BUSY, _MANY = 100.0, 8  # regulars expected again at a busy port, and busy ports that say how far ports sway
_CANDIDATE = 1e-4


@dataclass(frozen=True)
class Again:
    """Of the units of a reference: regulars that came again, how many should have, and the chance of so few."""

    came: np.ndarray
    due: np.ndarray
    tail: np.ndarray


def _swaying(came: np.ndarray, due: np.ndarray, by_chance: np.ndarray) -> float:
    """phi of this hour by how far busy ports are from their means, whichever way: half of them sway by more. It needs
    no memory, and one port that falls silent does not move it."""
    busy = due >= _BUSY
    if int(busy.sum()) < _MANY:
        return 0.0
    off = np.abs(came[busy] - due[busy]) / due[busy]
    chance = by_chance[busy] / due[busy]
    return max(float((1.4826 * np.median(off)) ** 2 - np.median(chance)), 0.0)


def again(ref: Reference, span: int, memory: Memory, trusted: np.ndarray, least_silent: int) -> Again:
    """At the end of the hour of ``span``: judge, then learn (phi of ``trusted`` units only)."""
    from scipy.special import ndtr

    begin = span // 6 * 6
    regular = (memory.first < max(begin - _OLD, 0)) & (memory.last >= max(begin - _LATELY, 0))
    key = memory.key[regular]
    unit = (key & np.uint64(UNIT_MASK)).astype(np.int64)
    here = memory.last[regular] >= begin
    number = np.bincount(unit, minlength=UNIT_MASK + 1)[ref.unit].astype(np.float64)
    came = np.bincount(unit[here], minlength=UNIT_MASK + 1)[ref.unit].astype(np.float64)
    stay = ref.stay.astype(np.float64)
    share = (stay[:, 0] + _WEIGHT * _SHARE) / (stay[:, 1] + _WEIGHT)
    common, _ = common_ratio(came, number * share)
    due, tail = number * share * (common if np.isfinite(common) else 1.0), np.ones(len(came))
    prior = _OWN * np.maximum(due, 1.0) ** 2
    phi = np.clip((prior * _PHI_FIRST + stay[:, 2]) / (prior + stay[:, 3]), _PHI_LEAST, _PHI_MOST)
    by_chance = np.maximum(1 - share, 0.05) * (
        1 + number / (stay[:, 1] + 5)
    )  # of the counts and of the share
    phi = np.maximum(phi, _swaying(came, due, by_chance))
    spread = np.sqrt(due * by_chance + phi * due**2)
    of_networks = np.stack([came, due])
    if np.isfinite(common) and _NORMAL[0] <= common <= _NORMAL[1]:
        rows = np.flatnonzero((due >= _LEAST) & (came < _LEFT * due))
        tail[rows] = ndtr((came[rows] - due[rows]) / spread[rows])
        for i in rows[tail[rows] < _CANDIDATE].tolist():
            mine = unit == ref.unit[i]
            source = (key[mine] >> np.uint64(UNIT_BITS)).astype(np.int64)
            every, still = distinct(source), distinct(source[here[mine]])
            should = every * due[i] / number[i]
            width = np.sqrt(should * by_chance[i] + phi[i] * should**2)
            gone = distinct(source[~here[mine]])
            tail[i] = ndtr((still - should) / width) if should >= _LEAST and gone >= least_silent else 1.0
            of_networks[0, i], of_networks[1, i] = still, should
        learnt = np.flatnonzero(trusted & (due >= 1.0))
        most = _STRETCH * spread[learnt] + 1
        miss = np.clip(came[learnt] - due[learnt], -most, most) ** 2 - due[learnt] * by_chance[learnt]
        keep = 1 - 1 / 96
        stay[learnt, 2] = stay[learnt, 2] * keep + miss
        stay[learnt, 3] = stay[learnt, 3] * keep + due[learnt] ** 2
    stay[:, 0], stay[:, 1] = _KEEP * stay[:, 0] + came, _KEEP * stay[:, 1] + number
    ref.stay = stay.astype(np.float32)
    return Again(of_networks[0], of_networks[1], tail)
