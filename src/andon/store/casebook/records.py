"""What goes into the casebook and comes out of it, as plain values. Times are ns since 1970 UTC."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from andon.records.finding import SEVERITIES, Finding
from andon.store.errors import StoreError


class CasebookError(StoreError):
    """The casebook could not be read or written, for a reason other than StoreFull, StoreReadOnly, StoreLocked and
    StoreDamaged; the text says what to do. ``passing``: the same call may work later (the server is away)."""

    def __init__(self, text: str, passing: bool = False) -> None:
        super().__init__(text)
        self.passing = passing


@dataclass(frozen=True)
class Message:
    """Something to deliver to one sink, once.

    ``dedup_key`` names the event (not the attempt) and is unique per sink: an event of a state machine carries its
    time or number, or a later one of the same name is taken for a repetition. ``text`` is for people, ``body``
    (JSON) for machines."""

    dedup_key: str
    sink: str
    kind: str
    subject: str
    text: str
    body: Mapping[str, Any]

    def __post_init__(self) -> None:
        for name, limit in (("dedup_key", 512), ("sink", 128), ("kind", 64)):
            value = getattr(self, name)
            if not value or len(value) > limit:
                raise ValueError(f"{name} of a message has 1 to {limit} characters, not {len(value)}")


def wire_id(sink: str, dedup_key: str) -> str:
    """What the other side sees as the identity of a message, the same in every attempt (32 hex digits).

    >>> len(wire_id("soc", "finding-1"))
    32
    """
    return hashlib.sha256(f"{sink}\x1f{dedup_key}".encode("utf-8", "replace")).hexdigest()[:32]


@dataclass(frozen=True)
class Queued:
    """A message of the outbox. ``body`` is JSON text; ``members``: how many messages this one (a digest) carries."""

    id: int
    dedup_key: str
    sink: str
    kind: str
    subject: str
    text: str
    body: str
    created: int
    attempts: int = 0
    next_at: int = 0
    state: str = "queued"
    refused: bool = False
    error: str = ""
    done: int | None = None

    @property
    def wire_id(self) -> str:
        return wire_id(self.sink, self.dedup_key)


@dataclass(frozen=True)
class Conclusion:
    """One concluded span of one engine, with all that has to be stored together.

    ``segment``: number of the last journal segment that went into it. ``tables``: (name, path, digest, rows); name is
    ``TABLE`` or ``ENGINE:TABLE``. ``carry_digest``: name of the carry's file, "" for none. ``clock``: when."""

    engine: str
    version: int
    span: str
    start: int
    end: int
    segment: int
    findings: tuple[Finding, ...] = ()
    carry_digest: str = ""
    tables: tuple[tuple[str, str, str, int], ...] = ()
    messages: tuple[Message, ...] = ()
    wake_at: int | None = None
    clock: int = 0

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise ValueError(f"a span ends after it starts: {self.start} to {self.end}")


@dataclass(frozen=True)
class Checkpoint:
    """Where the runner stands between conclusions: everything through ``segment`` is in these states.

    ``states``: name -> digest of its file. ``findings`` and ``messages`` of the runner itself (gaps, shed load) may
    go into the same transaction."""

    segment: int
    states: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    clock: int = 0
    findings: tuple[Finding, ...] = ()
    messages: tuple[Message, ...] = ()


@dataclass(frozen=True)
class Carry:
    """The newest conclusion of an engine and span. ``digest`` is "" where the engine kept nothing."""

    engine: str
    span: str
    start: int
    end: int
    version: int
    segment: int
    digest: str
    wake_at: int | None
    clock: int


@dataclass(frozen=True)
class EngineTable:
    """A published table at rest."""

    name: str  # ENGINE:TABLE
    span: str
    start: int
    end: int
    path: str
    digest: str
    rows: int


@dataclass(frozen=True)
class StoredFinding:
    """A finding as stored. ``document`` is its public JSON form (``andon.finding/1``) as text."""

    seq: int
    id: str
    series: str
    revision: int
    engine: str
    engine_version: int
    kind: str
    severity: str
    confidence: float
    window_start: int
    window_end: int
    first_seen: int
    last_seen: int
    count: int
    title: str
    stored: int
    document: str

    def to_dict(self) -> dict[str, Any]:
        """The public form as a dictionary."""
        body: dict[str, Any] = json.loads(self.document)
        return body


@dataclass(frozen=True)
class Filter:
    """Which findings; empty means any. ``severity``: that or worse. ``since`` <= last seen < ``until``.

    ``entity``: value of a subject or of one of the (at most 100) entities in the JSON form.
    Raises ValueError for a severity that is not in the table."""

    kinds: tuple[str, ...] = ()
    engines: tuple[str, ...] = ()
    severity: str = ""
    since: int | None = None
    until: int | None = None
    entity: str = ""
    series: str = ""

    def __post_init__(self) -> None:
        if self.severity and self.severity not in SEVERITIES:
            raise ValueError(f"severity {self.severity!r} is none of {', '.join(SEVERITIES)}")

    @property
    def severities(self) -> tuple[int, ...]:
        first = SEVERITIES.index(self.severity) if self.severity else 0
        return tuple(range(first, len(SEVERITIES)))


@dataclass(frozen=True)
class AuditEntry:
    """Who did what to what."""

    time: int
    actor: str
    action: str
    subject: str
    detail: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
