"""What ``livenet.url`` remembers between days: hosts whose URLs spoke against them."""

from __future__ import annotations

from typing import Final, Self

import numpy as np
import pyarrow as pa

from andon.sketch.pool import TextPool
from andon.sketch.state import StateError, join, pack, split, unpack
from andon.sketch.texts import text_keys

DAY: Final = 86_400_000_000_000
LEAST: Final = 1.0  # log-odds below which a host is not worth remembering


class Memory:
    """Rows by ``key`` (of the host's name, ascending): ``day`` when it was last seen, ``rarity`` and ``kind`` of its
    worst URL, ``urls``, ``odds`` (log-odds as published). ``texts``: names by key, and worst URLs by key + 1 bit."""

    FIELDS: Final = ("key", "day", "kind", "urls", "rarity", "odds")

    def __init__(self) -> None:
        self.columns: dict[str, np.ndarray] = {
            name: np.empty(
                0, np.uint64 if name == "key" else np.float64 if name in ("rarity", "odds") else np.int64
            )
            for name in self.FIELDS
        }
        self.texts = TextPool()
        self.forgotten = 0

    def __len__(self) -> int:
        return len(self.columns["key"])

    def next_day(self, day: int, keep_days: int) -> None:
        """Forget what was not seen for so long."""
        self._only(self.columns["day"] > day - keep_days)

    def learn(
        self, names: pa.Array, urls: pa.Array, day: int, rows: dict[str, np.ndarray], most: int
    ) -> None:
        """Hosts of today (``rows``: kind, urls, rarity, odds); of one known before the higher odds count."""
        own = rows["odds"] >= LEAST
        at = np.flatnonzero(own)
        keys = text_keys(names.take(pa.array(at)))
        new = {
            "key": keys, "day": np.full(len(at), day, np.int64),
            **{name: rows[name][at] for name in ("kind", "urls", "rarity", "odds")},
        }  # fmt: skip
        every = {name: np.concatenate([self.columns[name], new[name]]) for name in self.FIELDS}
        # Of each host the row with the highest odds, seen on the newest day of all.
        order = np.lexsort((every["day"], every["odds"], every["key"]))
        every = {name: column[order] for name, column in every.items()}
        last = np.r_[every["key"][1:] != every["key"][:-1], True] if len(order) else np.empty(0, np.bool_)
        newest = (
            np.maximum.reduceat(every["day"], np.r_[0, np.flatnonzero(last)[:-1] + 1])
            if last.any()
            else every["day"]
        )
        self.columns = {name: column[last].copy() for name, column in every.items()}
        self.columns["day"] = newest
        self.texts.add(keys, names.take(pa.array(at)))
        self.texts.add(keys | _URL, urls.take(pa.array(at)))
        if len(self) > most:
            order = np.lexsort((self.columns["key"], -self.columns["odds"]))
            self.forgotten += len(self) - most
            kept = np.zeros(len(self), np.bool_)
            kept[order[:most]] = True
            self._only(kept)
        else:
            self._only(np.ones(len(self), np.bool_))

    def absent(self, names: pa.Array) -> np.ndarray:
        """Rows of hosts that are not among these."""
        return np.flatnonzero(~np.isin(self.columns["key"], text_keys(names)))

    def names(self, rows: np.ndarray) -> tuple[pa.Array, pa.Array]:
        """(hosts, worst URLs)."""
        keys = self.columns["key"][rows]
        return self.texts.texts(keys), self.texts.texts(keys | _URL)

    def copy(self) -> Memory:
        return Memory.from_bytes(self.to_bytes())

    def _only(self, kept: np.ndarray) -> None:
        self.columns = {name: column[kept] for name, column in self.columns.items()}
        keys = self.columns["key"]
        self.texts.keep(np.concatenate([keys, keys | _URL]))

    def to_bytes(self) -> bytes:
        return join(pack("url-memory", 1, self.columns, {"forgotten": self.forgotten}), self.texts.to_bytes())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        first, second = split(data)
        arrays, scalars = unpack("url-memory", 1, first)
        made = cls()
        if set(arrays) != set(made.columns) or len({len(each) for each in arrays.values()}) > 1:
            raise StateError("the memory of URLs has the wrong columns")
        made.columns, made.forgotten = arrays, scalars["forgotten"]
        made.texts = TextPool.from_bytes(second)
        return made


_URL: Final = np.uint64(1 << 63)  # keys of texts leave this bit free
