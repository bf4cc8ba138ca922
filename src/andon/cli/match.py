"""``andon match``: count and list what an expression selects in a capture."""

from __future__ import annotations

import json

import typer

from andon.cli.terminal import Format, console, fail, note


def command(
    file: str = typer.Argument(..., metavar="FILE", help="A capture; - for standard input."),
    fingerprint: str = typer.Option(
        ..., "--fingerprint", help="An expression, or the name of a known tool such as mirai."
    ),
    format: Format = typer.Option(Format.table, "--format", help="table or json."),
    top: int = typer.Option(20, "--top", min=0, help="How many sources to list."),
) -> None:
    """Select packets by a relation between header fields.

    Example: andon match --fingerprint 'tcp.seq == ip.dst' capture.pcap
    """
    from andon.run.match import match
    from andon.run.spool import spooled

    try:
        with spooled([file]) as (path,):
            result = match(path, fingerprint)
    except (OSError, ValueError) as error:
        fail(f"{error}", 1 if isinstance(error, OSError) else 2)
    result["top_sources"] = result["top_sources"][:top]
    if format is Format.json:
        print(json.dumps(result))
        return
    from rich.table import Table

    screen = console()
    screen.print(
        f"{result['relation']}: {result['packets']:,} of {result['rows']:,} packets, "
        f"{result['sources']:,} sources"
    )
    if result["tcpdump"]:
        screen.print(f"tcpdump: {result['tcpdump']}", soft_wrap=True)
    else:
        note("this relation cannot be written for tcpdump")
    table = Table(box=None, pad_edge=False)
    table.add_column("source")
    table.add_column("packets", justify="right")
    for item in result["top_sources"]:
        table.add_row(item["source"], f"{item['packets']:,}")
    screen.print(table)
