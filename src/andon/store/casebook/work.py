"""A piece of work on the casebook: whatever is done in it is one transaction, with the cursors of who followed it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from andon.records.finding import Finding
from andon.store.casebook import findings as finding_rows
from andon.store.casebook import queue
from andon.store.casebook.alerts import Alerts
from andon.store.casebook.basics import write_audit
from andon.store.casebook.cases import Cases
from andon.store.casebook.cursors import Cursors
from andon.store.casebook.episodes import Episodes
from andon.store.casebook.model_rows import Models
from andon.store.casebook.records import AuditEntry, Message
from andon.store.casebook.session import Session
from andon.store.casebook.suppressions import Suppressions
from andon.store.casebook.verdicts import Verdicts


class Work:
    """What ``with book.work(actor) as work`` gives. Everything is written when the block ends, nothing if it raises.
    Its calls need no ``actor`` and no ``now``."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.actor = session.actor("")
        self.now = session.now(None)
        self.alerts = Alerts(session)
        self.episodes = Episodes(session)
        self.cases = Cases(session)
        self.verdicts = Verdicts(session)
        self.suppressions = Suppressions(session)
        self.models = Models(session)
        self._cursors = Cursors(session)

    def cursor(self, name: str) -> int:
        """How far a follower has come; 0 at first."""
        return self._cursors.get(name)

    def move(self, name: str, to: int, expected: int | None = None) -> None:
        """Move a follower's cursor. Raises Conflict if it does not stand at ``expected``."""
        self._cursors.move(name, to, expected)

    def record(self, findings: Sequence[Finding] = (), messages: Sequence[Message] = ()) -> int:
        """Findings and messages to deliver; how many findings were new."""
        with self._session.write() as connection:
            queue.enqueue(connection, messages, self.now)
            return finding_rows.store(connection, findings, self.now)

    def audit(self, action: str, subject: str, detail: Mapping[str, Any] | None = None) -> None:
        """A line of the audit log."""
        with self._session.write() as connection:
            write_audit(connection, AuditEntry(self.now, self.actor, action, subject, dict(detail or {})))
