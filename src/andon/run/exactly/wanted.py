"""What findings want counted: relations by window, in one order whoever collects them.

The order (start, end, text) does not depend on that of the findings, so the digest names the same job for the driver
that is started again, and ``Counted`` can speak of a relation by its number.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Final

from andon.records.expression import Expression, parse
from andon.records.expression.ast import fields_of, keys_of
from andon.records.expression.fields import FIELDS
from andon.records.finding import Finding
from andon.records.packet import SCHEMA

_VERSION: Final = 1
_TIMES: Final = range(-(1 << 63), 1 << 63)


@lru_cache(maxsize=4096)
def parsed(text: str) -> Expression:
    """The tree of a relation: the same few stand in many windows. Raises ExpressionError."""
    return parse(text)


@dataclass(frozen=True, order=True)
class Relation:
    """``text`` (``records.expression``) in start <= ts < end, ns; ``exact``: with sources and ports as well."""

    start: int
    end: int
    text: str
    exact: bool = False

    @property
    def keyed(self) -> bool:
        """Is it answered with a number of sessions?"""
        return _looked_at(self.text)[0]

    @property
    def columns(self) -> frozenset[str]:
        """Columns of the packet record that counting it looks at."""
        names = _looked_at(self.text)[1]
        return names | {"src", "dst_port"} if self.exact else names


@lru_cache(maxsize=4096)
def _looked_at(text: str) -> tuple[bool, frozenset[str]]:
    """(has it a key, columns of the packet record it is about)."""
    tree = parsed(text)
    keyed = bool(keys_of(tree))
    names = {FIELDS[name].column for name in fields_of(tree)} | {"layers"}
    return keyed, frozenset(names | {"src"} if keyed else names)


@dataclass(frozen=True)
class Wanted:
    """Relations in ascending order, each text once per window. Raises ValueError for another order.

    >>> both = Wanted((Relation(0, 60, "ip.ttl == 1"), Relation(0, 60, "tcp.seq == ip.dst", exact=True)))
    >>> both.columns
    ('src', 'dst', 'dst_port', 'tcp_seq', 'ttl', 'layers')
    >>> both.meeting(60, 90), both.meeting(59, 90)
    ([], [0, 1])
    """

    relations: tuple[Relation, ...] = ()

    def __post_init__(self) -> None:
        keys = [(one.start, one.end, one.text) for one in self.relations]
        if any(before >= after for before, after in pairwise(keys)):
            raise ValueError("relations that are wanted stand in order of window and text, each of them once")

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Columns of the packet record that counting looks at, in the record's order."""
        return self.columns_of(range(len(self.relations)))

    def columns_of(self, numbers: Iterable[int]) -> tuple[str, ...]:
        """The same for the relations of these numbers only."""
        names: set[str] = set()
        for number in numbers:
            names |= self.relations[number].columns
        return tuple(name for name in SCHEMA.names if name in names)

    def meeting(self, first: int, last: int) -> list[int]:
        """Numbers of the relations whose window a time in first <= ts <= last can lie in. None: nothing in a partition
        of these times can be counted, it need not be opened (``meets``)."""
        return [n for n, one in enumerate(self.relations) if one.start <= last and one.end > first]

    def meets(self, first: int, last: int) -> bool:
        """Is there any?"""
        return any(start <= last and end > first for start, end in self._windows)

    @cached_property
    def _windows(self) -> tuple[tuple[int, int], ...]:
        return tuple(dict.fromkeys((one.start, one.end) for one in self.relations))

    @cached_property
    def numbers(self) -> Mapping[tuple[str, tuple[int, int]], int]:
        """Number of each (text, window)."""
        return {(one.text, (one.start, one.end)): n for n, one in enumerate(self.relations)}

    @cached_property
    def digest(self) -> str:
        """Of all that is wanted: 32 hex digits."""
        return hashlib.blake2b(self.to_json().encode(), digest_size=16).hexdigest()

    def to_json(self) -> str:
        """One line of ASCII; equal for equal wants."""
        said = [[one.start, one.end, one.text, int(one.exact)] for one in self.relations]
        return json.dumps({"version": _VERSION, "relations": said}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Wanted:
        """What ``to_json`` gave. Raises ValueError for anything else."""
        try:
            said = json.loads(text)
        except RecursionError as error:
            raise ValueError("not a list of wanted relations") from error
        if not isinstance(said, dict) or said.get("version") != _VERSION:
            raise ValueError(f"not a list of wanted relations of version {_VERSION}")
        rows = said.get("relations")
        if set(said) != {"version", "relations"} or not isinstance(rows, list):
            raise ValueError("a list of wanted relations holds a version and relations")
        return cls(tuple(_relation(row) for row in rows))


def wanted(findings: Iterable[Finding]) -> Wanted:
    """What these findings want counted in packets: the relations of their checks, and what they ask exact figures of.

    Raises ExpressionError for a relation that is none."""
    found: dict[tuple[int, int, str], bool] = {}
    for finding in findings:
        start, end = finding.window
        for item in finding.evidence:
            if item.check is not None and item.check.relation:
                found.setdefault((start, end, item.check.relation), False)
        if asked := asks(finding):
            found[start, end, asked] = True
    for _, _, text in found:
        parsed(text)
    return Wanted(tuple(Relation(*key, exact) for key, exact in sorted(found.items())))


def asks(finding: Finding) -> str:
    """The relation whose exact figures a finding asks for, or ""."""
    asked = finding.attributes.get("exact")
    return str(asked.get("relation", "")) if isinstance(asked, Mapping) else ""


def _relation(row: object) -> Relation:
    if not isinstance(row, list) or len(row) != 4:
        raise ValueError(f"not a wanted relation: {str(row)[:80]}")
    start, end, text, exact = row
    times = all(type(time) is int and time in _TIMES for time in (start, end))
    if not times or not isinstance(text, str) or type(exact) is not int or exact not in (0, 1):
        raise ValueError(f"not a wanted relation: {str(row)[:80]}")
    parsed(text)
    return Relation(start, end, text, bool(exact))
