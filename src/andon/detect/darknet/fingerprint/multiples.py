"""L2: products with an odd factor, from packets of many sources of which each shows one or two.

The low j bits of a product depend on the low j bits of its factors alone. So every odd factor modulo 2^j is tried:
what the target leaves over, modulo 2^j, falls into one bucket for all rows of a family and is spread over 2^j for the
others. With j = 10, forty rows among five thousand make a bucket of 45 where chance leaves five. The factor is then
lifted bit by bit: of two factors and two constants the one that most rows obey, which loses half of the rows that
came by chance at every step. A rotation of the sum is a rotation of the target. Darknet notes 1.3, L2 and L4: for
products only low bits show.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from .candidate import FULL, Candidate, values

SUB, XOR = 0, 1
WORK = 60_000_000  # row visits of one form


@dataclass(frozen=True)
class Form:
    """``turned`` {op} ``factor`` * ``inner`` [+ ``plus``] is constant; ``target`` is a field, of which every rotation
    is tried if ``turns``."""

    target: str
    inner: str
    plus: str = ""
    xor: bool = False
    turns: bool = False
    inverse: bool = False  # the target is multiplied: (target * factor) ^ inner

    @property
    def width(self) -> int:
        return 16 if self.target in ("ip.id", "tcp.window") else 32

    def turned(self, k: int) -> str:
        """Text of the target rotated to the right by k."""
        return f"rotl{self.width}({self.target}, {self.width - k})" if k else self.target


_DST = (
    "ip.dst",
    "(ip.dst ^ tcp.srcport)",
    "(ip.dst ^ tcp.dstport)",
    "(ip.dst + tcp.srcport)",
    "(ip.dst + tcp.dstport)",
)
_PLUS = (
    "tcp.srcport",
    "tcp.dstport",
    "(tcp.srcport << 16)",
    "(tcp.dstport << 16)",
    "(tcp.srcport + tcp.dstport)",
)
FORMS = (
    *(Form("tcp.seq", inner, "", xor, True) for inner in _DST[:1] for xor in (False, True)),
    *(Form("tcp.seq", "ip.dst", plus, xor) for plus in _PLUS for xor in (False, True)),
    *(Form("tcp.seq", inner, "", True, True) for inner in _DST[1:]),
    *(Form("tcp.seq", inner, "", True, False, True) for inner in _DST[:3]),
    Form("tcp.seq", "tcp.srcport", "", False),
    *(Form("ip.id", inner, "", xor, True) for inner in ("ip.dst", "hi16(ip.dst)", "tcp.seq") for xor in (False, True)),
    *(Form("ip.id", inner, plus) for inner in ("ip.dst", "tcp.seq") for plus in ("tcp.srcport", "tcp.dstport")),
    *(Form("ip.id", "tcp.srcport", plus) for plus in ("", "ip.dst", "tcp.dstport")),
    *(Form("tcp.window", inner, "", xor) for inner in ("ip.id", "ip.dst", "tcp.srcport") for xor in (False, True)),
)  # fmt: skip


@njit(cache=True, nogil=True)
def fullest_of_factors(
    x: Any, y: Any, plus: Any, xor: Any, inverse: Any, bits: Any, turns: Any, width: Any, out: Any
) -> None:
    """``out`` (turns, 3) int64: rows in the fullest bucket, the factor modulo 2^bits, and the constant."""
    n = len(x)
    size = 1 << bits
    low = np.uint32(size - 1)
    table = np.zeros(size, np.int32)
    z = np.empty(n, np.uint32)
    u = np.empty(n, np.uint32)
    for t in range(turns):
        for i in range(n):
            v = y[i]
            if t:
                if width == 32:
                    v = np.uint32(np.uint32(v >> np.uint32(t)) | np.uint32(v << np.uint32(32 - t)))
                else:
                    v = np.uint32(np.uint32(v >> np.uint32(t)) | np.uint32(v << np.uint32(16 - t)))
            z[i] = (v ^ plus[i] if xor else np.uint32(v - plus[i])) & low
            u[i] = x[i] & low
            if inverse:
                z[i], u[i] = u[i], z[i]
        out[t, 0] = 0
        for half in range(size // 2):
            a = np.uint32(2 * half + 1)
            table[:] = 0
            if xor:
                for i in range(n):
                    table[(z[i] ^ np.uint32(a * u[i])) & low] += 1
            else:
                for i in range(n):
                    table[np.uint32(z[i] - np.uint32(a * u[i])) & low] += 1
            for c in range(size):
                if table[c] > out[t, 0]:
                    out[t, 0] = table[c]
                    out[t, 1] = a
                    out[t, 2] = c


def products(
    columns: dict[str, np.ndarray], least: int, work: int = WORK, forms: tuple[Form, ...] = FORMS
) -> Iterator[tuple[Candidate | None, np.ndarray]]:
    """(candidate, rows that show it) of every form that more rows share than chance allows.

    ``columns``: packet-record columns of the pool; ``work``: row visits a form may cost, about 1 ns each. The
    candidate is None if the factor could only be lifted in part: then the rows are a family's, but the form is not
    (yet) what they obey.
    """
    n = len(columns["dst"])
    found: list[tuple[float, int, int, int, int, int]] = []
    for number, form in enumerate(forms):
        turns = form.width if form.turns else 1
        bits = int(np.clip(np.log2(max(work / (n * turns), 1)) + 1, 6, 11))
        out = np.zeros((turns, 3), np.int64)
        fullest_of_factors(*_terms(form, columns), form.xor, form.inverse, bits, turns, form.width, out)
        level = n / 2**bits
        limit = max(0.75 * least, level + 12 + 6.5 * level**0.5)
        found += [
            (level - float(out[t, 0]), number, t, int(out[t, 1]), int(out[t, 2]), bits)
            for t in np.argsort(-out[:, 0]).tolist()[:2]
            if out[t, 0] >= limit
        ]
    # The form that most rows obey: of a sum, the product alone holds for the rows in which the rest is the same.
    for _, number, t, a, c, bits in sorted(found):
        yield _lifted(forms[number], t, a, c, bits, *_terms(forms[number], columns))


def _terms(form: Form, columns: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(x, y, plus) of a form."""
    plus = values(form.plus, columns) if form.plus else np.zeros(len(columns["dst"]), np.uint32)
    return values(form.inner, columns), values(form.target, columns), plus


def _lifted(
    form: Form, t: int, a: int, c: int, bits: int, x: np.ndarray, y: np.ndarray, plus: np.ndarray
) -> tuple[Candidate | None, np.ndarray]:
    width, shift = form.width, np.uint32(form.width - t)
    if t:
        y = (y >> np.uint32(t) | y << shift) & np.uint32(FULL if width == 32 else 0xFFFF)
    y = y ^ plus if form.xor else y - plus
    if form.inverse:
        x, y = y, x
    rows = np.flatnonzero(((_left(form, a, x, y) ^ np.uint32(c)) & np.uint32((1 << bits) - 1)) == 0)
    for b in range(bits, width):
        ways = []
        for factor in (a, a | 1 << b):
            bit = _left(form, factor, x[rows], y[rows]) >> np.uint32(b) & 1
            ways += [(int((bit == v).sum()), factor, v) for v in (0, 1)]
        count, factor, v = max(ways)
        if count < 0.62 * len(rows):
            return None, rows
        rows = rows[(_left(form, factor, x[rows], y[rows]) >> np.uint32(b) & 1) == v]
        a = factor
    mask = FULL if width == 32 else 0xFFFF
    turned = form.turned(t)
    if form.inverse:
        return Candidate(f"{turned} * {a}", "^", form.inner, mask, FULL, "L2", 6.0, turned), rows
    product = f"({form.inner} * {a})" if a != 1 else form.inner
    if form.plus:
        product = f"{product} {'^' if form.xor else '+'} {form.plus}"
    return Candidate(turned, "^" if form.xor else "-", product, mask, FULL, "L2", 6.0, form.target), rows


def _left(form: Form, a: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    product = x * np.uint32(a)
    found: np.ndarray = y ^ product if form.xor else y - product
    return found


__all__ = ["FORMS", "WORK", "Form", "products"]
