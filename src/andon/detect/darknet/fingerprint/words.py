"""Words: what one step of a scanner's arithmetic can make of one header field.

The searches of this package build relations out of *words*: a field, a half of it, a rotation, a shift, its bytes
reversed. A word is three numbers (field, operation, amount), so that compiled code can evaluate thousands of them
without compiling anything, and it has a text in the language of ``records.expression``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numba import njit

DST, SEQ, ACK, ID, SPORT, DPORT, WINDOW, SRC, SEQ_LOW, SEQ_HIGH = range(10)
PAIRS: Final = tuple(range(10, 16))
NAMES: Final = (
    "ip.dst", "tcp.seq", "tcp.ack", "ip.id", "tcp.srcport", "tcp.dstport", "tcp.window", "ip.src",
    "lo16(tcp.seq)", "hi16(tcp.seq)",
    "(ip.dst ^ tcp.srcport)", "(ip.dst ^ tcp.dstport)", "(ip.dst ^ (tcp.srcport << 16))",
    "(ip.dst ^ (tcp.dstport << 16))", "(ip.dst ^ tcp.seq)", "(ip.dst ^ ip.id)",
)  # fmt: skip
BITS: Final = (32, 32, 32, 16, 16, 16, 16, 32, 16, 16, 32, 32, 32, 32, 32, 32)
_COLUMNS: Final = ("dst", "tcp_seq", "tcp_ack", "ip_id", "src_port", "dst_port", "tcp_window", "src")

PLAIN, ROTL, SHR, SHL, SWAP, LOW, ROTL_LOW, ROTL_HIGH, ROTL_LOW_UP, ROTL_HIGH_UP = range(10)


@njit(cache=True, nogil=True, inline="always")
def _rotl16(x, k):  # type: ignore[no-untyped-def]
    return np.uint32((np.uint32(x << k) | np.uint32(x >> (np.uint32(16) - k))) & np.uint32(0xFFFF))


@njit(cache=True, nogil=True)
def word_of(op: Any, n: Any, x: Any) -> Any:
    """Value (uint32) of operation ``op`` with amount ``n`` on field value ``x`` (uint32)."""
    k = np.uint32(n)
    if op == PLAIN:
        return x
    if op == ROTL:
        return np.uint32(np.uint32(x << k) | np.uint32(x >> (np.uint32(32) - k)))
    if op == SHR:
        return np.uint32(x >> k)
    if op == SHL:
        return np.uint32(x << k)
    if op == SWAP:
        y = np.uint32(
            np.uint32((x & np.uint32(0xFF00FF)) << np.uint32(8)) | ((x >> np.uint32(8)) & np.uint32(0xFF00FF))
        )
        z = np.uint32(np.uint32(y << np.uint32(16)) | np.uint32(y >> np.uint32(16)))
        if k == 0:
            return z
        return np.uint32(np.uint32(z << k) | np.uint32(z >> (np.uint32(32) - k)))
    low = np.uint32(x & np.uint32(0xFFFF))
    if op == LOW:
        return low
    if op == ROTL_LOW:
        return _rotl16(low, k)
    high = np.uint32(x >> np.uint32(16))
    if op == ROTL_HIGH:
        return _rotl16(high, k)
    if op == ROTL_LOW_UP:
        return np.uint32(_rotl16(low, k) << np.uint32(16))
    return np.uint32(_rotl16(high, k) << np.uint32(16))


@dataclass(frozen=True, slots=True)
class Word:
    """One word; ``cost`` orders explanations from plain to far-fetched."""

    field: int
    op: int
    n: int
    cost: float

    def __str__(self) -> str:
        return word_text(NAMES[self.field], BITS[self.field] == 32, self.op, self.n)


def word_text(x: str, wide: bool, op: int, n: int) -> str:
    """Operation ``op`` with amount ``n`` on the value ``x`` (text), which has 32 bits if ``wide``, else 16."""
    if op == PLAIN:
        return x
    if op == ROTL:
        return f"rotl32({x}, {n})"
    if op == SHR:
        return f"hi16({x})" if wide and n == 16 else f"({x} >> {n})"
    if op == SHL:
        return f"({x} << {n})"
    if op == SWAP:
        return f"bswap32({x})" if n == 0 else f"rotl32(bswap32({x}), {n})"
    if op == LOW:
        return f"lo16({x})"
    half = x
    if wide:
        half = f"hi16({x})" if op in (ROTL_HIGH, ROTL_HIGH_UP) else f"lo16({x})"
    turned = half if n == 0 else f"bswap16({half})" if n == 8 else f"rotl16({half}, {n})"
    return f"({turned} << 16)" if op in (ROTL_LOW_UP, ROTL_HIGH_UP) else turned


def _cost(n: int) -> float:
    return 2.0 if n == 16 else 2.5 if n in (8, 24) else 3.0


def words_of(field: int) -> list[Word]:
    """Every word of one field, the plain one first."""
    made = [Word(field, PLAIN, 0, 1.0)]
    if BITS[field] == 32:
        made += [Word(field, LOW, 0, 2.0)]
        made += [Word(field, SHR, n, _cost(n)) for n in range(1, 32)]
        made += [Word(field, SHL, n, _cost(n)) for n in range(1, 32)]
        made += [Word(field, ROTL, n, _cost(n)) for n in range(1, 32)]
        made += [Word(field, SWAP, 0, 2.0)] + [Word(field, SWAP, n, 4.5) for n in (8, 16, 24)]
        halves: tuple[int, ...] = (ROTL_LOW, ROTL_HIGH)
    else:
        made += [Word(field, SHR, n, _cost(n)) for n in range(1, 16)]
        made += [Word(field, SHL, n, _cost(n)) for n in range(1, 32)]
        made += [Word(field, ROTL, n, _cost(n)) for n in range(17, 32)]
        halves = (ROTL_LOW,)
    for op in halves:
        made += [Word(field, op, n, 2.5 if n == 8 else 3.5) for n in range(1, 16)]
        up = ROTL_LOW_UP if op == ROTL_LOW else ROTL_HIGH_UP
        made += [Word(field, up, n, 4.0 if n == 8 else 5.0) for n in range(1, 16)]
    if BITS[field] == 32:
        made += [Word(field, ROTL_HIGH_UP, 0, 4.0)]
    return made


@njit(cache=True, nogil=True)
def _word_values(op: Any, n: Any, values: Any) -> Any:
    out = np.empty(len(values), np.uint32)
    for i in range(len(values)):
        out[i] = word_of(op, n, values[i])
    return out


def word_values(word: Word, values: np.ndarray) -> np.ndarray:
    """The word of every value (uint32)."""
    found: np.ndarray = _word_values(word.op, word.n, np.ascontiguousarray(values, np.uint32))
    return found


def fields_matrix(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """(10, rows) uint32: the fields in the order of ``NAMES``, of packet-record columns."""
    out = np.empty((SEQ_HIGH + 1, len(columns["src"])), np.uint32)
    for number, name in enumerate(_COLUMNS):
        out[number] = columns[name]
    out[SEQ_LOW] = out[SEQ] & np.uint32(0xFFFF)
    out[SEQ_HIGH] = out[SEQ] >> np.uint32(16)
    return out


def with_pairs(fields: np.ndarray) -> np.ndarray:
    """The matrix with the exclusive-ors of two fields appended, for rows few enough that it may be copied."""
    dst, up = fields[DST], np.uint32(16)
    made = (
        dst ^ fields[SPORT],
        dst ^ fields[DPORT],
        dst ^ fields[SPORT] << up,
        dst ^ fields[DPORT] << up,
        dst ^ fields[SEQ],
        dst ^ fields[ID],
    )
    return np.concatenate([fields, np.stack(made)])
