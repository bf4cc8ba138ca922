"""What the guard answers, and what it is told of intents that are there already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from andon.records.intent import DRY_RUN, PROPOSED, REFUSED, WAITING, WANTED, Intent

ALLOWED, NEEDS_APPROVAL, FORBIDDEN = "allow", "needs-approval", "refuse"
AUTOMATON: Final = "andon"  # who asks where nobody does
# What was decided to be done: a dry run is judged as the real thing would have been.
IN_FORCE: Final = WANTED | {DRY_RUN}
UNDECIDED: Final = frozenset((PROPOSED, REFUSED, WAITING))


@dataclass(frozen=True)
class Ruling:
    """``decision``: "allow", "needs-approval" or "refuse"; ``reasons`` in words, at least one; ``rules``: short names
    of the rules that spoke, for counts."""

    decision: str
    reasons: tuple[str, ...]
    rules: tuple[str, ...] = ()


@dataclass(frozen=True)
class Held:
    """An intent that is known already. ``since``: when it came into ``state`` (ns); ``automatic``: nobody asked for it
    and nobody had to agree."""

    intent: Intent
    state: str
    since: int
    automatic: bool


def is_automatic(intent: Intent) -> bool:
    """Whether nobody asked for an intent. Whoever has no name is nobody."""
    return same_name(intent.requested_by) in ("", AUTOMATON)


def same_name(text: str) -> str:
    """A person's name as names are compared: neither blanks nor case nor the width of letters make another person.

    >>> same_name(" Alice\\u200b ") == same_name("ＡLICE")
    True
    """
    from unicodedata import category, normalize

    made = normalize("NFKC", text).casefold()
    return " ".join("".join(c for c in made if category(c) not in ("Cf", "Cc", "Mn")).split())
