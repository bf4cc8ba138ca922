"""The tables of a span: sightings by source, port and episode, and the set of ports of each source.

An episode ends with six hours of silence or more. Times are exact to the millisecond.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.detect.darknet.sightings.kernel import DAY_MS, LATEST, QUARTER_MS, QUARTERS, SOURCE_SHIFT
from andon.detect.darknet.sightings.summary import Sightings
from andon.records.packet import PROTO_UDP
from andon.records.sighting import SIGHTING
from andon.sketch.hashing import mix64_array

_MILLION = 1_000_000
_TOOL_CONFIDENCE = 0.5
MOST_PORTS = 16  # of a set; a source of more ports is told by none of them
_FIELDS: list[pa.Field[Any]] = [
    pa.field("src", pa.uint32(), nullable=False),
    pa.field("ports", pa.string(), nullable=False),  # "23,2323,udp/53"
    pa.field("family", pa.int64(), nullable=False),  # of darknet.portsets; 0: the source's own set
]
PORT_SETS: Final = pa.schema(_FIELDS)


class Rows:
    """Episodes as arrays in order of (source, first, what, mark): ``src``, ``first`` and ``last`` (ms of the span's
    day), ``packets``, ``what`` (protocol << 16 | port), ``mark``."""

    def __init__(self, summary: Sightings) -> None:
        keys, columns = summary.rows.table()
        times = columns["times"].astype(np.int64)
        held = times[:, ::2] < LATEST
        first, last = times[:, ::2], LATEST - times[:, 1::2]
        begins = held.copy()
        latest = np.where(held, last, -(QUARTER_MS + 1))
        for quarter in range(1, QUARTERS):
            before = np.max(latest[:, :quarter], axis=1, initial=-(QUARTER_MS + 1))
            begins[:, quarter] &= first[:, quarter] - before >= QUARTER_MS
        episode = np.cumsum(begins, axis=1) - 1
        row, place = np.nonzero(held)
        group = row * QUARTERS + episode[row, place]
        _, start = np.unique(group, return_index=True)
        src = (keys >> np.uint64(SOURCE_SHIFT)).astype(np.uint32)
        packets = columns["packets"].astype(np.int64)[row, place]
        at = row[start]
        made: dict[str, np.ndarray] = {
            "src": src[at],
            "first": first[row, place][start],
            "last": np.maximum.reduceat(last[row, place], start) if len(start) else start,
            "packets": np.add.reduceat(packets, start) if len(start) else start,
            "what": columns["what"][at],
            "mark": columns["mark"][at],
        }
        order = np.lexsort((made["mark"], made["what"], made["first"], made["src"]))
        self.src, self.first, self.last = (made[name][order] for name in ("src", "first", "last"))
        self.packets, self.what, self.mark = (made[name][order] for name in ("packets", "what", "mark"))


class Fingerprints:
    """Fingerprints of sources, as rows (``src`` ascending, ``code`` into ``texts``, ``packets``), the surest of each
    source first: relations found in the span by the packets that show them, else the tool that its packets tell."""

    def __init__(self, relations: pa.Table | None, tools: pa.Table | None) -> None:
        self.texts: list[str] = []
        none = np.zeros(0, np.int64)
        shown = self._rows(relations, "relation") or (none, none, none)
        told = (none, none, none)
        if tools is not None and tools.num_rows:
            sure = pa.array(tools["confidence"].to_numpy() >= _TOOL_CONFIDENCE)
            told = self._rows(tools.filter(sure), "tool") or told
        others = ~np.isin(told[0], shown[0])  # a relation says more than the name of a tool
        src, code, packets = (np.concatenate([a, b[others]]) for a, b in zip(shown, told, strict=True))
        order = np.lexsort((-packets, code, src))
        src, code, packets = src[order], code[order], packets[order]
        keep = _first_of(src << 32 | code)
        src, code, packets = src[keep], code[keep], packets[keep]
        rank = np.argsort(np.argsort(np.array(self.texts, dtype=object), kind="stable"), kind="stable")
        order = np.lexsort((rank[code], -packets, src)) if len(src) else np.zeros(0, np.int64)
        self.src, self.code, self.packets = src[order], code[order], packets[order]
        self.surest = _first_of(self.src)

    def _rows(self, table: pa.Table | None, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        if table is None or not table.num_rows:
            return None
        encoded = pc.dictionary_encode(table[name].combine_chunks())
        code = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64) + len(self.texts)
        self.texts += encoded.dictionary.to_pylist()
        return table["src"].to_numpy().astype(np.int64), code, table["packets"].to_numpy().astype(np.int64)


def _first_of(values: np.ndarray) -> np.ndarray:
    """Where each run of equal values begins."""
    return np.flatnonzero(np.r_[True, values[1:] != values[:-1]]) if len(values) else np.zeros(0, np.int64)


def sightings_table(rows: Rows, names: dict[int, str], known: Fingerprints, start: int) -> pa.Table:
    """Schema SIGHTING. ``known`` fills in what was not given; a further fingerprint of the same source is a row of its
    own with port 0, since on which ports it was is not known. ``start`` is the start of the span in ns."""
    base = start // (DAY_MS * _MILLION) * DAY_MS
    marks, code = np.unique(rows.mark, return_inverse=True)
    texts = [names.get(mark, "") for mark in marks.tolist()]
    nameless = np.array([text == "" for text in texts] or [True])
    surest = known.src[known.surest]
    if len(surest) and len(code):
        at = np.minimum(np.searchsorted(surest, rows.src), len(surest) - 1)
        fill = nameless[code] & (surest[at] == rows.src)
        code = np.where(fill, known.code[known.surest][at] + len(texts), code)
    further = np.setdiff1d(np.arange(len(known.src)), known.surest)
    low, high = (np.searchsorted(rows.src, known.src[further], side) for side in ("left", "right"))
    further, low, high = further[high > low], low[high > low], high[high > low]
    extra = {
        "first": np.array([int(rows.first[a:b].min()) for a, b in zip(low, high, strict=True)], np.int64),
        "last": np.array([int(rows.last[a:b].max()) for a, b in zip(low, high, strict=True)], np.int64),
        "src": known.src[further].astype(np.uint32),
        "packets": known.packets[further],
    }
    what = np.concatenate([rows.what, np.zeros(len(further), np.uint32)])
    column = {name: np.concatenate([getattr(rows, name), extra[name]]) for name in extra}
    every = pa.DictionaryArray.from_arrays(
        pa.array(np.concatenate([code, known.code[further] + len(texts)]).astype(np.int32)),
        pa.array([*texts, *known.texts, ""], pa.string()),
    )
    return pa.table(
        [
            pa.array((column["first"] + base) * _MILLION).cast(SIGHTING.field("first").type),
            pa.array((column["last"] + base) * _MILLION).cast(SIGHTING.field("last").type),
            pa.array(column["src"], pa.uint32()),
            pa.array((what & np.uint32(0xFFFF)).astype(np.uint16)),
            pa.array((what >> np.uint32(16)).astype(np.uint8)),
            every.cast(pa.string()),
            pa.array(column["packets"].astype(np.int64)),
        ],
        schema=SIGHTING,
    )


def port_sets(rows: Rows, families: pa.Table | None) -> pa.Table:
    """The set of ports of each source: of its port-set family where it has one, else its own ports if there are at
    most 16."""
    code = np.where(rows.what >> np.uint32(16) == PROTO_UDP, np.uint32(1 << 16), np.uint32(0)) | (
        rows.what & np.uint32(0xFFFF)
    )
    asked = code & np.uint32(0xFFFF) > 0
    pair = np.unique(rows.src[asked].astype(np.uint64) << np.uint64(17) | code[asked].astype(np.uint64))
    src, code = (pair >> np.uint64(17)).astype(np.int64), pair & np.uint64(0x1FFFF)
    members, begin, size = np.unique(src, return_index=True, return_counts=True)
    # Equal sets have equal sums of hashes, so each set is written once.
    sums = np.add.reduceat(mix64_array(code, np.uint64(1)), begin) if len(begin) else np.zeros(0, np.uint64)
    few = np.flatnonzero(size <= MOST_PORTS)
    _, first, which = np.unique(sums[few], return_index=True, return_inverse=True)
    texts = [
        ",".join(_port(c) for c in code[a : a + n].tolist())
        for a, n in zip(begin[few][first].tolist(), size[few][first].tolist(), strict=True)
    ]
    owner, number, family = members[few], which, np.zeros(len(few), np.int64)
    if families is not None and families.num_rows:
        told, of, sets = _families(families)
        there = np.isin(told, members)
        told, of, sets_of = told[there], of[there], sets.indices.to_numpy()[there] + len(texts)
        texts += sets.dictionary.to_pylist()
        own = ~np.isin(owner, told)
        owner = np.concatenate([owner[own], told])
        number, family = np.concatenate([number[own], sets_of]), np.concatenate([family[own], of])
    order = np.argsort(owner, kind="stable")
    every = pa.DictionaryArray.from_arrays(
        pa.array(number[order].astype(np.int32)), pa.array(texts, pa.string())
    )
    return pa.table(
        [
            pa.array(owner[order].astype(np.uint32)),
            every.cast(pa.string()),
            pa.array(family[order].astype(np.int64)),
        ],
        schema=PORT_SETS,
    )


def _families(table: pa.Table) -> tuple[np.ndarray, np.ndarray, Any]:
    """(source, family, set of ports) with the family that each source most likely belongs to."""
    src, family = table["src"].to_numpy().astype(np.int64), table["family"].to_numpy()
    order = np.lexsort((family, -table["posterior"].to_numpy(), src))
    order = order[_first_of(src[order])]
    ports = pc.dictionary_encode(table["ports"].combine_chunks()).take(pa.array(order))
    return src[order], family[order], ports


def _port(code: int) -> str:
    return f"udp/{code - 65536}" if code >= 65536 else str(code)
