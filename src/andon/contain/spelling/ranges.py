"""Sets of addresses as sorted ranges: one bisection tells whether a range touches the set."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable

from andon.contain.spelling import Span


class Spans:
    """Addresses of both versions. Ranges that touch are one.

    >>> from andon.contain.spelling import spans
    >>> Spans(spans("10.0.0.0/24")).touches(spans("10.0.0.7"))
    True
    """

    __slots__ = ("_high", "_low", "count")

    def __init__(self, given: Iterable[Span]) -> None:
        self._low: dict[int, list[int]] = {4: [], 6: []}
        self._high: dict[int, list[int]] = {4: [], 6: []}
        for span in sorted(given, key=lambda one: (one.version, one.low)):
            lows, highs = self._low[span.version], self._high[span.version]
            if highs and span.low <= highs[-1] + 1:
                highs[-1] = max(highs[-1], span.high)
            else:
                lows.append(span.low)
                highs.append(span.high)
        self.count = len(self._low[4]) + len(self._low[6])

    def __bool__(self) -> bool:
        return self.count > 0

    def touches(self, given: Iterable[Span]) -> bool:
        """Whether one of the ranges has an address of the set."""
        return any(self.hit(span) for span in given)

    def hit(self, span: Span) -> bool:
        at = bisect_right(self._low[span.version], span.high) - 1
        return at >= 0 and self._high[span.version][at] >= span.low

    def holds(self, span: Span) -> bool:
        """Whether all of the range is in the set."""
        at = bisect_right(self._low[span.version], span.low) - 1
        return at >= 0 and self._high[span.version][at] >= span.high

    def within(self, span: Span) -> int:
        """How many addresses of the set are in the range."""
        lows, highs = self._low[span.version], self._high[span.version]
        found = 0
        for at in range(bisect_left(highs, span.low), len(lows)):
            if lows[at] > span.high:
                break
            found += min(highs[at], span.high) - max(lows[at], span.low) + 1
        return found
