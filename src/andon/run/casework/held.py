"""What casework remembers of an open case between two steps: little, since cases may stay open for months."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from andon.records.case import Case

TOLD = "told"  # in a judgement: somebody was told that the case is to be acted on


@dataclass(frozen=True, slots=True)
class Held:
    """``judged``: how many items it had when it was judged, -1 if it never was; ``through``: ns up to when there were
    tables of flows then, None if that was not known; ``digest``: of all that anybody sees of it."""

    version: int
    tier: str
    opened: int
    assignee: str
    last: int
    items: int
    judged: int
    through: int | None
    told: bool
    digest: bytes

    @classmethod
    def of(cls, case: Case) -> Held:
        through = case.judgement.get("checked_through")
        return cls(
            case.version, case.tier, case.opened, case.assignee, case.last_seen, len(case.items),
            int(case.judgement.get("group", {}).get("items", -1)), None if through is None else int(through),
            bool(case.judgement.get(TOLD)), digest(case),
        )  # fmt: skip


def digest(case: Case) -> bytes:
    """Equal for cases that say the same, whenever and in whichever version."""
    said: list[Any] = [
        case.state, case.tier, case.level, case.priority, case.title, case.statement, case.entities,
        case.first_seen, case.last_seen, case.assignee, case.site, sorted(case.items), case.judgement,
    ]  # fmt: skip
    text = json.dumps(said, sort_keys=True)
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()
