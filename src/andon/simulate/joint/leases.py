"""Address pools, lines and leases: which device had which address when.

A *line* is what gets a lease: a home or an office, with one device behind it, or (NAT) several. A pool has its own mean
lease time. In a pool of a carrier's NAT many lines share a few addresses at the same time; elsewhere an address belongs
to one line at a time and goes to others later, as in the measurements of Moura et al. (IMC 2015) that the research
notes name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from .scenario import DAY, Scenario

FIRST: Final = 0x64400000  # 100.64.0.0/10
LEASES: Final = (0.5, 1.0, 2.0, 4.0, 9.0, np.inf)  # mean days that a pool's addresses are held
CLEAN: Final = 0.4  # devices that are never infected, for each that is
HOUSEHOLD: Final = 0.15  # share of devices that have their line in common with another one
SHARED: Final = 24  # addresses of a carrier's NAT
_TRIES: Final = 200


@dataclass(frozen=True)
class World:
    """Devices are numbered, the ones that get infected first. Arrays of leases are sorted by line and time; those of
    line i are ``offset[i]`` to ``offset[i + 1]``."""

    infected: int  # number of devices that get infected
    line: np.ndarray  # of every device
    pool: np.ndarray  # of every line
    carrier: np.ndarray  # of every pool: shared by its lines (bool)
    held: np.ndarray  # of every pool: mean days
    offset: np.ndarray
    address: np.ndarray  # of every lease (uint32)
    begin: np.ndarray  # ns
    end: np.ndarray
    base: np.ndarray  # of every pool: its first address
    width: int  # addresses of a pool
    start: int  # ns, of the scenario

    @property
    def devices(self) -> int:
        return len(self.line)

    def at(self, device: np.ndarray, time: np.ndarray) -> np.ndarray:
        """Address (uint32) of each device at a time (ns) within the scenario."""
        found: np.ndarray = self.address[self.lease(device, time)]
        return found

    def lease(self, device: np.ndarray, time: np.ndarray) -> np.ndarray:
        """Number of the lease that a device's line had at a time."""
        lines = len(self.offset) - 1
        owner = np.repeat(np.arange(lines), np.diff(self.offset))
        span = int(self.end.max() - self.start) // 1000 + 1
        keys = owner * span + (self.begin - self.start) // 1000
        wanted = self.line[device] * span + (time - self.start) // 1000
        return np.asarray(np.searchsorted(keys, wanted, side="right") - 1)


def world(scenario: Scenario) -> World:
    """Draw pools, lines and leases."""
    rng = scenario.rng("leases")
    count = max(1, min(int(rng.integers(12, 33)), scenario.devices // 15))
    # A pool is filled to a third at most: leases that begin have to find an address.
    total = scenario.devices + round(CLEAN * scenario.devices)
    width = 1 << max(10, int(np.ceil(np.log2(3 * total / count))))
    held = rng.choice(LEASES, count)
    if scenario.lease is not None:
        held[:] = scenario.lease
    carrier = np.zeros(count, bool)
    carrier[rng.permutation(count)[: round(scenario.drawn["nat"] * count)]] = True
    places = rng.permutation((1 << 22) // width)[:count]
    base = FIRST + places * width

    line, pool = _lines(rng, scenario.devices, total, count)
    owner, begin, end = _times(rng, scenario, held[pool])
    address = _addresses(rng, owner, begin, end, pool, carrier, base, width)
    offset = np.searchsorted(owner, np.arange(len(pool) + 1))
    return World(
        scenario.devices, line, pool, carrier, held, offset, address, begin, end, base, width, scenario.begin
    )


def _lines(rng: np.random.Generator, infected: int, total: int, pools: int) -> tuple[np.ndarray, np.ndarray]:
    """(line of every device, pool of every line). Households hold infected and clean devices alike."""
    line = np.arange(total)
    guests = np.flatnonzero(rng.random(total) < HOUSEHOLD)
    hosts = np.setdiff1d(np.arange(total), guests)
    line[guests] = rng.choice(hosts, len(guests))
    _, line = np.unique(line, return_inverse=True)
    return line, rng.integers(0, pools, len(hosts))


def _times(
    rng: np.random.Generator, scenario: Scenario, held: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(line, begin, end) of every lease, in order."""
    length = scenario.end - scenario.begin
    parts = []
    for mean in np.unique(held):
        lines = np.flatnonzero(held == mean)
        if not np.isfinite(mean):
            parts.append((lines, np.full(len(lines), scenario.begin), np.full(len(lines), scenario.end)))
            continue
        expected = length / (mean * DAY)
        most = int(expected + 8 * np.sqrt(expected) + 12)
        lasts = np.clip(rng.exponential(mean * DAY, (len(lines), most)), 60e9, length).astype(np.int64)
        lasts = lasts // 1000 * 1000
        lasts[:, -1] = length  # the last one reaches the end in any case
        ends = np.minimum(np.cumsum(lasts, axis=1), length)
        begins = np.concatenate([np.zeros((len(lines), 1), np.int64), ends[:, :-1]], axis=1)
        real = begins < length
        parts.append(
            (np.repeat(lines, real.sum(axis=1)), scenario.begin + begins[real], scenario.begin + ends[real])
        )
    owner, begin, end = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((begin, owner))
    return owner[order], begin[order], end[order]


def _addresses(
    rng: np.random.Generator, owner: np.ndarray, begin: np.ndarray, end: np.ndarray, pool: np.ndarray,
    carrier: np.ndarray, base: np.ndarray, width: int,
) -> np.ndarray:  # fmt: skip
    """An address for every lease; outside carriers' NAT no two leases of an address are at the same time."""
    of_pool = pool[owner]
    shared = carrier[of_pool]
    offset = np.where(shared, rng.integers(1, SHARED + 1, len(owner)), rng.integers(1, width - 1, len(owner)))
    address = base[of_pool] + offset
    for _ in range(_TRIES):
        order = np.lexsort((begin, address))
        same = address[order][1:] == address[order][:-1]
        clash = order[1:][same & (begin[order][1:] < end[order][:-1])]
        clash = clash[~shared[clash]]
        if not len(clash):
            found: np.ndarray = address.astype(np.uint32)
            return found
        address[clash] = base[of_pool[clash]] + rng.integers(1, width - 1, len(clash))
    raise ValueError("the address pools are too full")  # cannot be: a third at most is in use
