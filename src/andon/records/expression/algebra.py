"""Normal form of a value: the rules of 32-bit arithmetic that hold for every packet.

Two ideas do most of the work. *Possible bits*: which bits of a value can be set at all (a port has sixteen), so
that masks that remove nothing disappear. *Demanded bits*, as in compilers: which bits of a value its user looks at,
so that masks and constants below ``lo16`` or a comparison under a mask lose what nobody sees.

Exclusive-or chains are kept as sets (a term cancels itself), additive chains as linear combinations modulo 2^w (so
``a - b``, ``a << 3``, ``a * 5`` and their sums have one form); terms stand in header order, keys and then constants
last. Rewriting may remove a field altogether; what that means for presence is `canonical.py`'s business.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from .ast import WORD, Const, Field, Fn, Key, Sum, Value, fields_of, keys_of
from .bits import apply_function, child_demands, low_mask, possible_bits, trailing_zeros
from .fields import FIELDS

ZERO = Const(0)


def order(node: Value) -> tuple[int, int, str]:
    """Sort key of a term: fields in header order, plain before compound, then keys, constants last."""
    names = fields_of(node)
    if names:
        return min(FIELDS[name].number for name in names), int(not isinstance(node, Field)), str(node)
    return (len(FIELDS) if keys_of(node) else len(FIELDS) + 1), 0, str(node)


def masked(node: Value) -> tuple[Value, int] | None:
    """(x, mask) when the value is ``x & mask``."""
    if isinstance(node, Fn) and node.name == "lo16":
        return node.argument, 0xFFFF
    if isinstance(node, Sum) and node.op == "&" and isinstance(node.terms[-1], Const):
        rest = node.terms[:-1]
        return (rest[0] if len(rest) == 1 else Sum("&", rest)), node.terms[-1].value
    return None


def shifted(node: Value, op: str) -> tuple[Value, int] | None:
    """(x, n) when the value is ``x << n`` or ``x >> n`` with a constant n."""
    if op == ">>" and isinstance(node, Fn) and node.name == "hi16":
        return node.argument, 16
    if isinstance(node, Sum) and node.op == op and isinstance(node.terms[-1], Const):
        rest = node.terms[:-1]
        return (rest[0] if len(rest) == 1 else Sum(op, rest)), min(node.terms[-1].value, 32)
    return None


def folded(node: Value) -> Value:
    """The value itself, or the constant that it is when it names no field and no key."""
    return node if fields_of(node) or keys_of(node) else normal(node)


def normal(node: Value, demand: int = WORD) -> Value:
    """A value in normal form that agrees with ``node`` on the demanded bits, for every packet."""
    if possible_bits(node) & demand == 0:
        return ZERO
    if isinstance(node, Const):
        return Const(node.value & demand)
    if isinstance(node, (Field, Key)):
        return node
    if isinstance(node, Fn):
        return _function(node, demand)
    if node.op == "^":
        return _exclusive_or(node.terms, demand)
    if node.op == "|":
        return _inclusive_or(node.terms, demand)
    if node.op == "&":
        return _conjunction(node.terms, demand)
    if node.op in ("<<", ">>"):
        return _shift(node, demand)
    return _linear(node, demand)


def _exclusive_or(terms: tuple[Value, ...], demand: int) -> Value:
    odd: dict[Value, None] = {}
    constant = 0
    waiting = list(reversed(terms))
    while waiting:
        term = normal(waiting.pop(), demand)
        if isinstance(term, Const):
            constant ^= term.value
        elif isinstance(term, Sum) and term.op == "^":
            waiting.extend(term.terms)
        elif isinstance(term, Fn) and _is_chain(term.argument):
            waiting.extend(_spread(term))
        elif term in odd:
            del odd[term]
        else:
            odd[term] = None
    constant &= demand
    kept: list[Value] = sorted(_gathered(odd), key=order)
    if constant:
        kept.append(Const(constant))
    if len(kept) < 2:
        return kept[0] if kept else ZERO
    union = 0
    for term in kept:
        union |= possible_bits(term) & demand
    for index, term in enumerate(kept):
        pair = masked(term)
        if pair is not None and pair[1] & demand & union == union:
            kept[index] = pair[0]
            return _conjunction((Sum("^", tuple(kept)), Const(union)), demand)
    return Sum("^", tuple(kept))


def _is_chain(value: Value) -> bool:
    return isinstance(value, Sum) and value.op == "^"


def _spread(node: Fn) -> list[Value]:
    """A rotation or byte swap of an exclusive-or, as that of each of its terms."""
    assert isinstance(node.argument, Sum)
    return [Fn(node.name, term, node.n) for term in node.argument.terms]


def _gathered(terms: Iterable[Value]) -> list[Value]:
    """Terms that are turned alike, turned together: ``rotl32(a, 5) ^ rotl32(b, 5)`` as ``rotl32(a ^ b, 5)``."""
    groups: dict[tuple[str, int | None], list[Value]] = {}
    others: list[Value] = []
    for term in terms:
        if isinstance(term, Fn) and term.name not in ("lo16", "hi16"):
            groups.setdefault((term.name, term.n), []).append(term.argument)
        else:
            others.append(term)
    for term in list(others):
        up = shifted(term, "<<")  # a field that loses nothing by a shift is rotated by it
        if up is None or ("rotl32", up[1]) not in groups:
            continue
        if isinstance(up[0], (Field, Key)) and possible_bits(up[0]) << up[1] <= WORD:
            others.remove(term)
            groups["rotl32", up[1]].append(up[0])
    for (name, n), found in groups.items():
        inner = sorted(found, key=order)
        others.append(Fn(name, inner[0] if len(inner) == 1 else Sum("^", tuple(inner)), n))
    return others


def _inclusive_or(terms: tuple[Value, ...], demand: int) -> Value:
    kept: dict[Value, None] = {}
    constant = 0
    waiting = list(terms)
    while waiting:
        term = normal(waiting.pop(), demand)
        if isinstance(term, Const):
            constant |= term.value
        elif isinstance(term, Sum) and term.op == "|":
            waiting.extend(term.terms)
        else:
            kept[term] = None
    constant &= demand
    if constant == demand:
        return Const(constant)
    parts: list[Value] = sorted(kept, key=order)
    if constant:
        parts.append(Const(constant))
    if len(parts) < 2:
        return parts[0] if parts else ZERO
    seen = 0
    for part in parts:
        bits = possible_bits(part)
        if bits & seen:
            return Sum("|", tuple(parts))
        seen |= bits
    return _exclusive_or(tuple(parts), demand)  # no bit meets another: the same, and it can be inverted


def _conjunction(terms: tuple[Value, ...], demand: int) -> Value:
    mask = WORD
    kept: dict[Value, None] = {}
    for term in terms:
        if isinstance(term, Const):
            mask &= term.value
    waiting: list[Value] = [term for term in terms if not isinstance(term, Const)]
    while waiting:
        term = normal(waiting.pop(), demand & mask)
        pair = masked(term)
        if isinstance(term, Const):
            mask &= term.value | ~demand & mask if len(kept) + len(waiting) else WORD
            if not (kept or waiting):
                return Const(term.value & mask & demand)
        elif pair is not None:
            mask &= pair[1]
            waiting.append(pair[0])
        elif isinstance(term, Sum) and term.op == "&":
            waiting.extend(term.terms)
        else:
            kept[term] = None
    wanted = demand & mask
    parts: list[Value] = sorted((normal(term, wanted) for term in kept), key=order)
    if not parts:
        return Const(wanted)
    inner = parts[0] if len(parts) == 1 else Sum("&", tuple(parts))
    return _with_mask(inner, mask, demand)


def _with_mask(inner: Value, mask: int, demand: int) -> Value:
    bits = possible_bits(inner) & demand
    if bits & mask == 0:
        return ZERO
    if bits & ~mask == 0:
        return inner
    if bits & mask == bits & 0xFFFF:
        if (
            isinstance(inner, Sum)
            and inner.op == "|"
            and len(inner.terms) == 2
            and isinstance(inner.terms[1], Const)
        ):
            first, constant = inner.terms[0], inner.terms[1].value & 0xFFFF & demand
            if possible_bits(first) & 0xFFFF & constant:  # lo16(x) | C, which is shorter than lo16(x | C)
                return Sum("|", (_with_mask(first, mask, demand), Const(constant)))
        return Fn("lo16", inner)
    if isinstance(inner, Const):
        return Const(inner.value & mask & demand)
    terms = inner.terms if isinstance(inner, Sum) and inner.op == "&" else (inner,)
    return Sum("&", (*terms, Const(bits & mask)))


def _shift(node: Sum, demand: int) -> Value:
    """``<<`` and ``>>``, taken two terms at a time from the right."""
    *rest, last = node.terms
    first: Value = rest[0] if len(rest) == 1 else Sum(node.op, tuple(rest))
    by = normal(last)
    if not isinstance(by, Const):
        return Sum(node.op, (normal(first, child_demands(Sum(node.op, (first, by)), demand)[0]), by))
    if by.value > 31:
        return ZERO
    if node.op == "<<":
        return _linear(Sum("<<", (first, by)), demand)
    return _shift_right(normal(first, (demand << by.value) & WORD), by.value, demand)


def _shift_right(x: Value, n: int, demand: int) -> Value:
    if n == 0:
        return normal(x, demand)
    if isinstance(x, Const):
        return Const((x.value >> n) & demand)
    pair = masked(x)
    if pair is not None:
        return _conjunction((Sum(">>", (pair[0], Const(n))), Const(pair[1] >> n)), demand)
    deeper = shifted(x, ">>")
    if deeper is not None:
        total = deeper[1] + n
        return ZERO if total > 31 else _shift_right(deeper[0], total, demand)
    up = shifted(x, "<<")
    if up is not None and possible_bits(up[0]) << up[1] <= WORD:
        back = Sum("<<", (up[0], Const(up[1] - n))) if up[1] > n else Sum(">>", (up[0], Const(n - up[1])))
        return normal(up[0] if up[1] == n else back, demand)
    return Fn("hi16", x) if n == 16 else Sum(">>", (x, Const(n)))


def _function(node: Fn, demand: int) -> Value:
    if node.name == "lo16":
        return _conjunction((node.argument, Const(0xFFFF)), demand)
    if node.name == "hi16":
        return _shift_right(normal(node.argument, (demand << 16) & WORD), 16, demand)
    x = normal(node.argument, child_demands(node, demand)[0])
    if _is_chain(x):
        return _exclusive_or(tuple(_spread(Fn(node.name, x, node.n))), demand)
    if isinstance(x, Const):
        return Const(apply_function(node.name, x.value, node.n or 0) & demand)
    inner = x if isinstance(x, Fn) else None
    if node.name == "bswap32":
        if inner and inner.name == "bswap32":
            return normal(inner.argument, demand)
        return Fn("bswap32", x)
    if node.name == "rotl32":
        n = node.n or 0
        if inner and inner.name == "rotl32":
            x, n = inner.argument, (n + (inner.n or 0)) % 32
        up = shifted(x, "<<")
        if (
            up is not None and isinstance(up[0], (Field, Key)) and possible_bits(up[0]) << up[1] <= WORD
        ):  # such a shift is a rotation too
            x, n = up[0], (n + up[1]) % 32
        if n == 0:
            return normal(x, demand)
        if (
            isinstance(x, (Field, Key)) and possible_bits(x) << n <= WORD
        ):  # of a sum, the rotation inverts better
            return normal(Sum("<<", (x, Const(n))), demand)
        return Fn("rotl32", x, n)
    n = 8 if node.name == "bswap16" else node.n or 0
    while isinstance(x, Fn) and x.name in ("rotl16", "bswap16", "lo16"):
        n += {"rotl16": x.n or 0, "bswap16": 8, "lo16": 0}[x.name]
        x = x.argument
    up = shifted(x, "<<")
    if up is not None and isinstance(up[0], (Field, Key)) and possible_bits(up[0]) << up[1] <= 0xFFFF:
        x, n = up[0], n + up[1]
    n %= 16
    if n == 0:
        return _conjunction((x, Const(0xFFFF)), demand)
    if isinstance(x, (Field, Key)) and possible_bits(x) << n <= 0xFFFF:
        return normal(Sum("<<", (x, Const(n))), demand)
    return Fn("bswap16", x) if n == 8 else Fn("rotl16", x, n)


def _linear(node: Value, demand: int) -> Value:
    """``+ - * <<`` by constants as one linear combination modulo 2^w; w reaches the highest demanded bit."""
    width = demand.bit_length()
    modulus = 1 << width
    coefficients: Counter[Value] = Counter()
    constant = 0
    waiting: list[tuple[Value, int, bool]] = [(node, 1, False)]  # value, coefficient, already in normal form
    while waiting:
        value, factor, done = waiting.pop()
        factor %= modulus
        if factor == 0:
            continue
        if isinstance(value, Const):
            constant += value.value * factor
            continue
        if done:
            coefficients[value] += factor
            continue
        wide = width - trailing_zeros(factor)
        if isinstance(value, Sum) and _is_product(value):
            product, by = _product(value, wide)
            waiting.append((product, factor * by, not _is_linear(product)))
            continue
        split = _linear_parts(value)
        if split is not None:
            waiting += [(part, factor * by, False) for part, by in split]
        else:
            made = normal(value, low_mask(wide))
            waiting.append((made, factor, not (_is_linear(made) or _is_product(made))))
    terms = {value: c % modulus for value, c in coefficients.items() if c % modulus}
    constant %= modulus
    if len(terms) == 1 and not constant:
        ((value, c),) = terms.items()
        if c == 1:
            return value if _is_product(value) else normal(value, demand)
        if c & (c - 1) == 0:
            n = c.bit_length() - 1
            made = normal(value, demand >> n)
            down = shifted(made, ">>")
            if down is not None:
                return _moved_back(down[0], down[1], n, demand)
            again = _is_linear(made) or (_is_product(made) and made != value)
            return _linear(Sum("<<", (made, Const(n))), demand) if again else _times(made, c)
        if (modulus - c) & (modulus - c - 1):
            return _times(value, c)
    plus: list[Value] = []
    minus: list[Value] = []
    for value in sorted(terms, key=order):
        c = terms[value]
        if c <= modulus - c:
            plus.append(_times(value, c))
        else:
            minus.append(_times(value, modulus - c))
    return _written_out(plus, minus, constant, modulus, demand)


def _moved_back(x: Value, down: int, up: int, demand: int) -> Value:
    """``(x >> down) << up`` as one shift under a mask."""
    mask = Const(((WORD >> down) << up) & WORD)
    if up == down:
        return _conjunction((x, mask), demand)
    by = Const(abs(up - down))
    return _conjunction((Sum("<<" if up > down else ">>", (x, by)), mask), demand)


def _linear_parts(value: Value) -> list[tuple[Value, int]] | None:
    """The value as a sum of (part, factor), or None if it is neither a sum nor a shift by a constant."""
    if not isinstance(value, Sum):
        return None
    if value.op in ("+", "-"):
        sign = 1 if value.op == "+" else -1
        return [(term, 1 if index == 0 else sign) for index, term in enumerate(value.terms)]
    up = shifted(value, "<<")
    return None if up is None else [(up[0], 1 << up[1])]


def _is_linear(value: Value) -> bool:
    return _linear_parts(value) is not None


def _is_product(value: Value) -> bool:
    return isinstance(value, Sum) and value.op == "*"


def _product(value: Sum, width: int) -> tuple[Value, int]:
    """A product as (factors that are not constant, constant factor)."""
    factor = 1
    others: list[Value] = []
    waiting = [normal(term, low_mask(width)) for term in value.terms]
    while waiting:
        part = waiting.pop()
        up = shifted(part, "<<")
        if isinstance(part, Const):
            factor *= part.value
        elif up is not None:
            factor <<= up[1]
            waiting.append(up[0])
        elif isinstance(part, Sum) and part.op == "*":
            waiting.extend(part.terms)
        else:
            others.append(part)
    if len(others) < 2:
        return (others[0] if others else Const(1)), factor
    return Sum("*", tuple(sorted(others, key=order))), factor


def _times(value: Value, factor: int) -> Value:
    if factor == 1 or isinstance(value, Const):
        return Const(value.value * factor & WORD) if isinstance(value, Const) else value
    if factor & (factor - 1) == 0:
        return Sum("<<", (value, Const(factor.bit_length() - 1)))
    terms = value.terms if isinstance(value, Sum) and value.op == "*" else (value,)
    return Sum("*", (*terms, Const(factor)))


def _written_out(plus: list[Value], minus: list[Value], constant: int, modulus: int, demand: int) -> Value:
    taken_away = constant > modulus - constant and bool(plus)
    if constant and not taken_away:
        plus = [*plus, Const(constant & (demand if not plus and not minus else WORD))]
    if taken_away:
        minus = [*minus, Const(modulus - constant)]
    if not plus:
        plus = [ZERO]
    head = plus[0] if len(plus) == 1 else Sum("+", tuple(plus))
    return Sum("-", (head, *minus)) if minus else head
