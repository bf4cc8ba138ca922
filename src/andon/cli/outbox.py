"""``andon findings outbox``: what waits for a sink, what was given up, and bringing that back."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from andon.cli.terminal import Format, console, fail, note, safe

if TYPE_CHECKING:
    from andon.store.casebook import Casebook
    from andon.store.casebook.records import Queued

app = typer.Typer(
    help="Messages to sinks: what waits, what was given up.\n\n"
    "Example: andon findings outbox list --store /var/lib/andon",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_STORE = typer.Option(
    ..., "--store", envvar="ANDON_STORE", help="Store folder of `andon run`, or postgresql:// URL."
)
_STATES = ("queued", "dead", "delivered")


@app.callback()
def _group() -> None:
    """Messages to sinks: what waits, what was given up."""


@app.command("list")
def list_command(
    store: str = _STORE,
    state: str = typer.Option(
        "", "--state", help="queued, dead (given up) or delivered; else queued and dead."
    ),
    sink: str = typer.Option("", "--sink", help="Only messages to this sink."),
    limit: int = typer.Option(50, "--limit", min=1, help="Most to list."),
    format: Format = typer.Option(Format.table, "--format", help="table, or json: one object a line."),
) -> None:
    """List messages, newest first: those that wait for their sink, and those that were given up after a week.

    Example: andon findings outbox list --state dead --store /var/lib/andon
    """  # fmt: skip
    from andon.store.errors import StoreError

    if state and state not in _STATES:
        fail(f"--state {safe(state)}: {', '.join(_STATES)}", 2)
    try:
        with _book(store, read_only=True) as book:
            found = [
                one
                for each in ((state,) if state else ("dead", "queued"))
                for one in book.messages(each, sink, limit)
            ]
    except StoreError as error:
        fail(safe(str(error)), 1)  # fmt: skip
    found = sorted(found, key=lambda one: -one.id)[:limit]
    if format is Format.json:
        for one in found:
            print(json.dumps(_plain(one)))
    else:
        _table(found)


@app.command("retry")
def retry_command(
    ids: list[int] = typer.Argument(
        None, metavar="[ID]...", help="Numbers of messages, as `list` shows them."
    ),
    store: str = _STORE,
    sink: str = typer.Option("", "--sink", help="All that were given up for this sink."),
) -> None:
    """Queue messages again that were given up; a running `andon run` delivers them at once. Name a sink or numbers.

    Example: andon findings outbox retry --sink mail --store /var/lib/andon
    """  # fmt: skip
    from andon.store.errors import StoreError

    if not sink and not ids:
        fail("say which: --sink NAME, or numbers of messages as `andon findings outbox list` shows them", 2)
    try:
        with _book(store, read_only=False) as book:
            back = _retry(book, sink, list(ids or ()))
    except StoreError as error:
        fail(safe(str(error)), 1)
    print(f"{back:,} message{'' if back == 1 else 's'} queued again")
    if not back:
        raise typer.Exit(1)


def _retry(book: Casebook, sink: str, ids: list[int]) -> int:
    now, sinks = time.time_ns(), dict[str, list[int]]()
    if not ids:
        return book.revive(sink, now, actor="operator")
    for id in dict.fromkeys(ids):
        one = book.message(id)
        if one is None or (sink and one.sink != sink):
            note(f"andon: there is no message {id}{f' to {safe(sink)}' if sink else ''}")
        elif one.state != "dead":
            note(f"andon: message {id} was not given up: it is {one.state}")
        else:
            sinks.setdefault(one.sink, []).append(id)
    return sum(book.revive(name, now, some, "operator") for name, some in sinks.items())


def _book(store: str, read_only: bool) -> Casebook:
    from andon.store.casebook import Casebook

    if "://" not in store:
        folder = Path(store)
        file = folder if folder.suffix == ".db" else folder / "casebook.db"
        if not file.is_file():
            fail(f"there is no casebook at {safe(store)}", 1)
    return Casebook(store, read_only=read_only)


def _plain(one: Queued) -> dict[str, object]:
    from andon.records.finding import timestamp

    return {
        "id": one.id, "sink": one.sink, "state": one.state, "kind": one.kind, "subject": one.subject,
        "created": timestamp(one.created), "attempts": one.attempts, "error": one.error,
    }  # fmt: skip


def _table(found: list[Queued]) -> None:
    from rich.table import Table
    from rich.text import Text

    from andon.records.finding import timestamp

    if not found:
        note("no messages")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("id", "sink", "state", "since (UTC)", "attempts"):
        table.add_column(name, no_wrap=True, justify="right" if name in ("id", "attempts") else "left")
    table.add_column("subject", overflow="fold")
    table.add_column("error", overflow="fold")
    words = {"dead": "given up", "queued": "waits"}
    for one in found:
        since = timestamp(one.created)[:16].replace("T", " ")
        cells = (
            str(one.id),
            one.sink,
            words.get(one.state, one.state),
            since,
            str(one.attempts),
            one.subject,
        )
        table.add_row(*(Text(safe(cell)) for cell in (*cells, one.error)))
    console().print(table)
