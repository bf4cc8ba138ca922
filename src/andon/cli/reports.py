"""``andon reports``: what threat reports mention."""

from __future__ import annotations

import json
from typing import Any

import typer

from andon.cli.terminal import Format, fail, note, safe


def command(
    files: list[str] = typer.Argument(
        ..., metavar="FILE...", help="Text, Markdown, HTML, PDF, JSON or STIX."
    ),
    format: Format = typer.Option(Format.table, "--format", help="table, or json: one report a line."),
) -> None:
    """Show what threat reports mention: malware, CVE, ports, indicators, tokens, devices.

    Nothing in a report is fetched or looked up, and addresses are shown defanged in the table.

    Example: andon reports advisory.pdf blog.html reports.jsonl
    """
    from andon.observe.jsonlines import Skipped
    from andon.observe.reports import UnknownReport, reports

    read = False
    for name in files:
        skipped = Skipped()
        try:
            for batch in reports(name, skipped):
                for row in batch.to_pylist():
                    read = True
                    _show(row, format)
        except (UnknownReport, OSError) as error:
            note(f"andon: {safe(name)}: {safe(str(error))}")
        for reason, count in sorted(skipped.reasons.items()):
            note(f"andon: {safe(name)}: left out: {count:,} x {safe(reason)}")
    if not read:
        fail("none of the files is a report that could be read", 1)


def _show(row: dict[str, Any], format: Format) -> None:
    from andon.records.neutral import neutral, plain_json

    row["published"] = row["published"].strftime("%Y-%m-%dT%H:%M:%SZ")
    if format is Format.json:
        print(plain_json(json.dumps(row, ensure_ascii=False)))
        return
    from rich.table import Table
    from rich.text import Text

    from andon.cli.terminal import console

    values: dict[str, dict[str, int]] = {}
    for mention in row["mentions"]:
        counts = values.setdefault(mention["type"], {})
        counts[mention["value"]] = counts.get(mention["value"], 0) + 1
    date = row["published"][:10] + ("" if row["dated"] else " (time of the file: no date in it)")
    table = Table(title=Text(safe(f"{row['id']}  {row['title']}")), title_justify="left", show_header=False)
    table.add_row("published", date)
    for kind, counts in values.items():
        shown = ", ".join(
            neutral(value, kind) + (f" x{n}" if n > 1 else "") for value, n in list(counts.items())[:60]
        )
        more = f" and {len(counts) - 60:,} more" if len(counts) > 60 else ""
        table.add_row(kind, Text(safe(shown + more)))
    if not values:
        table.add_row("mentions", "none")
    console().print(table)
