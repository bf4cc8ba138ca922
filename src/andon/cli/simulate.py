"""``andon simulate internet``: an Internet with known truth, as telescopes see it, into a folder or a pipe."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from andon.cli.simulate_alerts import alerts
from andon.cli.simulate_coordination import coordination
from andon.cli.simulate_infrastructure import infrastructure
from andon.cli.simulate_joint import joint
from andon.cli.simulate_organisation import organisation
from andon.cli.terminal import fail, note, progress

if TYPE_CHECKING:
    from andon.simulate.internet import InternetConfig

app = typer.Typer(
    help="Make traffic whose truth is known.\n\nExample: andon simulate internet --seed 1 --out sim",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def _group() -> None:
    """Make traffic whose truth is known."""


app.command("coordination")(coordination)
app.command("infrastructure")(infrastructure)
app.command("joint")(joint)
app.command("organisation")(organisation)
app.command("alerts")(alerts)


@app.command("internet")
def internet(
    out: Path = typer.Option(
        ...,
        "--out",
        help="Folder for capture.pcap and truth.parquet; - : the capture alone, to standard output.",
    ),
    seed: int = typer.Option(1, "--seed", help="Same seed, same packets."),
    telescope: str = typer.Option(
        "", "--telescope", help="Dark prefixes, comma separated; five /18 if empty."
    ),
    packets: int | None = typer.Option(
        None,
        "--packets",
        min=1,
        help="How many packets in all; 1,000,000 if neither this nor --rate is given.",
    ),
    rate: float | None = typer.Option(
        None, "--rate", min=0.0, help="Packets a second of their own time, instead of --packets."
    ),
    duration: str = typer.Option("1h", "--duration", help="Length of the capture, e.g. 10min, 1h, 3d."),
    start: str = typer.Option("2026-01-01T00:00:00Z", "--start", help="Time of the first packet (RFC 3339)."),
    contamination: float = typer.Option(
        0.05, "--contamination", min=0.0, max=1.0, help="Share of foreign packets in each infected source."
    ),
    noise: float = typer.Option(0.3, "--noise", min=0.0, max=1.0, help="Share of background packets."),
    family: list[str] = typer.Option(
        [], "--family", help="NAME:EXPR:SOURCES, e.g. 'new:tcp.seq == ip.dst + 7:200'. Repeatable."
    ),
) -> None:
    """Write a capture of background traffic and scanners, and the truth about it.

    With --out - the capture goes to standard output as it is made, as fast as it is read, and is stored nowhere: to
    another command, or to a running Andon ([[source]] with kind = "stdin").

    Example: andon simulate internet --seed 7 --packets 2000000 --contamination 0.1 --noise 0.5 --out sim

    Example: andon simulate internet --rate 20000 --duration 1d --out - | andon run --config andon.toml

    Example: andon simulate internet --packets 100000 --out - | andon count -
    """
    from andon.records.contract import SECOND, duration_ns
    from andon.simulate.internet import DEFAULT_TELESCOPE, InternetConfig, parse_family, simulate

    if packets is not None and rate is not None:
        fail("give --packets or --rate, not both: each says how many packets there are", 2)
    blocks = tuple(part.strip() for part in telescope.split(",") if part.strip())
    try:
        seconds = duration_ns(duration) / SECOND
        if rate is not None:
            packets = round(rate * seconds)
        config = InternetConfig(
            seed=seed,
            telescope=blocks or DEFAULT_TELESCOPE,
            packets=1_000_000 if packets is None else packets,
            duration=seconds,
            start=datetime.fromisoformat(start),
            contamination=contamination,
            noise=noise,
            extra=tuple(parse_family(text) for text in family),
        )
    except ValueError as error:
        fail(str(error), 2)
    if str(out) == "-":
        _pour(config)
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
        with progress("simulate") as report:
            result = simulate(config, out, lambda made: report("write", made))
    except ValueError as error:
        fail(str(error), 2)
    except OSError as error:
        fail(str(error), 1)
    note(
        f"{result.packets:,} packets of {result.sources:,} sources in {result.capture}; truth in {result.truth}"
    )


def _pour(config: InternetConfig) -> None:
    """The capture to standard output. Whoever reads it may stop: that is an end like another."""
    from andon.simulate.internet import write_to

    if sys.stdout.isatty():
        fail("a capture is nothing for a terminal: pipe it on, e.g. into andon count -", 2)
    try:
        # Not through the buffered file of Python, which would complain of a broken pipe once more at the end.
        with open(1, "wb", buffering=0, closefd=False) as pipe, progress("simulate") as report:
            count = write_to(config, pipe, lambda made: report("write", made))
    except BrokenPipeError:
        return
    except OSError as error:
        fail(str(error), 1)
    else:
        note(f"{count:,} packets written")
