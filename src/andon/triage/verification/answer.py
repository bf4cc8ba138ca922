"""The answer to one question about one attempt, before it is weighed."""

from __future__ import annotations

from dataclasses import dataclass

from andon.records.case import FAILED, NOT_KNOWN, PASSED
from andon.records.finding import Check, Evidence, sql_text
from andon.records.neutral import neutral

# In the order in which they are told.
NAMES = (
    "answered", "session", "blocked", "runs", "behaviour", "independent", "known-false", "sanctioned", "log-in",
    "spray", "popular", "inside", "privileged",
)  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """``strength`` 0..1 scales the weight. ``hard``: PASSED that forbids a dismissal whatever else speaks for it.
    ``ground``: FAILED that may carry a dismissal by itself, if it is trustworthy here."""

    name: str
    outcome: str
    statement: str
    strength: float = 1.0
    hard: bool = False
    ground: bool = False
    evidence: tuple[Evidence, ...] = ()


def passed(
    name: str, statement: str, *evidence: Evidence, strength: float = 1.0, hard: bool = False
) -> Answer:
    return Answer(name, PASSED, statement, strength, hard=hard, evidence=evidence)


def failed(
    name: str, statement: str, *evidence: Evidence, strength: float = 1.0, ground: bool = False
) -> Answer:
    return Answer(name, FAILED, statement, strength, ground=ground, evidence=evidence)


def unknown(name: str, statement: str) -> Answer:
    return Answer(name, NOT_KNOWN, statement, 0.0)


def quoted(text: str) -> str:
    """A text of third parties, safe to show."""
    return neutral(text)[:120]


def counted(statement: str, table: str, conditions: str, expected: int, what: str = "*") -> Evidence:
    """A count of rows of a published table that anybody can repeat; ``what`` is counted."""
    name = table.replace(".", "_").replace(":", "_")
    sql = f"SELECT count({what}) FROM {name} WHERE {conditions}"
    return Evidence(
        statement, Check(relation="", by_chance=0.0, tool="sql", expression=sql, expected=expected)
    )


def among(column: str, values: tuple[str, ...] | list[str]) -> str:
    """SQL: the column is one of these."""
    return f"{column} IN ({', '.join(sql_text(v) for v in sorted(set(values))) or 'NULL'})"


def during(begin: int, end: int) -> str:
    return f"epoch_ns(last) >= {begin} AND epoch_ns(first) < {end}"
