"""The calm table that ``andon run`` shows in a terminal: once a second, always the same rows in the same places."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from andon.records.finding import SEVERITIES
from andon.run.bus.words import lines
from andon.run.live.status import Status

if TYPE_CHECKING:
    from rich.console import RenderableType

_OVER = 10  # statuses that a rate is taken over
_STYLES = {"critical": "bold red", "high": "red", "medium": "yellow"}


class Board:
    """Makes a renderable of each status; rates are those since some seconds ago."""

    def __init__(self) -> None:
        self._past: deque[Status] = deque(maxlen=_OVER)

    def view(self, status: Status) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        before = self._past[0] if self._past else status
        self._past.append(status)
        seconds = (status.clock - before.clock) / 1e9
        parts: list[RenderableType] = [
            self._head(status, before, seconds),
            self._tables(status, before, seconds),
        ]
        if status.shed or status.lost:
            parts.append(Text(f"left out  {status.shed:,} shed, {status.lost:,} lost", "yellow"))
        if status.contain:
            parts.append(Text(containment_line(status.contain)))
        parts += [Text(printable(line)) for line in lines(status.bus)]
        parts += [Text(f"trouble   {printable(text)}", "yellow") for text in status.trouble]
        return Group(*parts)

    def _head(self, status: Status, before: Status, seconds: float) -> RenderableType:
        from rich.text import Text

        uptime = int((status.clock - status.started) / 1e9)
        lag = "-" if status.lag is None else f"{status.lag:.1f} s"
        head = Text(
            f"andon     {status.state} for {uptime // 3600}:{uptime // 60 % 60:02}:{uptime % 60:02}\n"
        )
        head.append(
            f"packets   {_rate(status.received, before.received, seconds)}/s, {status.received:,} in all; "
        )
        head.append(f"engines {lag} and {status.backlog:,} packets behind; ")
        head.append(f"journal {status.journal_bytes / 1e6:,.1f} MB\n")
        head.append("findings  ")
        found = [(n, name) for name in reversed(SEVERITIES) if (n := status.severities.get(name, 0))]
        for at, (number, name) in enumerate(found):
            head.append(", " if at else "")
            head.append(f"{number:,} {name}", _STYLES.get(name, ""))
        head.append("" if found else "none so far")
        return head

    def _tables(self, status: Status, before: Status, seconds: float) -> RenderableType:
        from rich.columns import Columns

        engines = _table("engine", "CPU", "CPU s")
        for name, spent in status.engines.items():
            share = sum(spent) - sum(before.engines.get(name, spent))
            part = f"{100 * share / seconds:.1f} %" if seconds > 0 else "-"
            engines.add_row(name, part, f"{sum(spent):,.1f}")
        sources = _table("source", "packets/s", "packets")
        for name, rows in status.sources.items():
            sources.add_row(name, _rate(rows, before.sources.get(name, rows), seconds), f"{rows:,}")
        tables = [engines, sources]
        if status.outbox:
            sinks = _table("sink", "waiting", "delivered", "given up")
            for name, states in status.outbox.items():
                numbers = (states.get(state, 0) for state in ("queued", "delivered", "dead"))
                sinks.add_row(printable(name), *(f"{number:,}" for number in numbers))
            tables.append(sinks)
        return Columns(tables, padding=(0, 3))


def _table(*names: str) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for number, name in enumerate(names):
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    return table


def _rate(now: int, before: int, seconds: float) -> str:
    return f"{(now - before) / seconds:,.0f}" if seconds > 0 else "-"


def printable(text: str) -> str:
    """Text from outside without control characters, so that it cannot drive the terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def containment_line(said: dict[str, Any]) -> str:
    """Containment in one line.

    >>> containment_line({"mode": "auto", "intents": {"verified": 2}, "enforcers": {"switch": {"state": "ok"}}})
    'contain   auto: 2 verified; switch ok'
    """
    intents = ", ".join(f"{count:,} {state}" for state, count in sorted(said["intents"].items()))
    enforcers = ", ".join(f"{printable(name)} {one['state']}" for name, one in said["enforcers"].items())
    return f"contain   {said['mode']}: {intents or 'nothing'}{'; ' if enforcers else ''}{enforcers}"
