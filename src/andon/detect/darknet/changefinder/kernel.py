"""One walk over a batch: packets of each port, and pairs of source and port."""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from andon.records.packet import ACK, PROTO_UDP, RST
from andon.sketch.asks import KIND_TCP, KIND_UDP, transport
from andon.sketch.hashing import mix64
from andon.sketch.prefetch import prefetch
from andon.sketch.rows import find_or_add, is_kept

UDP_BIT: Final = 1 << 16
CODES: Final = 1 << 17  # UDP << 16 | port
SOURCE_SHIFT: Final = 17  # a pair's key: source << 17 | code
SOURCE_BITS: Final = 0xFFFFFFFF << SOURCE_SHIFT
TCP_WANTED, UDP_WANTED, ONLY_ASKING = 1, 2, 4
_AHEAD = 12  # packets between asking for a slot and using it
_SHIFT, _UDP, _SOURCES = np.uint64(SOURCE_SHIFT), np.uint64(UDP_BIT), np.uint64(SOURCE_BITS)
_NO = np.uint64(0)


@njit(cache=True, nogil=True)
def count_ports(
    src: np.ndarray,
    dst_port: np.ndarray,
    proto: np.ndarray,
    flags: np.ndarray,
    layers: np.ndarray,
    start: int,
    wanted: int,
    packets: np.ndarray,
    keys: np.ndarray,
    used: int,
    room: int,
    level: int,
    salt: np.uint64,
) -> tuple[int, int]:
    """Enter packets from ``start`` on; gives (position reached, pairs in use). ``packets`` is uint64, one per code;
    ``wanted`` the bits above; ``keys`` the table of pairs."""
    mask = np.uint64(keys.shape[0] - 1)
    for i in range(start, src.shape[0]):
        j = i + _AHEAD
        if j < src.shape[0]:
            code = (_UDP if proto[j] == PROTO_UDP else _NO) | np.uint64(dst_port[j])
            prefetch(keys, np.int64(mix64(np.uint64(src[j]) << _SHIFT | code, salt) & mask))
        kind = transport(np.int64(proto[i]), np.int64(layers[i]))
        code = np.uint64(dst_port[i])
        if kind == KIND_TCP:
            if wanted & TCP_WANTED == 0 or (wanted & ONLY_ASKING and flags[i] & (ACK | RST)):
                continue
        elif kind == KIND_UDP and wanted & UDP_WANTED:
            code |= _UDP
        else:
            continue
        source = np.uint64(src[i]) << _SHIFT
        if level == 0 or is_kept(mix64(source & _SOURCES, salt), level):
            key = source | code
            slot, used = find_or_add(keys, key, mix64(key, salt), used, room)
            if slot < 0:
                return i, used
        packets[np.int64(code)] += np.uint64(1)
    return src.shape[0], used
