"""A honeypot's log that grows: sessions as they end.

What was read is where the source stands: how far each file of the log, and which of the lines read belong to sessions
that are not over yet. A restart reads these lines again, and then what was written since; so no session is lost, given
twice or cut in two, however often and whenever the runner dies (as long as rotation leaves the files of open sessions
there). A line that is not finished is waited for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from andon.observe.live.folder_files import shown
from andon.observe.live.log_files import Found, LogFiles, Mark
from andon.observe.live.source import Piece, SourceError
from andon.records.kinds import HONEYPOT_SESSION, marked

if TYPE_CHECKING:
    from andon.observe.live.log_fold import LogFold

_CHUNK: Final = 1 << 20  # bytes read at a time
_LONGEST: Final = 32 << 20  # of a line
_HEAD: Final = 256 * 1024
_SLACK: Final = 60_000_000_000  # ns: how far lines may be out of the order of time


@dataclass
class LogSource:
    """``path``: of the log that grows (``*`` and ``?`` in its last part are wild); ``settle``: seconds without growth
    after which a last line without an end is taken as it is, if a younger file is there; ``idle``: seconds of silence
    after which open sessions are given as they are and nobody waits for the log. ``once``: finished when all is
    read."""

    name: str
    path: Path
    settle: float = 5.0
    idle: float = 3600.0
    once: bool = False
    now: Callable[[], float] = time.monotonic
    clock: Callable[[], int] = time.time_ns
    kind: str = HONEYPOT_SESSION
    trouble: str = field(default="", init=False)
    replayable: bool = field(default=True, init=False)
    can_wait: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        self.files = LogFiles(self.path)
        self._fold: LogFold | None = None
        self._chunk = 0
        self._chunks: dict[int, tuple[Mark, int, int]] = {}  # those with lines of open sessions
        self._events: list[dict[str, Any]] = []
        self._drained = self._told_idle = self._moved = False
        self._told: set[tuple[str, str]] = set()
        self._strange: dict[str, int] = {}  # sizes of files in which no honeypot was recognised
        self._heard = self.now()

    # The runner's side

    def open(self, position: Mapping[str, Any] | None) -> None:
        if not self.files.folder.is_dir():
            raise SourceError(
                f"source {self.name}: {self.files.folder} is not a folder: make it, or mend [[source]] path"
            )
        if not position:
            return
        self.files.restore(position["files"])
        self._told_idle = bool(position["idle"])
        for number, start, end, numbers in position["open"]:
            self._read_again(self.files.marks[number], start, end, numbers)
        if self._fold is not None:
            self._fold.newest = max(self._fold.newest, int(position["newest"]))

    @property
    def finished(self) -> bool:
        return self.once and self._drained

    def events(self) -> list[dict[str, Any]]:
        told, self._events = self._events, []
        return told

    def quiet(self) -> int | None:
        """Nothing older will come than the sessions that are open, and the clock, once the log is read to its end."""
        if self._fold is None or not self._drained or self.clock() - self._fold.newest > self.idle * 1e9:
            return None
        return self._bound(self.clock() - _SLACK)

    def close(self) -> None:
        return

    def poll(self, timeout: float) -> list[Piece]:
        try:
            progress = self._read_some()
        except SourceError as error:
            self.trouble = f"source {self.name}: {error}"
            raise SourceError(self.trouble, passing=True) from error
        self.trouble = ""
        if progress:
            self._heard, self._told_idle, self._drained = self.now(), False, False
            return self._pieces(False)
        quiet = self.now() - self._heard >= self.idle
        if not self._drained and self.once:
            self._drained = True
            return self._pieces(True)
        self._drained = True
        if quiet and not self._told_idle:
            self._told_idle = True
            self._events.append({"type": "idle", "source": self.name})
            return self._pieces(True)
        if timeout > 0:
            time.sleep(min(timeout, 0.5))
        return []

    # Reading

    def _read_some(self) -> bool:
        """The next chunk of the oldest file that has one; False if there is none."""
        return any(self._read_of(found, mark) for found, mark in self.files.look())

    def _read_of(self, found: Found, mark: Mark) -> bool:
        try:
            data = self.files.read(found, mark.offset, _CHUNK)
            while len(data) >= _CHUNK and b"\n" not in data and len(data) < _LONGEST:
                data = self.files.read(found, mark.offset, 2 * len(data))
        except OSError as error:
            self._say("gap", found.name, f"could not be read: {error.strerror}")
            return False
        end = data.rfind(b"\n") + 1
        if not end and len(data) >= _LONGEST:
            end = len(data)  # no line of a log: counted as one that is none
        if not end:
            if data and not self._is_over(found):
                return False
            if not data:
                mark.size, mark.mtime = found.size, found.mtime
                return False
            end = len(data)
        if not self._recognised(found):
            return False
        self._take(mark, mark.offset, data[:end])
        mark.offset += end
        self._moved = True
        return True

    def _is_over(self, found: Found) -> bool:
        """Will nothing be written to the file any more?"""
        if self.once or found.packed:
            return True
        return not self.files.is_newest(found) and self.clock() - found.mtime > self.settle * 1e9

    def _recognised(self, found: Found) -> bool:
        if self._fold is not None:
            return True
        if found.size < 2 * self._strange.get(found.name, 0):
            return False  # looked into, and there is not much more in it
        from andon.observe.honeypot import UnknownLog
        from andon.observe.live.log_fold import LogFold

        try:
            self._fold = LogFold(self.files.read(found, 0, _HEAD))
        except (OSError, UnknownLog) as error:
            self._strange[found.name] = found.size
            self._say("damage", found.name, f"{error}", places=1)
            return False
        return True

    def _take(self, mark: Mark, start: int, data: bytes) -> None:
        from andon.observe.jsonlines import Skipped

        assert self._fold is not None
        skipped = Skipped()
        self._chunk += 1
        self._chunks[self._chunk] = (mark, start, start + len(data))
        self._fold.add(self._chunk, data, skipped)
        if skipped.lines:
            reasons = ", ".join(f"{count:,} {why}" for why, count in skipped.reasons.items())
            self._events.append(
                {"type": "damage", "source": self.name, "file": shown(mark.name), "places": skipped.lines,
                 "what": f"lines that were not read: {reasons}"[:300]}
            )  # fmt: skip

    def _read_again(self, mark: Mark, start: int, end: int, numbers: str) -> None:
        """Lines of sessions that were open when the runner stopped."""
        from andon.observe.jsonlines import Skipped
        from andon.observe.live.log_fold import unpacked

        found = self.files.place_of(mark)
        if found is None or not self._recognised(found) or self._fold is None:
            self._say("gap", mark.name, "went away: what it held of sessions that were open is lost")
            return
        data = self.files.read(found, start, end - start)
        self._chunk += 1
        self._chunks[self._chunk] = (mark, start, end)
        self._fold.add(self._chunk, data, Skipped(), unpacked(numbers))

    def _pieces(self, final: bool) -> list[Piece]:
        if self._fold is None:
            return []
        batch = self._fold.sessions(final)
        if not batch.num_rows and not self._moved:
            return []
        self._moved = False
        return [Piece(marked(batch, self.kind), self._position())]

    def _position(self) -> dict[str, Any]:
        from andon.observe.live.log_fold import packed

        assert self._fold is not None
        waiting = self._fold.waiting()
        self._chunks = {chunk: place for chunk, place in self._chunks.items() if chunk in waiting}
        places = {id(mark): number for number, mark in enumerate(self.files.marks)}
        held = [
            [places[id(mark)], start, end, packed(waiting[chunk])]
            for chunk, (mark, start, end) in self._chunks.items()
            if id(mark) in places
        ]
        return {
            "files": self.files.state(),
            "open": held,
            "newest": self._fold.newest,
            "idle": self._told_idle,
            # Before this time no session will begin that has not been given.
            "promise": self._bound(self._fold.newest - _SLACK),
        }

    def _bound(self, bound: int) -> int:
        since = None if self._fold is None else self._fold.open_since
        return bound if since is None else min(bound, since)

    def _say(self, kind: str, name: str, what: str, **more: Any) -> None:
        """A gap or damage, once."""
        if (name, what) not in self._told:
            self._told.add((name, what))
            text = {"why" if kind == "gap" else "what": f"{shown(name)} {what}"[:300]}
            self._events.append({"type": kind, "source": self.name, "file": shown(name), **text, **more})
