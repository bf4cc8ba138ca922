"""Families that are given by an expression: the solved fields are set after the others are drawn."""

from __future__ import annotations

from typing import Final

import numpy as np

from andon.records import packet
from andon.records.expression import Assignment, NotSolvable, apply, parse, solve
from andon.records.expression.ast import fields_of

from . import session as s

# Never ours to set: who and where to, how long the packet is, and that it is a SYN.
_FIXED: Final = ("ip.src", "ip.dst", "ip.len", "tcp.flags")
_PORTS: Final = ("tcp.dstport", "udp.dstport")
# Packet-record column -> column of the row.
_COLUMNS: Final = {
    "src": "src",
    "dst": "dst",
    "src_port": "sport",
    "dst_port": "dport",
    "tcp_flags": "flags",
    "tcp_seq": "seq",
    "tcp_ack": "ack",
    "ip_id": "ip_id",
    "ttl": "ttl",
    "tcp_window": "window",
}


def assignments(expression: str) -> list[Assignment]:
    """How to make a packet satisfy ``expression``; destination ports are set only if nothing else can be.

    Raises ValueError (ExpressionError, NotSolvable) with the reason when it is no expression or cannot be made true.
    """
    parsed = parse(expression)
    try:
        return solve(parsed, fixed=(*_FIXED, *_PORTS))
    except NotSolvable:
        return solve(parsed, fixed=_FIXED)


def is_udp(expression: str) -> bool:
    """Whether only UDP packets can satisfy it."""
    return any(name.startswith("udp.") for name in fields_of(parse(expression)))


class Solver:
    """Makes the packets of some sessions satisfy their family's expression."""

    def __init__(self, sessions: np.ndarray, relations: list[str]) -> None:
        self._made = [assignments(text) for text in relations]
        self._relation = np.where(sessions["relation"] == s.OTHER, sessions["relation_id"], -1).astype(
            np.int32
        )
        self._secret = sessions["secret"]

    def apply(self, rows: np.ndarray) -> None:
        """Set the fields that each row's relation determines, in place; other rows stay as they are."""
        if not self._made:
            return
        of_row = self._relation[rows["session"]]
        for number, made in enumerate(self._made):
            mine = np.flatnonzero(of_row == number)
            if len(mine):
                self._set(rows, mine, made)

    def _set(self, rows: np.ndarray, mine: np.ndarray, made: list[Assignment]) -> None:
        part = rows[mine]
        columns = {name: np.ascontiguousarray(part[field]) for name, field in _COLUMNS.items()}
        udp = part["kind"] == s.UDP
        columns["layers"] = np.where(udp, packet.IPV4 | packet.UDP, packet.IPV4 | packet.TCP).astype(np.uint8)
        columns["ip_len"] = np.full(len(part), 40, np.uint16)
        after = apply(made, columns, np.ascontiguousarray(self._secret[part["session"]]))
        for assignment in made:
            rows[_COLUMNS[assignment.column]][mine] = after[assignment.column]
