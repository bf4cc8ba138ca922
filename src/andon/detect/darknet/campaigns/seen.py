"""Whether what the fit says of a group can be seen in plain counts.

Groups of one header class trade sources from day to day: a fit that draws the line between two of them elsewhere makes
one grow, change its ports or vanish. So an event is told only if the numbers of sources by header and port (or in the
/24), which no fit has touched, say so as well: by half of what it claims. In the same way a campaign goes on only
while there is more in its cells than was usual before it came: the few who ask for that port on any day are not it.

Where only a sample of the sources was kept, and for long lists of ports outside one /24, counts say nothing and the fit
is believed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from andon.detect.darknet.campaigns.changes import usual_size
from andon.detect.darknet.campaigns.memory import Campaign, Mix
from andon.detect.darknet.campaigns.mixture import deviance
from andon.detect.darknet.campaigns.units import Unit
from andon.detect.darknet.campaigns.usual import Today, Usual

_HALF = 0.5
_REMNANT = 0.25
_HEAVY, _NARROW = 0.1, 0.7
_CLEAR = 8.0  # Poisson deviance

Counts = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def goes_on(campaign: Campaign, unit: Unit, today: Today | None, share: float) -> bool:
    """Whether the cells of a unit hold more than was usual before the campaign came, by half of the unit. ``share`` of
    the day was observed. What was usual before the first day is not known: there a unit of a quarter of the usual
    size does not go on with a campaign whose cells lost half of its sources."""
    if not len(unit.keys):
        return True
    if campaign.from_start:
        size = min(float(campaign.size), usual_size(campaign))
        return unit.size >= _REMNANT * size or not is_gone(campaign, today, share)
    usual = _base(campaign, unit)[1] * share
    return bool((unit.seen - usual).sum() >= _HALF * unit.own.sum())


def is_gone(campaign: Campaign, today: Today | None, share: float) -> bool:
    """Whether the cells of a campaign that no unit continues have lost half of its sources."""
    if today is None or campaign.seen < 0:
        return True
    before, now = campaign.seen * share, float(today.of(campaign.base[0]).sum())
    return before - now >= _HALF * campaign.own * share and float(deviance(before, now + 0.5)) >= _CLEAR


def is_narrow(campaign: Campaign, unit: Unit) -> bool:
    """Whether a group asks for few ports, before and now: what asks for many is told apart anew each day."""
    return min(float(mix[1][mix[1] >= _HEAVY].sum()) for mix in (campaign.ports, unit.ports)) >= _NARROW


def has_grown(campaign: Campaign, unit: Unit, share: float) -> bool:
    """Whether the cells of a unit hold more than usual, by half of what it has more."""
    if not len(unit.keys):
        return campaign.acted
    more = float((unit.seen - unit.usual * share).sum())
    claimed = (unit.size - usual_size(campaign)) * float(unit.own.sum()) / max(unit.size, 1)
    return bool(more >= _HALF * claimed)


def counts(today: Today | None, usual: Usual, share: float, one_in: int) -> Counts | None:
    """(sources today, usual ones) by cells, for ``changes.ports``; None where counts say nothing."""
    if today is None or one_in > 1:
        return None

    def of(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return today.of(cells).astype(float), usual.of(cells) * share

    return of


def after(campaign: Campaign, unit: Unit) -> tuple[Mix, int, int]:
    """(cells and what was usual there before the campaign, sources there today, its own) to remember."""
    return _base(campaign, unit), int(unit.seen.sum()) if len(unit.keys) else -1, int(unit.own.sum())


def _base(campaign: Campaign, unit: Unit) -> Mix:
    """Of cells that the campaign had before, what was remembered; of those new to it, what is usual."""
    cells, means = campaign.base
    usual = unit.usual.copy()
    if len(cells):
        at = np.minimum(np.searchsorted(cells, unit.keys), len(cells) - 1)
        same = cells[at] == unit.keys
        usual[same] = means[at[same]]
    return unit.keys, usual
