"""Honeypot logs that are no JSON, line by line into JSON, so that one reader serves all.

They are small beside the others: what a line costs here, some microseconds, does not matter. What stands between the
events (starts, warnings) is passed over in silence, as the honeypot never meant it as an event.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from typing import Final

from andon.observe.jsonlines.block import LONGEST, Stream

_ASA: Final = re.compile(
    r"^\{'timestamp': '(?P<timestamp>[^']+)', 'src_ip': '(?P<src_ip>[^']+)', 'payload_printable': "
    r"(?P<quote>['\"])(?P<payload_printable>.*)(?P=quote)\}\s*$"
)
_TRAP: Final = re.compile(
    r"^\[(?P<timestamp>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\] (?P<src>[0-9a-fA-F.:]+):(?P<src_port>\d+) requesting "
    r"(?P<requested>tcp|udp) connection on (?P<dst>[0-9a-fA-F.:]+):(?P<dst_port>\d+)\."
)
_TARPIT: Final = re.compile(
    r"^(?P<timestamp>\d{4}-\d\d-\d\dT[0-9:.]+Z?) (?P<endlessh>ACCEPT|CLOSE) host=(?P<host>\S+) port=(?P<port>\d+)"
)
_PATTERNS: Final = (_ASA, _TRAP, _TARPIT)
_HEADINGS: Final = ("timestamp,auth_id,session_id,", "timestamp,duration,session_id,")
_ENOUGH: Final = 200  # lines that are tried before a log is given up

Reading = Callable[[str], dict[str, str] | None]


def reading(head: bytes) -> Reading | None:
    """How lines of a log that begins so are read, or None if it is none of those known here."""
    lines = head.decode("utf-8", "replace").splitlines()[:_ENOUGH]
    if lines and lines[0].startswith(_HEADINGS):
        names = lines[0].strip().split(",")
        return lambda line: _row(names, line)
    counts = [(sum(pattern.match(line) is not None for line in lines), pattern) for pattern in _PATTERNS]
    most, best = max(counts, key=lambda found: found[0])
    return (lambda line: _matched(best, line)) if most else None


def _matched(pattern: re.Pattern[str], line: str) -> dict[str, str] | None:
    found = pattern.match(line)
    if found is None:
        return None
    members = found.groupdict()
    members.pop("quote", None)
    return members


def _row(names: list[str], line: str) -> dict[str, str] | None:
    if line.startswith(_HEADINGS):
        return None
    try:
        values = next(csv.reader(io.StringIO(line)), [])
    except csv.Error:
        return None
    return dict(zip(names, values, strict=False)) if len(values) >= len(names) else None


class AsJson:
    """A stream of JSON lines made from a stream of text lines. Lines longer than 32 MiB are cut there."""

    def __init__(self, stream: Stream, read: Reading) -> None:
        self._lines = _lines(stream)
        self._read = read
        self._left = b""

    def readinto(self, view: memoryview) -> int:
        while not self._left:
            line = next(self._lines, None)
            if line is None:
                return 0
            members = self._read(line.decode("utf-8", "replace"))
            # An event that is none still takes its line, so that line numbers stay those of the log.
            self._left = (json.dumps(members).encode() if members else b"") + b"\n"
        count = min(len(view), len(self._left))
        view[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


def _lines(stream: Stream) -> Iterator[bytes]:
    held = b""
    room = bytearray(1 << 16)
    while got := stream.readinto(memoryview(room)):
        parts = (held + bytes(room[:got])).split(b"\n")
        yield from parts[:-1]
        held = parts[-1][:LONGEST]
    if held:
        yield held
