"""What happened to a campaign on a day: the rules, one function each. All thresholds of time are observed days."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from andon.detect.darknet.campaigns.memory import Campaign, Mix
from andon.detect.darknet.campaigns.mixture import deviance
from andon.detect.darknet.campaigns.profile import FREE, header_of, window_of, words
from andon.detect.darknet.campaigns.units import OTHERS, Unit
from andon.detect.darknet.campaigns.usual import header_cells

BIRTH, FIRST, GROWTH, PAUSE, RESUME, PORTS, FINGERPRINT, DEATH = (
    "birth", "first-day", "growth", "pause", "resume", "ports", "fingerprint", "death",
)  # fmt: skip
FORGET = 30  # days after which a quiet campaign cannot come back under its name
_GROWTH, _LEAST_MORE, _GROWTH_DEVIANCE = 2.0, 10, 12.0
_STEADY_GROWTH, _STEADY_SIGMAS, _STEADY_DAYS, _LEAST_SWAY = 1.5, 6.0, 5, 0.08
_PORTS_MOVED = 0.25  # total variation distance
_ONE_PORT, _SIGMAS, _SWAYS = 0.1, 4.0, 3.0
_IN_COUNTS = 0.5  # of what a moved port claims, to be seen in the day's counts


@dataclass(frozen=True)
class Event:
    """``kind`` is one of the words above; ``text`` says it in a sentence."""

    kind: str
    text: str


def is_expected(campaign: Campaign) -> bool:
    """Whether it was to be expected again: seen on two days at least, and lately on half of the days or more."""
    days = campaign.ring[campaign.ring[:, 0] > 0][-7:, 0]
    return len(days) >= 2 and 2 * len(days) >= days[-1] - days[0] + 1


def distance(a: Mix, b: Mix) -> float:
    """Total variation distance of two mixes, 0 to 1."""
    codes = np.union1d(a[0], b[0])
    return 0.5 * float(np.abs(_on(codes, a) - _on(codes, b)).sum())


def pause_after(campaign: Campaign) -> int:
    """Quiet days from which on a pause is told: at once, or half as long again as the longest one it came back from."""
    return 1 if campaign.longest == 0 else campaign.longest * 3 // 2 + 1


def death_after(campaign: Campaign, days: int) -> int:
    """Quiet days after which it is called dead: ``days``, or three times its longest pause, at most thirty."""
    return min(max(days, 3 * campaign.longest), FORGET)


def usual_size(campaign: Campaign) -> float:
    """Median of the sources of the last seven active days; 0 if there was none."""
    past = campaign.recent(7)
    return float(np.median(past[:, 1])) if len(past) else 0.0


def growth(campaign: Campaign, sources: int, each: int) -> Event | None:
    """Twice the sources of the median of the last seven active days, or as many that each send twice as much as on any
    of at least three. ``each``: median packets of a source, which one loud sender does not move."""
    past = campaign.recent(7)
    if not len(past):
        return None
    usual = usual_size(campaign)
    more = sources >= _GROWTH * max(usual, 1.0, campaign.level) and sources >= usual + _LEAST_MORE
    # One that hardly sways: less than twice is enough.
    sways = max(1.4826 * float(np.median(np.abs(past[:, 1] - usual))), _LEAST_SWAY * usual, usual**0.5)
    steady = len(past) >= _STEADY_DAYS and sources >= _STEADY_GROWTH * max(usual, campaign.level)
    more |= steady and sources - usual >= _STEADY_SIGMAS * sways
    if more and sources >= usual + _LEAST_MORE and deviance(sources, usual) >= _GROWTH_DEVIANCE:
        second = " (growth, or a second one of the same kind beside it)" if len(past) >= 3 else ""
        return Event(
            GROWTH,
            f"grew to {sources:,} sources, from {usual:,.0f} (median of {len(past)} active days){second}",
        )
    most = int(past[:, 2].max())
    if len(past) >= 3 and sources >= 0.8 * usual and each >= _GROWTH * max(most, 10):
        return Event(
            GROWTH, f"grew to {each:,} packets of a source, from at most {most:,} in {len(past)} active days"
        )
    return None


def ports(
    campaign: Campaign,
    unit: Unit,
    drawn: int,
    counted: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] | None = None,
) -> Event | None:
    """Ports that moved: total variation from the averaged mix of a quarter or more and three times what is usual for
    it, and a port whose share changed by a tenth or more and by four standard errors. ``drawn``: packets that today's
    mix was counted on; ``counted``: sources today and usual ones by cell, which must have changed as well."""
    codes = np.union1d(campaign.ports[0], unit.ports[0])
    before, now = _on(codes, campaign.ports), _on(codes, unit.ports)
    moved = distance(campaign.ports, unit.ports)
    change = now - before
    error = np.sqrt(np.maximum(before * (1 - before), 0.01) / max(drawn, 1))
    # Draws of one source are not independent of each other.
    clear = (np.abs(change) >= _ONE_PORT) & (np.abs(change) >= _SIGMAS * error * np.sqrt(2))
    if moved < max(_PORTS_MOVED, _SWAYS * campaign.sway) or not clear.any():
        return None
    told = clear & (codes != OTHERS)
    if counted is not None and told.any():
        there, usual = counted(header_cells(unit.klass, codes[told]))
        gone, gone_usual = counted(header_cells(campaign.klass, codes[told]))
        claimed = _IN_COUNTS * np.abs(change[told]) * unit.size
        came = (change[told] > 0) & (there - usual >= claimed)
        went = (change[told] < 0) & (gone_usual - gone >= claimed)
        if not (came | went).any():
            return None
    order = np.flatnonzero(clear)
    order = order[np.argsort(-np.abs(change[order]), kind="stable")][:6]
    text = ", ".join(
        f"{_port(int(codes[i]))} {100 * before[i]:.0f} -> {100 * now[i]:.0f} %" for i in order.tolist()
    )
    return Event(PORTS, f"changed its ports: {text}")


def fingerprint(campaign: Campaign, unit: Unit) -> Event | None:
    """Another name than before, or another header."""
    # A relation that gets the name of a tool is the same fingerprint under another word.
    alike = ("==" in campaign.label) == ("==" in unit.label)
    if campaign.label and unit.label and campaign.label != unit.label and alike:
        return Event(FINGERPRINT, f"changed from {campaign.label} to {unit.label}")
    if header_of(campaign.klass) != header_of(unit.klass):
        return Event(
            FINGERPRINT, f"changed its header from ({words(campaign.klass)}) to ({words(unit.klass)})"
        )
    a, b = window_of(campaign.klass), window_of(unit.klass)
    if a != b and FREE not in (a, b):
        return Event(FINGERPRINT, f"changed its window from {a} to {b}")
    return None


def _on(codes: np.ndarray, mix: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    out = np.zeros(len(codes))
    out[np.searchsorted(codes, mix[0])] = mix[1]
    return out


def _port(code: int) -> str:
    return "others" if code == OTHERS else str(code)
