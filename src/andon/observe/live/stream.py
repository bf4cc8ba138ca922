"""A capture that comes through a pipe, such as ``tcpdump -w -`` or ``andon simulate internet --out -``.

A pipe cannot be read twice: what was read but not kept when the program stopped is lost, and the restart says so.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

import pyarrow as pa

from andon.observe.live.source import Piece, SourceError
from andon.observe.reader import Reader, read
from andon.records.columns import column
from andon.records.packet import COLUMNS

_IN_STEP = 60_000_000_000  # ns: a capture that is so near the clock is made right now


class StreamSource:
    """Standard input, or any binary file, read by a thread of its own so that waiting for it can end.

    The thread holds at most two batches that were not asked for; then the pipe fills and the sender waits."""

    replayable = False
    can_wait = True

    def __init__(self, name: str, file: str | BinaryIO, clock: Callable[[], int] = time.time_ns) -> None:
        self.name = name
        self.live = False
        self._clock = clock
        self._file = file
        self._batches: queue.Queue[pa.RecordBatch | Exception | None] = queue.Queue(maxsize=2)
        self._reader: Reader | None = None
        self._events: list[dict[str, Any]] = []
        self._rows = 0
        self._ended = False
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self, position: Mapping[str, Any] | None) -> None:
        self._rows = int(position.get("rows", 0)) if position else 0
        try:
            self._reader = read(self._file, columns=COLUMNS, eager=True)
        except (OSError, ValueError) as error:
            raise SourceError(f"source {self.name}: {error}") from error
        self._thread = threading.Thread(target=self._pump, args=(iter(self._reader),), daemon=True)
        self._thread.start()

    @property
    def finished(self) -> bool:
        return self._ended

    def events(self) -> list[dict[str, Any]]:
        told, self._events = self._events, []
        return told

    def close(self) -> None:
        self._closing.set()

    def join(self) -> None:
        """Wait until the thread has let go of the file."""
        if self._thread is not None:
            self._thread.join()

    def poll(self, timeout: float) -> list[Piece]:
        try:
            item = self._batches.get(timeout=max(timeout, 0.001))
        except queue.Empty:
            return []
        if isinstance(item, pa.RecordBatch):
            self._rows += item.num_rows
            if item.num_rows:
                newest = int(column(item, "ts").max())
                self.live = abs(self._clock() - newest) < _IN_STEP
            return [Piece(item, {"rows": self._rows})]
        self._ended = True
        if item is not None:
            self._damage(f"reading stopped: {item}")
        elif self._reader is not None and self._reader.damage_total:
            self._damage(f"at byte {self._reader.damage[0].offset:,}: {self._reader.damage[0].what}")
        return []

    def _damage(self, what: str) -> None:
        self._events.append(
            {"type": "damage", "source": self.name, "file": "-", "what": what[:300], "places": 1}
        )

    def _pump(self, batches: Iterator[pa.RecordBatch]) -> None:
        last: Exception | None = None
        try:
            for batch in batches:
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
