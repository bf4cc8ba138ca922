"""What has to change so that an enforcer holds what is wanted and nothing else. Pure.

Compared is what is wanted now with what the enforcer says is really there (``Enforcer.actual``): not with what it was
told. So it does not matter how a difference came about: a kill between two steps, a switch that restarted, rules that
were flushed or changed by hand.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Differences:
    """Ids of intents. ``right``: held as they were applied. ``missing``: wanted and not there at all. ``changed``:
    there with other rules than were acknowledged. ``unproven``: there, but nobody knows what was acknowledged (a kill
    between the acknowledgement and the record). ``stray``: there and nobody's."""

    right: frozenset[int]
    missing: frozenset[int]
    changed: frozenset[int]
    unproven: frozenset[int]
    stray: frozenset[int]

    @property
    def to_apply(self) -> frozenset[int]:
        return self.missing | self.changed | self.unproven


def differences(
    wanted: Collection[int], receipts: Mapping[int, str], actual: Mapping[int, str]
) -> Differences:
    """``receipts``: digest of each intent as it was acknowledged, ``actual``: as it is there.

    >>> found = differences({1, 2, 3}, {1: "a", 2: "b"}, {1: "a", 2: "x", 9: "y"})
    >>> sorted(found.right), sorted(found.to_apply), sorted(found.stray)
    ([1], [2, 3], [9])
    """
    want, there = frozenset(wanted), frozenset(actual)
    held = want & there
    known = {name for name in held if name in receipts}
    right = frozenset(name for name in known if receipts[name] == actual[name])
    return Differences(right, want - there, frozenset(known) - right, held - known, there - want)
