"""``andon count``: packets, protocols, flags and unique addresses of captures; what files of other records hold."""

from __future__ import annotations

import json

import typer

from andon.cli.terminal import Format, console, fail, note, safe, unreadable


def command(
    files: list[str] = typer.Argument(
        ...,
        metavar="FILE...",
        help="Captures; logs of proxies, Zeek, Suricata, honeypots; flows; tables of darknet sources, reports, asset "
        "lists; - for a capture on stdin.",
    ),
    format: Format = typer.Option(Format.table, "--format", help="table, or json: one object a line."),
) -> None:
    """Count packets of captures, as tshark would, and the records of other files.

    Reads pcap and pcapng, the logs of Squid, W3C proxies, Zeek and Suricata, exports of NetFlow and IPFIX, the logs
    of Cowrie, Dionaea, Heralding and some twenty other honeypots, tables of darknet sources, reports and asset lists,
    plain or .gz, .zst, .lz4; says what was skipped and why.

    Example: andon count capture.pcap.gz --format json
    """
    import sys

    from andon.observe.count import count

    read = 0
    for name in files:
        try:
            result = count(sys.stdin.buffer) if name == "-" else _count(name)
        except (OSError, ValueError) as error:
            note(unreadable(name, str(error)))
            continue
        read += 1
        if format is Format.json:
            print(json.dumps({"file": name, **result}), flush=True)
        else:
            _show(name, result)
    if not read:
        fail("none of the files could be read", 1)


def _count(name: str) -> dict[str, object]:
    """What a file holds. Raises OSError, and ValueError for a file that no sensor knows."""
    from andon.observe.count import count
    from andon.observe.sensors import sniff
    from andon.observe.sensors.totals import totals

    sensor = sniff(name)
    return count(name) if sensor is None else totals(sensor, name)


def _show(name: str, result: dict[str, object]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(safe(name)), title_justify="left", show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(justify="right", overflow="fold")
    for key, value in result.items():
        if isinstance(value, dict):
            for part, number in value.items():
                table.add_row(Text(f"{key}: {safe(str(part))}"), f"{number:,}")
        elif isinstance(value, list):
            for line in value:
                table.add_row(key, Text(safe(str(line))))
        else:
            table.add_row(key, Text(f"{value:,}" if isinstance(value, int) else safe(str(value))))
    console().print(table)
