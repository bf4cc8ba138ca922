"""``andon match``: count and list what an expression selects in a capture."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from andon.cli.terminal import Format, console, fail, note


def command(
    file: str = typer.Argument(..., metavar="FILE", help="A capture; - for standard input."),
    fingerprint: str = typer.Option(
        ...,
        "--fingerprint",
        help="An expression, a known tool such as mirai, or with --from a name found there.",
    ),
    source: Path | None = typer.Option(
        None, "--from", help="DIR or DIR/findings.ndjson of an analysis, whose names may be used."
    ),
    format: Format = typer.Option(Format.table, "--format", help="table or json."),
    top: int = typer.Option(20, "--top", min=0, help="How many sources to list."),
) -> None:
    """Select packets by a relation between header fields.

    Example: andon match --fingerprint 'tcp.seq == ip.dst' capture.pcap
    """
    from andon.run.match import match
    from andon.run.spool import spooled

    if source is None and fingerprint.startswith("fp-"):
        fail(f"{fingerprint} is the name of a fingerprint found in an analysis: say which with --from DIR", 2)
    try:
        wanted = fingerprint if source is None else _found(source, fingerprint)
        with spooled([file]) as (path,):
            result = match(path, wanted)
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


def _found(source: Path, name: str) -> str:
    """The condition of a fingerprint found in an analysis; the name itself if none there has it. Raises OSError, and
    ValueError for results that are none and for fingerprints that cannot be matched packet by packet."""
    from andon.share.fingerprints import found_in

    cards = found_in(source)
    card = next((c for c in cards if c.name == name or (len(name) >= 6 and c.name.startswith(name))), None)
    if card is None:
        if name.startswith("fp-"):
            names = ", ".join(c.name for c in cards[:20]) or "none"
            raise ValueError(f"no fingerprint named {name} in {source}; there are: {names}")
        return name
    if card.masked:
        raise ValueError(f"{card.name} is masked: its constants are not in {source}")
    if card.scope == "session":
        raise ValueError(
            f"{card.name} has a key for each session, so single packets prove nothing: "
            f"andon fingerprints export {card.name} --from {source} --to sql"
        )
    return card.check
