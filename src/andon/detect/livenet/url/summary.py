"""What is kept of a stretch of contacts: for every host its worst URL and how many it has, and the most suspicious
URLs.

Both are order-free. A host's worst URL is a minimum over words that begin with the score; the number of its URLs
comes from a HyperLogLog of 32 registers (Flajolet et al. 2007; about 18 % off, near exact up to a dozen), which a
repeated URL does not change. The most suspicious URLs are the top ``most`` by score, and a URL that is among them at
the end was never thrown out before: its contacts and visitors are exact. URLs that were just seen are not scored
again (a small cache, no part of the state: what it forgets is computed again with the same result)."""

from __future__ import annotations

from typing import Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from andon.sketch.hashing import mix64, mix64_array
from andon.sketch.pool import TextPool
from andon.sketch.rows import Column, KeyedRows, find_or_add, is_kept
from andon.sketch.state import StateError, join, pack, split, unpack
from andon.sketch.texts import text_keys
from andon.sketch.urlscore import BARE, WITH_PATH, UrlScorer

REGISTERS: Final = 32
VISITORS: Final = 8  # of a suspicious URL that are named
STEP: Final = 2048.0  # steps of rarity that a word tells apart
_TOP: Final = np.uint64(0x7FFFFFFFFFFFFFFF)
_HASH: Final = np.uint64(0x00007FFFFFFFFFFF)
_FREE: Final = np.uint64(0xFFFFFFFFFFFFFFFF)
_SPEC: Final = {
    "worst": Column("<u8", "min"),
    "registers": Column("|u1", "max", REGISTERS),
}
_CACHE: Final = 1 << 17
_ONE = np.uint64(1)


def word_of(rarity: np.ndarray, kinds: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """One uint64 for a URL, the lower the more suspicious: rarity (16 bits), kind (1), hash of the URL (47)."""
    steps = np.clip(np.rint(rarity * STEP), 0, 65535).astype(np.uint64)
    head = ((np.uint64(65535) - steps) << np.uint64(48)) | (kinds.astype(np.uint64) << np.uint64(47))
    return np.asarray(head | (keys & _HASH))


def rarity_of(words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(rarity, kind) of words."""
    steps = np.uint64(65535) - (words >> np.uint64(48))
    return steps.astype(np.float64) / STEP, ((words >> np.uint64(47)) & _ONE).astype(np.int64)


@njit(cache=True, nogil=True)
def _known(keys: np.ndarray, cache: np.ndarray, rows: np.ndarray) -> int:
    """Numbers of the rows whose URL is not in the cache into ``rows``; puts them there; gives how many."""
    mask = np.uint64(cache.shape[0] - 1)
    fresh = 0
    for i in range(keys.shape[0]):
        slot = (keys[i] >> np.uint64(20)) & mask
        if cache[slot] != keys[i]:
            cache[slot] = keys[i]
            rows[fresh] = i
            fresh += 1
    return fresh


@njit(cache=True, nogil=True)
def _enter(
    hosts: np.ndarray,
    urls: np.ndarray,
    words: np.ndarray,
    start: int,
    new: np.ndarray,
    keys: np.ndarray,
    worst: np.ndarray,
    registers: np.ndarray,
    used: int,
    room: int,
    level: int,
    salt: np.uint64,
) -> tuple[int, int]:
    for i in range(start, hosts.shape[0]):
        hashed = mix64(hosts[i], salt)
        if not is_kept(hashed, level):
            continue
        slot, after = find_or_add(keys, hosts[i], hashed, used, room)
        if slot < 0:
            return i, used
        new[i] = after > used
        used = after
        worst[slot] = min(worst[slot], words[i])
        drawn = mix64(urls[i], np.uint64(0x5BF03635))
        place = slot * 32 + np.int64(drawn & np.uint64(31))
        rest = drawn >> np.uint64(5)
        rank = 1
        while rank < 60 and rest & _ONE == 0:
            rest >>= _ONE
            rank += 1
        registers[place] = max(registers[place], np.uint8(rank))
    return hosts.shape[0], used


def distinct(registers: np.ndarray) -> np.ndarray:
    """How many URLs went into each row of registers, estimated (int64)."""
    m = REGISTERS
    raw = 0.697 * m * m / np.exp2(-registers.astype(np.float64)).sum(axis=1)
    free = (registers == 0).sum(axis=1)
    linear = m * np.log(m / np.maximum(free, 1))
    return np.asarray(np.rint(np.where((raw <= 2.5 * m) & (free > 0), linear, raw)).astype(np.int64))


class Suspects:
    """The ``most`` most suspicious URLs. Columns: ``word`` (uint64, ascending), ``key``, ``host`` (uint64),
    ``contacts``, ``refused``, ``first``, ``last`` (int64), ``registers`` (of visitors), ``visitors`` (the lowest
    hashes of them)."""

    NAMES: Final = ("word", "key", "host", "contacts", "refused", "first", "last", "registers", "visitors")

    def __init__(self, most: int) -> None:
        self.most = most
        self.columns: dict[str, np.ndarray] = {
            "word": np.empty(0, np.uint64), "key": np.empty(0, np.uint64), "host": np.empty(0, np.uint64),
            "contacts": np.empty(0, np.int64), "refused": np.empty(0, np.int64), "first": np.empty(0, np.int64),
            "last": np.empty(0, np.int64), "registers": np.empty((0, REGISTERS), np.uint8),
            "visitors": np.empty((0, VISITORS), np.uint64),
        }  # fmt: skip
        self.left_out = 0  # 1 if any URL was ever beyond the cap

    def __len__(self) -> int:
        return len(self.columns["word"])

    def bound(self) -> np.uint64:
        """A URL with a word above this does not get in."""
        return np.uint64(self.columns["word"][-1]) if len(self) == self.most else _FREE

    def take_in(self, rows: dict[str, np.ndarray]) -> None:
        """Rows of the same columns, in any order, the same URL in several of them or not."""
        every = {name: np.concatenate([self.columns[name], rows[name]]) for name in self.NAMES}
        order = np.lexsort((every["key"], every["word"]))
        key = every["key"][order]
        begins = np.flatnonzero(np.r_[True, key[1:] != key[:-1]]) if len(key) else np.empty(0, np.int64)
        self.left_out |= int(len(begins) > self.most)
        if len(begins) > self.most:  # rows beyond the cap are thrown away before they are folded
            order, begins = order[: begins[self.most]], begins[: self.most]
        sorted_ = {name: column[order] for name, column in every.items()}
        if not len(begins):
            return
        made = {name: sorted_[name][begins] for name in ("word", "key", "host")}
        for name, how in (
            ("contacts", np.add), ("refused", np.add), ("first", np.minimum), ("last", np.maximum),
            ("registers", np.maximum),
        ):  # fmt: skip
            made[name] = how.reduceat(sorted_[name], begins, axis=0)
        made["visitors"] = _lowest(sorted_["visitors"], begins)
        self.columns = made


def _lowest(visitors: np.ndarray, begins: np.ndarray) -> np.ndarray:
    """The ``VISITORS`` lowest distinct words of each group of rows."""
    group = np.repeat(np.arange(len(begins)), np.diff(np.r_[begins, len(visitors)]))
    flat, owner = visitors.reshape(-1), np.repeat(group, visitors.shape[1])
    there = flat != _FREE
    flat, owner = flat[there], owner[there]
    order = np.lexsort((flat, owner))
    flat, owner = flat[order], owner[order]
    new = (
        np.r_[True, (flat[1:] != flat[:-1]) | (owner[1:] != owner[:-1])]
        if len(flat)
        else np.empty(0, np.bool_)
    )
    flat, owner = flat[new], owner[new]
    first = np.searchsorted(owner, np.arange(len(begins)))
    place = np.arange(len(flat)) - first[owner]
    out = np.full((len(begins), VISITORS), _FREE, np.uint64)
    own = place < VISITORS
    out[owner[own], place[own]] = flat[own]
    return out


class Seen:
    """A summary: see the module text. ``contacts``: how many went in."""

    def __init__(self, hosts: int, most: int, salt: int) -> None:
        self.hosts = KeyedRows(_SPEC, hosts, salt)
        self.suspects = Suspects(most)
        self.names = TextPool()  # hosts, URLs and visitors by key
        self.contacts = 0
        self._cache = np.full(_CACHE, _FREE, np.uint64)
        self._words = np.empty(_CACHE, np.uint64)

    def add(self, batch: pa.RecordBatch, scorer: UrlScorer, floor: np.ndarray) -> None:
        """A batch of contacts. ``floor``: the rarity from which a URL may be among the suspicious, by kind."""
        self.contacts += batch.num_rows
        if not batch.num_rows:
            return
        host, path = batch.column("host"), batch.column("path")
        own = text_keys(host)
        keys = mix64_array(own * np.uint64(0x9E3779B97F4A7C15) + text_keys(path), np.uint64(3)) & _TOP
        slot = ((keys >> np.uint64(20)) & np.uint64(_CACHE - 1)).astype(np.int64)
        rows = np.empty(len(keys), np.int64)
        fresh = rows[: _known(keys, self._cache, rows)]
        z = scorer.scores(host, path, fresh)
        kinds = np.where(_bare(path)[fresh], BARE, WITH_PATH)
        words = word_of(scorer.rarity(z, kinds), kinds, keys[fresh])
        new = np.zeros(len(fresh), np.bool_)
        self.hosts.walk(_enter, (own[fresh], keys[fresh], words), new)
        self.names.add(own[fresh[new]], host.take(pa.array(fresh[new])).cast(pa.string()))
        if len(self.names) > 2 * self.hosts.limit + 100_000:
            self.settle()
        # Two URLs of one slot in one batch overwrite each other's word: rows then look at the URL they are of.
        self._words[slot[fresh]] = words
        word = np.full(len(keys), _FREE, np.uint64)
        matching = self._words[slot] & _HASH == keys & _HASH
        word[matching] = self._words[slot[matching]]
        word[fresh] = words
        lost = np.flatnonzero(word == _FREE)
        if len(lost):
            lost_kinds = np.where(_bare(path)[lost], BARE, WITH_PATH)
            word[lost] = word_of(
                scorer.rarity(scorer.scores(host, path, lost), lost_kinds), lost_kinds, keys[lost]
            )
        rarity, kind = rarity_of(word)
        high = rarity >= floor[kind]
        inside = word <= self.suspects.bound()
        self.suspects.left_out |= int((high & ~inside).any())
        wanted = np.flatnonzero(high & inside)
        if len(wanted):
            self._suspect(batch, wanted, own, keys, word)

    def _suspect(
        self, batch: pa.RecordBatch, rows: np.ndarray, hosts: np.ndarray, keys: np.ndarray, words: np.ndarray
    ) -> None:
        at = pa.array(rows)
        who = batch.column("terminal").take(at)
        visitor = text_keys(who)
        drawn = mix64_array(visitor, np.uint64(0x1F83D9AB))
        registers = np.zeros((len(rows), REGISTERS), np.uint8)
        rest = (drawn >> np.uint64(5)) | (_ONE << np.uint64(58))
        registers[np.arange(len(rows)), (drawn & np.uint64(31)).astype(np.int64)] = _trailing(rest) + 1
        visitors = np.full((len(rows), VISITORS), _FREE, np.uint64)
        visitors[:, 0] = visitor
        times = np.asarray(batch.column("ts").view(pa.int64()).to_numpy(zero_copy_only=False))[rows]
        refused = batch.column("refused").to_numpy(zero_copy_only=False)[rows].astype(np.int64)
        self.suspects.take_in(
            {
                "word": words[rows], "key": keys[rows], "host": hosts[rows], "contacts": np.ones(len(rows), np.int64),
                "refused": refused, "first": times, "last": times, "registers": registers, "visitors": visitors,
            }
        )  # fmt: skip
        kept = np.flatnonzero(np.isin(keys[rows], self.suspects.columns["key"]))
        _, first = np.unique(keys[rows[kept]], return_index=True)
        own = rows[kept[first]]
        self.names.add(keys[own], batch.column("path").take(pa.array(own)))
        # The host may be outside the sample of hosts, and its name with it.
        self.names.add(hosts[own], batch.column("host").take(pa.array(own)).cast(pa.string()))
        _, first = np.unique(visitor[kept], return_index=True)
        self.names.add(visitor[kept[first]], who.take(pa.array(kept[first])).cast(pa.string()))

    def merge(self, other: Seen) -> None:
        self.hosts.merge(other.hosts)
        self.suspects.take_in(other.suspects.columns)
        self.suspects.left_out |= other.suspects.left_out
        self.names.merge(other.names)
        self.contacts += other.contacts

    def settle(self) -> None:
        """Forget the texts that nothing points to any more."""
        held = self.suspects.columns
        keys, _ = self.hosts.table()
        self.names.keep(np.concatenate([keys, held["key"], held["host"], held["visitors"].reshape(-1)]))

    def to_bytes(self) -> bytes:
        self.settle()
        scalars = {"most": self.suspects.most, "left_out": self.suspects.left_out, "contacts": self.contacts}
        body = pack("url-suspects", 1, self.suspects.columns, scalars)
        return join(self.hosts.to_bytes(), join(body, self.names.to_bytes()))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        first, rest = split(data)
        second, third = split(rest)
        rows = KeyedRows.from_bytes(first, _SPEC)
        arrays, scalars = unpack("url-suspects", 1, second)
        made = cls(rows.limit, scalars["most"], int(rows.salt))
        if set(arrays) != set(made.suspects.columns):
            raise StateError(f"suspicious URLs have columns {sorted(arrays)}")
        made.hosts, made.suspects.columns = rows, arrays
        made.suspects.left_out, made.contacts = scalars["left_out"], scalars["contacts"]
        made.names = TextPool.from_bytes(third)
        return made


def _bare(path: pa.Array) -> np.ndarray:
    return np.asarray(pc.less_equal(pc.binary_length(path), 1).to_numpy(zero_copy_only=False))


def _trailing(words: np.ndarray) -> np.ndarray:
    """Zeros at the end of each word (none is 0)."""
    lowest = words & (~words + _ONE)
    return np.asarray(np.log2(lowest.astype(np.float64)).astype(np.uint8))
