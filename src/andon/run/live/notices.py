"""Findings of the runner itself, from what the journal says happened: gaps, shed load, damaged input, late rows.

A notice grows while its hour lasts: the same finding again with a higher ``revision``. Everything here follows from
the journal's events in their order, so a replay gives the same ids and revisions.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from andon.records.finding import Finding, timestamp
from andon.store.journal_segment import Segment

_HOUR = 3_600_000_000_000
_MOST = 100  # notices of a kind, a source and an hour; what is more is one notice
_MORE = "and more"
_KINDS = {"gap": "capture-gap", "lost": "capture-gap", "shed": "load-shed", "damage": "input-damage"}


@dataclass
class _Notice:
    count: int = 0
    times: int = 0
    first: int = 0
    last: int = 0
    detail: dict[str, Any] = field(default_factory=dict)


class Notices:
    """``take`` every segment in order; ``changed`` gives the findings that are new or have grown."""

    def __init__(self) -> None:
        self._held: dict[str, _Notice] = {}
        self._changed: set[str] = set()
        self._numbers: dict[tuple[str, str, int], int] = {}
        self._forgotten = 0

    def take(self, segment: Segment) -> None:
        """The events of one segment."""
        for event in segment.events:
            kind = _KINDS.get(str(event.get("type")))
            if kind is not None:
                what = str(event.get("file") or event.get("why") or "")[:200]
                self._add(kind, str(event.get("source", "")), what, segment.clock, event)

    def late(self, engine: str, rows: int, clock: int, noun: str = "packets") -> None:
        """Rows that came too late for an engine; ``noun``: what they are."""
        self._add("input-damage", engine, "late rows", clock, {"rows": rows, **_noun(noun)})

    def ahead(self, source: str, rows: int, clock: int, noun: str = "packets") -> None:
        """Rows whose time is more than a minute ahead of the clock; no engine sees them."""
        self._add("input-damage", source, "rows of the future", clock, {"rows": rows, **_noun(noun)})

    def ancient(self, source: str, rows: int, clock: int) -> None:
        """Records from before 1990: of clocks that were never set; no engine sees them."""
        self._add("input-damage", source, "rows of long ago", clock, {"rows": rows})

    def forgot(self, engine: str, span: str, why: str, clock: int) -> None:
        """What an engine remembered of its spans cannot be read any more."""
        self._add("memory-lost", engine, f"{span} spans", clock, {"why": why[:300]})

    def _add(self, kind: str, source: str, what: str, clock: int, event: Any) -> None:
        hour = clock // _HOUR * _HOUR
        key = json.dumps([kind, source, what, hour])
        if key not in self._held:
            self._forget(hour - 24 * _HOUR)
            if self._number(kind, source, hour) >= _MOST:
                key = json.dumps([kind, source, _MORE, hour])
        notice = self._held.setdefault(key, _Notice(first=clock))
        notice.times += 1
        notice.count += int(event.get("rows", event.get("places", 0)))
        notice.last = clock
        notice.detail = {k: v for k, v in event.items() if k not in ("type", "rows")}
        self._changed.add(key)

    def _forget(self, before: int) -> None:
        if before <= self._forgotten:
            return
        self._forgotten = before
        for old in [key for key in self._held if json.loads(key)[3] < before and key not in self._changed]:
            del self._held[old]
        self._numbers = {}

    def _number(self, kind: str, source: str, hour: int) -> int:
        """How many there are of it; counted up, so that ten thousand bad files cost no more each than one."""
        if not self._numbers:
            for key in self._held:
                known = json.loads(key)
                of = (known[0], known[1], known[3])
                self._numbers[of] = self._numbers.get(of, 0) + 1
        of = (kind, source, hour)
        self._numbers[of] = self._numbers.get(of, 0) + 1
        return self._numbers[of] - 1

    def changed(self) -> tuple[Finding, ...]:
        """Findings that are new or have grown since ``stored`` was called."""
        found = []
        for key in sorted(self._changed):
            kind, source, what, hour = json.loads(key)
            found.append(_finding(kind, source, what, hour, self._held[key]))
        return tuple(found)

    def stored(self) -> None:
        """What ``changed`` gave is safe."""
        self._changed = set()

    def state(self) -> dict[str, Any]:
        """As it is once ``changed`` is stored."""
        return {"held": {key: vars(notice) for key, notice in self._held.items()}}

    def restore(self, state: dict[str, Any]) -> None:
        self._held = {key: _Notice(**values) for key, values in state["held"].items()}
        self._changed = set()


def _noun(noun: str) -> dict[str, str]:
    return {} if noun == "packets" else {"noun": noun}


def _finding(kind: str, source: str, what: str, hour: int, notice: _Notice) -> Finding:
    detail = notice.detail
    noun = str(detail.get("noun", "packets"))
    kept = "in the history and " if noun == "packets" else ""
    if kind == "load-shed":
        title = f"{source}: {notice.count:,} packets were shed, the engines could not keep up"
        statement = (
            f"Of {source}, {notice.count:,} packets were left out so as to keep up with the rest: of the sources, by a "
            f"hash of the address, one in {detail.get('one_in', '?')} was kept at last. They are in no other finding."
        )
    elif kind == "memory-lost":
        title = f"{source}: what it remembered of its {what} is lost"
        statement = (
            f"This version of {source} does not read what an earlier one remembered of its {what} "
            f"({detail.get('why', '')}). It begins anew: until it has seen as much again, what it says of novelty, "
            "baselines and trends is worth less."
        )
    elif kind == "capture-gap":
        title = f"{source}: {noun} are missing"
        between = ""
        if "from" in detail:
            between = f" since {timestamp(int(detail['from']))}"
        if "from" in detail and "to" in detail:
            between = f" between {timestamp(int(detail['from']))} and {timestamp(int(detail['to']))}"
        count = f"{notice.count:,} {noun} were" if notice.count else f"An unknown number of {noun} was"
        statement = f"{count} not captured from {source}{between} ({detail.get('why', 'unknown reason')})."
    elif what == "late rows":
        title = f"{notice.count:,} {noun} came too late for {source}"
        statement = (
            f"{notice.count:,} {noun} have times in spans that were concluded already. They are {kept}"
            f"in no finding of {source}. A sensor's clock or the order of its files may be wrong."
        )
    elif what == "rows of the future":
        title = f"{source}: {notice.count:,} {noun} from the future"
        statement = (
            f"{notice.count:,} {noun} have times more than a minute ahead of this machine's clock. "
            + ("They are in the history, and no" if noun == "packets" else "No")
            + " engine saw them. Set the clocks of the sensor and of this machine (NTP)."
        )
    elif what == "rows of long ago":
        title = f"{source}: {notice.count:,} records from before 1990"
        statement = (
            f"{notice.count:,} records have times before 1990, as clocks that were never set give them. No engine saw "
            "them. Set the clock of the sensor (NTP)."
        )
    else:
        title = f"{source}: {what} is damaged or no capture"
        statement = f"{source}: {what}: {detail.get('what', '')}. What could be read was used."
    return Finding(
        engine="run.live",
        engine_version=1,
        kind=kind,
        title=title,
        statement=statement,
        confidence=1.0,
        calibration="counted while receiving",
        window=(hour, hour + _HOUR),
        subject=("source", f"{source} {what}".strip()),
        first_seen=notice.first,
        last_seen=notice.last,
        count=notice.count,
        attributes={"times": notice.times, **detail},
        revision=notice.times,
    )
