"""The edges that are worth a row: those of the day, and those that only days together show."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np

from andon.detect.livenet.beacon import rita
from andon.detect.livenet.beacon.chance import Judged, judge, screen
from andon.detect.livenet.beacon.gather import Gathered
from andon.detect.livenet.beacon.memory import Memory
from andon.detect.livenet.beacon.polls import modes
from andon.detect.livenet.beacon.score import log_odds, machine, measurements, score
from andon.detect.livenet.beacon.segments import over_day

SCREENED: Final = 4.0  # nats of the likelihood ratio from which an edge is examined
SIGNIFICANT: Final = 1e-3
_DAY = 86_400.0


@dataclass(frozen=True)
class Settings:
    """``visits``: fewest visits of an edge; ``judged``: most edges that are examined in a span."""

    visits: int
    judged: int
    permutations: int


@dataclass(frozen=True)
class Rows:
    """Parallel arrays over edges. ``which``: number into ``Gathered.rows``; ``days``: from first to last visit, in
    days, of edges that were judged over days, else 0; ``active``: s without the pauses."""

    which: np.ndarray
    judged: Judged
    one_size: np.ndarray
    size: np.ndarray
    rita: np.ndarray
    ratio: np.ndarray
    score: np.ndarray
    log_odds: np.ndarray
    days: np.ndarray
    terminals: int
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.which)

    @property
    def period(self) -> np.ndarray:
        """s: of the intervals, or of the line where that alone is significant; 0 where neither is."""
        j = self.judged
        by_line = (j.ratio_p > SIGNIFICANT) & (j.line_p <= SIGNIFICANT)
        period = np.where(by_line, j.line_period, j.period)
        made: np.ndarray = np.where(j.p_value <= 2 * SIGNIFICANT, period, 0.0)
        return made

    def take(self, at: np.ndarray) -> Rows:
        judged = Judged(*(getattr(self.judged, field.name)[at] for field in fields(Judged)))
        arrays = ("which", "one_size", "size", "rita", "ratio", "score", "log_odds", "days")
        return replace(self, judged=judged, **{name: getattr(self, name)[at] for name in arrays})


def daily(seen: Gathered, times: np.ndarray, offsets: np.ndarray, settings: Settings) -> Rows:
    """Edges of enough visits in this span to be judged by it alone. ``times``, ``offsets``: visits of every edge."""
    visits = np.diff(offsets)
    which = np.flatnonzero((visits >= settings.visits) & ~seen.popular)
    own, ends = _taken(times, offsets, which)
    return _rows(seen, which, own, ends, np.zeros(len(which), np.int64), settings)


def slow(
    seen: Gathered, memory: Memory, rare: np.ndarray, keys: np.ndarray, start: float, settings: Settings
) -> Rows:
    """Rare edges (numbers ``rare`` with their ``keys``) of this span, judged with what is remembered of them: enough
    visits, over more than a day. ``start`` of the span, s since 1970."""
    rows, offsets, times = memory.of(keys)
    first, last = times[offsets[:-1]], times[np.maximum(offsets[1:], 1) - 1] if len(times) else times
    enough = np.flatnonzero((np.diff(offsets) >= settings.visits) & (last - first > _DAY))
    own, ends = _taken(times, offsets, enough)
    which = rare[rows[enough]]
    # Whole days before, so that hours of the day stay what they are.
    few = replace(settings, judged=max(1, settings.judged // 4))
    made = _rows(seen, which, own - (start - 31 * _DAY), ends, seen.hours(which), few)
    at = np.searchsorted(which, made.which, sorter=np.argsort(which)) if len(made) else np.zeros(0, np.int64)
    origin = np.argsort(which)[at] if len(made) else at
    return replace(made, days=((last - first)[enough] / _DAY)[origin])


def together(a: Rows, b: Rows) -> Rows:
    """Of an edge in both the one with the higher score; highest score first."""
    which = np.concatenate([a.which, b.which])
    points = np.concatenate([a.score, b.score])
    order = np.lexsort((which, -points))
    _, first = np.unique(which[order], return_index=True)
    keep = order[np.sort(first)]
    joined = Judged(
        *(np.concatenate([getattr(a.judged, f.name), getattr(b.judged, f.name)]) for f in fields(Judged))
    )
    names = ("one_size", "size", "rita", "ratio", "log_odds", "days")
    rest = {name: np.concatenate([getattr(a, name), getattr(b, name)]) for name in names}
    whole = Rows(
        which=which,
        judged=joined,
        score=points,
        terminals=a.terminals,
        left_out=a.left_out + b.left_out,
        **rest,
    )
    return whole.take(keep)


def _taken(times: np.ndarray, offsets: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    counts = offsets[which + 1] - offsets[which]
    ends = np.zeros(len(which) + 1, np.int64)
    np.cumsum(counts, out=ends[1:])
    return times[np.repeat(offsets[which] - ends[:-1], counts) + np.arange(ends[-1])], ends


def _rows(
    seen: Gathered,
    which: np.ndarray,
    times: np.ndarray,
    offsets: np.ndarray,
    hours: np.ndarray,
    settings: Settings,
) -> Rows:
    """Screen and examine these edges."""
    ratio, _ = screen(offsets, times)
    passed = np.flatnonzero(ratio >= SCREENED)
    left_out = max(0, len(passed) - settings.judged)
    if left_out:
        passed = np.sort(passed[np.lexsort((which[passed], -ratio[passed]))][: settings.judged])
    times, offsets = _taken(times, offsets, passed)
    which, hours = which[passed], hours[passed]
    judged = judge(offsets, times, hours, seen.keys(which), settings.permutations)
    contacts = seen.edges.take(which)
    size, one_size = modes(contacts)
    first = np.floor(times[offsets[:-1]] / _DAY) * _DAY if len(which) else np.zeros(0)
    last = np.ceil(times[offsets[1:] - 1] / _DAY) * _DAY if len(which) else np.zeros(0)
    inputs = measurements(judged, one_size, over_day(offsets, times, first, np.maximum(last, first + _DAY)))
    r = machine(judged, inputs, slow=bool(hours.any()))
    visitors = seen.visitors[which]
    return Rows(
        which=which,
        judged=judged,
        one_size=one_size,
        size=size,
        rita=rita.scores(contacts.offsets, contacts.times, contacts.sizes, seen.begin, seen.end),
        ratio=r,
        score=score(r, visitors, seen.terminals),
        log_odds=log_odds(r, visitors, seen.terminals),
        days=np.zeros(len(which)),
        terminals=seen.terminals,
        left_out=left_out,
    )
