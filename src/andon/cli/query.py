"""``andon query``: SQL over everything that was ever received."""

from __future__ import annotations

import csv
import json
import math
import re
import sys
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from andon.cli.terminal import console, fail, note, safe

if TYPE_CHECKING:
    import pyarrow as pa

_FORMATS = ("table", "json", "csv")
_WIDE = 12  # columns; more are shown one below the other
_NUMBER = re.compile(r"|-?[0-9][0-9.e+-]*")


def command(
    sql: str = typer.Argument(..., metavar="SQL", help="One SELECT; - reads it from standard input."),
    store: Path = typer.Option(..., "--store", envvar="ANDON_STORE", help="Store folder of `andon run`."),
    format: str = typer.Option("table", "--format", help="table, json (one object a row) or csv."),
    memory: str = typer.Option("1GB", "--memory", help="Most memory to use; the rest spills to the store."),
    limit: int = typer.Option(100, "--limit", min=1, help="Most rows in a table; json and csv give all."),
) -> None:
    """Ask the packet history, with the store in use or not.

    The view is `packets`; addresses are numbers: ip4(src) is their text, ip4_number('192.0.2.1') the way back,
    in_prefix(src, '192.0.2.0/24') a test, address(src, src6) the text of either kind. The tables of the engines are
    views too: SHOW TABLES lists them.

    Example: andon query "SELECT ip4(src) AS source, count(*) AS packets FROM packets GROUP BY ALL
    ORDER BY packets DESC LIMIT 10" --store /var/lib/andon
    """
    from andon.store.errors import StoreError
    from andon.store.history import History

    if format not in _FORMATS:
        fail(f"--format {format}: one of {', '.join(_FORMATS)}", 2)
    if not store.is_dir():
        fail(f"{store}: no such store folder", 1)
    text = sys.stdin.read() if sql == "-" else sql
    try:
        answer = History(store / "history").query(text, memory, tables=store / "tables")
        with answer:
            if format == "table":
                _table(answer, limit)
            else:
                _lines(answer, format)
    except ValueError as error:
        fail(safe_lines(str(error)), 2)
    except (StoreError, OSError) as error:
        fail(safe_lines(str(error)), 1)


def safe_lines(text: str) -> str:
    return "\n".join(safe(line) for line in text.splitlines())


def rows(batch: pa.RecordBatch) -> Iterator[list[Any]]:
    """Rows of JSON values: times as RFC 3339 text with all their digits, bytes as hex."""
    columns = [_plain(batch.column(n)) for n in range(batch.num_columns)]
    yield from ([_value(cell) for cell in row] for row in zip(*columns, strict=True))


def _plain(column: Any) -> list[Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_timestamp(column.type):
        # Python's times end at microseconds, Arrow's text does not.
        zone = "Z" if column.type.tz else ""
        text = column.cast(pa.timestamp(column.type.unit)).cast(pa.string())
        column = pc.binary_join_element_wise(pc.replace_substring(text, " ", "T"), zone, "")
    found: list[Any] = column.to_pylist()
    return found


def _value(cell: Any) -> Any:
    if isinstance(cell, bytes):
        return cell.hex()
    if isinstance(cell, float) and not math.isfinite(cell):
        return None
    if isinstance(cell, list | tuple):
        return [_value(item) for item in cell]
    if isinstance(cell, dict):
        return {str(key): _value(item) for key, item in cell.items()}
    if isinstance(cell, Decimal):  # sums of integers are, and literals with a point
        return int(cell) if cell == cell.to_integral_value() else float(cell)
    if cell is None or isinstance(cell, bool | int | float | str):
        return cell
    return str(cell)


def _lines(answer: pa.RecordBatchReader, format: str) -> None:
    from andon.records.neutral import plain_json

    names = answer.schema.names
    writer = csv.writer(sys.stdout, lineterminator="\n")
    if format == "csv":
        writer.writerow(names)
    for batch in answer:
        for row in rows(batch):
            if format == "csv":
                writer.writerow(row)
            else:
                print(plain_json(json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False)))


def _table(answer: pa.RecordBatchReader, limit: int) -> None:
    names = [safe(name) for name in answer.schema.names]
    shown = list(islice((row for batch in answer for row in rows(batch)), limit + 1))
    kept = [["" if cell is None else safe(str(cell)) for cell in row] for row in shown[:limit]]
    if len(names) > _WIDE:
        for number, row in enumerate(kept, 1):
            console().print(f"row {number}")
            _grid(["", ""], [list(pair) for pair in zip(names, row, strict=True)], header=False)
    else:
        _grid(names, kept, header=True)
    if len(shown) > limit:
        note(f"the first {limit:,} rows; --limit N shows more, --format csv or json all")


def _grid(names: list[str], cells: list[list[str]], header: bool) -> None:
    from rich.table import Table
    from rich.text import Text  # a cell is data, not markup

    table = Table(box=None, pad_edge=False, show_header=header)
    for number, name in enumerate(names):
        numeric = header and all(_NUMBER.fullmatch(row[number]) for row in cells)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    console().print(table)
