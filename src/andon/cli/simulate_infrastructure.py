"""``andon simulate infrastructure``: planted campaigns as the operator's feeds would show them; their truth."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import typer

from andon.cli.terminal import fail, note


def infrastructure(
    out: Path = typer.Option(..., "--out", help="Folder for the feeds and truth/."),
    seed: int = typer.Option(1, "--seed", help="Same seed, same files."),
    campaigns: int = typer.Option(12, "--campaigns", help="How many campaigns are planted."),
    smallest: int = typer.Option(6, "--smallest", help="Fewest names of a campaign."),
    largest: int = typer.Option(60, "--largest", help="Most names of a campaign."),
    owners: int = typer.Option(1500, "--owners", help="Innocent owners of names."),
    missing: float = typer.Option(0.2, "--missing", help="Share of the facts that no feed knows."),
    hosting: float = typer.Option(
        0.3, "--hosting", help="Share of campaign names on hosts shared with strangers."
    ),
    reuse: float = typer.Option(0.8, "--reuse", help="Chance that a registration reuses an e-mail address."),
    privacy: float = typer.Option(0.3, "--privacy", help="Share of registrations behind a privacy service."),
    decoys: float = typer.Option(
        0.3, "--decoys", help="Innocent tenants for each rented server, on average."
    ),
    lease: float = typer.Option(60.0, "--lease", help="Mean days that a server is rented."),
    attested: float = typer.Option(
        0.0, "--attested", help="Chance that samples tie what nothing of the campaign's own ties to it."
    ),
    days: int = typer.Option(900, "--days", help="Length in days."),
    start: str = typer.Option("2024-01-01T00:00:00Z", "--start", help="Its beginning (RFC 3339)."),
) -> None:
    """Write passive DNS, WHOIS, certificates, samples and operators of a world with planted campaigns, and the truth.

    Example: andon simulate infrastructure --seed 7 --missing 0.4 --out sim
    """
    from andon.simulate.infrastructure import Scenario, simulate

    try:
        scenario = Scenario(
            seed=seed, campaigns=campaigns, smallest=smallest, largest=largest, owners=owners, missing=missing,
            hosting=hosting, reuse=reuse, privacy=privacy, decoys=decoys, lease_days=lease, days=days,
            attested=attested,
            start=datetime.fromisoformat(start),
        )  # fmt: skip
        made = simulate(scenario, out)
    except ValueError as error:
        fail(str(error), 2)
    except OSError as error:
        fail(str(error), 1)
    note(f"{made.campaigns} campaigns among {owners:,} innocent owners, {made.facts:,} facts in {out}")
