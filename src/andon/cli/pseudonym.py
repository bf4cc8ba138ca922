"""``andon pseudonym``: keys for pseudonyms of users and devices, and the way back."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from andon.cli.terminal import Format, fail, note, safe

app = typer.Typer(
    help="Pseudonyms of users and devices in logs: make a key, turn names back.", no_args_is_help=True
)


@app.command("key")
def key_command(file: Path = typer.Argument(..., help="Where to write the key; must not exist yet.")) -> None:
    """Make a key. Whoever has it can turn pseudonyms back; without it nobody can, you included.

    Example: andon pseudonym key secrets/pseudonyms.key
    """
    from andon.observe.logs.pseudonyms import make_key

    try:
        make_key(file)
    except FileExistsError:
        fail(f"{file} exists; a key is not overwritten, since old pseudonyms need it", 2)
    except OSError as error:
        fail(f"cannot write {file}: {error.strerror}", 2)
    note(f"key in {file}, readable for its owner alone. Keep a copy apart from the results.")


@app.command("reveal")
def reveal_command(
    names: list[str] = typer.Argument(
        ..., metavar="NAME...", help="Pseudonyms: user-..., addr-..., host-..."
    ),
    key: Path = typer.Option(..., "--key", help="The key file that they were made with."),
    format: Format = typer.Option(Format.table, "--format", help="table, or json: one object a line."),
) -> None:
    """Say who is behind pseudonyms.

    Example: andon pseudonym reveal --key secrets/pseudonyms.key user-mzxw6...
    """
    from andon.observe.logs.pseudonyms import BadKey, Pseudonyms, read_key

    try:
        pseudonyms = Pseudonyms(read_key(key))
    except BadKey as error:
        fail(str(error), 2)
    except OSError as error:
        fail(f"{key}: {error.strerror}", 2)
    known = 0
    for name in names:
        try:
            kind, text = pseudonyms.reveal(name)
        except BadKey as error:
            note(f"andon: {error}")
            continue
        known += 1
        if format is Format.json:
            print(json.dumps({"pseudonym": name, "kind": kind, "name": text}, ensure_ascii=True))
        else:
            print(f"{name}\t{kind}\t{safe(text)}")
    if known < len(names):
        raise typer.Exit(1)
