"""What is to be told, out of a store: findings, cases with their verdicts and findings, intents with their state.

Documents come one by one, oldest last as the casebook gives them, so that an export of a million findings takes little
memory until a format wants them all at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from andon.records.mask import MASKED
from andon.share.formats.view import case_document, intent_document

if TYPE_CHECKING:
    from andon.store.casebook import Casebook, CaseFilter, Filter
    from andon.store.casebook.lines import FindingLines

WHAT: Final = ("findings", "cases", "intents")
_PAGE: Final = 200
_ITEMS: Final = 200  # findings of a case that are told of with their titles


def findings(
    book: Casebook | FindingLines, wanted: Filter, limit: int | None = None
) -> Iterator[dict[str, Any]]:
    """JSON forms of the findings that fit. Raises StoreError."""
    for one in book.findings(wanted, limit):
        yield one.to_dict()


def telescope(book: Casebook | FindingLines) -> list[str] | None:
    """The dark prefixes that the newest census names; [] if they have been masked already, None if it names none.
    Raises StoreError."""
    from andon.store.casebook import Filter

    for one in book.findings(Filter(kinds=("census",)), 20):
        said = one.to_dict().get("attributes", {}).get("telescope")
        if isinstance(said, list) and said and all(isinstance(text, str) for text in said):
            return [] if any(MASKED in text for text in said) else said
    return None


def cases(book: Casebook, wanted: CaseFilter, limit: int | None = None) -> Iterator[dict[str, Any]]:
    """Cases as ``andon.case/1``. Raises StoreError."""
    last: tuple[float, int, str] | None = None
    left = limit
    while left is None or left > 0:
        size = _PAGE if left is None else min(_PAGE, left)
        page = book.cases.page(wanted, last, size)
        for case in page:
            held = [book.finding(id) for kind, id in case.items[:_ITEMS] if kind == "finding"]
            verdicts = book.verdicts.of(("case", case.id))
            yield case_document(case, verdicts, [one.to_dict() for one in held if one is not None])
        if len(page) < size:
            return
        left = None if left is None else left - len(page)
        last = page[-1].priority, page[-1].last_seen, page[-1].id


def intents(folder: Path, since: int | None = None, until: int | None = None) -> Iterator[dict[str, Any]]:
    """Intents of ``STORE/contain`` as ``andon.intent/1`` with their ``state``, in the order of their making.
    ``since`` <= created < ``until``, ns. Raises StoreError, OSError."""
    from andon.store.intents import IntentLog

    log = IntentLog(folder, read_only=True)
    try:
        held = sorted(log.intents().values(), key=lambda one: (one.intent.created, one.intent.id))
    finally:
        log.close()
    for one in held:
        if (since is None or one.intent.created >= since) and (until is None or one.intent.created < until):
            yield intent_document(one.intent, one.state, one.since)
