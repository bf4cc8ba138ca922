"""One rule of a switch: which table, how urgent, what it matches, what happens (OpenFlow 1.3.5, 5.5 and 7.2.4)."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Final, NamedTuple

from andon.contain.enforcers.openflow import oxm
from andon.contain.enforcers.openflow.oxm import Malformed, Match, Term

NORMAL: Final = 0xFFFFFFFA  # the switch's own learning and forwarding
_PORTS: Final = {NORMAL: "NORMAL", 0xFFFFFFF8: "IN_PORT", 0xFFFFFFFB: "FLOOD", 0xFFFFFFFC: "ALL",
                 0xFFFFFFFD: "CONTROLLER", 0xFFFFFFFE: "LOCAL"}  # fmt: skip
_GOTO, _APPLY = 1, 4  # instructions
_OUTPUT, _SET_FIELD = 0, 25  # actions


class Output(NamedTuple):
    port: int

    def encode(self) -> bytes:
        return struct.pack("!HHIH6x", _OUTPUT, 16, self.port, 0)

    def text(self) -> str:
        return _PORTS.get(self.port) or f"output:{self.port}"


class SetField(NamedTuple):
    term: Term

    def encode(self) -> bytes:
        field = oxm.term_octets(self.term)
        length = 4 + len(field) + -(4 + len(field)) % 8
        return struct.pack("!HH", _SET_FIELD, length) + field + bytes(length - 4 - len(field))

    def text(self) -> str:
        name, _, value = oxm.term_text(self.term).partition("=")
        return f"set_field:{value}->{_SET_NAMES.get(name, name)}"


_SET_NAMES: Final = {"dl_dst": "eth_dst", "dl_src": "eth_src"}


class Other(NamedTuple):
    """An action or instruction that none of our rules has, as it came."""

    octets: bytes

    def encode(self) -> bytes:
        return self.octets

    def text(self) -> str:
        return f"other:{self.octets.hex()}"


Action = Output | SetField | Other
Key = tuple[int, int, Match]  # what makes a rule the same rule for a switch: table, priority, match


@dataclass(frozen=True)
class Rule:
    """``actions`` are done at once, in order, then the packet goes on to the table ``goto`` (-1: it does not, and
    without an action it is dropped). ``more``: instructions of other kinds, seen only in others' rules."""

    table: int
    priority: int
    match: Match
    actions: tuple[Action, ...] = ()
    goto: int = -1
    more: tuple[Other, ...] = ()

    @property
    def key(self) -> Key:
        return self.table, self.priority, self.match

    @cached_property
    def instructions(self) -> bytes:
        """As they are sent."""
        out = b""
        if self.actions:
            acts = b"".join(action.encode() for action in self.actions)
            out += struct.pack("!HH4x", _APPLY, 8 + len(acts)) + acts
        out += b"".join(other.octets for other in self.more)
        if self.goto >= 0:
            out += struct.pack("!HHB3x", _GOTO, 8, self.goto)
        return out

    @cached_property
    def canonical(self) -> bytes:
        """Octets that are the same for the same rule, whoever encoded it."""
        return (
            struct.pack("!BH", self.table, self.priority) + oxm.encode_match(self.match) + self.instructions
        )

    def text(self) -> str:
        """As ``ovs-ofctl`` takes it, without cookie and time-outs."""
        acts = [action.text() for action in self.actions] + [other.text() for other in self.more]
        if self.goto >= 0:
            acts.append(f"goto_table:{self.goto}")
        shown = oxm.text(self.match)
        words = [f"table={self.table}", f"priority={self.priority}", *([shown] if shown else [])]
        return f"{','.join(words)},actions={','.join(acts) or 'drop'}"


def digest(rules: Iterable[Rule]) -> str:
    """Of a set of rules; the order does not matter."""
    made = sha256()
    for octets in sorted({rule.canonical for rule in rules}):
        made.update(len(octets).to_bytes(4, "big") + octets)
    return made.hexdigest()[:32]


def _parts(data: bytes, at: int, end: int, what: str) -> Iterable[tuple[int, int, int]]:
    """(type, start, stop) of structures that begin with type and length, a multiple of eight octets."""
    while at < end:
        if end - at < 8:
            raise Malformed(f"{what} is cut off")
        kind, length = struct.unpack_from("!HH", data, at)
        if length < 8 or length % 8 or at + length > end:
            raise Malformed(f"{what} says it has {length} octets")
        yield kind, at, at + length
        at += length


def _read_actions(data: bytes, at: int, end: int) -> Iterable[Action]:
    for kind, start, stop in _parts(data, at, end, "an action"):
        if kind == _OUTPUT and stop - start == 16:
            yield Output(int.from_bytes(data[start + 4 : start + 8], "big"))
        elif kind == _SET_FIELD:
            yield SetField(oxm.read_term(data, start + 4, stop)[0])
        else:
            yield Other(data[start:stop])


def read_instructions(data: bytes, at: int, end: int) -> tuple[tuple[Action, ...], int, tuple[Other, ...]]:
    """Actions, the table that follows (-1: none) and instructions of other kinds. Raises Malformed."""
    actions: tuple[Action, ...] = ()
    goto, more = -1, []
    for kind, start, stop in _parts(data, at, end, "an instruction"):
        if kind == _GOTO and stop - start == 8:
            goto = data[start + 4]
        elif kind == _APPLY:
            actions += tuple(_read_actions(data, start + 8, stop))
        else:
            more.append(Other(data[start:stop]))
    return actions, goto, tuple(more)
