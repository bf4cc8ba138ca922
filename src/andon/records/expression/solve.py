"""Packets that satisfy an expression, made by assignment: for the packet simulator and for equality by trial.

A conjunction of ``FIELD [& MASK] == sum`` is turned into an order of assignments. Draw every field as you like, then
apply them in order: each sets the masked bits of one field from the fields as they then are, and no later one touches
what an earlier one wrote or read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .ast import FALSE, WORD, Comparison, Expression, Field, Or, Value, fields_of, keys_of
from .bits import field_demand, possible_bits
from .canonical import canonical, rank
from .evaluate import execute
from .fields import FIELDS
from .isolate import Isolated, isolations, sides
from .keyed import conjuncts
from .program import Code, compile_value

_MAX_STEPS = 20_000


class NotSolvable(ValueError):
    """The expression cannot be satisfied by assigning fields; the message gives the reason."""


@dataclass(frozen=True, slots=True, eq=False)
class Assignment:
    """``field``'s bits in ``mask`` become those of ``right``; ``key_bits`` 0, 16 or 32 if that names a key."""

    field: str
    mask: int
    right: Value
    code: Code
    key_bits: int

    @property
    def column(self) -> str:
        """The packet-record column that is written."""
        return FIELDS[self.field].column


def solve(expr: Expression, fixed: Collection[str] = ("ip.src", "ip.dst")) -> list[Assignment]:
    """Ordered assignments after which packets satisfy the expression.

    ``fixed`` fields are never assigned: who sends and where to is the simulator's choice. Raises NotSolvable for
    ``or``, ``!=``, comparisons that no free field can satisfy, and contradictions.

    >>> from andon.records.expression import parse
    >>> [a.field for a in solve(parse("ip.id == lo16(ip.dst ^ tcp.dstport ^ tcp.seq) and tcp.seq == ip.dst"))]
    ['tcp.seq', 'ip.id']
    """
    if {"tcp", "udp"} <= {name.split(".")[0] for name in fields_of(expr)}:
        raise NotSolvable("no packet is both TCP and UDP")
    choices: list[list[Isolated]] = []
    made = canonical(expr)
    if made == FALSE:
        raise NotSolvable(f"never true: {expr}")
    for part in conjuncts(made):
        if isinstance(part, Or):
            raise NotSolvable(f"'or' leaves a choice: {part}")
        if not isinstance(part, Comparison) or part.op == "!=":
            raise NotSolvable(f"only == can be assigned: {part}")
        at = sides(part)
        if at.decided() is None:
            choices.append(_usable(at_part=part, fixed=fixed))
    order = _Search(choices).order()
    return [_assignment(found) for found in order]


def apply(
    assignments: Sequence[Assignment],
    columns: Mapping[str, NDArray[Any]],
    keys: NDArray[np.uint32] | None = None,
) -> dict[str, NDArray[Any]]:
    """The columns with the assignments made, in order; columns that are not assigned are passed on, not copied.

    ``columns``: packet-record columns in wire types; ``keys``: uint32, one per row, for keyed assignments.
    """
    made = dict(columns)
    for assignment in assignments:
        if assignment.key_bits and keys is None:
            raise ValueError(f"{assignment.field} is set from a key: give keys")
        old = made[assignment.column]
        _, values = execute(assignment.code, made, keys if assignment.key_bits else None, values=True)
        mask = assignment.mask
        made[assignment.column] = (
            (old & old.dtype.type(~mask & _full(old))) | (values & np.uint32(mask))
        ).astype(old.dtype)
    return made


def _full(column: NDArray[Any]) -> int:
    return int(np.iinfo(column.dtype).max)


def _usable(at_part: Comparison, fixed: Collection[str]) -> list[Isolated]:
    found: list[tuple[tuple[int, int, int, int, str], Isolated]] = []
    reasons = []
    for one in isolations(sides(at_part)):
        if not isinstance(one.leaf, Field):
            continue
        name, width = one.leaf.name, one.leaf.info.mask
        if name in fixed:
            reasons.append(f"{name} is not ours to set")
        elif field_demand(one.right, one.mask, name) & one.mask & width:
            reasons.append(f"{name} would depend on itself")
        elif possible_bits(one.right) & one.mask & ~width:
            reasons.append(f"{name} has too few bits for the other side")
        else:
            found.append((rank(one), one))
    if not found:
        why = "; ".join(dict.fromkeys(reasons)) or "no field can be brought to one side"
        raise NotSolvable(f"cannot assign {at_part}: {why}")
    return [one for _, one in sorted(found, key=lambda pair: pair[0])]


class _Search:
    """Picks one way per comparison so that bits are written once and an order without circles exists."""

    def __init__(self, choices: list[list[Isolated]]) -> None:
        self.choices = choices
        self.steps = 0

    def order(self) -> list[Isolated]:
        picked = self._pick([])
        if picked is None:
            raise NotSolvable("the comparisons ask for the same bits, or depend on each other in a circle")
        return picked

    def _pick(self, chosen: list[Isolated]) -> list[Isolated] | None:
        self.steps += 1
        if self.steps > _MAX_STEPS:
            return None
        if len(chosen) == len(self.choices):
            return _sorted(chosen)
        for one in self.choices[len(chosen)]:
            if any(one.leaf == other.leaf and one.mask & other.mask for other in chosen):
                continue
            found = self._pick([*chosen, one])
            if found is not None:
                return found
        return None


def _sorted(chosen: list[Isolated]) -> list[Isolated] | None:
    """What is read is written first; None if that goes in a circle."""
    waiting, done = list(chosen), []
    while waiting:
        for one in waiting:
            if not any(other is not one and _reads(one, other) for other in waiting):
                break
        else:
            return None
        waiting.remove(one)
        done.append(one)
    return done


def _reads(one: Isolated, other: Isolated) -> bool:
    leaf = other.leaf
    return isinstance(leaf, Field) and bool(field_demand(one.right, one.mask, leaf.name) & other.mask)


def _assignment(found: Isolated) -> Assignment:
    assert isinstance(found.leaf, Field)
    right = found.masked_right()
    keys = keys_of(right)
    mask = found.mask & found.leaf.info.mask & WORD
    return Assignment(
        found.leaf.name, mask, right, compile_value(right), max((k.bits for k in keys), default=0)
    )
