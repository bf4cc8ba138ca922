"""The ground truth: what was sent, as two tables that do not depend on any detector.

``truth``: one row per (source, family). ``packets`` are the family's own packets from that source, all of which
satisfy ``expression`` where it is not empty; ``foreign`` are all other packets with that source address. So the
packets of all rows sum to the capture. ``ports`` are the ports it is set to probe over the whole capture (for
backscatter the attacked services). ``nat_group`` is -1 unless several hosts of the family share the address, of
which ``hosts`` says how many. ``stack`` names the tool or operating system that formed the first packets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from . import session as s
from .builder import Event, Group
from .population import Population

_TIME: Final = pa.timestamp("ns", tz="UTC")
TRUTH_SCHEMA: Final = pa.schema(
    [
        ("src", pa.uint32()),
        ("family", pa.string()),
        ("kind", pa.string()),
        ("purpose", pa.string()),
        ("expression", pa.string()),
        ("packets", pa.int64()),
        ("foreign", pa.int64()),
        ("first", _TIME),
        ("last", _TIME),
        ("ports", pa.list_(pa.uint16())),
        ("hosts", pa.uint8()),
        ("nat_group", pa.int32()),
        ("organisation", pa.string()),
        ("stack", pa.string()),
    ]
)
EVENT_SCHEMA: Final = pa.schema(
    [
        ("ts", _TIME),
        ("family", pa.string()),
        ("event", pa.string()),
        ("src", pa.uint32()),
        ("dst", pa.uint32()),
        ("detail", pa.string()),
    ]
)


class Spoofed:
    """Made-up sources of floods, counted while packets are written: one truth row each."""

    def __init__(self) -> None:
        self._parts: list[np.ndarray] = []

    def add(self, truth: np.ndarray, src: np.ndarray, ts: np.ndarray) -> None:
        """Packets of spoofed sessions: truth row of the session, source, time."""
        part = np.empty(len(src), [("truth", np.int32), ("src", np.uint32), ("ts", np.int64)])
        part["truth"], part["src"], part["ts"] = truth, src, ts
        self._parts.append(part)

    def rows(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(truth row, source, packets, first, last), one entry per source and flood."""
        part = (
            np.concatenate(self._parts)
            if self._parts
            else np.zeros(0, [("truth", "i4"), ("src", "u4"), ("ts", "i8")])
        )
        key = part["truth"].astype(np.uint64) << np.uint64(32) | part["src"].astype(np.uint64)
        order = np.argsort(key, kind="stable")
        key, ts = key[order], part["ts"][order]
        begin = np.flatnonzero(np.r_[True, key[1:] != key[:-1]]) if len(key) else np.zeros(0, np.int64)
        stop = np.r_[begin[1:], len(key)] if len(key) else begin
        head = key[begin]
        return (
            (head >> np.uint64(32)).astype(np.int64),
            head.astype(np.uint32),
            (stop - begin).astype(np.int64),
            ts[begin],
            ts[stop - 1] if len(key) else begin,
        )


def truth_table(population: Population, planned: np.ndarray, spoofed: Spoofed) -> pa.Table:
    """The truth after all packets are sent; ``planned`` are the sessions' packets before."""
    sessions = population.sessions
    source, group, hosts = population.truth.columns()
    sent = planned - sessions["n"]
    own = sessions["src_mode"] == s.OWN_ADDRESS
    place = sessions["truth"].astype(np.int64)
    packets = np.bincount(place[own], sent[own], minlength=len(source)).astype(np.int64)
    first = np.full(len(source), np.iinfo(np.int64).max)
    last = np.zeros(len(source), np.int64)
    alive = own & (sent > 0)
    np.minimum.at(first, place[alive], sessions["first"][alive])
    np.maximum.at(last, place[alive], sessions["last"][alive])
    kept = np.flatnonzero(packets)
    row, src, count, begin, end = spoofed.rows()
    where = np.concatenate([kept, row])
    src = np.concatenate([source[kept], src])
    packets = np.concatenate([packets[kept], count])
    _, same = np.unique(src, return_inverse=True)
    total = np.bincount(same, packets).astype(np.int64)[same]
    ports, offsets = _ports_of(population, len(source))
    sizes = np.diff(offsets)[where]
    starts = np.repeat(offsets[:-1][where], sizes)
    steps = np.arange(len(starts)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    lists = pa.ListArray.from_arrays(
        pa.array(np.r_[0, np.cumsum(sizes)].astype(np.int32)), pa.array(ports[starts + steps])
    )
    groups = list(population.truth.groups)
    text = {name: _texts(groups, group[where], name) for name in Group._fields}
    return pa.table(
        {
            "src": src,
            "family": text["family"],
            "kind": text["kind"],
            "purpose": text["purpose"],
            "expression": text["expression"],
            "packets": packets,
            "foreign": total - packets,
            "first": pa.array(np.concatenate([first[kept], begin]), _TIME),
            "last": pa.array(np.concatenate([last[kept], end]), _TIME),
            "ports": lists,
            "hosts": hosts[where],
            "nat_group": np.where(hosts[where] > 1, where, -1).astype(np.int32),
            "organisation": text["organisation"],
            "stack": text["stack"],
        },
        TRUTH_SCHEMA,
    )


def _texts(groups: Sequence[Group], which: np.ndarray, name: str) -> pa.Array:
    values = pa.array([getattr(g, name) for g in groups], pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(which), values).cast(pa.string())


def _ports_of(population: Population, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Sorted ports of every truth row, one after the other, and where each row's begin."""
    sessions = population.sessions
    listed = sessions[
        (sessions["kind"] == s.TCP) | (sessions["kind"] == s.UDP) | (sessions["kind"] == s.ICMP_ERROR)
    ]
    spans = np.unique(
        np.stack([listed["truth"], listed["ports_off"], listed["ports_len"]], axis=1).astype(np.int64), axis=0
    )
    sizes = spans[:, 2]
    at = np.repeat(spans[:, 1], sizes) + np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    pairs = np.sort(np.repeat(spans[:, 0], sizes) << 16 | population.ports[at].astype(np.int64))
    pairs = pairs[np.r_[True, pairs[1:] != pairs[:-1]]] if len(pairs) else pairs
    offsets = np.searchsorted(pairs, np.arange(rows + 1) << 16)
    return (pairs & 0xFFFF).astype(np.uint16), offsets


def event_table(events: Sequence[Event]) -> pa.Table:
    """Events in order of time, in whole microseconds like the packets."""
    events = [event._replace(ts=event.ts // 1000 * 1000) for event in events]
    return pa.table(
        [pa.array([event[i] for event in events], f.type) for i, f in enumerate(EVENT_SCHEMA)],
        schema=EVENT_SCHEMA,
    )
