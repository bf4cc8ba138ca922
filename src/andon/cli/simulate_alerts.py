"""``andon simulate alerts``: days of alerts of Suricata and Wazuh, with flows, an asset list, verdicts, and their
truth."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import typer

from andon.cli.terminal import fail, note


def alerts(
    out: Path = typer.Option(..., "--out", help="Folder for the files, lists/ and truth/."),
    seed: int = typer.Option(1, "--seed", help="Same seed, same files."),
    days: int = typer.Option(3, "--days", help="Length in days; the first shows what is usual."),
    terminals: int = typer.Option(200, "--terminals", help="Terminals of the organisation (20 to 50,000)."),
    per_day: int = typer.Option(100_000, "--alerts", help="Alerts a day, all products together."),
    true: float = typer.Option(5.0, "--true", help="Attacks a day (mean)."),
    false: float = typer.Option(
        95.0, "--false", help="Other causes a day that look as if they mattered (mean)."
    ),
    stale: float = typer.Option(0.2, "--stale", help="Share of the asset list that is out of date."),
    missing: float = typer.Option(
        0.1, "--missing", help="Share of the flows that the sensor does not report."
    ),
    skew: float = typer.Option(
        20.0, "--skew", help="Standard deviation of the products' clocks, in seconds."
    ),
    start: str = typer.Option("2026-04-06T00:00:00Z", "--start", help="Its first day (RFC 3339)."),
) -> None:
    """Write alerts of which it is known which tell of an attack that succeeded, and why the others came about.

    Example: andon simulate alerts --seed 7 --out sim

    Example: andon simulate alerts --seed 7 --stale 0.5 --missing 0.3 --out worse
    """
    from andon.simulate.alerts import INSIDE, Scenario, simulate

    try:
        begin = datetime.fromisoformat(start)
    except ValueError:
        fail(f"--start {start!r} is no time such as 2026-04-06T00:00:00Z", 2)
    try:
        scenario = Scenario(
            seed=seed, days=days, terminals=terminals, alerts=per_day, true=true, false=false, stale=stale,
            missing=missing, skew=skew, start=begin,
        )  # fmt: skip
    except ValueError as error:
        fail(str(error), 2)
    try:
        made = simulate(scenario, out)
    except OSError as error:
        fail(str(error), 1)
    note(
        f"{made.alerts:,} alerts, {made.flows:,} flows; {made.causes:,} causes, {made.true:,} of them attacks; "
        f"inside is {', '.join(INSIDE)}; in {out}"
    )
