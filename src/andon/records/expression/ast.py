"""The tree of an expression: what a packet shows, said about its header fields.

The grammar is the one of ``docs/expressions.md``. Values are unsigned 32-bit numbers that wrap around; a
comparison is true or false, and false whenever a field that it names is not in the packet.

Nodes are frozen and compare by structure, so they can be dictionary keys. They check themselves when made:
a tree that exists is well formed. ``str(node)`` prints text that parses back to the same tree.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from .fields import FIELDS, FieldInfo

WORD = 0xFFFFFFFF
OPERATORS = ("^", "|", "&", "+", "-", "*", "<<", ">>")
# Function name -> highest rotation that it takes; None for a function without a second argument.
FUNCTIONS: dict[str, int | None] = {
    "rotl16": 15,
    "rotl32": 31,
    "bswap16": None,
    "bswap32": None,
    "lo16": None,
    "hi16": None,
}


class ExpressionError(ValueError):
    """The text or tree is not an expression; the message names the bad text and its column (from 1)."""


class NotExpressible(ValueError):
    """The target language cannot say exactly this; the message gives the reason."""


@dataclass(frozen=True, slots=True)
class Field:
    """A header field, by its name in the grammar."""

    name: str

    def __post_init__(self) -> None:
        if self.name not in FIELDS:
            raise ExpressionError(f"unknown field {self.name!r}; fields are {', '.join(FIELDS)}")

    @property
    def info(self) -> FieldInfo:
        """Width, column, headers needed."""
        return FIELDS[self.name]

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Const:
    """A constant, 0 to 2^32 - 1; printed in hexadecimal above 9."""

    value: int

    def __post_init__(self) -> None:
        if not 0 <= self.value <= WORD:
            raise ExpressionError(f"constant {self.value} does not fit into 32 bits")

    def __str__(self) -> str:
        return str(self.value) if self.value <= 9 else hex(self.value)


@dataclass(frozen=True, slots=True)
class Key:
    """An unknown that is constant over a session; 16 or 32 bits."""

    bits: int

    def __post_init__(self) -> None:
        if self.bits not in (16, 32):
            raise ExpressionError(f"keys are key16 and key32, not key{self.bits}")

    def __str__(self) -> str:
        return f"key{self.bits}"


@dataclass(frozen=True, slots=True)
class Fn:
    """A function of one value: rotation (``n`` bits to the left), byte swap, low or high half."""

    name: str
    argument: Value
    n: int | None = None

    def __post_init__(self) -> None:
        if self.name not in FUNCTIONS:
            raise ExpressionError(f"unknown function {self.name!r}; functions are {', '.join(FUNCTIONS)}")
        highest = FUNCTIONS[self.name]
        if highest is None and self.n is not None:
            raise ExpressionError(f"{self.name} takes one argument")
        if highest is not None and (self.n is None or not 0 <= self.n <= highest):
            raise ExpressionError(f"{self.name} needs a rotation of 0 to {highest} bits, not {self.n}")

    def __str__(self) -> str:
        return (
            f"{self.name}({self.argument})" if self.n is None else f"{self.name}({self.argument}, {self.n})"
        )


@dataclass(frozen=True, slots=True)
class Sum:
    """A chain of one operator, read from left to right: ``a - b - c`` is ``(a - b) - c``."""

    op: str
    terms: tuple[Value, ...]

    def __post_init__(self) -> None:
        if self.op not in OPERATORS:
            raise ExpressionError(f"unknown operator {self.op!r}; operators are {' '.join(OPERATORS)}")
        if len(self.terms) < 2:
            raise ExpressionError(f"operator {self.op} needs two terms")

    def __str__(self) -> str:
        return f" {self.op} ".join(f"({t})" if isinstance(t, Sum) else str(t) for t in self.terms)


@dataclass(frozen=True, slots=True)
class Comparison:
    """``left == right`` or ``left != right``; false when a field on either side is absent."""

    left: Value
    op: Literal["==", "!="]
    right: Value

    def __post_init__(self) -> None:
        if self.op not in ("==", "!="):
            raise ExpressionError(f"unknown comparison {self.op!r}")

    def __str__(self) -> str:
        return f"{self.left} {self.op} {self.right}"


@dataclass(frozen=True, slots=True)
class And:
    """All of the terms hold."""

    terms: tuple[Expression, ...]

    def __post_init__(self) -> None:
        if len(self.terms) < 2:
            raise ExpressionError("'and' needs two relations")

    def __str__(self) -> str:
        return " and ".join(f"({t})" if isinstance(t, (And, Or)) else str(t) for t in self.terms)


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of the terms holds."""

    terms: tuple[Expression, ...]

    def __post_init__(self) -> None:
        if len(self.terms) < 2:
            raise ExpressionError("'or' needs two relations")

    def __str__(self) -> str:
        return " or ".join(f"({t})" if isinstance(t, (And, Or)) else str(t) for t in self.terms)


Value = Field | Const | Key | Fn | Sum
Expression = Comparison | And | Or

TRUE = Comparison(Const(0), "==", Const(0))
FALSE = Comparison(Const(0), "!=", Const(0))


def children(node: Value | Expression) -> tuple[Value | Expression, ...]:
    """The direct parts of a node, from left to right."""
    if isinstance(node, (Sum, And, Or)):
        return node.terms
    if isinstance(node, Fn):
        return (node.argument,)
    if isinstance(node, Comparison):
        return (node.left, node.right)
    return ()


def walk(node: Value | Expression) -> Iterator[Value | Expression]:
    """The node and everything below it, parents first."""
    yield node
    for child in children(node):
        yield from walk(child)


def fields_of(node: Value | Expression) -> frozenset[str]:
    """Names of the fields that occur in the node."""
    return frozenset(n.name for n in walk(node) if isinstance(n, Field))


def keys_of(node: Value | Expression) -> tuple[Key, ...]:
    """The keys that occur in the node, one entry per occurrence."""
    return tuple(n for n in walk(node) if isinstance(n, Key))


def needs_of(node: Value | Expression) -> int:
    """The ``layers`` bits that a packet must have for every field of the node to be present."""
    needs = 0
    for name in fields_of(node):
        needs |= FIELDS[name].needs
    return needs
