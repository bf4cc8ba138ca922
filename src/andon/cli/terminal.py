"""What all commands share at the terminal: messages, progress, tables within 100 columns."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from time import monotonic
from typing import TYPE_CHECKING, NoReturn

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

WIDTH = 100


class Format(StrEnum):
    """How the answer is written to stdout."""

    table = "table"
    json = "json"


def note(text: str) -> None:
    """For the person, on stderr, whatever names of files and values are in it."""
    print("\n".join(map(safe, text.split("\n"))), file=sys.stderr)


def fail(text: str, code: int) -> NoReturn:
    """Say what is wrong and what to do, and stop with this exit code (1 nothing readable, 2 usage)."""
    note(f"andon: {text}")
    raise typer.Exit(code)


def unreadable(name: str, error: str) -> str:
    """What to say of a file that no reader takes, with what there is to do about it."""
    if not error.startswith("not a capture"):
        return f"andon: {name}: {error}"
    if name == "-":
        return f"andon: -: {error}; other records than packets are read from files"
    return (
        f"andon: {name}: {error}; nor is it a log of a format that is known (docs/logs.md), a honeypot log, flows, a "
        "table of darknet sources, a report (.txt, .md, HTML, PDF, JSON) or an asset list with headings that are known "
        "(docs/assets.md)"
    )


def console() -> Console:
    """A console on stdout, at most 100 columns wide, plain when it is not a terminal."""
    from rich.console import Console

    probe = Console()
    return Console(
        width=min(WIDTH, probe.width) if probe.is_terminal else WIDTH, highlight=False, soft_wrap=False
    )


@contextmanager
def progress(verb: str) -> Iterator[Callable[[str, int], None]]:
    """Yields ``report(stage, packets)``; on a terminal a line on stderr is kept up to date, else nothing."""
    if not sys.stderr.isatty():
        yield lambda stage, packets: None
        return
    totals: dict[str, int] = {}
    state = {"shown": 0.0, "start": monotonic()}

    def report(stage: str, packets: int) -> None:
        totals[stage] = totals.get(stage, 0) + packets
        now = monotonic()
        if now - state["shown"] > 0.2:
            state["shown"] = now
            seconds = max(now - state["start"], 1e-9)
            text = f"{verb}: {stage} {totals[stage]:,} packets, {seconds:,.0f} s"
            print(f"\r\x1b[2K{text}", end="", file=sys.stderr, flush=True)

    try:
        yield report
    finally:
        print("\r\x1b[2K", end="", file=sys.stderr, flush=True)


def safe(text: str) -> str:
    """Text from outside without control characters, so that it cannot drive the terminal."""
    return "".join(c if c.isprintable() else "�" for c in text)
