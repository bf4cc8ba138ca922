"""A log of a proxy or sensor that grows: contacts, flows and alerts as its lines come (``observe.logs``,
``observe.alerts``).

Where the source stands is how far each file of the log was read (``log_files``) and what the reader of its
format has to know of what came before, such as the names of columns. A restart goes on at the line, through
rotation and compression; a line that is not finished is waited for.

Proxies write a line when a transaction ends, and its record says when it began. So how far time has come is the latest
end less ``slack``: a transaction that lasted longer comes late, and is counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from andon.observe.live.folder_files import shown
from andon.observe.live.log_files import Found, LogFiles, Mark
from andon.observe.live.source import Piece, SourceError
from andon.observe.logs.options import Options
from andon.records.contact import CONTACT as CONTACT_SCHEMA
from andon.records.kinds import ALERT, CONTACT, FLOW, kind_of, marked

if TYPE_CHECKING:
    from andon.observe.jsonlines import Skipped
    from andon.observe.logs import Lines
    from andon.observe.logs.identity import Identity

_CHUNK: Final = 4 << 20  # bytes read at a time
_LONGEST: Final = 4 << 20  # of a line
_HEAD: Final = 256 * 1024
_READERS: Final = 32  # files whose readers are remembered
_NEVER: Final = -(1 << 63)
_MOST_AHEAD: Final = (
    60_000_000_000  # ns: a time so far ahead of the clock says nothing of how far time has come
)


@dataclass
class LineSource:
    """``path``: of the log that grows (``*`` and ``?`` in its last part are wild); ``slack``: seconds by which lines
    may begin before others that came earlier; ``settle``: seconds without growth after which a last line without
    an end is taken as it is, if a younger file is there; ``idle``: seconds of silence after which nobody waits for
    the log. ``once``: finished when all is read."""

    name: str
    path: Path
    options: Options = field(default_factory=Options)
    slack: float = 300.0
    settle: float = 5.0
    idle: float = 3600.0
    once: bool = False
    now: Callable[[], float] = time.monotonic
    clock: Callable[[], int] = time.time_ns
    kind: str = CONTACT
    kinds: tuple[str, ...] = (CONTACT, FLOW, ALERT)
    trouble: str = field(default="", init=False)
    replayable: bool = field(default=True, init=False)
    can_wait: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        self.files = LogFiles(self.path)
        self._who: Identity | None = None
        self._readers: dict[int, Lines] = {}  # by id of the mark
        self._states: dict[int, dict[str, Any]] = {}  # of files that were read before the restart
        self._newest = _NEVER  # ns: latest end
        self._events: list[dict[str, Any]] = []
        self._drained = self._told_idle = False
        self._told: set[tuple[str, str]] = set()
        self._strange: dict[
            bytes, int
        ] = {}  # sizes of files in which no log was recognised, by how they begin
        self._heard = self.now()

    # The runner's side

    def open(self, position: Mapping[str, Any] | None) -> None:
        from andon.observe.logs.identity import Identity

        if not self.files.folder.is_dir():
            raise SourceError(
                f"source {self.name}: {self.files.folder} is not a folder: make it, or mend [[source]] path"
            )
        self._who = Identity(self.options)
        if not position:
            return
        self.files.restore(position["files"])
        self._told_idle = bool(position["idle"])
        self._newest = int(position["newest"])
        self._states = {id(self.files.marks[number]): state for number, state in position["readers"]}

    def pass_over(self, sizes: Mapping[bytes, int]) -> None:
        """Files that were looked into, and told to be no logs."""
        self._strange.update(sizes)

    @property
    def finished(self) -> bool:
        return self.once and self._drained

    def events(self) -> list[dict[str, Any]]:
        told, self._events = self._events, []
        return told

    def quiet(self) -> int | None:
        """Once the log is read to its end, what comes will have ended after now."""
        if not self._drained or self.clock() - self._newest > self.idle * 1e9:
            return None
        return self.clock() - int(self.slack * 1e9)

    def close(self) -> None:
        return

    def poll(self, timeout: float) -> list[Piece]:
        try:
            pieces = self._read_some()
        except SourceError as error:
            self.trouble = f"source {self.name}: {error}"
            raise SourceError(self.trouble, passing=True) from error
        self.trouble = ""
        if pieces is not None:
            self._heard, self._told_idle, self._drained = self.now(), False, False
            return pieces
        self._drained = True
        if self.now() - self._heard >= self.idle and not self._told_idle:
            self._told_idle = True
            self._events.append({"type": "idle", "source": self.name})
        if timeout > 0 and not self.once:
            time.sleep(min(timeout, 0.5))
        return []

    # Reading

    def _read_some(self) -> list[Piece] | None:
        """Records of the next chunk of the oldest file that has one; None if there is none."""
        for found, mark in self.files.look():
            data = self._lines_of(found, mark)
            reader = self._reader(found, mark) if data else None
            if reader is not None:
                return self._pieces(found, mark, reader, data)
        return None

    def _lines_of(self, found: Found, mark: Mark) -> bytes:
        """Whole lines that have not been read; empty if there are none."""
        try:
            data = self.files.read(found, mark.offset, _CHUNK)
        except OSError as error:
            self._say("gap", found.name, f"could not be read: {error.strerror}")
            return b""
        end = data.rfind(b"\n") + 1
        if not end and len(data) >= _LONGEST:
            return data  # no line of a log: counted as one that is none
        if not end and not data:
            mark.size, mark.mtime = found.size, found.mtime
        if not end and self._is_over(found):
            return data
        return data[:end]

    def _is_over(self, found: Found) -> bool:
        """Will nothing be written to the file any more?"""
        if self.once or found.packed:
            return True
        return not self.files.is_newest(found) and self.clock() - found.mtime > self.settle * 1e9

    def _reader(self, found: Found, mark: Mark) -> Lines | None:
        reader = self._readers.get(id(mark))
        if reader is not None:
            return reader
        if found.size < 2 * self._strange.get(begin_of(found), 0):
            return None  # looked into, and there is not much more in it
        from andon.observe.alerts import log_format

        try:
            head = self.files.read(found, 0, _HEAD)
        except OSError as error:
            self._say("gap", found.name, f"could not be read: {error.strerror}")
            return None
        module = log_format(head, found.name, self.options)
        if module is None:
            self._strange[begin_of(found)] = found.size
            self._say("damage", found.name, "is not a log of a known format (docs/logs.md)", places=1)
            return None
        made: Lines = module.lines(head, self.options, self._states.pop(id(mark), None))
        self._readers[id(mark)] = made
        return made

    def _pieces(self, found: Found, mark: Mark, reader: Lines, data: bytes) -> list[Piece]:
        from andon.observe.jsonlines import Skipped

        assert self._who is not None
        skipped = Skipped(private=self.options.key is not None)
        batches = []
        if hasattr(reader, "reference"):  # of dates without a year
            reader.reference = self.clock()
        for kind, batch in reader.read(data, skipped):
            batch = marked(self._who.apply(kind, batch), kind)
            batches.append(batch)
            self._newest = max(self._newest, latest_end(batch, self.clock() + _MOST_AHEAD))
        mark.offset += len(data)
        self._tell(found, skipped)
        if not batches:
            batches = [marked(pa.RecordBatch.from_pylist([], CONTACT_SCHEMA), CONTACT)]
        # The place moves with the last of what was read: all of it is kept, or it is read again.
        return [*(Piece(batch, {}) for batch in batches[:-1]), Piece(batches[-1], self._position())]

    def _tell(self, found: Found, skipped: Skipped) -> None:
        if skipped.lines:
            reasons = ", ".join(f"{count:,} {why}" for why, count in skipped.reasons.items())
            line, example = skipped.examples[0] if skipped.examples else (0, "")
            what = f"lines that were not read: {reasons}; first: line {line:,}, {example}"
            self._events.append(
                {"type": "damage", "source": self.name, "file": shown(found.name), "places": skipped.lines,
                 "what": what[:300]}
            )  # fmt: skip

    def _position(self) -> dict[str, Any]:
        places = {id(mark): number for number, mark in enumerate(self.files.marks)}
        self._readers = {key: reader for key, reader in self._readers.items() if key in places}
        held = [(places[key], dict(reader.state())) for key, reader in self._readers.items()]
        held += [(places[key], state) for key, state in self._states.items() if key in places]
        held.sort(key=lambda one: one[0])
        for number, _ in held[:-_READERS]:
            self._readers.pop(id(self.files.marks[number]), None)
            self._states.pop(id(self.files.marks[number]), None)
        return {
            "files": self.files.state(),
            "readers": [list(one) for one in held[-_READERS:]],
            "newest": self._newest,
            "idle": self._told_idle,
            # Before this time nothing more will begin.
            "promise": None if self._newest == _NEVER else self._newest - int(self.slack * 1e9),
        }

    def _say(self, kind: str, name: str, what: str, **more: Any) -> None:
        """A gap or damage, once."""
        if (name, what) not in self._told:
            self._told.add((name, what))
            text = {"why" if kind == "gap" else "what": f"{shown(name)} {what}"[:300]}
            self._events.append({"type": kind, "source": self.name, "file": shown(name), **text, **more})


def begin_of(found: Found) -> bytes:
    """Enough of a file to know it again, whatever it is called by now."""
    return found.head[:64]


def latest_end(batch: pa.RecordBatch, most: int) -> int:
    """ns: when the last of the records ended, of those that ended by ``most``."""
    assert kind_of(batch) in (CONTACT, FLOW, ALERT)
    end = batch.column("ts").view(pa.int64()).to_numpy(zero_copy_only=False)
    if kind_of(batch) != ALERT:  # which takes no time
        end = end + np.clip(batch.column("duration").to_numpy(zero_copy_only=False), 0, 1 << 60)
    end = end[end <= most]
    return int(end.max()) if len(end) else _NEVER
