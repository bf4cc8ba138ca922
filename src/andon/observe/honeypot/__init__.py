"""Honeypot logs, whichever honeypot wrote them, as sessions (``records.honeypot.SESSION``).

``recognise`` says which honeypot wrote a log from its first lines; ``sessions`` reads it. What is in a log is data:
nothing of it is fetched, run or looked up.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from andon.observe.compressed import Broken, compression, decompressor
from andon.observe.honeypot import cowrie, devices, mapped
from andon.observe.honeypot.maps import MAPS, FieldMap
from andon.observe.honeypot.text import AsJson, reading
from andon.observe.jsonlines import Paths, Skipped, blocks

_LOOK = 256 * 1024  # bytes of a log that are looked at to recognise it
_COWRIE = Paths(["eventid", "session", "timestamp"])


class UnknownLog(ValueError):
    """No honeypot that is known writes such lines."""


def recognise(head: bytes) -> FieldMap | None:
    """The map of the honeypot that wrote these lines, None for Cowrie. The first map whose marks most lines have wins.
    Raises UnknownLog."""
    from andon.observe.logs import eve

    if eve.is_events(head):  # alerts have members that honeypots' logs have, too
        raise UnknownLog("events of Suricata")
    whole = head[: head.rfind(b"\n") + 1] or head
    counts = Skipped()
    cowries = rows = 0
    for block in blocks(io.BytesIO(whole), _COWRIE, counts):
        rows += len(block)
        events = block.text("eventid").to_pylist()
        cowries += sum(event is not None and event.startswith("cowrie.") for event in events)
    if not rows:
        raise UnknownLog("not a log of JSON lines")
    if 2 * cowries > rows:
        return None
    best, most = None, 0
    for chart in MAPS:
        wanted = Paths([*dict.fromkeys((*chart.marks, *chart.rivals))])
        hits = 0
        for block in blocks(io.BytesIO(whole), wanted, Skipped()):
            there = [block.kinds(mark) > 0 for mark in chart.marks]
            none = [block.kinds(rival) == 0 for rival in chart.rivals]
            good = there[0]
            for one in (*there[1:], *none):
                good = good & one
            hits += int(good.sum())
        if hits > most:
            best, most = chart, hits
    if best is None:
        raise UnknownLog("JSON lines of no honeypot that is known")
    return best


class _Log:
    """A log file, decompressed if need be, whose beginning can be looked at before it is read."""

    def __init__(self, raw: Any, skipped: Skipped) -> None:
        kind = compression(raw.peek(4)[:4])
        self._stream = decompressor(raw, kind) if kind else raw
        self._skipped = skipped
        self.head = b""
        room = bytearray(_LOOK)
        while len(self.head) < _LOOK and (got := self._more(memoryview(room)[: _LOOK - len(self.head)])):
            self.head += room[:got]
        self._given = 0

    def readinto(self, view: memoryview) -> int:
        if self._given < len(self.head):
            piece = self.head[self._given : self._given + len(view)]
            view[: len(piece)] = piece
            self._given += len(piece)
            return len(piece)
        return self._more(view)

    def _more(self, view: memoryview) -> int:
        try:
            return int(self._stream.readinto(view) or 0)
        except Broken as error:
            self._skipped.add(0, str(error))
            return 0


def sessions(path: str | Path, skipped: Skipped) -> Iterator[pa.RecordBatch]:
    """Sessions of a log file, plain or compressed, without the binaries that were sent in them; where the compression
    breaks, the log ends. Raises UnknownLog, and OSError."""
    with Path(path).open("rb") as raw:
        log = _Log(raw, skipped)
        read = reading(log.head)
        if read is not None:
            stream = AsJson(log, read)
            made = AsJson(io.BytesIO(log.head), read)
            yield from mapped.sessions(stream, _charted(_some(made)), skipped)
            return
        chart = recognise(log.head)
        if chart is None:
            yield from cowrie.sessions(log, skipped)
        elif chart.honeypot == devices.HONEYPOT:
            yield from devices.sessions(log, Path(path), skipped)
        else:
            yield from mapped.sessions(log, chart, skipped)


def _some(stream: AsJson) -> bytes:
    room, made = bytearray(_LOOK), b""
    while len(made) < _LOOK and (got := stream.readinto(memoryview(room))):
        made += room[:got]
    return made


def _charted(head: bytes) -> FieldMap:
    chart = recognise(head)
    if chart is None:
        raise UnknownLog("a text log of no honeypot that is known")
    return chart
