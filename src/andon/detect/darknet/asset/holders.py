"""Who had an address when: the lists of ``Site.assets`` as intervals over addresses and times.

A lease says that one system had the address from when to when; a list or a scan says it of one moment, or of none. So
a claim about a device needs a lease that covers the time, of one system alone: where leases of several overlap (NAT, or
a server that lost its memory) nobody can say which of them it was. In a /24 where that is usual (a carrier's NAT) a
lease says nothing at any time: others, on nobody's list, are behind the address as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Final

import numpy as np
import pyarrow as pa

from andon.records.asset import LEASE
from andon.records.contract import Organisation

NOBODY: Final = -1  # no lease covers the time
SEVERAL: Final = -2  # leases of more than one system do
_EVER: Final = np.iinfo(np.int64)
CROWD: Final = (
    3  # addresses of a /24 that systems hold at one time, from which on the /24 may be a carrier's NAT,
)
CROWDED: Final = 0.5  # if they are this share of its leased addresses
_SYSTEMS: Final = 8  # of one address that are told
_REMEMBERED: Final = 100_000  # addresses whose systems are not looked up again
MOST_PAIRS: Final = 20_000_000  # of events and leases, looked at in one go


@dataclass(frozen=True)
class System:
    """What a list says of a system. ``row``: its place in the lists."""

    row: int
    asset: str
    basis: str
    valid_from: int | None
    valid_to: int | None
    vendor: str
    product: str
    version: str
    device: str
    os: str
    owner: str
    contact: str
    hostname: str
    mac: str
    source: str

    @property
    def words(self) -> str:
        """ "IP Camera Hikvision DS-2CD" """
        made = " ".join(part for part in (self.device, self.vendor, self.product, self.version) if part)
        return made or self.os or "a system of which the list says nothing"


class Holders:
    """Made of ``Site.assets``. ``names``: assets that leases know, by number."""

    def __init__(self, assets: pa.Table, organisations: tuple[Organisation, ...] = ()) -> None:
        self._assets = assets
        first, last = (assets[name].to_numpy().astype(np.int64) for name in ("first", "last"))
        begin, end = _times(assets["valid_from"], _EVER.min), _times(assets["valid_to"], _EVER.max)
        told = assets["valid_from"].is_valid().to_numpy(zero_copy_only=False)
        v4 = (first >= 0) & (last >= first) & (last < 1 << 32)
        self.left_out = int((~v4).sum())
        self._systems: dict[int, System] = {}  # that were asked for
        self._of: dict[int, list[System]] = {}  # by address
        lease = v4 & (np.array(assets["basis"].to_pylist(), dtype=object) == LEASE) & told & (first == last)
        # A lease without a beginning supports nothing before its end that anybody could check.
        rows = np.flatnonzero(lease)
        rows = rows[np.lexsort((rows, begin[rows], first[rows]))]
        names = _one_name(*(assets[name].to_pylist() for name in ("asset", "mac", "hostname")))
        self.names = sorted({names[n] for n in rows.tolist() if names[n]})
        number = {name: n for n, name in enumerate(self.names)}
        rows = np.array([n for n in rows.tolist() if names[n]], np.int64)
        self.lease_row = rows
        self.lease_address, self.lease_begin, self.lease_end = first[rows], begin[rows], end[rows]
        self.lease_asset = np.array([number[names[n]] for n in rows.tolist()], np.int64)
        self._shared = _shared(self.lease_address, self.lease_begin, self.lease_end, self.lease_asset)
        every = np.flatnonzero(v4)
        every = every[np.lexsort((every, last[every], first[every]))]
        self._row, self._first, self._last = every, first[every], last[every]
        self._high = np.maximum.accumulate(self._last)
        self._begin = begin[every]
        steady = every[~lease[every]]
        self._steady = first[steady], np.maximum.accumulate(last[steady])
        self._organisations = frozenset(organisation.name for organisation in organisations)
        self._networks = sorted(
            (
                (ip_network(prefix, strict=False), organisation.name)
                for organisation in organisations
                for prefix in organisation.prefixes
            ),
            key=lambda item: (-item[0].prefixlen, str(item[0]), item[1]),
        )

    def __len__(self) -> int:
        return len(self._row)

    def listed(self, addresses: np.ndarray) -> np.ndarray:
        """bool: the address (int64) is in some list, at whatever time."""
        return _reached(self._first, self._high, addresses)

    def claimed(self, addresses: np.ndarray) -> np.ndarray:
        """bool: the address (int64) is somebody's for good: on a list that is no lease, or in an organisation's
        prefix."""
        found = _reached(*self._steady, addresses)
        for network, _ in self._networks:
            if network.version == 4:
                base = int(network.network_address)
                found |= (base <= addresses) & (addresses < base + network.num_addresses)
        return found

    def at(self, addresses: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For each event (address, ns): number of the asset whose lease covers it, NOBODY or SEVERAL; and the number of
        that lease (into ``lease_row``), -1 if there is not exactly one asset."""
        low = np.searchsorted(self.lease_address, addresses)
        high = np.searchsorted(self.lease_address, addresses, "right")
        who = np.full(len(addresses), NOBODY, np.int64)
        which = np.full(len(addresses), -1, np.int64)
        count = high - low
        begin = 0
        while begin < len(addresses):
            total = np.cumsum(count[begin:])
            end = begin + max(int(np.searchsorted(total, MOST_PAIRS, "right")), 1)
            of, number = count[begin:end], np.arange(begin, end)
            event = np.repeat(number, of)
            step = np.arange(len(event)) - np.repeat(np.cumsum(of) - of, of)
            lease = np.repeat(low[begin:end], of) + step
            good = (self.lease_begin[lease] <= times[event]) & (times[event] <= self.lease_end[lease])
            event, lease = event[good], lease[good]
            asset = self.lease_asset[lease]
            # The last lease of an event stands; if another asset was there before it, there are several.
            who[event], which[event] = asset, lease
            other = who[event] != asset
            who[event[other]], which[event[other]] = SEVERAL, -1
            begin = end
        many = (who >= 0) & np.isin(addresses >> 8, self._shared)
        who[many], which[many] = SEVERAL, -1
        return who, which

    def systems(self, address: int) -> list[System]:
        """What the lists say of an address, the narrowest entries first, of these the newest."""
        if address in self._of:
            return self._of[address]
        at = int(np.searchsorted(self._first, address, "right"))
        found: list[int] = []
        while at > 0 and self._high[at - 1] >= address and len(found) < 10_000:
            at -= 1
            if self._last[at] >= address:
                found.append(at)
        found.sort(key=lambda n: (self._last[n] - self._first[n], -int(self._begin[n]), self._row[n]))
        if len(self._of) >= _REMEMBERED:
            self._of.clear()
        self._of[address] = [self.system(int(self._row[n])) for n in found[:_SYSTEMS]]
        return self._of[address]

    def system(self, row: int) -> System:
        found = self._systems.get(row)
        if found is None:
            found = self._systems[row] = self._read(row)
        return found

    def _read(self, row: int) -> System:
        values: dict[str, Any] = {
            name: self._assets[name][row].as_py()
            for name in (
                "asset", "basis", "vendor", "product", "version", "device", "os", "owner", "contact", "hostname", "mac",
                "source",
            )
        }  # fmt: skip
        times = {name: self._assets[name][row].value for name in ("valid_from", "valid_to")}
        return System(row=row, **values, **times)

    def organisation(self, owner: str, address: int) -> str:
        """Name of the organisation that is told: ``owner`` (what the list says) if that is one, else the one whose
        narrowest prefix holds the address, else ""."""
        if owner in self._organisations:
            return owner
        for network, name in self._networks:
            if network.version == 4:
                base = int(network.network_address)
                if base <= address < base + network.num_addresses:
                    return name
        return ""


def _shared(address: np.ndarray, begin: np.ndarray, end: np.ndarray, asset: np.ndarray) -> np.ndarray:
    """/24s (address >> 8) of which so many addresses are held by several systems at one time that all of them may be.
    Leases in order of address and beginning. Systems with the same lease are behind one line: a home, not a carrier."""
    if not len(address):
        return address
    at_once = (address[1:] == address[:-1]) & (begin[1:] < end[:-1]) & (asset[1:] != asset[:-1])
    at_once &= (begin[1:] != begin[:-1]) | (end[1:] != end[:-1])
    network, leased = np.unique(np.unique(address) >> 8, return_counts=True)
    crowded = np.bincount(
        np.searchsorted(network, np.unique(address[1:][at_once]) >> 8), minlength=len(network)
    )
    found: np.ndarray = network[(crowded >= CROWD) & (crowded >= CROWDED * leased)]
    return found


def _reached(first: np.ndarray, high: np.ndarray, addresses: np.ndarray) -> np.ndarray:
    """Whether one of the intervals that begin at or before an address reaches it; ``high``: running largest end."""
    at = np.searchsorted(first, addresses, "right") - 1
    found = np.zeros(len(addresses), np.bool_)
    found[at >= 0] = high[at[at >= 0]] >= addresses[at >= 0]
    return found


def _one_name(assets: list[str], macs: list[str], hosts: list[str]) -> list[str]:
    """One name for each row's system: an inventory knows it by its number, a DHCP server by its hardware address. Rows
    are of one system if they have a hardware address in common, or if the name that a system gives the DHCP server is
    its number in another list."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.get(name, name) != name:
            parent[name] = parent.get(parent[name], parent[name])
            name = parent[name]
        return name

    known = set(assets)
    by_mac: dict[str, str] = {}
    for asset, mac, host in zip(assets, macs, hosts, strict=True):
        if not asset:
            continue
        others = [by_mac.setdefault(mac, asset)] if mac else []
        if host in known and host:
            others.append(host)
        for other in others:
            a, b = root(asset), root(other)
            # The plainest name stands for all: no hardware address, then in order.
            keep, drop = sorted((a, b), key=lambda name: (name.count(":") == 5, name))
            parent[drop] = keep
    return [root(asset) if asset else "" for asset in assets]


def _times(column: pa.ChunkedArray, missing: int) -> np.ndarray:
    return np.asarray(column.cast(pa.int64()).fill_null(missing).to_numpy(zero_copy_only=False), np.int64)
