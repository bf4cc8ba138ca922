"""``andon simulate organisation``: a proxy's and Zeek's logs of an organisation, its flows, lists, and their truth."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import typer

from andon.cli.terminal import fail, note, progress


def organisation(
    out: Path = typer.Option(..., "--out", help="Folder for the logs, lists/ and truth/."),
    terminals: int = typer.Option(500, "--terminals", help="How many terminals (20 to 50,000)."),
    days: int = typer.Option(3, "--days", help="Length in days."),
    seed: int = typer.Option(1, "--seed", help="Same seed, same files."),
    start: str = typer.Option("2026-04-06T00:00:00Z", "--start", help="Its first day (RFC 3339)."),
    campaigns: int | None = typer.Option(
        None, "--campaigns", help="How many; 4 and one for each 250 terminals if not given."
    ),
    logs: str = typer.Option(
        "squid,flows",
        "--logs",
        help="Which to write: squid (access.log), flows (zeek/conn.log), zeek (zeek/{conn,http,dns,ssl}.log).",
    ),
    log_format: str = typer.Option("native", "--format", help="Of access.log: native or combined."),
    users: bool = typer.Option(True, "--users/--no-users", help="Whether the proxy names the user."),
    leases: int = typer.Option(
        0, "--leases", help="Addresses change after so many days, and dhcpd.leases is written; 0: never."
    ),
    inspect: float = typer.Option(0.4, "--inspect", help="Share of the TLS hosts whose tunnels are opened."),
    black: float = typer.Option(0.35, "--black", help="Share of malicious hosts that the black list knows."),
    missing_referer: float = typer.Option(
        0.2, "--missing-referer", help="Chance that a hop of a redirect chain lacks its referer."
    ),
    exposure: float = typer.Option(
        0.01, "--exposure", help="Malicious pages that a mean user meets in a week without an infection."
    ),
    poison: bool = typer.Option(
        False, "--poison", help="Clean terminals are made to fetch black-listed hosts."
    ),
    black_cdn: bool = typer.Option(False, "--black-cdn", help="A content network stands on the black list."),
    camera: str = typer.Option(
        "", "--camera", help="IPv4 address of a camera that is infected and scans the Internet."
    ),
) -> None:
    """Write logs of an organisation whose infected terminals, malicious destinations and anomalies are known.

    Example: andon simulate organisation --terminals 500 --days 3 --seed 7 --out sim

    Example: andon simulate organisation --terminals 2000 --days 21 --logs squid,zeek --camera 203.0.113.9 --out sim
    """
    from andon.simulate.organisation import Scenario, simulate

    try:
        begin = datetime.fromisoformat(start)
    except ValueError:
        fail(f"--start {start!r} is no time such as 2026-04-06T00:00:00Z", 2)
    try:
        scenario = Scenario(
            seed=seed, terminals=terminals, days=days, start=begin, campaigns=campaigns,
            users=users, inspect=inspect, black=black, missing_referer=missing_referer, exposure=exposure,
            poison=poison, black_cdn=black_cdn, camera=camera, lease_days=leases,
        )  # fmt: skip
        wanted = tuple(part.strip() for part in logs.split(",") if part.strip())
        with progress("simulate") as report:
            made = simulate(scenario, out, wanted, log_format, lambda lines: report("write", lines))
    except ValueError as error:
        fail(str(error), 2)
    except OSError as error:
        fail(str(error), 1)
    note(
        f"{made.lines:,} lines, {made.flows:,} flows of {made.terminals:,} terminals; {made.infected:,} are infected, "
        f"{made.hidden:,} of them without a black-listed contact; {made.malicious:,} malicious destinations; in {out}"
    )
