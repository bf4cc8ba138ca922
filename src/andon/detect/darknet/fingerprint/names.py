"""A family's name is its relation, and one relation can be written in several ways.

What was found before keeps its text: a relation that is equal to it on the telescope is the same family (design,
expressions: equality is tried on tuples drawn from the telescope's prefixes).
"""

from __future__ import annotations

from collections.abc import Sequence

from andon.detect.darknet.fingerprint.sample import Family
from andon.records.expression import ExpressionError, equal_on, parse
from andon.records.expression.ast import fields_of, keys_of

_FEW, _MANY = 3000, 60_000
_ANYWHERE = ("0.0.0.0/0",)


class Names:
    """Texts that are known, on the telescope's ``prefixes`` (anywhere if none are given).

    >>> names = Names(["tcp.seq == ip.dst ^ 7"], ())
    >>> names.of(Family("ip.dst == tcp.seq ^ 7", "global", None, 32.0, "L1", {}))
    'tcp.seq == ip.dst ^ 7'
    """

    def __init__(self, known: Sequence[str], prefixes: Sequence[str]) -> None:
        self.known = list(known)
        self.prefixes = tuple(prefixes) or _ANYWHERE

    def of(self, family: Family) -> str:
        """The text under which the family is known, or its own."""
        if family.relation in self.known:
            return family.relation
        try:
            mine = parse(family.relation)
        except ExpressionError:
            return family.relation
        for text in self.known:
            other = parse(text)
            if bool(keys_of(mine)) != bool(keys_of(other)) or fields_of(mine) != fields_of(other):
                continue
            if all(equal_on(mine, other, self.prefixes, 1, tuples) for tuples in (_FEW, _MANY)):
                return text
        return family.relation
