"""``andon count``: packets, protocols, flags and unique addresses of captures."""

from __future__ import annotations

import json

import typer

from andon.cli.terminal import Format, console, fail, note


def command(
    files: list[str] = typer.Argument(
        ..., metavar="FILE...", help="Captures, honeypot logs; - for standard input (captures)."
    ),
    format: Format = typer.Option(Format.table, "--format", help="table, or json: one object a line."),
) -> None:
    """Count packets of captures, as tshark would, and sessions of honeypot logs.

    Reads pcap and pcapng, and the logs of Cowrie, Dionaea, Heralding and some twenty other honeypots, plain or .gz,
    .zst, .lz4; says what was skipped and why.

    Example: andon count capture.pcap.gz --format json
    """
    import sys

    from andon.observe.count import count

    read = 0
    for name in files:
        try:
            result = count(sys.stdin.buffer) if name == "-" else _count(name)
        except (OSError, ValueError) as error:
            note(f"andon: {name}: {error}")
            continue
        read += 1
        if format is Format.json:
            print(json.dumps({"file": name, **result}), flush=True)
        else:
            _show(name, result)
    if not read:
        fail("none of the files could be read", 1)


def _count(name: str) -> dict[str, object]:
    """A capture's counts, or a honeypot log's if it is one. Raises OSError, and ValueError for neither."""
    from andon.observe.count import count
    from andon.observe.sources import NotACapture

    try:
        return count(name)
    except NotACapture as error:
        from andon.observe.honeypot import UnknownLog
        from andon.observe.honeypot.count import count as count_log

        try:
            return count_log(name)
        except UnknownLog:
            raise error from None


def _show(name: str, result: dict[str, object]) -> None:
    from rich.table import Table

    table = Table(title=name, title_justify="left", show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(justify="right", overflow="fold")
    for key, value in result.items():
        if key == "skipped" and isinstance(value, dict):
            for reason, packets in value.items():
                table.add_row(f"skipped: {reason}", f"{packets:,}")
        else:
            table.add_row(key, f"{value:,}" if isinstance(value, int) else str(value))
    console().print(table)
