"""Is a unit of today a campaign of before? Added evidence in nats (natural log-odds), each part with a name.

A part says how much more likely the likeness is if they are the same than if they are not, capped so that no one part
decides. ``THRESHOLD`` in all, from at least two parts that stand by themselves; ports that changed need evidence that
changes of ports leave alone (sources, networks, a name that nothing else has).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from andon.detect.darknet.campaigns.kernel import COOKIE_AT, DF_AT, KIND_AT, OPTIONS_AT, TARGET_AT, TTL_AT
from andon.detect.darknet.campaigns.memory import Campaign
from andon.detect.darknet.campaigns.profile import FREE, header_of, window_of
from andon.detect.darknet.campaigns.units import SAMPLE, Unit

THRESHOLD = 3.0
PARTS = ("ports", "header", "name", "sources", "networks", "hours", "handover", "volume", "pause")
_KEPT = 0.6  # Bhattacharyya coefficient from which ports are the same
_HEADER = (1 << (TARGET_AT - OPTIONS_AT)) - 1
_PLACES = ((0xFFFF, OPTIONS_AT), (3, TTL_AT), (1, DF_AT), (1, COOKIE_AT), (3, KIND_AT))
_FIELDS = tuple(bits << (at - OPTIONS_AT) for bits, at in _PLACES)
_ALONE = {"ports": 1.5, "header": 1.0, "name": 1.0, "sources": 1.0, "networks": 1.0, "handover": 1.0}


@dataclass(frozen=True)
class Score:
    """Parts in nats in the order of ``PARTS``; ``likeness`` of the port mixes from 0 to 1."""

    parts: tuple[float, ...]
    likeness: float
    accepted: bool

    @property
    def total(self) -> float:
        return float(sum(self.parts))

    @property
    def sources(self) -> float:
        """The part that common sources have."""
        return self.parts[PARTS.index("sources")]

    def as_dict(self) -> dict[str, float]:
        return {name: round(value, 2) for name, value in zip(PARTS, self.parts, strict=True)}


def likeness(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> float:
    """Bhattacharyya coefficient of two mixes: 1 equal, 0 nothing in common.

    >>> likeness((np.array([22, 23]), np.array([.5, .5])), (np.array([23]), np.array([1.]))) ** 2
    0.5000000000000001
    """
    if not len(a[0]) or not len(b[0]):
        return 0.0
    at = np.minimum(np.searchsorted(a[0], b[0]), len(a[0]) - 1)
    same = a[0][at] == b[0]
    return float(np.sqrt(a[1][at[same]] * b[1][same]).sum())


def overlap(a: np.ndarray, b: np.ndarray, size_a: int, size_b: int) -> tuple[float, float]:
    """(estimated number of common sources, share of the smaller) from two samples of the lowest hashes."""
    if not len(a) or not len(b):
        return 0.0, 0.0
    # Below both samples' reach every source is in the sample: what is common there is counted, not guessed.
    bound = min(
        a[-1] if len(a) >= SAMPLE else np.iinfo(np.uint64).max,
        b[-1] if len(b) >= SAMPLE else np.iinfo(np.uint64).max,
    )
    low_a, low_b = a[a <= bound], b[b <= bound]
    common = len(np.intersect1d(low_a, low_b, assume_unique=True))
    least = max(min(len(low_a), len(low_b)), 1)
    return common / least * min(size_a, size_b), common / least


def judge(campaign: Campaign, unit: Unit, everyone: int, shared_name: bool, step: int) -> Score:
    """Evidence that the unit is the campaign. ``everyone``: sources of the day; ``shared_name``: whether other units
    or campaigns have the same name; ``step``: observed days since the campaign was last seen (0: yesterday)."""
    alike = likeness(campaign.ports, unit.ports)
    surprise = min(max(unit.surprise, 0.5), 4.0)
    ports = (2 * alike - 1) * (surprise if alike >= 0.5 else 1.5)
    header = _header(campaign.klass, unit)
    name = 0.0
    if campaign.label and unit.label:
        if campaign.label == unit.label:
            name = 1.0 if shared_name else 3.0
        elif ("==" in campaign.label) == (
            "==" in unit.label
        ):  # a relation and a tool's name say nothing either way
            name = -2.0
    common, share = overlap(campaign.sample, unit.sample, campaign.size, unit.size)
    by_chance = campaign.size * unit.size / max(everyone, 1)
    sources = 0.0
    if common >= 2:
        sources = float(np.log((common + 0.5) / (by_chance + 0.5))) * min(1.0, 0.25 + 2 * share)
        sources = min(max(sources, 0.0), 4.0)
    networks = 0.0
    if min(campaign.size, unit.size) >= 5:
        near = likeness(campaign.networks, unit.networks)
        networks = 2.5 * max(0.0, near - 0.4) / 0.6
    hours = _hours(campaign.hours, unit.hours)
    volume = -min(1.5, 0.5 * abs(float(np.log(unit.size / max(campaign.size, 1)))))
    handover = _handover(campaign, unit, alike, header, step)
    parts = (ports, header, name, sources, networks, hours, handover, volume, -0.05 * step)
    total = sum(parts)
    standing = sum(value >= _ALONE[key] for key, value in zip(PARTS, parts, strict=True) if key in _ALONE)
    accepted = total >= THRESHOLD and standing >= 2
    if alike < _KEPT:
        accepted &= sources >= 1 or networks >= 1 or name >= 3 or handover >= 1
    return Score(tuple(float(part) for part in parts), alike, bool(accepted))


def _header(klass: int, unit: Unit) -> float:
    """The rarer a header class is among the day's other sources, the more it says that both have it."""
    if klass == unit.klass:
        return min(4.0, max(0.3, -float(np.log(unit.common))))
    a, b = window_of(klass), window_of(unit.klass)
    # A window that many share one day and too few the next is not another window.
    windows = a != b and FREE not in (a, b)
    differing = (header_of(klass) ^ header_of(unit.klass)) & _HEADER
    if not differing and not windows:
        return 0.5
    return -0.5 * (windows + sum(bool(differing & mask) for mask in _FIELDS))


def _handover(campaign: Campaign, unit: Unit, alike: float, header: float, step: int) -> float:
    """A campaign that came day by day until yesterday, and today a unit of the same size on the same rare ports, or
    with the same rare header and some of the ports: that one ended and another began overnight is the less likely
    story. It stands only where the campaign has no unit of its own, because the assignment gives each campaign the
    unit that fits it best."""
    regular = campaign.active_days >= 3 and campaign.longest == 0 and step == 0
    ratio = abs(float(np.log(unit.size / max(campaign.size, 1))))
    same = (alike >= 0.85 and unit.surprise >= 2) or (header >= 2 and alike >= 0.3)
    return 1.5 if regular and same and ratio <= 0.4 else 0.0


def _hours(before: np.ndarray, now: np.ndarray) -> float:
    a, b = before - before.mean(), now - now.mean()
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    uneven = min(before.std() / max(before.mean(), 1e-9), now.std() / max(now.mean(), 1e-9), 1.0)
    return float((a * b).sum() / norm * uneven) if norm > 0 else 0.0
