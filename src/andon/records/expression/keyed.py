"""Keyed expressions: which key a packet would need.

A key is constant over a session but unknown, so a single packet cannot be tested; what can be computed is the key
that would make it match. For that the key must be solvable: it occurs once, in an ``==`` comparison that is the whole
expression or joined to the rest by ``and``, below operations that can be undone.
"""

from __future__ import annotations

from dataclasses import dataclass

from .ast import And, Comparison, Expression, ExpressionError, Key, Value, keys_of
from .bits import possible_bits
from .isolate import isolations, sides


@dataclass(frozen=True, slots=True)
class KeyedForm:
    """``key & mask == right & mask`` (``comparison`` solved for its key) and the other conditions.

    Bits of the mask beyond the width of the key say that ``right`` must be zero there.
    """

    key: Key
    mask: int
    right: Value
    comparison: Comparison
    others: tuple[Expression, ...]

    @property
    def key_mask(self) -> int:
        """The bits of the key that a packet shows."""
        return self.mask & possible_bits(self.key)


def conjuncts(expr: Expression) -> list[Expression]:
    """The relations that all must hold, nested ``and`` opened."""
    if isinstance(expr, And):
        return [part for term in expr.terms for part in conjuncts(term)]
    return [expr]


def keyed_form(expr: Expression) -> KeyedForm | None:
    """The expression solved for its key; None without a key. ExpressionError when it cannot be solved."""
    keys = keys_of(expr)
    if not keys:
        return None
    if len(keys) > 1:
        raise ExpressionError(f"a key may occur once, not {len(keys)} times")
    parts = conjuncts(expr)
    (at,) = [part for part in parts if keys_of(part)]
    if not isinstance(at, Comparison) or at.op != "==":
        raise ExpressionError(f"{keys[0]} must stand in an == comparison, alone or joined to others by 'and'")
    for found in isolations(sides(at)):
        if isinstance(found.leaf, Key):
            others = tuple(part for part in parts if part is not at)
            return KeyedForm(found.leaf, found.mask, found.right, at, others)
    raise ExpressionError(f"cannot solve {at} for {keys[0]}: an operation on the way to it cannot be undone")
