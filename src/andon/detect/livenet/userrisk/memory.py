"""What is remembered from day to day: decayed counters of each terminal, which malicious contacts are known, the weekly
snapshots with what came of them, the model and how well its forecasts held. No name of a destination and no URL.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final, Self

import numpy as np
import pyarrow as pa

from andon.detect.livenet.userrisk.boost import Boosted
from andon.detect.livenet.userrisk.counters import COLUMN, COUNTERS, Day, Habit
from andon.detect.livenet.userrisk.rate import Prior, Rates, rates
from andon.sketch.hashing import mix64_array
from andon.sketch.state import pack, unpack
from andon.sketch.texts import text_keys

HALF_LIVES: Final = (1.0, 7.0, 30.0)  # days
C: Final = len(COUNTERS)
SHARES: Final = (("gray", "destinations"), ("rare", "destinations"), ("new", "destinations"), ("quiet", "seen"),
                 ("no_referer", "requests"), ("refused", "requests"), ("company", "seen"))  # fmt: skip
FEATURES: Final = (
    *(f"{name}/{h:g}" for h in HALF_LIVES for name in COUNTERS), *(f"{a} of {b}" for a, b in SHARES), "age", "rate",
)  # fmt: skip
PENDING: Final = -1
NEVER: Final = -1_000_000
WARM: Final = 2  # days after which "for the first time" means something
PAIR_DAYS: Final = 90  # a contact that old counts as forgotten
# Columns of a week's quality.
QUALITY: Final = (
    "day",
    "model",
    "terminals",
    "met",
    "auc",
    "calibration",
    "loss",
    "precision",
    "lift",
    "used",
)
USED, RATE, BOOST, BEFORE = range(4)


@dataclass(frozen=True)
class Snapshots:
    """Rows of terminals at the ends of weeks: ``day``, ``key`` of the terminal, features ``x``, outcome ``y`` (PENDING
    until the week is over), weight, and forecasts ``p`` (rows, 4) by USED, RATE, BOOST (nan: none), BEFORE."""

    day: np.ndarray
    key: np.ndarray
    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    p: np.ndarray

    @classmethod
    def empty(cls) -> Snapshots:
        return cls(
            np.zeros(0, np.int32), np.zeros(0, np.uint64), np.zeros((0, len(FEATURES))),
            np.zeros(0, np.int8), np.zeros(0), np.zeros((0, 4)),
        )  # fmt: skip

    def where(self, kept: np.ndarray) -> Snapshots:
        return Snapshots(
            self.day[kept], self.key[kept], self.x[kept], self.y[kept], self.weight[kept], self.p[kept]
        )

    def with_rows(self, other: Snapshots) -> Snapshots:
        return Snapshots(
            *(np.concatenate([getattr(self, n), getattr(other, n)]) for n in self.__dataclass_fields__)
        )

    def told(self, keys: np.ndarray) -> Snapshots:
        """Pending rows of these terminals have met something."""
        y = self.y.copy()
        y[(y == PENDING) & np.isin(self.key, keys)] = 1
        return replace(self, y=y)

    def thinned(self, most: int) -> Snapshots:
        """At most about ``most`` rows: of those that met nothing a sample by hash, which weighs for all."""
        done = self.y == 0
        room = most - int((~done).sum())
        if done.sum() <= max(room, 0):
            return self
        share = max(room, most // 10) / int(done.sum())
        dice = mix64_array(self.key ^ self.day.astype(np.uint64), np.uint64(99)) >> np.uint64(11)
        # The dice of a row are always the same: who was kept with a chance of 1 / weight is now with share / weight.
        kept = ~done | (dice < (share / self.weight * (1 << 53)).astype(np.uint64))
        weight = np.where(done, self.weight / share, self.weight)
        return replace(self, weight=weight).where(kept)


@dataclass(frozen=True)
class Memory:
    """Columns by terminal: ``sums`` (terminals, counters, half-lives), days of the first and the last sight and of the
    last infection, ``clean``. ``pairs``: keys (ascending) and days of known malicious contacts. Days are since
    1970."""

    names: list[str] = field(default_factory=list)
    sums: np.ndarray = field(default_factory=lambda: np.zeros((0, C, 3)))
    first: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    last: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    infected: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    clean: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    habit: Habit = field(default_factory=Habit.empty)
    began: int = NEVER
    today: int = NEVER
    snapped: int = NEVER  # day of the last snapshot
    pairs: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint64))
    pair_days: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    snapshots: Snapshots = field(default_factory=Snapshots.empty)
    model: Boosted | None = None
    quality: np.ndarray = field(default_factory=lambda: np.zeros((0, len(QUALITY))))
    left_out: int = 0  # terminals for which there was no room

    def keys(self) -> np.ndarray:
        return text_keys(pa.array(self.names, pa.string()), 3)

    def population(self) -> np.ndarray:
        """Rows of terminals that are forecast: no scanners or gateways, seen within 14 days."""
        return np.flatnonzero(~self.clean & (self.last > self.today - 14))

    def weights(self) -> np.ndarray:
        """Days each terminal has been there, forgotten like its counters (terminals, half-lives)."""
        age = (self.today - self.first + 1)[:, None]
        one = 2.0 ** (-1 / np.array(HALF_LIVES))
        return np.asarray((1 - one**age) / (1 - one))

    def met(self) -> dict[str, float]:
        """Of each terminal, how many malicious destinations it met for the first time, older ones counting less."""
        return dict(zip(self.names, self.sums[:, COLUMN["met"], 2].tolist(), strict=True))

    def rates(self) -> Rates:
        """Of all terminals; the prior is that of the population."""
        k, t = self.sums[:, COLUMN["met"], 2], self.weights()[:, 2]
        mine = self.population()
        return rates(k, t, Prior.fit(k[mine], t[mine]))

    def features(self) -> np.ndarray:
        """(terminals, FEATURES): daily means of the counters by half-life, log1p; age in days, log; rate, log."""
        means = np.log1p(np.maximum(self.sums / self.weights()[:, None, :], 0.0))
        flat = means.transpose(0, 2, 1).reshape(len(self.names), 3 * C)
        age = np.log1p(np.minimum(self.today - self.first, 90))
        month = self.sums[:, :, 2]
        shares = [month[:, COLUMN[a]] / np.maximum(month[:, COLUMN[b]], 1e-9) for a, b in SHARES]
        made = np.column_stack([flat, *shares, age, np.log(np.maximum(self.rates().rate, 1e-9))])
        # Rounded, so that the last bit of a sum decides nothing.
        return np.asarray(made.astype(np.float32).astype(np.float64))

    def after(self, day: Day, number: int, forget: int, most: int) -> tuple[Memory, np.ndarray]:
        """(the memory with day ``number`` in it, keys of terminals that met a malicious destination for the first
        time). Terminals not seen for ``forget`` days go, and the longest unseen of more than ``most``."""
        alive = self.last > number - forget
        if not alive.all():
            return self._only(np.flatnonzero(alive)).after(day, number, forget, most)
        began = number if self.began == NEVER else self.began
        passed = max(number - self.today, 0) if self.today != NEVER else 0
        known = dict(zip(self.names, range(len(self.names)), strict=True))
        fresh = [name for name in day.names if name not in known]
        names = self.names + fresh
        for name in fresh:
            known[name] = len(known)
        n, old = len(names), len(self.names)
        sums = np.zeros((n, C, 3))
        sums[:old] = self.sums * 2.0 ** (-passed / np.array(HALF_LIVES))
        at = np.array([known[name] for name in day.names], np.int64)
        seen = np.unique(day.bad[1])
        unknown = seen[~np.isin(seen, self.pairs)]
        met = np.zeros(n)
        if number - began >= WARM:
            key, first = np.unique(day.bad[1], return_index=True)
            new = np.isin(key, unknown)
            np.add.at(met, at[day.bad[0][first[new]]], 1.0)
        values = np.zeros((n, C))
        values[at] = day.values
        values[:, COLUMN["met"]] = met
        sums += values[:, :, None]

        def column(before: np.ndarray, start: int, now: np.ndarray | int, where: np.ndarray) -> np.ndarray:
            made = np.concatenate([before, np.full(n - old, start, before.dtype)])
            made[where] = now
            return made

        made = replace(
            self, names=names, sums=sums, began=began, today=number,
            first=column(self.first, number, 0, np.zeros(0, np.int64)),
            last=column(self.last, number, number, at),
            infected=column(self.infected, NEVER, number, at[day.infected]),
            clean=column(self.clean, 0, day.clean, at),
            habit=self.habit.after(day.hours, len(day.names)),
        )  # fmt: skip
        keys = made.keys()[met > 0]
        pairs, days = made._pairs_after(unknown, seen, number)
        made = replace(made, pairs=pairs, pair_days=days)
        return made._bounded(most), keys

    def _pairs_after(
        self, unknown: np.ndarray, seen: np.ndarray, number: int
    ) -> tuple[np.ndarray, np.ndarray]:
        days = self.pair_days.copy()
        days[np.isin(self.pairs, seen)] = number
        pairs, days = (
            np.concatenate([self.pairs, unknown]),
            np.concatenate([days, np.full(len(unknown), number, np.int32)]),
        )
        kept = np.flatnonzero(days > number - PAIR_DAYS)
        order = kept[np.argsort(pairs[kept], kind="stable")]
        return pairs[order], days[order]

    def _bounded(self, most: int) -> Memory:
        """By name, without the longest unseen of more than ``most``."""
        rows, over = np.arange(len(self.names)), max(len(self.names) - most, 0)
        if over:
            rows = np.lexsort((self.keys(), -self.last))[:most]
        rows = np.array(sorted(rows.tolist(), key=self.names.__getitem__), np.int64)
        return replace(self._only(rows), left_out=over)

    def _only(self, rows: np.ndarray) -> Memory:
        return replace(
            self, names=[self.names[i] for i in rows.tolist()], sums=self.sums[rows], first=self.first[rows],
            last=self.last[rows], infected=self.infected[rows], clean=self.clean[rows],
        )  # fmt: skip

    def to_bytes(self) -> bytes:
        texts = [name.encode() for name in self.names]
        ends, body = np.cumsum([0, *map(len, texts)]).astype(np.int64), b"".join(texts)
        model = self.model
        arrays = {
            "names": np.frombuffer(body, np.uint8), "ends": ends, "sums": self.sums, "first": self.first,
            "last": self.last, "infected": self.infected, "clean": self.clean, "hours": self.habit.hours,
            "level": np.array([self.habit.terminals]), "pairs": self.pairs, "pair_days": self.pair_days,
            **{f"s_{n}": getattr(self.snapshots, n) for n in Snapshots.__dataclass_fields__},
            "s_x": self.snapshots.x.astype("<f4").view("<u4"),  # they are singles in value
            "model": np.frombuffer(model.text if model else b"", np.uint8),
            "model_x": model.x if model else np.zeros(0), "model_y": model.y if model else np.zeros(0),
            "quality": self.quality,
        }  # fmt: skip
        scalars = {
            "began": self.began, "today": self.today, "snapped": self.snapped, "left_out": self.left_out,
        }  # fmt: skip
        return pack("userrisk", 1, arrays, scalars)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        arrays, scalars = unpack("userrisk", 1, data)
        body, ends = arrays["names"].tobytes(), arrays["ends"].tolist()
        names = [body[a:b].decode() for a, b in pairwise(ends)]
        text = arrays["model"].tobytes()
        arrays["s_x"] = arrays["s_x"].view("<f4").astype(np.float64)
        return cls(
            names=names, sums=arrays["sums"], first=arrays["first"], last=arrays["last"], infected=arrays["infected"],
            clean=arrays["clean"].astype(bool), habit=Habit(arrays["hours"], float(arrays["level"][0])),
            began=scalars["began"], today=scalars["today"], snapped=scalars["snapped"], pairs=arrays["pairs"],
            pair_days=arrays["pair_days"],
            snapshots=Snapshots(*(arrays[f"s_{n}"] for n in Snapshots.__dataclass_fields__)),
            model=Boosted(text, arrays["model_x"], arrays["model_y"]) if text else None, quality=arrays["quality"],
            left_out=scalars["left_out"],
        )  # fmt: skip
