"""Who sent a family's packets: how widely spread, what else their packets share, and whether they are made up."""

from __future__ import annotations

import ipaddress

import numpy as np

from andon.detect.darknet.fingerprint.measure import Measured, Packets
from andon.records.expression import ExpressionError, parse
from andon.records.expression.ast import fields_of
from andon.records.expression.fields import FIELDS

# This network, loopback, multicast and reserved: 13 % of addresses drawn at random, and nobody's. Private ones do not
# count: they are real senders in a laboratory.
_IMPOSSIBLE = tuple(ipaddress.ip_network(text) for text in ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3"))
_LEAST_IMPOSSIBLE = 5
_SPOOFED_SHARE = 0.05
_MANY = 200
_FEW_PACKETS = 3  # an address that is drawn again and again is met this often at most
_MOST_TARGETS = 10
_COMPANIONS = ("tcp.window", "tcp.srcport", "ip.id")


def networks_24(sources: np.ndarray) -> int:
    """How many /24 networks these addresses (uint32) are in.

    >>> networks_24(np.array([0x0A000001, 0x0A0000FF, 0x0A000101], np.uint32))
    2
    """
    return len(np.unique(sources >> np.uint32(8)))


def spoofed_share(sources: np.ndarray) -> float:
    """Share of the addresses (uint32) that cannot be anybody's; 0 where there are fewer than five such."""
    numbers = sources.astype(np.int64)
    impossible = np.zeros(len(numbers), np.bool_)
    for network in _IMPOSSIBLE:
        impossible |= (numbers >= int(network.network_address)) & (numbers <= int(network.broadcast_address))
    return float(impossible.mean()) if impossible.sum() >= _LEAST_IMPOSSIBLE else 0.0


def made_up(packets: Packets, m: Measured, kind: str) -> bool:
    """Whether the senders are made up: nearly all sent a packet or three, and some of them cannot send at all, or
    hundreds sent one packet each to one or two addresses, as nobody scans. Of a value that systems fill in
    by themselves only a flood at few addresses is said to be made up."""
    if float((m.sent <= _FEW_PACKETS).mean()) < 0.9:
        return False
    aimed = len(np.unique(packets.columns["dst"][m.rows]))
    if kind == "stack-default" and aimed > _MOST_TARGETS:
        return False
    if spoofed_share(packets.sample.src[m.family.sources]) >= _SPOOFED_SHARE:
        return True
    return len(m.sent) >= _MANY and float((m.sent == 1).mean()) >= 0.95 and aimed <= 2


def targets(packets: Packets, m: Measured) -> list[tuple[int, int]]:
    """(address, packets) that the family's packets are aimed at, if these are few: then it is a flood; else none."""
    found, at = np.unique(packets.columns["dst"][m.rows], return_inverse=True)
    if len(found) > _MOST_TARGETS:
        return []
    count = np.bincount(at, packets.weight[packets.of_row[m.rows]])
    order = np.lexsort((found, -count))
    return [(int(found[i]), max(1, round(float(count[i])))) for i in order]


def constants(packets: Packets, m: Measured) -> list[tuple[str, int, float]]:
    """(field, value, share 1.0) of the fields outside the relation that have one value in all packets of the family
    that were looked at."""
    try:
        inside = fields_of(parse(m.family.relation))
    except ExpressionError:
        return []
    made = []
    for name in _COMPANIONS:
        if name not in inside and len(m.rows) >= 20:
            values = packets.columns[FIELDS[name].column][m.rows]
            if (values == values[0]).all():
                made.append((name, int(values[0]), 1.0))
    return made
