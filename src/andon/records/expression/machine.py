"""The machine that evaluates expressions over columns: one compiled kernel for every expression.

Thousands of candidate relations are tried during discovery, so an expression must cost no compilation and no
``eval``. The kernel is a stack machine whose stack slots are addressed directly: an instruction reads one or two
slots and writes a third. A slot holds a block of 512 rows, so the dispatch is paid once per instruction and block
and each instruction is one loop that the compiler turns into vector code; the slots in use stay in the L1 cache.

An instruction is five int64 numbers: operation, slot written, slot read, second slot read, constant. Truth is 0
or 1. The order of operations is that of the constants below; `program.py` writes the code.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

BLOCK = 512

LOAD, NEEDS, CONST, KEYS = 0, 1, 2, 3
XOR, OR, AND, ADD, SUB, MUL, SHL, SHR = 4, 5, 6, 7, 8, 9, 10, 11
XORK, ORK, ANDK, ADDK, MULK, SHLK, SHRK = 12, 13, 14, 15, 16, 17, 18
ROTL32K, ROTL16K, BSWAP32 = 19, 20, 21
EQ, NE, EQK, NEK = 22, 23, 24, 25
OUT, VALUE = 26, 27

# Columns of the packet record that the kernel takes, in this order, with their types. The constant of LOAD is the
# place in this list.
COLUMNS: tuple[tuple[str, Any], ...] = (
    ("src", np.uint32),
    ("dst", np.uint32),
    ("tcp_seq", np.uint32),
    ("tcp_ack", np.uint32),
    ("ip_id", np.uint16),
    ("ip_len", np.uint16),
    ("src_port", np.uint16),
    ("dst_port", np.uint16),
    ("tcp_window", np.uint16),
    ("ttl", np.uint8),
    ("tcp_flags", np.uint8),
    ("layers", np.uint8),
)


@njit(cache=True, nogil=True)
def _copy(into: Any, column: Any, start: int, rows: int) -> None:
    piece = column[start : start + rows]
    for i in range(rows):
        into[i] = piece[i]


@njit(cache=True, nogil=True)
def run(
    code: Any,
    slots: Any,
    src: Any,
    dst: Any,
    tcp_seq: Any,
    tcp_ack: Any,
    ip_id: Any,
    ip_len: Any,
    src_port: Any,
    dst_port: Any,
    tcp_window: Any,
    ttl: Any,
    tcp_flags: Any,
    layers: Any,
    keys: Any,
    hits: Any,
    values: Any,
) -> None:
    """Evaluate ``code`` on every row; nothing is allocated, so other compiled code may call it row range by row range.

    ``code``: (n, 5) int64 · ``slots``: (program.slots, 512) uint32, overwritten · columns in wire types, equally
    long; those the code does not load may be empty · ``keys``: uint32, one per row, or empty · ``hits``: uint32,
    one per row, bit k is set where expression k holds · ``values``: uint32 like ``hits`` for the key of a keyed
    expression, or empty. Arrays may be read-only where they are only read; mixing read-only and writable columns
    between callers costs a second compilation.
    """
    total = len(hits)
    for start in range(0, total, BLOCK):
        rows = min(BLOCK, total - start)
        out = hits[start : start + rows]
        for i in range(rows):
            out[i] = 0
        for pc in range(code.shape[0]):
            op = code[pc, 0]
            d = slots[code[pc, 1]]
            a = slots[code[pc, 2]]
            b = slots[code[pc, 3]]
            k = np.uint32(code[pc, 4])
            if op == LOAD:
                if k == 0:
                    _copy(d, src, start, rows)
                elif k == 1:
                    _copy(d, dst, start, rows)
                elif k == 2:
                    _copy(d, tcp_seq, start, rows)
                elif k == 3:
                    _copy(d, tcp_ack, start, rows)
                elif k == 4:
                    _copy(d, ip_id, start, rows)
                elif k == 5:
                    _copy(d, ip_len, start, rows)
                elif k == 6:
                    _copy(d, src_port, start, rows)
                elif k == 7:
                    _copy(d, dst_port, start, rows)
                elif k == 8:
                    _copy(d, tcp_window, start, rows)
                elif k == 9:
                    _copy(d, ttl, start, rows)
                elif k == 10:
                    _copy(d, tcp_flags, start, rows)
                else:
                    _copy(d, layers, start, rows)
            elif op == NEEDS:
                piece = layers[start : start + rows]
                for i in range(rows):
                    d[i] = np.uint32((piece[i] & k) == k)
            elif op == CONST:
                for i in range(rows):
                    d[i] = k
            elif op == KEYS:
                _copy(d, keys, start, rows)
            elif op == XOR:
                for i in range(rows):
                    d[i] = a[i] ^ b[i]
            elif op == OR:
                for i in range(rows):
                    d[i] = a[i] | b[i]
            elif op == AND:
                for i in range(rows):
                    d[i] = a[i] & b[i]
            elif op == ADD:
                for i in range(rows):
                    d[i] = np.uint32(a[i] + b[i])
            elif op == SUB:
                for i in range(rows):
                    d[i] = np.uint32(a[i] - b[i])
            elif op == MUL:
                for i in range(rows):
                    d[i] = np.uint32(a[i] * b[i])
            elif op == SHL:
                for i in range(rows):
                    d[i] = np.uint32(np.uint32(a[i] << (b[i] & np.uint32(31))) if b[i] < 32 else 0)
            elif op == SHR:
                for i in range(rows):
                    d[i] = np.uint32(np.uint32(a[i] >> (b[i] & np.uint32(31))) if b[i] < 32 else 0)
            elif op == XORK:
                for i in range(rows):
                    d[i] = a[i] ^ k
            elif op == ORK:
                for i in range(rows):
                    d[i] = a[i] | k
            elif op == ANDK:
                for i in range(rows):
                    d[i] = a[i] & k
            elif op == ADDK:
                for i in range(rows):
                    d[i] = np.uint32(a[i] + k)
            elif op == MULK:
                for i in range(rows):
                    d[i] = np.uint32(a[i] * k)
            elif op == SHLK:
                for i in range(rows):
                    d[i] = np.uint32(a[i] << k)
            elif op == SHRK:
                for i in range(rows):
                    d[i] = np.uint32(a[i] >> k)
            elif op == ROTL32K:
                back = np.uint32(32) - k
                for i in range(rows):
                    d[i] = np.uint32(a[i] << k) | np.uint32(a[i] >> back)
            elif op == ROTL16K:
                back = np.uint32(16) - k
                for i in range(rows):
                    low = np.uint32(a[i] & np.uint32(0xFFFF))
                    d[i] = np.uint32((np.uint32(low << k) | np.uint32(low >> back)) & np.uint32(0xFFFF))
            elif op == BSWAP32:
                for i in range(rows):
                    x = a[i]
                    y = np.uint32(
                        np.uint32((x & np.uint32(0xFF00FF)) << np.uint32(8))
                        | np.uint32((x >> np.uint32(8)) & np.uint32(0xFF00FF))
                    )
                    d[i] = np.uint32(np.uint32(y << np.uint32(16)) | np.uint32(y >> np.uint32(16)))
            elif op == EQ:
                for i in range(rows):
                    d[i] = np.uint32(a[i] == b[i])
            elif op == NE:
                for i in range(rows):
                    d[i] = np.uint32(a[i] != b[i])
            elif op == EQK:
                for i in range(rows):
                    d[i] = np.uint32(a[i] == k)
            elif op == NEK:
                for i in range(rows):
                    d[i] = np.uint32(a[i] != k)
            elif op == OUT:
                for i in range(rows):
                    out[i] |= np.uint32(a[i] << k)
            elif op == VALUE:
                piece_of_values = values[start : start + rows]
                for i in range(rows):
                    piece_of_values[i] = a[i]
