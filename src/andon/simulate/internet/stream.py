"""Sessions played out in time: sorted rows, one slice of the capture after the other, in bounded memory.

Every session draws its own packets in time order, so a slice needs no look at the past or the future: all
active sessions are asked for their packets up to the slice's end, and only the slice is sorted.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from . import cyclic
from . import session as s
from .apportion import SECOND
from .emit import emit, wake
from .ordering import stable_order
from .population import Population
from .session import NEVER, ROW
from .solve import Solver

SLICE_PACKETS = 131_072
_LONGEST = 3600 * SECOND


class Stream:
    """Plays a population once. Iterating gives (rows, order): ``rows[order]`` is the slice sorted by time."""

    def __init__(self, population: Population, slice_packets: int = SLICE_PACKETS) -> None:
        self._population = population
        self._table = population.sessions
        self._next = np.full(len(self._table), NEVER)
        config = population.config
        rate = config.packets / (config.end_ns - config.start_ns)
        self._step = int(min(max(slice_packets / rate, SECOND // 10), _LONGEST))
        self._rows = np.zeros(slice_packets * 2, ROW)
        self._lists: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._when = np.zeros(1, np.int64)
        self._where = np.zeros(1, np.uint32)
        self._logarithms: cyclic.Logarithms | None = None
        self._logs: dict[bool, np.ndarray] = {}
        self._addresses = np.zeros(0, np.uint32)
        self._solver = Solver(self._table, population.relations)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        config = self._population.config
        starts = self._table["start"].copy()
        active = np.zeros(0, np.int64)
        begun = 0
        for begin in range(config.start_ns, config.end_ns, self._step):
            until = min(begin + self._step, config.end_ns)
            upto = int(np.searchsorted(starts, until, side="left"))
            fresh = np.arange(begun, upto, dtype=np.int64)
            begun = upto
            self._load_lists(fresh, active)
            wake(self._table, fresh, self._next, self._when)
            active = np.concatenate([active, fresh])
            active = active[self._next[active] != NEVER]
            rows = self._emit(active, until)
            if len(rows):
                self._solver.apply(rows)
                yield rows, stable_order((rows["ts"] - begin // 1000 * 1000) // 1000)

    def _emit(self, active: np.ndarray, until: int) -> np.ndarray:
        p = self._population
        filled = position = 0
        while True:
            position, wrote = emit(
                self._table, active, position, self._next, until, p.ports, p.space.bases, p.space.granule,
                self._when, self._where, self._rows[filled:],
            )  # fmt: skip
            filled += wrote
            if position == len(active):
                return self._rows[:filled]
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])

    def _load_lists(self, fresh: np.ndarray, active: np.ndarray) -> None:
        """Bring the address orders of cyclic scans that begin into the pool; drop those that have ended."""
        table = self._table
        new = fresh[table["dst_mode"][fresh] == s.LISTED]
        if len(new) == 0:
            return
        alive = set(active[self._next[active] != NEVER].tolist())
        self._lists = {i: pair for i, pair in self._lists.items() if i in alive}
        for i in new.tolist():
            self._lists[i] = self._visits(i)
        at = 0
        for i, (when, _) in self._lists.items():
            table["listed"][i] = at
            at += len(when)
        self._when = np.concatenate([when for when, _ in self._lists.values()])
        self._where = np.concatenate([where for _, where in self._lists.values()])

    def _visits(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Times and addresses of a cyclic scan's packets: one run of the scanner after the other, as many as needed."""
        row = self._table[i]
        if self._logarithms is None:
            self._logarithms = cyclic.Logarithms()
            self._addresses = self._population.space.all()
        n, shard, shards, threads = (int(row[k]) for k in ("n", "shard", "shards", "threads"))
        blocklist = bool(row["blocklist"])
        if blocklist not in self._logs:
            self._logs[blocklist] = self._logarithms.of(cyclic.elements(self._addresses, blocklist))
        steps: list[np.ndarray] = []
        where: list[np.ndarray] = []
        got = done = run = 0
        piece = cyclic.ORDER // (shards * threads)
        expected = len(self._addresses) / shards
        while got < n:
            rng = np.random.default_rng([self._population.config.seed, int(row["scan"]), run, 7])
            scan = cyclic.Scan.draw(rng)
            begin = float(rng.random()) * max(0.0, 1 - 1.2 * n / expected) if run == 0 else 0.0
            index, step = cyclic.visits(
                scan.positions(self._logs[blocklist], self._logarithms), shard, shards, threads, begin
            )
            index, step = index[: n - got], step[: n - got]
            where.append(self._addresses[index])
            steps.append(step + done)
            got += len(index)
            done += piece - int(begin * piece)
            run += 1
        walked = np.concatenate(steps).astype(np.float64)
        length = float(walked[-1] + walked[-1] / n + 1)
        when = int(row["start"]) + (walked / length * float(row["end"] - row["start"])).astype(np.int64)
        return when, np.concatenate(where)
