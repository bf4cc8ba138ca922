"""Tiles and spans of one engine: rows go into tiles, closed tiles into spans, closed spans are handed out.

Tiles close when the watermark has passed them. A row for a time that is closed already is late: it is counted,
never silently lost. At most ``MAX_OPEN`` tiles are open at once, whatever the timestamps say; beyond that the
oldest is closed early.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from andon.records.contract import duration_ns
from andon.run.engines import AnyEngine

MAX_OPEN = 256


class EngineWindows:
    """Open summaries of one engine. Not thread-safe: one thread at a time works on one engine."""

    def __init__(self, engine: AnyEngine) -> None:
        self.engine = engine
        self.tile = duration_ns(engine.window.tile)
        self.spans = {span: duration_ns(span) for span in engine.window.spans}
        self.tiles: dict[int, Any] = {}
        self.open: dict[str, dict[int, Any]] = {span: {} for span in self.spans}
        self.closed_before = np.iinfo(np.int64).min  # start of the first tile that is not closed
        self.late = 0
        self._changed: set[str] = set()  # spans that tiles went into since ``saved``

    def add_live(self, batch: pa.RecordBatch, ts: np.ndarray, before: np.ndarray, lateness: int) -> None:
        """As ``add``; ``before`` (int64 ns) is the watermark before each row. A row for a tile that this watermark,
        less the lateness, has passed is late, however the rows were cut into batches."""
        if not len(ts):
            return
        reached = np.maximum(before, np.iinfo(np.int64).min // 2) - lateness
        if int(ts.min()) < int(reached.max()) // self.tile * self.tile:
            late = ts < reached // self.tile * self.tile
            count = int(late.sum())
            if count:
                self.late += count
                batch, ts = batch.filter(pa.array(~late)), ts[~late]
        self.add(batch, ts)

    def add(self, batch: pa.RecordBatch, ts: np.ndarray) -> None:
        """Summarise a batch; ``ts`` are its times in ns."""
        if not len(ts):
            return
        first, last = int(ts.min()) // self.tile, int(ts.max()) // self.tile
        if first == last:
            self._into_tile(first * self.tile, batch)
            return
        tile_of = ts // self.tile
        order = None
        if np.any(tile_of[1:] < tile_of[:-1]):
            order = np.argsort(tile_of, kind="stable")
            tile_of = tile_of[order]
            batch = batch.take(pa.array(order))
        edges = np.flatnonzero(np.diff(tile_of)) + 1
        for start, end in zip(np.r_[0, edges], np.r_[edges, len(tile_of)], strict=True):
            self._into_tile(int(tile_of[start]) * self.tile, batch.slice(int(start), int(end - start)))

    def _into_tile(self, start: int, piece: pa.RecordBatch) -> None:
        if start < self.closed_before:
            self.late += piece.num_rows
            return
        summary = self.tiles.pop(start, None)
        if summary is None:
            if len(self.tiles) >= MAX_OPEN:
                oldest = min(self.tiles)
                self._close_tile(oldest)
                self.closed_before = max(self.closed_before, oldest + self.tile)
                if start < self.closed_before:
                    self.late += piece.num_rows
                    return
            summary = self.engine.empty()
        self.tiles[start] = self.engine.summarise(piece, summary)

    def _close_tile(self, start: int) -> None:
        summary = self.tiles.pop(start)
        for span, length in self.spans.items():
            at = start // length * length
            held = self.open[span].get(at)
            if held is None and (length == self.tile or len(self.spans) == 1):
                held = summary  # nobody changes it: merge leaves its second argument alone
            else:
                held = self.engine.merge(self.engine.empty() if held is None else held, summary)
            self.open[span][at] = held
            self._changed.add(f"{span}/{at}")

    def close_until(self, watermark: int | None) -> None:
        """Close all tiles that end at or before the watermark (ns); None closes everything."""
        for start in sorted(self.tiles):
            if watermark is None or start + self.tile <= watermark:
                self._close_tile(start)
        if watermark is not None:
            self.closed_before = max(self.closed_before, watermark // self.tile * self.tile)

    def take_closed(self, watermark: int | None) -> Iterator[tuple[str, int, int, Any]]:
        """Spans that are over, as (span, start, end, summary), in time order; they are forgotten here."""
        ready = [
            (start + self.spans[span], self.spans[span], span, start)
            for span, held in self.open.items()
            for start in held
            if watermark is None or start + self.spans[span] <= watermark
        ]
        for end, _, span, start in sorted(ready):
            self._changed.discard(f"{span}/{start}")
            yield span, start, end, self.open[span].pop(start)

    def state(self, known: Container[str] = ()) -> tuple[dict[str, Any], dict[str, bytes]]:
        """(numbers, summaries by name) from which ``restore`` makes the same windows again. Summaries that are
        ``known`` and have not changed since ``saved`` was called are left out."""
        states = {f"tile/{start}": summary.to_bytes() for start, summary in sorted(self.tiles.items())}
        for name, summary in self._spans():
            if name in self._changed or name not in known:
                states[name] = summary.to_bytes()
        return {"closed_before": int(self.closed_before), "late": self.late}, states

    def names(self) -> list[str]:
        """Names of all summaries that ``state`` gives if nothing is known."""
        return [f"tile/{start}" for start in sorted(self.tiles)] + [name for name, _ in self._spans()]

    def saved(self) -> None:
        """What ``state`` gave is on disk."""
        self._changed.clear()

    def _spans(self) -> Iterator[tuple[str, Any]]:
        for span, held in self.open.items():
            for start, summary in sorted(held.items()):
                yield f"{span}/{start}", summary

    def restore(self, numbers: dict[str, Any], states: Mapping[str, bytes]) -> None:
        """Take over what ``state`` gave. Raises ValueError for a state that is not one."""
        kind = type(self.engine.empty())
        self.closed_before, self.late = int(numbers["closed_before"]), int(numbers["late"])
        for name, data in states.items():
            place, _, start = name.partition("/")
            if place == "tile":
                self.tiles[int(start)] = kind.from_bytes(data)
            elif place in self.open:
                self.open[place][int(start)] = kind.from_bytes(data)
