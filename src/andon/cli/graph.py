"""``andon graph``: build the infrastructure graph, grow a case to its campaign, communities, exports."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from andon.cli.terminal import Format, console, fail, note, safe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from andon.triage.infrastructure import Graph, Growth, Warnings

app = typer.Typer(
    help="Who stands behind a name: grow one indicator to the infrastructure of its campaign.\n\n"
    "Example: andon graph build passive-dns.jsonl.gz whois.jsonl samples.jsonl --out g.npz && "
    "andon graph grow --graph g.npz --seed evil.example",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_GRAPH = typer.Option(..., "--graph", envvar="ANDON_GRAPH", help="File of `andon graph build`.")
_SEED = typer.Option([], "--seed", help="Domain, address, hash, e-mail address... or kind:value. Repeatable.")
_AT = typer.Option("", "--at", help="When the seeds were seen (RFC 3339): whose name or address it was then.")
_THRESHOLD = typer.Option(0.5, "--threshold", help="Least probability with which a thing joins.")
_FORMAT = typer.Option(Format.table, "--format", help="table, or json.")


class To(StrEnum):
    """What others read."""

    graphml = "graphml"
    stix = "stix"


@app.callback()
def _group() -> None:
    """Who stands behind a name: grow one indicator to the infrastructure of its campaign."""


@app.command("build")
def build_command(
    files: list[Path] = typer.Argument(
        None, metavar="FILE...", help="Enrichment (docs/graph.md); gz, zst, lz4 too."
    ),
    out: Path = typer.Option(..., "--out", help="File to write the graph to."),
    findings: str = typer.Option(
        "", "--findings", help="Store of `andon run`, folder of analyze --out, or postgresql:// URL."
    ),
    warning_list: list[Path] = typer.Option(
        [], "--warning-list", help="MISP warning list (JSON). Repeatable."
    ),
    own: str = typer.Option("", "--own", help="Own prefixes, comma separated: machines in them are ours."),
) -> None:
    """Build a graph from what the operator has: passive DNS, WHOIS, certificates, samples, MISP, STIX, findings.

    Example: andon graph build passive-dns.jsonl.gz whois.jsonl --warning-list cdn.json --out g.npz
    """
    from andon.observe.enrichment import TableError, enrichment
    from andon.triage.infrastructure import build, from_findings, save

    if not files and not findings:
        fail("give files of enrichment, --findings, or both", 2)
    tables, bad = [], 0
    warnings = _warnings(warning_list)
    for path in files or []:
        try:
            table, skipped = enrichment(path)
        except (OSError, TableError) as error:
            note(f"andon: {error}")
            bad += 1
            continue
        tables.append(table)
        more = f"; {skipped.lines:,} skipped, e.g. {skipped.examples[0]}" if skipped.lines else ""
        note(f"{path}: {table.num_rows:,} relations{more}")
    if findings:
        prefixes = tuple(part.strip() for part in own.split(",") if part.strip())
        try:
            table = from_findings(_findings(findings), prefixes)
        except ValueError as error:
            fail(f"--own: {error}", 2)
        note(f"{safe(findings)}: {table.num_rows:,} relations")
        tables.append(table)
    if not tables:
        fail("nothing readable", 1)
    graph = build(tables, warnings)
    try:
        save(graph, out)
    except OSError as error:
        fail(str(error), 1)
    nodes, edges, entities = graph.size_of
    note(
        f"{nodes:,} nodes, {edges:,} edges, {entities:,} entities, {int(graph.hub.sum()):,} hubs in {out}"
        + (f"; {bad} files could not be read" if bad else "")
    )


@app.command("grow")
def grow_command(
    graph: Path = _GRAPH,
    seed: list[str] = _SEED,
    at: str = _AT,
    threshold: float = _THRESHOLD,
    most: int = typer.Option(5_000, "--most", min=1, help="Most members."),
    limit: int = typer.Option(60, "--limit", min=0, help="Members to list in a table; 0: all."),
    format: Format = _FORMAT,
) -> None:
    """Grow from one or more indicators to what is in the same hands, with the reason and path for each.

    Example: andon graph grow --graph g.npz --seed evil.example --seed 198.51.100.7 --format json
    """
    growth = _growth(_load(graph), seed, at, threshold, most)
    if format is Format.json:
        from andon.records.neutral import plain_json

        print(plain_json(json.dumps(growth.to_dict(), ensure_ascii=False, allow_nan=False)))
        return
    _table(growth, limit)


@app.command("communities")
def communities_command(
    graph: Path = _GRAPH,
    weeks: int = typer.Option(
        0, "--weeks", min=0, help="The last so many weeks one by one; 0: the whole time."
    ),
    smallest: int = typer.Option(3, "--smallest", min=2, help="Fewest members."),
    limit: int = typer.Option(40, "--limit", min=0, help="Most to list; 0: all."),
    format: Format = _FORMAT,
) -> None:
    """Communities of the graph; week by week under names that stay.

    Example: andon graph communities --graph g.npz --weeks 8
    """
    from rich.table import Table

    from andon.records.finding import timestamp
    from andon.records.neutral import neutral
    from andon.triage.infrastructure import communities, weekly

    held = _load(graph)
    found = weekly(held, weeks, smallest) if weeks else communities(held, smallest)
    shown = found if not limit else found[-limit:] if weeks else found[:limit]
    if format is Format.json:
        for one in shown:
            body = one.to_dict()
            body["week"] = None if one.start is None else timestamp(one.start)
            print(json.dumps(body))
        return
    table = Table(box=None, pad_edge=False)
    for title in ("week", "id", "size", "fate", "among them"):
        table.add_column(title, overflow="fold")
    for one in shown:
        heads = ", ".join(neutral(value, "domain") for _, value in one.heads)
        week = "all" if one.start is None else timestamp(one.start)[:10]
        table.add_row(week, one.id, f"{len(one.members):,}", one.fate, heads)
    console().print(table)
    if len(shown) < len(found):
        note(f"{len(shown)} of {len(found):,}; --limit 0 lists all")


@app.command("show")
def show_command(
    value: str = typer.Argument(..., metavar="NODE", help="Value, or kind:value."),
    graph: Path = _GRAPH,
    limit: int = typer.Option(50, "--limit", min=1, help="Most edges to list."),
    format: Format = _FORMAT,
) -> None:
    """What the graph knows of one thing: its edges, whether it is a hub, what it is worth as a pivot.

    Example: andon graph show 198.51.100.7 --graph g.npz
    """
    from andon.records.neutral import neutral

    held = _load(graph)
    nodes = held.find(value)
    if not nodes:
        fail(f"{safe(value)}: the graph does not hold it", 1)
    for node in nodes:
        body = _about(held, node, limit)
        if format is Format.json:
            print(json.dumps(body))
            continue
        print(f"{body['kind']} {neutral(str(body['value']), 'domain')}")
        print(
            f"  {'hub: never a pivot' if body['hub'] else 'value as a pivot ' + format_value(body['pivot'])}, "
            f"held by {body['size']:,}, owners over time {body['tenures']}"
        )
        for edge in body["edges"]:
            times = f"{(edge['first'] or '?')[:10]} to {(edge['last'] or '?')[:10]}"
            arrow = "->" if edge["outward"] else "<-"
            name = neutral(edge["value"], "domain")
            print(
                f"  {arrow} {edge['relation']:15} {edge['kind']:17} {name}  {times}  "
                f"{', '.join(map(safe, edge['origins']))}"
            )
        if body["left_out"]:
            note(f"{body['left_out']:,} more; --limit shows them")


def format_value(value: float) -> str:
    """A probability in two digits."""
    return f"{value:.2f}"


@app.command("export")
def export_command(
    graph: Path = _GRAPH,
    to: To = typer.Option(..., "--to", help="graphml, or stix (a STIX 2.1 bundle; needs --seed)."),
    out: Path = typer.Option(..., "--out", help="File to write."),
    seed: list[str] = _SEED,
    at: str = _AT,
    threshold: float = _THRESHOLD,
) -> None:
    """The graph, or what grows from seeds, for other tools.

    Example: andon graph export --graph g.npz --seed evil.example --to stix --out evil.json
    """
    held = _load(graph)
    growth = _growth(held, seed, at, threshold, 5_000) if seed else None
    try:
        if to is To.graphml:
            from andon.triage.infrastructure import graphml

            nodes, edges = graphml(held, out, growth)
            note(f"{nodes:,} nodes, {edges:,} edges in {out}")
            return
        if growth is None:
            fail("--to stix needs --seed: a whole graph is no campaign", 2)
        from andon.share.infrastructure import stix_bundle

        bundle, left_out = stix_bundle(held, growth)
        out.write_text(json.dumps(bundle, ensure_ascii=False) + "\n", encoding="utf-8")
        more = (
            f"; {left_out} things that STIX has no object for, or that are ours, are not in it"
            if left_out
            else ""
        )
        note(f"{len(bundle['objects']):,} objects in {out}{more}")
    except ValueError as error:
        fail(str(error), 2)
    except OSError as error:
        fail(str(error), 1)


def _load(path: Path) -> Graph:
    from andon.triage.infrastructure import BadGraph, load

    try:
        return load(path)
    except (OSError, BadGraph) as error:
        fail(safe(str(error)), 1)


def _growth(graph: Graph, seeds: list[str], at: str, threshold: float, most: int) -> Growth:
    from andon.triage.infrastructure import grow

    if not seeds:
        fail("--seed: from what?", 2)
    when = None
    if at:
        try:
            moment = datetime.fromisoformat(at)
        except ValueError:
            fail(f"--at {safe(at)}: not a time (2026-01-31T12:00:00Z)", 2)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        when = int(moment.timestamp()) * 10**9
    try:
        growth = grow(graph, seeds, when, threshold=threshold, most=most)
    except ValueError as error:
        fail(str(error), 2)
    for text in growth.unknown:
        note(f"andon: {safe(text)}: the graph does not hold it")
    if not growth.members:
        fail("none of the seeds is in the graph", 1)
    return growth


def _warnings(paths: list[Path]) -> Warnings:
    from andon.triage.infrastructure import Warnings

    made = Warnings()
    for path in paths:
        try:
            document: Any = json.loads(path.read_bytes())
            if not isinstance(document, dict):
                raise ValueError("not a MISP warning list: no object")
            made.add(document)
        except OSError as error:
            fail(str(error), 1)
        except (ValueError, RecursionError) as error:
            fail(f"{path}: {error}", 1)
    if made.left_out:
        note(
            f"andon: {made.left_out:,} entries of warning lists cannot be used (regular expressions, substrings)"
        )
    return made


def _findings(store: str) -> Iterator[dict[str, Any]]:
    """Bodies of the findings of a casebook, or of a folder of ``analyze --out``."""
    from contextlib import nullcontext

    from andon.store.casebook import Casebook
    from andon.store.casebook.lines import FindingLines
    from andon.store.errors import StoreError

    folder = Path(store)
    file = folder / "findings.ndjson" if folder.is_dir() else folder
    try:
        if "://" in store or (folder / "casebook.db").exists() or folder.suffix == ".db":
            held: Any = Casebook(store, read_only=True)
        elif file.is_file():
            held = nullcontext(lines := FindingLines(file))
            if lines.skipped:
                note(f"andon: {file}: {lines.skipped:,} lines are not findings and were skipped")
        else:
            fail(f"{safe(store)}: neither a casebook nor findings.ndjson is in there", 1)
        with held as book:
            for finding in book.findings():
                yield finding.to_dict()
    except (OSError, StoreError) as error:
        fail(safe(str(error)), 1)


def _about(graph: Graph, node: int, limit: int) -> dict[str, Any]:
    from andon.records.finding import timestamp
    from andon.triage.infrastructure.export import origins
    from andon.triage.infrastructure.graph import interval

    kind, value = graph.name(node)
    entity = int(graph.entities.of[node])
    rows = ((graph.nodes.source == node) | (graph.nodes.target == node)).nonzero()[0]
    edges = []
    for row in rows[:limit].tolist():
        outward = int(graph.nodes.source[row]) == node
        other = graph.name(int(graph.nodes.target[row] if outward else graph.nodes.source[row]))
        first, last = interval(graph, row)
        edges.append(
            {
                "relation": _relation(graph, row),
                "outward": outward,
                "kind": other[0],
                "value": other[1],
                "first": None if first is None else timestamp(first),
                "last": None if last is None else timestamp(last),
                "count": int(graph.nodes.count[row]),
                "origins": origins(graph, row),
            }
        )
    return {
        "kind": kind,
        "value": value,
        "hub": bool(graph.hub[entity]),
        "pivot": round(float(graph.value[entity]), 4),
        "size": int(graph.size[entity]),
        "tenures": int(graph.entities.tenures[entity]),
        "edges": edges,
        "left_out": max(len(rows) - limit, 0),
    }


def _relation(graph: Graph, row: int) -> str:
    from andon.records.infrastructure import RELATIONS

    return RELATIONS[int(graph.nodes.relation[row])]


def _table(growth: Growth, limit: int) -> None:
    from rich.table import Table

    from andon.records.neutral import neutral

    table = Table(box=None, pad_edge=False)
    for title in ("p", "kind", "what", "why"):
        table.add_column(title, overflow="fold")
    shown = growth.members[:limit] if limit else growth.members
    for member in shown:
        table.add_row(
            f"{member.probability:.2f}",
            member.kind,
            neutral(member.value, "domain"),
            neutral(member.why, "domain"),
        )
    console().print(table)
    if len(shown) < len(growth.members):
        note(f"{len(shown)} of {len(growth.members):,} members; --limit 0 lists all")
    apart = [thing for thing in growth.shared if thing.members][:8]
    if apart:
        print("\nshared with strangers, not followed")
        for thing in apart:
            print(
                f"  {thing.kind} {neutral(thing.value, 'domain')}: {thing.members:,} members, {thing.all:,} in all"
            )
    near = [member for member in growth.beside if member.probability >= 0.05][:8]
    if near:
        print("\nnearest that did not join")
        for member in near:
            print(
                f"  {member.probability:.2f} {member.kind} {neutral(member.value, 'domain')}: "
                f"{neutral(member.why, 'domain')}"
            )
    print(
        f"\n{len(growth.members):,} members; {growth.stopped}"
        + (f"; {growth.left_out:,} left out" if growth.left_out else "")
    )
