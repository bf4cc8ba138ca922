"""Places of fields to flows: what a text log of connections says, by a mapping (``mapping``)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numba import njit

from andon.observe.jsonlines.kernel import ABSENT, ESCAPED, TEXT
from andon.observe.logs import encode
from andon.observe.logs.clock import NO_TIME, clock
from andon.observe.logs.contacts import (
    NO_ADDRESS,
    NO_NUMBER,
    NO_TIME_HERE,
    Cut,
)
from andon.observe.logs.parts import client, cut_text, duration, is_address, number
from andon.observe.logs.scan import GOOD, unescape

SLOTS: Final = (
    "time", "time2", "elapsed", "src", "dst", "src_port", "dst_port", "protocol", "service", "state", "bytes_out",
    "bytes_in", "packets_out", "packets_in",
)  # fmt: skip
(_TIME, _TIME2, _ELAPSED, _SRC, _DST, _SRC_PORT, _DST_PORT, _PROTOCOL, _SERVICE, _STATE, _OUT, _IN, _SENT, _GOT) = (
    range(len(SLOTS))
)  # fmt: skip
_PROTOCOLS: Final = {"1": "icmp", "6": "tcp", "17": "udp", "58": "ipv6-icmp", "icmp6": "ipv6-icmp"}


@njit(cache=True, nogil=True)
def interpret(
    data: np.ndarray,
    begins: np.ndarray,
    ends: np.ndarray,
    kinds: np.ndarray,
    states: np.ndarray,
    first_clock: np.ndarray,
    second_clock: np.ndarray,
    unit: int,
    at_end: bool,
    written: np.ndarray,
    out: np.ndarray,
    places: np.ndarray,
    sorts: np.ndarray,
    made: int,
) -> int:
    """As ``contacts.interpret``, for flows: ``out`` is times, durations, ports, bytes and packets."""
    b, e = np.zeros(kinds.shape[1], np.int64), np.zeros(kinds.shape[1], np.int64)
    for row in range(begins.shape[0]):
        if states[row] != GOOD:
            continue
        k = kinds[row]
        for slot in range(kinds.shape[1]):
            if k[slot] != ABSENT:
                b[slot], e[slot] = begins[row, slot], ends[row, slot]
                while e[slot] > b[slot] and data[e[slot] - 1] == 0x20:
                    e[slot] -= 1
                while e[slot] > b[slot] and data[b[slot]] == 0x20:
                    b[slot] += 1
                size = e[slot] - b[slot]
                if size == 0 or (size == 1 and data[b[slot]] == 0x2D):
                    k[slot] = ABSENT
                elif k[slot] == ESCAPED:
                    e[slot] = unescape(data, b[slot], e[slot], written[slot])
                    k[slot] = TEXT
        good, took = True, np.int64(-1)
        if k[_ELAPSED] != ABSENT:
            good, took = duration(data, b[_ELAPSED], e[_ELAPSED], unit, unit)
        for n in range(6):
            slot = (_SRC_PORT, _DST_PORT, _OUT, _IN, _SENT, _GOT)[n]
            value = np.int64(-1)
            if k[slot] != ABSENT:
                fits, value = number(data, b[slot], e[slot])
                if not fits:
                    good = good and n < 2  # ICMP has "8.0" for a port
                if n < 2 and value > 65_535:
                    value = np.int64(-1)
            out[2 + n, made] = value
        if not good:
            states[row] = NO_NUMBER
            continue
        ts = np.int64(NO_TIME)
        if k[_TIME] != ABSENT:
            ts = clock(data, b[_TIME], e[_TIME], first_clock)
        if k[_TIME2] != ABSENT and ts != NO_TIME:
            more = clock(data, b[_TIME2], e[_TIME2], second_clock)
            ts = np.int64(NO_TIME) if more == NO_TIME else ts + more
        if ts == NO_TIME:
            states[row] = NO_TIME_HERE
            continue
        if at_end and took > 0:
            ts -= took
        ends_known = k[_SRC] != ABSENT and k[_DST] != ABSENT
        for slot in (_SRC, _DST):
            if ends_known:
                b[slot], e[slot] = client(data, b[slot], e[slot])
                ends_known = is_address(data, b[slot], e[slot])
        if not ends_known:
            states[row] = NO_ADDRESS
            continue
        for slot in range(kinds.shape[1]):
            end = cut_text(data, b[slot], e[slot], 255) if k[slot] != ABSENT else e[slot]
            places[slot, made, 0], places[slot, made, 1], sorts[slot, made, 0] = b[slot], end, k[slot]
        out[0, made], out[1, made] = ts, took
        made += 1
    return made


@dataclass
class Flows:
    """How a log's fields become flows; see ``contacts.Contacts``."""

    source: str
    has: frozenset[str]
    clocks: tuple[np.ndarray, np.ndarray]
    written: np.ndarray
    unit: int = 1_000_000_000
    at_end: bool = False
    protocols: dict[str, str] = field(default_factory=lambda: dict(_PROTOCOLS))

    def batch(
        self, data: np.ndarray, lines: np.ndarray, stops: np.ndarray, states: np.ndarray, cut: Cut
    ) -> tuple[str, pa.RecordBatch] | None:
        """Flows of the lines whose state is good, None if there is none."""
        rows, shape = len(states), (len(states), len(SLOTS))
        begins, ends, kinds = np.empty(shape, np.int32), np.empty(shape, np.int32), np.zeros(shape, np.uint8)
        cut(data, lines, stops, states, begins, ends, kinds)
        numbers = np.empty((8, rows), np.int64)
        places = np.empty((len(SLOTS), rows, 2), np.int32)
        sorts = np.empty((len(SLOTS), rows, 2), np.uint8)
        made = interpret(
            data, begins, ends, kinds, states, *self.clocks, self.unit, self.at_end, self.written, numbers, places,
            sorts, 0,
        )  # fmt: skip
        if not made:
            return None

        def word(slot: int) -> pa.DictionaryArray:
            return encode.words((data, places[slot, :made, 0], places[slot, :made, 1], sorts[slot, :made, 0]))

        numbers = numbers[:, :made]
        source = word(_SRC)
        protocol = encode.lowered(word(_PROTOCOL))
        named = [self.protocols.get(name, name) for name in protocol.dictionary.to_pylist()]
        columns: dict[str, Any] = {
            "ts": numbers[0],
            "duration": numbers[1],
            "terminal": source,
            "src": source,
            "dst": word(_DST),
            "src_port": numbers[2],
            "dst_port": numbers[3],
            "protocol": joined(protocol, named),
            "service": word(_SERVICE),
            "state": word(_STATE),
            "bytes_out": numbers[4],
            "bytes_in": numbers[5],
            "packets_out": numbers[6],
            "packets_in": numbers[7],
        }
        if self.has & {"packets_in", "bytes_in"}:
            back = np.maximum(numbers[7], numbers[5])
            columns["answered"] = pa.array(back > 0, pa.bool_(), mask=back < 0)
        return encode.flows(made, self.source, columns)


def joined(column: pa.DictionaryArray, named: list[str]) -> pa.DictionaryArray:
    """The column with other texts in its dictionary, of which some may have become the same."""
    if len(set(named)) == len(named):
        return pa.DictionaryArray.from_arrays(column.indices, pa.array(named, pa.string()))
    renamed = pa.DictionaryArray.from_arrays(column.indices, pa.array(named, pa.string()))
    return renamed.cast(pa.string()).dictionary_encode()
