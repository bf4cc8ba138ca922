"""The birth alarm: a set of ports that was not there for 60 days, with more networks than chance and the past allow.

A candidate (exact set, pair of ports, single port) is tested against the larger of two expectations: what independent
scanners would give (``chance``), and what was met of it in the last 60 days; its number of /24 networks is compared
with a Poisson law, and the false discovery rate over all sets that might have been met is held (Benjamini and
Hochberg). A birth is a family with a candidate that passes and that no known family holds, or a single port.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from andon.detect.darknet.portsets.candidates import SINGLE, Candidates
from andon.detect.darknet.portsets.carry import KEPT, Remembered
from andon.detect.darknet.portsets.chance import discoveries, log_tail

_LEAST = 5  # networks of a set of several ports
_LEAST_SINGLE = 20  # networks of a single port: surges of one port are common
_TIMES, _TIMES_SINGLE = 3, 10  # as many as ever in 60 days


@dataclass(frozen=True)
class Birth:
    """``family``: place among the families of the span, -1 for a single port. ``codes`` of the family or the port;
    ``evidence``: the candidate that passed, with its /24 ``networks``, the number ``expected`` and the log of the
    chance ``log_p``, and the ``most`` networks it had in a span of the last 60 days; ``new``: ports that ``relative``,
    the known family most like it, does not have."""

    family: int
    codes: tuple[int, ...]
    new: tuple[int, ...]
    evidence: tuple[int, ...]
    networks: int
    expected: float
    log_p: float
    most: int
    relative: tuple[int, ...]


def births(
    found: Candidates, sets: Sequence[tuple[int, ...]], before: Remembered, start: int, level: float
) -> tuple[list[Birth], float]:
    """The births of a span, most surprising first, and the number of sets that were tested.

    ``sets`` of the families of the span; ``level``: expected share of births that are chance."""
    known = [set(one.codes) for one in before.families if one.last > start - KEPT]
    most = before.most(found.keys)
    # What was never met in n spans comes less than 3 times in n, at 95 %.
    past = np.where(most > 0, most + 2 * np.sqrt(most), 3.0 / max(1, before.spans))
    expected = np.maximum(found.expected, past)
    log_p = log_tail(found.networks, expected)
    least = np.where(found.kind == SINGLE, _LEAST_SINGLE, _LEAST)
    times = np.where(found.kind == SINGLE, _TIMES_SINGLE, _TIMES)
    passed = discoveries(log_p, found.tests, level) & (found.networks >= np.maximum(least, times * most))
    made: dict[tuple[int, ...], Birth] = {}
    for i in np.argsort(log_p, kind="stable").tolist():
        if not passed[i]:
            continue
        codes = set(found.sets[i])
        if any(codes <= old for old in known):
            continue
        family = next((k for k, one in enumerate(sets) if codes <= set(one)), -1)
        if family < 0 and len(codes) > 1:
            continue
        whole = sets[family] if family >= 0 else found.sets[i]
        if whole in made or any(set(whole) <= old for old in known):
            continue
        relative = max(
            (tuple(sorted(old)) for old in known), key=lambda old: (_like(old, whole), old), default=()
        )
        if not set(relative) & set(whole):
            relative = ()
        made[whole] = Birth(
            family,
            whole,
            tuple(sorted(set(whole) - set(relative))),
            found.sets[i],
            int(found.networks[i]),
            float(expected[i]),
            float(log_p[i]),
            int(most[i]),
            relative,
        )
    several = {code for one in made.values() if one.family >= 0 for code in one.codes}
    return [one for one in made.values() if one.family >= 0 or one.codes[0] not in several], found.tests


def _like(a: Sequence[int], b: Sequence[int]) -> float:
    """Jaccard's coefficient of two sets."""
    return len(set(a) & set(b)) / len(set(a) | set(b))
