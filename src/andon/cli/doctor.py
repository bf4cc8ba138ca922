"""``andon doctor``: is this machine fit, and what is missing?"""

from __future__ import annotations

import json

import typer

from andon.cli.terminal import Format


def command(format: Format = typer.Option(Format.table, "--format", help="table or json.")) -> None:
    """Look at the installation: what works, what is missing.

    Example: andon doctor
    """
    from andon.run.doctor import examine

    results = examine()
    for item in results:
        if format is Format.json:
            print(
                json.dumps({"check": item.name, "ok": item.ok, "needed": item.needed, "detail": item.detail})
            )
        else:
            mark = "ok     " if item.ok else ("MISSING" if item.needed else "without")
            print(f"{mark}  {item.name}: {item.detail}")
    if any(item.needed and not item.ok for item in results):
        raise typer.Exit(1)
