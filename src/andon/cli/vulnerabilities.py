"""``andon vulnerabilities``: which vulnerabilities to deal with first, and why."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from andon.cli.terminal import Format, fail, note, safe

if TYPE_CHECKING:
    import pyarrow as pa

    from andon.triage.vulnerability.darknet import Darknet
    from andon.triage.vulnerability.owned import Owned
    from andon.triage.vulnerability.rank import Ranked

app = typer.Typer(
    help="Vulnerabilities: in which order to deal with them.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)


@app.callback()
def _group() -> None:
    """Keep ``rank`` a command of its own."""


@app.command("rank")
def rank_command(
    files: list[Path] = typer.Argument(
        ...,
        metavar="FILE...",
        help="CVE records (JSON 5.x): files, JSON lines, folder or zip of cvelistV5; Parquet.",
    ),
    epss: Path | None = typer.Option(None, "--epss", help="EPSS scores: epss_scores-YYYY-MM-DD.csv[.gz]."),
    kev: Path | None = typer.Option(None, "--kev", help="KEV catalogue: JSON or CSV."),
    vex: list[Path] = typer.Option([], "--vex", help="CSAF VEX: document, folder or zip. Repeatable."),
    assets: list[Path] = typer.Option([], "--assets", help="An asset list (docs/assets.md). Repeatable."),
    darknet: Path | None = typer.Option(
        None, "--darknet", help="Folder of results of a telescope: andon analyze ... --out FOLDER."
    ),
    as_of: str = typer.Option(
        "", "--as-of", metavar="DATE", help="As of this day (YYYY-MM-DD): what came later is not known."
    ),
    mission: str = typer.Option(
        "medium", "--mission", help="Mission & well-being of systems: low, medium or high."
    ),
    critical: list[str] = typer.Option(
        [],
        "--critical",
        metavar="TEXT",
        help="Mission is high where a system's name, address or owner has this.",
    ),
    ours: bool = typer.Option(False, "--ours", help="With --assets: only what stands on the list."),
    model: Path | None = typer.Option(None, "--model", help="A model file; the shipped one if not given."),
    top: int = typer.Option(20, "--top", min=0, help="Rows of the table; 0: all."),
    format: Format = typer.Option(Format.table, "--format", help="table, or json: one vulnerability a line."),
) -> None:
    """Order vulnerabilities: SSVC's decision (Act, Attend, Track*, Track), inside it by the chance of exploitation
    times exposure, with reasons.

    Example: andon vulnerabilities rank cvelistV5.zip --kev kev.csv --epss epss.csv.gz --assets systems.csv
    """
    from andon.learn import registry
    from andon.observe import vulnerability as read
    from andon.triage.vulnerability.model import ExploitationModel
    from andon.triage.vulnerability.rank import Known, rank

    until = _until(as_of)
    if ours and not assets:
        fail("--ours needs --assets", 2)
    try:
        table, skipped = read.vulnerabilities(files)
        _skipped("CVE records", skipped)
        listed: dict[str, int] = {}
        if kev is not None:
            held, skipped = read.kev(kev)
            _skipped(str(kev), skipped)
            listed = dict(zip(held["cve"].to_pylist(), held["added"].cast("int64").to_pylist(), strict=True))
        scores: dict[str, float] = {}
        if epss is not None:
            scores = _epss(epss, until)
        excused: dict[str, tuple[tuple[str, str], ...]] = {}
        for path in vex:
            for cve, pairs in _vex(path, until).items():
                excused[cve] = excused.get(cve, ()) + pairs
        shipped = registry.load(model) if model is not None else registry.shipped().get("vulnerability")
        scorer = None if shipped is None else ExploitationModel(shipped)
        if scorer is None:
            note("andon: no exploitation model; give one with --model FILE")
        known = Known(
            scorer,
            listed,
            scores,
            excused,
            _owned(assets),
            _darknet(darknet),
            mission,
            tuple(critical),
            until,
        )
        found, left_out = rank(table, known)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), 1)
    except ValueError as error:
        fail(str(error), 2 if str(error).startswith("mission") else 1)
    if ours:
        left_out["no system with the product on the asset list"] = sum(one.match is None for one in found)
        found = [one for one in found if one.match is not None]
    for why, count in left_out.items():
        if count:
            note(f"andon: {count:,} vulnerabilities left out: {why}")
    if scorer is not None and until is not None:
        made = str(scorer.card.get("as_of", ""))
        if made > as_of:
            note(
                f"andon: the model knows what was listed until {made}, which is after {as_of}: train one of that day"
            )
    if format is Format.json:
        from andon.records.neutral import plain_json

        for one in found:  # what the model saw is told of the first thousand: it is the costly part
            print(
                plain_json(json.dumps(one.to_dict(scorer if one.rank <= 1000 else None), ensure_ascii=False))
            )
        return
    _show(found, top)


def _until(as_of: str) -> int | None:
    """ns of the end of the day."""
    if not as_of:
        return None
    from andon.observe.vulnerability.values import when

    day = when(as_of)
    if day is None or len(as_of) != 10:
        fail(f"--as-of {as_of}: write a day as YYYY-MM-DD", 2)
    return day + 86_400_000_000_000 - 1


def _skipped(name: str, skipped: Any) -> None:
    if skipped.lines:
        note(f"andon: {name}: {skipped.lines:,} skipped ({'; '.join(skipped.examples)})")


def _epss(path: Path, until: int | None) -> dict[str, float]:
    from andon.observe import vulnerability as read
    from andon.records.finding import timestamp

    held, skipped = read.epss(path)
    _skipped(str(path), skipped)
    version, day = read.scored(held)
    if until is not None and day is not None and day > until:
        note(f"andon: {path}: scores of {timestamp(day)[:10]}, after the day asked for: not used")
        return {}
    if day is None:
        note(f"andon: {path}: the file does not say of which day its scores are")
    else:
        note(f"EPSS {version} of {timestamp(day)[:10]}: {held.num_rows:,} scores")
    return dict(zip(held["cve"].to_pylist(), held["epss"].to_pylist(), strict=True))


def _vex(path: Path, until: int | None) -> dict[str, tuple[tuple[str, str], ...]]:
    from andon.observe import vulnerability as read
    from andon.records.vulnerability import NOT_AFFECTED

    held, skipped = read.vex(path)
    _skipped(str(path), skipped)
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    released = held["released"].cast("int64").to_pylist()
    names = ("cve", "status", "product", "reason")
    for stamp, cve, status, product, reason in zip(
        released, *(held[name].to_pylist() for name in names), strict=True
    ):
        if status == NOT_AFFECTED and (until is None or stamp is None or stamp <= until):
            found[cve] = (*found.get(cve, ()), (product, reason))
    return found


def _owned(paths: list[Path]) -> Owned | None:
    if not paths:
        return None
    import pyarrow as pa

    from andon.observe.assets import assets
    from andon.observe.jsonlines import Skipped
    from andon.triage.vulnerability.owned import Owned

    tables: list[pa.Table] = []
    for path in paths:
        skipped = Skipped()
        tables.append(assets(path, skipped).replace_schema_metadata(None))
        count = sum(skipped.reasons.values())
        if count:
            note(f"andon: {path}: {count:,} entries skipped ({', '.join(sorted(skipped.reasons))})")
    return Owned(pa.concat_tables(tables))


def _darknet(folder: Path | None) -> Darknet | None:
    if folder is None:
        return None
    import pyarrow as pa
    import pyarrow.parquet as pq

    from andon.triage.vulnerability import darknet

    tables = {}
    for name in (darknet.ALERTS, darknet.SLOTS, darknet.DAILY, darknet.SIGHTINGS):
        for below in (folder / "tables", folder):
            path = below / f"{name.replace(':', '.')}.parquet"
            if path.is_file():
                try:
                    tables[name] = pq.read_table(path)
                except pa.ArrowException as error:
                    raise ValueError(f"{path}: {error}") from error
                break
    if not tables:
        fail(
            f"--darknet {folder}: no tables of a telescope in it; make them with andon analyze --out {folder}",
            2,
        )
    return darknet.Darknet(tables)


def _show(found: list[Ranked], top: int) -> None:
    from rich.table import Table
    from rich.text import Text

    from andon.cli.terminal import console
    from andon.records.neutral import neutral
    from andon.triage.vulnerability.rank import product_name
    from andon.triage.vulnerability.ssvc import DECISIONS

    screen = console()
    shown = Table(box=None, pad_edge=False)
    for heading in ("", "CVE", "decision", "score", "model", "EPSS", "product", "ours", "KEV", "scans surge"):
        shown.add_column(heading, overflow="ellipsis", no_wrap=True, max_width=22)
    for one in found[: top or None]:
        cells = (
            str(one.rank),
            one.cve,
            "not affected" if one.excused else one.decision,
            f"{one.score:.4f}",
            "-" if one.p_model != one.p_model else f"{one.p_model:.4f}",
            "-" if one.epss != one.epss else f"{one.epss:.3f}",
            neutral(product_name(one.row)),
            "" if one.match is None else f"{one.match.count:,}",
            "" if one.listed is None else "yes",
            f"{one.door.port}/{one.door.transport}" if one.surging and one.door is not None else "",
        )
        shown.add_row(*(Text(safe(cell)) for cell in cells))
    screen.print(shown)
    counts = Counter(one.decision for one in found if not one.excused)
    screen.print(Text(", ".join(f"{name} {counts[name]:,}" for name in reversed(DECISIONS))))
    if top and len(found) > top:
        screen.print(f"... and {len(found) - top:,} more: --top 0; reasons: --format json")
