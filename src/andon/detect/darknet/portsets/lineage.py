"""Where families come from: the lattice of port sets through time.

A family of today is one of before if it has the same set and weights not far from it. Otherwise it is new, and its
parent is what most of its sources did before: another family, or a single port (that is how "23" becomes "23,2323").
Sources change their addresses; where too few are remembered, a family with the same fingerprint whose set differs by
one port, A + p or A - p, and which has gone or halved, is taken for the parent.

On the day of a change a source shows the union of both sets. Such a union that is seen on that day alone is no stage:
the next one takes its place and its date.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from andon.detect.darknet.portsets.carry import DAY, KEPT, MOST_FAMILIES, NOBODY, Family, Remembered

SINGLE = 1 << 62  # label of a source of one port: this plus its code
_SAME = 0.35  # total variation between weights of one family at two times
_SHARE, _LEAST = 0.3, 5  # of the sources that are remembered
_RECENT = 3 * DAY


@dataclass(frozen=True)
class Seen:
    """A family as a span shows it: its set, weights, the addresses of its sources, and what most of them have in
    common beside (hash of a fingerprint or tool, 0: nothing)."""

    codes: tuple[int, ...]
    weights: tuple[float, ...]
    address: np.ndarray
    sources: int
    fingerprint: int = 0


def trace(before: Remembered, seen: Sequence[Seen], start: int) -> tuple[list[Family], Remembered]:
    """The families of a span, in the order given, with numbers and parents; and the memory with them in it.
    What sources did (``label``) is not yet brought up to date."""
    known = {one.number: one for one in before.families if one.last > start - KEPT}
    named = _same(list(known.values()), seen)
    number = before.next_number
    made: list[Family] = []
    stages: list[Family] = []
    for i, one in enumerate(seen):
        if i in named:
            old = known[named[i]]
            made.append(
                replace(
                    old, weights=one.weights, last=start, spans=old.spans + 1, sources=one.sources,
                    fingerprint=one.fingerprint or old.fingerprint,
                )
            )  # fmt: skip
            continue
        parent, port, since = _parent(before, known, one, start)
        if port >= 0:
            stage = next((f for f in [*known.values(), *stages] if f.codes == (port,)), None)
            if stage is None:
                stage = Family(number, (port,), (1.0,), since, start, 1, 0, since_start=since <= before.began)
                number += 1
                stages.append(stage)
            parent = stage.number
        born = start
        old_parent = known.get(parent)
        if old_parent is not None and old_parent.spans == 1 and old_parent.parent in known:
            origin = known[old_parent.parent]
            if set(old_parent.codes) == set(one.codes) | set(origin.codes) and old_parent.codes != one.codes:
                born, parent = old_parent.born, origin.number
                known.pop(old_parent.number)
        made.append(
            Family(
                number, one.codes, one.weights, born, start, 1, one.sources, parent, before.spans == 0,
                one.fingerprint,
            )
        )  # fmt: skip
        number += 1
    current = {one.number: one for one in [*stages, *made]}
    every = [*current.values(), *(one for one in known.values() if one.number not in current)]
    parents = {one.parent for one in every}
    every.sort(key=lambda f: (-f.last, f.number not in parents, f.number))
    kept = tuple(sorted(every[:MOST_FAMILIES], key=lambda f: f.number))
    forgotten = before.forgotten + max(0, len(every) - MOST_FAMILIES)
    return made, replace(before, families=kept, next_number=number, forgotten=forgotten)


def with_ports(memory: Remembered, ports: Sequence[tuple[int, int]], start: int) -> Remembered:
    """The memory with single ports (code, sources) that were born in this span, so that they are told once."""
    held = {one.codes for one in memory.families}
    new = [(code, sources) for code, sources in ports if (code,) not in held]
    made = [
        Family(
            memory.next_number + i, (code,), (1.0,), start, start, 1, sources, since_start=memory.spans == 0
        )
        for i, (code, sources) in enumerate(new)
    ]
    room = max(0, MOST_FAMILIES - len(memory.families))
    return replace(
        memory, families=(*memory.families, *made[:room]), next_number=memory.next_number + len(made),
        forgotten=memory.forgotten + len(made[room:]),
    )  # fmt: skip


def _same(known: Sequence[Family], seen: Sequence[Seen]) -> dict[int, int]:
    """Number of the family that each is, by place; the nearest weights first, nobody twice."""
    by_set: dict[tuple[int, ...], list[Family]] = {}
    for one in known:
        by_set.setdefault(one.codes, []).append(one)
    near = sorted(
        (sum(abs(a - b) for a, b in zip(one.weights, old.weights, strict=True)) / 2, old.number, i)
        for i, one in enumerate(seen)
        for old in by_set.get(one.codes, [])
    )
    named: dict[int, int] = {}
    for apart, number, i in near:
        if apart <= _SAME and i not in named and number not in named.values():
            named[i] = number
    return named


def _parent(before: Remembered, known: dict[int, Family], one: Seen, start: int) -> tuple[int, int, int]:
    """(family, code of a single port or -1, since when) that most of the sources come from."""
    place = np.searchsorted(before.address, one.address)
    place = place[place < len(before.address)]
    at = place[np.isin(before.address[place], one.address)]
    at = np.unique(at)
    labels, counts = np.unique(before.label[at], return_counts=True)
    for label, count in sorted(
        zip(labels.tolist(), counts.tolist(), strict=True), key=lambda x: (-x[1], x[0])
    ):
        if count < _LEAST or count < _SHARE * len(at):
            break
        if label >= SINGLE:
            code = label - SINGLE
            if code in one.codes:
                return (
                    NOBODY,
                    code,
                    int(np.percentile(before.since[at][before.label[at] == label], 10, method="lower")),
                )
        elif label in known and label != NOBODY:
            return label, -1, start
    if one.fingerprint:
        for old in sorted(known.values(), key=lambda f: (-f.last, -f.sources, f.number)):
            differ = set(old.codes) ^ set(one.codes)
            if old.fingerprint == one.fingerprint and len(differ) == 1 and start - old.last <= _RECENT:
                return old.number, -1, start
    return NOBODY, -1, start


def story(families: dict[int, Family], number: int) -> list[Family]:
    """The line of a family, oldest first."""
    line: list[Family] = []
    while number in families and len(line) < 16:
        line.append(families[number])
        number = families[number].parent
    return line[::-1]
