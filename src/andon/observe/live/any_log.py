"""A log that grows, whatever it is: a honeypot's, a proxy's or sensor's, or alerts, by what its first lines are.

Which it is has to be known only when there are lines. A log that is still empty waits; until then the runner takes it
for one that may give every kind of record that logs give. Nobody waits longer for it than for one that is silent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from andon.observe.live.folder_files import shown
from andon.observe.live.lines import LineSource, begin_of
from andon.observe.live.log import LogSource
from andon.observe.live.log_files import LogFiles
from andon.observe.live.source import Piece, SourceError
from andon.observe.logs.options import Options
from andon.records.kinds import ALERT, CONTACT, FLOW, HONEYPOT_SESSION

_HEAD: Final = 256 * 1024


@dataclass
class AnyLog:
    """``path``, ``settle``, ``idle``: as of ``LogSource`` and ``LineSource``, one of which it becomes; ``options`` and
    ``slack``: of the latter."""

    name: str
    path: Path
    options: Options = field(default_factory=Options)
    slack: float = 300.0
    settle: float = 5.0
    idle: float = 3600.0
    once: bool = False
    now: Callable[[], float] = time.monotonic
    trouble: str = field(default="", init=False)
    replayable: bool = field(default=True, init=False)
    can_wait: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        self._source: LogSource | LineSource | None = None
        self._drained = False
        self._position: Mapping[str, Any] | None = None
        self._opened = False
        self._strange: dict[
            bytes, int
        ] = {}  # sizes of files in which no log was recognised, by how they begin
        self._told: set[str] = set()
        self._events: list[dict[str, Any]] = []
        self._began = self.now()
        self._told_idle = False
        if self.path.parent.is_dir():
            self._choose()

    @property
    def kind(self) -> str:
        return HONEYPOT_SESSION if self._source is None else self._source.kind

    @property
    def kinds(self) -> tuple[str, ...]:
        if self._source is None:
            return (HONEYPOT_SESSION, CONTACT, FLOW, ALERT)
        return getattr(self._source, "kinds", (self._source.kind,))

    @property
    def finished(self) -> bool:
        if self._source is None:
            return self.once and self._drained
        return self._source.finished

    def open(self, position: Mapping[str, Any] | None) -> None:
        if not self.path.parent.is_dir():
            raise SourceError(
                f"source {self.name}: {self.path.parent} is not a folder: make it, or mend [[source]] path"
            )
        self._position, self._opened = position, True
        if position is not None and "files" in position:  # what it was, it is
            self._become("readers" in position)
        elif self._source is not None:
            self._source.once = self.once
            self._source.open(None)

    def events(self) -> list[dict[str, Any]]:
        told, self._events = self._events, []
        return told + ([] if self._source is None else self._source.events())

    def quiet(self) -> int | None:
        return None if self._source is None else self._source.quiet()

    def close(self) -> None:
        if self._source is not None:
            self._source.close()

    def poll(self, timeout: float) -> list[Piece]:
        if self._source is None and not self._choose():
            self._drained = self.once
            if not self._told_idle and self.now() - self._began >= self.idle:
                self._told_idle = True
                self._events.append({"type": "idle", "source": self.name})
            if timeout > 0 and not self.once:
                time.sleep(min(timeout, 0.5))
            return []
        assert self._source is not None
        self._source.once = self.once
        try:
            return self._source.poll(timeout)
        finally:
            self.trouble = self._source.trouble

    def _choose(self) -> bool:
        """Look into the files that are there; True once it is known what they are."""
        from andon.observe.alerts import format_of, log_format
        from andon.observe.honeypot import UnknownLog, recognise
        from andon.observe.honeypot.text import reading

        files = LogFiles(self.path)
        for found, _ in files.look():
            if not found.size or found.size < 2 * self._strange.get(begin_of(found), 0):
                continue  # looked into, and there is not much more in it
            try:
                head = files.read(found, 0, _HEAD)
            except OSError:
                continue
            try:
                honeypot = head[:4] != b"PAR1" and format_of(head, found.name) is None
                if honeypot:
                    recognise(head)
            except UnknownLog:
                honeypot = reading(head) is not None
            if honeypot or log_format(head, found.name, self.options) is not None:
                self._become(not honeypot)
                return True
            if found.name not in self._told:
                self._told.add(found.name)
                name = shown(found.name)
                what = f"{name} is not a log of a known format (docs/logs.md)"[:300]
                self._events.append(
                    {"type": "damage", "source": self.name, "file": name, "places": 1, "what": what}
                )
            self._strange[begin_of(found)] = found.size
        return False

    def _become(self, of_lines: bool) -> None:
        if of_lines:
            self._source = LineSource(
                self.name, self.path, self.options, self.slack, self.settle, self.idle, self.once
            )
            self._source.pass_over(self._strange)
        else:
            self._source = LogSource(self.name, self.path, self.settle, self.idle, self.once)
        if self._opened:
            self._source.open(self._position)
