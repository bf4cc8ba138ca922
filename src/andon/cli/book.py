"""What the commands over the casebook share: opening it, its errors in a sentence, times, who acts."""

from __future__ import annotations

import getpass
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from andon.cli.terminal import Format, fail, safe

if TYPE_CHECKING:
    from andon.store.casebook import Casebook

STORE = typer.Option(
    ...,
    "--store",
    envvar="ANDON_STORE",
    help="Store folder of `andon run`, casebook.db, or postgresql:// URL.",
)
FORMAT = typer.Option(Format.table, "--format", help="table, or json: one object a line.")
AS = typer.Option("", "--as", envvar="ANDON_ANALYST", help="The analyst who acts. Default: your login name.")
SITE = typer.Option(None, "--site", help="Tenant or network.")
SINCE = typer.Option("", "--since", help="Then or later: 2026-01-31T12:00:00Z, or 24h ago.")
UNTIL = typer.Option("", "--until", help="Before then.")


class Errors:
    """Says what went wrong in a sentence; exit code 1."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        from andon.store.errors import StoreError

        if isinstance(error, StoreError | OSError) and not isinstance(error, BrokenPipeError):
            fail(safe(str(error)), 1)
        if isinstance(error, ValueError):
            fail(safe(str(error)), 2)


def opened(store: str, write: bool = False) -> Casebook:
    """The casebook of a store, with the tables of this Andon if it is to be written."""
    from andon.store.casebook import Casebook

    folder = Path(store)
    if "://" not in store:
        if not folder.exists():
            fail(f"there is no store at {store}", 1)
        if folder.is_dir() and not (folder / "casebook.db").exists():
            fail(f"there is no casebook in {store}: `andon run` and `andon analyze --cases` make one", 1)
    book = Casebook(store, read_only=not write)
    if write:
        book.migrate()
    return book


def moment(text: str, now: int | None = None) -> int:
    """ns of a time, or of a duration ago. Raises ValueError."""
    from andon.records.contract import duration_ns
    from andon.records.finding import nanoseconds

    try:
        return (time.time_ns() if now is None else now) - duration_ns(text)
    except ValueError:
        pass
    try:
        return nanoseconds(text)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text!r} is neither a time (2026-01-31T12:00:00Z) nor a duration (24h)") from error


def bounds(since: str, until: str) -> tuple[int | None, int | None]:
    """Times of --since and --until. Raises ValueError."""
    now = time.time_ns()
    return (moment(since, now) if since else None, moment(until, now) if until else None)


def acting(name: str) -> str:
    """Who acts: as given, else whoever is logged in."""
    if name.strip():
        return name.strip()
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        fail("say who you are: --as NAME", 2)


def age(ns: int, now: int) -> str:
    """How long ago, in the largest unit that fits.

    >>> age(0, 7_200_000_000_000), age(0, 90_000_000_000), age(5, 5)
    ('2h', '1min', '0s')
    """
    seconds = max(0, now - ns) // 1_000_000_000
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
