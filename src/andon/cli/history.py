"""``andon history``: is the packet history whole, and keeping it small."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import typer

from andon.cli.terminal import Format, console, fail, safe

app = typer.Typer(
    help="Look after the packet history.\n\nExample: andon history verify --store /var/lib/andon",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_STORE = typer.Option(..., "--store", envvar="ANDON_STORE", help="Store folder of `andon run`.")
_FORMAT = typer.Option(Format.table, "--format", help="table or json.")
_GRACE = typer.Option(
    1,
    "--grace-hours",
    min=0,
    help="Keep replaced files so long for readers that have opened the table before.",
)
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


@app.command("verify")
def verify(store: Path = _STORE, format: Format = _FORMAT) -> None:
    """Read every file and look at every row number. Exit 1 if anything is damaged, missing or double.

    May run while the store is in use. Example: andon history verify --store /var/lib/andon --format json
    """
    from andon.store.errors import StoreError
    from andon.store.history import History

    folder = _folder(store)
    try:
        report = History(folder).verify()
    except StoreError as error:
        fail(str(error), 1)
    if format is Format.json:
        print(json.dumps(report.to_dict()))
    else:
        _show({key: value for key, value in report.to_dict().items() if key != "problems"})
        for problem in report.problems:
            console().print(safe(f"{problem['where']}: {problem['problem']}"), soft_wrap=True, markup=False)
        console().print("whole" if report.whole else "damaged")
    if not report.whole:
        raise typer.Exit(1)


@app.command("compact")
def compact(store: Path = _STORE, format: Format = _FORMAT, grace_hours: int = _GRACE) -> None:
    """Join small files, so that queries open fewer. A running `andon run` does this by itself.

    Example: andon history compact --store /var/lib/andon
    """
    _change(store, format, lambda history: history.compact(grace_hours))


@app.command("expire")
def expire(
    store: Path = _STORE,
    keep: str = typer.Option("", "--keep", help="Drop files whose packets are all older, e.g. 30d, 12h."),
    keep_bytes: str = typer.Option("", "--keep-bytes", help="Drop the oldest files beyond it, e.g. 8GB."),
    format: Format = _FORMAT,
    grace_hours: int = _GRACE,
) -> None:
    """Drop the oldest packets, whole files at a time. A running `andon run` does this by itself.

    Example: andon history expire --keep 30d --keep-bytes 100GB --store /var/lib/andon
    """
    from andon.records.contract import duration_ns

    if not keep and not keep_bytes:
        fail("say what to keep: --keep 30d, --keep-bytes 8GB, or both", 2)
    try:
        before = time.time_ns() - duration_ns(keep) if keep else None
        most = bytes_of(keep_bytes) if keep_bytes else None
    except ValueError as error:
        fail(str(error), 2)
    _change(
        store,
        format,
        lambda history: history.expire(before_ns=before, keep_bytes=most, grace_hours=grace_hours),
    )


def bytes_of(text: str) -> int:
    """Bytes of ``"8GB"``, ``"500MB"``, ``"1000"``. Raises ValueError.

    >>> bytes_of("8GB")
    8000000000
    """
    found = re.fullmatch(r"(\d+)\s*([KMGT]?)B?", text.strip().upper())
    if found is None:
        raise ValueError(f"{text!r} is not a size: write a whole number and one of KB, MB, GB, TB")
    return int(found[1]) * _UNITS[found[2]]


def _change(store: Path, format: Format, change: Any) -> None:
    from andon.store.errors import StoreError
    from andon.store.history import History
    from andon.store.journal_lock import StoreLock

    folder = _folder(store)
    try:
        with StoreLock(store, time.time_ns()):
            result = change(History(folder)).to_dict()
    except StoreError as error:
        fail(str(error), 1)
    if format is Format.json:
        print(json.dumps(result))
    else:
        _show(result)


def _folder(store: Path) -> Path:
    if not store.is_dir():
        fail(f"{store}: no such store folder", 1)
    return store / "history"


def _show(values: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    for key, value in values.items():
        table.add_row(key.replace("_", " "), f"{value:,}")
    console().print(table)
