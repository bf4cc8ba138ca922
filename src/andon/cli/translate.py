"""``andon translate``: an expression in the words of other tools."""

from __future__ import annotations

import json

import typer

from andon.cli.terminal import Format, fail


def command(
    expression: str = typer.Argument(..., metavar="EXPR", help="E.g. 'ip.id == 54321'."),
    format: Format = typer.Option(Format.table, "--format", help="table or json."),
) -> None:
    """Print a relation for tcpdump, SQL, Suricata and Zeek.

    A language that cannot say it gets "not expressible" with the reason, never an approximation.

    Example: andon translate 'tcp.seq == ip.dst'
    """
    from andon.records.expression import translations

    try:
        texts = translations(expression)
    except ValueError as error:
        fail(str(error), 2)
    if format is Format.json:
        print(json.dumps(texts))
        return
    for language, text in texts.items():
        print(f"{language}:\n    " + text.replace("\n", "\n    "))
