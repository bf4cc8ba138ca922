"""Small captures and frames, written byte by byte."""

from __future__ import annotations

import struct
from collections.abc import Iterable

ETHERNET = bytes.fromhex("020000000002 020000000001")


def ipv4(
    payload: bytes,
    proto: int = 6,
    src: int = 0xC6336401,
    dst: int = 0xCB007109,
    ident: int = 7,
    frag: int = 0,
) -> bytes:
    return (
        struct.pack(">BBHHHBBHII", 0x45, 0, 20 + len(payload), ident, frag, 64, proto, 0, src, dst) + payload
    )


def ipv6(payload: bytes, proto: int = 6) -> bytes:
    addresses = bytes.fromhex("20010db8" + "00" * 11 + "01") + bytes.fromhex("20010db8" + "00" * 11 + "02")
    return struct.pack(">IHBB", 6 << 28, len(payload), proto, 64) + addresses + payload


def tcp(dport: int = 23, seq: int = 0x01020304, flags: int = 2, options: bytes = b"") -> bytes:
    words = (20 + len(options)) // 4
    return struct.pack(">HHIIBBHHH", 40000, dport, seq, 0, words << 4, flags, 1024, 0, 0) + options


def udp(dport: int, payload: bytes = b"") -> bytes:
    return struct.pack(">HHHH", 50000, dport, 8 + len(payload), 0) + payload


def ether(payload: bytes, kind: int = 0x0800, tags: Iterable[tuple[int, int]] = ()) -> bytes:
    frame = ETHERNET
    for tag, vlan in tags:
        frame += struct.pack(">HH", tag, vlan)
    return frame + struct.pack(">H", kind) + payload


def pcap(
    frames: Iterable[bytes],
    link: int = 1,
    order: str = "<",
    nano: bool = False,
    snap: int = 65535,
    start: int = 1_600_000_000,
) -> bytes:
    """One packet a second, from ``start`` on, fraction 5."""
    magic = 0xA1B23C4D if nano else 0xA1B2C3D4
    out = bytearray(struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snap, link))
    for i, frame in enumerate(frames):
        kept = frame[:snap]
        out += struct.pack(order + "IIII", start + i, 5, len(kept), len(frame)) + kept
    return bytes(out)


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + size + body + size


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(
    link: int = 1, order: str = "<", resolution: int | None = None, offset: int | None = None
) -> bytes:
    options = b""
    if resolution is not None:
        options += struct.pack(order + "HHB3x", 9, 1, resolution)
    if offset is not None:
        options += struct.pack(order + "HHq", 14, 8, offset)
    if options:
        options += bytes(4)
    return block(1, struct.pack(order + "HHI", link, 0, 0) + options, order)


def enhanced(frame: bytes, ticks: int, order: str = "<", which: int = 0) -> bytes:
    head = struct.pack(order + "IIIII", which, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame))
    return block(6, head + frame, order)
