"""``andon assets``: what lists of systems say, in one form."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import typer

from andon.cli.terminal import Format, fail, note, safe

if TYPE_CHECKING:
    import pyarrow as pa

    from andon.observe.recog import Recog

_WIDTHS = {"address": 18, "asset": 17, "device": 16, "system": 22, "owner": 12}


def command(
    files: list[str] = typer.Argument(
        ...,
        metavar="FILE...",
        help="CSV, nmap or masscan XML and JSON, Shodan, Censys, runZero, OCSF inventory, DHCP leases, Parquet.",
    ),
    format: Format = typer.Option(Format.table, "--format", help="table, or json: one asset a line."),
    recog: str = typer.Option(
        "",
        "--recog",
        metavar="PATH",
        help="Recog's XML (folder, zip, tar) in place of the one that is shipped; - for none.",
    ),
    map: list[str] = typer.Option(
        [],
        "--map",
        metavar="COLUMN=FIELD",
        help="What a column of a CSV file holds: its heading or its number from 1, and a field (address, device, "
        "vendor, lease_start, ...; - to leave it out). May be repeated.",
    ),
    owner: str = typer.Option(
        "", "--owner", metavar="NAME", help="The organisation that all of it belongs to."
    ),
    top: int = typer.Option(20, "--top", min=0, help="Rows of a file that the table shows."),
) -> None:
    """Show lists of systems in one form: which system has which address, and when.

    Encodings (UTF-8, UTF-16, CP932), delimiters and headings in English and Japanese are recognised; device and vendor
    are filled in from banners where a list does not say them. What was skipped is counted on stderr.

    Example: andon assets inventory.csv --map 'Serial no.=asset' --owner 'Example Bank'
    """
    from andon.observe.assets import BadList, assets
    from andon.observe.jsonlines import Skipped

    mapping, fingerprints = _mapping(map), _recog(recog)
    read = 0
    for name in files:
        skipped = Skipped()
        try:
            table = assets(name, skipped, owner, mapping, fingerprints)
        except (BadList, OSError) as error:
            note(f"andon: {safe(str(error) if isinstance(error, BadList) else f'{name}: {error}')}")
            continue
        read += 1
        if format is Format.json:
            _lines(table)
        else:
            _show(name, table, top)
        _remarks(name, table, skipped)
    if not read:
        fail("none of the files is an asset list that could be read", 1)


def _mapping(given: list[str]) -> dict[str, str]:
    from andon.observe.assets.headings import FIELDS

    pairs: dict[str, str] = {}
    for text in given:
        column, equals, field = text.rpartition("=")
        if not equals or not column.strip() or field.strip() not in (*FIELDS, "-"):
            fail(
                f"--map {text!r}: write COLUMN=FIELD; fields are {', '.join(FIELDS)}, or - to leave it out", 2
            )
        pairs[column.strip()] = field.strip()
    return pairs


def _recog(path: str) -> Recog | bool:
    from andon.observe.recog import NoRecog, Recog

    if path in ("", "-"):
        return not path
    try:
        return Recog(path)
    except (NoRecog, OSError) as error:
        fail(f"--recog: {error}", 2)


def _lines(table: pa.Table) -> None:
    from andon.records.neutral import plain_json

    for batch in table.to_batches(4096):
        for row in batch.to_pylist():
            for name in ("valid_from", "valid_to"):
                row[name] = None if row[name] is None else row[name].isoformat().replace("+00:00", "Z")
            print(plain_json(json.dumps(row, ensure_ascii=False)))


def _show(name: str, table: pa.Table, top: int) -> None:
    from rich.table import Table
    from rich.text import Text

    from andon.cli.terminal import console
    from andon.observe.assets import said

    screen = console()
    kind, _ = said(table)
    count = table.num_rows
    screen.print(Text(f"{safe(name)}: {kind}, {count:,} {'row' if count == 1 else 'rows'}", style="bold"))
    shown = Table(box=None, pad_edge=False)
    for heading, width in _WIDTHS.items():
        shown.add_column(heading, max_width=width, overflow="ellipsis", no_wrap=True)
    shown.add_column("when", no_wrap=True)
    for row in table.slice(0, top).to_pylist():
        system = " ".join(part for part in (row["vendor"], row["product"], row["version"]) if part)
        cells = (row["address"], row["asset"], row["device"], system, row["owner"], _when(row))
        shown.add_row(*(Text(safe(cell)) for cell in cells))
    if table.num_rows and top:
        screen.print(shown)
    if table.num_rows > top:
        screen.print(f"... and {table.num_rows - top:,} more: --top, --format json")
    classes = Counter(table["device"].to_pylist()).most_common(12)
    listed = ", ".join(f"{safe(device) or 'not said'} {number:,}" for device, number in classes)
    screen.print(Text(f"Devices: {listed}" if listed else "No devices."))


def _when(row: dict[str, Any]) -> str:
    def day(moment: Any) -> str:
        return f"{moment:%m-%d %H:%M}" if moment is not None else "?"

    if row["valid_from"] is None and row["valid_to"] is None:
        return str(row["basis"])
    begin, end = day(row["valid_from"]), day(row["valid_to"])
    return f"{row['basis']} {begin}" + (f" - {end}" if end != begin else "")


def _remarks(name: str, table: pa.Table, skipped: Any) -> None:
    from andon.observe.assets import said

    for text, count in sorted(said(table)[1].items()):
        note(f"andon: {safe(name)}: {safe(text)}{f' ({count:,})' if count > 1 else ''}")
    for reason, count in sorted(skipped.reasons.items()):
        lines = [str(line) for line, why in skipped.examples if why == reason and line]
        where = f", first in line {lines[0]}" if lines else ""
        note(f"andon: {safe(name)}: skipped {count:,} x {safe(reason)}{where}")
