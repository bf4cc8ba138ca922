"""Windows of one partition: nothing is late, and what is over is handed out early.

A partition knows nothing of the others, so no row of it can come too late: a span that was handed out already is
handed out again with what came after, and merging makes one of them. Memory is that of a live runner: the spans that
are open.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from andon.run.windows import MAX_OPEN, EngineWindows


class PartWindows(EngineWindows):
    """Spans of one engine over one partition."""

    def _into_tile(self, start: int, piece: pa.RecordBatch) -> None:
        """A tile that had to be closed for want of room is begun again by later rows; both go into its span."""
        summary = self.tiles.pop(start, None)
        if summary is None:
            if len(self.tiles) >= MAX_OPEN:
                self._close_tile(min(self.tiles))
            summary = self.engine.empty()
        self.tiles[start] = self.engine.summarise(piece, summary)

    def take_until(self, watermark: int | None) -> Iterator[tuple[str, int, Any]]:
        """(span, start, summary) of what ends at or before the watermark (ns); None: of everything."""
        self.close_until(watermark)
        self.closed_before = np.iinfo(np.int64).min
        for span, start, _, summary in self.take_closed(watermark):
            yield span, start, summary
