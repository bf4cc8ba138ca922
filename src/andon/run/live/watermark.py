"""Event time: how far all sources have come, row by row.

The watermark is the newest timestamp of each source, the least over sources. It is taken *before each row*, so which
rows are late depends on their order alone and not on how they were cut into batches: a replay after a crash judges as
the first run did. A timestamp more than a minute ahead of the clock of its segment does not move it.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

AHEAD = 60_000_000_000  # ns
_NEVER = np.iinfo(np.int64).min


class Watermark:
    """``sources`` that are silent so far hold time back; one that has finished, or says that it is idle, does not, and
    neither does one that is in the journal but not among ``sources`` any more.

    >>> mark = Watermark(["a"])
    >>> mark.rows("a", np.array([5, 9, 7])).tolist()[1:]
    [5, 9]
    >>> mark.low
    9
    """

    def __init__(self, sources: Iterable[str]) -> None:
        self.newest: dict[str, int] = dict.fromkeys(sources, _NEVER)
        self.finished: set[str] = set()
        self._configured = frozenset(self.newest)

    @property
    def low(self) -> int | None:
        """ns before which nothing more is expected (lateness apart); None before the first row."""
        open_ones = [time for name, time in self.newest.items() if name not in self.finished]
        low = min(open_ones) if open_ones else max(self.newest.values(), default=_NEVER)
        return None if low == _NEVER else low

    def rows(self, source: str, ts: np.ndarray) -> np.ndarray:
        """int64: the watermark before each row of the source's next batch; takes the rows in."""
        others = [t for name, t in self.newest.items() if name != source and name not in self.finished]
        bound = min(others) if others else np.iinfo(np.int64).max
        mine = self.newest.setdefault(source, _NEVER)
        self._begin(source)
        if not len(ts):
            return np.empty(0, np.int64)
        reached = np.maximum.accumulate(np.maximum(ts, mine))
        before = np.empty(len(ts), np.int64)
        before[0] = mine
        before[1:] = reached[:-1]
        self.newest[source] = int(reached[-1])
        return np.minimum(before, bound)

    def _begin(self, source: str) -> None:
        if source in self._configured:
            self.finished.discard(source)
        else:
            self.finished.add(source)

    def heartbeat(self, source: str, time: int) -> None:
        """The source is alive and has nothing older than ``time`` (ns)."""
        self.newest[source] = max(self.newest.get(source, _NEVER), time)
        if source not in self._configured:
            self.finished.add(source)

    def finish(self, source: str) -> None:
        """The source has ended, or is idle until its next row, and no longer holds time back."""
        self.newest.setdefault(source, _NEVER)
        self.finished.add(source)

    def state(self) -> dict[str, object]:
        return {"newest": dict(self.newest), "finished": sorted(self.finished)}

    def restore(self, state: dict[str, object]) -> None:
        newest, finished = state["newest"], state["finished"]
        if not isinstance(newest, dict) or not isinstance(finished, list):
            raise ValueError("the watermark of the checkpoint is damaged")
        self.newest.update({str(name): int(time) for name, time in newest.items()})
        gone = self.newest.keys() - self._configured
        self.finished = {str(name) for name in finished} | gone
