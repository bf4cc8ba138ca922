"""What the hub tells of our addresses, as lines that are alerts to everybody who reads them (``observe.alerts.hub``).

``andon.hub-sighting/1`` is a sighting as the hub told it, with the schema's name and ``told``: when we heard of it,
where the hour is of the last day. An older one stays at its hour: an address may have gone to another host since, and
who acts by the newest alerts is not to act on it.

A file of lines has one writer at a time (flock). A page is appended in one write and synced before the cursor goes on,
so a kill repeats at most a page, and what stands at the end of the file already is not written again.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from andon.records.finding import nanoseconds, timestamp
from andon.share.hub.protocol import HOUR, KINDS, PORTS, member_name
from andon.store.errors import StoreError, explained

SCHEMA: Final = "andon.hub-sighting/1"
_FRESH: Final = 25 * HOUR  # an hour is over an hour after it began
_TAIL: Final = 4 << 20  # more than a page
_TEXT: Final = 64
_MOST: Final = 1000  # names, tools


def line_of(sighting: Mapping[str, Any], now: int) -> dict[str, Any] | None:
    """The document of one sighting of a hub's answer, nothing in it but what the protocol has; None for what is none.

    >>> heard = {"id": "5c", "source": "198.51.100.7", "kind": "scan", "hour": "2026-01-01T00:00:00Z", "packets": 3}
    >>> line_of(heard, nanoseconds("2026-01-01T07:00:00Z"))["told"], line_of({**heard, "source": "pc1"}, 0)
    ('2026-01-01T07:00:00Z', None)
    """
    try:
        source = str(ip_address(_text(sighting["source"])))
        hour = nanoseconds(_text(sighting["hour"]))
        kind, packets = sighting["kind"], sighting["packets"]
        if kind not in KINDS or not _count(packets):
            return None
        made: dict[str, Any] = {
            "schema": SCHEMA, "id": _text(sighting["id"]), "source": source, "kind": kind, "hour": timestamp(hour),
            "packets": packets, "ports": [_port(one) for one in _list(sighting.get("ports"), PORTS)],
            "tools": [_text(one) for one in _list(sighting.get("tools"), _MOST)],
            "observers": sighting.get("observers", 1),
            "observed_by": [member_name(_text(one)) for one in _list(sighting.get("observed_by"), _MOST)],
        }  # fmt: skip
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
    if not _count(made["observers"]):
        return None
    if now - _FRESH <= hour <= now + HOUR:
        made["told"] = timestamp(now)
    return made


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _TEXT or not value.isprintable():
        raise ValueError("no short text")
    return value


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 53


def _list(value: Any, most: int) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > most:
        raise ValueError("no short list")
    return value


def _port(one: Any) -> list[Any]:
    protocol, port, packets = one
    if not _count(packets) or not isinstance(port, int) or isinstance(port, bool) or not 0 <= port <= 65_535:
        raise ValueError("no port")
    return [_text(protocol), port, packets]


class Lines:
    """A file that sightings are appended to. Made by ``appending``."""

    def __init__(self, path: Path, handle: int) -> None:
        self._path, self._handle = path, handle
        self._there = self._last()

    def add(self, documents: Iterable[Mapping[str, Any]]) -> int:
        """Append those that do not stand at the end already; gives how many. On disk when this returns; all or
        nothing. Raises StoreError."""
        new = [one for one in documents if _what(one) not in self._there]
        if not new:
            return 0
        data = b"".join(json.dumps(one).encode() + b"\n" for one in new)
        with explained(self._path, "appending"):
            before = os.fstat(self._handle).st_size
            try:
                done = os.write(self._handle, data)
                while done < len(data):
                    done += os.write(self._handle, data[done:])
                os.fsync(self._handle)
            except BaseException:
                os.ftruncate(self._handle, before)
                raise
        return len(new)

    def _last(self) -> set[tuple[Any, ...]]:
        """What the last lines say; a line that a power cut left unfinished is cut off."""
        with explained(self._path, "reading"):
            size = os.fstat(self._handle).st_size
            start = max(0, size - _TAIL)
            tail = os.pread(self._handle, _TAIL, start)
            if tail and not tail.endswith(b"\n"):
                whole = tail.rfind(b"\n") + 1
                if not whole and start:
                    raise StoreError(f"{self._path}: it does not end in lines of JSON; give another file")
                os.ftruncate(self._handle, start + whole)
                tail = tail[:whole]
        found = set()
        for line in tail.splitlines():
            try:
                made = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(made, dict) and made.get("schema") == SCHEMA:
                found.add(_what(made))
        return found


def _what(one: Mapping[str, Any]) -> tuple[Any, ...]:
    return str(one.get("id")), str(one.get("packets")), str(one.get("observers"))


@contextmanager
def appending(path: Path) -> Iterator[Lines]:
    """The file, opened for this process alone. Raises StoreError, OSError."""
    with explained(path, "opening"):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(f"{path}: another `andon hub pull` writes it") from None
        yield Lines(path, handle)
    finally:
        os.close(handle)
