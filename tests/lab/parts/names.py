"""As much of DNS (RFC 1035) as a client in the lab needs: one question, the addresses of its answer."""

from __future__ import annotations

import struct
from ipaddress import ip_address


def question(name: str, number: int, *, six: bool = False) -> bytes:
    """A query for the addresses of ``name`` that asks for recursion."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return (
        struct.pack("!6H", number, 0x0100, 1, 0, 0, 0)
        + labels
        + b"\0"
        + struct.pack("!2H", 28 if six else 1, 1)
    )


def replied(data: bytes) -> list[str]:
    """The addresses of an answer, sorted. Raises ValueError."""
    try:
        _, flags, questions, answers, _, _ = struct.unpack_from("!6H", data)
        if flags & 15:
            return []
        place, found = 12, []
        for _ in range(questions):
            place = _after_name(data, place) + 4
        for _ in range(answers):
            place = _after_name(data, place)
            kind, _, _, length = struct.unpack_from("!HHIH", data, place)
            place += 10
            if kind in (1, 28):
                found.append(str(ip_address(data[place : place + length])))
            place += length
    except (struct.error, IndexError) as error:
        raise ValueError("no answer of a name server") from error
    return sorted(found)


def _after_name(data: bytes, place: int) -> int:
    while data[place]:
        if data[place] & 0xC0:
            return place + 2
        place += data[place] + 1
    return place + 1
