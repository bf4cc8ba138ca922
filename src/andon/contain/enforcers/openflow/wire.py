"""Messages of OpenFlow 1.3 (OpenFlow Switch Specification 1.3.5, 7.3 and 7.4) and bundles (ONF extension 230).

Only what an enforcer says and hears: some twenty messages. What comes from a switch is read strictly and within
bounds, since a switch, or what calls itself one, may be hostile: a length that does not fit ends the connection, a
list that never ends is cut off. Why not a library's encoder: docs/enforcer-openflow.md.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from andon.contain.enforcers.openflow import oxm
from andon.contain.enforcers.openflow.oxm import Malformed, Match
from andon.contain.enforcers.openflow.rule import Rule, read_instructions

VERSION: Final = 4  # on the wire: OpenFlow 1.3
HELLO, ERROR, ECHO_REQUEST, ECHO_REPLY, EXPERIMENTER = 0, 1, 2, 3, 4
FEATURES_REQUEST, FEATURES_REPLY, SET_CONFIG = 5, 6, 9
FLOW_REMOVED, FLOW_MOD, MULTIPART_REQUEST, MULTIPART_REPLY = 11, 14, 18, 19
BARRIER_REQUEST, BARRIER_REPLY, ROLE_REQUEST, ROLE_REPLY, SET_ASYNC = 20, 21, 24, 25, 28

ADD, DELETE, DELETE_STRICT = 0, 3, 4
EVERY_TABLE: Final = 0xFF
ALL_BITS: Final = (1 << 64) - 1
_ANY: Final = 0xFFFFFFFF
SEND_FLOW_REMOVED: Final = 1
REMOVED_IDLE, REMOVED_TIME, REMOVED_DELETE = 0, 1, 2

NO_CHANGE, EQUAL, MASTER, SLAVE = 0, 1, 2, 3
ROLES: Final = {EQUAL: "equal", MASTER: "master", SLAVE: "slave"}

STATS_DESCRIPTION, STATS_FLOW, STATS_AGGREGATE, STATS_PORTS = 0, 1, 2, 13
_MORE: Final = 1

_ONF: Final = 0x4F4E4600
_BUNDLE_CONTROL, _BUNDLE_ADD = 2300, 2301
BUNDLE_OPEN, BUNDLE_COMMIT, BUNDLE_DISCARD = 0, 4, 6
_ATOMIC_ORDERED: Final = 3


class Message(NamedTuple):
    """One message as it came: the octets after the header are in ``body``."""

    version: int
    kind: int
    xid: int
    body: bytes


def encode(kind: int, xid: int, body: bytes = b"") -> bytes:
    return struct.pack("!BBHI", VERSION, kind, 8 + len(body), xid) + body


def hello(xid: int) -> bytes:
    """That we speak 1.3 and nothing else (7.5.1)."""
    return encode(HELLO, xid, struct.pack("!HHI", 1, 8, 1 << VERSION))


def set_config(xid: int, miss_send_len: int = 128) -> bytes:
    """Open vSwitch sends nothing by itself over its management socket before ``miss_send_len`` is above 0."""
    return encode(SET_CONFIG, xid, struct.pack("!HH", 0, miss_send_len))


def set_async(xid: int) -> bytes:
    """Tell us of every flow that is removed, in any role, and of nothing else."""
    return encode(SET_ASYNC, xid, struct.pack("!6I", 0, 0, 0, 0, 0xF, 0xF))


def role_request(xid: int, role: int, generation: int = 0) -> bytes:
    return encode(ROLE_REQUEST, xid, struct.pack("!I4xQ", role, generation))


def flow_mod(
    xid: int, rule: Rule, cookie: int, *, command: int = ADD, seconds: int = 0, flags: int = SEND_FLOW_REMOVED
) -> bytes:
    """Add a rule, or delete exactly this one if it bears this cookie. ``seconds``: hard time-out, 0: none."""
    strict = command == DELETE_STRICT
    head = struct.pack(
        "!QQBBHHHIIIH2x", cookie, ALL_BITS if strict else 0, rule.table, command, 0, seconds, rule.priority,
        _ANY, _ANY, _ANY, 0 if strict else flags,
    )  # fmt: skip
    return encode(FLOW_MOD, xid, head + oxm.encode_match(rule.match) + (b"" if strict else rule.instructions))


def delete(xid: int, cookie: int, mask: int = ALL_BITS, table: int = EVERY_TABLE) -> bytes:
    """Delete every rule whose cookie agrees with ``cookie`` in the bits of ``mask``."""
    head = struct.pack("!QQBBHHHIIIH2x", cookie, mask, table, DELETE, 0, 0, 0, _ANY, _ANY, _ANY, 0)
    return encode(FLOW_MOD, xid, head + oxm.encode_match(()))


def stats_request(xid: int, kind: int, cookie: int = 0, mask: int = 0, table: int = EVERY_TABLE) -> bytes:
    """Rules (STATS_FLOW) or how many there are (STATS_AGGREGATE) by cookie; or ports, or the description."""
    body = struct.pack("!HH4x", kind, 0)
    if kind in (STATS_FLOW, STATS_AGGREGATE):
        body += struct.pack("!B3xII4xQQ", table, _ANY, _ANY, cookie, mask) + oxm.encode_match(())
    return encode(MULTIPART_REQUEST, xid, body)


def bundle_control(xid: int, bundle: int, step: int) -> bytes:
    body = struct.pack("!IIIHH", _ONF, _BUNDLE_CONTROL, bundle, step, _ATOMIC_ORDERED)
    return encode(EXPERIMENTER, xid, body)


def bundle_add(bundle: int, message: bytes) -> bytes:
    """``message`` as a part of the bundle, under the message's own number."""
    xid = int.from_bytes(message[4:8], "big")
    return encode(
        EXPERIMENTER, xid, struct.pack("!IIIHH", _ONF, _BUNDLE_ADD, bundle, 0, _ATOMIC_ORDERED) + message
    )


class Framer:
    """Cuts a stream into messages.

    >>> Framer().feed(encode(ECHO_REQUEST, 7, b"x")[:5]), len(Framer().feed(encode(ECHO_REQUEST, 7, b"x")))
    ([], 1)
    """

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are complete now. Raises Malformed."""
        self._rest += data
        whole, at, size = [], 0, len(self._rest)
        while size - at >= 8:
            version, kind, length, xid = struct.unpack_from("!BBHI", self._rest, at)
            if length < 8:
                raise Malformed(f"a message says it has {length} octets")
            if version != VERSION and kind not in (HELLO, ERROR):
                raise Malformed(f"a message of version {version:#x}, where {VERSION:#x} was agreed on")
            if size - at < length:
                break
            whole.append(Message(version, kind, xid, bytes(self._rest[at + 8 : at + length])))
            at += length
        del self._rest[:at]
        return whole


def _unpack(form: str, body: bytes, what: str, at: int = 0) -> tuple[int, ...]:
    if len(body) - at < struct.calcsize(form):
        raise Malformed(f"{what} is cut off")
    return struct.unpack_from(form, body, at)


def versions(message: Message) -> frozenset[int]:
    """Which versions a HELLO offers: those of its bitmap, else all up to the header's (7.5.1, 6.3.1)."""
    at, body = 0, message.body
    while len(body) - at >= 4:
        kind, length = struct.unpack_from("!HH", body, at)
        if length < 4 or at + length > len(body):
            raise Malformed(f"an element of HELLO says it has {length} octets")
        if kind == 1 and length >= 8:
            bits = int.from_bytes(body[at + 4 : at + 8], "big")
            return frozenset(n for n in range(32) if bits >> n & 1)
        at += length + -length % 8
    return frozenset(range(1, message.version + 1))


@dataclass(frozen=True)
class Features:
    datapath: int
    tables: int


def features(body: bytes) -> Features:
    """Of FEATURES_REPLY (7.3.1)."""
    datapath, _, tables = _unpack("!QIB", body, "FEATURES_REPLY")
    return Features(datapath, tables)


class Removed(NamedTuple):
    """A rule that is gone (7.4.2)."""

    cookie: int
    reason: int
    table: int
    priority: int
    match: Match


def removed(body: bytes) -> Removed:
    cookie, priority, reason, table = _unpack("!QHBB", body, "FLOW_REMOVED")
    terms, _ = oxm.read_match(body, 40, len(body))
    return Removed(cookie, reason, table, priority, terms)


class Stat(NamedTuple):
    """A rule that is there (7.3.5.2)."""

    cookie: int
    hard: int  # seconds, 0: no time-out
    age: int  # seconds
    rule: Rule
    packets: int


def flow_stats(body: bytes) -> Iterable[Stat]:
    """Of the body of one reply (after the head of the multipart). Raises Malformed."""
    at = 0
    while at < len(body):
        length, table, age, _, priority, _, hard, _, cookie, packets, _ = _unpack(
            "!HBxIIHHHH4xQQQ", body, "a rule in an answer", at
        )
        end = at + length
        if length < 56 or end > len(body):
            raise Malformed(f"a rule in an answer says it has {length} octets")
        terms, after = oxm.read_match(body, at + 48, end)
        actions, goto, more = read_instructions(body, after, end)
        yield Stat(cookie, hard, age, Rule(table, priority, terms, actions, goto, more), packets)
        at = end


def aggregate(body: bytes) -> int:
    """How many rules (7.3.5.3)."""
    return _unpack("!QQI", body, "an aggregate")[2]


def ports(body: bytes) -> Iterable[int]:
    """Numbers of the ports (7.3.5.7)."""
    if len(body) % 64:
        raise Malformed("a list of ports is cut off")
    return [int.from_bytes(body[at : at + 4], "big") for at in range(0, len(body), 64)]


def description(body: bytes) -> tuple[str, ...]:
    """Maker, hardware, software (7.3.5.1); not to be trusted, so cut to what is printable."""
    if len(body) < 768:
        raise Malformed("a description is cut off")
    found = (body[at : at + 256].split(b"\0")[0].decode("ascii", "replace") for at in (0, 256, 512))
    return tuple("".join(c if c.isprintable() else "?" for c in one)[:64] for one in found)


def multipart(body: bytes) -> tuple[int, bool, bytes]:
    """Kind, whether more follows, and the rest of a MULTIPART_REPLY."""
    kind, flags = _unpack("!HH4x", body, "MULTIPART_REPLY")
    return kind, bool(flags & _MORE), body[8:]


def role(body: bytes) -> tuple[int, int]:
    """The role we have, and the generation of the last claim (7.3.9)."""
    mine, generation = _unpack("!I4xQ", body, "ROLE_REPLY")
    return mine, generation


def bundle_reply(body: bytes) -> int:
    """The step that is acknowledged: one more than the one asked for; -1 for other extensions."""
    if len(body) < 16:
        return -1
    experimenter, kind, _, step = struct.unpack_from("!IIIH", body)
    return step if (experimenter, kind) == (_ONF, _BUNDLE_CONTROL) else -1


class Refusal(NamedTuple):
    """An ERROR (7.4.4)."""

    kind: int
    code: int
    data: bytes

    @property
    def text(self) -> str:
        """In words, of our own, for what a rule can meet; numbers else."""
        known = _REFUSALS.get((self.kind, self.code))
        return known or f"error of type {self.kind}, code {self.code}"


def refusal(body: bytes) -> Refusal:
    kind, code = _unpack("!HH", body, "ERROR")
    return Refusal(kind, code, body[4:])


TABLE_FULL: Final = (5, 1)
IS_SLAVE: Final = (1, 10)
STALE: Final = (11, 0)
_REFUSALS: Final = {
    (0, 0): "it speaks no version that we do", (0, 1): "it does not permit the connection",
    (1, 0): "it does not know this version", (1, 1): "it does not know this message",
    (1, 3): "it does not know this extension", (1, 4): "it does not know this message of the extension",
    (1, 5): "not permitted", (1, 6): "wrong length", (1, 9): "it has no such table",
    IS_SLAVE: "another controller is its master", (1, 11): "it has no such port",
    (2, 0): "it does not know this action", (2, 4): "it has no such port for an output", (2, 6): "not permitted action",
    (2, 13): "it cannot rewrite this field", (3, 0): "it does not know this instruction",
    (3, 1): "it does not know this instruction in that table", (3, 2): "the next table is none it can go on to",
    (4, 6): "it cannot match this field", (4, 7): "it cannot match this value", (4, 8): "it cannot match this mask",
    (4, 9): "a field lacks the one it builds on", (5, 0): "it does not say why",
    TABLE_FULL: "the table is full", (5, 2): "it has no such table", (5, 3): "it overlaps with another rule",
    (5, 4): "not permitted", (5, 5): "it cannot hold this time-out", (5, 6): "it does not know this command",
    (5, 7): "it does not know these flags", STALE: "another controller has claimed it since",
    (11, 1): "it knows no roles",
}  # fmt: skip
