"""The background, hour by hour: new visitors of every service, visitors that come again, survey organisations.

Everything of an hour follows from (seed, hour), so nothing has to be remembered: visitors that come back after one,
two or four days are found by drawing that earlier hour once more. New visitors of a service are a Poisson process of
known rate whose first packet is at the very time of the visit; that is what ``truth`` knows the baseline from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ..internet.addresses import Sources
from ..internet.apportion import SECOND
from ..internet.session import SESSION
from .bank import Bank, calm, mixed
from .scenario import DAY, HOUR, Scenario
from .services import QUANTUM, TAIL, Rates, services, tail_ports
from .sizes import Sizes, at_least_one

SURVEYED: Final = 0.45  # share of packets that survey organisations send (ICISSP 2023: 60 % of NICTER's)
AGAIN: Final = ((1, 0.25), (2, 0.12), (4, 0.08))  # days after which a visitor is back, and how many are
LONGEST: Final = 20 * HOUR
_LOOK_BACK: Final = 20  # hours before the start whose visits may still last


@dataclass(frozen=True)
class Visitors:
    """One entry per new visitor of an hour: time (ns), address, service, tool, port of the tail, mean packets."""

    at: np.ndarray
    src: np.ndarray
    service: np.ndarray
    tool: np.ndarray
    port: np.ndarray
    mu: np.ndarray


class Background:
    """Draws sessions of unplanted traffic. ``bank`` is given the ports they use."""

    def __init__(self, scenario: Scenario, bank: Bank) -> None:
        self.scenario, self.bank = scenario, bank
        self.table = services(scenario)
        self.rates = Rates(scenario, self.table)
        self._tail = tail_ports(scenario)
        self.tail = np.bincount(self._tail, minlength=65536) / len(self._tail)  # share of every port
        n = scenario.addresses
        self.sizes = [Sizes(row.largest * scenario.rate / 0.067, n) for row in self.table]
        weight = np.array([row.weight for row in self.table], float)
        mean = np.array([law.mean for law in self.sizes])
        visits = 1 + sum(share for _, share in AGAIN)
        packets_a_second = scenario.rate * n * (1 - SURVEYED)
        # New visitors of every service per second, before the cycle.
        self.births = weight * packets_a_second / float((weight * mean).sum() * visits)
        self._places = [
            bank.pool.weighted(row.ports) if row.ports is not TAIL else (0, 1) for row in self.table
        ]
        kinds = [bank.tools(row.tools) for row in self.table]
        self._tools = np.zeros((len(kinds), 256), np.int64)
        for i, kind in enumerate(kinds):
            self._tools[i] = kind[np.arange(256) % len(kind)]
        self._hours = np.array([row.hours for row in self.table])
        self._aimed = np.array([row.aimed for row in self.table])
        self._is_tail = np.array([row.ports is TAIL for row in self.table])
        self._offsets = np.array([place[0] for place in self._places])
        self._lengths = np.array([place[1] for place in self._places])
        self._quantiles = np.array([law.strengths(np.arange(4096) / 4096) for law in self.sizes])
        self.networks = networks(scenario)

    def visitors(self, hour: int) -> Visitors:
        """All new visitors of an hour (counted since 1970)."""
        rng = np.random.default_rng([self.scenario.seed, 1, hour])
        first = hour * HOUR // QUANTUM
        counts = np.array([rng.poisson(self.births * self.rates.at(first + i) * 600.0) for i in range(6)])
        total = int(counts.sum())
        which = np.repeat(np.tile(np.arange(len(self.table)), 6), counts.ravel())
        quantum = np.repeat(np.arange(6), counts.sum(axis=1))
        at = hour * HOUR + quantum * QUANTUM + (rng.random(total) * QUANTUM).astype(np.int64)
        src = addresses(self.networks, rng.integers(0, 2**64, total, dtype=np.uint64))
        word = rng.integers(0, 2**32, total)
        tool = self._tools[which, word & 0xFF]
        port = self._tail[rng.integers(0, len(self._tail), total)]
        mu = self._quantiles[which, word >> 20]
        return Visitors(at, src, which, tool, port, mu)

    def hour(self, hour: int) -> np.ndarray:
        """Sessions that begin in an hour: new visitors and those that come again."""
        parts = [self._sessions(self.visitors(hour), hour, 0, 1.0)]
        for days, share in AGAIN:
            parts.append(self._sessions(self.visitors(hour - 24 * days), hour, days, share))
        return np.concatenate(parts)

    def before(self) -> np.ndarray:
        """What is left, at the start of the scenario, of sessions that began earlier."""
        begin = self.scenario.start_ns
        parts = []
        for hour in range(begin // HOUR - _LOOK_BACK, begin // HOUR):
            rows = self.hour(hour)
            rows = rows[rows["end"] > begin]
            rng = np.random.default_rng([self.scenario.seed, 2, hour])
            left = (rows["end"] - begin) / (rows["end"] - rows["start"])
            rows["n"] = rng.binomial(rows["n"], left)
            rows = rows[rows["n"] > 0]
            # The first of n uniform times in what is left.
            share = -np.expm1(np.log(rng.random(len(rows)) + 1e-12) / rows["n"])
            rows["start"] = begin + ((rows["end"] - begin) * share).astype(np.int64)
            parts.append(rows)
        return np.concatenate(parts) if parts else np.zeros(0, SESSION)

    def _sessions(self, v: Visitors, hour: int, days: int, share: float) -> np.ndarray:
        rng = np.random.default_rng([self.scenario.seed, 3, hour, days])
        at = v.at + days * DAY
        if days:
            chosen = (
                mixed(v.src.astype(np.uint64) << np.uint64(8) | np.uint64(days)) >> np.uint64(11)
            ) * 2.0**-53
            kept = np.flatnonzero(chosen < share)
        else:
            kept = np.arange(len(at))
        service = v.service[kept]
        rows = self.bank.rows(v.tool[kept], v.src[kept], rng)
        rows["n"] = at_least_one(v.mu[kept], rng)
        rows["start"] = at[kept]
        length = self._hours[service] * HOUR * np.exp(rng.normal(0, 1.3, len(kept)))
        # Nobody sends more than some 300 packets a second to this telescope.
        length = np.maximum(length, rows["n"] * (SECOND / 300)) + SECOND
        rows["end"] = rows["start"] + np.minimum(length, LONGEST).astype(np.int64)
        tail = self._is_tail[service]
        rows["ports_off"] = np.where(tail, v.port[kept], self._offsets[service])
        rows["ports_len"] = self._lengths[service]
        aimed = self._aimed[service]
        n = self.scenario.addresses
        rows["dst_off"] = np.where(aimed, rng.integers(0, n, len(kept)), 0)
        rows["dst_len"] = np.where(aimed, 1, n)
        calm(rows)
        return rows


def networks(scenario: Scenario) -> np.ndarray:
    """The /16 (upper 16 bits, uint32) that sources live in: 65,536 entries to choose from with equal chance. Populated
    networks come more often, by the law of ``internet.addresses``."""
    drawn = Sources(np.random.default_rng([scenario.seed, 14]), scenario.blocks).draw(65536)
    found: np.ndarray = drawn >> np.uint32(16)
    return found


def addresses(chosen: np.ndarray, words: np.ndarray) -> np.ndarray:
    """Source addresses (uint32) from random words (uint64), in the networks of ``networks``."""
    high = chosen[(words & np.uint64(0xFFFF)).astype(np.int64)]
    low = np.uint32(1) + ((words >> np.uint64(32)) % np.uint64(65534)).astype(np.uint32)
    found: np.ndarray = (high << np.uint32(16)) | low
    return found
