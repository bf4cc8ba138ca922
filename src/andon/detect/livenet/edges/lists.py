"""What the black and white lists say of destinations (``records.reputation``).

A name is looked up with all names above it in one walk from its end (``records.domains.suffix_hashes``); what the hash
finds is compared byte by byte, so no name can be made to look like another. Prefixes are asked by their lengths.

Which colour wins, when lists differ:

1. black, by an entry for the host itself, for its address or a prefix of it, or by an entry for a domain it is in;
2. but an entry of the operator's own white lists (those without ranks) that is as specific as the black entry, or more,
   beats a black *domain* entry: whoever white-lists ``x.example`` has decided about a public list's ``x.example``,
   and not about its ``evil.x.example``. A black entry for exactly this host or address is never beaten;
3. white, by an operator's entry, or by a popularity list with at most the rank of the setting;
4. gray.

An entry with a port counts for a destination that was contacted on this port.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_network
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from andon.detect.livenet.edges.store import BLACK, WHITE
from andon.records.domains import (
    ADDRESS_4,
    ADDRESS_6,
    buffers,
    hash_table,
    kinds_of_hosts,
    slot_of,
    suffix_hashes,
)
from andon.records.finding import timestamp
from andon.records.reputation import ADDRESS, DOMAIN, HOST, PREFIX

_OFFSET: Final = np.uint64(0xCBF29CE484222325)
_PRIME: Final = np.uint64(0x100000001B3)
_DOT: Final = ord(".")
_ENTRIES: Final = 16  # of one value that are looked at, black ones first
_NO_PORTS: Final = (np.empty(0, np.int64), np.empty(0, np.int64))


@njit(cache=True, nogil=True)
def _find(
    data: np.ndarray,
    offsets: np.ndarray,
    keys: np.ndarray,
    values: np.ndarray,
    value_data: np.ndarray,
    value_offsets: np.ndarray,
    groups: np.ndarray,
    domain: np.ndarray,
    out_host: np.ndarray,
    out_entry: np.ndarray,
    start: int,
) -> tuple[int, int]:
    """Matches of names from ``start`` on; gives (name reached, matches), early when there is no room for one more."""
    mask, found = np.uint64(keys.shape[0] - 1), 0
    for i in range(start, offsets.shape[0] - 1):
        if found + 64 > out_host.shape[0]:
            return i, found
        first, last, here = offsets[i], offsets[i + 1], 0
        hashed = _OFFSET
        for at in range(last - 1, first - 1, -1):
            hashed = (hashed ^ np.uint64(data[at])) * _PRIME
            if at > first and data[at - 1] != _DOT:
                continue
            slot = slot_of(hashed, mask)
            while values[slot] >= 0:
                group = values[slot]
                begin, length = value_offsets[group], value_offsets[group + 1] - value_offsets[group]
                same = keys[slot] == hashed and length == last - at
                if same:
                    for place in range(length):
                        if value_data[begin + place] != data[at + place]:
                            same = False
                            break
                if same:
                    for entry in range(groups[group], groups[group + 1]):
                        if here < 64 and (at == first or domain[entry]):
                            out_host[found], out_entry[found] = i, entry
                            found, here = found + 1, here + 1
                    break
                slot = (slot + np.uint64(1)) & mask
    return offsets.shape[0] - 1, found


@dataclass(frozen=True)
class Matches:
    """``host`` (ascending) and ``entry``: which of the names stands where."""

    host: np.ndarray
    entry: np.ndarray


class Lists:
    """The reputation of a site, ready to be asked. ``rank``: the last of a popularity list that is white.

    >>> from andon.records.reputation import REPUTATION
    >>> entry = dict(value="x.example", type="domain", colour="black", port=-1, list="mine", family="emotet", rank=-1)
    >>> lists = Lists(pa.Table.from_pylist([entry], REPUTATION), 10_000)
    >>> lists.flags(pa.array(["a.x.example", "ax.example"])).tolist()
    [1, 0]
    """

    def __init__(self, reputation: pa.Table | None, rank: int) -> None:
        table = _usable(reputation, rank) if reputation is not None else None
        self.empty = table is None or table.num_rows == 0
        if table is None or self.empty:
            return
        names = pc.field("type").isin([DOMAIN, HOST, ADDRESS])
        named, prefixes = table.filter(names), table.filter(pc.field("type") == PREFIX)
        named, values, self._groups = _grouped(named)
        self._keys, self._places = hash_table(suffix_hashes(values))
        self._values = buffers(values)
        self._held = values  # owns the memory of the buffers
        self.entries = _encoded(pa.concat_tables([named, prefixes]))
        self._prefixes = _by_length(prefixes, named.num_rows)
        self._domain = np.asarray(pc.equal(self.entries["type"], DOMAIN))
        self._black = np.asarray(pc.equal(self.entries["colour"], "black"))
        self._own = ~self._black & (_numbers(self.entries["rank"]) < 0)
        self._port = _numbers(self.entries["port"])
        dots = np.asarray(pc.count_substring(self.entries["value"], ".")).astype(np.int64)
        self._labels = np.where(self._domain, dots + 1, 1000)  # how specific an entry is

    def find(self, hosts: pa.Array) -> Matches:
        """All entries that hold for names and addresses, whatever their port."""
        if self.empty:
            return Matches(*_NO_PORTS)
        data, offsets = buffers(hosts)
        at, host, entry = 0, [], []
        while at < len(hosts):
            room = max(2 * (len(hosts) - at), 4096)
            names, entries = np.empty(room, np.int64), np.empty(room, np.int64)
            at, found = _find(
                data,
                offsets,
                self._keys,
                self._places,
                *self._values,
                self._groups,
                self._domain,
                names,
                entries,
                at,
            )
            host.append(names[:found])
            entry.append(entries[:found])
        if self._prefixes:
            more = self._in_prefixes(hosts)
            host.append(more[0])
            entry.append(more[1])
        hosts_found, entries_found = (np.concatenate([*parts, _NO_PORTS[0]]) for parts in (host, entry))
        order = np.argsort(hosts_found, kind="stable")
        return Matches(hosts_found[order], entries_found[order])

    def _in_prefixes(self, hosts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        kinds = kinds_of_hosts(hosts)
        rows = np.flatnonzero(kinds == ADDRESS_4)
        numbers = ipv4_numbers(hosts.take(pa.array(rows)))
        host, entry = [], []
        for (version, length), held in self._prefixes.items():
            if version == 4 and len(rows):
                asked = numbers >> (32 - length)
                known = np.sort(np.array(list(held), np.int64))
                at = np.minimum(np.searchsorted(known, asked), len(known) - 1)
                for n in np.flatnonzero(known[at] == asked).tolist():
                    entry += held[int(asked[n])]
                    host += [int(rows[n])] * len(held[int(asked[n])])
        six = [(length, held) for (version, length), held in self._prefixes.items() if version == 6]
        for i in np.flatnonzero(kinds == ADDRESS_6).tolist() if six else ():
            try:
                number = int(IPv6Address(str(hosts[i])))
            except ValueError:
                continue
            for length, held in six:
                found = held.get(number >> (128 - length), [])
                entry += found
                host += [i] * len(found)
        return np.array(host, np.int64), np.array(entry, np.int64)

    def flags(self, hosts: pa.Array) -> np.ndarray:
        """uint8 of each name as ``store`` wants it: BLACK if it may be black on some port, WHITE if it is surely
        white."""
        out = np.zeros(len(hosts), np.uint8)
        if not self.empty:
            black, white = self._decide(self.find(hosts), len(hosts), None)
            out[white], out[black] = WHITE, BLACK
        return out

    def _decide(
        self, matches: Matches, hosts: int, holds: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """(black, white) of each host; ``holds``: of each match, whether its port was contacted."""
        entry, host = matches.entry, matches.host
        here = np.ones(len(entry), np.bool_) if holds is None else holds
        black_labels, own_labels = np.zeros(hosts, np.int64), np.zeros(hosts, np.int64)
        bad, own = self._black[entry] & here, self._own[entry] & (here & (self._port[entry] < 0))
        np.maximum.at(black_labels, host[bad], self._labels[entry[bad]])
        np.maximum.at(own_labels, host[own], np.minimum(self._labels[entry[own]], 999))
        white = np.zeros(hosts, np.bool_)
        white[host[~self._black[entry] & here & (self._port[entry] < 0)]] = True
        black = black_labels > own_labels
        return black, white & ~black

    def judge(
        self, hosts: pa.Array, port_of: tuple[np.ndarray, np.ndarray], since: int
    ) -> tuple[np.ndarray, np.ndarray, Matches, pa.Array]:
        """(colour as BLACK, WHITE or 0, fresh, matches, text of each match) of destinations.

        ``port_of``: (destinations ascending, ports) of what was contacted; ``since`` (ns): an entry that was added then
        or later, or at an unknown time, is fresh."""
        colour, fresh = np.zeros(len(hosts), np.uint8), np.zeros(len(hosts), np.bool_)
        if self.empty:
            return colour, fresh, Matches(*_NO_PORTS), pa.array([], pa.string())
        matches = self.find(hosts)
        port = self._port[matches.entry]
        asked = matches.host << 32 | np.maximum(port, 0)
        known = np.isin(asked, port_of[0] << 32 | port_of[1])
        holds = (port < 0) | known
        matches, port = Matches(matches.host[holds], matches.entry[holds]), port[holds]
        black, white = self._decide(matches, len(hosts), None)
        colour[white], colour[black] = WHITE, BLACK
        added = self.entries["added"].combine_chunks().view(pa.int64()).fill_null(np.iinfo(np.int64).max)
        recent = (np.asarray(added) >= since)[matches.entry] & self._black[matches.entry]
        fresh[matches.host[recent]] = True
        return colour, fresh & black, matches, self._texts(matches, black)

    def _texts(self, matches: Matches, black: np.ndarray) -> pa.Array:
        """What each match says, for people."""
        used, number = np.unique(matches.entry, return_inverse=True)
        entries = self.entries.take(pa.array(used))
        added = entries["added"].combine_chunks().view(pa.int64()).to_pylist()
        said = [
            _text(row, since)
            for *row, since in zip(
                *(
                    entries[name].cast(pa.string()).to_pylist()
                    for name in ("list", "family", "type", "value")
                ),
                *(entries[name].to_pylist() for name in ("port", "rank")),
                added,
                strict=True,
            )
        ]
        overruled = self._black[matches.entry] & ~black[matches.host]
        both = said + [f"{text} (overruled by a white list of the operator)" for text in said]
        return pa.array(both, pa.string()).take(pa.array(number + overruled * len(said)))


def _encoded(table: pa.Table) -> pa.Table:
    """The table in a third of its size: texts that repeat are kept once."""
    for name in ("type", "colour", "list", "family"):
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, table[name].dictionary_encode())
    return table.unify_dictionaries().combine_chunks()


def ipv4_numbers(addresses: pa.Array) -> np.ndarray:
    """int64 number of each IPv4 address."""
    out = np.zeros(len(addresses), np.int64)
    if len(addresses):
        parts = pc.split_pattern(addresses, ".")
        for n in range(4):
            out = out << 8 | np.asarray(pc.list_element(parts, n).cast(pa.int64()))
    return out


def _text(entry: list[Any], since: int | None) -> str:
    """ "maltrail/emotet since 2025-01-02: domain x.example"."""
    name, family, kind, value, port, rank = entry
    said = f"{name}/{family}" if family else f"{name} rank {rank}" if rank >= 0 else name
    if since is not None:
        said += f" since {timestamp(since)[:10]}"
    return f"{said}: {kind} {value}" + (f":{port}" if port >= 0 else "")


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    out: np.ndarray = np.asarray(column).astype(np.int64)
    return out


def _usable(table: pa.Table, rank: int) -> pa.Table:
    """Entries that can say something of a destination, each once."""
    of_us = pc.field("type").isin([DOMAIN, HOST, ADDRESS, PREFIX])
    said = (pc.field("colour") == "black") | (pc.field("rank") <= rank)
    return table.filter(of_us & said)


def _grouped(table: pa.Table) -> tuple[pa.Table, pa.Array, np.ndarray]:
    """(entries by value, distinct values, begin of each value's entries and the end of the last's)."""
    table = table.combine_chunks()
    codes = table["value"].combine_chunks().dictionary_encode() if table.num_rows else None
    if codes is None:
        return table, pa.array([], pa.string()), np.zeros(1, np.int64)
    number = np.asarray(codes.indices).astype(np.int64)
    white = ~np.asarray(pc.equal(table["colour"], "black"))
    order = np.argsort(number * 2 + white, kind="stable")
    begin = np.r_[0, np.flatnonzero(np.diff(number[order])) + 1]
    place = np.arange(len(order)) - np.repeat(begin, np.diff(np.r_[begin, len(order)]))
    # At least one of each colour stays: of many black ones the last places are left to white ones.
    few = place < _ENTRIES
    own = white[order] & (
        np.r_[True, number[order][1:] != number[order][:-1]] | np.r_[True, ~white[order][:-1]]
    )
    order = order[few | own]
    begin = np.r_[0, np.flatnonzero(np.diff(number[order])) + 1, len(order)]
    return table.take(pa.array(order)), codes.dictionary, begin.astype(np.int64)


def _by_length(table: pa.Table, first: int) -> dict[tuple[int, int], dict[int, list[int]]]:
    """(version, length) -> prefix as a number -> entries, which are numbered from ``first``."""
    out: dict[tuple[int, int], dict[int, list[int]]] = {}
    for n, value in enumerate(table["value"].to_pylist()):
        try:
            network = ip_network(value, strict=False)
        except ValueError:
            continue
        number = int(network.network_address) >> (network.max_prefixlen - network.prefixlen)
        held = out.setdefault((network.version, network.prefixlen), {}).setdefault(number, [])
        if len(held) < _ENTRIES:
            held.append(first + n)
    return out
