"""``andon fingerprints``: find marks that nobody has listed, look at them, hand them on."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from andon.cli import past
from andon.cli import runner as where
from andon.cli.terminal import Format, console, fail, note, progress, safe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from andon.records.finding import Finding
    from andon.run.batch import Analysis
    from andon.share.card import Card

app = typer.Typer(
    help="Find, show and export relations that many scanners share.\n\n"
    "Example: andon fingerprints discover capture.pcap --out result",
    no_args_is_help=True,
    rich_markup_mode=None,
)


class Method(StrEnum):
    """How to search."""

    algebra = "algebra"
    ga = "ga"


class Form(StrEnum):
    """What to export to."""

    bpf = "bpf"
    sql = "sql"
    suricata = "suricata"
    zeek = "zeek"
    stix = "stix"
    card = "card"
    json = "json"


_SOURCE = typer.Option(
    None, "--from", help="DIR or DIR/findings.ndjson of an analysis; else known tools alone."
)


@app.callback()
def _group() -> None:
    """Find, show and export relations that many scanners share."""


@app.command("discover")
def discover_command(
    files: list[str] = typer.Argument(None, metavar="[FILE...]", help="Captures; - for standard input."),
    history: Path | None = past.HISTORY,
    start: str = past.FROM,
    end: str = past.TO,
    method: Method = typer.Option(
        Method.algebra, "--method", help="algebra (exact), or ga (genetic search)."
    ),
    telescope: str = typer.Option("", "--telescope", help="Dark prefixes, comma separated."),
    format: Format = typer.Option(Format.table, "--format", help="table, or json: one finding a line."),
    out: Path | None = typer.Option(None, "--out", help="Folder for findings.ndjson and tables/."),
    seed: int = typer.Option(1, "--seed", help="For --method ga: same seed, same answer."),
    cpu_seconds: float = typer.Option(60.0, "--cpu-seconds", min=1.0, help="About how long to search a day."),
    least: int = typer.Option(20, "--min-sources", min=2, help="How many sources make a fingerprint."),
    mask: bool = typer.Option(False, "--mask", help="Give nothing away about where the telescope is."),
    runner: str = where.RUNNER,
    cluster: str = where.CLUSTER,
    work: Path | None = where.WORK,
    workers: str = where.WORKERS,
    tls_ca: Path | None = where.TLS_CA,
    tls_cert: Path | None = where.TLS_CERT,
    tls_key: Path | None = where.TLS_KEY,
) -> None:
    """Search captures for relations between header fields that many sources share.

    Example: andon fingerprints discover --telescope 192.0.2.0/24 captures/*.pcap.gz --out result
    """
    files = files or []
    received = past.asked(files, history, start, end)
    from andon.records.contract import Site
    from andon.run.discover import discover
    from andon.run.inputs import Inputs
    from andon.run.mask import Mask, telescope_networks
    from andon.run.results import write_results
    from andon.run.spool import spooled
    from andon.store.errors import StoreError

    prefixes = tuple(part.strip() for part in telescope.split(",") if part.strip())
    if mask and not prefixes:
        fail("--mask needs --telescope: what is to be hidden must be known", 2)
    name = "darknet.fingerprint"
    site = Site(
        telescope=prefixes,
        settings={f"{name}.cpu_seconds": cpu_seconds, f"{name}.min_sources": least},
    )
    try:
        with (
            spooled(files) as paths,
            progress("discover") as report,
            where.chosen(runner, cluster, work, workers, (tls_ca, tls_cert, tls_key), files) as analyse,
        ):
            inputs = Inputs.of(paths)
            if received is not None:
                received.add_to(inputs)
            result = discover(inputs, site, method.value, seed, report, analyse)
        for item in result.files:
            if item.error is not None:
                note(f"andon: {item.path}: {item.error}")
        if not result.readable:
            fail("none of the files could be read", 1)
        cover = Mask(telescope_networks(result.tables, prefixes)) if mask else None
        if out is not None:
            write_results(result, out, cover)
            note(f"results in {out}")
    except ValueError as error:
        fail(str(error), 2)
    except (OSError, StoreError) as error:
        fail(str(error), 1)
    findings = [cover.finding(finding) for finding in result.findings] if cover else result.findings
    if format is Format.json:
        for finding in findings:
            print(finding.to_json())
        _notes(result)
        return
    _show_found(result, findings)


@app.command("list")
def list_command(
    source: Path | None = _SOURCE,
    format: Format = typer.Option(Format.table, "--format", help="table, or json: one card a line."),
) -> None:
    """List fingerprints: those found in an analysis, then those of known tools.

    Example: andon fingerprints list --from result
    """
    cards = _cards(source)
    if format is Format.json:
        for card in cards:
            print(card.to_json())
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("name", "relation", "scope"):
        table.add_column(name, overflow="fold")
    table.add_column("sources", justify="right")
    table.add_column("last seen")
    for card in cards:
        count = f"{card.sources:,}" if card.sources else ""
        table.add_row(safe(card.name), safe(card.relation), card.scope, count, safe(card.last_seen[:10]))
    console().print(table)


@app.command("show")
def show_command(
    fingerprint: str = typer.Argument(..., metavar="NAME|EXPR", help="A name of the list, or a relation."),
    source: Path | None = _SOURCE,
    format: Format = typer.Option(Format.table, "--format", help="table (Markdown), or json."),
) -> None:
    """Show one fingerprint as a card: what it is, what is proven, how to check it.

    Example: andon fingerprints show mirai
    """
    card = _one(_cards(source), fingerprint)
    print(card.to_json() if format is Format.json else _plain(card.to_markdown()))


@app.command("export")
def export_command(
    fingerprint: str = typer.Argument("", metavar="[NAME|EXPR]", help="One; without it all that were found."),
    source: Path | None = _SOURCE,
    to: Form = typer.Option(
        Form.card, "--to", help="bpf, sql, suricata, zeek, stix, card (Markdown) or json."
    ),
) -> None:
    """Write fingerprints in the words of other tools.

    Where a language cannot say one, it is left out and the reason is given, never an approximation.

    Example: andon fingerprints export --from result --to stix
    """
    from andon.records.expression import NotExpressible
    from andon.share.fingerprints import export

    cards = _cards(source)
    if fingerprint:
        chosen: Sequence[Card] = [_one(cards, fingerprint)]
    else:
        origin = "finding" if source is not None else "catalogue"
        chosen = [card for card in cards if card.origin == origin and card.kind != "stack-default"]
        if not chosen:
            fail(f"no fingerprint in {source}", 1)
    try:
        text, left_out = export(chosen, to.value)
    except NotExpressible as error:
        fail(f"not expressible in {to.value}: {error}", 1)
    for card, reason in left_out:
        note(f"andon: {card.name} left out, not expressible in {to.value}: {reason}")
    print(_plain(text))


def _cards(source: Path | None) -> list[Card]:
    from andon.share.fingerprints import found_in, known_tools

    try:
        return [*(found_in(source) if source is not None else ()), *known_tools()]
    except OSError as error:
        fail(str(error), 1)
    except ValueError as error:
        fail(str(error), 2)


def _one(cards: Sequence[Card], wanted: str) -> Card:
    from andon.share.fingerprints import choose

    try:
        return choose(cards, wanted)
    except ValueError as error:
        fail(str(error), 2)


def _plain(text: str) -> str:
    return "\n".join("\t".join(map(safe, line.split("\t"))) for line in text.split("\n")).rstrip("\n")


def _show_found(result: Analysis, findings: Sequence[Finding]) -> None:
    """Fingerprints, other findings by title, and how much is left without one."""
    from rich.table import Table
    from rich.text import Text

    screen = console()
    table = Table(box=None, pad_edge=False)
    for name in ("sources", "packets"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("fingerprint", overflow="fold")
    for finding in findings:
        if finding.kind == "scanner-fingerprint":
            table.add_row(
                f"{finding.attributes['sources']:,}",
                f"{finding.count:,}",
                Text.assemble(
                    (safe(finding.subject[1]), "bold"), "\n", (_in_short(finding.attributes), "dim")
                ),
            )
    if table.row_count:
        screen.print(table)
    else:
        screen.print("No fingerprint found.")
    others = [finding for finding in findings if finding.kind != "scanner-fingerprint"]
    if others:
        screen.print()
    for finding in others:
        screen.print(f"{finding.kind}: {safe(finding.title)}", overflow="ellipsis", no_wrap=True)
    for line in coverage_lines(result):
        screen.print(line)
    _notes(result)


def _in_short(details: Mapping[str, Any]) -> str:
    ports = ", ".join(f"{p['port']} ({p['share']:.0%})" for p in details["ports"][:3])
    parts = [
        "a key for each session" if details["scope"] == "session" else "",
        ("ports " if len(details["ports"]) > 1 else "port ")
        + ports
        + (", ..." * (len(details["ports"]) > 3)),
        f"{details['networks_24']:,} networks (/24)",
        f"known as {safe(str(details['known_as']))}" if details["known_as"] else "",
        "senders most likely made up" if details["spoofed"] else "",
    ]
    return "; ".join(part for part in parts if part)


def coverage_lines(result: Analysis) -> list[str]:
    """For each day how much of the scans carries no fingerprint."""
    lines = []
    for day in result.tables.get("darknet.fingerprint:coverage", ()):
        for row in day.to_pylist():
            date = f"{row['start']:%Y-%m-%d}"
            made_up = f"{row['made_up_sources']:,} made-up senders of floods are not counted."
            if row["sources"]:
                text = (
                    f"{date}: {row['without_sources']:,} of {row['sources']:,} scanning sources "
                    f"({row['without_sources_share']:.0%}) and {row['without_packets_share']:.0%} of their packets "
                    "carry neither a fingerprint nor the mark of a known tool."
                )
                lines.append(f"{text} {made_up}" if row["made_up_sources"] else text)
            elif row["made_up_sources"]:
                lines.append(f"{date}: no scanning source. {made_up}")
            else:
                lines.append(f"{date}: no TCP SYN packets, so nothing to search.")
    return lines


def _notes(result: Analysis) -> None:
    """What was left out, on stderr."""
    for day in result.tables.get("darknet.fingerprint:coverage", ()):
        for row in day.to_pylist():
            for text in (row["left_out"], _sampled(row["one_source_in"])):
                if text:
                    note(f"andon: {row['start']:%Y-%m-%d}: {safe(text)}")


def _sampled(one_in: int) -> str:
    return f"more sources than memory holds: one in {one_in} was looked at" if one_in > 1 else ""
