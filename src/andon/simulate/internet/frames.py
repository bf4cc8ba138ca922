"""Packet rows as bytes: classic little-endian pcap records of Ethernet frames with valid checksums.

Checksums are the Internet checksum of RFC 1071, summed from field values instead of from bytes; option blocks
and payloads bring their sum from a table. Timestamps are in microseconds, which every reader of pcap knows.
"""

from __future__ import annotations

import struct

import numpy as np
from numba import njit

from . import session as s

FILE_HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
# Record header, Ethernet, IPv4, and the larger of TCP with 40 bytes of options or UDP with its payload.
LARGEST = 16 + 14 + 20 + 8 + 512
ERROR_QUOTE = 28  # an ICMP error quotes the IP header and 8 bytes (RFC 792)
ECHO_DATA = 32  # bytes of echo data; BSD and Linux send 56, Windows 32
PLAIN_UDP = 12  # bytes of payload where no protocol is known for the port


@njit(cache=True, nogil=True, inline="always")
def _put16(b, p, v):  # type: ignore[no-untyped-def]
    b[p] = np.uint8(v >> 8)
    b[p + 1] = np.uint8(v)


@njit(cache=True, nogil=True, inline="always")
def _put32(b, p, v):  # type: ignore[no-untyped-def]
    b[p] = np.uint8(v >> 24)
    b[p + 1] = np.uint8(v >> 16)
    b[p + 2] = np.uint8(v >> 8)
    b[p + 3] = np.uint8(v)


@njit(cache=True, nogil=True, inline="always")
def _put32le(b, p, v):  # type: ignore[no-untyped-def]
    b[p] = np.uint8(v)
    b[p + 1] = np.uint8(v >> 8)
    b[p + 2] = np.uint8(v >> 16)
    b[p + 3] = np.uint8(v >> 24)


@njit(cache=True, nogil=True, inline="always")
def _fold(total):  # type: ignore[no-untyped-def]
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


@njit(cache=True, nogil=True)
def write(rows, order, opt_bytes, opt_len, opt_sum, opt_clock, pay_of_port, pay_bytes, pay_len, pay_sum, buf):  # type: ignore[no-untyped-def]
    """Write ``rows[order]`` into ``buf`` as pcap records; returns the number of bytes. ``buf`` holds LARGEST each."""
    p = 0
    for k in range(len(order)):
        r = rows[order[k]]
        src = np.int64(r.src)
        dst = np.int64(r.dst)
        salt = np.int64(r.salt)
        pay = 0
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
        total = 20 + body
        usec = np.int64(r.ts) // 1000
        _put32le(buf, p, usec // 1000000)
        _put32le(buf, p + 4, usec % 1000000)
        _put32le(buf, p + 8, total + 14)
        _put32le(buf, p + 12, total + 14)
        p += 16
        _put32(buf, p, 0x02000000)
        _put32(buf, p + 4, 0x00010200)
        _put32(buf, p + 8, 0x00000002)
        _put16(buf, p + 12, 0x0800)
        p += 14
        ip_id = np.int64(r.ip_id)
        frag = np.int64(r.frag)
        tos = np.int64(r.tos)
        life = (np.int64(r.ttl) << 8) | proto
        ends = (src >> 16) + (src & 0xFFFF) + (dst >> 16) + (dst & 0xFFFF)
        _put16(buf, p, 0x4500 | tos)
        _put16(buf, p + 2, total)
        _put16(buf, p + 4, ip_id)
        _put16(buf, p + 6, frag)
        _put16(buf, p + 8, life)
        _put16(buf, p + 10, _fold((0x4500 | tos) + total + ip_id + frag + life + ends))
        _put32(buf, p + 12, src)
        _put32(buf, p + 16, dst)
        p += 20
        sport = np.int64(r.sport)
        dport = np.int64(r.dport)
        if r.kind == s.TCP:
            seq = np.int64(r.seq)
            ack = np.int64(r.ack)
            offset = (body << 10) | np.int64(r.flags)
            window = np.int64(r.window)
            total = ends + proto + body + sport + dport + (seq >> 16) + (seq & 0xFFFF)
            total += (ack >> 16) + (ack & 0xFFFF) + offset + window + np.int64(opt_sum[r.options])
            _put16(buf, p, sport)
            _put16(buf, p + 2, dport)
            _put32(buf, p + 4, seq)
            _put32(buf, p + 8, ack)
            _put16(buf, p + 12, offset)
            _put16(buf, p + 14, window)
            buf[p + 18] = 0
            buf[p + 19] = 0
            for j in range(olen):
                buf[p + 20 + j] = opt_bytes[r.options, j]
            clock = np.int64(opt_clock[r.options])
            if clock:
                ticks = ((usec // 1000) + salt) & 0xFFFFFFFF
                _put32(buf, p + 20 + clock, ticks)
                total += (ticks >> 16) + (ticks & 0xFFFF)
            _put16(buf, p + 16, _fold(total))
        elif r.kind == s.UDP:
            total = ends + proto + body + sport + dport + body
            _put16(buf, p, sport)
            _put16(buf, p + 2, dport)
            _put16(buf, p + 4, body)
            if pay:
                for j in range(np.int64(pay_len[pay])):
                    buf[p + 8 + j] = pay_bytes[pay, j]
                total += np.int64(pay_sum[pay])
            else:
                for j in range(0, PLAIN_UDP, 4):
                    word = (salt * (j + 1)) & 0xFFFFFFFF
                    _put32(buf, p + 8 + j, word)
                    total += (word >> 16) + (word & 0xFFFF)
            check = _fold(total)
            _put16(buf, p + 6, check if check else 0xFFFF)
        else:
            head = (np.int64(r.icmp_type) << 8) | np.int64(r.icmp_code)
            _put16(buf, p, head)
            if r.kind == s.ECHO:
                _put32(buf, p + 4, salt)
                total = head + (salt >> 16) + (salt & 0xFFFF)
                for j in range(8, body, 2):
                    word = ((j + 0x58) << 8) | (j + 0x59)
                    _put16(buf, p + j, word)
                    total += word
            else:
                # Quoted: the spoofed SYN that the telescope address seems to have sent.
                q = p + 8
                quoted_id = (salt >> 8) & 0xFFFF
                quoted_ends = ends
                _put32(buf, p + 4, 0)
                _put16(buf, q, 0x4500)
                _put16(buf, q + 2, 40)
                _put16(buf, q + 4, quoted_id)
                _put16(buf, q + 6, 0)
                _put16(buf, q + 8, 0x3906)
                inner = _fold(0x4500 + 40 + quoted_id + 0x3906 + quoted_ends)
                _put16(buf, q + 10, inner)
                _put32(buf, q + 12, dst)
                _put32(buf, q + 16, src)
                _put16(buf, q + 20, dport)
                _put16(buf, q + 22, sport)
                _put32(buf, q + 24, salt)
                # A header and its own checksum sum to 0xFFFF, which is zero here.
                total = head + 0xFFFF + dport + sport + (salt >> 16) + (salt & 0xFFFF)
            _put16(buf, p + 2, _fold(total))
        p += body
    return p
