"""Packet rows as bytes: classic little-endian pcap records of Ethernet frames with valid checksums.

Checksums are the Internet checksum of RFC 1071, summed from field values instead of from bytes; option blocks
and payloads bring their sum from a table. Timestamps are in microseconds, which every reader of pcap knows.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numba import njit

from . import session as s
from .memory import put16, put32, put32le

FILE_HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
# Record header, Ethernet, IPv4, and the larger of TCP with 40 bytes of options or UDP with its payload.
LARGEST = 16 + 14 + 20 + 8 + 512
ERROR_QUOTE = 28  # an ICMP error quotes the IP header and 8 bytes (RFC 792)
ECHO_DATA = 32  # bytes of echo data; BSD and Linux send 56, Windows 32
PLAIN_UDP = 12  # bytes of payload where no protocol is known for the port


@njit(cache=True, nogil=True, inline="always")
def _fold(total):  # type: ignore[no-untyped-def]
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


@njit(cache=True, nogil=True)
def write(rows, order, opt_words, opt_len, opt_sum, opt_clock, pay_of_port, pay_bytes, pay_len, pay_sum, buf):  # type: ignore[no-untyped-def]
    """Write ``rows[order]`` into ``buf`` as pcap records; returns the number of bytes. ``buf`` holds LARGEST each."""
    begin = np.int64(buf.ctypes.data)
    at = begin
    for k in range(len(order)):
        r = rows[order[k]]
        src = np.int64(r.src)
        dst = np.int64(r.dst)
        salt = np.int64(r.salt)
        pay: Any = 0
        body: Any = 0
        if r.kind == s.TCP:
            olen = np.int64(opt_len[r.options])
            body = 20 + olen
            proto = 6
        elif r.kind == s.UDP:
            pay = np.int64(pay_of_port[r.dport])
            body = 8 + (np.int64(pay_len[pay]) if pay else PLAIN_UDP)
            proto = 17
        elif r.kind == s.ECHO:
            body = 8 + ECHO_DATA
            proto = 1
        else:
            body = 8 + ERROR_QUOTE
            proto = 1
        total: Any = 20 + body
        usec = np.int64(r.ts) // 1000
        put32le(at, usec // 1000000)
        put32le(at + 4, usec % 1000000)
        put32le(at + 8, total + 14)
        put32le(at + 12, total + 14)
        at += 16
        put32(at, 0x02000000)
        put32(at + 4, 0x00010200)
        put32(at + 8, 0x00000002)
        put16(at + 12, 0x0800)
        at += 14
        ip_id = np.int64(r.ip_id)
        frag = np.int64(r.frag)
        tos = np.int64(r.tos)
        life = (np.int64(r.ttl) << 8) | proto
        ends = (src >> 16) + (src & 0xFFFF) + (dst >> 16) + (dst & 0xFFFF)
        put16(at, 0x4500 | tos)
        put16(at + 2, total)
        put16(at + 4, ip_id)
        put16(at + 6, frag)
        put16(at + 8, life)
        put16(at + 10, _fold((0x4500 | tos) + total + ip_id + frag + life + ends))
        put32(at + 12, src)
        put32(at + 16, dst)
        at += 20
        sport = np.int64(r.sport)
        dport = np.int64(r.dport)
        if r.kind == s.TCP:
            seq = np.int64(r.seq)
            ack = np.int64(r.ack)
            offset = (body << 10) | np.int64(r.flags)
            window = np.int64(r.window)
            total = ends + proto + body + sport + dport + (seq >> 16) + (seq & 0xFFFF)
            total += (ack >> 16) + (ack & 0xFFFF) + offset + window + np.int64(opt_sum[r.options])
            put16(at, sport)
            put16(at + 2, dport)
            put32(at + 4, seq)
            put32(at + 8, ack)
            put16(at + 12, offset)
            put16(at + 14, window)
            put16(at + 18, 0)
            for j in range(olen // 4):
                put32(at + 20 + 4 * j, np.int64(opt_words[r.options, j]))
            clock = np.int64(opt_clock[r.options])
            if clock:
                ticks = ((usec // 1000) + salt) & 0xFFFFFFFF
                put32(at + 20 + clock, ticks)
                total += (ticks >> 16) + (ticks & 0xFFFF)
            put16(at + 16, _fold(total))
        elif r.kind == s.UDP:
            total = ends + proto + body + sport + dport + body
            put16(at, sport)
            put16(at + 2, dport)
            put16(at + 4, body)
            if pay:
                room = at + 8 - begin
                for j in range(np.int64(pay_len[pay])):
                    buf[room + j] = pay_bytes[pay, j]
                total += np.int64(pay_sum[pay])
            else:
                for j in range(0, PLAIN_UDP, 4):
                    word = (salt * (j + 1)) & 0xFFFFFFFF
                    put32(at + 8 + j, word)
                    total += (word >> 16) + (word & 0xFFFF)
            check = _fold(total)
            put16(at + 6, check if check else 0xFFFF)
        else:
            head = (np.int64(r.icmp_type) << 8) | np.int64(r.icmp_code)
            put16(at, head)
            if r.kind == s.ECHO:
                put32(at + 4, salt)
                total = head + (salt >> 16) + (salt & 0xFFFF)
                for j in range(8, body, 2):
                    pattern = ((j + 0x58) << 8) | (j + 0x59)
                    put16(at + j, pattern)
                    total += pattern
            else:
                # Quoted: the spoofed SYN that the telescope address seems to have sent.
                q = at + 8
                quoted_id = (salt >> 8) & 0xFFFF
                quoted_ends = ends
                put32(at + 4, 0)
                put16(q, 0x4500)
                put16(q + 2, 40)
                put16(q + 4, quoted_id)
                put16(q + 6, 0)
                put16(q + 8, 0x3906)
                inner: Any = _fold(0x4500 + 40 + quoted_id + 0x3906 + quoted_ends)
                put16(q + 10, inner)
                put32(q + 12, dst)
                put32(q + 16, src)
                put16(q + 20, dport)
                put16(q + 22, sport)
                put32(q + 24, salt)
                # A header and its own checksum sum to 0xFFFF, which is zero here.
                total = head + 0xFFFF + dport + sport + (salt >> 16) + (salt & 0xFFFF)
            put16(at + 2, _fold(total))
        at += body
    return at - begin
