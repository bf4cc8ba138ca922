"""Fetching what others saw of our addresses: pages from the hub to a file or standard output, and how far we are.

The cursor is written when its page is in the file (synced) or has left for standard output, so a kill loses nothing.
The file is opened anew for each round: whoever turns logs over may rename it meanwhile.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from andon.share.hub.client import HubClient
from andon.share.hub.told import Lines, appending, line_of
from andon.store.durable import write_durable


class Pull:
    """``cursor``: file that remembers the place; without it a process begins at the beginning. ``out``: file that is
    appended to; None: standard output. Raises ValueError for a file that is no cursor, OSError."""

    def __init__(
        self,
        client: HubClient,
        cursor: Path | None = None,
        out: Path | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._client, self._cursor, self.out, self._clock = client, cursor, out, clock
        self.since = 0
        if cursor is not None and cursor.exists():
            text = cursor.read_text(encoding="ascii", errors="replace").strip()
            if not text.isascii() or not text.isdigit() or len(text) > 19:
                raise ValueError(f"{cursor}: no cursor: remove the file to read everything")
            self.since = int(text)

    def round(self) -> tuple[int, int]:
        """Everything that is new: how many were told, and how many the hub gave that are no sightings. Raises
        Unreachable, Refused, StoreError, OSError."""
        told = left_out = 0
        with appending(self.out) if self.out is not None else nullcontext() as lines:
            for page, after in self._client.sightings(self.since):
                now = self._clock()
                made = [line for one in page if (line := line_of(one, now)) is not None]
                told += _tell(lines, made)
                left_out += len(page) - len(made)
                if self._cursor is not None and after != self.since:
                    write_durable(self._cursor, [f"{after}\n".encode()])
                self.since = after
        return told, left_out


def _tell(lines: Lines | None, made: Sequence[Mapping[str, Any]]) -> int:
    if lines is not None:
        return lines.add(made)
    for one in made:
        print(json.dumps(one))
    sys.stdout.flush()
    return len(made)
