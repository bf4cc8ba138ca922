"""The sources of one header class taken apart: rounds of fitting, splitting, adding and dropping groups."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from andon.detect.darknet.campaigns.mixture import (
    Background,
    Class,
    Group,
    assign,
    fit,
    merged,
    seeds,
    standing,
)
from andon.detect.darknet.campaigns.split import split

_ROUNDS = 4
MOST_GROUPS = 24  # of a class
_FIT_ON = 20_000  # sources that a class is fitted on


def separate(
    members: Class, background: Background, starts: Sequence[Group], least: int
) -> tuple[np.ndarray, list[Group]]:
    """(group of each source, -1 for the background; the groups). ``starts`` are continued if they are still there;
    ``least``: sources of a new group."""
    part = members.order[:_FIT_ON]
    some = Class(members.codes, members.ports[part], members.label[part], members.block[part], part)
    groups = list(starts[:MOST_GROUPS])
    fit(some, background, groups)
    for _ in range(_ROUNDS):
        groups = standing(some, background, merged(groups), least)
        fresh = seeds(some, background, groups, least)[: MOST_GROUPS - len(groups)]
        of = assign(some, background, groups)
        parts = [split(some, background, group, of == k, least) for k, group in enumerate(groups)]
        halves = sum(len(p) for p in parts) - len(groups)
        if not fresh and not halves:
            break
        groups = [group for p in parts for group in p] + fresh
        fit(some, background, groups)
    groups = standing(some, background, merged(groups), least)
    return assign(members, background, groups), groups
