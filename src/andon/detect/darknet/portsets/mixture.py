"""Families of sources by their ports: a mixture of multinomials over a background of independent scanners.

A family is a set of ports with weights; its sources draw the port of every packet by them, with a leak of five percent
to other ports, as often as the background scans them (an address has other hosts behind it). The background scans
one port per source, or several that have nothing to do with one another (``chance``). Maximum likelihood by EM
(Dempster, Laird, Rubin, J. R. Stat. Soc. B 39, 1977), started from the sets that stand out (``candidates``); a family
stays if the likelihood it adds is worth its description (Rissanen, Automatica 14, 1978: half a log of the number of
sources for each weight, and the log of the number of ports for each port).

How many packets a source sends tells families apart too: each has its own distribution over powers of two, and so has
the background, else every faint scanner of a busy port would be divided among the families that have the port.

A source's packets count at most as 48: repeats and retransmissions make weights of a loud source look more certain
than they are. Nothing is drawn at random: rows in order of address, starts in order of their surprise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from andon.detect.darknet.portsets.candidates import Candidates
from andon.detect.darknet.portsets.chance import Popularity, protocols
from andon.detect.darknet.portsets.kernel import CODES, PORTS
from andon.detect.darknet.portsets.scanners import Scanners
from andon.detect.darknet.portsets.starts import MOST_PACKETS, SAME, starts_of
from andon.sketch.hashing import mix64_array

LEAK = 0.05
_LEAST_WEIGHT = 0.004
_LEAST_SOURCES = 3.0
_ABOVE_LEAK = 3.0
_LEAST_DUE = 0.6
_BUSY, _MOST_FOREIGN = 0.02, 0.1
_TIMES = 4.0
_ROUNDS, _ENOUGH = 40, 1e-6
_NOTHING = 21.0  # log: a posterior below 1e-9 is none
VOLUMES = 8
LEAKS = 3  # packets to a port that is none of the family's count as at most so many
_LOG_FACTORIAL = np.r_[0.0, np.cumsum(np.log(np.arange(1, int(MOST_PACKETS) + 2 * PORTS)))]


@dataclass(frozen=True)
class Rows:
    """Sources for the fit. Over the entries of the sources: ``at`` (index into ``ports``, -1: none of them),
    ``weight`` (packets, about 48 in all at most) and ``gain``: minus the log-likelihood as a leak. Over the sources:
    ``base``, log-likelihood if all packets were leaks but for the order of its ``leaks`` packets; ``single``, the code
    of a source of one port, else -1; ``several``, log-probability that a background source of its size has its ports
    and packets, 0 for singles; ``sizes``, number of ports; ``volume``, see ``_volume``; ``times``,
    how many sources the row stands for."""

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

    def grouped(self) -> Rows:
        """Equal rows once, with the number of sources each stands for."""
        owner = np.repeat(np.arange(len(self.sizes)), np.diff(self.begin))
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


@dataclass(frozen=True)
class Mixture:
    """``ports`` are codes; ``weights`` (families, ports) sum to one in each row; ``size`` (families,
    volumes): expected sources, ``background`` those of none. ``singles``: of the background, expected sources by code;
    ``by_size``: by number of ports and volume. ``popularity``: what leaks, share of packets by code."""

    ports: np.ndarray
    weights: np.ndarray
    size: np.ndarray
    background: float
    singles: np.ndarray
    by_size: np.ndarray
    popularity: np.ndarray  # float64[CODES], share of packets of each code

    def __len__(self) -> int:
        return len(self.size)

    def sets(self) -> list[tuple[int, ...]]:
        """The set of ports of each family."""
        return [tuple(self.ports[row > 0].tolist()) for row in self.weights]


@njit(cache=True, nogil=True)
def expect(
    begin: np.ndarray,
    at: np.ndarray,
    weight: np.ndarray,
    gain: np.ndarray,
    base: np.ndarray,
    leaks: np.ndarray,
    volume: np.ndarray,
    times: np.ndarray,
    background: np.ndarray,
    log_share: np.ndarray,
    log_weight: np.ndarray,
    n_of: np.ndarray,
    packets_of: np.ndarray,
    sources_of: np.ndarray,
    worth: np.ndarray,
    of_background: np.ndarray,
    best: np.ndarray,
    posterior: np.ndarray,
    log_factorial: np.ndarray,
    log_miss: np.ndarray,
    due: np.ndarray,
) -> float:
    """One walk over the sources: posterior of each family, and what they add up to.

    ``times``: sources each row stands for; ``log_share`` (families, volumes); ``log_weight`` (families, ports),
    above 0 where a port is none of its; ``background``: log-density with its share; ``log_miss``: log of one
    less each weight. Filled: expected sources ``n_of`` by volume and ``sources_of`` by port, packets ``packets_of``;
    ``due``: sources that should have each port by its weight; ``worth``: log-likelihood lost without the family;
    ``of_background``: its posterior; ``best`` and ``posterior`` of each row. Gives the log-likelihood."""
    families = log_share.shape[0]
    density = np.empty(families)
    total = 0.0
    for i in range(begin.shape[0] - 1):
        high = background[i]
        best[i] = -1
        relevant = False
        for j in range(begin[i], begin[i + 1]):
            relevant |= at[j] >= 0
        if not relevant:
            total += times[i] * high
            posterior[i] = of_background[i] = 1.0
            continue
        for k in range(families):
            value = log_share[k, volume[i]] + base[i]
            counted = leaks[i]
            for j in range(begin[i], begin[i + 1]):
                if at[j] >= 0 and log_weight[k, at[j]] <= 0.0:
                    value += weight[j] * log_weight[k, at[j]] + gain[j] - log_factorial[weight[j]]
                    counted += weight[j] - min(weight[j], LEAKS)
            value += log_factorial[counted]
            density[k] = value
            if value > high:
                high = value
                best[i] = k
        mass = np.exp(background[i] - high)
        for k in range(families):
            if density[k] > high - _NOTHING:
                mass += np.exp(density[k] - high)
        total += times[i] * (high + np.log(mass))
        posterior[i] = 1.0 / mass
        of_background[i] = np.exp(background[i] - high) / mass
        for k in range(families):
            if density[k] <= high - _NOTHING:
                continue
            share = np.exp(density[k] - high) / mass
            lost = -np.log(1.0 - share) if share < 0.999999 else _lost(density, k, background[i], high, mass)
            worth[k] += times[i] * lost
            r = times[i] * share
            n_of[k, volume[i]] += r
            inside = 0
            for j in range(begin[i], begin[i + 1]):
                if at[j] >= 0 and log_weight[k, at[j]] <= 0.0:
                    packets_of[k, at[j]] += r * weight[j]
                    sources_of[k, at[j]] += r
                    inside += weight[j]
            if share > 0.01:
                for u in range(log_miss.shape[1]):
                    if log_weight[k, u] <= 0.0:
                        due[k, u] += r * (1.0 - np.exp(inside * log_miss[k, u]))
    return total


@njit(cache=True, nogil=True, inline="always")
def _lost(density: np.ndarray, without: int, background: float, high: float, mass: float) -> float:
    """Log-likelihood that a source loses without one family, where the others have next to nothing."""
    other = background
    for k in range(density.shape[0]):
        if k != without:
            other = max(other, density[k])
    lost: float = high + np.log(mass) - other
    return lost


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
    leak = capped * np.log(LEAK * np.maximum(popularity[scanners.codes], 1e-9)) - _LOG_FACTORIAL[capped]
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


def popular(scanners: Scanners) -> np.ndarray:
    """float64[CODES]: share of each code in the packets of these sources, of which at most 48 count of a port."""
    packets = np.bincount(scanners.codes, np.minimum(scanners.counts, MOST_PACKETS), minlength=CODES)
    shares: np.ndarray = packets / max(float(packets.sum()), 1.0)
    return shares


def fit(
    scanners: Scanners,
    found: Candidates,
    chosen: np.ndarray,
    by_class: list[Popularity],
    popularity: np.ndarray,
) -> Mixture:
    """The families among these sources; ``chosen``: the candidates that stand out (a mask); ``popularity``: share of
    each code in the packets that leak."""
    starts, size = starts_of(scanners, found, chosen)
    ports = np.array(sorted({code for start in starts for code in start}), np.int64)
    rows = rows_of(scanners, ports, popularity, by_class).grouped()
    weights = np.zeros((len(starts), len(ports)))
    for k, start in enumerate(starts):
        weights[k, np.searchsorted(ports, list(start))] = list(start.values())
    ways = float(np.log(max(2.0, len(np.unique(scanners.codes)))))
    volumes = np.bincount(rows.volume, rows.times, minlength=VOLUMES) / max(1.0, float(rows.times.sum()))
    return _em(rows, ports, weights, np.array(size, float)[:, None] * volumes, popularity, ways)


def _em(
    rows: Rows, ports: np.ndarray, weights: np.ndarray, size: np.ndarray, popularity: np.ndarray, ways: float
) -> Mixture:
    """EM to a standstill; then the family that is least worth its description goes, and so on."""
    count = float(rows.times.sum())
    of_background = np.ones(len(rows.sizes))
    while True:
        size, weights, of_background, seen = _converge(rows, ports, weights, size, of_background, popularity)
        # A foreign port is scanned by few of the sources, and by these often.
        odd = (weights > 0) & (seen.sources < _LEAST_DUE * seen.due)
        if odd.any():
            weights = np.where(odd, 0.0, weights)
            alive = (weights > 0).sum(axis=1) >= 2
            weights, size = weights[alive], size[alive]
            weights /= weights.sum(axis=1, keepdims=True)
            continue
        weights, size, merged = _join(weights, size)
        if merged:
            continue
        foreign = _foreign(weights, size.sum(axis=1), popularity[ports])
        if foreign >= 0:
            weights, size = np.delete(weights, foreign, 0), np.delete(size, foreign, 0)
            continue
        sets = (weights > 0).sum(axis=1)
        cost = sets * (0.5 * np.log(max(count, 2)) + ways)
        least = int(np.argmin(seen.worth - cost)) if len(weights) else -1
        if least < 0 or seen.worth[least] >= cost[least]:
            break
        weights, size = np.delete(weights, least, 0), np.delete(size, least, 0)
    singles = _singles(rows, of_background)
    by_size = _by_size(rows, of_background)
    used = (weights > 0).any(axis=0)
    return Mixture(
        ports[used], weights[:, used], size, float(of_background @ rows.times), singles, by_size, popularity
    )


def _converge(
    rows: Rows,
    ports: np.ndarray,
    weights: np.ndarray,
    size: np.ndarray,
    of_background: np.ndarray,
    popularity: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Expectation]:
    """(sizes, weights, posterior of the background, the last walk) at the maximum; families that starve go."""
    count = float(rows.times.sum())
    before = -np.inf
    while True:
        for _ in range(_ROUNDS):
            seen = expectation(rows, weights, size, of_background, popularity[ports])
            of_background, size = seen.of_background, seen.size
            new, alive = _maximise(seen, popularity[ports])
            if not alive.all():
                break
            if seen.log_likelihood - before < _ENOUGH * count:
                return size, weights, of_background, seen
            before, weights = seen.log_likelihood, new
        else:
            return size, weights, of_background, seen
        weights, size, before = new[alive], size[alive], -np.inf


@dataclass(frozen=True)
class Expectation:
    """What one walk gives, see ``expect``."""

    size: np.ndarray
    packets: np.ndarray
    sources: np.ndarray
    due: np.ndarray
    worth: np.ndarray
    of_background: np.ndarray
    best: np.ndarray
    posterior: np.ndarray
    log_likelihood: float


def expectation(
    rows: Rows, weights: np.ndarray, size: np.ndarray, of_background: np.ndarray, popularity: np.ndarray
) -> Expectation:
    """Posteriors under these families; ``of_background`` are the posteriors before, from which the background is
    made; ``popularity`` of the ports of the columns."""
    one, by_size = _singles(rows, of_background), _by_size(rows, of_background)
    return _walk(rows, weights, size, one, by_size, popularity)


def _singles(rows: Rows, of_background: np.ndarray) -> np.ndarray:
    """Expected background sources of one port, by code."""
    single = rows.single >= 0
    return np.bincount(rows.single[single], (of_background * rows.times)[single], minlength=CODES)


def _by_size(rows: Rows, of_background: np.ndarray) -> np.ndarray:
    """Expected background sources by number of ports and volume."""
    flat: np.ndarray = np.bincount(
        rows.sizes * VOLUMES + rows.volume, of_background * rows.times, minlength=(PORTS + 1) * VOLUMES
    )
    return flat.reshape(PORTS + 1, VOLUMES)


def _walk(
    rows: Rows,
    weights: np.ndarray,
    size: np.ndarray,
    one: np.ndarray,
    by_size: np.ndarray,
    popularity: np.ndarray,
) -> Expectation:
    single = rows.single >= 0
    whole = float(by_size.sum() + size.sum())
    background = rows.several + np.log(np.maximum(by_size[rows.sizes, rows.volume], 0.5) / whole)
    volumes = (by_size[1] + 0.5) / (by_size[1] + 0.5).sum()
    background[single] = np.log(np.maximum(one[rows.single[single]], 0.5) / whole)
    background[single] += np.log(volumes[rows.volume[single]])
    # A family of which no source of some volume was seen yet may have one: as background sources are, but rarely.
    every = by_size.sum(axis=0) + 0.5
    rare = size + every / every.sum()
    rare *= size.sum(axis=1, keepdims=True) / rare.sum(axis=1, keepdims=True)
    families, count = len(weights), len(rows.sizes)
    mixed = (1 - LEAK) * weights + LEAK * np.maximum(popularity, 1e-9)
    with_leak = np.where(weights > 0, np.log(mixed), 1.0)
    n_of, worth = np.zeros((families, VOLUMES)), np.zeros(families)
    packets, sources, due = np.zeros(weights.shape), np.zeros(weights.shape), np.zeros(weights.shape)
    of_background, posterior, best = np.zeros(count), np.zeros(count), np.zeros(count, np.int64)
    log_likelihood = expect(
        rows.begin, rows.at, rows.weight, rows.gain, rows.base, rows.leaks, rows.volume, rows.times, background,
        np.log(np.maximum(rare, 1e-9) / whole), with_leak, n_of, packets, sources, worth, of_background, best,
        posterior, _LOG_FACTORIAL, np.log1p(-np.minimum(weights, 1 - 1e-9)), due,
    )  # fmt: skip
    return Expectation(n_of, packets, sources, due, worth, of_background, best, posterior, log_likelihood)


def _maximise(seen: Expectation, popularity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(new weights, families that have two ports left). A port with little more than leaks would give is none."""
    packets = np.where(seen.sources >= _LEAST_SOURCES, seen.packets, 0.0)
    weights = packets / np.maximum(packets.sum(axis=1, keepdims=True), 1e-12)
    weights = np.where(weights >= np.maximum(_LEAST_WEIGHT, _ABOVE_LEAK * LEAK * popularity), weights, 0.0)
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
    return weights, (weights > 0).sum(axis=1) >= 2


def _join(weights: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    """Families of one set with nearly the same weights become one."""
    for a in range(len(weights)):
        for b in range(a + 1, len(weights)):
            same = np.array_equal(weights[a] > 0, weights[b] > 0)
            if same and np.abs(weights[a] - weights[b]).sum() / 2 < SAME:
                of_a, of_b = size[a].sum(), size[b].sum()
                weights[a] = (weights[a] * of_a + weights[b] * of_b) / (of_a + of_b)
                size[a] = size[a] + size[b]
                return np.delete(weights, b, 0), np.delete(size, b, 0), True
    return weights, size, False


def _foreign(weights: np.ndarray, size: np.ndarray, popularity: np.ndarray) -> int:
    """A family that is another one with a busy port of a neighbour behind the same address, or two larger ones in one
    host; -1 if there is none."""
    held = weights > 0
    order: list[int] = np.argsort(size, kind="stable").tolist()
    for b in order:
        inside = [
            a
            for a in range(len(size))
            if a != b and not np.any(held[a] & ~held[b]) and held[a].sum() < held[b].sum()
        ]
        for a in inside:
            more = held[b] & ~held[a]
            if more.sum() == 1 and popularity[more][0] >= _BUSY and weights[b][more][0] <= _MOST_FOREIGN:
                rest = np.where(held[a], weights[b], 0.0)
                if np.abs(rest / rest.sum() - weights[a]).sum() / 2 < SAME:
                    return b
        large = [a for a in inside if size[a] >= _TIMES * size[b]]
        if any(np.array_equal(held[a] | held[c], held[b]) for a in large for c in large if a < c):
            return b
    return -1


def assign(mixture: Mixture, rows: Rows, times: float) -> Expectation:
    """Posteriors of sources under a mixture that was fitted to one in ``times`` of them."""
    return _walk(
        rows, mixture.weights, mixture.size * times, mixture.singles * times, mixture.by_size * times,
        mixture.popularity[mixture.ports],
    )  # fmt: skip
