"""The packet history as input: the options that commands over captures share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from andon.cli.terminal import fail, note

if TYPE_CHECKING:
    from andon.run.inputs import Inputs

HISTORY: Any = typer.Option(
    None,
    "--history",
    metavar="STORE",
    help="Packets of the history in this store folder of `andon run`, alone or besides files.",
)
FROM: Any = typer.Option(
    "",
    "--from",
    help="Of the history, packets from this date or time on (UTC): 2026-01-31, 2026-01-31T12:30.",
)
TO: Any = typer.Option("", "--to", help="... and before this one.")


@dataclass(frozen=True)
class Past:
    """The history that was asked for. ``start`` and ``end``: ns, None where there is no bound."""

    store: Path
    start: int | None = None
    end: int | None = None

    def add_to(self, inputs: Inputs) -> None:
        """Put its files among the captures; ends the command if there is nothing else and it holds nothing of that
        time. Raises StoreError."""
        if inputs.add_history(self.store, self.start, self.end):
            return
        bounded = self.start is not None or self.end is not None
        text = f"{self.store}: the history holds no packets" + (" of that time" if bounded else "")
        if not inputs.reports:
            fail(text, 1)
        note(f"andon: {text}")


def asked(files: Sequence[str], history: Path | None, start: str, end: str) -> Past | None:
    """What the options say; ends the command with a usage error where they do not fit together."""
    if history is None:
        if start or end:
            fail("--from and --to bound a history: they need --history STORE", 2)
        if not files:
            fail("give files, or --history STORE", 2)
        return None
    past = Past(history, _time("--from", start), _time("--to", end))
    if past.start is not None and past.end is not None and past.start >= past.end:
        fail(f"--from {start} is not before --to {end}", 2)
    return past


def _time(option: str, text: str) -> int | None:
    from andon.records.finding import nanoseconds

    if not text:
        return None
    try:
        time = nanoseconds(text)
    except (ValueError, OverflowError):
        fail(
            f"{option} {text}: write a date or a time (UTC), for example 2026-01-31 or 2026-01-31T12:30:00Z",
            2,
        )
    if not -(2**63) <= time < 2**63:
        fail(f"{option} {text}: packets have times from 1678 to 2261", 2)
    return time
