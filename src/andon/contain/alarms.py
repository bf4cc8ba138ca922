"""Alarms that are said once, again every hour while they last, and once when they are over."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

REMIND = 3_600_000_000_000  # ns
_MOST = 1000  # alarms at once; more are counted


@dataclass
class _Active:
    text: str
    since: int
    said: int


class Alarms:
    """``say`` is called with (kind, text), from any thread; what it raises is swallowed and counted, because whoever
    is told must not be able to stop what it is told about."""

    def __init__(self, say: Callable[[str, str], None], up: Callable[[], int]) -> None:
        self._say, self._up = say, up
        self._active: dict[tuple[str, str], _Active] = {}
        self._mutex = threading.Lock()
        self.unheard = 0

    def on(self, kind: str, text: str, about: str = "") -> None:
        """Say it, unless it is being said about the same thing already."""
        now = self._up()
        with self._mutex:
            active = self._active.get((kind, about))
            if active is not None:
                active.text = text
                if now - active.said < REMIND:
                    return
                active.said = now
            elif len(self._active) < _MOST:
                self._active[kind, about] = _Active(text, now, now)
            else:
                self.unheard += 1
                return
        self._tell(kind, text)

    def once(self, kind: str, text: str) -> None:
        """Something that happened and does not last."""
        self._tell(kind, text)

    def over(self, kind: str, text: str = "", about: str = "") -> None:
        """It is over; nothing if it was never on."""
        with self._mutex:
            active = self._active.pop((kind, about), None)
        if active is not None:
            self._tell(kind, f"over: {text or active.text}")

    def active(self) -> list[tuple[str, str]]:
        """(kind, text) of those that last."""
        with self._mutex:
            return [(kind, one.text) for (kind, _), one in self._active.items()]

    def _tell(self, kind: str, text: str) -> None:
        try:
            self._say(kind, text)
        except Exception:
            self.unheard += 1
