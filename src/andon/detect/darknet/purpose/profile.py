"""What the rows say, as arrays: one value for each source."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from andon.detect.darknet.purpose.kernel import (
    LAST,
    PORTS_AT,
    SLOTS,
    TARGET_RATES,
    TARGETS_AT,
    THIN_AT,
    THIN_RATES,
    TICK_SECONDS,
)
from andon.detect.darknet.purpose.summary import Profiles

_SLOT_WORD = np.uint64((1 << (SLOTS - 128)) - 1)


@dataclass(frozen=True)
class Sources:
    """Parallel arrays over the sources kept, ascending by address.

    ``ports`` and ``targets`` are estimates of distinct destination ports (over all protocols) and addresses,
    standard error about 5 to 15 %, not above some 600 ports and 200,000 addresses; one port is exact. ``breadth``
    is the number of distinct ports among ``sampled`` of its packets, the sampling rate with the number nearest to
    100. ``first`` and ``last`` are seconds of the day, ``slots`` (n, 3) the ten-minute slots as bits."""

    address: np.ndarray  # uint32
    packets: np.ndarray  # int64
    attacked: np.ndarray  # int64, packets to ports that are mostly attacked
    ports: np.ndarray  # float64
    targets: np.ndarray  # float64
    sampled: np.ndarray  # float64
    breadth: np.ndarray  # float64
    first: np.ndarray  # int64
    last: np.ndarray  # int64
    low: np.ndarray  # int64, lowest port
    high: np.ndarray  # int64, highest port
    main: np.ndarray  # int64, the port scanned most, by four packets drawn
    slots: np.ndarray  # uint64 (n, 3)
    active: np.ndarray  # int64, number of slots
    protocols: np.ndarray  # int64 bits: TCP 1, UDP 2, ICMP 4

    def __len__(self) -> int:
        return len(self.address)


def sources(profiles: Profiles) -> Sources:
    """Decode the rows of a day."""
    keys, columns = profiles.rows.table()
    bits, counts, least = columns["bits"], columns["counts"], columns["least"].astype(np.int64)
    packets = counts[:, 0].astype(np.int64)
    slots = bits[:, :3].copy()
    protocols = ((slots[:, 2] >> np.uint64(16)) & np.uint64(7)).astype(np.int64)
    slots[:, 2] &= _SLOT_WORD
    ports = _linear_count(bits[:, PORTS_AT : PORTS_AT + 2])
    single = (least[:, 1] == LAST - least[:, 3]) & np.isin(protocols, (1, 2, 4))
    ports = np.where(single, 1.0, np.minimum(np.maximum(ports, 2.0), packets))
    sampled, breadth = _breadth(packets, ports, bits)
    return Sources(
        address=keys.astype(np.uint32),
        packets=packets,
        attacked=counts[:, 1].astype(np.int64),
        ports=ports,
        targets=np.minimum(_targets(bits), packets),
        sampled=sampled,
        breadth=breadth,
        first=least[:, 0] * TICK_SECONDS,
        last=(LAST - least[:, 2]) * TICK_SECONDS,
        low=least[:, 1],
        high=LAST - least[:, 3],
        main=_most_scanned(columns["drawn"]),
        slots=slots,
        active=ones(slots),
        protocols=protocols,
    )


def _linear_count(words: np.ndarray) -> np.ndarray:
    """Distinct items of each row's bitmap; a full bitmap counts as one with half a free bit."""
    size = words.shape[1] * 64
    free = np.maximum(size - ones(words), 0.5)
    return np.asarray(size * np.log(size / free))


def _breadth(packets: np.ndarray, ports: np.ndarray, bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(packets sampled, distinct ports among them) at the rate that leaves nearest to 100 packets."""
    away = np.stack([np.abs(np.log(np.maximum(packets, 1) / rate / 100)) for rate in THIN_RATES])
    best = np.argmin(away, axis=0)
    sampled = packets / np.array(THIN_RATES)[best]
    thinned = [ports, *(_linear_count(bits[:, THIN_AT + n : THIN_AT + n + 1]) for n in range(2))]
    breadth = np.choose(best, thinned)
    return sampled, np.minimum(breadth, np.maximum(sampled, 1.0))


def _targets(bits: np.ndarray) -> np.ndarray:
    out = np.ones(len(bits))
    done = np.zeros(len(bits), np.bool_)
    for n, rate in enumerate(TARGET_RATES):
        count = _linear_count(bits[:, TARGETS_AT + n : TARGETS_AT + n + 1])
        # 64 bits count up to about 190; beyond that the coarser sample is the better one.
        out = np.where(done, out, count * rate)
        done |= count < 190
    return np.maximum(out, 1.0)


def _most_scanned(drawn: np.ndarray) -> np.ndarray:
    """The port that stands most often among the packets drawn; of equals the lowest."""
    free = drawn == np.iinfo(drawn.dtype).max
    ports = np.sort(np.where(free, -1, (drawn & np.uint32(0xFFFF)).astype(np.int64)), axis=1)
    best, times = ports[:, -1].copy(), np.zeros(len(ports), np.int64)
    for n in range(ports.shape[1] - 1, -1, -1):
        number = (ports == ports[:, n : n + 1]).sum(axis=1)
        better = (ports[:, n] >= 0) & (number >= times)
        best[better], times[better] = ports[better, n], number[better]
    return best


@njit(cache=True, nogil=True)
def ones(words: np.ndarray) -> np.ndarray:
    """Number of one bits in each row of an (n, k) uint64 array, as int64."""
    out = np.zeros(words.shape[0], np.int64)
    for i in range(words.shape[0]):
        for j in range(words.shape[1]):
            x = words[i, j]
            while x != np.uint64(0):
                x &= x - np.uint64(1)
                out[i] += 1
    return out


def at_equal_packets(sampled: np.ndarray, breadth: np.ndarray, packets: int = 100) -> np.ndarray:
    """Distinct ports to expect among ``packets`` packets, for sources with ``breadth`` among ``sampled``.

    Rarefaction (Hurlbert, Ecology 52, 1971) with equally likely ports: breadth = K (1 - exp(-sampled / K)) is
    solved for K. nan where fewer than 30 packets were sampled.

    >>> at_equal_packets(np.array([100.0, 400.0, 10.0]), np.array([60.0, 10.0, 5.0])).round(1).tolist()
    [60.0, 10.0, nan]
    """
    out = np.full(len(sampled), np.nan)
    rows = np.flatnonzero(sampled >= 30)
    m, d = sampled[rows], np.minimum(breadth[rows], sampled[rows] * 0.98)
    low, high = np.log(np.maximum(d, 1.0)), np.full(len(rows), np.log(1e6))
    for _ in range(30):
        middle = np.exp((low + high) / 2)
        few = middle * -np.expm1(-m / middle) < d
        low, high = np.where(few, np.log(middle), low), np.where(few, high, np.log(middle))
    kinds = np.exp((low + high) / 2)
    out[rows] = kinds * -np.expm1(-packets / kinds)
    return out
