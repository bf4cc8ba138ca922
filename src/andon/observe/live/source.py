"""What the live runner expects of a source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa


@dataclass(frozen=True)
class Piece:
    """Rows (records.packet.SCHEMA, all columns, wire types; may be none) and where the source stands after them."""

    batch: pa.RecordBatch
    position: Mapping[str, Any]


class SourceError(RuntimeError):
    """A source cannot be opened or went away; the text says which, why, and what to do."""


class Source(Protocol):
    """Read by one thread. ``replayable``: opened at an earlier position it gives the same rows again. ``can_wait``:
    nothing is lost while it is not asked. ``live``: its timestamps are this machine's clock, so silence means that
    nothing happened."""

    name: str
    replayable: bool
    can_wait: bool
    live: bool

    def open(self, position: Mapping[str, Any] | None) -> None:
        """Start, where ``position`` (of the last piece that was kept) says, or at the beginning. Raises SourceError."""

    def poll(self, timeout: float) -> list[Piece]:
        """What has come; waits up to ``timeout`` seconds for something. Raises SourceError if it went away."""

    def events(self) -> list[dict[str, Any]]:
        """What happened since the last call: {"type": "gap" | "damage" | "lost" | ...,...}, JSON values."""

    @property
    def finished(self) -> bool:
        """Nothing will ever come again."""

    def close(self) -> None: ...
