"""``andon simulate joint``: bot families at a telescope, at honeypots, in reports, on devices; their truth."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import typer

from andon.cli.terminal import fail, note


def joint(
    out: Path = typer.Option(..., "--out", help="Folder for the logs, lists, reports and truth/."),
    seed: int = typer.Option(1, "--seed", help="Same seed, same files."),
    days: float = typer.Option(21.0, "--days", help="Length in days (whole hours)."),
    start: str = typer.Option("2026-03-01T00:00:00Z", "--start", help="Its beginning (RFC 3339)."),
    devices: int = typer.Option(5000, "--devices", help="How many devices get infected."),
    families: int = typer.Option(10, "--families", help="How many bot families there are."),
    honeypots: int | None = typer.Option(None, "--honeypots", help="Honeypot hosts; drawn if not given."),
    lease: float | None = typer.Option(
        None, "--lease", help="Mean days that an address is held; drawn for each address pool if not given."
    ),
    nat: float | None = typer.Option(
        None, "--nat", help="Share of address pools behind a carrier's NAT; drawn if not given."
    ),
    contamination: float | None = typer.Option(
        None,
        "--contamination",
        help="Fingerprints shown by unrelated sources, as a share; drawn if not given.",
    ),
    clock_offset: float | None = typer.Option(
        None, "--clock-offset", help="Seconds that the honeypots' clocks are ahead; drawn if not given."
    ),
    detection: float | None = typer.Option(
        None, "--detection", help="Chance that a fingerprint is recognised; drawn if not given."
    ),
    null: str = typer.Option(
        "", "--null", help="shift or rename: nothing there to link (see docs/joint.md)."
    ),
    capture: float = typer.Option(
        0.0, "--capture", help="Days of packets to write as capture.pcap; 0: none.", min=0.0
    ),
) -> None:
    """Write a scenario whose links are known: darknet sources, honeypot logs, asset lists, reports, and the truth.

    Example: andon simulate joint --seed 7 --days 21 --out sim
    """
    from andon.simulate.joint import Scenario, simulate

    try:
        scenario = Scenario(
            seed, days, datetime.fromisoformat(start), devices, families, honeypots, lease, nat, contamination,
            clock_offset, detection, null,
        )  # fmt: skip
        made = simulate(scenario, out, capture)
    except ValueError as error:
        fail(str(error), 2)
    except OSError as error:
        fail(str(error), 1)
    note(
        f"{made.families} families, {made.infections:,} infections, {made.sightings:,} darknet sightings, "
        f"{made.visits:,} honeypot sessions"
        + (f", {made.packets:,} packets" if capture else "")
        + f" in {out}"
    )
