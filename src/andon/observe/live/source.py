"""What the live runner expects of a source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa


@dataclass(frozen=True)
class Piece:
    """Rows (records.packet.SCHEMA, all columns, wire types; may be none) and where the source stands after them.

    Or records of another kind, which the batch says (``records.kinds.marked``); the position then has ``promise``: ns
    before which none will come any more, None where that is not known.

    ``of``: which member of the source the rows are of, where it gives those of several (sensors behind a bus): each has
    a time of its own, and the source's position comes with a later piece of the same poll. ``forgeable``: anybody who
    reached that member's port could have sent them. ``events``: what happened after these rows, as in
    ``Source.events``."""

    batch: pa.RecordBatch
    position: Mapping[str, Any]
    of: str = ""
    forgeable: bool = False
    events: tuple[Mapping[str, Any], ...] = field(default=())


class SourceError(RuntimeError):
    """A source cannot be opened or went away; the text says which, why, and what to do. ``passing``: the next poll
    may work (an interface that is down, a folder whose server is away)."""

    def __init__(self, text: str, passing: bool = False) -> None:
        super().__init__(text)
        self.passing = passing


class Source(Protocol):
    """Read by one thread. ``replayable``: opened at an earlier position it gives the same rows again. ``can_wait``:
    nothing is lost while it is not asked. ``trouble``: what keeps packets from coming, in words, or ""."""

    name: str
    replayable: bool
    can_wait: bool
    trouble: str

    def open(self, position: Mapping[str, Any] | None) -> None:
        """Start, where ``position`` (of the last piece that was kept) says, or at the beginning. Raises SourceError."""

    def poll(self, timeout: float) -> list[Piece]:
        """What has come; waits up to about ``timeout`` seconds for something. Raises SourceError."""

    def events(self) -> list[dict[str, Any]]:
        """What happened since the last call: {"type": "gap" | "damage" | "lost" | "idle" | ...,...}, JSON values. It
        goes into the journal before the pieces of the poll that it was found in."""

    def quiet(self) -> int | None:
        """To be asked after a poll that gave nothing: ns since 1970 before which no packet will come any more; None
        where silence does not mean that nothing happened."""

    @property
    def finished(self) -> bool:
        """Nothing will ever come again."""

    def close(self) -> None: ...
