"""``andon share taxii``: collections of somebody's TAXII 2.1 server; what is new in one, as a bundle file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from andon.cli.terminal import Format, console, fail, note, safe

if TYPE_CHECKING:
    from andon.share.taxii.client import Account, TaxiiClient

app = typer.Typer(
    help="STIX objects from TAXII 2.1 servers, for lists and enrichment.\n\n"
    "Example: andon share taxii pull --url https://taxii.example.org/taxii2/ --collection indicators --out cert.json",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_URL = typer.Option(..., "--url", help="Of the discovery (…/taxii2/), an API root, or a collection.")
_USER = typer.Option("", "--user", help="Name for Basic authentication, with --password-file.")
_PASSWORD = typer.Option(None, "--password-file", help="File that holds the password.")
_TOKEN = typer.Option(None, "--token-file", help="File that holds a Bearer token.")
_CA = typer.Option(None, "--ca-file", help="Certificates of an authority of your own (PEM).")


@app.callback()
def _group() -> None:
    """STIX objects from TAXII 2.1 servers."""


@app.command("collections")
def collections_command(
    url: str = _URL,
    user: str = _USER,
    password_file: Path | None = _PASSWORD,
    token_file: Path | None = _TOKEN,
    ca_file: Path | None = _CA,
    format: Format = typer.Option(Format.table, "--format", help="table, or json: one object a line."),
) -> None:
    """List the collections that a server offers.

    Example: andon share taxii collections --url https://taxii.example.org/taxii2/ --token-file token
    """
    from andon.share.outbox.parcel import Unreachable
    from andon.share.taxii.client import TaxiiTrouble

    try:
        client = _client(_account(url, user, password_file, token_file, ca_file))
        found = client.collections()
    except (TaxiiTrouble, Unreachable, ValueError) as error:
        fail(str(error), 1)
    for example in client.skipped.examples:
        note(f"andon: left out: {example}")
    if format is Format.json:
        for one in found:
            print(
                json.dumps({"id": one.id, "alias": one.alias, "title": one.title, "can_read": one.can_read})
            )
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for name in ("alias", "id", "title", "readable"):
        table.add_column(name)
    for one in found:
        cells = (one.alias or "-", one.id, one.title, "yes" if one.can_read else "no")
        table.add_row(*(Text(safe(cell)) for cell in cells))
    console().print(table)


@app.command("pull")
def pull_command(
    url: str = _URL,
    collection: str = typer.Option(..., "--collection", help="Its id, alias or title."),
    out: Path = typer.Option(
        ..., "--out", help="STIX bundle to write or add to; FILE.state is kept beside it."
    ),
    user: str = _USER,
    password_file: Path | None = _PASSWORD,
    token_file: Path | None = _TOKEN,
    ca_file: Path | None = _CA,
    afresh: bool = typer.Option(False, "--afresh", help="Read the collection from its beginning."),
    most: int = typer.Option(1_000_000, "--limit", min=1, help="Most objects to hold in the file."),
    seconds: float = typer.Option(1800.0, "--seconds", min=1.0, help="Longest time for the whole pull."),
) -> None:
    """Read what is new in a collection into a bundle that `lists` and enrichment folders can hold.

    Example: andon share taxii pull --url https://taxii.example.org/taxii2/ --collection indicators --out cert.json
    """  # fmt: skip
    from andon.share.outbox.parcel import Unreachable
    from andon.share.taxii.client import Bounds, TaxiiTrouble
    from andon.share.taxii.pull import pull
    from andon.store.errors import StoreError

    bounds = Bounds(objects=most, total_seconds=seconds, seconds=min(60.0, seconds))
    try:
        done = pull(_account(url, user, password_file, token_file, ca_file), collection, out, bounds, afresh)
    except (TaxiiTrouble, Unreachable, StoreError, ValueError) as error:
        fail(str(error), 1)
    print(
        f"{done.new:,} new and {done.changed:,} changed objects of {done.objects:,} read; "
        f"{done.held:,} in {safe(str(out))}"
    )
    if done.skipped:
        note(f"andon: {done.skipped:,} objects left out, e.g. {'; '.join(done.examples)}")
    if done.trouble:
        fail(f"{done.trouble}; what came before is kept, and the next pull goes on there", 1)


def _account(
    url: str, user: str, password_file: Path | None, token_file: Path | None, ca_file: Path | None
) -> Account:
    from andon.share.outbox.secret import Secret
    from andon.share.taxii.client import Account

    password = Secret(password_file) if password_file is not None else None
    token = Secret(token_file) if token_file is not None else None
    return Account(url, user, password, token, ca_file)


def _client(account: Account) -> TaxiiClient:
    from andon.share.taxii.client import TaxiiClient

    return TaxiiClient(account)
