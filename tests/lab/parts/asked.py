"""The other end of ``parts.remote``: verbs on standard input, answers on standard output, work in between."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import sys
from collections.abc import Callable, Mapping
from typing import Any


class Asked:
    """``turn(seconds)`` answers what was asked and calls back whoever waits for a socket. Ends with its input."""

    def __init__(self, verbs: Mapping[str, Callable[..., Any]]) -> None:
        self._verbs = {"ready": lambda: True, **verbs}
        self._rest = b""
        self.sockets = selectors.DefaultSelector()
        os.set_blocking(0, False)
        self.sockets.register(0, selectors.EVENT_READ, self._read)

    def turn(self, seconds: float) -> None:
        for key, _ in self.sockets.select(max(0.0, seconds)):
            key.data()

    def forget(self, what: Any) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self.sockets.unregister(what)

    def _read(self) -> None:
        try:
            read = os.read(0, 1 << 16)
        except BlockingIOError:
            return
        if not read:
            sys.exit(0)
        *lines, self._rest = (self._rest + read).split(b"\n")
        for line in lines:
            asked = json.loads(line)
            try:
                answer = {"value": self._verbs[asked.pop("verb")](**asked)}
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            os.write(1, json.dumps(answer).encode() + b"\n")
