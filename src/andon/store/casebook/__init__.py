"""Findings, conclusions, checkpoints, the outbox and the audit log in SQL: the durable memory of a runner."""

from __future__ import annotations

from andon.store.casebook.book import Casebook
from andon.store.casebook.case_records import (
    AlertFilter,
    CaseFilter,
    Conflict,
    EpisodeFilter,
    Event,
    Missing,
    ModelEvent,
    ModelRow,
    NotAllowed,
    Preview,
)
from andon.store.casebook.files import StateFiles
from andon.store.casebook.records import (
    AuditEntry,
    Carry,
    CasebookError,
    Checkpoint,
    Conclusion,
    EngineTable,
    Filter,
    Message,
    Queued,
    StoredFinding,
    wire_id,
)
from andon.store.casebook.retention import Forgotten
from andon.store.casebook.work import Work

__all__ = [
    "AlertFilter",
    "AuditEntry",
    "Carry",
    "CaseFilter",
    "Casebook",
    "CasebookError",
    "Checkpoint",
    "Conclusion",
    "Conflict",
    "EngineTable",
    "EpisodeFilter",
    "Event",
    "Filter",
    "Forgotten",
    "Message",
    "Missing",
    "ModelEvent",
    "ModelRow",
    "NotAllowed",
    "Preview",
    "Queued",
    "StateFiles",
    "StoredFinding",
    "Work",
    "wire_id",
]
