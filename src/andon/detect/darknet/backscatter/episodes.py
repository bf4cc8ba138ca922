"""Attacks as runs of answers from one address: the packet, duration and rate rules on 10-second bins.

Columns in, columns out. The bins of one source stand in time order, so every rule is a reduction over runs of
rows. The 60-second window slides by 10 s as in corsaro, but its bins are aligned to UTC and not to the first
packet, so that tiles merge; the busiest minute may therefore differ from corsaro's by what one bin holds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from andon.detect.darknet.backscatter.kernel import BIN_BITS, SOURCE_SHIFT
from andon.detect.darknet.backscatter.thresholds import Thresholds

WINDOW_BINS = 6
MOST_COUNTED = 200  # a 64-bit mask tells numbers of addresses apart up to about here


@dataclass(frozen=True)
class Episodes:
    """One row per attack, by source and time. ``addresses`` is an estimate; ``MOST_COUNTED`` stands for "at least
    so many". ``window_*`` are of the busiest 60 s."""

    source: np.ndarray  # uint32
    packets: np.ndarray  # int64
    addresses: np.ndarray  # float64
    first: np.ndarray  # int64 ns
    last: np.ndarray
    window_packets: np.ndarray  # int64
    window_addresses: np.ndarray  # float64
    ports: np.ndarray  # float64: distinct destination ports, estimate as above
    port_low: np.ndarray  # uint16; 65535 if no answer had ports
    port_high: np.ndarray
    dst_low: np.ndarray  # uint32
    dst_high: np.ndarray

    def __len__(self) -> int:
        return len(self.source)

    def only(self, which: np.ndarray) -> Episodes:
        return Episodes(**{name: getattr(self, name)[which] for name in self.__dataclass_fields__})


def counted(masks: np.ndarray) -> np.ndarray:
    """Estimated number of distinct items from 64-bit linear counting masks, at most ``MOST_COUNTED``.

    >>> counted(np.array([0, 1, 0xFFFF, 0xFFFFFFFFFFFFFFFF], np.uint64)).round().tolist()
    [0.0, 1.0, 18.0, 200.0]
    """
    empty = 64.0 - np.bitwise_count(masks.astype(np.uint64)).astype(np.float64)
    return np.minimum(64.0 * np.log(64.0 / np.maximum(empty, 0.5)), MOST_COUNTED)


def find_episodes(keys: np.ndarray, bins: dict[str, np.ndarray], rules: Thresholds) -> Episodes:
    """All attacks in bins that are sorted by key (source above ``SOURCE_SHIFT``, 10-s bin below)."""
    source = (keys >> np.uint64(SOURCE_SHIFT)).astype(np.uint32)
    start = _run_starts(source, bins["first"], bins["last"], rules.silence)
    # Most sources answer once or twice: they are out before anything dear is done.
    packets = (
        np.add.reduceat(bins["packets"].astype(np.int64), start) if len(start) else np.empty(0, np.int64)
    )
    first, last = _reduce(np.minimum, bins["first"], start), _reduce(np.maximum, bins["last"], start)
    passed = (packets >= rules.packets) & (last - first >= rules.seconds)
    lengths = np.diff(np.r_[start, len(keys)])
    rows = np.repeat(passed, lengths) if len(start) else np.empty(0, np.bool_)
    kept = {name: array[rows] for name, array in bins.items()}
    start = (
        np.r_[0, np.cumsum(lengths[passed])[:-1]].astype(np.int64) if passed.any() else np.empty(0, np.int64)
    )
    run = np.repeat(np.arange(len(start)), lengths[passed])
    window_packets, window_masks = _windows(keys[rows], run, kept["packets"].astype(np.int64), kept["dsts"])
    window_addresses = _reduce(np.maximum, counted(window_masks), start)
    busiest = _reduce(np.maximum, window_packets, start)
    episodes = Episodes(
        source=source[rows][start],
        packets=packets[passed],
        addresses=counted(_reduce(np.bitwise_or, kept["dsts"], start)),
        first=first[passed],
        last=last[passed],
        window_packets=busiest,
        window_addresses=window_addresses,
        ports=counted(_reduce(np.bitwise_or, kept["ports"], start)),
        port_low=_reduce(np.minimum, kept["port_low"], start),
        port_high=_reduce(np.maximum, kept["port_high"], start),
        dst_low=_reduce(np.minimum, kept["dst_low"], start),
        dst_high=_reduce(np.maximum, kept["dst_high"], start),
    )
    fast = (busiest >= rules.rate) & (np.round(window_addresses) >= rules.addresses)
    slow = (episodes.packets >= rules.slow) & (episodes.addresses >= 0.8 * rules.slow)
    return episodes.only(fast | slow if rules.slow else fast)


def _run_starts(source: np.ndarray, first: np.ndarray, last: np.ndarray, silence: int) -> np.ndarray:
    if not len(source):
        return np.empty(0, np.int64)
    new = np.r_[True, (source[1:] != source[:-1]) | (first[1:] - last[:-1] > silence)]
    return np.flatnonzero(new)


def _reduce(how: np.ufunc, values: np.ndarray, start: np.ndarray) -> np.ndarray:
    return np.asarray(how.reduceat(values, start)) if len(start) else values[:0]


def _windows(
    keys: np.ndarray, run: np.ndarray, packets: np.ndarray, masks: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """For each row the packets and the address mask of the 60 s that begin with its bin."""
    when = (keys & np.uint64(BIN_BITS)).astype(np.int64)
    total, seen = packets.copy(), masks.copy()
    for ahead in range(1, min(WINDOW_BINS, len(keys))):
        inside = (run[ahead:] == run[:-ahead]) & (when[ahead:] - when[:-ahead] < WINDOW_BINS)
        total[:-ahead][inside] += packets[ahead:][inside]
        seen[:-ahead][inside] |= masks[ahead:][inside]
    return total, seen
