"""What a source looked like on a day: its header class, its ports, its network, and the names others gave it.

A *header class* is what does not depend on the address of a sender: kind, option layout, class of the initial TTL,
DF bit, "sequence number is the destination" and the window, as far as many sources share it. A source's class is that
of most of its drawn packets; the others (another host behind the same address) are set aside. Windows that each
process draws for itself are no mark: only a window that at least five sources and one in fifty of the class share
counts, all others are ``FREE``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from andon.detect.darknet.campaigns.kernel import (
    COOKIE_AT,
    DF_AT,
    DRAWN,
    KIND_AT,
    OPTIONS_AT,
    TARGET_AT,
    TTL_AT,
    WINDOW_AT,
)
from andon.detect.darknet.campaigns.summary import DaySources
from andon.sketch.asks import KIND_ICMP, KIND_TCP, KIND_UDP

FREE = 1 << 16  # in place of a window: none in common
_HEADER_BITS = TARGET_AT - OPTIONS_AT  # options, TTL, DF, cookie, kind
_LEAST_SHARING, _LEAST_SHARE = 5, 0.02
_TOOL_CONFIDENCE = 0.5
_TTL = ("32", "64", "128", "255")
_OPTION = ("", "NOP", "MSS", "WS", "SACK", "TS", "EOL", "other")
_KINDS = {KIND_TCP: "TCP", KIND_UDP: "UDP", KIND_ICMP: "ICMP"}


@dataclass(frozen=True)
class Profiles:
    """Parallel arrays over the sources kept, ascending by address.

    ``klass`` is a header class as one word: header bits << 17 | window or FREE. ``ports`` (n, 6) holds the ports of
    its drawn packets, -1 where there is none; for ICMP the type. ``label`` is an index into ``labels``, 0: none."""

    address: np.ndarray  # uint32
    packets: np.ndarray  # int64
    hours: np.ndarray  # uint32, one bit an hour
    klass: np.ndarray  # int64
    ports: np.ndarray  # int32
    targets: np.ndarray  # int32, hashes of ten bits of destinations; -1
    label: np.ndarray  # int64
    labels: tuple[str, ...]
    named: bool  # whether there were tables to take labels from
    one_in: int  # one source in so many was kept

    def __len__(self) -> int:
        return len(self.address)


def profiles(summary: DaySources, tools: pa.Table | None, fingerprints: pa.Table | None) -> Profiles:
    """Profiles of the sources of a summary. ``tools`` and ``fingerprints`` are the tables ``sources`` of
    ``darknet.tools`` and ``darknet.fingerprint``; a tool's name is preferred to a relation."""
    keys, columns = summary.rows.table()
    address = keys.astype(np.uint32)
    drawn = columns["drawn"].reshape(-1, DRAWN, 2)
    there = drawn[:, :, 0] != np.uint64(0xFFFFFFFFFFFFFFFF)
    look = drawn[:, :, 1]
    header = ((look >> np.uint64(OPTIONS_AT)) & np.uint64((1 << _HEADER_BITS) - 1)).astype(np.int64)
    header[~there] = -1
    modal = _mode(header)
    own = there & (header == modal[:, None])
    window = ((look >> np.uint64(WINDOW_AT)) & np.uint64(0xFFFF)).astype(np.int64)
    window[~own] = -1
    shared = _shared_windows(modal, _mode(window))
    ports = (look & np.uint64(0xFFFF)).astype(np.int32)
    ports[~own] = -1
    targets = (look >> np.uint64(TARGET_AT)).astype(np.int32)
    targets[~own] = -1
    # A port of one destination is asked for once: what a stack sends again is no second choice of a port.
    pair = np.where(own, ports.astype(np.int64) << 10 | targets, -1)
    repeated = np.zeros(pair.shape, np.bool_)
    for slot in range(1, DRAWN):
        repeated[:, slot] = (pair[:, :slot] == pair[:, slot : slot + 1]).any(axis=1)
    ports[repeated] = -1
    label, labels = _labels(address, tools, fingerprints)
    return Profiles(
        address,
        columns["packets"].astype(np.int64),
        columns["hours"].astype(np.uint32),
        (modal << 17) | shared,
        ports,
        targets,
        label,
        labels,
        tools is not None or fingerprints is not None,
        1 << summary.rows.level,
    )


def _mode(values: np.ndarray) -> np.ndarray:
    """Most frequent value of each row that is not negative, the lowest of several; -1 if there is none."""
    if not len(values):
        return np.zeros(0, np.int64)
    counts = (values[:, :, None] == values[:, None, :]).sum(axis=2)
    counts[values < 0] = 0
    best = counts == counts.max(axis=1, keepdims=True)
    lowest = np.where(best & (values >= 0), values, np.iinfo(np.int64).max).min(axis=1)
    return np.where(lowest == np.iinfo(np.int64).max, -1, lowest)


def _shared_windows(header: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Each source's window where enough sources of its header share it, else FREE."""
    if not len(header):
        return np.zeros(0, np.int64)
    _, of_header, in_header = np.unique(header, return_inverse=True, return_counts=True)
    _, first, back, sharing = np.unique(
        header * 65536 + np.maximum(window, 0), return_index=True, return_inverse=True, return_counts=True
    )
    enough = (sharing >= _LEAST_SHARING) & (sharing >= _LEAST_SHARE * in_header[of_header[first]])
    return np.where(enough[back], np.maximum(window, 0), FREE)


def _labels(
    address: np.ndarray, tools: pa.Table | None, fingerprints: pa.Table | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    label = np.zeros(len(address), np.int64)
    names = [""]
    for table, column, weight in ((fingerprints, "relation", "hits"), (tools, "tool", "confidence")):
        if table is None or not table.num_rows or not len(address):
            continue
        distinct = sorted(set(table[column].to_pylist()))
        number = np.searchsorted(np.array(distinct), np.array(table[column].to_pylist())) + len(names)
        names += distinct
        sure = table[weight].to_numpy().astype(float)
        kept = np.flatnonzero(sure >= (_TOOL_CONFIDENCE if column == "tool" else 0))
        kept = kept[np.lexsort((-number[kept], sure[kept]))]  # the last one written stands
        source = table["src"].to_numpy()[kept]
        at = np.minimum(np.searchsorted(address, source), len(address) - 1)
        known = address[at] == source
        label[at[known]] = number[kept][known]
    return label, tuple(names)


def header_of(klass: int) -> int:
    """The header bits of a class: all of it but the window."""
    return klass >> 17


def window_of(klass: int) -> int:
    return klass & 0x1FFFF


def kind_of(klass: int) -> int:
    return (header_of(klass) >> (KIND_AT - OPTIONS_AT)) & 3


def cookie_of(klass: int) -> bool:
    """Whether the sequence number is the destination."""
    return bool((header_of(klass) >> (COOKIE_AT - OPTIONS_AT)) & 1)


def words(klass: int) -> str:
    """A class in words.

    >>> words(((1 << 16) | (1 << 19)) << 17 | FREE)
    'TCP, no options, initial TTL 64, sequence number = destination'
    """
    header = header_of(klass)
    kind = kind_of(klass)
    parts = [_KINDS.get(kind, "?")]
    if kind == KIND_TCP:
        code = header & 0x7FFF
        layout = [_OPTION[(code >> (3 * i)) & 7] for i in range(5)]
        text = ",".join(part for part in layout if part) or "no options"
        parts.append(text + (" (not 1460)" if header & 0x8000 else ""))
        if window_of(klass) != FREE:
            parts.append(f"window {window_of(klass)}")
    parts.append(f"initial TTL {_TTL[(header >> (TTL_AT - OPTIONS_AT)) & 3]}")
    if (header >> (DF_AT - OPTIONS_AT)) & 1:
        parts.append("DF")
    if cookie_of(klass):
        parts.append("sequence number = destination")
    return ", ".join(parts)


def relation_of(klass: int) -> str:
    """The part of a class that one packet shows and our language can say; "" if there is nothing."""
    parts = []
    if kind_of(klass) == KIND_TCP:
        if cookie_of(klass):
            parts.append("tcp.seq == ip.dst")
        if window_of(klass) != FREE:
            parts.append(f"tcp.window == {window_of(klass)}")
    return " and ".join(parts)
