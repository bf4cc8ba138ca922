"""Which policy a resolver really goes by: it is asked for a name that exists in our zone alone.

``SERIAL.andon-rpz.zz TXT "SERIAL"`` is a rule like the others, so the answer shows that these rules are in force; no
blocked name is ever asked for. (ZZ is never delegated, ISO 3166 leaves it to users; ``invalid`` and ``test`` some
resolvers answer before they ask their policy.) BIND loads a zone at once, its rules up to ``min-update-interval``
later (60 s where nothing is said) and one after the other, while the data of a rule that it has is new already: so the
name itself has to be new, and the last one in the order of names.
"""

from __future__ import annotations

import secrets
import socket
import struct
from typing import Final

from andon.contain.contract import Unreachable
from andon.contain.enforcers.given import Address

_TXT: Final = 16


def probe_name(zone: str, serial: int) -> str:
    """
    >>> probe_name("andon.rpz", 7)
    '7.andon-rpz.zz'
    """
    return f"{serial}.{zone.replace('.', '-')[:63].strip('-')}.zz"


def serial_in_force(name: str, address: Address, port: int, seconds: float) -> int:
    """-1 if the resolver has no such rule. Raises Unreachable."""
    number = secrets.randbelow(65536)
    labels = b"".join(bytes([len(one)]) + one.encode() for one in name.split("."))
    query = struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", _TXT, 1)
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.settimeout(seconds)
            asking.connect((str(address), port))
            asking.send(query)
            for _ in range(8):
                answer = asking.recv(4096)
                if answer[:2] == query[:2] and answer[12 : len(query)] == query[12:]:
                    return _text(answer, len(query))
    except (OSError, struct.error, IndexError) as error:
        raise Unreachable(f"the resolver {address} port {port} does not answer: {error}") from error
    raise Unreachable(f"the resolver {address} port {port} answers something else")


def _text(answer: bytes, place: int) -> int:
    """The first TXT record behind the question, as a number."""
    for _ in range(struct.unpack_from("!H", answer, 6)[0]):
        while answer[place] and not answer[place] & 0xC0:
            place += answer[place] + 1
        place += 2 if answer[place] else 1
        kind, _, _, length = struct.unpack_from("!HHIH", answer, place)
        place += 10
        if kind == _TXT:
            text = answer[place + 1 : place + 1 + answer[place]]
            return int(text) if text.isdigit() and len(text) <= 10 else -1
        place += length
    return -1
