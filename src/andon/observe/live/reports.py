"""A folder that reports about attacks are put into: each is read once it has not grown for a while.

Files are read in the order in which they came into the folder (their ``ctime``, which no copy takes along), and where
the source stands is the time of the last. What was read lately is known by its content, so that a file that is touched
or copied again is not read twice.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

from andon.observe.live.folder_files import shown
from andon.observe.live.source import Piece, SourceError
from andon.records.kinds import REPORT, marked

_REMEMBERED: Final = 2000  # contents
_LARGEST: Final = 256 << 20  # bytes of a file


@dataclass
class ReportSource:
    """``settle``: seconds without growth after which a file is whole; ``once``: finished when all are read."""

    name: str
    folder: Path
    pattern: str = "*"
    settle: float = 5.0
    once: bool = False
    clock: Callable[[], int] = time.time_ns
    kind: str = REPORT
    trouble: str = field(default="", init=False)
    replayable: bool = field(default=True, init=False)
    can_wait: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        self._floor = -1  # ns: ctime of the last file
        self._at: list[str] = []  # names of the files of that time
        self._known: dict[str, None] = {}  # digests, oldest first
        self._events: list[dict[str, Any]] = []
        self._drained = False

    def open(self, position: Mapping[str, Any] | None) -> None:
        if not self.folder.is_dir():
            raise SourceError(
                f"reports {self.name}: {self.folder} is not a folder: make it, or mend [[reports]] path"
            )
        if position:
            self._floor, self._at = int(position["floor"]), list(position["at"])
            self._known = dict.fromkeys(position["known"])

    @property
    def finished(self) -> bool:
        return self.once and self._drained

    def events(self) -> list[dict[str, Any]]:
        told, self._events = self._events, []
        return told

    def quiet(self) -> int | None:
        return None

    def close(self) -> None:
        return

    def poll(self, timeout: float) -> list[Piece]:
        try:
            found = self._next()
        except OSError as error:
            self.trouble = f"reports {self.name}: {self.folder} cannot be listed ({error.strerror})"
            raise SourceError(self.trouble, passing=True) from error
        self.trouble = ""
        if found is None:
            self._drained = True
            if timeout > 0:
                time.sleep(min(timeout, 0.5))
            return []
        self._drained = False
        name, ctime = found
        pieces = list(self._read(name))
        self._at = [*self._at, name] if ctime == self._floor else [name]
        self._floor = ctime
        # The place moves with the last of what was read: a file is kept whole, or read again.
        return [Piece(batch, {}) for batch in pieces[:-1]] + [Piece(pieces[-1], self._position())]

    def _next(self) -> tuple[str, int] | None:
        """The file that came next, if it is whole."""
        waiting = []
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or not fnmatch(entry.name, self.pattern):
                    continue
                try:
                    stat = entry.stat()
                    if not entry.is_file():
                        continue
                except OSError:
                    continue
                later = stat.st_ctime_ns > self._floor
                if later or (stat.st_ctime_ns == self._floor and entry.name not in self._at):
                    waiting.append((stat.st_ctime_ns, entry.name))
        if not waiting:
            return None
        ctime, name = min(waiting)
        if not self.once and self.clock() - ctime < self.settle * 1e9:
            return None
        return name, ctime

    def _read(self, name: str) -> Iterator[Any]:
        """Its batches, marked, the last perhaps empty."""
        import pyarrow as pa

        from andon.observe.jsonlines import Skipped
        from andon.observe.sensors import sniff
        from andon.records.report import REPORT as SCHEMA

        skipped, path, read = Skipped(), self.folder / name, False
        try:
            if not self._is_new(path):
                yield marked(pa.RecordBatch.from_pylist([], SCHEMA), REPORT)
                return
            sensor = sniff(path)
            if sensor is None or sensor.kind != REPORT:
                raise ValueError("no report of a form that is known")
            for batch in sensor.read(path, skipped):
                read = True
                yield marked(batch, REPORT)
        except (OSError, ValueError) as error:
            skipped.add(0, str(error))
        if not read:
            yield marked(pa.RecordBatch.from_pylist([], SCHEMA), REPORT)
        if skipped.lines:
            reasons = "; ".join(
                f"{count:,} {why}" if count > 1 else why for why, count in skipped.reasons.items()
            )
            self._events.append(
                {"type": "damage", "source": self.name, "file": shown(name), "what": reasons[:300],
                 "places": skipped.lines}
            )  # fmt: skip

    def _is_new(self, path: Path) -> bool:
        """Is its content not known? It is from now on."""
        digest = hashlib.blake2b(digest_size=9)
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size > _LARGEST:
                raise ValueError(f"larger than {_LARGEST >> 20} MiB")
            while block := file.read(1 << 20):
                digest.update(block)
        text = digest.hexdigest()
        new = text not in self._known
        self._known[text] = None
        for old in list(self._known)[:-_REMEMBERED]:
            del self._known[old]
        return new

    def _position(self) -> dict[str, Any]:
        return {"floor": self._floor, "at": self._at, "known": list(self._known)}
