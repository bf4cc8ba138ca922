"""What ``livenet.redirects`` carries from hour to hour: the last minutes' visits, and who met which malicious host
when."""

from __future__ import annotations

from typing import Final, Self

import numpy as np
import pyarrow as pa

from andon.detect.livenet.redirects.chain import LONGEST
from andon.detect.livenet.redirects.visits import VISITS, Visits
from andon.sketch.state import StateError, join, pack, split, unpack

RECENT: Final = 200_000  # visits that are carried over


class Memory:
    """``visits`` (VISITS) of the last minutes; pairs of ``terminal`` and ``host`` keys (uint64) that were ends of
    chains, with the ``day`` of the last; ``forgotten``: how many of either were left out for want of room."""

    def __init__(self) -> None:
        self.visits: pa.Table = VISITS.empty_table()
        self.terminal = np.empty(0, np.uint64)
        self.host = np.empty(0, np.uint64)
        self.day = np.empty(0, np.int64)
        self.forgotten = 0

    def met(self, terminal: np.ndarray, host: np.ndarray) -> np.ndarray:
        """Mask of the pairs that are known."""
        return np.isin(_pair(terminal, host), _pair(self.terminal, self.host))

    def users(self, host: int) -> int:
        """How many terminals are known to have met a host."""
        return int((self.host == np.uint64(host)).sum())

    def next(
        self,
        visits: pa.Table,
        until: int,
        terminal: np.ndarray,
        host: np.ndarray,
        day: int,
        keep: int,
        most: int,
    ) -> Memory:
        """The memory after a span that ended at ``until`` (ns) with these new pairs."""
        made = Memory()
        made.forgotten = self.forgotten
        late = visits.filter(pa.array(visits["ts"].to_numpy() >= until - LONGEST))
        if late.num_rows > RECENT:
            newest = np.sort(np.argsort(late["ts"].to_numpy(), kind="stable")[-RECENT:])
            made.forgotten += late.num_rows - RECENT
            late = late.take(pa.array(newest))
        made.visits = late.combine_chunks()
        every = [np.concatenate(pair) for pair in ((self.terminal, terminal), (self.host, host))]
        days = np.concatenate([self.day, np.full(len(terminal), day, np.int64)])
        order = np.lexsort((every[0], every[1], -days))
        order = order[days[order] > day - keep]
        _, first = np.unique(_pair(every[0][order], every[1][order]), return_index=True)
        order = order[np.sort(first)]
        made.forgotten += max(len(order) - most, 0)
        order = order[:most]
        made.terminal, made.host, made.day = every[0][order], every[1][order], days[order]
        return made

    def to_bytes(self) -> bytes:
        held = Visits(max(RECENT, self.visits.num_rows), 0)
        held._put(self.visits)
        arrays = {"terminal": self.terminal, "host": self.host, "day": self.day}
        return join(held.to_bytes(), pack("redirects-memory", 1, arrays, {"forgotten": self.forgotten}))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        first, second = split(data)
        arrays, scalars = unpack("redirects-memory", 1, second)
        made = cls()
        made.visits = Visits.from_bytes(first).table()
        if set(arrays) != {"terminal", "host", "day"} or len({len(each) for each in arrays.values()}) > 1:
            raise StateError("the memory of redirect chains has the wrong columns")
        made.terminal, made.host, made.day = arrays["terminal"], arrays["host"], arrays["day"]
        made.forgotten = scalars["forgotten"]
        return made


def _pair(terminal: np.ndarray, host: np.ndarray) -> np.ndarray:
    return np.asarray(terminal * np.uint64(0x9E3779B97F4A7C15) ^ host)
