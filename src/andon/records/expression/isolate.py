"""Solving a comparison for one of its parts: exclusive-or, addition, odd factors, rotations, swaps, masks, undone.

A comparison is a tree hung up at its ``==``. Hanging it up at another leaf, inverting every operation on the way, says
the same about that leaf. Each step carries the *mask* of the bits that are compared: ``lo16(x) == y`` for a 16-bit
``y`` compares sixteen bits of ``x`` and leaves the others free.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .algebra import masked, normal, shifted
from .ast import WORD, Comparison, Const, Field, Fn, Key, Sum, Value, keys_of
from .bits import apply_function, low_mask, possible_bits, rotate_left


@dataclass(frozen=True, slots=True)
class Isolated:
    """``leaf & mask == right & mask``, the same as the comparison that it comes from (negated for ``!=``)."""

    leaf: Field | Key
    mask: int
    right: Value

    @property
    def left(self) -> Value:
        """The leaf with the mask that it needs, for printing."""
        whole = possible_bits(self.leaf)
        if self.mask & whole == whole:
            return self.leaf
        return Sum("&", (self.leaf, Const(self.mask & whole)))

    def masked_right(self) -> Value:
        """The right side with the mask that it needs, in normal form."""
        return normal(Sum("&", (self.right, Const(self.mask))))


@dataclass(frozen=True, slots=True)
class Sides:
    """``left & mask == right & mask``, which says the same as the comparison."""

    left: Value
    right: Value
    mask: int

    def decided(self) -> bool | None:
        """True or False when the equality holds for every packet or for none, as far as the bits show."""
        if self.mask == 0 or self.left == self.right:
            return True
        a, b = possible_bits(self.left), possible_bits(self.right)
        if isinstance(self.left, Const) and self.left.value & self.mask & ~b:
            return False
        if isinstance(self.right, Const) and self.right.value & self.mask & ~a:
            return False
        return None


def sides(comparison: Comparison) -> Sides:
    """Both sides in normal form; a mask around a side is taken off and becomes the mask of the comparison."""
    mask = WORD
    left, right = normal(comparison.left), normal(comparison.right)
    while masked(left) is not None or masked(right) is not None:
        wanted = mask & (possible_bits(left) | possible_bits(right))
        new_left, new_right = normal(left, wanted), normal(right, wanted)
        if (new_left, new_right, wanted) == (left, right, mask):
            break
        left, right, mask = new_left, new_right, wanted
    return Sides(left, right, mask)


def isolations(at: Sides) -> Iterator[Isolated]:
    """Every way to write the equality with one field or key alone on the left."""
    yield from _solve(at.left, at.right, at.mask)
    yield from _solve(at.right, at.left, at.mask)


def _join(op: str, first: Value, others: tuple[Value, ...]) -> Value:
    return Sum(op, (first, *others)) if others else first


def _solve(node: Value, right: Value, mask: int) -> Iterator[Isolated]:
    if mask == 0:
        return
    if isinstance(node, (Field, Key)):
        yield Isolated(node, mask, right)
    elif isinstance(node, Fn):
        yield from _solve_function(node, right, mask)
    elif isinstance(node, Sum):
        yield from _solve_chain(node, right, mask)


def _solve_function(node: Fn, right: Value, mask: int) -> Iterator[Isolated]:
    x, n = node.argument, node.n or 0
    if node.name == "rotl32":
        yield from _solve(x, Fn("rotl32", right, (32 - n) % 32), rotate_left(mask, 32 - n))
        return
    if node.name == "bswap32":
        yield from _solve(x, Fn("bswap32", right), apply_function("bswap32", mask, 0))
        return
    # The result has sixteen bits: above them the other side must be zero by itself.
    if possible_bits(right) & mask & ~0xFFFF:
        return
    if node.name == "hi16":
        yield from _solve(x, Sum("<<", (right, Const(16))), (mask << 16) & WORD)
    elif node.name == "lo16":
        yield from _solve(x, right, mask & 0xFFFF)
    else:
        back = 8 if node.name == "bswap16" else (16 - n) % 16
        yield from _solve(x, Fn("rotl16", right, back), rotate_left(mask, back, 16))


def _solve_chain(node: Sum, right: Value, mask: int) -> Iterator[Isolated]:
    exact = mask
    if node.op in ("+", "-", "*"):  # bits that are zero on both sides may count as compared
        mask |= WORD & ~(possible_bits(node) | possible_bits(right))
    if node.op == "^":
        for index, term in enumerate(node.terms):
            yield from _solve(term, _join("^", right, node.terms[:index] + node.terms[index + 1 :]), mask)
    elif node.op in ("+", "-"):
        # Carries come from below: all lower bits must be compared.
        if exact & (exact + 1) and mask & (mask + 1):
            return
        keys_only = bool(mask & (mask + 1))  # the form of keyless relations stays what it was
        mask = exact if keys_only else mask
        for index, term in enumerate(node.terms):
            if keys_only and not keys_of(term):
                continue
            others = node.terms[:index] + node.terms[index + 1 :]
            if node.op == "+" or index == 0:
                rest = _join("-" if node.op == "+" else "+", right, others)
            else:
                rest = Sum("-", (_join("-", node.terms[0], tuple(t for t in others[1:])), right))
            yield from _solve(term, rest, mask)
    elif node.op == "*":
        *factors, last = node.terms
        if len(factors) == 1 and isinstance(last, Const) and last.value & 1 and not mask & (mask + 1):
            yield from _solve(factors[0], Sum("*", (right, Const(pow(last.value, -1, 1 << 32)))), mask)
    elif node.op == "&" and isinstance(node.terms[-1], Const) and len(node.terms) == 2:
        by = node.terms[-1].value
        if not possible_bits(right) & mask & ~by:
            yield from _solve(node.terms[0], right, mask & by)
    else:
        yield from _solve_shift(node, right, mask)


def _solve_shift(node: Sum, right: Value, mask: int) -> Iterator[Isolated]:
    up, down = shifted(node, "<<"), shifted(node, ">>")
    if up is not None and up[1] < 32:
        if not possible_bits(right) & mask & low_mask(up[1]):
            yield from _solve(up[0], Sum(">>", (right, Const(up[1]))), mask >> up[1])
        elif possible_bits(up[0]) << up[1] <= WORD:  # nothing is shifted out: the same as a rotation
            yield from _solve(up[0], Fn("rotl32", right, 32 - up[1]), rotate_left(mask, 32 - up[1]))
    if down is not None and down[1] < 32 and not possible_bits(right) & mask & ~(WORD >> down[1]):
        yield from _solve(down[0], Sum("<<", (right, Const(down[1]))), (mask << down[1]) & WORD)
