"""``andon simulate internet``: an Internet with known truth, as telescopes see it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import typer

from andon.cli.simulate_coordination import coordination
from andon.cli.terminal import fail, note, progress

app = typer.Typer(
    help="Make traffic whose truth is known.\n\nExample: andon simulate internet --seed 1 --out sim",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def _group() -> None:
    """Make traffic whose truth is known."""


app.command("coordination")(coordination)


@app.command("internet")
def internet(
    out: Path = typer.Option(..., "--out", help="Folder for capture.pcap and truth.parquet."),
    seed: int = typer.Option(1, "--seed", help="Same seed, same packets."),
    telescope: str = typer.Option(
        "", "--telescope", help="Dark prefixes, comma separated; five /18 if empty."
    ),
    packets: int = typer.Option(1_000_000, "--packets", min=1, help="How many packets in all (about)."),
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

    Example: andon simulate internet --seed 7 --packets 2000000 --contamination 0.1 --noise 0.5 --out sim
    """
    from andon.records.contract import SECOND, duration_ns
    from andon.simulate.internet import DEFAULT_TELESCOPE, InternetConfig, parse_family, simulate

    blocks = tuple(part.strip() for part in telescope.split(",") if part.strip())
    try:
        config = InternetConfig(
            seed=seed,
            telescope=blocks or DEFAULT_TELESCOPE,
            packets=packets,
            duration=duration_ns(duration) / SECOND,
            start=datetime.fromisoformat(start),
            contamination=contamination,
            noise=noise,
            extra=tuple(parse_family(text) for text in family),
        )
    except ValueError as error:
        fail(str(error), 2)
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
