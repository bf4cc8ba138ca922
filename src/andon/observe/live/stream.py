"""A capture that comes through a pipe, such as ``tcpdump -U -w -`` or ``andon simulate internet --out -``.

A pipe cannot be read twice: what was read but not kept when the program stopped is lost, and the restart says so.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import pyarrow as pa

from andon.observe.live.source import Piece, SourceError
from andon.observe.reader import Reader, read
from andon.records.columns import column
from andon.records.packet import COLUMNS

_SECOND = 1_000_000_000
_IN_STEP = 60 * _SECOND  # ns: a capture that is so near the clock is made right now
_SLACK = (
    5 * _SECOND
)  # ns: how long whoever writes the pipe may hold packets back; more is learned from what comes


class StreamSource:
    """Standard input, or any binary file, read by a thread of its own so that waiting for it can end.

    The thread holds at most two batches that were not asked for; then the pipe fills and the sender waits. Nothing
    waits for the first byte either: a pipe whose sender says nothing yet is a silent source. ``idle``: seconds of
    silence after which other sources are not held up any longer."""

    replayable = False
    can_wait = True
    trouble = ""

    def __init__(
        self,
        name: str,
        file: str | BinaryIO,
        clock: Callable[[], int] = time.time_ns,
        idle: float = 3600.0,
    ) -> None:
        self.name = name
        self._clock = clock
        self._file = file
        self._idle = idle
        self._batches: queue.Queue[pa.RecordBatch | Exception | None] = queue.Queue(maxsize=2)
        self._reader: Reader | None = None
        self._events: list[dict[str, Any]] = []
        self._rows = 0
        self._slack: int | None = None  # None: what comes was not captured just now
        self._asked = 0
        self._heard = time.monotonic()
        self._told_idle = False
        self._ended = False
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self, position: Mapping[str, Any] | None) -> None:
        self._rows = int(position.get("rows", 0)) if position else 0
        self._thread = threading.Thread(target=self._pump, name=f"stream {self.name}", daemon=True)
        self._thread.start()

    @property
    def finished(self) -> bool:
        return self._ended

    @property
    def rows(self) -> int:
        """Rows given so far, in all time."""
        return self._rows

    def events(self) -> list[dict[str, Any]]:
        told, self._events = self._events, []
        return told

    def quiet(self) -> int | None:
        return None if self._slack is None else self._asked - self._slack

    def close(self) -> None:
        self._closing.set()

    def join(self) -> None:
        """Wait until the thread has let go of the file."""
        if self._thread is not None:
            self._thread.join()

    def poll(self, timeout: float) -> list[Piece]:
        asked = self._clock()
        try:
            item = self._batches.get(timeout=max(timeout, 0.001))
        except queue.Empty:
            self._asked = asked
            if not self._told_idle and time.monotonic() - self._heard >= self._idle:
                self._told_idle = True
                self._events.append({"type": "idle", "source": self.name})
            return []
        if isinstance(item, pa.RecordBatch):
            self._rows += item.num_rows
            self._heard, self._told_idle = time.monotonic(), False
            if item.num_rows:
                self._learn(self._clock() - int(column(item, "ts").max()))
            return [Piece(item, {"rows": self._rows})]
        self._ended = True
        if item is not None and self._reader is None:
            raise SourceError(f"source {self.name}: {item}")
        if item is not None:
            self._damage(f"reading stopped: {item}")
        elif self._reader is not None and self._reader.damage_total:
            self._damage(f"at byte {self._reader.damage[0].offset:,}: {self._reader.damage[0].what}")
        return []

    def _learn(self, late: int) -> None:
        """From the age of the newest packet of a batch: is this live, and how long are packets held back?"""
        if abs(late) >= _IN_STEP:
            self._slack = None
        else:
            self._slack = max(self._slack or _SLACK, min(2 * late, _IN_STEP))

    def _damage(self, what: str) -> None:
        self._events.append(
            {"type": "damage", "source": self.name, "file": "-", "what": what[:300], "places": 1}
        )

    def _pump(self) -> None:
        last: Exception | None = None
        try:
            self._reader = read(self._file, columns=COLUMNS, eager=True)
            for batch in self._reader:
                if not self._hand_on(batch):
                    return
        except (OSError, ValueError) as error:
            last = error
        self._hand_on(last)

    def _hand_on(self, item: pa.RecordBatch | Exception | None) -> bool:
        while not self._closing.is_set():
            try:
                self._batches.put(item, timeout=0.2)
            except queue.Full:
                continue
            return True
        return False
