"""Spans are closed in time order and each engine concludes them after those it needs: batch and live alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from andon.records.contract import Context, Outcome, duration_ns
from andon.records.kinds import PACKET
from andon.run.engines import AnyEngine
from andon.run.windows import EngineWindows

_Turn = tuple[int, int, int, str]  # watermark that closes it, start, end, span
_Watermark = int | None | Mapping[str, int]


class Witness(Protocol):
    """Sees every conclusion as it is drawn."""

    def begin(self) -> None:
        """Conclusions are drawn from the first on, again perhaps."""

    def __call__(self, engine: AnyEngine, span: str, start: int, summary: Any, outcome: Outcome[Any]) -> None:
        """``start``: of the span, ns; ``summary``: None where nothing was read of it."""


@dataclass(frozen=True)
class Concluded:
    """One engine's conclusion of one span (ns, end exclusive)."""

    engine: AnyEngine
    span: str
    start: int
    end: int
    outcome: Outcome[Any]
    cpu_seconds: float = 0.0


class Conclusions:
    """``told`` hears of every conclusion, in time order.

    ``live``: spans are kept open for the engines' lateness; else whoever gives the watermark has allowed for it.
    Engines that share a span share its lateness, the largest one, so that they close it together."""

    def __init__(
        self, engines: Sequence[AnyEngine], told: Callable[[Concluded], None], live: bool = False
    ) -> None:
        self.windows = [EngineWindows(engine) for engine in engines]
        self.told = told
        self.lateness = _lateness(engines) if live else dict.fromkeys((e.name for e in engines), 0)
        self.carries: dict[tuple[str, str], Any] = {}
        self.last_end: dict[tuple[str, str], int] = {}
        self.wake: dict[tuple[str, str], int] = {}
        self.newest: dict[str, pa.Table] = {}
        self.witness: Witness | None = None
        self._last_needed = {need for engine in engines for need in engine.needs if need.endswith("@last")}

    def watched_by(self, witness: Witness | None) -> None:
        """Show every conclusion from now on to a witness as well."""
        self.witness = witness
        if witness is not None:
            witness.begin()

    def until(self, watermark: _Watermark) -> None:
        """Conclude every span that the watermark (ns) has passed, one for all engines or by engine (one that is not
        there waits); None: the input has ended, conclude all."""
        # Keyed by the watermark that closes them: their order must not depend on how far it came in one step.
        closed: dict[_Turn, dict[str, Any]] = {}
        for windows in self.windows:
            if isinstance(watermark, Mapping) and windows.engine.name not in watermark:
                continue
            reached = self._reached(windows.engine.name, watermark)
            windows.close_until(reached)
            for span, start, end, summary in windows.take_closed(reached):
                turn = (end + self.lateness[windows.engine.name], start, end, span)
                closed.setdefault(turn, {})[windows.engine.name] = summary
        for turn in sorted(closed):
            self._wake_up(watermark, turn)
            self._conclude(turn[3], turn[1], turn[2], closed[turn], watermark is None)
        self._wake_up(watermark, None)

    def _reached(self, name: str, watermark: _Watermark) -> int | None:
        if watermark is None:
            return None
        return (watermark[name] if isinstance(watermark, Mapping) else watermark) - self.lateness[name]

    def _wake_up(self, watermark: _Watermark, before: _Turn | None) -> None:
        """Conclude the empty spans that engines asked to be woken in, as far as ``before``."""
        while (woken := self._next_wake(watermark)) is not None and (before is None or woken[0] < before):
            (_, start, end, span), name = woken
            self.wake.pop((name, span))
            self._conclude(span, start, end, {name: None}, False)

    def _next_wake(self, watermark: _Watermark) -> tuple[_Turn, str] | None:
        """The earliest span that an engine asked to be woken in and that is over, and the engine."""
        if watermark is None or not self.wake:
            return None
        due = []
        for (name, span), at in self.wake.items():
            if isinstance(watermark, Mapping) and name not in watermark:
                continue
            length, lateness = duration_ns(span), self.lateness[name]
            start = max(at // length * length, self.last_end.get((name, span), at // length * length))
            reached = self._reached(name, watermark)
            if reached is not None and start + length <= reached:
                due.append(((start + length + lateness, start, start + length, span), name))
        return min(due, default=None)

    def _conclude(self, span: str, start: int, end: int, summaries: dict[str, Any], partial: bool) -> None:
        tables: dict[str, pa.Table] = {}
        done: set[str] = set()
        for windows in self.windows:
            engine = windows.engine
            key = (engine.name, span)
            before = self.last_end.get(key)
            follows = _follows(engine, done) and (before is None or before < end)
            if span not in windows.spans or not (engine.name in summaries or follows):
                continue
            done.add(engine.name)
            needed = {name: tables[name] for name in engine.needs if name in tables}
            needed |= {name: self.newest[name] for name in engine.needs if name in self.newest}
            context: Context[Any] = Context(
                span=span,
                start=start,
                end=end,
                partial=partial,
                gap=0 if before is None else (start - before) // (end - start),
                tables=needed,
            )
            summary = summaries.get(engine.name)
            begin = time.thread_time()
            outcome = engine.conclude(
                engine.empty() if summary is None else summary, self.carries.get(key), context
            )
            self.carries[key] = outcome.carry
            self.last_end[key] = end
            if outcome.wake_at is None:
                self.wake.pop(key, None)
            else:
                self.wake[key] = outcome.wake_at
            for name, table in outcome.tables.items():
                tables[f"{engine.name}:{name}"] = table
            self.told(Concluded(engine, span, start, end, outcome, time.thread_time() - begin))
            if self.witness is not None:
                self.witness(engine, span, start, summary, outcome)
        # Only now: `@last` is the newest span that ended by the start of the one that reads it.
        for name, table in tables.items():
            if f"{name}@last" in self._last_needed:
                self.newest[f"{name}@last"] = table


def _follows(engine: AnyEngine, done: Collection[str]) -> bool:
    """Does it conclude, though it has read nothing of the span, because engines whose tables it needs have?

    Engines of packets do not: where there were packets at all they have read some, and a span of which only other
    records are known is none of theirs. One that reads nothing and needs nothing of the same span follows any other."""
    if PACKET in engine.reads:
        return False
    needed = {need.split(":")[0] for need in engine.needs if not need.endswith("@last")}
    if not needed:
        return not engine.reads and bool(done)
    return not needed.isdisjoint(done)


def _lateness(engines: Sequence[AnyEngine]) -> dict[str, int]:
    """ns by engine: the largest among all engines that are tied by common spans."""
    found = {engine.name: duration_ns(engine.window.lateness) for engine in engines}
    changed = True
    while changed:
        changed = False
        for a in engines:
            for b in engines:
                if set(a.window.spans) & set(b.window.spans) and found[a.name] < found[b.name]:
                    found[a.name] = found[b.name]
                    changed = True
    return found


def outcome_tables(concluded: Concluded) -> Mapping[str, pa.Table]:
    """Tables of a conclusion by ``ENGINE:TABLE``."""
    return {f"{concluded.engine.name}:{name}": table for name, table in concluded.outcome.tables.items()}
