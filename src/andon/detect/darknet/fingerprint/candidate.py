"""A candidate: a relation up to its constant, and how a constant or a key completes it to an expression.

``left`` and ``right`` are sums of the language, ``op`` says how they are compared: "^" (bits; ``keep`` are the bits
of ``right`` that count) or "-" (numbers modulo 2^16 or 2^32). What a row leaves over, its *residue*
``(left op right) & mask``, is one constant for a global relation and one per session for a keyed one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from andon.records.expression import Comparison, Expression, canonical, parse
from andon.records.expression.evaluate import execute
from andon.records.expression.program import Code, compile_value

FULL = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Candidate:
    """A relation whose constant is open; see the module."""

    left: str
    op: str
    right: str
    mask: int
    keep: int
    layer: str
    cost: float
    target: str  # the field whose values must vary for a row to count

    @property
    def residue(self) -> str:
        """Text of the residue."""
        if not self.right:
            return f"({self.left}) & {self.mask}"
        right = f"({self.right})" if self.keep == FULL else f"(({self.right}) & {self.keep})"
        return f"(({self.left}) {self.op} {right}) & {self.mask}"

    def expression(self, constant: int | None) -> Expression:
        """The canonical expression with this constant; with a key if None."""
        return shortest(self._ways(constant))

    def _ways(self, constant: int | None) -> list[str]:
        mask, keep = self.mask, self.keep & self.mask if self.op == "^" else FULL
        plus = "^" if self.op == "^" else "+"
        left = f"({self.left}) & {mask}"
        if constant is None:
            bits = 16 if mask <= 0xFFFF else 32
            key = f"key{bits}"
            if not self.right:
                return [f"{left} == {key} & {mask}"]
            right = f"({self.right})" if self.keep == FULL else f"(({self.right}) & {self.keep})"
            return [f"{left} == ({right} {plus} {key}) & {mask}"]
        if not self.right:
            return [f"{left} == {constant & mask}"]
        if self.op == "-":
            signed = [f"{left} == (({self.right}) + {constant}) & {mask}"]
            signed.append(f"{left} == (({self.right}) - {-constant & mask}) & {mask}")
            return signed if constant else [f"{left} == ({self.right}) & {mask}"]
        ways = [f"{left} == ((({self.right}) & {keep | ~mask & FULL}) ^ {constant}) & {mask}"]
        dropped = mask & ~keep
        if dropped and constant & dropped == dropped and not constant & keep:
            ways.append(f"{left} == (({self.right}) | {dropped}) & {mask}")
        if not constant:
            ways.append(f"{left} == ({self.right}) & {keep if dropped else mask}")
        return ways


def shortest(ways: list[str]) -> Expression:
    """The canonical form that takes fewest characters."""
    made = [canonical(parse(text)) for text in ways]
    return min(made, key=lambda e: (len(str(e)), str(e)))


@lru_cache(maxsize=4096)
def _code(text: str) -> Code:
    made = parse(f"{text} == 0")
    assert isinstance(made, Comparison)
    return compile_value(made.left)


def values(text: str, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.uint32]:
    """Value (uint32) of a sum of the language for every row."""
    return execute(_code(text), columns, values=True)[1]


def columns_of(text: str) -> frozenset[str]:
    """The packet-record columns that a sum of the language reads."""
    return _code(text).columns
