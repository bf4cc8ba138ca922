"""Sessions of a log that is still being written, and which of its lines belong to sessions that are not over.

Lines are folded as in a file (``observe.honeypot.fold``), chunk by chunk. Every event carries its place, the number of
its chunk and its own number in it; so the lines that wait for the end of their session can be written down in a few
numbers and read again after a restart, when the lines between them have been given already. When a session is over
depends on the times in the log alone: on the event that closes it, or a silence. So what is given does not depend on
how the log was cut into chunks.
"""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa

from andon.observe.honeypot import UnknownLog, cowrie, devices, mapped, recognise
from andon.observe.honeypot.fold import Events, Fold, Part
from andon.observe.honeypot.maps import FieldMap
from andon.observe.honeypot.text import AsJson, Reading, reading
from andon.observe.jsonlines import Skipped, blocks

_SILENCE: Final = 3_600_000_000_000  # ns after which a session of a honeypot that closes its sessions is over


class LogFold:
    """``head``: how the log begins. Raises UnknownLog."""

    def __init__(self, head: bytes) -> None:
        self._reading: Reading | None = reading(head)
        if self._reading is not None:
            head = _all(AsJson(io.BytesIO(head), self._reading))
        self._chart: FieldMap | None = recognise(head)
        if self._chart is None:
            self._fold = _Placed("cowrie", _SILENCE)
        else:
            if self._chart.honeypot == devices.HONEYPOT:
                raise UnknownLog(f"logs of {devices.HONEYPOT} can be read as files only")
            self._fold = _Placed(self._chart.honeypot, mapped.GAP)
        self.newest = -1 << 63  # ns: time of the newest event

    def add(self, chunk: int, data: bytes, skipped: Skipped, only: np.ndarray | None = None) -> None:
        """Whole lines; ``only``: numbers of the events that are taken, in ascending order."""
        stream: Any = io.BytesIO(data)
        if self._reading is not None:
            stream = AsJson(stream, self._reading)
        number = 0
        for events in self._events(stream, skipped):
            places = np.arange(number, number + len(events), dtype=np.int64)
            number += len(events)
            if len(events):
                self.newest = max(self.newest, int(events.ts.max()))
            rows = np.arange(len(events)) if only is None else np.flatnonzero(np.isin(places, only))
            self._fold.put(events, (chunk << 32) | places, rows)

    def sessions(self, final: bool = False) -> pa.RecordBatch:
        """Those that are over now."""
        return self._fold.sessions(final)

    @property
    def open_since(self) -> int | None:
        """ns: the earliest time in a session that is not over; None if there is none."""
        return self._fold.open_since

    def waiting(self) -> dict[int, np.ndarray]:
        """Numbers of the events of sessions that are not over, by chunk."""
        places = self._fold.places()
        chunks = places >> 32
        return {int(chunk): np.sort(places[chunks == chunk] & 0xFFFFFFFF) for chunk in np.unique(chunks)}

    def _events(self, stream: Any, skipped: Skipped) -> Iterator[Events]:
        if self._chart is None:
            for block in blocks(stream, cowrie.PATHS, skipped):
                yield cowrie.events(block, skipped)
        else:
            for block in blocks(stream, mapped.paths_of(self._chart), skipped):
                yield mapped.events(block, self._chart, skipped)


class _Placed(Fold):
    """A fold whose events know their places. A silence of ``gap`` both ends a session and begins the next."""

    def __init__(self, honeypot: str, gap: int) -> None:
        super().__init__(honeypot, gap=gap, idle=gap)

    def put(self, events: Events, places: np.ndarray, rows: np.ndarray) -> None:
        from dataclasses import replace

        from andon.observe.honeypot.fold import _taken

        placed = replace(
            events, facts={**events.facts, "place": Part(np.arange(len(events)), pa.array(places))}
        )
        self.add(placed if len(rows) == len(events) else _taken(placed, rows))

    def places(self) -> np.ndarray:
        parts = [one.facts["place"].values.to_numpy(zero_copy_only=False) for one in self._held if len(one)]
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    @property
    def open_since(self) -> int | None:
        return min((int(one.ts.min()) for one in self._held if len(one)), default=None)


def packed(numbers: np.ndarray) -> str:
    """Ascending numbers as text: their steps, compressed.

    >>> unpacked(packed(np.array([3, 4, 900]))).tolist()
    [3, 4, 900]
    """
    steps = np.diff(numbers.astype(np.int64), prepend=0).astype("<u4")
    return base64.b85encode(zlib.compress(steps.tobytes(), 1)).decode()


def unpacked(text: str) -> np.ndarray:
    """The way back. Raises ValueError."""
    try:
        steps = np.frombuffer(zlib.decompress(base64.b85decode(text)), "<u4")
    except (zlib.error, ValueError) as error:
        raise ValueError("the place in a log is damaged") from error
    return np.cumsum(steps.astype(np.int64))


def _all(stream: Any) -> bytes:
    room, made = bytearray(1 << 16), bytearray()
    while got := stream.readinto(memoryview(room)):
        made += room[:got]
    return bytes(made)
