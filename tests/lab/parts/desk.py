"""The controller without the rest of the product: from the same configuration, in this process, with our own clock.

Beside an ``andon run`` that is at work it stands by and takes proposals through the log, as an operator's terminal.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from andon.contain.ids import new_id
from andon.contain.resolve import Resolver
from andon.records.inside import Inside
from andon.records.intent import Ground, Intent
from andon.run.containment import built
from andon.run.live.config import load
from andon.run.live.parts import site_of
from andon.store.intents import State

INFECTED: Final = "ws-infected.lab.example"


class Desk:
    """``alarms``: (kind, text), in order. ``now``: the time of day that the controller is told."""

    def __init__(self, path: Path, now: Callable[[], int] = time.time_ns) -> None:
        config = load(path)
        config.store.path.mkdir(exist_ok=True)
        self.alarms: list[tuple[str, str]] = []
        self._now = now
        site, _ = site_of(config, path)
        self.parts = built(
            config, path, site, None,
            lambda kind, text: self.alarms.append((kind, text)), now,
        )  # fmt: skip
        self.controller = self.parts.controller
        # Names and addresses as the asset list has them, the same that the controller resolves by.
        self._resolver = Resolver(site.assets, Inside(site.inside), self.parts.policy, self.parts.places)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._step, daemon=True)
        self._thread.start()

    def _step(self) -> None:
        while not self._stopping.wait(0.05):
            self.controller.step()

    def intent(self, action: str = "quarantine", seconds: float = 600.0, host: str = INFECTED) -> Intent:
        """By the switch and the gateway."""
        now = self._now()
        party = self._resolver.party("host", host, now)
        ground = Ground("analyst", "alice", "analyst", "the helpdesk saw it")
        ttl, why = round(seconds * 1e9), "seen by the helpdesk"
        return Intent(
            new_id(now), action, party, None, ttl, why, "alice", now, (ground,), enforcers=("br0", "gateway")
        )

    def propose(self, intent: Intent) -> State:
        return self.controller.propose(intent, "alice")

    def wait(self, intent: int, *states: str, seconds: float = 60.0) -> State:
        """Until it is in one of these. Raises TimeoutError."""
        end = time.monotonic() + seconds
        while True:
            state = self.controller.log.get(intent)
            if state is not None and state.state in states:
                return state
            if time.monotonic() > end:
                raise TimeoutError(f"intent is {state}, not {' or '.join(states)}: {self.alarms[-5:]}")
            time.sleep(0.0005)

    def applied(self, intent: int, seconds: float = 60.0) -> int:
        """When the log says that it was put in force (ns)."""
        self.wait(intent, "applied", "verified", seconds=seconds)
        return next(
            entry.event.time
            for entry in self.controller.log.since(0)
            if (entry.event.intent, entry.event.state) == (intent, "applied")
        )

    def close(self) -> None:
        self._stopping.set()
        self._thread.join(5)
        self.parts.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
