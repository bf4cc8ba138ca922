"""``andon alerts``: the alerts of other products that the casebook holds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

from andon.cli.book import FORMAT, SINCE, SITE, STORE, UNTIL, Errors, bounds, opened
from andon.cli.terminal import Format, console, fail, note, safe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from andon.store.casebook import AlertFilter, Casebook

SEVERITIES = ("unknown", "informational", "low", "medium", "high", "critical", "fatal")
_BY = ("host", "rule", "product", "severity", "site", "address")

app = typer.Typer(
    help="Alerts of other products: list, show, count.\n\n"
    "Example: andon alerts list --store /var/lib/andon --host web1 --since 24h",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_HOST = typer.Option("", "--host", help="Host that the alert is about.")
_ADDRESS = typer.Option("", "--address", help="Its address.")
_PRODUCT = typer.Option("", "--product", help="suricata, wazuh, aminer, ...")
_RULE = typer.Option("", "--rule", help="Number or name of the rule.")
_SEVERITY = typer.Option("", "--severity", help="This severity or worse: a name or number of OCSF.")
_SOURCE = typer.Option("", "--source", help="Address that it came from.")
_DESTINATION = typer.Option("", "--destination", help="Address that it went to.")
_USER = typer.Option("", "--user", help="User named.")
_ENTITY = typer.Option("", "--entity", help="Host, address, source, destination or user.")
_EPISODE = typer.Option("", "--episode", help="Id of an episode.")


@app.callback()
def _group() -> None:
    """Alerts of other products: list, show, count."""


@app.command("list")
def list_command(
    store: str = STORE,
    site: str | None = SITE,
    host: str = _HOST,
    address: str = _ADDRESS,
    product: str = _PRODUCT,
    rule: str = _RULE,
    severity: str = _SEVERITY,
    source: str = _SOURCE,
    destination: str = _DESTINATION,
    user: str = _USER,
    entity: str = _ENTITY,
    episode: str = _EPISODE,
    since: str = SINCE,
    until: str = UNTIL,
    limit: int = typer.Option(50, "--limit", min=1, help="Most to list."),
    format: Format = FORMAT,
) -> None:
    """List alerts, newest first.

    Example: andon alerts list --store /var/lib/andon --source 203.0.113.9 --severity high
    """
    from andon.records.columns import plain_rows

    with Errors():
        named = (site, host, address, product, rule, severity, source, destination, user, entity, episode)
        wanted = _filter(*named, since, until)
        found: list[Mapping[str, Any]] = []
        with opened(store) as book:
            _known(book, episode)
            while len(found) < limit:
                before = (found[-1]["ts"], found[-1]["id"]) if found else None
                size = min(1000, limit - len(found))
                page = plain_rows(book.alerts.page(wanted, size, before))
                for row in page if format is Format.json else ():
                    print(_document(row))
                found += page
                if len(page) < size:
                    break
    if format is Format.table:
        _table(found, limit)


@app.command("show")
def show_command(
    id: int = typer.Argument(..., metavar="ID", help="Number of the alert, as `andon alerts list` shows it."),
    store: str = STORE,
    format: Format = FORMAT,
) -> None:
    """Everything that is known of one alert, with the original.

    Example: andon alerts show 4711 --store /var/lib/andon
    """
    from andon.records.columns import plain_rows
    from andon.records.finding import timestamp
    from andon.records.neutral import neutral

    with Errors(), opened(store) as book:
        rows = plain_rows(book.alerts.get([id]))
    if not rows:
        fail(f"there is no alert {id}: retention may have taken it", 1)
    (row,) = rows
    if format is Format.json:
        print(_document(row))
        return
    for name, value in row.items():
        if name == "ts":
            value = timestamp(value)
        elif name == "severity":
            value = f"{value} ({SEVERITIES[value]})" if 0 <= value < len(SEVERITIES) else value
        elif isinstance(value, str) and name != "raw":
            value = neutral(value, "url" if name == "name" else "")
        if value not in ("", -1):
            print(f"{name:12} {safe(str(value))}")


@app.command("count")
def count_command(
    store: str = STORE,
    site: str | None = SITE,
    host: str = _HOST,
    address: str = _ADDRESS,
    product: str = _PRODUCT,
    rule: str = _RULE,
    severity: str = _SEVERITY,
    source: str = _SOURCE,
    destination: str = _DESTINATION,
    user: str = _USER,
    entity: str = _ENTITY,
    episode: str = _EPISODE,
    since: str = SINCE,
    until: str = UNTIL,
    by: str = typer.Option("", "--by", help=f"Count for each {', '.join(_BY)}; most first."),
    limit: int = typer.Option(20, "--limit", min=1, help="Most to list with --by."),
    format: Format = FORMAT,
) -> None:
    """Count alerts.

    Example: andon alerts count --store /var/lib/andon --by rule --host web1
    """
    with Errors():
        named = (site, host, address, product, rule, severity, source, destination, user, entity, episode)
        wanted = _filter(*named, since, until)
        with opened(store) as book:
            _known(book, episode)
            if not by:
                total = book.alerts.count(wanted)
                print(json.dumps({"alerts": total}) if format is Format.json else f"{total:,}")
                return
            if by not in _BY:
                fail(f"--by {safe(by)}: {', '.join(_BY)}", 2)
            counted = book.alerts.count_by(by, wanted, limit)
    for value, number in counted:
        text = SEVERITIES[int(value)] if by == "severity" and 0 <= int(value) < 7 else str(value)
        print(
            json.dumps({by: text, "alerts": number})
            if format is Format.json
            else f"{number:>12,}  {safe(text)}"
        )


def _known(book: Casebook, episode: str) -> None:
    """Of an episode that is not there no alerts would be a wrong answer. Raises ValueError."""
    if episode and not book.episodes.get([episode]).num_rows:
        raise ValueError(f"there is no episode {episode!r}: `andon cases show` has the whole id")


def _filter(
    site: str | None,
    host: str,
    address: str,
    product: str,
    rule: str,
    severity: str,
    source: str,
    destination: str,
    user: str,
    entity: str,
    episode: str,
    since: str,
    until: str,
) -> AlertFilter:
    from andon.store.casebook import AlertFilter

    begin, end = bounds(since, until)
    return AlertFilter(
        site=site,
        host=host,
        address=address,
        product=product,
        rule=rule,
        severity=_severity(severity),
        source=source,
        destination=destination,
        user=user,
        entity=entity,
        episode=episode,
        since=begin,
        until=end,
    )


def _severity(text: str) -> int:
    if not text:
        return 0
    if text.isascii() and text.isdigit():
        return int(text)
    if text not in SEVERITIES:
        raise ValueError(f"severity {text!r} is none of {', '.join(SEVERITIES)}")
    return SEVERITIES.index(text)


def _document(row: Mapping[str, Any]) -> str:
    from andon.records.finding import timestamp
    from andon.records.neutral import plain_json

    return plain_json(json.dumps({**row, "ts": timestamp(row["ts"])}, ensure_ascii=False))


def _table(found: list[Mapping[str, Any]], limit: int) -> None:
    from rich.table import Table

    from andon.records.finding import timestamp
    from andon.records.neutral import neutral

    if not found:
        note("no alerts")
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("time (UTC)", no_wrap=True)
    table.add_column("id", justify="right", no_wrap=True)
    table.add_column("severity", no_wrap=True)
    for name in ("host", "from", "rule"):
        table.add_column(name, overflow="fold", max_width=20)
    table.add_column("title", overflow="fold")
    for row in found:
        table.add_row(
            timestamp(row["ts"])[:19].replace("T", " "),
            str(row["id"]),
            SEVERITIES[row["severity"]] if 0 <= row["severity"] < 7 else str(row["severity"]),
            safe(neutral(row["host"] or row["address"])),
            safe(neutral(row["src"])),
            safe(f"{row['product']} {row['rule']}"),
            safe(neutral(row["title"])),
        )
    console().print(table, markup=False)
    if len(found) == limit:
        note(f"the newest {limit}; --limit lists more")
