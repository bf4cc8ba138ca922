"""Bits of values: which can be set at all, and which matter to whoever uses the value.

*Possible bits* are what compilers call known-zero bits, the other way round; *demanded bits* are theirs too (LLVM's
``SimplifyDemandedBits``). Both are safe bounds: a bit outside is certainly zero, or certainly of no account.
"""

from __future__ import annotations

from .ast import WORD, Const, Field, Fn, Key, Sum, Value


def rotate_left(value: int, n: int, bits: int = 32) -> int:
    """``value`` of ``bits`` bits rotated left by ``n``."""
    value &= (1 << bits) - 1
    n %= bits
    return ((value << n) | (value >> (bits - n))) & ((1 << bits) - 1)


def swap_bytes(value: int) -> int:
    """The four bytes of a 32-bit number in reverse."""
    return int.from_bytes((value & WORD).to_bytes(4, "little"), "big")


def low_mask(bits: int) -> int:
    """The lowest ``bits`` bits, at most 32."""
    return (1 << min(max(bits, 0), 32)) - 1


def trailing_zeros(value: int) -> int:
    """Number of zero bits below the lowest set one; 32 for zero."""
    return (value & -value).bit_length() - 1 if value else 32


def possible_bits(node: Value) -> int:
    """Mask of the bits that can be set in the value; a bit outside it is 0 for every packet."""
    if isinstance(node, Field):
        return node.info.mask
    if isinstance(node, Const):
        return node.value
    if isinstance(node, Key):
        return low_mask(node.bits)
    if isinstance(node, Fn):
        x = possible_bits(node.argument)
        return apply_function(node.name, x, node.n or 0)
    parts = [possible_bits(term) for term in node.terms]
    if node.op == "&":
        result = WORD
        for part in parts:
            result &= part
        return result
    if node.op in ("^", "|"):
        result = 0
        for part in parts:
            result |= part
        return result
    return _possible_arithmetic(node, parts)


def _possible_arithmetic(node: Sum, parts: list[int]) -> int:
    if node.op in ("<<", ">>"):
        result = parts[0]
        for term, part in zip(node.terms[1:], parts[1:], strict=True):
            if isinstance(term, Const):
                shifted = result << min(term.value, 32) if node.op == "<<" else result >> min(term.value, 32)
                result = shifted & WORD
            elif part:
                result = WORD if node.op == "<<" else low_mask(result.bit_length())
        return result
    if node.op == "*":
        highest, zeros = 1, 0
        for part in parts:
            highest *= part
            zeros += trailing_zeros(part)
        return low_mask(min(highest.bit_length(), 32)) & ~low_mask(zeros)
    zeros = min(trailing_zeros(part) for part in parts)
    highest = sum(parts) if node.op == "+" else WORD
    return low_mask(highest.bit_length()) & ~low_mask(zeros)


def apply_function(name: str, x: int, n: int) -> int:
    """A function of the language on a number."""
    if name == "lo16":
        return x & 0xFFFF
    if name == "hi16":
        return x >> 16
    if name == "rotl32":
        return rotate_left(x, n)
    if name == "bswap32":
        return swap_bytes(x)
    return rotate_left(x, 8 if name == "bswap16" else n, 16)


def child_demands(node: Value, demand: int) -> tuple[int, ...]:
    """Which bits of each part of a value matter to the demanded bits of the value."""
    if isinstance(node, Fn):
        if node.name == "lo16":
            return (demand & 0xFFFF,)
        if node.name == "hi16":
            return ((demand << 16) & WORD,)
        if node.name == "rotl32":
            return (rotate_left(demand, 32 - (node.n or 0)),)
        if node.name == "bswap32":
            return (swap_bytes(demand),)
        return (rotate_left(demand, 16 - (8 if node.name == "bswap16" else node.n or 0), 16),)
    if not isinstance(node, Sum):
        return ()
    count = len(node.terms)
    if node.op in ("^", "|"):
        return (demand,) * count
    if node.op == "&":
        known = demand
        for term in node.terms:
            if isinstance(term, Const):
                known &= term.value
        return (known,) * count
    if node.op in ("+", "-", "*"):
        return (low_mask(demand.bit_length()),) * count
    first = demand
    for term in reversed(node.terms[1:]):
        if isinstance(term, Const):
            n = min(term.value, 32)
            first = first >> n if node.op == "<<" else (first << n) & WORD
        elif first:
            first = (
                low_mask(first.bit_length()) if node.op == "<<" else WORD & ~low_mask(trailing_zeros(first))
            )
    return (first,) + (WORD if demand else 0,) * (count - 1)


def field_demand(node: Value, demand: int, name: str) -> int:
    """Which bits of the named field matter to the demanded bits of the value."""
    if isinstance(node, Field):
        return demand & node.info.mask if node.name == name else 0
    parts = node.terms if isinstance(node, Sum) else (node.argument,) if isinstance(node, Fn) else ()
    result = 0
    for part, wanted in zip(parts, child_demands(node, demand), strict=True):
        result |= field_demand(part, wanted, name)
    return result
