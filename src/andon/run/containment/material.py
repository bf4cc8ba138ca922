"""What the items of a case say, for what is proposed about it; and what of it anybody could have made up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from andon.contain.guard import FLOWS
from andon.contain.propose import Material, field_of
from andon.records.case import Case
from andon.records.columns import plain_rows
from andon.records.kinds import CONTACT, FLOW
from andon.store.casebook import Casebook
from andon.triage.cases.items import EPISODE, FINDING

_LARGEST: Final = 500  # items of a case that are read: the newest
_BEFORE: Final = (
    90 * 86_400 * 1_000_000_000
)  # ns that engines over contacts and flows may look back, and more
_LIVENET: Final = "livenet"
_ALERTS: Final = "alerts:"


def material_of(book: Casebook, case: Case) -> Material:
    """What the newest items of a case say. Raises StoreError."""
    ids: dict[str, list[str]] = {EPISODE: [], FINDING: []}
    for kind, id in case.items:
        ids.setdefault(kind, []).append(id)
    rows = plain_rows(book.episodes.get(ids[EPISODE]))
    rows = sorted(rows, key=lambda row: (row["last"], row["id"]))[-_LARGEST:]
    kept = [book.finding(id) for id in ids[FINDING][-_LARGEST:]]
    documents = [one.to_dict() for one in kept if one is not None]
    return Material(documents, rows, forgeable_of(book, case, documents, rows))


def forgeable_of(
    book: Casebook, case: Case, documents: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]
) -> dict[str, tuple[str, ...]]:
    """What of a case's findings and episodes anybody could have made up, as ``Material.forgeable`` has it.

    An episode is, if none of its alerts came another way than through a source that anybody can send to. What engines
    found in contacts and flows (``livenet``), and what verification saw in flows, is as soon as such a source gave
    contacts or flows at all: which of them a finding rests on is not known. Engines over packets and reports read
    nothing that comes through such a source. Raises StoreError."""
    made: dict[str, tuple[str, ...]] = dict(book.alerts.origins.of_episodes(rows))
    since = case.first_seen - _BEFORE
    seen = book.alerts.origins.forgeable((CONTACT, FLOW), since)
    flows = book.alerts.origins.forgeable((FLOW,), since)
    if flows:
        made[FLOWS] = flows
    for document in documents:
        field = field_of(document)
        names: tuple[str, ...] = ()
        if field == _LIVENET:
            names = seen
        elif field.startswith(_ALERTS):
            names = _of_alerts(book, document, since)
        if names:
            made[str(document["id"])] = names
    return made


def _of_alerts(book: Casebook, document: Mapping[str, Any], since: int) -> tuple[str, ...]:
    """Of a finding that triage made of alerts: as its episode, or if it names none that is kept, of any alerts."""
    id = str((document.get("attributes") or {}).get("episode", ""))
    rows = plain_rows(book.episodes.get([id])) if id else []
    if not rows:
        return book.alerts.origins.forgeable(("alert",), since)
    return book.alerts.origins.of_episodes(rows).get(id, ())
