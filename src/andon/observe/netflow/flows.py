"""Records of one template as a batch of flows: times, counters, ends, flags.

Times come in six forms. Those that count milliseconds since the exporter started (NetFlow 5 and 9) are set against its
uptime and clock in the head of the packet; the difference is taken modulo 2^32 and with a sign, so an uptime that has
wrapped (every 49.7 days) between the flow and the packet costs nothing. Counters of sampled packets are multiplied by
the sampling interval.
"""

from __future__ import annotations

import itertools
import socket
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.observe.logs.encode import constant, flows, one_of
from andon.observe.netflow import elements as E
from andon.observe.netflow.templates import Template
from andon.observe.netflow.walk import walk

_COLUMN: Final = E.COLUMNS
_ADDRESSES: Final = (E.SRC4, E.DST4, E.SRC6, E.DST6)
_SLOTS: Final = np.full(len(_COLUMN), -1, np.int64)
for _slot, _element in enumerate(_ADDRESSES):
    _SLOTS[_COLUMN[(0, _element)]] = _slot
_LARGEST: Final = np.int64(np.iinfo(np.int64).max)
_ROWS: Final = 65_536
_NTP: Final = 2_208_988_800  # s from 1900 to 1970
_MS, _US = 1_000_000, 1_000
_LETTERS: Final = (
    (0x02, "S"),
    (0x10, "A"),
    (0x01, "F"),
    (0x04, "R"),
    (0x08, "P"),
    (0x20, "U"),
    (0x40, "E"),
    (0x80, "C"),
)
_NAMES: Final = {1: "icmp", 6: "tcp", 17: "udp", 58: "ipv6-icmp"}
_CREATED, _DENIED, _UPDATED = 1, 3, 5  # firewallEvent


@dataclass
class Heads:
    """What the heads of packets say, one value a packet. ``time``: ns since 1970 of the export; ``uptime``: ms, -1
    where there is none; ``boot``: ms since 1970 from options, -1 unknown; ``rate``: sampling of all, 0 unknown;
    ``rates``: sampling by selector."""

    time: np.ndarray
    uptime: np.ndarray
    boot: np.ndarray
    rate: np.ndarray
    rates: list[dict[int, int]]


@dataclass
class Made:
    """``aside``: records that are none of flows, by what they are; ``cut``: sets that ended inside a record."""

    batch: pa.RecordBatch | None
    records: int
    aside: dict[str, int]
    cut: int
    sampled: int = 0


def decode(
    template: Template, sets: list[bytes], packets: np.ndarray, heads: Heads, source: str
) -> list[Made]:
    """Flows of the sets of one template; ``packets``: of each set, its place in ``heads``. A few records at a time,
    since what they take here is many times what they take in a packet of someone who wants that."""
    room = np.cumsum([len(one) // template.least for one in sets]) // _ROWS
    edges = [0, *(np.flatnonzero(np.diff(room)) + 1).tolist(), len(sets)]
    return [
        _decode(template, sets[first:last], packets[first:last], heads, source)
        for first, last in itertools.pairwise(edges)
    ]


def _decode(template: Template, sets: list[bytes], packets: np.ndarray, heads: Heads, source: str) -> Made:
    data = np.frombuffer(b"".join(sets), np.uint8)
    stops = np.cumsum([len(one) for one in sets]).astype(np.int64)
    starts = np.concatenate([[0], stops[:-1]]).astype(np.int64)
    most = int(sum(len(one) // template.least for one in sets))
    numbers = np.full((most, len(_COLUMN)), -1, np.int64)
    addresses = np.zeros((most, 4, 16), np.uint8)
    of_set = np.empty(most, np.int64)
    rows, cut = walk(
        data, starts, stops, template.lengths, template.columns, template.least, numbers, addresses, of_set,
        _SLOTS,
    )  # fmt: skip
    made = _Records(numbers[:rows], addresses[:rows], packets[of_set[:rows]], heads)
    batch, aside, sampled = made.batch(source)
    return Made(batch, rows, aside, cut, sampled)


class _Records:
    def __init__(self, numbers: np.ndarray, addresses: np.ndarray, packet: np.ndarray, heads: Heads) -> None:
        self.numbers, self.addresses, self.packet, self.heads = numbers, addresses, packet, heads

    def of(self, element: int, reverse: bool = False) -> np.ndarray:
        """int64; -1 where the record has no such field."""
        return self.numbers[:, _COLUMN[(E.REVERSE if reverse else 0, element)]]

    def batch(self, source: str) -> tuple[pa.RecordBatch | None, dict[str, int], int]:
        aside: dict[str, int] = {}
        six = (self.of(E.SRC6) == 16) & (self.of(E.DST6) == 16)
        four = (self.of(E.SRC4) == 4) & (self.of(E.DST4) == 4)
        # Records that have room for both leave one empty.
        blank = ~self.addresses[:, :2, :4].any(axis=(1, 2))
        four &= ~(six & blank)
        event = self.of(E.EVENT)
        halfway = (event == _CREATED) | (event == _UPDATED)
        keep = (four | six) & ~halfway
        aside["records that have no addresses"] = int((~(four | six)).sum())
        aside["records of flows that are reported again at their end"] = int(((four | six) & halfway).sum())
        aside = {what: count for what, count in aside.items() if count}
        if not keep.all():
            self.numbers, self.addresses = self.numbers[keep], self.addresses[keep]
            self.packet, four = self.packet[keep], four[keep]
        if not len(self.numbers):
            return None, aside, 0
        return self._flows(four, source, aside)

    def _flows(
        self, four: np.ndarray, source: str, aside: dict[str, int]
    ) -> tuple[pa.RecordBatch | None, dict[str, int], int]:
        rows = len(self.numbers)
        begin, duration = self._times()
        rate = self._rate()
        counters = self._counters(rate)
        protocol = self.of(E.PROTOCOL)
        tcp = protocol == 6
        flags = np.where(tcp & (self.of(E.FLAGS) >= 0), self.of(E.FLAGS) & 0xFF, 0)
        event = self.of(E.EVENT)
        states = np.where(event == _DENIED, 256, flags)
        back = counters["packets_in"]
        bytes_back = counters["bytes_in"]
        known = (back >= 0) | (bytes_back >= 0) | (event == _DENIED)
        answered = ((back > 0) | (bytes_back > 0)) & (event != _DENIED)
        portless = (protocol == 1) | (protocol == 58) | (self.of(E.SRC_PORT) < 0)
        ports = [np.where(portless, -1, np.minimum(self.of(e), 65_535)) for e in (E.SRC_PORT, E.DST_PORT)]
        ends = [_texts(self.addresses, four, side) for side in (0, 1)]
        turned = self.of(E.BIFLOW) == 2  # the record is of who was asked
        if turned.any():
            both = pa.array(turned)
            src, dst = (end.cast(pa.string()) for end in ends)
            ends = [pc.if_else(both, b, a).dictionary_encode() for a, b in ((src, dst), (dst, src))]
            ports = [np.where(turned, b, a) for a, b in (ports, ports[::-1])]
            for out, back_name in (("bytes_out", "bytes_in"), ("packets_out", "packets_in")):
                counters[out], counters[back_name] = (
                    np.where(turned, b, a)
                    for a, b in ((counters[out], counters[back_name]), (counters[back_name], counters[out]))
                )
            other = (counters["packets_in"] > 0) | (counters["bytes_in"] > 0)
            counted = (counters["packets_in"] >= 0) | (counters["bytes_in"] >= 0)
            known, answered = np.where(turned, counted, known), np.where(turned, other, answered)
        _, batch = flows(
            rows,
            source,
            {
                "ts": begin,
                "duration": duration,
                "terminal": ends[0],
                "src": ends[0],
                "dst": ends[1],
                "src_port": ports[0],
                "dst_port": ports[1],
                "protocol": one_of(_protocols(), np.where((protocol >= 0) & (protocol < 256), protocol, 256)),
                "service": constant("", rows),
                "state": one_of(_flag_words(), states),
                "answered": pa.array(answered, mask=~known),
                **counters,
            },
        )
        return batch, aside, int((rate > 1).sum())

    def _counters(self, rate: np.ndarray) -> dict[str, np.ndarray]:
        def first(*choices: np.ndarray) -> np.ndarray:
            made = choices[0]
            for other in choices[1:]:
                made = np.where(made == -1, other, made)
            made = np.where(made < -1, _LARGEST, made)
            room = _LARGEST // np.maximum(rate, 1)
            return np.where(made > room, _LARGEST, np.where(made < 0, -1, made * np.maximum(rate, 1)))

        of = self.of
        return {
            "bytes_out": first(of(E.BYTES), of(E.BYTES_TOTAL), of(E.INITIATOR_BYTES), of(E.OUT_BYTES)),
            "packets_out": first(
                of(E.PACKETS), of(E.PACKETS_TOTAL), of(E.INITIATOR_PACKETS), of(E.OUT_PACKETS)
            ),
            "bytes_in": first(of(E.BYTES, True), of(E.BYTES_TOTAL, True), of(E.RESPONDER_BYTES)),
            "packets_in": first(of(E.PACKETS, True), of(E.PACKETS_TOTAL, True), of(E.RESPONDER_PACKETS)),
        }

    def _times(self) -> tuple[np.ndarray, np.ndarray]:
        """(ns of the first packet, ns to the last; -1 unknown)."""
        export, uptime = self.heads.time[self.packet], self.heads.uptime[self.packet]
        boot = np.where(self.of(E.BOOT_MS) > 0, self.of(E.BOOT_MS), self.heads.boot[self.packet])
        unknown = np.full(len(export), -1, np.int64)
        begin, end = unknown.copy(), unknown.copy()
        pairs = (
            (E.START_MS, E.END_MS, self._milli),
            (E.START_US, E.END_US, self._ntp),
            (E.START_NS, E.END_NS, self._ntp),
            (E.START_S, E.END_S, self._second),
            (E.START_UPTIME, E.END_UPTIME, lambda v: self._up(v, export, uptime, boot)),
            (E.START_DELTA_US, E.END_DELTA_US, lambda v: np.where(v >= 0, export - v * _US, -1)),
        )
        for first, last, make in pairs:
            for element, kept in ((first, begin), (last, end)):
                given = self.of(element)
                wanted = (kept == -1) & (given != -1)
                if wanted.any():
                    made = make(given)
                    kept[wanted] = made[wanted]
        length = np.where(self.of(E.DURATION_MS) >= 0, np.minimum(self.of(E.DURATION_MS), 1 << 42) * _MS, -1)
        length = np.where(
            (length < 0) & (self.of(E.DURATION_US) >= 0),
            np.minimum(self.of(E.DURATION_US), 1 << 52) * _US,
            length,
        )
        end = np.where((end == -1) & (self.of(E.SEEN_MS) > 0), self._milli(self.of(E.SEEN_MS)), end)
        end = np.where((end == -1) & (begin == -1), export, end)
        begin = np.where(begin == -1, np.where(length >= 0, end - length, end), begin)
        said = np.where(length >= 0, length, np.where((end != -1) & (end >= begin), end - begin, -1))
        return begin, said

    @staticmethod
    def _milli(value: np.ndarray) -> np.ndarray:
        return np.where((value >= 0) & (value < 1 << 43), value * _MS, -1)

    @staticmethod
    def _second(value: np.ndarray) -> np.ndarray:
        return np.where((value >= 0) & (value < 1 << 33), value * 1_000_000_000, -1)

    @staticmethod
    def _ntp(value: np.ndarray) -> np.ndarray:
        """Seconds since 1900 and a binary fraction (RFC 7011, 6.1.9)."""
        bits = value.view(np.uint64)
        seconds = (bits >> np.uint64(32)).astype(np.int64) - _NTP
        fraction = (
            (bits & np.uint64(0xFFFFFFFF)) * np.uint64(1_000_000_000) + np.uint64(1 << 31)
        ) >> np.uint64(32)
        return np.where(seconds >= 0, seconds * 1_000_000_000 + fraction.astype(np.int64), -1)

    @staticmethod
    def _up(value: np.ndarray, export: np.ndarray, uptime: np.ndarray, boot: np.ndarray) -> np.ndarray:
        before = (((uptime - value) & 0xFFFFFFFF) ^ 0x80000000) - 0x80000000  # ms, with a sign
        by_head = export - before * _MS
        # With the time of the start alone: the last wrap that fits before the export.
        wraps = np.maximum((export // _MS + 1000 - boot - value) >> 32, 0)
        by_boot = (boot + value + (wraps << 32)) * _MS
        return np.where(uptime >= 0, by_head, np.where(boot > 0, by_boot, export))

    def _rate(self) -> np.ndarray:
        """Sampling interval of each record; 1 where nothing is said."""
        rate = self.heads.rate[self.packet]
        own = self.of(E.SAMPLING)
        interval, space = self.of(E.SAMPLE_INTERVAL), np.maximum(self.of(E.SAMPLE_SPACE), 0)
        own = np.where((own < 1) & (interval > 0), (interval + space) // np.maximum(interval, 1), own)
        which = np.where(self.of(E.SAMPLER) >= 0, self.of(E.SAMPLER), self.of(E.SELECTOR))
        if (which >= 0).any():
            for packet in np.unique(self.packet[which >= 0]).tolist():
                here = self.packet == packet
                rate = np.where(here & (which == 0), max(self.heads.rates[packet].get(-1, 0), 1), rate)
                for selector, said in self.heads.rates[packet].items():
                    rate = np.where(here & (which == selector), said, rate)
        return np.clip(np.where(own > 0, own, rate), 1, 1 << 31)


def _texts(addresses: np.ndarray, four: np.ndarray, side: int) -> pa.DictionaryArray:
    """Addresses as text: 4 bytes of slot ``side`` or 16 of slot ``side + 2``."""
    raw = np.where(four[:, None], addresses[:, side], addresses[:, side + 2])
    raw[four, 4:] = 0
    keyed = np.zeros((len(raw), 17), np.uint8)
    keyed[:, :16], keyed[:, 16] = raw, four
    held = pa.Array.from_buffers(pa.binary(17), len(raw), [None, pa.py_buffer(keyed.tobytes())])
    codes = held.dictionary_encode()
    words = [
        socket.inet_ntop(socket.AF_INET, one[:4]) if one[16] else socket.inet_ntop(socket.AF_INET6, one[:16])
        for one in codes.dictionary.to_pylist()
    ]
    return pa.DictionaryArray.from_arrays(codes.indices, pa.array(words, pa.string()))


@lru_cache(maxsize=1)
def _protocols() -> list[str]:
    return [*(_NAMES.get(number, str(number)) for number in range(256)), ""]


@lru_cache(maxsize=1)
def _flag_words() -> list[str]:
    words = ["".join(letter for bit, letter in _LETTERS if flags & bit) for flags in range(256)]
    return [*words, "denied"]


def counters_of(record: dict[tuple[int, int], bytes]) -> dict[str, Any]:
    """What a record of options says of sampling: {"rate", "selector"}, and "boot" (ms)."""

    def number(element: int) -> int:
        return int.from_bytes(record.get((0, element), b"")[-8:], "big")

    said: dict[str, Any] = {}
    rate = number(E.SAMPLING) or number(E.RANDOM_INTERVAL)
    if not rate and number(E.SAMPLE_INTERVAL):
        rate = (number(E.SAMPLE_INTERVAL) + number(E.SAMPLE_SPACE)) // number(E.SAMPLE_INTERVAL)
    if not rate and number(E.SAMPLE_SIZE):
        rate = number(E.SAMPLE_POPULATION) // number(E.SAMPLE_SIZE)
    if rate:
        said["rate"] = min(rate, 1 << 31)
        key = next((e for e in (E.SAMPLER, E.SELECTOR) if (0, e) in record), None)
        said["selector"] = -1 if key is None else number(key)
    if number(E.BOOT_MS):
        said["boot"] = min(number(E.BOOT_MS), 1 << 43)
    return said


def count_records(template: Template, body: bytes) -> int:
    """How many records a set has whose fields say their lengths themselves."""
    nothing = np.empty((0, len(_COLUMN)), np.int64)
    found, _ = walk(
        np.frombuffer(body, np.uint8), np.zeros(1, np.int64), np.array([len(body)], np.int64), template.lengths,
        template.columns, template.least, nothing, np.empty((0, 4, 16), np.uint8), np.empty(0, np.int64), _SLOTS,
    )  # fmt: skip
    return int(found)
