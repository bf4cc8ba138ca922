"""``andon simulate coordination``: days at a telescope with planted botnets, worms and decoys, and their truth."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

import typer

from andon.cli.terminal import fail, note, progress


def coordination(
    out: str = typer.Option(
        ..., "--out", help="Folder for capture.pcap and the truth; - writes the capture to standard output."
    ),
    seed: int = typer.Option(1, "--seed", help="Same seed, same packets."),
    telescope: str = typer.Option("198.18.0.0/20", "--telescope", help="Dark prefixes, comma separated."),
    days: float = typer.Option(1.0, "--days", help="Length in days (whole hours)."),
    start: str = typer.Option("2026-03-02T00:00:00Z", "--start", help="Time of the first packet (RFC 3339)."),
    rate: float = typer.Option(0.067, "--rate", help="Packets per second and dark address."),
    quiet: bool = typer.Option(False, "--quiet", help="Background alone: nothing planted, no decoys."),
    calm: float | None = typer.Option(None, "--calm", help="Days at the beginning without events."),
    before_mirai: bool = typer.Option(
        False, "--before-mirai", help="Ports that Mirai's descendants made popular are empty, as in 2016."
    ),
) -> None:
    """Write days of background with coordinated activity and decoys planted in it, and the truth about them.

    Example: andon simulate coordination --seed 7 --telescope 198.18.0.0/22 --days 2 --out sim
    """
    from andon.simulate.coordination import Scenario, simulate
    from andon.simulate.coordination.capture import write_capture

    blocks = tuple(part.strip() for part in telescope.split(",") if part.strip())
    try:
        scenario = Scenario(
            seed, blocks, days, datetime.fromisoformat(start), rate, quiet, calm, before_mirai
        )
    except ValueError as error:
        fail(str(error), 2)
    try:
        if out == "-":
            result = write_capture(scenario, sys.stdout.buffer)
            where = "standard output"
        else:
            with progress("simulate") as report:
                result = simulate(scenario, Path(out), lambda made: report("write", made))
            where = out
    except BrokenPipeError:
        fail("the reader of the capture went away", 1)
    except OSError as error:
        fail(str(error), 1)
    note(f"{result.packets:,} packets, {result.bytes:,} bytes in {where}")
