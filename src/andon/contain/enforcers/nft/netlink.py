"""Two questions that libnftables would answer by reading whole sets, asked of the kernel itself (nfnetlink).

How often rules were changed, by anybody (``NFT_MSG_GETGEN``), and whether an element is there, with its comment
(``NFT_MSG_GETSETELEM`` by key): some ten microseconds each, however large the set. ``nft get element`` reads the set
first: 0.1 s at 20,000 elements. Numbers are those of linux/netfilter/nf_tables.h and nfnetlink.h.
"""

from __future__ import annotations

import ctypes
import errno
import ipaddress
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Final

from andon.contain.contract import Rejected, Unreachable
from andon.contain.enforcers.nft.shapes import Shape

_NETLINK_NETFILTER: Final = 12
_NFTABLES: Final = 10 << 8
_NEW_ELEMENT, _GET_ELEMENT, _NEW_GENERATION, _GET_GENERATION = 12, 13, 15, 16
_REQUEST, _ACKNOWLEDGE = 1, 4
_ERROR: Final = 2  # NLMSG_ERROR, with 0 for an acknowledgement
_FAMILIES: Final = {"inet": 1, "ip": 2, "ip6": 10}
_NESTED: Final = 1 << 15
_TABLE, _SET, _ELEMENTS, _KEY, _USERDATA = 1, 2, 3, 1, 6
_AT_ONCE: Final = 256  # keys in one question


class Netlink:
    """A socket in the network namespace of the thread that makes it. Raises OSError."""

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER
        )
        self._socket.setblocking(False)
        self._number = 0
        # The kernel has answered when send comes back, so nothing waits. Called without letting go of the interpreter:
        # getting it back takes milliseconds while another thread computes.
        libc = ctypes.PyDLL(None, use_errno=True)
        self._send, self._receive = libc.send, libc.recv
        for one in (self._send, self._receive):
            one.restype = ctypes.c_ssize_t
            one.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        self._buffer = ctypes.create_string_buffer(1 << 18)

    def generation(self) -> int:
        """Raises Unreachable, Rejected."""
        for kind, body in self._asked(_GET_GENERATION, 0, b""):
            if kind == _NEW_GENERATION:
                found = dict(_attributes(body[4:]))
                return int.from_bytes(found[1], "big")
        raise Unreachable("nf_tables does not tell its generation")

    def comments(self, table: str, shape: Shape, keys: Sequence[bytes]) -> list[str] | None:
        """Those of the elements; None if one of them is not there. Raises Unreachable, Rejected."""
        return self._elements(shape.family, table, shape.name, keys)

    def has(self, table: str, name: str, key: bytes) -> bool:
        """Whether a set of the family inet has an element. Raises Unreachable, Rejected."""
        return self._elements("inet", table, name, [key]) is not None

    def _elements(self, family: str, table: str, name: str, keys: Sequence[bytes]) -> list[str] | None:
        made: list[str] = []
        for at in range(0, len(keys), _AT_ONCE):
            part = keys[at : at + _AT_ONCE]
            listed = b"".join(
                _attribute(1 | _NESTED, _attribute(_KEY | _NESTED, _attribute(1, key))) for key in part
            )
            question = _attribute(_TABLE, table.encode() + b"\0") + _attribute(_SET, name.encode() + b"\0")
            question += _attribute(_ELEMENTS | _NESTED, listed)
            try:
                for kind, body in self._asked(_GET_ELEMENT, _FAMILIES[family], question):
                    if kind == _NEW_ELEMENT:
                        made += _comments(body[4:])
            except FileNotFoundError:
                return None
        return made if len(made) == len(keys) else None

    def _asked(self, kind: int, family: int, body: bytes) -> list[tuple[int, bytes]]:
        """Messages up to the acknowledgement. Raises FileNotFoundError, Unreachable, Rejected."""
        self._number = (self._number + 1) & 0xFFFFFFFF
        head = struct.pack(
            "=IHHIIBBH",
            20 + len(body),
            _NFTABLES | kind,
            _REQUEST | _ACKNOWLEDGE,
            self._number,
            0,
            family,
            0,
            0,
        )
        made: list[tuple[int, bytes]] = []
        try:
            self._sent(head + body)
            for _ in range(4 * _AT_ONCE):
                answer = self._received()
                place = 0
                while place + 16 <= len(answer):
                    length, what, _, number, _ = struct.unpack_from("=IHHII", answer, place)
                    if length < 16:
                        break
                    if number == self._number and what == _ERROR:
                        failed = -struct.unpack_from("=i", answer, place + 16)[0]
                        if not failed:
                            return made
                        raise OSError(failed, os.strerror(failed))
                    if number == self._number:
                        made.append((what & 0xFF, answer[place + 16 : place + length]))
                    place += length + 3 & ~3
        except FileNotFoundError:
            raise
        except OSError as error:
            text = f"nf_tables: {error.strerror or error}"
            if error.errno in (errno.EPERM, errno.EACCES):
                raise Rejected(text) from error
            raise Unreachable(text) from error
        except (struct.error, KeyError) as error:
            raise Unreachable("nf_tables answers what is not understood") from error
        raise Unreachable("nf_tables does not come to an end")

    def _sent(self, data: bytes) -> None:
        if self._send(self._socket.fileno(), data, len(data), 0) != len(data):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def _received(self) -> bytes:
        length = self._receive(self._socket.fileno(), self._buffer, len(self._buffer), 0)
        if length < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return ctypes.string_at(self._buffer, length)

    def close(self) -> None:
        self._socket.close()


def key_bytes(text: str) -> bytes:
    """The key of an element as the kernel has it: parts of a concatenation are filled up to four bytes.

    >>> key_bytes("10.0.0.5 . 203.0.113.7").hex(), key_bytes("00:11:22:33:44:55").hex()
    ('0a000005cb007107', '001122334455')
    """
    parts = [_part(one) for one in text.split(" . ")]
    if len(parts) == 1:
        return parts[0]
    return b"".join(one + bytes(-len(one) % 4) for one in parts)


def _part(text: str) -> bytes:
    if text.count(":") == 5 and len(text) == 17:
        return bytes.fromhex(text.replace(":", ""))
    return ipaddress.ip_address(text).packed


def ledger_bytes(intent: int) -> bytes:
    """Two marks, in the byte order of the machine."""
    return struct.pack("=II", intent >> 32, intent & 0xFFFFFFFF)


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    place = 0
    while place + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, place)
        if length < 4:
            return
        yield kind & 0x3FFF, data[place + 4 : place + length]
        place += length + 3 & ~3


def _comments(message: bytes) -> Iterator[str]:
    """Of the elements that a message tells of; "" where one has none."""
    for kind, elements in _attributes(message):
        if kind == _ELEMENTS:
            for _, element in _attributes(elements):
                given = dict(_attributes(element)).get(_USERDATA, b"")
                # Type 0 is the comment, then its length and its text with a zero at its end.
                there = len(given) > 2 and given[0] == 0
                yield given[2 : 2 + given[1]].rstrip(b"\0").decode("ascii", "replace") if there else ""
