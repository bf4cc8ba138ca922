"""What is remembered of sources between days: on which of the last 30 days they came, and how even their
volume.

Volumes are packets a day of observation (a day observed for six hours counts four times its packets),
capped at 2^28, so that sums of squares stay exact. At most ``limit`` sources are remembered: those that
came on most days, then the most recent, then the busiest. A source that stayed away for 30 days is
forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from andon.sketch.state import StateError, pack, unpack

_DAYS = 30
_CAP = 1 << 28
_LEAST_PACKETS = 3  # a source seen once or twice is not worth a place
_WINDOW = np.uint32((1 << _DAYS) - 1)


@dataclass(frozen=True)
class Past:
    """Of each source: days it came, days observed since it first came, the coefficient of variation of its daily
    volume (nan below three days), packets in all, and 1 + the number of days since it last ran known malware
    (0: never)."""

    came: np.ndarray  # int64
    since: np.ndarray  # int64
    variation: np.ndarray  # float64
    packets: np.ndarray  # int64
    malware: np.ndarray  # int64


@dataclass(frozen=True)
class Memory:
    """Parallel arrays over sources, ascending by address; bit n of ``days`` is the day n days ago."""

    address: np.ndarray  # uint32
    days: np.ndarray  # uint32
    number: np.ndarray  # int64, days that are in the sums
    total: np.ndarray  # int64
    squares: np.ndarray  # int64
    packets: np.ndarray  # int64, as they were seen
    malware: np.ndarray  # uint32, bits as in days: days on which it ran known malware
    observed: int = 0  # days on which there was traffic, as bits
    forgotten: int = 0  # sources left out at the last day for want of room

    @classmethod
    def empty(cls) -> Self:
        none = np.zeros(0, np.int64)
        return cls(
            np.zeros(0, np.uint32), np.zeros(0, np.uint32), none, none, none, none, np.zeros(0, np.uint32)
        )

    def next_day(
        self,
        address: np.ndarray,
        packets: np.ndarray,
        malware: np.ndarray,
        share: float,
        gap: int,
        limit: int,
    ) -> Memory:
        """The memory after a day with these sources (ascending; ``malware``: whether it ran any) of which a
        ``share`` was observed, ``gap`` empty days after the last one."""
        shift = np.uint32(min(gap + 1, 31))
        aged = replace(self, days=(self.days << shift) & _WINDOW, malware=(self.malware << shift) & _WINDOW)
        worth = (packets >= _LEAST_PACKETS) | np.isin(address, self.address)
        volume = np.minimum(packets[worth] / max(share, 1 / 86400), _CAP).astype(np.int64)
        merged = np.union1d(self.address, address[worth])
        old, new = np.searchsorted(merged, self.address), np.searchsorted(merged, address[worth])
        columns: dict[str, np.ndarray] = {
            "days": np.zeros(len(merged), np.uint32),
            "number": np.zeros(len(merged), np.int64),
            "total": np.zeros(len(merged), np.int64),
            "squares": np.zeros(len(merged), np.int64),
            "packets": np.zeros(len(merged), np.int64),
            "malware": np.zeros(len(merged), np.uint32),
        }
        for name, values in columns.items():
            values[old] = getattr(aged, name)
        columns["days"][new] |= np.uint32(1)
        columns["number"][new] += 1
        columns["total"][new] += volume
        columns["squares"][new] += volume * volume
        columns["packets"][new] += packets[worth]
        columns["malware"][new] |= malware[worth].astype(np.uint32)
        alive = columns["days"] > 0
        full = columns["number"] >= 127  # the sums of squares stay below 2^63
        columns["number"][full] >>= 1
        columns["total"][full] >>= 1
        columns["squares"][full] >>= 1
        order = np.lexsort((merged, -columns["total"], -columns["days"].astype(np.int64), -columns["number"]))
        order = order[alive[order]]
        keep = np.sort(order[:limit])
        observed = ((self.observed << int(shift)) | 1) & int(_WINDOW)
        return Memory(
            merged[keep],
            columns["days"][keep],
            columns["number"][keep],
            columns["total"][keep],
            columns["squares"][keep],
            columns["packets"][keep],
            columns["malware"][keep],
            observed,
            max(0, len(order) - limit),
        )

    def of(self, address: np.ndarray) -> Past:
        """The past of each address (uint32), ascending or not."""
        size = len(address)
        came, since, variation = np.zeros(size, np.int64), np.zeros(size, np.int64), np.full(size, np.nan)
        packets, malware = np.zeros(size, np.int64), np.zeros(size, np.int64)
        past = Past(came, since, variation, packets, malware)
        if not len(self.address):
            return past
        at = np.minimum(np.searchsorted(self.address, address), len(self.address) - 1)
        known = self.address[at] == address
        at = at[known]
        came[known] = np.bitwise_count(self.days[at])
        oldest = np.zeros(len(at), np.int64)
        for bit in range(_DAYS):
            oldest[(self.days[at] >> np.uint32(bit)) & np.uint32(1) == 1] = bit
        observed = np.array([(self.observed & ((2 << bit) - 1)).bit_count() for bit in range(_DAYS)])
        since[known] = observed[oldest]
        number, total = self.number[at].astype(float), self.total[at].astype(float)
        enough = number >= 3
        mean = np.where(enough, total / np.maximum(number, 1), 1.0)
        spread = np.sqrt(np.maximum(self.squares[at] / np.maximum(number, 1) - mean**2, 0.0))
        variation[known] = np.where(enough, spread / np.maximum(mean, 1e-9), np.nan)
        packets[known] = self.packets[at]
        lowest = self.malware[at] & (~self.malware[at] + np.uint32(1))
        malware[known] = np.where(lowest > 0, np.log2(np.maximum(lowest, 1)).astype(np.int64) + 1, 0)
        return past

    def to_bytes(self) -> bytes:
        arrays = {
            "address": self.address,
            "days": self.days,
            "number": self.number,
            "total": self.total,
            "squares": self.squares,
            "packets": self.packets,
            "malware": self.malware,
        }
        return pack("memory", 1, arrays, {"observed": self.observed, "forgotten": self.forgotten})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        arrays, scalars = unpack("memory", 1, data)
        try:
            return cls(
                arrays["address"],
                arrays["days"],
                arrays["number"],
                arrays["total"],
                arrays["squares"],
                arrays["packets"],
                arrays["malware"],
                scalars["observed"],
                scalars["forgotten"],
            )
        except KeyError as error:
            raise StateError(f"damaged memory of sources: no {error}") from error
