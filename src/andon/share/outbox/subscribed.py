"""Findings that a sink asks for by itself, whoever they are about: ``findings`` and ``kinds`` of ``[[sink]]``.

[[sink]]
name = "partners"
kind = "stix"
path = "/srv/stix"
findings = "medium"                    # this severity or worse
kinds = ["known-tool", "campaign"]     # only these; without it any

What the sink's policy holds back is still put into its queue, so that the audit log says what was held back and why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from andon.records.finding import KINDS, SEVERITIES, Finding
from andon.store.casebook import Message

SETTINGS: Final = ("findings", "kinds")


def checked(table: Mapping[str, Any]) -> tuple[int, frozenset[str]] | None:
    """(index of the least severity, kinds) that a table asks for; None if it asks for nothing. Raises ValueError.

    >>> checked({"findings": "high"}), checked({"name": "log"})
    ((3, frozenset()), None)
    """
    least, kinds = table.get("findings"), table.get("kinds")
    if least is None and kinds is None:
        return None
    if least is not None and least not in SEVERITIES:
        raise ValueError(f"findings is one of {', '.join(SEVERITIES)}, not {least!r}")
    if kinds is not None and (
        not isinstance(kinds, list | tuple) or not kinds or not all(isinstance(kind, str) for kind in kinds)
    ):
        raise ValueError("kinds is a list of kinds of findings")
    strange = [kind for kind in kinds or () if kind not in KINDS]
    if strange:
        raise ValueError(f"kinds: there is no kind {strange[0]!r}; there are {', '.join(KINDS)}")
    return SEVERITIES.index(least) if least is not None else 0, frozenset(kinds or ())


def subscribed(tables: Sequence[Mapping[str, Any]]) -> Callable[[Finding], Sequence[Message]]:
    """A function from a finding to its messages, one for each ``[[sink]]`` that asks for it. Raises ValueError."""
    wanted = [(str(table.get("name")), asked) for table in tables if (asked := checked(table)) is not None]

    def messages(finding: Finding) -> Sequence[Message]:
        rank = SEVERITIES.index(finding.severity)
        names = [
            name for name, (least, kinds) in wanted if rank >= least and (not kinds or finding.kind in kinds)
        ]
        if not names:
            return ()
        body = finding.to_dict()
        subject = " ".join(f"[Andon] {finding.severity}: {finding.title}".split())[:300]
        # One message a revision and sink, also where an organisation's sink is told of it.
        key = f"{finding.id}-{finding.revision}"
        return [Message(key, name, finding.kind, subject, f"{finding.statement}\n", body) for name in names]

    return messages
