"""A session: one stretch of packets by one process behind one source address.

Everything the simulator sends is a session. A host that is infected twice has two sessions of two families, a
NAT has one per host behind it, a botnet that changes its ports has one before and one after the change, a
survey that scans every day has one a day. So schedules, evolutions and mixtures need no code in the kernel
that writes packets: they are rows of this table.

A session's packets are a pure function of its row: field values come from a keyed hash of (key, connection
number), times from a hash of (key, tick), so the order in which sessions are worked on cannot matter.
"""

from __future__ import annotations

from typing import Final

import numpy as np

# What a packet is.
TCP, UDP, ECHO, ICMP_ERROR = 0, 1, 2, 3

# Relation that the packet-writing kernel sets itself. OTHER is set afterwards from a solved expression.
NO_RELATION, MIRAI, MASSCAN, ZMAP, UNICORNSCAN, NMAP, OTHER = 0, 1, 2, 3, 4, 5, 6

# How a field varies inside a session.
FIXED, RANDOM, COUNTER, PER_CONNECTION, PER_DESTINATION, NMAP_TTL = 0, 1, 2, 3, 4, 5

# How destinations are chosen: uniformly, in address order, from a prepared list (address and time).
UNIFORM, SWEEP, LISTED = 0, 1, 2

# Where the source address comes from: the row, or a new random one for every packet (a spoofed flood).
OWN_ADDRESS, SPOOFED = 0, 1

NEVER: Final = np.int64(2**62)

SESSION: Final = np.dtype(
    [
        ("key", np.uint64),
        ("start", np.int64),  # ns; nothing is sent before
        ("end", np.int64),  # ns; nothing is sent at or after
        ("n", np.int64),  # packets still to be sent
        ("first", np.int64),  # ns of the first packet sent; 0 before
        ("last", np.int64),
        ("gap", np.int64),  # ns until the next retransmission
        ("wait", np.int64),  # ns from the first try to the second; doubles with every try
        ("listed", np.int64),  # where its prepared list starts in the pool
        ("src", np.uint32),
        ("secret", np.uint32),  # session constant of keyed relations, also the constant sequence number
        ("truth", np.int32),  # row of the truth table
        ("relation_id", np.int32),  # which solved expression, for OTHER
        ("conn", np.uint32),  # connections so far
        ("tick", np.uint32),  # times drawn so far
        ("dst_off", np.uint32),  # first address of its targets, as an index into the telescope
        ("dst_len", np.uint32),
        ("ports_off", np.int32),  # its ports in the pool; a port listed twice is twice as likely
        ("ports_len", np.int32),
        ("scan", np.int32),  # which cyclic scan, for LISTED
        ("sport", np.uint16),
        ("sport_span", np.uint16),
        ("window", np.uint16),
        ("id_state", np.uint16),
        ("id_step", np.uint16),  # up to this many packets go elsewhere between two that are seen
        ("frag", np.uint16),
        ("kind", np.uint8),
        ("flags", np.uint8),
        ("icmp_type", np.uint8),
        ("icmp_code", np.uint8),
        ("relation", np.uint8),
        ("sport_mode", np.uint8),
        ("id_mode", np.uint8),
        ("seq_mode", np.uint8),
        ("window_mode", np.uint8),
        ("ttl", np.uint8),
        ("ttl_mode", np.uint8),
        ("hops", np.uint8),
        ("options", np.uint8),
        ("retries", np.uint8),
        ("left", np.uint8),  # retransmissions left of the current connection
        ("dst_mode", np.uint8),
        ("src_mode", np.uint8),
        ("swap", np.uint8),  # 1: the listed port is the source port (answers of a victim)
        ("tos", np.uint8),
        ("shard", np.uint16),  # LISTED: which shard of how many, sent by how many threads
        ("shards", np.uint16),
        ("threads", np.uint16),
        ("blocklist", np.uint8),  # LISTED: 1 if it scans with ZMap's default blocklist
    ],
    align=True,
)

# A packet before it has bytes; one cache line, so that the time-ordered second pass misses once a packet.
ROW: Final = np.dtype(
    [
        ("ts", np.int64),
        ("session", np.int32),
        ("src", np.uint32),
        ("dst", np.uint32),
        ("seq", np.uint32),
        ("ack", np.uint32),
        ("salt", np.uint32),  # timestamps option, payload filling, quoted ports
        ("sport", np.uint16),
        ("dport", np.uint16),
        ("ip_id", np.uint16),
        ("window", np.uint16),
        ("frag", np.uint16),
        ("kind", np.uint8),
        ("flags", np.uint8),
        ("ttl", np.uint8),
        ("tos", np.uint8),
        ("options", np.uint8),
        ("icmp_type", np.uint8),
        ("icmp_code", np.uint8),
    ],
    align=True,
)
