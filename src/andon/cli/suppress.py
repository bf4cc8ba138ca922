"""``andon suppress``: what is not to be shown, until when and on whose word."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import typer

from andon.cli.book import AS, FORMAT, SINCE, STORE, UNTIL, Errors, acting, bounds, moment, opened
from andon.cli.terminal import Format, console, note, safe

if TYPE_CHECKING:
    from andon.records.case import Suppression
    from andon.store.casebook import Preview

app = typer.Typer(
    help="Suppressions: what is stored and counted, but not shown, for a time.\n\n"
    "Example: andon suppress add --source 192.0.2.7 --for 30d --reason 'our own scanner' --store /var/lib/andon",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_SITE = typer.Option("", "--site", help="Tenant or network.")
_HOST = typer.Option("", "--host", help="Host that the episodes are about.")
_PRODUCT = typer.Option("", "--product", help="suricata, wazuh, aminer, ...")
_RULE = typer.Option("", "--rule", help="Number or name of the rule.")
_SOURCE = typer.Option("", "--source", help="Address or network (192.0.2.0/24) that all sources must be in.")


@app.callback()
def _group() -> None:
    """Suppressions: what is stored and counted, but not shown, for a time."""


@app.command("add")
def add_command(
    store: str = STORE,
    site: str = _SITE,
    host: str = _HOST,
    product: str = _PRODUCT,
    rule: str = _RULE,
    source: str = _SOURCE,
    reason: str = typer.Option(..., "--reason", help="Why: whoever finds it later has to understand it."),
    life: str = typer.Option("", "--for", metavar="DURATION", help="How long: 12h, 30d; at most 365d."),
    until: str = typer.Option("", "--until", metavar="TIME", help="Or until when: 2026-12-31T00:00:00Z."),
    by: str = AS,
    format: Format = FORMAT,
) -> None:
    """Hide episodes that are all that is named here, from now on. Says what it would have hidden so far.

    Example: andon suppress add --rule 2013028 --host web1 --for 14d --reason "ticket 4711" --store DIR
    """
    from andon.records.case import Suppression
    from andon.records.contract import duration_ns

    with Errors():
        if bool(life) == bool(until):
            raise ValueError("say how long: either --for 30d or --until 2026-12-31T00:00:00Z")
        now = time.time_ns()
        expires = now + duration_ns(life) if life else moment(until, now)
        owner = acting(by)
        with opened(store, write=True) as book:
            wanted = Suppression(owner, reason, expires, site, host, product, rule, source)
            kept = book.suppressions.add(wanted, now)
            would = book.suppressions.preview(kept)
    if format is Format.json:
        print(json.dumps({**_document(kept), "preview": _preview(would)}))
        return
    print(f"suppression {kept.id}: {_scope(kept)}, {_until(kept)}")
    print(_hidden(would))


@app.command("list")
def list_command(
    store: str = STORE,
    everything: bool = typer.Option(False, "--all", help="Those that are over too."),
    format: Format = FORMAT,
) -> None:
    """List suppressions: whose, why, until when, and how many episodes they hid.

    Example: andon suppress list --store /var/lib/andon
    """
    with Errors(), opened(store) as book:
        now = time.time_ns()
        found = book.suppressions.all() if everything else book.suppressions.active(now)
    if format is Format.json:
        for one in found:
            print(json.dumps(_document(one)))
        return
    if not found:
        note("no suppressions")
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("id", justify="right", no_wrap=True)
    table.add_column("hides", overflow="fold")
    table.add_column("until (UTC)", no_wrap=True)
    table.add_column("hid", justify="right", no_wrap=True)
    table.add_column("owner", overflow="fold")
    table.add_column("reason", overflow="fold")
    for one in found:
        table.add_row(
            str(one.id), _scope(one), _until(one), f"{one.hits:,}", safe(one.owner), safe(one.reason)
        )
    console().print(table, markup=False)


@app.command("revoke")
def revoke_command(
    id: int = typer.Argument(..., metavar="ID", help="Number of the suppression."),
    store: str = STORE,
    reason: str = typer.Option("", "--reason", help="Why."),
    by: str = AS,
) -> None:
    """End a suppression before its time. What it hid stays stored.

    Example: andon suppress revoke 3 --reason "the scanner is gone" --store /var/lib/andon
    """
    with Errors(), opened(store, write=True) as book:
        gone = book.suppressions.revoke(id, acting(by), reason)
    note(f"suppression {gone.id} is over; it hid {gone.hits:,} episodes")


@app.command("preview")
def preview_command(
    store: str = STORE,
    site: str = _SITE,
    host: str = _HOST,
    product: str = _PRODUCT,
    rule: str = _RULE,
    source: str = _SOURCE,
    since: str = SINCE,
    until: str = UNTIL,
    format: Format = FORMAT,
) -> None:
    """What a suppression would have hidden of the episodes there are.

    Example: andon suppress preview --source 192.0.2.0/24 --since 30d --store /var/lib/andon
    """
    from andon.records.case import Suppression

    with Errors():
        begin, end = bounds(since, until)
        with opened(store) as book:
            wanted = Suppression("", "", 0, site, host, product, rule, source)
            would = book.suppressions.preview(wanted, begin, end)
    print(json.dumps(_preview(would)) if format is Format.json else _hidden(would))


def _hidden(would: Preview) -> str:
    from andon.records.finding import timestamp

    if not would.episodes or would.first is None or would.last is None:
        return "it would have hidden nothing so far"
    said = (
        f"it would have hidden {would.episodes:,} episodes of {would.alerts:,} alerts, {would.inspected:,} of them in "
        f"cases, between {timestamp(would.first)[:19]} and {timestamp(would.last)[:19]}"
    )
    if would.verdicts:
        told = ", ".join(f"{number:,} {label}" for label, number in would.verdicts.items())
        said += f"\nanalysts had said of these: {told}"
    return said


def _preview(would: Preview) -> dict[str, Any]:
    from andon.records.finding import timestamp

    return {
        "episodes": would.episodes,
        "alerts": would.alerts,
        "inspected": would.inspected,
        "first": None if would.first is None else timestamp(would.first),
        "last": None if would.last is None else timestamp(would.last),
        "verdicts": dict(would.verdicts),
    }


def _document(one: Suppression) -> dict[str, Any]:
    from andon.records.finding import timestamp

    times = {
        name: None if value is None else timestamp(value)
        for name, value in (("created", one.created), ("expires", one.expires), ("revoked", one.revoked))
    }
    scope = {name: getattr(one, name) for name in ("site", "host", "product", "rule", "source")}
    return {"id": one.id, "owner": one.owner, "reason": one.reason, **scope, **times, "hits": one.hits}


def _scope(one: Suppression) -> str:
    named = [(name, getattr(one, name)) for name in ("site", "host", "product", "rule", "source")]
    return safe(", ".join(f"{name} {value}" for name, value in named if value))


def _until(one: Suppression) -> str:
    from andon.records.finding import timestamp

    if one.revoked is not None:
        return f"revoked {timestamp(one.revoked)[:10]}"
    return timestamp(one.expires)[:16].replace("T", " ")
