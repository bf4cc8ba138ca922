"""A day of flows by terminal, service, direction and hour; how many others each hour's flows went to; bytes by
destination outside."""

from __future__ import annotations

import struct
from typing import Final, Self

import numpy as np
import pyarrow as pa

from andon.detect.livenet.flowbaseline.grouped import Grouped
from andon.detect.livenet.flowbaseline.names import Names
from andon.detect.livenet.flowbaseline.places import Inside, nowhere
from andon.detect.livenet.flowbaseline.services import name_keys, services
from andon.detect.livenet.flowbaseline.tries import Tries
from andon.records.flow import failed
from andon.sketch.hashing import mix64_array
from andon.sketch.state import StateError, join, split
from andon.sketch.texts import text_keys

OUT, WITHIN, IN = 0, 1, 2  # direction, from the organisation's side
FAN: Final = 64  # distinct others that are kept of a row; beyond, their number is estimated
_HOUR: Final = 3_600_000_000_000
_PROBED: Final = np.uint64(0x5CA_11ED)  # the row that counts who was probed in vain
_ROWS = {"owner": "same", "series": "same", "service": "same", "place": "same"}
_ROWS |= {"flows": "sum", "out": "sum", "in": "sum", "failed": "sum"}
_FANS = {"owner": "same", "row": "same", "item": "same"}
_SENT = {"owner": "same", "dst": "same", "out": "sum", "in": "sum", "flows": "sum"}
_WHO = {"owner": "same", "peer": "least", "flows": "sum", "first": "least", "last": "most"}
_UNBOUNDED: Final = 1 << 62


def mixed(*parts: np.ndarray) -> np.ndarray:
    """One uint64 key of several, their order counting."""
    made: np.ndarray = mix64_array(parts[0], np.uint64(0x51ED))
    for part in parts[1:]:
        made = mix64_array(made ^ part, np.uint64(0x51ED))
    return made


def series_keys(owner: np.ndarray, service: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Key of a terminal's use of a service in a direction."""
    return mixed(owner, service, direction.astype(np.uint64))


def _named(names: Names, keys: np.ndarray, texts: pa.Array, used: np.ndarray) -> None:
    at = np.unique(used)
    names.add(keys[at], texts.take(pa.array(at)))


def _ours(batch: pa.RecordBatch, inside: Inside) -> np.ndarray:
    """Contacts but those of outsiders: a client outside without a name that asks a server inside, or any such client
    if the operator said what is inside."""
    address, server, user = (batch.column(name) for name in ("address", "server", "user"))
    known = inside.is_address(address.dictionary) & ~inside.find(address.dictionary)[0]
    outside = np.append(known, False)[address.indices.to_numpy()]
    named = np.array([text not in ("", "-") for text in user.dictionary.to_pylist()] or [False])
    outside &= ~named[user.indices.to_numpy()]
    if not inside.given:
        outside &= inside.find(server.dictionary)[0][server.indices.to_numpy()]
    made: np.ndarray = ~outside
    return made


class FlowDay:
    """The summary. ``place`` of a row is hour + 24 * direction; row ``_PROBED`` of a terminal and hour has as others
    the (address, port) pairs inside that it asked in vain."""

    def __init__(self, rows: int, salt: int) -> None:
        self.rows = Grouped(_ROWS, rows, salt)
        self.fans = Grouped(
            _FANS, _UNBOUNDED, salt
        )  # `_thin` bounds it: only then are its rows what they stay
        self._most = 8 * rows
        self.sent = Grouped(_SENT, rows, salt)
        self.who = Grouped(_WHO, rows, salt)
        self.tries = Tries(rows // 4, salt)
        self.names = Names()  # of terminals and services
        self.hosts = Names()  # of destinations outside
        self.flows = 0
        self.unplaced = 0  # flows of which neither side is inside

    def add(self, batch: pa.RecordBatch, inside: Inside) -> None:
        """Flows."""
        if not batch.num_rows:
            return
        src, dst = batch.column("src"), batch.column("dst")
        (src_in, src_peer), (dst_in, dst_peer) = inside.find(src.dictionary), inside.find(dst.dictionary)
        src_code, dst_code = src.indices.to_numpy(), dst.indices.to_numpy()
        bad = failed(batch)
        code, names = services(batch, bad)
        self._enter(
            batch,
            (batch.column("terminal"), src, dst),
            (src_in[src_code], dst_in[dst_code]),
            (src_peer[src_code], dst_peer[dst_code]),
            bad,
            (code, names),
            batch.column("dst_port").to_numpy(),
            nowhere(dst.dictionary)[dst_code],
        )

    def add_contacts(self, batch: pa.RecordBatch, inside: Inside) -> None:
        """Contacts as if they were flows: a terminal of ours, a host that is inside if its server's address is, and
        the kind of contact for a service."""
        batch = batch.filter(pa.array(_ours(batch, inside)))
        if not batch.num_rows:
            return
        address, server, host, via = (batch.column(name) for name in ("address", "server", "host", "via"))
        peer = inside.find(address.dictionary)[1][address.indices.to_numpy()]
        near = inside.find(server.dictionary)[0][server.indices.to_numpy()]
        kinds = [f"log {kind}" for kind in via.dictionary.to_pylist()]
        self._enter(
            batch,
            (batch.column("terminal"), host, host),
            (np.ones(batch.num_rows, np.bool_), near),
            (peer, peer),
            batch.column("refused").to_numpy(zero_copy_only=False),
            (via.indices.to_numpy().astype(np.int64), kinds),
            batch.column("port").to_numpy(),
        )

    def _enter(
        self,
        batch: pa.RecordBatch,
        names: tuple[pa.DictionaryArray, pa.DictionaryArray, pa.DictionaryArray],
        places: tuple[np.ndarray, np.ndarray],
        peers: tuple[np.ndarray, np.ndarray],
        bad: np.ndarray,
        services_of: tuple[np.ndarray, list[str]],
        port: np.ndarray,
        nowhere: np.ndarray | None = None,
    ) -> None:
        """``names`` of terminal, source, destination; ``places``, ``peers``: is it inside, who is beside it, of
        source and destination; ``nowhere``: flows to addresses of no host, if attempts in vain are to be kept."""
        terminal, src, dst = names
        from_in, to_in = places
        self.flows += batch.num_rows
        self.unplaced += int((~from_in & ~to_in).sum())
        direction = np.where(from_in, np.where(to_in, WITHIN, OUT), IN)
        ours = from_in | to_in
        # Whose flow it is: who asked, or of what comes from outside who was asked.
        asked = ~from_in
        dst_keys, dst_code = text_keys(dst.dictionary, 1), dst.indices.to_numpy()
        terminal_keys = text_keys(terminal.dictionary, 1)
        owner = np.where(asked, dst_keys[dst_code], terminal_keys[terminal.indices.to_numpy()])
        peer = np.where(asked, peers[1], peers[0])
        other = np.where(asked, text_keys(src.dictionary, 1)[src.indices.to_numpy()], dst_keys[dst_code])
        code, called = services_of
        service_keys = name_keys(called)
        service = service_keys[code]
        # Of a dictionary only what this batch uses: a slice of a batch has the words of the whole.
        _named(self.names, service_keys, pa.array(called, pa.string()), code)
        _named(self.names, terminal_keys, terminal.dictionary, terminal.indices.to_numpy())
        _named(self.names, dst_keys, dst.dictionary, dst_code[to_in])
        _named(self.hosts, dst_keys, dst.dictionary, dst_code[~to_in])
        hour = batch.column("ts").view(pa.int64()).to_numpy() // _HOUR % 24
        out, back = (np.maximum(batch.column(name).to_numpy(), 0) for name in ("bytes_out", "bytes_in"))
        sent, got = np.where(asked, back, out), np.where(asked, out, back)
        series = series_keys(owner, service, direction)
        row = mixed(series, hour.astype(np.uint64))
        every = {
            "owner": owner, "series": series, "service": service, "place": (hour + 24 * direction).astype(np.uint64),
            "flows": np.ones(len(row), np.int64), "out": sent, "in": got, "failed": bad.astype(np.int64),
        }  # fmt: skip
        self.rows.add(row[ours], {name: values[ours] for name, values in every.items()})
        self._fan(owner[ours], row[ours], other[ours])
        probed = np.flatnonzero(bad & from_in & to_in)
        pairs = mixed(other[probed], (port[probed].astype(np.int64) + 2).astype(np.uint64))
        self._probe(owner[probed], hour[probed], pairs)
        away = np.flatnonzero(from_in & ~to_in)
        flows = np.ones(len(away), np.int64)
        edge = self.edge_keys(owner, other)
        if nowhere is not None:
            self.tries.add(batch, owner, other, np.flatnonzero(from_in & ~to_in & bad & ~nowhere), edge)
        self.sent.add(
            edge[away],
            {"owner": owner[away], "dst": other[away], "out": sent[away], "in": got[away], "flows": flows},
        )
        number, ts = np.ones(len(owner), np.int64), batch.column("ts").view(pa.int64()).to_numpy()
        columns = {"owner": owner, "peer": peer, "flows": number, "first": ts, "last": ts}
        self.who.add(owner[ours], {name: values[ours] for name, values in columns.items()})

    @staticmethod
    def edge_keys(owner: np.ndarray, dst: np.ndarray) -> np.ndarray:
        """Key of a terminal and a destination."""
        return mixed(owner, dst)

    def _fan(self, owner: np.ndarray, row: np.ndarray, item: np.ndarray) -> None:
        key = mixed(row, item)
        key, first = np.unique(key, return_index=True)
        self.fans.add(key, {"owner": owner[first], "row": row[first], "item": item[first]})
        if self.fans.size > 2 * self._most:
            self._thin()

    def _probe(self, owner: np.ndarray, hour: np.ndarray, item: np.ndarray) -> None:
        probe = np.full(len(owner), _PROBED)
        row = mixed(owner, probe, hour.astype(np.uint64))
        self._fan(owner, row, item)

    def _thin(self) -> None:
        """Of each row the ``FAN`` lowest hashes stay: a sample of its distinct others, however they came."""
        held = self.fans.columns()
        hashed = mix64_array(held["item"], np.uint64(0xFA))
        order = np.lexsort((hashed, held["row"]))
        row = held["row"][order]
        begin = np.flatnonzero(np.r_[True, row[1:] != row[:-1]]) if len(row) else np.zeros(0, np.int64)
        rank = np.arange(len(row)) - np.repeat(begin, np.diff(np.r_[begin, len(row)]))
        self.fans.keep(np.sort(order[rank < FAN]))
        self.fans.lower(self._most)

    def merge(self, other: Self) -> None:
        for name in ("rows", "fans", "sent", "who"):
            getattr(self, name).merge(getattr(other, name))
        self.tries.merge(other.tries)
        self._thin()
        self.names.merge(other.names)
        self.hosts.merge(other.hosts)
        self.flows += other.flows
        self.unplaced += other.unplaced

    def fan_out(self) -> tuple[np.ndarray, np.ndarray]:
        """(rows, ascending; distinct others of each: exact below ``FAN``, else estimated)."""
        self._thin()
        held = self.fans.columns()
        if not len(held["row"]):
            return np.zeros(0, np.uint64), np.zeros(0, np.int64)
        hashed = mix64_array(held["item"], np.uint64(0xFA))
        row, at, count = np.unique(held["row"], return_inverse=True, return_counts=True)
        top = np.zeros(len(row), np.uint64)
        np.maximum.at(top, at, hashed)
        guess = (FAN - 1) / np.maximum(top.astype(np.float64) / 2.0**64, 1e-12)
        return row, np.where(count < FAN, count, np.round(guess)).astype(np.int64)

    def probed(self, owner: np.ndarray) -> np.ndarray:
        """(terminals, 24) distinct (address, port) pairs inside that each terminal asked in vain."""
        rows, number = self.fan_out()
        made = np.zeros((len(owner), 24), np.int64)
        probe = np.full(len(owner), _PROBED)
        for hour in range(24):
            key = mixed(owner, probe, np.full(len(owner), hour, np.uint64))
            at = np.minimum(np.searchsorted(rows, key), max(len(rows) - 1, 0))
            if len(rows):
                made[:, hour] = np.where(rows[at] == key, number[at], 0)
        return made

    def to_bytes(self) -> bytes:
        self._thin()
        parts = [self.rows.to_bytes(), self.fans.to_bytes(), self.sent.to_bytes(), self.who.to_bytes()]
        parts += [self.names.to_bytes(), self.hosts.to_bytes(), self.tries.to_bytes()]
        parts.append(struct.pack("<qq", self.flows, self.unplaced))
        return b"".join(struct.pack("<Q", len(part)) + part for part in parts)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        parts, at = [], 0
        while at + 8 <= len(data):
            (length,) = struct.unpack_from("<Q", data, at)
            parts.append(data[at + 8 : at + 8 + length])
            at += 8 + length
        if len(parts) != 8 or at != len(data) or len(parts[7]) != 16:
            raise StateError("flows of a day: cut short or of another shape")
        rows = Grouped.from_bytes(parts[0], _ROWS)
        made = cls(rows.limit, int(rows.salt))
        made.rows = rows
        made.fans, made.sent, made.who = (
            Grouped.from_bytes(part, spec)
            for part, spec in zip(parts[1:4], (_FANS, _SENT, _WHO), strict=True)
        )
        made.names, made.hosts = Names.from_bytes(parts[4]), Names.from_bytes(parts[5])
        made.tries = Tries.from_bytes(parts[6], rows.limit // 4)
        made.flows, made.unplaced = struct.unpack("<qq", parts[7])
        return made


class Both:
    """Flows of a day, and contacts of logs beside them, for an organisation that has no flows."""

    def __init__(self, rows: int, salt: int) -> None:
        self.flows, self.contacts = FlowDay(rows, salt), FlowDay(rows, salt)

    @property
    def day(self) -> FlowDay:
        """What is to be judged: flows, where there are any."""
        return self.flows if self.flows.flows else self.contacts

    def merge(self, other: Self) -> None:
        self.flows.merge(other.flows)
        self.contacts.merge(other.contacts)

    def to_bytes(self) -> bytes:
        return join(self.flows.to_bytes(), self.contacts.to_bytes())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        first, second = split(data)
        made = cls.__new__(cls)
        made.flows, made.contacts = FlowDay.from_bytes(first), FlowDay.from_bytes(second)
        return made
