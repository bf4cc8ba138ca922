"""What casework lives on, put into the casebook: alerts as they came, episodes as screening publishes them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from andon.records.kinds import ALERT, kind_of
from andon.run.batch import Analysis
from andon.run.casework.published import Stored
from andon.run.inputs import Inputs, kinds_of
from andon.run.live.records import RecordFiles
from andon.store.casebook import Casebook
from andon.store.casebook.origins import Origin

if TYPE_CHECKING:
    from pathlib import Path

    from andon.observe.jsonlines import Skipped
    from andon.observe.sensors import Sensor

SCREENED: Final = "triage.screening:episodes"
_SPANS: Final = ("10min", "1d")  # the first for a live queue, the second for the ranks of the day
_ACTOR: Final = "casework"
_AGAIN: Final = 3600.0  # seconds, after which it is written down again that a source gives records of a kind


@dataclass
class Tapped:
    """A sensor whose alerts go to ``sink`` too."""

    inner: Sensor
    sink: Callable[[pa.RecordBatch], Any]
    name: str = field(init=False)
    kind: str = field(init=False)
    kinds: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.name, self.kind, self.kinds = self.inner.name, self.inner.kind, kinds_of(self.inner)

    def recognise(self, head: bytes, name: str) -> bool:
        return self.inner.recognise(head, name)

    def read(self, path: str | Path, skipped: Skipped) -> Iterator[pa.RecordBatch]:
        for batch in self.inner.read(path, skipped):
            if (kind_of(batch) if len(self.kinds) > 1 else self.kind) == ALERT:
                self.sink(batch)
            yield batch


def tapped(inputs: Inputs, book: Casebook) -> Inputs:
    """The inputs, their alerts stored as they are read."""
    inputs.records = [
        (Tapped(sensor, book.alerts.add) if ALERT in kinds_of(sensor) else sensor, report)
        for sensor, report in inputs.records
    ]
    return inputs


def take_analysis(book: Casebook, result: Analysis, now: int | None = None) -> None:
    """Findings and episodes of a batch analysis."""
    when = time.time_ns() if now is None else now
    book.record(result.findings, (), when)
    for table in result.tables.get(SCREENED, ()):
        book.episodes.put(table, book.suppressions.match(table, when))


@dataclass
class LiveIntake:
    """Follows the runner: alerts by journal segment, episodes by the tables that the casebook names. ``reached``: the
    segment that the engines have taken in. Through which source alerts came, and which sources gave other records, is
    written down before anything is made of them: containment asks. Raises StoreError."""

    book: Casebook
    stored: Stored
    records: RecordFiles
    reached: Callable[[], int]
    clock: Callable[[], int] = time.time_ns
    taken: int = 0  # segments up to this one were taken in, as far as this process knows
    missing: int = 0  # tables that the casebook names and that are not there: episodes that nobody will see
    _heard: dict[tuple[str, Origin], float] = field(default_factory=dict)

    def alerts(self) -> None:
        """Take in the alerts of all segments that the engines have seen."""
        before, to = self.through, self.reached()
        for number, batches in self.records.between(before, to):
            for source, forgeable, batch in batches:
                origin = Origin(source, forgeable)
                if kind_of(batch) == ALERT:
                    self.book.alerts.add(batch, origin)
                else:
                    self._hear(kind_of(batch), origin)
            self._move("casework.alerts", number)
        if to > before:
            self._move("casework.alerts", to)

    def _hear(self, kind: str, origin: Origin) -> None:
        now = time.monotonic()
        if now - self._heard.get((kind, origin), -_AGAIN) >= _AGAIN:
            self.book.alerts.origins.heard(kind, origin)
            self._heard[kind, origin] = now

    def episodes(self) -> bool:
        """Take in the episodes of the next span; False if there is none. One at a time: what becomes of them must not
        depend on how many there were when somebody looked."""
        found = []
        for order, span in enumerate(_SPANS):
            name = f"casework.tables.{span}"
            places = self.book.tables.after(SCREENED, span, self.book.cursor(name), 1)
            found += [(place.end, order, name, place.path) for place in places]
        if not found:
            return False
        end, _, name, path = min(found)
        table = self.stored.read(path)
        self.missing += table is None
        with self.book.work(_ACTOR) as work:
            if table is not None:
                work.episodes.put(table, work.suppressions.match(table, self.clock()))
            work.move(name, end)
        return True

    @property
    def through(self) -> int:
        """Segments up to this one are not needed any more."""
        self.taken = self.book.cursor("casework.alerts")
        return self.taken

    @property
    def judged_through(self) -> int:
        """ns: end of the newest screened span."""
        return self.book.cursor(f"casework.tables.{_SPANS[0]}")

    def _move(self, name: str, to: int) -> None:
        with self.book.work(_ACTOR) as work:
            work.move(name, to)
        self.taken = to
