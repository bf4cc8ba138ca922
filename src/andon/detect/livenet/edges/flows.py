"""Flows as contacts, for destinations that no contact names (setting ``flows``).

Malware that speaks neither HTTP nor TLS leaves no line in a proxy's log, only a flow to an address. Such flows become
edges to that address. ``NEVER`` leaves them alone. ``ALWAYS`` takes those that were answered, unless a contact of the
same day gave the address as its host or as the server behind a name: then the contact says more. ``AUTO`` takes them,
answered or not (what came to nothing counts as failed), on a day that has no contact at all: where an organisation has
nothing but flows, a C2 that is down must show too. Left out are those between insiders or from outside, those to
multicast and broadcast, and those of services that every machine uses by itself (DNS, NTP, DHCP, discovery).
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.detect.livenet.edges import kernels as k
from andon.detect.livenet.edges.gather import MOST_BYTES, Piece, Words, words_of
from andon.detect.livenet.edges.lists import ipv4_numbers
from andon.detect.livenet.edges.names import ascending
from andon.records.columns import column
from andon.records.domains import ADDRESS_4, ADDRESS_6, NAME, kinds_of_hosts
from andon.records.flow import failed
from andon.records.inside import PRIVATE
from andon.sketch.hashing import mix64_array
from andon.sketch.state import StateError, pack, unpack
from andon.sketch.texts import text_keys

NEVER, ALWAYS, AUTO = 0, 1, 2  # values of the setting
NOBODY: Final = ("0.0.0.0/8", "224.0.0.0/3", "ff00::/8", "::/128")  # multicast, broadcast: no destination
_OWN_SERVICES: Final = (53, 67, 68, 123, 137, 138, 546, 547, 1900, 3702, 5353, 5355)
_SAMPLE: Final = np.uint64(0x5851F42D4C957F2D)
_KIND, _VERSION = "livenet-edges-named", 1


class Networks:
    """Whether addresses lie in prefixes.

    >>> Networks(("10.0.0.0/8",)).hold(pa.array(["10.1.2.3", "11.0.0.1", "addr-x", "?"])).tolist()
    [True, False, True, False]
    """

    def __init__(self, prefixes: Sequence[str]) -> None:
        networks = [ip_network(prefix.strip(), strict=False) for prefix in prefixes]
        self.given = tuple(prefixes) != PRIVATE  # by the operator
        four = sorted((int(n[0]), int(n[-1])) for n in networks if n.version == 4)
        self._first = np.array([first for first, _ in four], np.int64)
        self._last = np.maximum.accumulate(np.array([last for _, last in four], np.int64))
        self._six = [n for n in networks if n.version == 6]

    def hold(self, addresses: pa.Array) -> np.ndarray:
        """bool of each text; pseudonyms of addresses lie inside, what is no address lies nowhere."""
        out: np.ndarray = np.array(pc.starts_with(addresses, "addr-"), bool)
        kinds = kinds_of_hosts(addresses)
        rows = np.flatnonzero(kinds == ADDRESS_4)
        if len(rows) and len(self._first):
            numbers = ipv4_numbers(addresses.take(pa.array(rows)))
            at = np.searchsorted(self._first, numbers, side="right") - 1
            out[rows] = (at >= 0) & (numbers <= self._last[np.maximum(at, 0)])
        for i in np.flatnonzero(kinds == ADDRESS_6).tolist() if self._six else ():
            try:
                address = ip_address(str(addresses[i]))
            except ValueError:
                continue
            out[i] = any(address in network for network in self._six)
        return out


def inbound(batch: pa.RecordBatch, inside: Networks) -> np.ndarray:
    """Which contacts are of outsiders that ask our servers, and so no contacts of terminals: the client has an address
    outside and no user's name, and what it asks for lies inside. Where the operator said what is inside, every client
    outside is an outsider; else clients with public addresses may well be terminals."""
    address, user = batch.column("address"), batch.column("user")
    outside = ~inside.hold(address.dictionary) & (kinds_of_hosts(address.dictionary) != NAME)
    made: np.ndarray = np.append(outside, False)[address.indices.to_numpy(zero_copy_only=False)]
    if not made.any():
        return made
    nobody = np.asarray(pc.is_in(user.dictionary, pa.array(["", "-"])))
    made &= nobody[user.indices.to_numpy(zero_copy_only=False)]
    if inside.given:
        return made
    ours = np.zeros(batch.num_rows, np.bool_)
    for name in ("server", "host"):
        words = batch.column(name)
        lies = inside.hold(words.dictionary) & (kinds_of_hosts(words.dictionary) != NAME)
        ours |= lies[words.indices.to_numpy(zero_copy_only=False)]
    made &= ours
    return made


def flow_piece(
    batch: pa.RecordBatch, salt: int, inside: Networks, nobody: Networks, unanswered: bool = False
) -> Piece:
    """The flows of a batch that may be edges, as contacts; ``unanswered``: those that nobody answered too."""
    src, dst = batch.column("src"), batch.column("dst")
    from_inside = inside.hold(src.dictionary)[np.asarray(src.indices)]
    outside = ~(inside.hold(dst.dictionary) | nobody.hold(dst.dictionary))[np.asarray(dst.indices)]
    protocol = batch.column("protocol")
    carried = np.asarray(pc.is_in(protocol.dictionary, pa.array(["tcp", "udp"])))[
        np.asarray(protocol.indices)
    ]
    answered = np.asarray(pc.fill_null(batch.column("answered"), True))
    port = column(batch, "dst_port")
    terminal = batch.column("terminal")
    named = ~np.asarray(pc.is_in(terminal.dictionary, pa.array(["", "-"])))[np.asarray(terminal.indices)]
    rows = from_inside & outside & carried & ~np.isin(port, _OWN_SERVICES) & named
    batch = batch.filter(pa.array(rows if unanswered else rows & answered))
    count = batch.num_rows
    bits = np.zeros(count, np.uint8)
    if unanswered:
        bits[failed(batch)] = k.IS_FAILED
    nothing = Words(text_keys(pa.array([""]), salt), pa.array([""], pa.string()), np.zeros(count, np.int64))
    host = words_of(batch.column("dst"), salt)
    return Piece(
        words_of(batch.column("terminal"), salt), host, words_of(batch.column("src"), salt), nothing,
        host, np.zeros(count, np.uint16), column(batch, "ts"), np.minimum(column(batch, "bytes_in"), MOST_BYTES),
        np.minimum(column(batch, "bytes_out"), MOST_BYTES), bits, column(batch, "dst_port"),
    )  # fmt: skip


class Named:
    """Keys of the addresses that contacts name, in bounds: beyond ``most`` those of a sample, by the hash that samples
    hosts too, and ``knows`` says of which addresses it would know."""

    def __init__(self, most: int) -> None:
        self.most, self.level = most, 0
        self._keys: list[np.ndarray] = []
        self._held = 0

    def add(self, keys: np.ndarray) -> None:
        self._keys.append(keys)
        self._held += len(keys)
        if self._held > 2 * self.most + (1 << 16):
            self.keys()

    def merge(self, other: Named) -> None:
        self.level = max(self.level, other.level)
        self.add(other.keys())

    def keys(self) -> np.ndarray:
        """All of them, ascending."""
        whole = ascending(np.concatenate([np.empty(0, np.uint64), *self._keys]))
        whole = whole[self.knows(whole)]
        while len(whole) > self.most:
            self.level += 1
            whole = whole[self.knows(whole)]
        self._keys, self._held = [whole], len(whole)
        out: np.ndarray = whole
        return out

    def knows(self, keys: np.ndarray) -> np.ndarray:
        if not self.level:
            return np.ones(len(keys), np.bool_)
        kept: np.ndarray = mix64_array(keys, _SAMPLE) >> np.uint64(64 - self.level) == 0
        return kept

    def to_bytes(self) -> bytes:
        keys = self.keys()
        return pack(_KIND, _VERSION, {"keys": keys}, {"level": self.level, "most": self.most})

    @classmethod
    def from_bytes(cls, data: bytes) -> Named:
        arrays, scalars = unpack(_KIND, _VERSION, data)
        if "keys" not in arrays or not {"level", "most"} <= set(scalars) or not 0 <= scalars["level"] < 64:
            raise StateError(f"damaged {_KIND}")
        self = cls(scalars["most"])
        self.level = scalars["level"]
        self.add(arrays["keys"])
        return self
