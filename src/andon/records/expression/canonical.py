"""One form for relations that say the same thing by the rules of arithmetic.

A comparison is written with one ``FIELD [& MASK]`` on the left. Of all the ways to do so the first by these rules is
taken: the right side needs no mask; the left side needs none; the field is tcp.seq, ip.id, tcp.window, a port, any
other in header order; the text is first in the alphabet. So Masscan's relation, which can be solved for ip.id, for a
port or for half of tcp.seq, becomes ``ip.id == lo16(ip.dst ^ tcp.dstport ^ tcp.seq)``. A comparison that cannot be
solved for any field keeps both sides in normal form, sorted.

The form is unique up to the rules of `algebra.py` and `isolate.py`; relations that are equal for deeper reasons are
told by `equality.py`, by trial.
"""

from __future__ import annotations

from typing import Literal

from andon.records.packet import TCP, UDP

from .algebra import masked, normal, order
from .ast import FALSE, TRUE, And, Comparison, Const, Expression, Field, Sum, fields_of, needs_of
from .bits import field_demand, possible_bits
from .fields import FIELDS
from .isolate import Isolated, Sides, isolations, sides

PREFERENCE = (
    "tcp.seq",
    "ip.id",
    "tcp.window",
    "tcp.srcport",
    "tcp.dstport",
    "udp.srcport",
    "udp.dstport",
)
# A comparison that only says "this header is there".
_WITNESS = {TCP: Field("tcp.seq"), UDP: Field("udp.srcport"), 0: Field("ip.src")}
_MAX_ROUNDS = 16


def canonical(expr: Expression) -> Expression:
    """The canonical form: true for the same packets, the same for any way of writing it, a fixed point of itself.

    >>> from andon.records.expression import parse
    >>> str(canonical(parse("(ip.dst ^ tcp.dstport ^ tcp.seq) & 0xffff == ip.id")))
    'ip.id == lo16(ip.dst ^ tcp.dstport ^ tcp.seq)'
    """
    seen: list[Expression] = []
    while expr not in seen and len(seen) < _MAX_ROUNDS:
        seen.append(expr)
        expr = _once(expr)
    # Rewriting nearly always settles at once. Should two forms lead to each other, the cycle has one smallest.
    return min(seen[seen.index(expr) :], key=lambda e: (len(str(e)), str(e))) if expr in seen else expr


def _once(node: Expression) -> Expression:
    if isinstance(node, Comparison):
        return _comparison(node)
    kind = type(node)
    neutral, absorbing = (TRUE, FALSE) if kind is And else (FALSE, TRUE)
    parts: dict[Expression, None] = {}
    for term in node.terms:
        made = _once(term)
        for part in made.terms if isinstance(made, kind) else (made,):
            parts[part] = None
    if absorbing in parts:
        return absorbing
    parts.pop(neutral, None)
    if not parts:
        return neutral
    ordered = tuple(sorted(parts, key=_relation_order))
    return ordered[0] if len(ordered) == 1 else kind(ordered)


def _relation_order(node: Expression) -> tuple[int, int, str]:
    names = fields_of(node.left if isinstance(node, Comparison) else node)
    first = min((FIELDS[name].number for name in names), default=len(FIELDS))
    return int(not isinstance(node, Comparison)), first, str(node)


def _comparison(node: Comparison) -> Expression:
    made = _solved(node)
    missing = needs_of(node) & ~needs_of(made)
    if made == FALSE or not missing:
        return made
    # A field that cancelled out must still be in the packet.
    headers = [bit for bit in (TCP, UDP) if missing & bit] or [0]
    witnesses: list[Expression] = [Comparison(_WITNESS[bit], "==", _WITNESS[bit]) for bit in headers]
    parts = witnesses if made == TRUE else [made, *witnesses]
    return parts[0] if len(parts) == 1 else And(tuple(sorted(parts, key=_relation_order)))


def _solved(node: Comparison) -> Comparison:
    at = sides(node)
    decided = at.decided()
    if decided is not None:
        return TRUE if decided == (node.op == "==") else FALSE
    best = best_isolation(at)
    if best is not None:
        return Comparison(best.left, node.op, best.masked_right())
    return _unsolved(at, node.op)


def _unsolved(at: Sides, op: Literal["==", "!="]) -> Comparison:
    whole = [normal(Sum("&", (side, Const(at.mask)))) for side in (at.left, at.right)]
    left, right = sorted(whole, key=order)
    return Comparison(left, op, right)


def best_isolation(at: Sides) -> Isolated | None:
    """The way to write the equality with a field alone on the left that the canonical form prefers."""
    found = [one for one in isolations(at) if isinstance(one.leaf, Field)]
    return min(found, key=rank, default=None)


def rank(found: Isolated) -> tuple[int, int, int, int, str]:
    """Place of a way to write a comparison in the order of preference; smallest first."""
    name = str(found.leaf)
    right = found.masked_right()
    circular = field_demand(found.right, found.mask, name) & found.mask & possible_bits(found.leaf)
    prefer = PREFERENCE.index(name) if name in PREFERENCE else len(PREFERENCE) + FIELDS[name].number
    return (
        int(bool(circular)),
        int(masked(right) is not None),
        int(found.left != found.leaf),
        prefer,
        f"{found.left} == {right}",
    )
