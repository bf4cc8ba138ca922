"""The whole procedure, once on what was seen and once on each decoy: matches, marks, associations."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from andon.detect.darknet.link import decoys
from andon.detect.darknet.link.associate import Labels, Pairings, associate
from andon.detect.darknet.link.clock import Offset, corrections, offsets
from andon.detect.darknet.link.day import LOADER
from andon.detect.darknet.link.history import History, spans
from andon.detect.darknet.link.lease import Leases
from andon.detect.darknet.link.loaders import Deliveries, deliveries, with_deliveries
from andon.detect.darknet.link.marks import Marked, Marks, marked
from andon.detect.darknet.link.match import FARTHEST, Side, Visits, candidates

TIME = 0  # class of the decoys at another time; the others are prefix lengths


@dataclass(frozen=True)
class Version:
    """``kind``: -1 what was seen, a prefix length or TIME for a decoy. ``source`` is the address of each session, moved
    if it is a decoy; ``matched`` how many sources matched, ``triples`` (source, mark, behaviour), sources by place in
    ``Labels``."""

    kind: int
    marked: Marked
    labels: Labels
    pairings: Pairings
    source: np.ndarray
    skipped: int


@dataclass(frozen=True)
class Analysed:
    """``session`` are the numbers (in the history) of the sessions that take part: positions in ``Version`` arrays are
    positions here. ``behaviour`` with ``begin`` and ``count``: their behaviours, the loaders' included."""

    history: History
    marks: Marks
    offsets: list[Offset]
    leases: Leases
    deliveries: Deliveries
    session: np.ndarray
    at: np.ndarray
    begin: np.ndarray
    count: np.ndarray
    behaviour: np.ndarray
    target: Version
    weak: Version  # with matches up to seven days apart where an address is kept for so long
    decoys: list[Version]


def analyse(history: History, begin: int, end: int, salt: int) -> Analysed:
    """``begin`` and ``end`` (s): what is remembered of time."""
    found = offsets(history)
    delivered = deliveries(history)
    first, count, behaviour = with_deliveries(history, delivered)
    sessions = history.sessions
    taking_part = np.flatnonzero((sessions.aside == 0) & (sessions.role != LOADER))
    at = (sessions.at.astype(np.int64) - corrections(history, found))[taking_part]
    address = sessions.address[taking_part]
    order = np.lexsort((at, address))
    taking_part, at, address = taking_part[order], at[order], address[order]
    visits = Visits.of(address, at)
    level = history.level
    moves = [
        (prefix, *decoys.moved(visits.address, prefix, draw, level, salt))
        for prefix in decoys.CLASSES
        for draw in range(decoys.DRAWS)
    ]
    dark = history.darknet
    rows = candidates(dark.src, [visits.address, *(other for _, other, _ in moves)])
    side = Side(dark, rows[dark.aside[rows] == 0])
    leases = Leases(dark, end)
    made = Analysed(
        history=history, marks=Marks(history, side.rows), offsets=found, leases=leases, deliveries=delivered,
        session=taking_part, at=at, begin=first[taking_part], count=count[taking_part], behaviour=behaviour,
        target=None, weak=None, decoys=[],  # type: ignore[arg-type]
    )  # fmt: skip
    reach = leases.reach(side.address)
    target = _version(made, side, visits, -1, visits.address, at, reach)
    weak = _version(made, side, visits, -1, visits.address, at, leases.reach(side.address, FARTHEST))
    false = []
    for prefix, other, possible in moves:
        kept = np.flatnonzero(possible)
        chosen = Visits(visits.address[kept], visits.begin[kept], visits.count[kept], at)
        whole = np.repeat(other, visits.count)
        false.append(_version(made, side, chosen, prefix, other[kept], at, reach, whole))
    turns = [decoys.turned(at, by, begin, end) for by in decoys.shifts(begin, end, salt)]
    false += [_version(made, side, visits, TIME, visits.address, turn, reach) for turn in turns]
    return replace(made, target=target, weak=weak, decoys=false)


def _version(
    made: Analysed, side: Side, visits: Visits, kind: int, address: np.ndarray, at: np.ndarray, reach: np.ndarray,
    source: np.ndarray | None = None,
) -> Version:  # fmt: skip
    pairs = side.match(visits, address, at, reach)
    found = marked(made.history, made.marks, pairs)
    if source is None:
        source = np.repeat(address, visits.count)
    labels = _labels(made, found, source)
    pairings = associate(labels, len(made.marks), len(made.history.behaviours))
    return Version(kind, found, labels, pairings, source, pairs.skipped)


def _labels(made: Analysed, found: Marked, source: np.ndarray) -> Labels:
    """Sources by address; what each shows in sessions that matched."""
    address = np.unique(source[found.matched])
    of = np.searchsorted(address, source)
    matched_entries = spans(made.begin[found.matched], made.count[found.matched])
    owner = np.repeat(of[found.matched], made.count[found.matched])
    behaviours = _unique_pairs(owner, made.behaviour[matched_entries])
    marks = _unique_pairs(of[found.session], found.mark)
    count = made.count[found.session]
    entries = spans(made.begin[found.session], count)
    triple = np.stack(
        [np.repeat(of[found.session], count), np.repeat(found.mark, count), made.behaviour[entries]], axis=1
    )
    visits = np.bincount(of[found.matched], minlength=len(address))
    return Labels(address >> np.uint32(8), visits, marks, behaviours, _unique_rows(triple))


def _unique_pairs(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    key = np.unique(a.astype(np.int64) << 32 | b.astype(np.int64))
    return np.stack([key >> 32, key & 0xFFFFFFFF], axis=1)


def _unique_rows(rows: np.ndarray) -> np.ndarray:
    if not len(rows):
        return rows.reshape(0, 3)
    order = np.lexsort((rows[:, 2], rows[:, 1], rows[:, 0]))
    rows = rows[order]
    return rows[np.r_[True, np.any(rows[1:] != rows[:-1], axis=1)]]
