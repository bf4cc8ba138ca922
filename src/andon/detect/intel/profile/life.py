"""The life of a family: daily sources, growth, how long a source stays, and the state that follows.

Growth is the slope of the logarithm of daily sources over a week, weighted by the counts (Poisson), with its standard
error. The reproduction number is R = 1 + rT (Wallinga and Lipsitch, Proc. R. Soc. B 274, 2007, for an exponential
generation interval), with T the mean time for which a source is seen: an estimate for what is seen, since addresses
change under devices and shorten T. A half-life is T ln 2.

Botnets of devices live on what their loaders push (Griffioen and Doerr, CCS 2020), so the days are told with loaders.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan, log, sqrt
from typing import Final

from andon.detect.intel.profile.families import Family
from andon.detect.intel.profile.items import FINGERPRINT, HOST, PORT_SET, parts, ports_of
from andon.detect.intel.profile.memory import Memory, union
from andon.records import joint

EMERGING, BOOTSTRAP, EPIDEMIC, PLATEAU, DECLINE, REPLACED = (
    "emerging", "bootstrap", "epidemic", "plateau", "decline", "replaced",
)  # fmt: skip
STATES: Final = (EMERGING, BOOTSTRAP, EPIDEMIC, PLATEAU, DECLINE, REPLACED)
_WEEK: Final = 7
_YOUNG: Final = 3  # days
_FEW: Final = 10  # sources in all below which nothing is said of growth
_HALF: Final = 0.5  # of the peak
_SURE: Final = 1.64  # standard errors: 95 %, one side
_GONE: Final = 5  # days without a source
_MOVED: Final = 0.3  # share of its sources that show another family's items later
_LONGEST: Final = 1e4  # days


@dataclass(frozen=True)
class Day:
    day: int  # since 1970
    darknet: int
    honeypot: int  # addresses of bots
    sessions: int
    loaders: int


@dataclass(frozen=True)
class Life:
    """``growth`` per day with its standard error; ``reproduction`` and ``stay`` (days) are nan where nothing can
    be said."""

    state: str
    days: tuple[Day, ...]
    growth: float
    error: float
    reproduction: float
    stay: float
    half_life: float
    peak: int
    peak_day: int
    marks: tuple[str, ...] = ()  # by which it is counted in the darknet
    successor: int = -1  # place of the family that its sources went to
    moved: float = 0.0

    def first_of(self, where: str, begin: int = 0) -> int | None:
        """The day on which it begins there. Fingerprints are met by chance and marks are had by others as well,
        so in the darknet (``begin``: first day observed) it is the first day above what there was before."""
        counts = {one.day: getattr(one, where) for one in self.days if getattr(one, where)}
        if not counts:
            return None
        return onset(counts, begin) if where == "darknet" else min(counts)


def onset(counts: dict[int, int], begin: int) -> int:
    """Where the rise begins: back from the first day with a quarter of the peak, as long as days stand out (by two
    standard deviations) from the median of the earlier half of the days before it, counted since ``begin``.

    >>> onset({10: 3, 11: 2, 12: 4, 13: 2, 14: 12, 15: 30, 16: 60}, 10)
    14
    >>> onset({13: 2, 14: 7, 15: 30}, 10)
    13
    """
    first = min(counts)
    start = min(begin, first) if begin else first
    peak = max(counts, key=lambda day: (counts[day], -day))
    rise = next(day for day in range(start, peak + 1) if 4 * counts.get(day, 0) >= counts[peak])
    before = [counts.get(day, 0) for day in range(start, rise)]
    if len(before) < 2:  # it was there, or began, when observation did
        return first
    early = sorted(before[: (len(before) + 1) // 2])
    quiet = (early[(len(early) - 1) // 2] + early[len(early) // 2]) / 2
    least = quiet + 2 * sqrt(quiet)
    day = rise
    while day > start and counts.get(day - 1, 0) > least:
        day -= 1
    return day


def marks_of(family: Family, memory: Memory) -> list[str]:
    """The marks by which a family is counted in the darknet: its own fingerprints; if it has none, its sets of
    ports."""
    own = [one for one in sorted(family.core) if one.startswith(FINGERPRINT)]
    if own:
        return own
    whole = ports_of(family.ports[0]) if family.ports else frozenset()
    least = 1 if len(whole) == 1 else 2
    held = {name for name, _ in memory.days if name.startswith(PORT_SET)}
    return sorted(
        name for name in held
        if len(found := ports_of(parts(name)[1])) >= least and found <= whole and 2 * len(found) >= len(whole)
    )  # fmt: skip


def days_of(family: Family, memory: Memory, index: dict[str, list[int]]) -> tuple[Day, ...]:
    """Daily counts. ``index``: item -> its days."""
    dark = marks_of(family, memory)
    shown = [one for one in sorted(family.core) if parts(one)[0] not in (FINGERPRINT, PORT_SET)]
    shown += [one for one in sorted(family.shared) if parts(one)[0] == joint.EXPLOIT and not family.anchored]
    every = sorted({day for one in (*dark, *shown) for day in index.get(one, [])})
    made = []
    for day in every:
        seen = [memory.days[one, day] for one in shown if (one, day) in memory.days]
        made.append(
            Day(
                day,
                union([memory.days[one, day] for one in dark if (one, day) in memory.days]),
                union(seen),
                max((entry[2] for entry in seen), default=0),
                max((entry[3] for entry in seen), default=0),
            )
        )
    return tuple(made)


def live(family: Family, memory: Memory, today: int, index: dict[str, list[int]], partial: bool) -> Life:
    """The life of a family as of ``today``; a ``partial`` day says nothing of growth."""
    days = days_of(family, memory, index)
    dark = any(one.darknet for one in days)
    counts = {one.day: one.darknet if dark else one.honeypot for one in days}
    last = today - 1 if partial and len(counts) > 1 else today
    first = min(counts, default=today)
    series = [(day, counts.get(day, 0)) for day in range(max(first, last - 60), last + 1)]
    peak_day, peak = max(series, key=lambda one: (one[1], -one[0]), default=(today, 0))
    recent = series[-_WEEK:]
    growth, error = slope(recent)
    stay = stay_of(family, memory, today, dark)
    reproduction = max(0.0, 1 + growth * stay) if not isnan(stay) and not isnan(error) else float("nan")
    level = sum(count for _, count in recent[-3:]) / max(len(recent[-3:]), 1)
    total = sum(counts.values())
    loaders = sum(one.loaders for one in days if one.day > today - _WEEK)
    bots = sum(one.honeypot for one in days if one.day > today - _WEEK)
    if last - first < _YOUNG or total < _FEW:
        state = BOOTSTRAP if loaders and loaders >= bots else EMERGING
    elif sum(count for _, count in series[-_GONE:]) == 0:
        state = DECLINE
    elif growth - _SURE * error > 0 and level >= _HALF * peak:
        state = EPIDEMIC
    elif growth + _SURE * error < 0 or level < _HALF * smoothed_peak(series):
        state = DECLINE
    else:
        state = PLATEAU
    half_life = stay * log(2)
    marks = tuple(marks_of(family, memory))
    return Life(state, days, growth, error, reproduction, stay, half_life, peak, peak_day, marks)


def smoothed_peak(series: list[tuple[int, int]]) -> float:
    """Largest mean of three days.

    >>> smoothed_peak([(1, 3), (2, 30), (3, 3), (4, 3)])
    12.0
    """
    counts = [count for _, count in series]
    return max(
        (sum(counts[n : n + 3]) / len(counts[n : n + 3]) for n in range(max(len(counts) - 2, 1))), default=0.0
    )


def slope(series: list[tuple[int, int]]) -> tuple[float, float]:
    """(growth per day, standard error) of a log-linear fit weighted by the counts; (0, nan) where it cannot be.

    >>> growth, error = slope([(0, 100), (1, 200), (2, 400), (3, 800)])
    >>> round(growth / log(2), 6)
    1.0
    """
    if len(series) < 3 or sum(count for _, count in series) < _FEW:
        return 0.0, float("nan")
    weight = [count + 0.5 for _, count in series]
    mean = sum(w * d for w, (d, _) in zip(weight, series, strict=True)) / sum(weight)
    logs = [log(count + 0.5) if count < 20 else log(count) for _, count in series]
    level = sum(w * y for w, y in zip(weight, logs, strict=True)) / sum(weight)
    spread = sum(w * (d - mean) ** 2 for w, (d, _) in zip(weight, series, strict=True))
    value = (
        sum(w * (d - mean) * (y - level) for w, y, (d, _) in zip(weight, logs, series, strict=True)) / spread
    )
    rest = sum(
        w * (y - level - value * (d - mean)) ** 2 for w, y, (d, _) in zip(weight, logs, series, strict=True)
    ) / (len(series) - 2)
    # Counts scatter more than Poisson says if days differ: the larger of the two errors stands.
    return value, sqrt(max(1.0, rest) / spread)


def stay_of(family: Family, memory: Memory, today: int, dark: bool) -> float:
    """Mean days for which a source is seen, from its first to its last day (Kaplan and Meier, J. ASA 53, 1958: sources
    that are still there count for as long as they have been)."""
    items = marks_of(family, memory) if dark else [one for one in family.core if parts(one)[0] not in (HOST,)]
    seen: dict[int, list[int]] = {}
    for one in items:
        for source, (first, last) in memory.stays.get(one, {}).items():
            held = seen.setdefault(source, [first, last])
            held[0], held[1] = min(held[0], first), max(held[1], last)
    if len(seen) < _FEW:
        return float("nan")
    return mean_stay([(last - first + 1, last < today - 2) for first, last in seen.values()])


def mean_stay(stays: list[tuple[int, bool]]) -> float:
    """Area under the survival curve of (days, whether it has ended), up to the longest stay.

    >>> mean_stay([(3, True)] * 9 + [(1, False), (2, False)])
    3.0
    """
    if not any(ended for _, ended in stays):
        return float("nan")
    longest = max(days for days, _ in stays)
    all_of, ended_of = [0] * (longest + 1), [0] * (longest + 1)
    for days, over in stays:
        all_of[days] += 1
        ended_of[days] += over
    area, alive, at_risk = 0.0, 1.0, len(stays)
    for day in range(1, longest + 1):
        area += alive
        alive *= 1 - ended_of[day] / at_risk
        at_risk -= all_of[day]
        if alive <= 0:
            break
    return min(area, _LONGEST)


def replaced(families: list[Family], memory: Memory) -> dict[int, tuple[int, float]]:
    """Place of a family -> (place of the family to which its sources went, share of them). Sources of the
    samples, which are drawn by the same hash for all items."""
    held: list[dict[int, list[int]]] = []
    for family in families:
        mine: dict[int, list[int]] = {}
        for one in family.core:
            if parts(one)[0] in (joint.TOKEN, FINGERPRINT):
                for source, (first, last) in memory.stays.get(one, {}).items():
                    before = mine.get(source)
                    mine[source] = (
                        [first, last] if before is None else [min(before[0], first), max(before[1], last)]
                    )
        held.append(mine)
    found: dict[int, tuple[int, float]] = {}
    for place, mine in enumerate(held):
        if len(mine) < _FEW:
            continue
        for other, theirs in enumerate(held):
            if other == place:
                continue
            moved = sum(source in theirs and theirs[source][0] > last for source, (_, last) in mine.items())
            share = moved / len(mine)
            if share >= _MOVED and share > found.get(place, (-1, 0.0))[1]:
                found[place] = (other, share)
    return found


def index_of(memory: Memory) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for name, day in sorted(memory.days):
        found.setdefault(name, []).append(day)
    return found


def doubling(growth: float) -> float:
    """Days in which the sources double (negative: halve).

    >>> round(doubling(0.1), 2)
    6.93
    """
    return log(2) / growth if growth else float("inf")
