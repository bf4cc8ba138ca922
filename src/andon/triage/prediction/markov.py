"""Next signature of a host: a Markov chain of variable order with back-off, in bounded memory.

The longest context (up to ``ORDER`` = 5 signatures of the host, repeats folded) that was seen at least ``SEEN`` times
decides; it says the signature that followed most often, and how often. Katz back-off (IEEE TASSP 35(3), 1987) without
discounts: only the best is wanted. Tiresias (CCS 2018) reports that a recurrent network does better on billions of
commercial events; on public data the chain is the bar that any such model has to pass.

Contexts are 64-bit hashes in open-addressing tables of fixed size. When a table is three quarters full all counts
are halved and what falls to zero goes: old habits fade, new ones find room, and ``faded`` counts how often. Two
contexts that share a hash (one in 10^12 at the largest size) would be taken for one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numba import njit

from andon.sketch.hashing import mix64
from andon.sketch.state import pack, unpack

ORDER: Final = 5
SEEN: Final = 5


@njit(cache=True, nogil=True)
def _slot(keys: np.ndarray, key: np.uint64, add: bool) -> np.int64:
    """Place of a key, or of the free place for it (``add``), -1 if it is not there."""
    mask = np.uint64(keys.shape[0] - 1)
    at = key & mask
    while True:
        if keys[at] == key:
            return np.int64(at)
        if keys[at] == np.uint64(0):
            if add:
                keys[at] = key
                return np.int64(at)
            return np.int64(-1)
        at = (at + np.uint64(1)) & mask


@njit(cache=True, nogil=True)
def _walk(
    hosts: np.ndarray,
    symbols: np.ndarray,
    last: np.ndarray,
    contexts: np.ndarray,
    total: np.ndarray,
    best: np.ndarray,
    most: np.ndarray,
    pairs: np.ndarray,
    count: np.ndarray,
    used: np.ndarray,
    start: int,
    learn: bool,
    depth: int,
    said: np.ndarray,
    chance: np.ndarray,
    order: np.ndarray,
) -> int:
    """Steps from ``start`` on: what the chain says of each before it sees it, then it learns it. Gives the position
    reached: less than all when a table has to be thinned. ``last`` (hosts, ORDER): newest first, -1 where there is
    none. ``said``: -1 where it says nothing; ``order``: -1 for a repeat, which is no step."""
    room = (contexts.shape[0] * 3) // 4
    room_pairs = (pairs.shape[0] * 3) // 4
    hashes = np.empty(ORDER, np.uint64)
    for i in range(start, symbols.shape[0]):
        if learn and (used[0] + ORDER > room or used[1] + ORDER > room_pairs):
            return i
        host, symbol = hosts[i], symbols[i]
        said[i], chance[i], order[i] = -1, 0.0, 0
        if last[host, 0] == symbol:
            order[i] = -1
            continue
        hashed = np.uint64(0x9E3779B97F4A7C15)
        known = 0
        for k in range(depth):
            if last[host, k] < 0:
                break
            hashed = mix64(np.uint64(last[host, k] + 1), hashed)
            hashes[k] = hashed | np.uint64(1)
            known = k + 1
        for k in range(known - 1, -1, -1):
            at = _slot(contexts, hashes[k], False)
            if at >= 0 and total[at] >= SEEN:
                said[i], chance[i], order[i] = best[at], most[at] / total[at], k + 1
                break
        if learn:
            for k in range(known):
                at = _slot(contexts, hashes[k], True)
                if total[at] == 0:
                    used[0] += 1
                total[at] += 1
                pair = mix64(np.uint64(symbol + 1), hashes[k]) | np.uint64(1)
                to = _slot(pairs, pair, True)
                if count[to] == 0:
                    used[1] += 1
                count[to] += 1
                if count[to] > most[at] or best[at] == symbol:
                    best[at], most[at] = symbol, max(count[to], most[at])
        for k in range(ORDER - 1, 0, -1):
            last[host, k] = last[host, k - 1]
        last[host, 0] = symbol
    return int(symbols.shape[0])


@dataclass
class Chain:
    """``size``: places of the tables, a power of two from 1,024 to 2^24; a chain of 2^20 takes 44 MB. Symbols and
    hosts are whole numbers from 0 that the caller gives out; ``last`` grows with the hosts."""

    contexts: np.ndarray
    total: np.ndarray
    best: np.ndarray
    most: np.ndarray
    pairs: np.ndarray
    count: np.ndarray
    last: np.ndarray
    used: np.ndarray
    depth: int = ORDER  # longest context that is looked at
    faded: int = 0

    @classmethod
    def new(cls, size: int = 1 << 18, depth: int = ORDER) -> Self:
        if size & (size - 1) or not 1 << 10 <= size <= 1 << 24:
            raise ValueError(f"a chain has 2^10 to 2^24 places, a power of two, not {size:,}")
        if not 1 <= depth <= ORDER:
            raise ValueError(f"contexts have 1 to {ORDER} signatures, not {depth}")
        return cls(
            np.zeros(size, np.uint64), np.zeros(size, np.int32), np.full(size, -1, np.int32), np.zeros(size, np.int32),
            np.zeros(2 * size, np.uint64), np.zeros(2 * size, np.int32), np.full((0, ORDER), -1, np.int32),
            np.zeros(2, np.int64), depth,
        )  # fmt: skip

    def copy(self) -> Chain:
        arrays = {name: getattr(self, name).copy() for name in _ARRAYS}
        return Chain(**arrays, depth=self.depth, faded=self.faded)

    def steps(
        self, hosts: np.ndarray, symbols: np.ndarray, learn: bool = True
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(signature said, chance, order of the context) of every step in time order, each said before it was seen.

        said -1: nothing known; order -1: a repeat of the host's last signature, which is no step.

        >>> chain = Chain.new(1024)
        >>> said, chance, order = chain.steps(np.zeros(40, np.int64), np.arange(40) % 3)
        >>> said[-1] == 39 % 3, chance[-1], order[-1]
        (np.True_, np.float64(1.0), np.int8(5))
        """
        hosts, symbols = hosts.astype(np.int64), symbols.astype(np.int32)
        if len(hosts) and (hosts.min() < 0 or symbols.min() < 0):
            raise ValueError("hosts and symbols are numbered from 0")
        self._admit(int(hosts.max()) + 1 if len(hosts) else 0)
        said = np.full(len(symbols), -1, np.int32)
        chance, order = np.zeros(len(symbols)), np.zeros(len(symbols), np.int8)
        at = 0
        while at < len(symbols):
            at = _walk(
                hosts, symbols, self.last, self.contexts, self.total, self.best, self.most, self.pairs, self.count,
                self.used, at, learn, self.depth, said, chance, order,
            )  # fmt: skip
            if at < len(symbols):
                self._fade()
        return said, chance, order

    def next(self, hosts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(signature, chance) that is said of each host's next step; -1 where nothing is. Nothing is learnt."""
        hosts = hosts.astype(np.int64)
        n = len(hosts)
        said, chance, order = np.full(n, -1, np.int32), np.zeros(n), np.zeros(n, np.int8)
        # A symbol that never occurs, asked of a copy of the hosts' pasts.
        never = np.full(n, np.iinfo(np.int32).max - 1, np.int32)
        _walk(
            np.arange(n), never, self.last[hosts].copy(), self.contexts, self.total, self.best, self.most, self.pairs,
            self.count, self.used, 0, False, self.depth, said, chance, order,
        )  # fmt: skip
        return said, chance

    def _admit(self, hosts: int) -> None:
        if hosts > len(self.last):
            more = np.full((hosts - len(self.last), ORDER), -1, np.int32)
            self.last = np.concatenate([self.last, more])

    def _fade(self) -> None:
        """Halve all counts until a quarter of both tables is free; contexts keep the best they know."""
        while True:
            self.faded += 1
            kept = self.total >= 2
            keys = self.contexts[kept]
            values = [self.total[kept] // 2, self.best[kept], self.most[kept] // 2]
            pairs, counts = self.pairs[self.count >= 2], self.count[self.count >= 2] // 2
            for name in ("contexts", "total", "most", "pairs", "count"):
                getattr(self, name)[:] = 0
            self.best[:] = -1
            _place(self.contexts, keys, self.total, values[0], self.best, values[1], self.most, values[2])
            _place(self.pairs, pairs, self.count, counts, self.count, counts, self.count, counts)
            self.used[:] = len(keys), len(pairs)
            if len(keys) <= len(self.contexts) // 2 and len(pairs) <= len(self.pairs) // 2:
                return

    def to_bytes(self) -> bytes:
        """Only what is used, so that a young chain is small."""
        c, p = np.flatnonzero(self.contexts), np.flatnonzero(self.pairs)
        c, p = c[np.argsort(self.contexts[c])], p[np.argsort(self.pairs[p])]
        arrays = {
            "contexts": self.contexts[c], "total": self.total[c], "best": self.best[c], "most": self.most[c],
            "pairs": self.pairs[p], "count": self.count[p], "last": self.last,
        }  # fmt: skip
        return pack(
            "chain", 1, arrays, {"size": len(self.contexts), "depth": self.depth, "faded": self.faded}
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        arrays, scalars = unpack("chain", 1, data)
        made = cls.new(scalars["size"], scalars["depth"])
        values = (arrays["total"], arrays["best"], arrays["most"])
        _place(
            made.contexts,
            arrays["contexts"],
            made.total,
            values[0],
            made.best,
            values[1],
            made.most,
            values[2],
        )
        count = arrays["count"]
        _place(made.pairs, arrays["pairs"], made.count, count, made.count, count, made.count, count)
        made.used[:] = len(arrays["contexts"]), len(arrays["pairs"])
        made.last, made.faded = arrays["last"], scalars["faded"]
        return made


_ARRAYS: Final = ("contexts", "total", "best", "most", "pairs", "count", "last", "used")


@njit(cache=True, nogil=True)
def _place(
    table: np.ndarray,
    keys: np.ndarray,
    a: np.ndarray,
    x: np.ndarray,
    b: np.ndarray,
    y: np.ndarray,
    c: np.ndarray,
    z: np.ndarray,
) -> None:
    """Put keys with their three values in an empty table."""
    for i in range(keys.shape[0]):
        at = _slot(table, keys[i], True)
        a[at], b[at], c[at] = x[i], y[i], z[i]
