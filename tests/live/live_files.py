"""Captures of a few SYN packets, written as a test needs them."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable

HEADER = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1)
SECOND = 10**9


def frame(source: str = "203.0.113.7", target: str = "192.0.2.1", seq: int = 1, port: int = 23) -> bytes:
    """An Ethernet frame with a SYN."""
    head = struct.pack(
        ">BBHHHBBH4s4s", 0x45, 0, 40, 7, 0, 61, 6, 0, socket.inet_aton(source), socket.inet_aton(target)
    )
    segment = struct.pack(">HHIIBBHHH", 30_000, port, seq, 0, 0x50, 2, 14_600, 0, 0)
    return b"\2\0\0\0\0\2\2\0\0\0\0\1\x08\0" + head + segment


def record(ns: int, data: bytes | None = None) -> bytes:
    data = data or frame()
    return struct.pack("<IIII", ns // SECOND, ns % SECOND, len(data), len(data)) + data


def capture(times: Iterable[int]) -> bytes:
    """A pcap file with a packet at each time (ns)."""
    return HEADER + b"".join(record(ns) for ns in times)


def seconds(start: int, number: int) -> list[int]:
    """That many times (ns), a second apart."""
    return [(start + n) * SECOND for n in range(number)]
