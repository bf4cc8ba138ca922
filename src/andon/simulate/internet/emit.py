"""Sessions in, packet rows out: the kernel that decides when a packet is sent and what its header says.

Times: a session that still has ``n`` packets to send before ``end`` sends the next one at the minimum of ``n``
uniform times in what is left (David & Nagaraja, Order Statistics, 2.5), so totals are exact and times are those
of a Poisson process conditioned on its count. Retransmissions of a connecting stack follow the first try after
a wait that doubles (RFC 6298, 5.5).

Header relations are those of the tools' public source code; ``tools.py`` names them.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from . import session as s
from .session import NEVER

_NEVER = int(NEVER)
_GOLD = np.uint64(0x9E3779B97F4A7C15)
_TIME = np.uint64(0xD1B54A32D192ED03)
_MORE = np.uint64(0x8CB92BA72F3D8DD7)


@njit(cache=True, nogil=True, inline="always")
def mix(x: np.uint64) -> np.uint64:
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014): a bijection of 64 bits that looks random."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@njit(cache=True, nogil=True, inline="always")
def _scaled(bits32: np.uint64, size: np.uint64) -> np.uint64:
    return ((bits32 & np.uint64(0xFFFFFFFF)) * size) >> np.uint64(32)


@njit(cache=True, nogil=True)
def _advance(table, i, now, when):  # type: ignore[no-untyped-def]
    """Time of the session's next packet, after one at ``now``; moves its connection state on."""
    row = table[i]
    if row.dst_mode == s.LISTED:
        row.conn += np.uint32(1)
        return when[row.listed + np.int64(row.conn)]
    if row.left > 0:
        later = now + row.gap
        if later < row.end:
            row.left -= np.uint8(1)
            row.gap *= 2
            return later
    row.conn += np.uint32(1)
    return _next_connection(table, i, now)


@njit(cache=True, nogil=True)
def _next_connection(table, i, now):  # type: ignore[no-untyped-def]
    row = table[i]
    row.left = row.retries
    row.gap = row.wait
    connections = (row.n + np.int64(row.retries)) // (1 + np.int64(row.retries))
    h = mix(row.key ^ (np.uint64(row.tick) * _TIME))
    row.tick += np.uint32(1)
    u = (np.float64(h >> np.uint64(11)) + 0.5) * 2.0**-53
    share = -np.expm1(np.log(u) / np.float64(max(connections, 1)))
    return now + np.int64(np.float64(row.end - now) * share)


@njit(cache=True, nogil=True)
def wake(table, indices, nxt, when) -> None:  # type: ignore[no-untyped-def]
    """Draw the first packet time of sessions that are about to begin."""
    for j in range(len(indices)):
        i = indices[j]
        row = table[i]
        if row.n <= 0:
            nxt[i] = _NEVER
        elif row.dst_mode == s.LISTED:
            nxt[i] = when[row.listed]
        else:
            nxt[i] = _next_connection(table, i, row.start)


@njit(cache=True, nogil=True)
def emit(table, active, begin, nxt, until, ports, bases, granule, when, where, out):  # type: ignore[no-untyped-def]
    """Write all packets of the ``active`` sessions (from position ``begin``) sent before ``until`` into ``out``.

    Returns (position, rows): when ``out`` is full the position is that of the session to go on with, else the
    number of active sessions. Rows come session by session, each in time order.
    """
    w = 0
    within = (np.uint64(1) << np.uint64(granule)) - np.uint64(1)
    for a in range(begin, len(active)):
        i = active[a]
        t = nxt[i]
        while t < until:
            if w == len(out):
                nxt[i] = t
                return a, w
            row = table[i]
            r = out[w]
            w += 1
            h = mix(row.key + np.uint64(row.conn) * _GOLD)
            g = mix(h ^ _MORE)
            tries = np.uint64(row.retries - row.left) if row.left < row.retries else np.uint64(0)

            if row.dst_mode == s.LISTED:
                dst = where[row.listed + np.int64(row.conn)]
            else:
                if row.dst_mode == s.SWEEP:
                    at = (np.uint64(row.secret) + np.uint64(row.conn)) % np.uint64(row.dst_len)
                else:
                    at = _scaled(h, np.uint64(row.dst_len))
                at += np.uint64(row.dst_off)
                dst = np.uint32(np.uint64(bases[at >> np.uint64(granule)]) | (at & within))

            if row.src_mode == s.SPOOFED:
                src = np.uint64(g >> np.uint64(32))
                first = np.uint64(1) + (src >> np.uint64(24)) % np.uint64(222)
                if first == np.uint64(10) or first == np.uint64(127):
                    first += np.uint64(1)
                source = np.uint32((first << np.uint64(24)) | (src & np.uint64(0xFFFFFF)))
            else:
                source = row.src

            port = np.uint64(
                ports[
                    np.int64(row.ports_off) + np.int64(_scaled(h >> np.uint64(32), np.uint64(row.ports_len)))
                ]
            )
            if row.sport_mode == s.FIXED:
                sport = np.uint64(row.sport)
            elif row.sport_mode == s.COUNTER:
                sport = np.uint64(row.sport) + np.uint64(row.conn) % np.uint64(row.sport_span)
            else:
                sport = np.uint64(row.sport) + (
                    ((g & np.uint64(0xFFFF)) * np.uint64(row.sport_span)) >> np.uint64(16)
                )
            seq = np.uint32(g >> np.uint64(32))
            if row.seq_mode == s.FIXED:
                seq = row.secret

            if row.id_mode == s.FIXED:
                ip_id = row.id_state
            elif row.id_mode == s.COUNTER:
                row.id_state += np.uint16(
                    np.uint64(1) + ((g >> np.uint64(16)) & np.uint64(0xFFFF)) % np.uint64(row.id_step)
                )
                ip_id = row.id_state
            elif row.id_mode == s.PER_CONNECTION:
                ip_id = np.uint16((g >> np.uint64(16)) + tries)
            elif row.id_mode == s.PER_DESTINATION:
                ip_id = np.uint16(mix(np.uint64(dst) ^ row.key) + tries)
            else:
                ip_id = np.uint16(mix(g + tries))

            ttl = row.ttl
            window = row.window
            if row.ttl_mode == s.NMAP_TTL:
                initial = np.uint64(37) + (g & np.uint64(0xFF)) % np.uint64(23)
                ttl = np.uint8(initial - np.uint64(row.hops))
                if row.window_mode == s.NMAP_TTL:
                    window = np.uint16(np.uint64(1024) * (initial % np.uint64(4) + np.uint64(1)))
            elif row.ttl_mode == s.RANDOM:
                ttl = np.uint8(np.uint64(32) + (h >> np.uint64(56)) % np.uint64(96))
            if row.window_mode == s.RANDOM:
                window = np.uint16(g >> np.uint64(8))

            if row.swap:
                r.sport = np.uint16(port)
                r.dport = np.uint16(sport)
            else:
                r.sport = np.uint16(sport)
                r.dport = np.uint16(port)

            if row.relation == s.MIRAI:
                seq = dst
            elif row.relation == s.MASSCAN:
                ip_id = np.uint16(np.uint64(dst) ^ port ^ np.uint64(seq))
            elif row.relation == s.ZMAP:
                ip_id = np.uint16(54321)
            elif row.relation == s.UNICORNSCAN:
                seq = np.uint32(row.secret ^ dst ^ np.uint32(sport) ^ np.uint32(port << np.uint64(16)))
            elif row.relation == s.NMAP:
                seq = np.uint32(np.uint64(row.secret) ^ (tries << np.uint64(16) | tries))
                r.sport = np.uint16(sport + tries)

            r.ts = t // 1000 * 1000
            r.session = i
            r.src = source
            r.dst = dst
            r.seq = seq
            r.ack = np.uint32(mix(g) & np.uint64(0xFFFFFFFF)) if row.flags & 16 else np.uint32(0)
            r.salt = np.uint32((g ^ (h >> np.uint64(24))) & np.uint64(0xFFFFFFFF))
            r.ip_id = ip_id
            r.window = window
            r.frag = row.frag
            r.kind = row.kind
            r.flags = row.flags
            r.ttl = ttl
            r.tos = row.tos
            r.options = row.options
            r.icmp_type = row.icmp_type
            r.icmp_code = row.icmp_code

            if row.first == 0:
                row.first = r.ts
            row.last = r.ts
            row.n -= 1
            if row.n <= 0:
                t = _NEVER
                break
            t = _advance(table, i, t, when)
        nxt[i] = t
    return len(active), w
