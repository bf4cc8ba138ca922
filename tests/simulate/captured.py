"""A pcap reader that shares nothing with the simulator: one record after the other with ``struct``."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Packet:
    """Header fields as they stand in the file; absent ones are 0. ``body`` is what follows the IP header."""

    ts: int
    src: int
    dst: int
    proto: int
    ip_id: int
    ttl: int
    frag: int
    length: int
    body: bytes

    @property
    def ports(self) -> tuple[int, int]:
        return struct.unpack_from(">HH", self.body) if self.proto in (6, 17) else (0, 0)

    @property
    def seq(self) -> int:
        return struct.unpack_from(">I", self.body, 4)[0] if self.proto == 6 else 0

    @property
    def ack(self) -> int:
        return struct.unpack_from(">I", self.body, 8)[0] if self.proto == 6 else 0

    @property
    def flags(self) -> int:
        return self.body[13] if self.proto == 6 else 0

    @property
    def window(self) -> int:
        return struct.unpack_from(">H", self.body, 14)[0] if self.proto == 6 else 0


def read(path: Path) -> list[Packet]:
    """All packets of a microsecond little-endian Ethernet pcap of IPv4 without options."""
    data = path.read_bytes()
    assert struct.unpack_from("<IHHiIII", data) == (0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    at, found = 24, []
    while at < len(data):
        sec, usec, captured, wire = struct.unpack_from("<IIII", data, at)
        frame = data[at + 16 : at + 16 + captured]
        assert captured == wire == len(frame)
        assert frame[12:14] == b"\x08\x00" and frame[14] == 0x45
        length, ip_id, frag, ttl, proto = struct.unpack_from(">xxHHHBB", frame, 14)
        src, dst = struct.unpack_from(">II", frame, 26)
        assert length == captured - 14
        found.append(
            Packet((sec * 10**6 + usec) * 1000, src, dst, proto, ip_id, ttl, frag, length, frame[34:])
        )
        at += 16 + captured
    return found
