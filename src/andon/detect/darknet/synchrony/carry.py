"""What the engine remembers between spans."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, Self

import numpy as np

from andon.detect.darknet.synchrony.baseline import Levels
from andon.detect.darknet.synchrony.memory import Memory
from andon.detect.darknet.synchrony.reference import Reference
from andon.detect.darknet.synchrony.series import Open
from andon.sketch.state import StateError, pack, unpack

HISTORY: Final = 144  # spans whose counts are kept for the table of activity
_MOST_COUNTS = 2_000_000  # rows of that history
_MOST_CLAIMS = 4096
_VERSION, _READ_TOO = 3, 2  # version 2 knows no calibration, which begins anew


@dataclass
class History:
    """Counts of the last ``HISTORY`` spans: (span, unit, active, new) and expected new networks."""

    rows: np.ndarray  # int64 (n, 4), ascending by span, then unit
    expected: np.ndarray  # float64

    @classmethod
    def empty(cls) -> Self:
        return cls(np.zeros((0, 4), np.int64), np.zeros(0))

    def take(self, span: int, rows: np.ndarray, expected: np.ndarray) -> None:
        """Enter a span's rows and drop what is too old or too much."""
        keep = self.rows[:, 0] > span - HISTORY
        self.rows = np.concatenate([self.rows[keep], rows])[-_MOST_COUNTS:]
        self.expected = np.concatenate([self.expected[keep], expected])[-_MOST_COUNTS:]

    def of(self, units: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        mine = np.isin(self.rows[:, 1], np.array(units, np.int64))
        return self.rows[mine], self.expected[mine]


@dataclass
class Carry:
    """See the module text. ``span`` is the number of the last span concluded, -1 before the first."""

    memory: Memory = field(default_factory=Memory.empty)
    new: Levels = field(default_factory=Levels.empty)
    active: Levels = field(default_factory=Levels.empty)
    of_new: Reference = field(default_factory=Reference.empty)  # of new networks
    of_active: Reference = field(default_factory=Reference.empty)
    hour_spans: int = 0  # spans seen of the hour in progress
    open: Open = field(default_factory=Open)
    history: History = field(default_factory=History.empty)
    # What other engines alerted of late: (partner, unit, stop, begins, end) with times in ns.
    claims: np.ndarray = field(default_factory=lambda: np.zeros((0, 5), np.int64))
    span: int = -1
    first: int = -1

    def copy(self) -> Carry:
        """For a conclusion to change: the carry it was given stays as it is."""
        return replace(
            self,
            memory=replace(self.memory),
            new=self.new.copy(),
            active=self.active.copy(),
            of_new=self.of_new.copy(),
            of_active=self.of_active.copy(),
            open=Open([replace(s, agreed=s.agreed.copy()) for s in self.open.series]),
            history=replace(self.history),
        )

    def claim(self, rows: np.ndarray, oldest: int) -> None:
        """Remember alerts of other engines that ended at ``oldest`` or later."""
        merged = np.unique(np.concatenate([self.claims, rows]), axis=0)
        merged = merged[merged[:, 4] >= oldest]
        self.claims = merged[np.argsort(merged[:, 4], kind="stable")][-_MOST_CLAIMS:]

    def to_bytes(self) -> bytes:
        arrays = {
            "memory.key": self.memory.key,
            "memory.first": self.memory.first,
            "memory.last": self.memory.last,
            **self.new.arrays("new"),
            **self.active.arrays("active"),
            **self.of_new.arrays("of_new"),
            **self.of_active.arrays("of_active"),
            **self.open.arrays(),
            "history.rows": self.history.rows,
            "history.expected": self.history.expected,
            "claims": self.claims,
        }
        scalars = {
            "span": self.span,
            "first": self.first,
            "reach": self.memory.reach,
            "hour_spans": self.hour_spans,
        }
        return pack("synchrony", _VERSION, arrays, scalars)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        try:
            arrays, scalars = unpack("synchrony", _VERSION, data)
        except StateError as error:
            try:
                arrays, scalars = unpack("synchrony", _READ_TOO, data)
            except StateError:
                raise error from None
        try:
            memory = Memory(
                arrays["memory.key"], arrays["memory.first"], arrays["memory.last"], scalars["reach"]
            )
            history = History(arrays["history.rows"], arrays["history.expected"])
            claims, span, first = arrays["claims"], scalars["span"], scalars["first"]
            hour_spans = scalars["hour_spans"]
        except KeyError as error:
            raise StateError(f"damaged carry of darknet.synchrony: no {error}") from error
        if not len(memory.key) == len(memory.first) == len(memory.last):
            raise StateError("damaged memory of pairs: arrays of different length")
        new, active = Levels.of_arrays(arrays, "new"), Levels.of_arrays(arrays, "active")
        of_new, of_active = Reference.of_arrays(arrays, "of_new"), Reference.of_arrays(arrays, "of_active")
        return cls(
            memory, new, active, of_new, of_active, hour_spans, Open.of(arrays), history, claims, span, first
        )
