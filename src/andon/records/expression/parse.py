"""Text to tree: a tokeniser and a recursive descent over the grammar of ``docs/expressions.md``.

Text comes from configuration, from the command line and from findings of others, so it is taken for hostile:
length, depth and number of terms are bounded, the parser never goes back (time is linear), and an error names
the text it stumbled on and its column.
"""

from __future__ import annotations

import re
from typing import Literal, cast

from .ast import (
    FUNCTIONS,
    OPERATORS,
    And,
    Comparison,
    Const,
    Expression,
    ExpressionError,
    Field,
    Fn,
    Key,
    Or,
    Sum,
    Value,
)
from .fields import FIELDS

MAX_CHARACTERS = 4096
MAX_DEPTH = 24  # nested parentheses and functions
MAX_LEAVES = 256  # fields, constants and keys together

_TOKEN = re.compile(
    r"[ \t\r\n]*(?:(?P<number>[0-9][0-9A-Za-z_.]*)|(?P<name>[A-Za-z_][A-Za-z0-9_.]*)"
    r"|(?P<sign>==|!=|<<|>>|[\^|&+*(),-])|(?P<end>$)|(?P<bad>.))",
    re.ASCII | re.DOTALL,
)


class _Token:
    __slots__ = ("column", "kind", "text")

    def __init__(self, kind: str, text: str, column: int) -> None:
        self.kind, self.text, self.column = kind, text, column


def parse(text: str) -> Expression:
    """The tree of an expression.

    ``&`` and the other operators bind tighter than ``==``, ``and`` tighter than ``or``. Numbers are decimal,
    hexadecimal (``0x1f``) or a dotted IPv4 address. Raises ExpressionError.

    >>> str(parse("tcp.seq==ip.dst and ip.id == 54321"))
    'tcp.seq == ip.dst and ip.id == 0xd431'
    """
    parser = _Parser(text)
    node = parser.alternatives(0)
    if parser.token.kind != "end":
        raise parser.error(f"expected the end of the expression, not {parser.shown()}")
    return parser.relation(node, 1)


class _Parser:
    def __init__(self, text: str) -> None:
        if len(text) > MAX_CHARACTERS:
            raise ExpressionError(f"expression of {len(text)} characters; at most {MAX_CHARACTERS} are read")
        self.text = text
        self.position = 0
        self.leaves = 0
        self.token = self._read()

    def _read(self) -> _Token:
        match = _TOKEN.match(self.text, self.position)
        if match is None or match.lastgroup is None:  # the pattern has a branch for every character
            raise ExpressionError("unreadable expression")
        self.position = match.end()
        token = _Token(match.lastgroup, match.group(match.lastgroup), match.start(match.lastgroup) + 1)
        if token.kind == "bad":
            raise ExpressionError(f"unexpected character {token.text!r} at column {token.column}")
        return token

    def advance(self) -> _Token:
        token, self.token = self.token, self._read()
        return token

    def shown(self) -> str:
        return "the end" if self.token.kind == "end" else repr(self.token.text[:40])

    def error(self, message: str, column: int | None = None) -> ExpressionError:
        return ExpressionError(f"{message} at column {column or self.token.column}")

    def expect(self, sign: str) -> None:
        if self.token.text != sign:
            raise self.error(f"expected {sign!r}, not {self.shown()}")
        self.advance()

    def relation(self, node: Value | Expression, column: int) -> Expression:
        if not isinstance(node, (Comparison, And, Or)):
            raise self.error(f"expected a comparison (== or !=), but {str(node)[:40]!r} is a value", column)
        return node

    def value(self, node: Value | Expression, column: int) -> Value:
        if isinstance(node, (Comparison, And, Or)):
            raise self.error(f"expected a value, but {str(node)[:40]!r} is a comparison", column)
        return node

    # Each level returns a value or a relation: which of the two a parenthesis holds is known only at its end.
    def alternatives(self, depth: int) -> Value | Expression:
        return self._joined("or", depth)

    def _joined(self, word: Literal["and", "or"], depth: int) -> Value | Expression:
        column = self.token.column
        node = self._joined("and", depth) if word == "or" else self.comparison(depth)
        if self.token.text != word:
            return node
        terms = [self.relation(node, column)]
        while self.token.text == word:
            self.advance()
            column = self.token.column
            node = self._joined("and", depth) if word == "or" else self.comparison(depth)
            terms.append(self.relation(node, column))
        return Or(tuple(terms)) if word == "or" else And(tuple(terms))

    def comparison(self, depth: int) -> Value | Expression:
        column = self.token.column
        left = self.chain(depth)
        if self.token.text not in ("==", "!="):
            return left
        op = cast(Literal["==", "!="], self.advance().text)
        right_column = self.token.column
        right = self.chain(depth)
        if self.token.text in ("==", "!="):
            raise self.error(f"comparisons do not chain: unexpected {self.shown()}")
        return Comparison(self.value(left, column), op, self.value(right, right_column))

    def chain(self, depth: int) -> Value | Expression:
        column = self.token.column
        node = self.term(depth)
        op = self.token.text
        if op not in OPERATORS:
            return node
        terms = [self.value(node, column)]
        while self.token.text == op:
            self.advance()
            column = self.token.column
            terms.append(self.value(self.term(depth), column))
        if self.token.text in OPERATORS:
            raise self.error(
                f"one operator per chain: put parentheses around the {op!r} part before {self.shown()}"
            )
        return Sum(op, tuple(terms))

    def term(self, depth: int) -> Value | Expression:
        if depth >= MAX_DEPTH:
            raise self.error(f"more than {MAX_DEPTH} levels of parentheses")
        if self.token.text == "(":
            self.advance()
            node = self.alternatives(depth + 1)
            self.expect(")")
            return node
        if self.token.kind not in ("number", "name") or self.token.text in ("and", "or"):
            raise self.error(f"expected a field, a constant, a function or '(', not {self.shown()}")
        token = self.advance()
        if token.text in FUNCTIONS:
            return self.function(token, depth)
        self.leaves += 1
        if self.leaves > MAX_LEAVES:
            raise self.error(f"more than {MAX_LEAVES} fields and constants", token.column)
        if token.kind == "number":
            return Const(self.number(token))
        if token.text in FIELDS:
            return Field(token.text)
        if token.text in ("key16", "key32"):
            return Key(int(token.text[3:]))
        raise self.error(f"unknown name {token.text[:40]!r}", token.column)

    def function(self, token: _Token, depth: int) -> Value:
        self.expect("(")
        column = self.token.column
        argument = self.value(self.alternatives(depth + 1), column)
        highest = FUNCTIONS[token.text]
        n: int | None = None
        if highest is not None:
            self.expect(",")
            if self.token.kind != "number":
                raise self.error(f"{token.text} needs a number of bits, not {self.shown()}")
            digits = self.advance()
            n = self.number(digits)
            if n > highest:
                raise self.error(
                    f"{token.text} rotates by 0 to {highest} bits, not {digits.text!r},", digits.column
                )
        self.expect(")")
        return Fn(token.text, argument, n)

    def number(self, token: _Token) -> int:
        text = token.text
        if re.fullmatch(r"[0-9]{1,10}|0x[0-9A-Fa-f]{1,8}", text):
            value = int(text, 0) if text.startswith("0x") else int(text)
        elif re.fullmatch(r"([0-9]{1,3}\.){3}[0-9]{1,3}", text) and max(map(int, text.split("."))) <= 255:
            value = int.from_bytes(bytes(map(int, text.split("."))), "big")
        else:
            raise self.error(f"bad number {text[:40]!r}", token.column)
        if value > 0xFFFFFFFF:
            raise self.error(f"number {text!r} does not fit into 32 bits", token.column)
        return value
