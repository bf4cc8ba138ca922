"""What is remembered between spans: one entry per alert, and of each organisation how much it was told.

Entries stand in one packed array, ascending by ``ident`` (a keyed hash of organisation and address), so that the
entries of an address are neighbours and are found by bisection. Organisations and relations are known by hashes of
their names: the state outlives a change of the configuration, what is not registered any more is dropped.
"""

from __future__ import annotations

import hashlib
from typing import Self

import numpy as np

from andon.detect.darknet.daedalus.flavours import NUMBER
from andon.detect.darknet.daedalus.kernel import DESTINATIONS
from andon.sketch.state import StateError, pack, unpack

PORTS = 20
SAMPLES = 5
RELATIONS = 32
BINS = 16
NEVER = np.iinfo(np.int64).max

# Kinds of alert; those of organisations stand behind those of addresses.
INTERNAL_SCAN, OUTBOUND_SCAN, BACKSCATTER, MISCONFIGURATION, SPOOFED, MANY = range(6)
KINDS = (
    "internal-scan",
    "outbound-scan",
    "backscatter",
    "misconfiguration",
    "spoofed-sources",
    "many-hosts",
)
PENDING, OPEN = 0, 1

PORT = np.dtype([("port", "<u2"), ("proto", "u1"), ("n", "<i8")])
SHOWN = np.dtype([("port", "<u2"), ("proto", "u1")])
SEEN = np.dtype(  # a header, without destination and without what may be made from it
    [("ts", "<i8"), ("src_port", "<u2"), ("dst_port", "<u2"), ("length", "<u2"), ("proto", "u1"), ("flags", "u1"),
     ("ttl", "u1"), ("icmp_type", "u1"), ("flavour", "u1"), ("hidden", "u1")]
)  # fmt: skip
ENTRY = np.dtype(
    [
        ("ident", "<u8"),
        ("organisation", "<u8"),
        ("hi", "<u8"),
        ("lo", "<u8"),
        ("kind", "u1"),
        ("inside", "u1"),
        ("state", "u1"),
        ("proto", "u1"),  # with port: the top port at its beginning, part of the deduplication key
        ("port", "<u2"),
        ("episode", "<u4"),  # how often it was told as new, from 1
        ("step", "<u4"),  # digests that were due in this episode
        ("began", "<i8"),  # first packet of the episode
        ("last", "<i8"),
        ("opened", "<i8"),  # when it was told as new
        ("due", "<i8"),  # next timer; NEVER while pending
        ("packets", "<i8"),
        ("since", "<i8"),  # packets since it was last told
        ("sources", "<i8"),  # of an organisation's alert: addresses; else 1
        ("flags", "u1"),
        ("flavours", "<i8", (NUMBER,)),
        ("ports", PORT, (PORTS,)),  # most packets first
        ("shown", SHOWN, (PORTS,)),  # ports that were told
        ("other_ports", "<i8"),  # packets to ports that are not in the table
        ("sampled", "u1"),  # whether ports are estimated from a sample
        ("dsts", "<u8", (DESTINATIONS,)),
        ("seen", SEEN, (SAMPLES,)),
        ("looked_at", "<u4"),  # packets that relations were tried on
        ("hits", "<u4", (RELATIONS,)),
        ("family", "<u4"),  # number in the name of the unknown family; 0 none
        ("family_hits", "<u4"),
    ]
)
ORGANISATION = np.dtype(
    [
        ("organisation", "<u8"),
        ("hour", "<i8"),
        ("told", "<u4"),  # alerts of single addresses in this hour
        ("weak_told", "<u4"),  # of these, on weak evidence
        ("weak", "<i8", (2,)),  # sources with weak evidence: this hour, the one before (estimate in a flood)
        ("weak_packets", "<i8", (2,)),
        ("bins", "<i8", (BINS,)),  # this hour's weak sources by place in the organisation's address space
        ("held_back", "<i8"),  # alerts folded into one of the organisation, in this hour
        ("evicted", "<i8"),  # entries that had to make room, in all time
        ("left_out", "<i8"),  # packets of sources that a full tile did not keep, in all time
        ("evicted_now", "<i8"),  # the same two in this hour
        ("left_out_now", "<i8"),
    ]
)
_ORGANISATION_1 = np.dtype([(name, ORGANISATION.fields[name][0]) for name in ORGANISATION.names[:-2]])  # type: ignore[index]


def name_hash(name: str) -> int:
    """64-bit hash of a name."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


def no_entries(count: int) -> np.ndarray:
    """So many entries of nothing."""
    made = np.zeros(count, ENTRY)
    made["dsts"] = np.iinfo(np.uint64).max
    made["due"] = NEVER
    return made


class Remembered:
    """The carry. It is never changed once it was given out: ``conclude`` works on copies of the arrays.

    ``entries`` (ENTRY), ``organisations`` (ORGANISATION, ascending by hash), ``relations`` (hashes of the names that
    ``hits`` are of)."""

    def __init__(self, relations: np.ndarray) -> None:
        self.entries = no_entries(0)
        self.organisations = np.zeros(0, ORGANISATION)
        self.relations = relations
        self._bytes: bytes | None = None

    @property
    def next_due(self) -> int:
        """Time of the earliest timer; NEVER if there is none."""
        return int(self.entries["due"].min()) if len(self.entries) else NEVER

    def to_bytes(self) -> bytes:
        if (
            self._bytes is None
        ):  # most spans change nothing, and the bytes of a carry are asked for every time
            self._bytes = pack(
                "daedalus-carry",
                2,
                {
                    "entries": self.entries.view(np.uint8),
                    "organisations": self.organisations.view(np.uint8),
                    "relations": self.relations,
                },
            )
        return self._bytes

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        kind = ORGANISATION
        try:
            arrays, _ = unpack("daedalus-carry", 2, data)
        except StateError:
            kind = _ORGANISATION_1
            arrays, _ = unpack("daedalus-carry", 1, data)
        if set(arrays) != {"entries", "organisations", "relations"}:
            raise StateError(f"a daedalus carry does not hold {', '.join(sorted(arrays))}")
        if len(arrays["entries"]) % ENTRY.itemsize or len(arrays["organisations"]) % kind.itemsize:
            raise StateError("a daedalus carry of another shape")
        made = cls(arrays["relations"])
        made.entries = arrays["entries"].view(ENTRY)
        held = arrays["organisations"].view(kind)
        made.organisations = np.zeros(len(held), ORGANISATION)
        for name in held.dtype.names or ():
            made.organisations[name] = held[name]
        return made

    def fitted(self, organisations: np.ndarray, relations: np.ndarray) -> Self:
        """A copy for this configuration: without organisations that are not registered, relations in their order."""
        made = type(self)(relations)
        made.entries = self.entries[np.isin(self.entries["organisation"], organisations)]
        made.organisations = self.organisations[np.isin(self.organisations["organisation"], organisations)]
        if not np.array_equal(self.relations, relations):
            before = made.entries["hits"].copy()
            made.entries["hits"] = 0
            for at, name in enumerate(relations):
                for old in np.flatnonzero(self.relations == name):
                    made.entries["hits"][:, at] = before[:, old]
        return made
