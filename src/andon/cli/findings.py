"""``andon findings``: what the casebook holds, as it comes in, in detail, and put to the test."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from andon.cli import outbox
from andon.cli.book import Errors, moment
from andon.cli.terminal import Format, console, fail, note, safe

if TYPE_CHECKING:
    from andon.run.check import Checked
    from andon.store.casebook import Casebook, Filter, StoredFinding
    from andon.store.casebook.lines import FindingLines

app = typer.Typer(
    help="List, follow, show and check findings.\n\n"
    "Example: andon findings list --store /var/lib/andon --severity medium --since 24h",
    no_args_is_help=True,
    rich_markup_mode=None,
)

app.add_typer(outbox.app, name="outbox")

_STORE = typer.Option(
    ...,
    "--store",
    envvar="ANDON_STORE",
    help="Store folder of `andon run`, DIR of `analyze --out`, or postgresql:// URL.",
)
_KIND = typer.Option([], "--kind", help="Kind of finding. Repeatable.")
_SEVERITY = typer.Option("", "--severity", help="This severity or worse.")
_ENGINE = typer.Option([], "--engine", help="Engine, e.g. darknet.census. Repeatable.")
_SINCE = typer.Option("", "--since", help="Last seen then or later: 2026-01-31T12:00:00Z, or 24h ago.")
_UNTIL = typer.Option("", "--until", help="Last seen before then.")
_ENTITY = typer.Option("", "--entity", help="Subject, or one of the entities listed with the finding.")
_SERIES = typer.Option("", "--series", help="The same thing over time: a finding's series.")
_FORMAT = typer.Option(Format.table, "--format", help="table, or json: one object a line.")


@app.callback()
def _group() -> None:
    """List, follow, show and check findings."""


@app.command("list")
def list_command(
    store: str = _STORE,
    kind: list[str] = _KIND,
    severity: str = _SEVERITY,
    engine: list[str] = _ENGINE,
    since: str = _SINCE,
    until: str = _UNTIL,
    entity: str = _ENTITY,
    series: str = _SERIES,
    limit: int = typer.Option(50, "--limit", min=0, help="Most to list; 0: all."),
    format: Format = _FORMAT,
) -> None:
    """List findings, newest first.

    Example: andon findings list --store /var/lib/andon --entity 198.51.100.7
    """
    wanted = _filter(kind, severity, engine, since, until, entity, series)
    with _Errors(), _open(store) as book:
        found = book.findings(wanted, limit or None)
        if format is Format.json:
            for finding in found:
                print(finding.document)
            return
        _table(list(found), limit)
        _say_given_up(book)


@app.command("follow")
def follow_command(
    store: str = _STORE,
    kind: list[str] = _KIND,
    severity: str = _SEVERITY,
    engine: list[str] = _ENGINE,
    entity: str = _ENTITY,
    series: str = _SERIES,
    last: int = typer.Option(10, "--last", min=0, help="Begin with so many that are there already."),
    every: float = typer.Option(1.0, "--every", min=0.05, help="Seconds between looks."),
    format: Format | None = typer.Option(
        None, "--format", help="table or json; json where the output is a pipe or file."
    ),
) -> None:
    """Print findings as they come, until Ctrl-C.

    Example: andon findings follow --store /var/lib/andon --severity high
    """
    wanted = _filter(kind, severity, engine, "", "", entity, series)
    plain = format is Format.json or (format is None and not sys.stdout.isatty())
    with _Errors(), _open(store) as book:
        if not hasattr(book, "findings_after"):
            fail("a folder of analyze --out does not grow: use `andon findings list`", 2)
        at = book.last_seq()
        for finding in reversed(list(book.findings(wanted, last)) if last else []):
            if finding.seq <= at:
                _line(finding, plain)
        while True:
            found, at = book.findings_after(at, wanted)
            for finding in found:
                _line(finding, plain)
            if not found:
                time.sleep(every)


@app.command("show")
def show_command(
    id: str = typer.Argument(..., metavar="ID", help="Id of a finding, or its first digits."),
    store: str = _STORE,
    history: int = typer.Option(10, "--history", min=0, help="Findings of the same series to list."),
    format: Format = _FORMAT,
) -> None:
    """Show a finding: what it says, on what evidence, how to check it, about whom, and since when.

    Example: andon findings show 3f2a --store /var/lib/andon
    """
    from andon.store.casebook import Filter

    with _Errors(), _open(store) as book:
        finding = _one(book, id)
        series = list(book.findings(Filter(series=finding.series), history + 1)) if history else []
    if format is Format.json:
        print(finding.document)
        return
    _show(finding, [other for other in series if other.id != finding.id][:history])


@app.command("check")
def check_command(
    id: str = typer.Argument(..., metavar="ID", help="Id of a finding, or its first digits."),
    store: str = _STORE,
    folder: Path | None = typer.Option(
        None, "--packets", help="Store folder whose packet history is counted; by default --store."
    ),
    format: Format = _FORMAT,
) -> None:
    """Count again what a finding claims: with SQL over the history, or with tcpdump on the files it names.

    Exit code 0: all that could be run agrees; 1: something differs, or nothing could be run.

    Example: andon findings check 3f2a --store /var/lib/andon
    """
    from andon.run.check import over_files, over_history
    from andon.store.casebook import Casebook
    from andon.store.history import History

    with _Errors(), _open(store) as book:
        finding = _one(book, id)
        if isinstance(book, Casebook):
            if folder is None and "://" in store:
                fail("the packets are not in the database: give --packets DIR, the store folder", 2)
            window = (finding.window_start, finding.window_end)
            telescope = tuple(json.loads(book.recall("telescope") or "[]"))
            history = History((folder or Path(store)) / "history")
            results = list(over_history(finding.to_dict(), window, history, telescope))
        else:
            results = list(over_files(finding.to_dict(), Path(store)))
    _results(finding, results, format)
    if not results or any(result.agrees is False for result in results):
        raise typer.Exit(1)
    if all(result.agrees is None for result in results):
        raise typer.Exit(1)


def _say_given_up(book: Any) -> None:
    """Alerts that reached nobody are said where findings are read."""
    from andon.run.live.trouble import given_up
    from andon.share.outbox.deliver import summary
    from andon.store.casebook import Casebook

    text = given_up(summary(book.outbox_counts())) if isinstance(book, Casebook) else ""
    if text:
        note(f"andon: {safe(text)}")


class _Errors(Errors):
    """And that --follow is ended by Ctrl-C."""

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, KeyboardInterrupt):
            raise typer.Exit(0) from None
        super().__exit__(kind, error, trace)


def _open(store: str) -> Any:
    """The casebook, or the findings of a folder of ``analyze --out``."""
    from contextlib import nullcontext

    from andon.store.casebook import Casebook

    folder = Path(store)
    if "://" not in store and not folder.exists():
        fail(f"there is no store at {store}", 1)
    if "://" in store or (folder / "casebook.db").exists() or folder.suffix == ".db":
        return Casebook(store, read_only=True)
    file = folder / "findings.ndjson" if folder.is_dir() else folder
    if not file.is_file():
        fail(f"{store}: neither a casebook nor findings.ndjson is in there", 1)
    from andon.store.casebook.lines import FindingLines

    lines = FindingLines(file)
    if lines.skipped:
        note(f"andon: {file}: {lines.skipped:,} lines are not findings and were skipped")
    return nullcontext(lines)


def _filter(
    kind: list[str], severity: str, engine: list[str], since: str, until: str, entity: str, series: str
) -> Filter:
    from andon.records.finding import KINDS
    from andon.store.casebook import Filter

    for name in kind:
        if name not in KINDS:
            fail(f"--kind {safe(name)}: there is no such kind; there are {', '.join(KINDS)}", 2)
    now = time.time_ns()
    try:
        return Filter(
            kinds=tuple(dict.fromkeys(kind)),
            engines=tuple(dict.fromkeys(engine)),
            severity=severity,
            since=moment(since, now) if since else None,
            until=moment(until, now) if until else None,
            entity=entity,
            series=series,
        )
    except ValueError as error:
        fail(safe(str(error)), 2)


def _one(book: Casebook | FindingLines, id: str) -> StoredFinding:
    finding = book.finding(id)
    if finding is None:
        fail(f"there is no finding {safe(id)}, or several begin so: andon findings list shows ids", 1)
    return finding


def _line(finding: StoredFinding, plain: bool) -> None:
    if plain:
        print(finding.document, flush=True)
        return
    from andon.records.finding import timestamp

    print(
        f"{timestamp(finding.last_seen)[:19]}  {finding.id[:12]}  {finding.severity:13}  {safe(finding.kind)}  "
        f"{safe(finding.title)}",
        flush=True,
    )


def _table(found: list[StoredFinding], limit: int) -> None:
    from rich.table import Table

    from andon.records.finding import timestamp

    table = Table(box=None, pad_edge=False)
    for name in ("last seen (UTC)", "id", "severity", "kind"):
        table.add_column(name, no_wrap=True)
    table.add_column("count", justify="right", no_wrap=True)
    table.add_column("finding", overflow="fold")
    for finding in found:
        table.add_row(
            timestamp(finding.last_seen)[:16].replace("T", " "),
            finding.id[:12],
            finding.severity,
            safe(finding.kind),
            f"{finding.count:,}",
            safe(finding.title),
        )
    if not found:
        note("no findings")
        return
    console().print(table)
    if limit and len(found) == limit:
        note(f"the newest {limit}; --limit 0 lists all")


def _show(finding: StoredFinding, others: list[StoredFinding]) -> None:
    from andon.records.finding import timestamp

    body = finding.to_dict()
    window = body.get("window", {})
    print(f"{safe(finding.title)}\n")
    print(f"{safe(str(body.get('statement', '')))}\n")
    facts = {
        "id": f"{finding.id} (revision {finding.revision})",
        "series": finding.series,
        "kind": f"{finding.kind}, {finding.severity}",
        "confidence": f"{finding.confidence:g} ({body.get('calibration', '')})",
        "engine": f"{finding.engine} {finding.engine_version}",
        "window": f"{window.get('start')} to {window.get('end')}",
        "seen": f"{timestamp(finding.first_seen)} to {timestamp(finding.last_seen)}",
        "count": f"{finding.count:,}",
        "subject": f"{body.get('subject', {}).get('type')} {body.get('subject', {}).get('value')}",
        "ATT&CK": ", ".join(map(str, body.get("attack", []))),
    }
    for name, text in facts.items():
        if text:
            print(f"{name:11} {safe(str(text))}")
    _evidence(body)
    entities = body.get("entities", [])
    if entities:
        total = body.get("entities_total", len(entities))
        print(f"\n{total:,} entities" + (f", the first {len(entities)}:" if total > len(entities) else ":"))
        print("  " + safe(", ".join(str(entity.get("value")) for entity in entities)))
    if others:
        print("\nthe same at other times")
        for other in others:
            print(f"  {timestamp(other.window_start)}  {other.id[:12]}  {other.count:,}  {safe(other.title)}")


def _evidence(body: dict[str, Any]) -> None:
    for item in body.get("evidence", []):
        print(f"\n- {safe(str(item.get('statement', '')))}")
        check = item.get("check")
        if not check:
            continue
        if check.get("relation"):
            print(f"  relation  {safe(str(check['relation']))}")
        if check.get("expression"):
            print(f"  {safe(str(check.get('tool'))):9} {safe(str(check['expression']))}")
        expected = check.get("expected")
        print(f"  expected  {'?' if expected is None else format(expected, ',')}", end="")
        print(f", by chance {check.get('by_chance', 0):g}" if check.get("by_chance") is not None else "")


def _results(finding: StoredFinding, results: list[Checked], format: Format) -> None:
    if format is Format.json:
        for result in results:
            line = {
                "finding": finding.id,
                "relation": result.relation,
                "expected": result.expected,
                "by_chance": result.by_chance,
                "got": result.got,
                "agrees": result.agrees,
                "command": result.command,
                "note": result.note,
            }
            print(json.dumps(line))
        return
    if not results:
        note(f"finding {finding.id} names no check that can be run")
    words = {True: "agrees", False: "DIFFERS", None: "not run"}
    for result in results:
        print(f"{words[result.agrees]:8} {safe(result.statement)}")
        expected = "?" if result.expected is None else f"{result.expected:,}"
        got = "-" if result.got is None else f"{result.got:,}"
        print(f"         expected {expected}, got {got}, by chance {result.by_chance:g}")
        if result.command:
            print(f"         {safe(result.command)}")
        if result.note:
            print(f"         {safe(result.note)}")
