"""``andon contain audit``: the hash chain of the log of intents."""

from __future__ import annotations

import json
import time
from pathlib import Path

import typer

from andon.cli.book import AS, acting
from andon.cli.contain_parts import CONFIG, REASON, Told, clock, line, loaded, reading
from andon.cli.terminal import Format, safe

app = typer.Typer(
    help="The log of intents: its hash chain, its events, and what to do when it is damaged.\n\n"
    "Example: andon contain audit verify",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_FORMAT = typer.Option(Format.table, "--format", help="table, or json: one object a line.")


@app.callback()
def _group() -> None:
    """The log of intents: its hash chain, its events, and what to do when it is damaged."""


@app.command("verify")
def verify_command(config: Path = CONFIG, format: Format = _FORMAT) -> None:
    """Prove every line of the log against the one before, and the head. Exit code 1 if it is not whole.

    Example: andon contain audit verify --config andon.toml
    """
    with reading(config) as (_, log):
        seen = log.verify()
    if format is Format.json:
        print(json.dumps({"whole": seen.whole, **seen.to_dict()}))
    else:
        signed = f"{seen.signed:,} signed" if seen.signed else "not signed"
        print(
            f"{'whole' if seen.whole else 'DAMAGED'}: {seen.lines:,} lines in {seen.segments:,} segments, {signed}"
        )
        print(f"head      line {seen.last:,}, {seen.head}")
        if seen.unchecked:
            print(f"unchecked {seen.unchecked:,} signatures: [contain] key_file is not given")
        for one in seen.damage:
            print(f"damage    {safe(str(one))}")
        if not seen.whole:
            print("          `andon contain audit repair` sets it aside and begins anew with what is proven")
    if not seen.whole:
        raise typer.Exit(1)


@app.command("show")
def show_command(
    config: Path = CONFIG,
    after: int = typer.Option(0, "--after", help="Events after this number."),
    limit: int = typer.Option(100, "--limit", min=1, help="Most to show; the newest."),
    format: Format = _FORMAT,
) -> None:
    """The events of the log, oldest first.

    Example: andon contain audit show --limit 20
    """
    from andon.records.neutral import neutral

    with reading(config) as (_, log):
        entries = log.since(after, 10_000_000)[-limit:]
    for entry in entries:
        if format is Format.json:
            print(json.dumps(entry.to_dict()))
            continue
        event = entry.event
        what = f"{event.intent:016x}" if event.intent else "-" * 16
        line("", f"{entry.number:>6}  {clock(event.time)}  {what}  {event.state:<9} {event.actor}", 0)
        for reason in event.reasons:
            line("", neutral(reason))


@app.command("repair")
def repair_command(reason: str = REASON, config: Path = CONFIG, by: str = AS) -> None:
    """Set a damaged log aside and begin a new one with all that the old one proves; the new one names the old head.

    Example: andon contain audit repair --reason "disk replaced"
    """
    from andon.run.containment.build import FOLDER, chain_key
    from andon.store.intents import repair

    settings = loaded(config)
    with Told():
        done = repair(
            settings.store.path / FOLDER,
            acting(by),
            reason,
            time.time_ns(),
            chain_key(settings.contain.key_file),
        )
    print(f"repaired: {safe(str(done))}")
