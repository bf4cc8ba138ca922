"""The two processes beside the lab's own: one sends, one receives; asked by lines of JSON.

They are processes of their own so that a burst of work in the process under test neither delays what is sent nor
what is written down of it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from types import TracebackType
from typing import Any, Self

from parts.spaces import started


class Remote:
    """``ask(verb, **values)`` gives the answer of the module ``name`` of this folder; raises RuntimeError."""

    def __init__(self, name: str) -> None:
        self._process = started(
            "", [sys.executable, "-m", f"parts.{name}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._lock = threading.Lock()
        self.ask("ready")

    def ask(self, verb: str, **values: Any) -> Any:
        with self._lock:
            assert self._process.stdin is not None and self._process.stdout is not None
            self._process.stdin.write(json.dumps({"verb": verb, **values}).encode() + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} has ended")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["value"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait(10)


class Near(Remote):
    """Who sends. Flows are named in ``parts.flows``; each goes on until it is stopped."""

    def __init__(self) -> None:
        super().__init__("near")

    def start(self, *flows: str, rate: float = 0) -> None:
        """``rate``: messages a second, 0 for the flow's own."""
        self.ask("start", flows=flows, rate=rate)

    def stop(self, *flows: str) -> None:
        """These, or all."""
        self.ask("stop", flows=flows)

    def sent(self, flow: str, since: int = 0, until: int = 1 << 62) -> int:
        """How many messages were sent from ``since`` to ``until`` (ns, UTC)."""
        return int(self.ask("sent", flow=flow, since=since, until=until))

    def failed(self, flow: str, since: int = 0, until: int = 1 << 62) -> int:
        """Of a flow of connections: how many begun then came to nothing (refused, no answer within three seconds)."""
        return int(self.ask("failed", flow=flow, since=since, until=until))


class Far(Remote):
    """Who receives, and answers connections."""

    def __init__(self) -> None:
        super().__init__("far")

    def arrived(self, flow: str, since: int = 0, until: int = 1 << 62) -> int:
        """How many different messages that were sent from ``since`` to ``until`` have arrived."""
        return int(self.ask("arrived", flow=flow, since=since, until=until))

    def last(self, flow: str, until: int = 1 << 62) -> tuple[int, int]:
        """When the newest message that arrived, of those sent up to ``until``, was sent; and when the newest arrived.

        0 and 0 if none has. The first is the measure of enforcement: what was under way is nobody's fault.
        """
        sent, arrived = self.ask("last", flow=flow, until=until)
        return int(sent), int(arrived)

    def first(self, flow: str, since: int) -> int:
        """When the first message that arrived, of those sent after ``since``, was sent; 0 if none has."""
        return int(self.ask("first", flow=flow, since=since))

    def settled(self, flow: str, quiet: float = 0.05, seconds: float = 2.0) -> tuple[int, int]:
        """``last`` once nothing has arrived for ``quiet`` seconds; after ``seconds`` as it is then."""
        end = time.monotonic() + seconds
        while True:
            found = self.last(flow)
            if time.time_ns() - found[1] > quiet * 1e9 or time.monotonic() > end:
                return found
            time.sleep(quiet / 4)
