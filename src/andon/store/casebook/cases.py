"""Cases: what analysts work on. Every change takes the version further, and writes a line of the timeline and of the
audit log in the same transaction; two who change the same case are told, and neither's change is lost.

A change that rests on what was read (``update``) names the version that was read and is refused if another came
first. A change of one thing (a note, an assignment) needs no version: it is made to whatever is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from andon.records.case import CLOSED, MERGED, OPEN, Case
from andon.store.casebook import case_joins, case_rows
from andon.store.casebook.basics import clean
from andon.store.casebook.case_events import changed, events, write_event
from andon.store.casebook.case_records import CaseFilter, Conflict, Event, NotAllowed
from andon.store.casebook.session import Session

LONGEST_NOTE = 100_000  # characters


class Cases:
    """``book.cases``, or ``work.cases`` within one transaction.

    >>> import tempfile
    >>> from andon.store.casebook import Casebook
    >>> with tempfile.TemporaryDirectory() as folder, Casebook(folder) as book:
    ...     book.migrate()
    ...     made = book.cases.create(Case("c1", 0, "open", "inspect", "", 0.5, "Odd", "It is odd.",
    ...         (("hostname", "web1"),), 0, 1, 2, 2), actor="casework")
    ...     kept = book.cases.assign("c1", "mori", actor="mori")
    ...     kept.version, [event.action for event in book.cases.timeline("c1")]
    (2, ['create', 'assign'])
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    # Reading

    def get(self, id: str) -> Case:
        """The case of this id, or the only one whose id begins so (from four digits on). Raises Missing."""
        with self._session.read() as connection:
            return case_rows.one(connection, id)

    def get_many(self, ids: Sequence[str]) -> dict[str, Case]:
        """Those that are there, by id."""
        with self._session.read() as connection:
            return case_rows.get(connection, ids)

    def root(self, id: str) -> Case:
        """The case that this one went into in the end, or itself. Raises Missing."""
        with self._session.read() as connection:
            return case_joins.root(connection, id)

    def page(
        self, wanted: CaseFilter | None = None, before: case_rows.Place | None = None, limit: int = 50
    ) -> list[Case]:
        """The queue: highest priority first, then newest. ``before``: go on after (priority, last seen, id)."""
        with self._session.read() as connection:
            return case_rows.page(connection, wanted or CaseFilter(), before, limit)

    def counts(self) -> Mapping[tuple[str, str], int]:
        """(state, tier) -> cases."""
        with self._session.read() as connection:
            return case_rows.counts(connection)

    def since(self, seq: int, limit: int = 500) -> tuple[list[Case], int]:
        """Cases changed after number ``seq``, in the order of their last change, and the number to go on from."""
        with self._session.read() as connection:
            return case_rows.after(connection, seq, limit)

    def find_open(
        self, site: str, host: str, since: int, anywhere: bool = False, limit: int = 20
    ) -> list[Case]:
        """Open cases of a host (value of the first entity; ``anywhere``: of any), last seen at ``since`` or later,
        newest first."""
        with self._session.read() as connection:
            return case_rows.find_open(connection, site, host, since, anywhere, limit)

    def of_item(self, kind: str, id: str) -> Case | None:
        """The case that a finding or episode is in now."""
        with self._session.read() as connection:
            return case_rows.of_item(connection, kind, id)

    def timeline(self, id: str, limit: int = 10_000) -> list[Event]:
        """What was done to a case, oldest first; of more than ``limit`` lines the newest."""
        with self._session.read() as connection:
            return events(connection, id, limit)

    # Changing

    def create(
        self,
        case: Case,
        actor: str = "",
        detail: Mapping[str, Any] | None = None,
        now: int | None = None,
    ) -> Case:
        """Store a new case, with those of its items that are in no other. Its version becomes 1. Raises Conflict if
        the id is taken, ValueError for a case that must not be stored."""
        who, when = self._session.actor(actor), self._session.now(now)
        case_rows.check(case)
        if case.state == MERGED or case.merged_into:
            raise ValueError("a case is merged by `merge`, it does not begin so")
        with self._session.write() as connection:
            new = replace(case, version=1, opened=case.opened or when, updated=when)
            if not case_rows.add(connection, new):
                raise Conflict(
                    f"there is a case {case.id} already", case_rows.one(connection, case.id).version
                )
            kept = case_rows.put_items(connection, case.id, case.items, when)
            write_event(connection, new, who, "create", when, {"title": case.title, **(detail or {})})
            return replace(new, items=tuple(kept))

    def update(
        self,
        case: Case,
        expected_version: int,
        actor: str = "",
        action: str = "update",
        detail: Mapping[str, Any] | None = None,
        now: int | None = None,
    ) -> Case:
        """Store a changed case; items that it has more than before are added, none is taken away. State and
        ``merged_into`` are changed by the calls made for it, not here.

        Raises Conflict if the case was changed since ``expected_version``, and then nothing is stored."""
        case_rows.check(case)
        who, when = self._session.actor(actor), self._session.now(now)
        with self._session.write() as connection:
            old = self._held(connection, case.id, expected_version)
            new = replace(case, state=old.state, merged_into=old.merged_into, opened=old.opened, updated=when)
            added = case_rows.put_items(
                connection, old.id, [i for i in case.items if i not in old.items], when
            )
            new = case_rows.put(connection, old, new)
            told = dict(detail or {})
            if added:
                told.setdefault("added", [list(item) for item in added])
            write_event(connection, new, who, action, when, {**changed(old, new), **told})
            return replace(new, items=old.items + tuple(added))

    def add_items(
        self, id: str, items: Iterable[tuple[str, str]], actor: str = "", now: int | None = None
    ) -> Case:
        """Put (kind, id) of findings or episodes into a case; those that are in a case already stay where they are.
        The case's times do not change: ``update`` does that. Nothing new: nothing is written."""
        who, when = self._session.actor(actor), self._session.now(now)
        with self._session.write() as connection:
            old = self._held(connection, id)
            added = case_rows.put_items(connection, old.id, items, when)
            if not added:
                return old
            new = case_rows.put(connection, old, replace(old, updated=when))
            write_event(connection, new, who, "add-items", when, {"added": [list(item) for item in added]})
            return replace(new, items=old.items + tuple(added))

    def assign(
        self, id: str, to: str, actor: str = "", expected_version: int | None = None, now: int | None = None
    ) -> Case:
        """Give a case to an analyst; "" gives it back."""

        def change(old: Case) -> Case:
            return replace(old, assignee=clean(to).strip()[:128])

        return self._change(id, actor, "assign", {"to": to}, change, expected_version, now)

    def note(self, id: str, text: str, actor: str = "", now: int | None = None) -> Case:
        """Write something down in the timeline. Raises ValueError if it is empty or longer than LONGEST_NOTE."""
        if not text.strip() or len(text) > LONGEST_NOTE:
            raise ValueError(f"a note has 1 to {LONGEST_NOTE:,} characters, not {len(text):,}")
        return self._change(id, actor, "note", {"text": clean(text)}, lambda old: old, None, now)

    def close(
        self,
        id: str,
        reason: str,
        actor: str = "",
        expected_version: int | None = None,
        now: int | None = None,
    ) -> Case:
        """Done with it. Raises NotAllowed if it is not open, ValueError without a reason."""
        if not reason.strip():
            raise ValueError("say why the case is closed")

        def change(old: Case) -> Case:
            if old.state != OPEN:
                raise NotAllowed(f"case {old.id} is {old.state}, not open")
            return replace(old, state=CLOSED)

        return self._change(id, actor, "close", {"reason": clean(reason)}, change, expected_version, now)

    def reopen(
        self,
        id: str,
        actor: str = "",
        reason: str = "",
        expected_version: int | None = None,
        now: int | None = None,
    ) -> Case:
        """Take a closed case up again. Raises NotAllowed if it is open; a merged one is taken out by ``unmerge``."""

        def change(old: Case) -> Case:
            if old.state != CLOSED:
                raise NotAllowed(f"case {old.id} is {old.state}, not closed")
            return replace(old, state=OPEN)

        return self._change(id, actor, "reopen", {"reason": clean(reason)}, change, expected_version, now)

    def merge(self, ids: Sequence[str], into: str, actor: str = "", now: int | None = None) -> Case:
        """Put cases into one: its items are theirs too, its times, level, tier and priority the strongest of all.
        They stay, point to it, and come out again by ``unmerge``. Raises NotAllowed, Missing."""
        who, when = self._session.actor(actor), self._session.now(now)
        with self._session.write() as connection:
            return case_joins.merge(connection, ids, into, who, when)

    def unmerge(self, id: str, actor: str = "", now: int | None = None) -> Case:
        """Take a merged case out again, as it was, with the items that went over and are still there. What the merge
        changed of the other case goes back unless somebody changed it since. Returns the case taken out."""
        who, when = self._session.actor(actor), self._session.now(now)
        with self._session.write() as connection:
            return case_joins.unmerge(connection, id, who, when)

    def split(
        self, id: str, items: Sequence[tuple[str, str]], actor: str = "", now: int | None = None
    ) -> Case:
        """Make a new case of some items of this one; both say so. Raises NotAllowed for items that are not in it, or
        for all of them."""
        who, when = self._session.actor(actor), self._session.now(now)
        with self._session.write() as connection:
            return case_joins.split(connection, id, items, who, when)

    def _change(
        self,
        id: str,
        actor: str,
        action: str,
        detail: Mapping[str, Any],
        change: Callable[[Case], Case],
        expected: int | None,
        now: int | None,
    ) -> Case:
        who, when = self._session.actor(actor), self._session.now(now)
        with self._session.write() as connection:
            old = self._held(connection, id, expected)
            new = case_rows.put(connection, old, replace(change(old), updated=when))
            write_event(connection, new, who, action, when, detail)
            return new

    def _held(self, connection: Connection, id: str, expected: int | None = None) -> Case:
        old = case_rows.one(connection, id)
        if expected is not None and old.version != expected:
            raise Conflict(
                f"case {old.id} was changed by somebody else: it has version {old.version}, not {expected}; "
                "read it again",
                old.version,
            )
        return old
