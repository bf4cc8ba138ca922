"""Findings, conclusions, checkpoints, the outbox and the audit log in SQL: the durable memory of a runner."""

from __future__ import annotations

from andon.store.casebook.book import Casebook
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

__all__ = [
    "AuditEntry",
    "Carry",
    "Casebook",
    "CasebookError",
    "Checkpoint",
    "Conclusion",
    "EngineTable",
    "Filter",
    "Message",
    "Queued",
    "StateFiles",
    "StoredFinding",
    "wire_id",
]
