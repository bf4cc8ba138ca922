"""Sources as the mixture sees them: packets by port, and what they would be worth as leaks or as background.

A source's packets count at most as 48: repeats and retransmissions make weights of a loud source look more certain
than they are. Only the ports of some family are looked at one by one; the others are in the sums. Sources that look
alike are one row that stands for so many of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from andon.detect.darknet.portsets.chance import Popularity, protocols
from andon.detect.darknet.portsets.kernel import CODES, PORTS
from andon.detect.darknet.portsets.scanners import Scanners
from andon.detect.darknet.portsets.starts import MOST_PACKETS
from andon.sketch.hashing import mix64_array

LEAK = 0.05
VOLUMES = 8
LEAKS = 3  # packets to a port that is none of the family's count as at most so many
LOG_FACTORIAL = np.r_[0.0, np.cumsum(np.log(np.arange(1, int(MOST_PACKETS) + 2 * PORTS)))]


class Packed(NamedTuple):
    """Rows as the kernels of ``walk`` take them. The entries, of which row i has ``begin[i]`` to ``begin[i + 1]``, are
    those of ports of some family alone: ``at`` (place of the port), ``weight`` (packets), ``gain`` (see ``Rows``),
    ``ways`` (log of the factorial of the packets) and ``more``: packets beyond those that count of a leak. Of a row
    of one port ``single`` is the place of its code among ``codes``; else it is -1. The rest is as in ``Rows``."""

    begin: np.ndarray
    at: np.ndarray
    weight: np.ndarray
    gain: np.ndarray
    ways: np.ndarray
    more: np.ndarray
    base: np.ndarray
    leaks: np.ndarray
    several: np.ndarray
    single: np.ndarray
    sizes: np.ndarray
    volume: np.ndarray
    times: np.ndarray
    codes: np.ndarray


@dataclass(frozen=True)
class Rows:
    """Sources for the fit. Over the entries of the sources: ``at`` (index into the ports of the families, -1: none of
    them), ``weight`` (packets, about 48 in all at most) and ``gain``: minus the log-likelihood as a leak. Over the
    sources: ``base``, log-likelihood if all packets were leaks but for the order of its ``leaks`` packets; ``single``,
    the code of a source of one port, else -1; ``several``, log-probability that a background source of its size has
    its ports and packets, 0 for singles; ``sizes``, number of ports; ``volume``, see ``_volume``; ``times``, how many
    sources the row stands for."""

    begin: np.ndarray
    at: np.ndarray
    weight: np.ndarray
    base: np.ndarray
    leaks: np.ndarray
    gain: np.ndarray
    single: np.ndarray
    several: np.ndarray
    sizes: np.ndarray
    volume: np.ndarray
    times: np.ndarray

    @property
    def owner(self) -> np.ndarray:
        """Index of the row of each entry."""
        return np.repeat(np.arange(len(self.sizes)), np.diff(self.begin))

    def grouped(self) -> Rows:
        """Equal rows once, with the number of sources each stands for."""
        owner = self.owner
        # The gain tells codes that are no port of a family apart, as far as it matters.
        words = self.at << 40 ^ self.weight << 32 ^ np.round(self.gain * 1e4).astype(np.int64)
        key = np.zeros(len(self.sizes), np.uint64)
        np.add.at(key, owner, mix64_array(words.view(np.uint64), np.uint64(1)))
        key ^= mix64_array((self.single * VOLUMES + self.volume).view(np.uint64), np.uint64(2))
        key ^= mix64_array(np.round(self.several * 1e4).astype(np.int64).view(np.uint64), np.uint64(3))
        _, first, times = np.unique(key, return_index=True, return_counts=True)
        order = np.argsort(first)
        first, times = first[order], times[order]
        keep = np.zeros(len(self.sizes), np.bool_)
        keep[first] = True
        entries = keep[owner]
        return Rows(
            np.r_[0, np.cumsum(np.diff(self.begin)[first])], self.at[entries], self.weight[entries], self.base[first],
            self.leaks[first], self.gain[entries], self.single[first], self.several[first], self.sizes[first],
            self.volume[first], times.astype(float),
        )  # fmt: skip

    def packed(self) -> Packed:
        """For the kernels, without the entries that are no port of a family."""
        known = self.at >= 0
        weight = self.weight[known]
        alone = self.single >= 0
        codes, place = np.unique(self.single[alone], return_inverse=True)
        single = np.full(len(self.sizes), -1, np.int64)
        single[alone] = place
        return Packed(
            begin=np.r_[0, np.cumsum(known)][self.begin],
            at=self.at[known],
            weight=weight,
            gain=self.gain[known],
            ways=LOG_FACTORIAL[weight],
            more=weight - np.minimum(weight, LEAKS),
            base=self.base,
            leaks=self.leaks,
            several=self.several,
            single=single,
            sizes=self.sizes,
            volume=self.volume,
            times=self.times,
            codes=codes,
        )


def rows_of(
    scanners: Scanners, ports: np.ndarray, popularity: np.ndarray, by_class: list[Popularity]
) -> Rows:
    """Sources as the fit sees them; ``ports`` ascending codes, ``popularity`` share of packets of each code."""
    from scipy.special import gammaln

    place = np.full(CODES, -1, np.int64)
    place[ports] = np.arange(len(ports))
    sizes = scanners.sizes
    owner = scanners.owner
    total = np.bincount(owner, scanners.counts, minlength=len(scanners))
    scale = np.minimum(1.0, MOST_PACKETS / np.maximum(total, 1))
    weight = np.maximum(1, np.rint(scanners.counts * scale[owner])).astype(np.int64)
    # Another host behind the address repeats its port: the first packets say nearly all.
    capped = np.minimum(weight, LEAKS)
    leak = capped * np.log(LEAK * np.maximum(popularity[scanners.codes], 1e-9)) - LOG_FACTORIAL[capped]
    leaks = np.bincount(owner, capped, minlength=len(scanners)).astype(np.int64)
    base = np.bincount(owner, leak, minlength=len(scanners))
    n = np.bincount(owner, weight, minlength=len(scanners))
    single = np.where(sizes == 1, scanners.codes[scanners.begin[:-1]] if len(scanners) else 0, -1)
    several = np.zeros(len(scanners))
    many = np.flatnonzero(sizes > 1)
    which = protocols(scanners)
    odds = np.zeros(len(scanners.codes))
    for number, one in enumerate(by_class):
        mine = (which[owner] == number) & (sizes[owner] > 1)
        d, group = sizes[owner[mine]] - 1, one.group[scanners.codes[mine]]
        # A port that the fit never saw is as rare as can be.
        met = np.where(group >= 0, one.met[d, np.maximum(group, 0)] if one.met.shape[1] else 0.0, 1e-9)
        odds[mine] = np.log(np.maximum(met, 1e-9)) - np.log1p(-met)
        rest = one.rest[sizes[many] - 1]
        several[many] += np.where(which[many] == number, rest, 0.0)
    several += np.bincount(owner, odds, minlength=len(scanners)) * (sizes > 1)
    several = np.minimum(several, 0.0)
    # Every way to share n packets among the ports, one each at least, is as likely as the other.
    d = sizes[many]
    several[many] -= gammaln(np.maximum(n[many], d)) - gammaln(d) - gammaln(np.maximum(n[many], d) - d + 1)
    return Rows(
        scanners.begin,
        place[scanners.codes],
        weight,
        base,
        leaks,
        -leak,
        single,
        several,
        sizes,
        _volume(total),
        np.ones(len(sizes)),
    )


def _volume(packets: np.ndarray) -> np.ndarray:
    """Number of the power of two that packets have reached: 1, 2 to 3, 4 to 7, ..., 128 and more."""
    powers = np.log2(np.maximum(packets, 1)).astype(np.int64)
    volume: np.ndarray = np.minimum(powers, VOLUMES - 1)
    return volume
