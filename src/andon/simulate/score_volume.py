"""The baseline of volume: when would the packets of a port alone have told?

For an event, every ten-minute span of each of its ports is counted in packets. Mean and standard deviation (population)
are taken over all spans of that port in the MEMORY before the event begins (less if the capture is younger, at least
LEAST). The volume tells at the end of the first span that ends after the event begins, at most
``score_alerts.TOLERANCE`` after its end, whose packets exceed mean + 3 sigma (a start) or fall below mean - 3 sigma (a
stop). That this also happens by chance (a few spans in a hundred of a bursty port) is to the baseline's credit: its
false alerts are not counted.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

from andon.records.contract import SECOND
from andon.records.coordination import START

from .score_alerts import TOLERANCE, Event

SPAN: Final = 600 * SECOND
MEMORY: Final = 3 * 86400 * SECOND
LEAST: Final = 6 * 3600 * SECOND
SIGMAS: Final = 3.0


class Volume:
    """Packets of chosen (port, protocol) pairs per ten minutes of a capture from ``start`` to ``end`` (ns)."""

    def __init__(self, ports: set[tuple[int, int]], start: int, end: int) -> None:
        self.start = start
        self.ports = sorted(ports)
        self.counts = np.zeros((len(self.ports), -(-(end - start) // SPAN)), np.int64)
        self._place = np.full((256, 65536), -1, np.int16) if ports else None
        for i, (port, protocol) in enumerate(self.ports):
            assert self._place is not None
            self._place[protocol, port] = i

    def add(self, batch: pa.RecordBatch) -> None:
        """Count a batch of packet records."""
        if self._place is None or batch.num_rows == 0:
            return
        place = self._place[batch["proto"].to_numpy(), batch["dst_port"].to_numpy()]
        kept = np.flatnonzero(place >= 0)
        ts = batch["ts"].cast(pa.int64()).to_numpy()[kept]
        span = (ts - self.start) // SPAN
        inside = (span >= 0) & (span < self.counts.shape[1])
        np.add.at(self.counts, (place[kept][inside], span[inside]), 1)

    def delay(self, event: Event) -> int | None:
        """ns from the event's beginning to the end of the first span that tells; None if none does."""
        found = [
            d for pair in event.ports if pair in self.ports and (d := self._delay(event, pair)) is not None
        ]
        return min(found, default=None)

    def _delay(self, event: Event, pair: tuple[int, int]) -> int | None:
        row = self.counts[self.ports.index(pair)]
        first = (event.begins - self.start) // SPAN
        past = row[max(0, first - MEMORY // SPAN) : first]
        if len(past) * SPAN < LEAST:
            return None
        mean, sigma = float(past.mean()), float(past.std())
        last = min((event.ends + TOLERANCE - self.start) // SPAN, len(row))
        future = row[first:last]
        starts = event.direction == START
        tells = future > mean + SIGMAS * sigma if starts else future < mean - SIGMAS * sigma
        at = np.flatnonzero(tells)
        return int(self.start + (first + int(at[0]) + 1) * SPAN - event.begins) if len(at) else None
