"""One walk over a batch: each scan packet is entered in the row of its source, with its destination port.

Scan packets are TCP packets with SYN alone of the six flags, and UDP packets that are not the answer of a
service (a reflector's or a victim's: from a service's port to one that is none), over IPv4.

A row holds up to 16 (port, packets) pairs as words ``order << 40 | packets``, ascending. ``order`` is a fixed
permutation of protocol and port; of more than 16 ports those lowest in it stay. What is among the lowest of all was
among the lowest at every time before, so its count was never dropped and is exact, however the input was cut. A
source whose pairs do not add up to its packets scanned more than 16 ports.

The other words of a row: packets, first time, last time, and lowest and highest destination.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from andon.records.packet import FLAG_MASK, SYN
from andon.sketch.asks import KIND_TCP, KIND_UDP, transport
from andon.sketch.hashing import mix64
from andon.sketch.prefetch import prefetch
from andon.sketch.rows import EMPTY, find_or_add, is_kept

PORTS, HEAD = 16, 4  # words of each column
PACKETS, FIRST, LAST, TARGETS = range(4)  # words of the head
UDP_CODE = 1 << 16  # a code is the port, with this bit for UDP
CODES = 1 << 17
SCANS, ANSWERS = range(2)  # of the totals
_COUNT_BITS = np.uint64(40)
_COUNT = np.uint64((1 << 40) - 1)
FREE = np.uint64(0xFFFFFFFFFFFFFFFF)
_AHEAD = 12
_LOW, _32 = np.uint64(0xFFFFFFFF), np.uint64(32)
_MASK = 0x1FFFF


@njit(cache=True, nogil=True, inline="always")
def _order(code: int) -> int:
    """A permutation of 0 to 2^17 - 1: odd factors and shifts right are one to one."""
    x = (code * 0x1D6B5) & _MASK
    x ^= x >> 9
    x = (x * 0x0F3A3) & _MASK
    return x ^ (x >> 7)


def code_of_order() -> np.ndarray:
    """int64[2^17]: the code (port, plus 65,536 for UDP) at each place of the order."""
    code = np.arange(CODES)
    x = (code * 0x1D6B5) & _MASK
    x ^= x >> 9
    x = (x * 0x0F3A3) & _MASK
    place = np.empty(CODES, np.int64)
    place[x ^ (x >> 7)] = code
    return place


@njit(cache=True, nogil=True, inline="always")
def _enter(ports: np.ndarray, row: int, order: np.uint64, count: np.uint64) -> None:
    """Add packets to a port of the row that begins at ``row``."""
    for k in range(row, row + PORTS):
        word = ports[k]
        if word == FREE:
            ports[k] = order << _COUNT_BITS | count
            return
        here = word >> _COUNT_BITS
        if here == order:
            ports[k] = order << _COUNT_BITS | min((word & _COUNT) + count, _COUNT)
            return
        if here > order:
            for j in range(row + PORTS - 1, k, -1):
                ports[j] = ports[j - 1]
            ports[k] = order << _COUNT_BITS | count
            return


@njit(cache=True, nogil=True)
def enter_batch(
    ts: np.ndarray,
    src: np.ndarray,
    dst: np.ndarray,
    src_port: np.ndarray,
    dst_port: np.ndarray,
    proto: np.ndarray,
    flags: np.ndarray,
    layers: np.ndarray,
    start: int,
    services: np.ndarray,
    totals: np.ndarray,
    keys: np.ndarray,
    ports: np.ndarray,
    head: np.ndarray,
    used: int,
    room: int,
    level: int,
    salt: np.uint64,
) -> tuple[int, int]:
    """Enter packets from ``start`` on; gives (position reached, rows used). ``services`` (uint8, 65536) marks UDP ports
    of services; ``totals`` counts scan packets, kept or not, and answers; ``ports`` and ``head`` are flat."""
    mask = np.uint64(keys.shape[0] - 1)
    for i in range(start, ts.shape[0]):
        j = i + _AHEAD
        if j < ts.shape[0]:
            at = np.int64(mix64(np.uint64(src[j]), salt) & mask)
            prefetch(keys, at)
            prefetch(ports, at * PORTS)
            prefetch(head, at * HEAD)
        kind = transport(np.int64(proto[i]), np.int64(layers[i]))
        code = np.int64(dst_port[i])
        if kind == KIND_TCP:
            if np.int64(flags[i]) & FLAG_MASK != SYN:
                continue
        elif kind == KIND_UDP:
            if services[src_port[i]] and not services[code]:
                totals[ANSWERS] += 1
                continue
            code |= UDP_CODE
        else:
            continue
        key = np.uint64(src[i])
        hashed = mix64(key, salt)
        if not is_kept(hashed, level):
            totals[SCANS] += 1
            continue
        slot, after = find_or_add(keys, key, hashed, used, room)
        if slot < 0:
            return i, used
        totals[SCANS] += 1
        row, time, target = slot * HEAD, np.uint64(ts[i]), np.uint64(dst[i])
        if after > used:
            used = after
            ports[slot * PORTS : slot * PORTS + PORTS] = FREE
            head[row + PACKETS] = 1
            head[row + FIRST] = time
            head[row + LAST] = time
            head[row + TARGETS] = target << _32 | target
        else:
            head[row + PACKETS] += np.uint64(1)
            head[row + FIRST] = min(head[row + FIRST], time)
            head[row + LAST] = max(head[row + LAST], time)
            both = head[row + TARGETS]
            head[row + TARGETS] = min(both >> _32, target) << _32 | max(both & _LOW, target)
        _enter(ports, slot * PORTS, np.uint64(_order(code)), np.uint64(1))
    return ts.shape[0], used


@njit(cache=True, nogil=True)
def enter_rows(
    from_keys: np.ndarray,
    from_ports: np.ndarray,
    from_head: np.ndarray,
    start: int,
    keys: np.ndarray,
    ports: np.ndarray,
    head: np.ndarray,
    used: int,
    room: int,
    level: int,
    salt: np.uint64,
) -> tuple[int, int]:
    """Enter the rows of another table from slot ``start`` on; gives (slot reached, rows used)."""
    for i in range(start, from_keys.shape[0]):
        key = from_keys[i]
        if key == EMPTY:
            continue
        hashed = mix64(key, salt)
        if not is_kept(hashed, level):
            continue
        slot, after = find_or_add(keys, key, hashed, used, room)
        if slot < 0:
            return i, used
        row, other = slot * HEAD, i * HEAD
        if after > used:
            used = after
            ports[slot * PORTS : slot * PORTS + PORTS] = from_ports[i * PORTS : i * PORTS + PORTS]
            head[row : row + HEAD] = from_head[other : other + HEAD]
            continue
        head[row + PACKETS] += from_head[other + PACKETS]
        head[row + FIRST] = min(head[row + FIRST], from_head[other + FIRST])
        head[row + LAST] = max(head[row + LAST], from_head[other + LAST])
        mine, its = head[row + TARGETS], from_head[other + TARGETS]
        head[row + TARGETS] = min(mine >> _32, its >> _32) << _32 | max(mine & _LOW, its & _LOW)
        for k in range(i * PORTS, i * PORTS + PORTS):
            if from_ports[k] == FREE:
                break
            _enter(ports, slot * PORTS, from_ports[k] >> _COUNT_BITS, from_ports[k] & _COUNT)
    return from_keys.shape[0], used
