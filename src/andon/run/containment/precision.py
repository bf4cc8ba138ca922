"""How often each field was right, by what analysts said of cases: what a detector must show before it acts alone.

Counted are cases of which the newest verdict says what they were. A true positive is right; a benign one is wrong here,
since its host would have been cut off for nothing. Verdicts in bulk and those who are unsure do not count, nor does
what came only through sources that anybody can send to: it never acts alone.
"""

from __future__ import annotations

from typing import Final

from andon.contain.propose import Material, grounds_of
from andon.records.case import TRUE, UNSURE, Verdict
from andon.records.columns import plain_rows
from andon.run.containment.material import forgeable_of
from andon.store.casebook import Casebook

MOST: Final = 2_000  # cases; the newest
_CHUNK: Final = 250

Precision = dict[tuple[str, str], tuple[int, int]]


def precision_of(book: Casebook) -> Precision:
    """(field, level) -> (right, all) of cases in which that field spoke and that were judged to be of that level; the
    level is the case's of now. Raises StoreError."""
    newest: dict[str, Verdict] = {}
    for verdict in book.verdicts.all():
        kind, id = verdict.subject
        if kind == "case" and verdict.shown != "bulk":
            newest.pop(id, None)  # the newest last
            newest[id] = verdict
    wanted = [id for id, verdict in list(newest.items())[-MOST:] if verdict.label != UNSURE]
    counts: dict[tuple[str, str], list[int]] = {}
    for at in range(0, len(wanted), _CHUNK):
        cases = book.cases.get_many(wanted[at : at + _CHUNK])
        items = [item for case in cases.values() for item in case.items]
        rows = plain_rows(book.episodes.get([one for kind, one in items if kind == "episode"]))
        said = {str(row["id"]): row for row in rows}
        for id, case in cases.items():
            found = [book.finding(one) for kind, one in case.items if kind == "finding"]
            documents = [one.to_dict() for one in found if one is not None]
            spoke = [said[one] for kind, one in case.items if kind == "episode" and one in said]
            material = Material(documents, spoke, forgeable_of(book, case, documents, spoke))
            grounds = grounds_of(case, material)
            for field in {ground.field for ground in grounds if not ground.forgeable} - {""}:
                held = counts.setdefault((field, case.level), [0, 0])
                held[0] += newest[id].label == TRUE
                held[1] += 1
    return {key: (right, of) for key, (right, of) in counts.items()}
