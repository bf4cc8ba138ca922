"""Tree to machine code: value numbering, then slots given out by last use.

A sub-expression that occurs twice, in one expression or in several of a bundle, is computed once; so are field
loads and presence tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from . import machine as m
from .ast import (
    WORD,
    And,
    Comparison,
    Const,
    Expression,
    Field,
    Fn,
    Key,
    Value,
    fields_of,
    keys_of,
    needs_of,
)
from .bits import possible_bits
from .fields import FIELDS
from .keyed import KeyedForm, keyed_form

_COLUMN_NUMBER = {name: number for number, (name, _) in enumerate(m.COLUMNS)}
_WITH_CONSTANT = {"^": m.XORK, "|": m.ORK, "&": m.ANDK, "+": m.ADDK, "*": m.MULK, "<<": m.SHLK, ">>": m.SHRK}
_WITH_SLOT = {
    "^": m.XOR,
    "|": m.OR,
    "&": m.AND,
    "+": m.ADD,
    "-": m.SUB,
    "*": m.MUL,
    "<<": m.SHL,
    ">>": m.SHR,
}
MAX_EXPRESSIONS = 32


@dataclass(frozen=True, slots=True, eq=False)
class Code:
    """Machine code: ``code`` (n, 5) int64 read-only, ``slots`` blocks of scratch, ``columns`` that it loads."""

    code: NDArray[np.int64]
    slots: int
    columns: frozenset[str]


@dataclass(slots=True)
class Emitter:
    """Collects instructions on numbered values; ``finish`` maps the values to slots."""

    lines: list[tuple[int, int, int, int]] = field(default_factory=list)  # op, value, value, constant
    known: dict[tuple[int, int, int, int], int] = field(default_factory=dict)
    columns: set[str] = field(default_factory=set)

    def emit(self, op: int, a: int = -1, b: int = -1, k: int = 0) -> int:
        line = (op, a, b, k)
        if line not in self.known:
            self.known[line] = len(self.lines)
            self.lines.append(line)
        return self.known[line]

    def load(self, column: str) -> int:
        self.columns.add(column)
        return self.emit(m.LOAD, k=_COLUMN_NUMBER[column])

    def present(self, needs: int) -> int:
        self.columns.add("layers")
        return self.emit(m.NEEDS, k=needs)

    def value(self, node: Value) -> int:
        if isinstance(node, Field):
            return self.load(FIELDS[node.name].column)
        if isinstance(node, Const):
            return self.emit(m.CONST, k=node.value)
        if isinstance(node, Key):
            keys = self.emit(m.KEYS)
            return keys if node.bits == 32 else self.emit(m.ANDK, keys, k=0xFFFF)
        if isinstance(node, Fn):
            return self._function(node)
        at = self.value(node.terms[0])
        for term in node.terms[1:]:
            at = self._binary(node.op, at, term)
        return at

    def _function(self, node: Fn) -> int:
        at = self.value(node.argument)
        if node.name == "lo16" or (node.name == "rotl16" and node.n == 0):
            return self.emit(m.ANDK, at, k=0xFFFF)
        if node.name == "hi16":
            return self.emit(m.SHRK, at, k=16)
        if node.name == "bswap32":
            return self.emit(m.BSWAP32, at)
        if node.name == "bswap16":
            return self.emit(m.ROTL16K, at, k=8)
        if node.n == 0:
            return at
        return self.emit(m.ROTL16K if node.name == "rotl16" else m.ROTL32K, at, k=node.n or 0)

    def _binary(self, op: str, left: int, term: Value) -> int:
        if isinstance(term, Const):
            k = term.value
            if op == "-":
                op, k = "+", -k & WORD
            if op in ("<<", ">>") and k > 31:
                return self.emit(m.CONST, k=0)
            return self.emit(_WITH_CONSTANT[op], left, k=k)
        return self.emit(_WITH_SLOT[op], left, self.value(term))

    def truth(self, node: Expression) -> int:
        if isinstance(node, Comparison):
            return self._comparison(node)
        op = m.AND if isinstance(node, And) else m.OR
        at = self.truth(node.terms[0])
        for term in node.terms[1:]:
            at = self.emit(op, at, self.truth(term))
        return at

    def _comparison(self, node: Comparison) -> int:
        left, right = node.left, node.right
        if isinstance(left, Const):
            left, right = right, left
        equal = node.op == "=="
        if isinstance(right, Const):
            at = self.emit(m.EQK if equal else m.NEK, self.value(left), k=right.value)
        else:
            at = self.emit(m.EQ if equal else m.NE, self.value(left), self.value(right))
        needs = needs_of(node)
        return self.emit(m.AND, at, self.present(needs)) if needs else at

    def finish(self) -> Code:
        """Give every value a slot, freed after its last use; a line never writes a slot that it reads."""
        last = {}
        for number, (_, a, b, _k) in enumerate(self.lines):
            last[a] = last[b] = number
        slot_of: dict[int, int] = {-1: 0}
        free: list[int] = []
        slots = 1
        code = np.zeros((len(self.lines), 5), dtype=np.int64)
        for number, (op, a, b, k) in enumerate(self.lines):
            target = 0
            if op not in (m.OUT, m.VALUE):
                if not free:
                    free.append(slots)
                    slots += 1
                target = slot_of[number] = free.pop()
            code[number] = (op, target, slot_of[a], slot_of[b], k)
            free += [slot_of[v] for v in {a, b} if v >= 0 and last[v] == number]
        code.flags.writeable = False
        return Code(code, slots, frozenset(self.columns))


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A compiled expression.

    ``fields`` are the names it looks at, ``columns`` the packet-record columns it loads (always with ``layers``
    when there is a field), ``key_bits`` 0, 16 or 32. For a keyed expression ``session`` is the code that computes the
    key a packet needs, of which it shows the bits of ``key_mask``.
    """

    expression: Expression
    match: Code
    fields: tuple[str, ...]
    key_bits: int = 0
    key_mask: int = 0
    session: Code | None = None

    @property
    def columns(self) -> frozenset[str]:
        return self.match.columns


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """Up to 32 expressions compiled together: bit k of the answer is expression k."""

    expressions: tuple[Expression, ...]
    match: Code


def compile_program(expr: Expression) -> Program:
    """Machine code for one expression; costs about 0.1 ms and no compilation.

    ExpressionError when the expression has a key that cannot be solved for.
    """
    names = fields_of(expr)
    emitter = Emitter()
    emitter.emit(m.OUT, emitter.truth(expr), k=0)
    match = emitter.finish()
    fields = tuple(n for n in FIELDS if n in names)
    form = keyed_form(expr)
    if form is None:
        return Program(expr, match, fields)
    return Program(expr, match, fields, form.key.bits, form.key_mask, _session_code(form))


def compile_value(node: Value) -> Code:
    """Machine code that gives the value of ``node`` for every row, presence not looked at."""
    emitter = Emitter()
    emitter.emit(m.VALUE, emitter.value(node))
    return emitter.finish()


def _session_code(form: KeyedForm) -> Code:
    emitter = Emitter()
    right = emitter.value(form.right)
    valid = emitter.emit(m.CONST, k=1)
    for other in form.others:
        valid = emitter.emit(m.AND, valid, emitter.truth(other))
    needs = needs_of(form.comparison)
    if needs:
        valid = emitter.emit(m.AND, valid, emitter.present(needs))
    beyond = form.mask & ~form.key_mask & possible_bits(form.right)
    if beyond:  # the other side is wider than the key: there it must be zero
        valid = emitter.emit(m.AND, valid, emitter.emit(m.EQK, emitter.emit(m.ANDK, right, k=beyond), k=0))
    emitter.emit(m.VALUE, emitter.emit(m.ANDK, right, k=form.key_mask))
    emitter.emit(m.OUT, valid, k=0)
    return emitter.finish()


def compile_bundle(expressions: Sequence[Expression]) -> Bundle:
    """Machine code for up to 32 expressions without keys in one pass; ValueError for more."""
    if not 0 < len(expressions) <= MAX_EXPRESSIONS:
        raise ValueError(f"a bundle holds 1 to {MAX_EXPRESSIONS} expressions, not {len(expressions)}")
    emitter = Emitter()
    for bit, expr in enumerate(expressions):
        if keys_of(expr):
            raise ValueError(f"keyed expressions cannot be bundled: {expr}")
        emitter.emit(m.OUT, emitter.truth(expr), k=bit)
    return Bundle(tuple(expressions), emitter.finish())
