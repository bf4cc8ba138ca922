"""``andon share``: findings, cases and intents in the words of others, into files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from andon.cli.book import SINCE, UNTIL, Errors, bounds, opened
from andon.cli.terminal import fail, note, safe

if TYPE_CHECKING:
    from ipaddress import IPv4Network

    from andon.share.formats.export import Exported
    from andon.share.policy import Gate

app = typer.Typer(
    help="Findings, cases and intents for other tools and other teams.\n\n"
    "Example: andon share export --store /var/lib/andon --format stix --out findings.json",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_STORE = typer.Option(
    ...,
    "--store",
    envvar="ANDON_STORE",
    help="Store folder of `andon run`, DIR of `analyze --out`, or postgresql:// URL.",
)
_LARGEST = 1 << 28  # bytes of a manifest that is read again


@app.callback()
def _group() -> None:
    """Findings, cases and intents for other tools and other teams."""


@app.command("export")
def export_command(
    format: str = typer.Option(
        ...,
        "--format",
        help="stix, misp, ocsf, ecs, cef, leef, rfc5424, thehive, iris, json; rules: suricata, zeek, bpf.",
    ),
    out: Path = typer.Option(
        ..., "--out", help="File, or - for stdout; a folder for misp (a feed) and for rules."
    ),
    store: str = _STORE,
    what: str = typer.Option("findings", "--what", help="findings, cases or intents."),
    kind: list[str] = typer.Option([], "--kind", help="Kind of finding. Repeatable."),
    severity: str = typer.Option("", "--severity", help="This severity (of cases: level) or worse."),
    state: str = typer.Option("any", "--state", help="Of cases: open, closed, merged or any."),
    since: str = SINCE,
    until: str = UNTIL,
    limit: int = typer.Option(0, "--limit", min=0, help="Most to export, newest first; 0: all."),
    tlp: str = typer.Option(
        "", "--tlp", help="Strictest marking that may leave: clear, green, amber, amber+strict or red."
    ),
    telescope: str = typer.Option(
        "",
        "--telescope",
        metavar="CIDR,...",
        help="Dark prefixes to hide, comma separated. Default: those that the store knows.",
    ),
    hide: bool | None = typer.Option(
        None,
        "--hide-telescope/--show-telescope",
        help="Take out dark addresses, checks and constants, or leave them in.",
    ),
    people: str = typer.Option("", "--people", help="plain, pseudonym (needs --key) or omit."),
    key: Path | None = typer.Option(None, "--key", help="Key file for pseudonyms: andon pseudonym key FILE."),
    to: str = typer.Option("export", "--to", help="Name of the receiver: each has pseudonyms of its own."),
    inside: list[str] = typer.Option([], "--inside", metavar="CIDR", help="Prefix of ours. Repeatable."),
    warning_list: list[Path] = typer.Option(
        [],
        "--warning-list",
        help="MISP warning list or white list: what it names is no indicator. Repeatable.",
    ),
    organisation: str = typer.Option("Andon", "--organisation", help="Who says it, in STIX and MISP."),
) -> None:
    """Write them in another format. STIX, MISP and rules are for others: amber, the telescope and people hidden, unless
    told otherwise; the rest is for the house.

    Example: andon share export --store /var/lib/andon --format suricata --severity medium --out rules/
    """
    from andon.share.formats.export import FORMATS, WHOLE, Told
    from andon.share.gather import WHAT
    from andon.share.policy import AMBER, OMIT, PLAIN, PSEUDONYM, RED

    if format not in FORMATS:
        fail(f"--format {safe(format)}: there are {', '.join(FORMATS)}", 2)
    if what not in WHAT:
        fail(f"--what {safe(what)}: there are {', '.join(WHAT)}", 2)
    sharing = format in WHOLE
    hidden = PSEUDONYM if key is not None else OMIT
    with Errors():
        gate = _gate(
            to, tlp or (AMBER if sharing else RED), "hide" if (sharing if hide is None else hide) else "show",
            people or (hidden if sharing else PLAIN), key, _dark(store, telescope), inside, warning_list, organisation,
        )  # fmt: skip
        bodies = _bodies(store, what, kind, severity, state, since, until, limit)
        known = _known(out) if sharing and format not in ("stix", "misp") else None
        made = Told(format, gate).all(bodies, known, kind)
        _write(out, made)
        _say(made, what, out)
    if not made.told:
        raise typer.Exit(1)


def _gate(
    to: str, tlp: str, telescope: str, people: str, key: Path | None, dark: tuple[IPv4Network, ...] | None,
    inside: list[str], lists: list[Path], organisation: str,
) -> Gate:  # fmt: skip
    from andon.observe.logs.pseudonyms import read_key
    from andon.share.policy import PSEUDONYM, Caution, Gate, Ground, Policy

    if people == PSEUDONYM and key is None:
        fail("--people pseudonym needs --key FILE; `andon pseudonym key FILE` makes one", 2)
    ground = Ground(
        dark,
        tuple(inside),
        read_key(key) if key is not None else b"",
        {},
        organisation,
        Caution(inside, lists),
    )
    return Gate(Policy(to, tlp, telescope, people), ground)


def _dark(store: str, given: str) -> tuple[IPv4Network, ...] | None:
    """The dark prefixes: as given, else those that the store knows; None if neither says any."""
    from ipaddress import IPv4Network

    from andon.share.gather import telescope

    texts = [part.strip() for part in given.split(",") if part.strip()]
    known: list[str] | None = texts or None
    if known is None and _is_casebook(store):
        with opened(store) as book:
            known = json.loads(book.recall("telescope") or "[]") or telescope(book)
    elif known is None:
        with _lines(store) as lines:
            known = telescope(lines)
    return None if known is None else tuple(IPv4Network(text, strict=False) for text in known)


def _is_casebook(store: str) -> bool:
    folder = Path(store)
    return "://" in store or folder.suffix == ".db" or (folder / "casebook.db").exists()


def _bodies(
    store: str, what: str, kind: list[str], severity: str, state: str, since: str, until: str, limit: int
) -> Iterator[dict[str, Any]]:
    from andon.records.finding import KINDS
    from andon.share import gather
    from andon.store.casebook import CaseFilter, Filter

    begin, end = bounds(since, until)
    if what == "intents":
        folder = Path(store) / "contain"
        if not folder.is_dir():
            fail(f"there are no intents in {store}: no folder contain", 1)
        yield from gather.intents(folder, begin, end)
        return
    if what == "cases":
        wanted = CaseFilter(state="" if state == "any" else state, level=severity, since=begin, until=end)
        with opened(store) as book:
            yield from gather.cases(book, wanted, limit or None)
        return
    for name in kind:
        if name not in KINDS:
            fail(f"--kind {safe(name)}: there is no such kind; there are {', '.join(KINDS)}", 2)
    chosen = Filter(kinds=tuple(kind), severity=severity, since=begin, until=end)
    with opened(store) if _is_casebook(store) else _lines(store) as found:
        yield from gather.findings(found, chosen, limit or None)


def _lines(store: str) -> Any:
    from andon.store.casebook.lines import FindingLines

    folder = Path(store)
    file = folder / "findings.ndjson" if folder.is_dir() else folder
    if not file.is_file():
        fail(f"{store}: neither a casebook nor findings.ndjson is in there", 1)
    return nullcontext(FindingLines(file))


def _known(out: Path) -> dict[str, Any] | None:
    """The manifest of the bundle that is in the folder already: its sids and revisions are kept."""
    path = out / "manifest.json"
    if not path.is_file() or path.stat().st_size > _LARGEST:
        return None
    try:
        made = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not the manifest of a bundle ({error}); move it away") from error
    return made if isinstance(made, dict) else None


def _write(out: Path, made: Exported) -> None:
    from andon.store.durable import write_durable

    if made.files:
        if str(out) == "-" or out.is_file():
            fail("this format is several files: give a folder as --out", 2)
        out.mkdir(parents=True, exist_ok=True)
        for name, text in sorted(made.files.items(), key=lambda one: one[0] == "manifest.json"):
            write_durable(out / name, [text.encode("utf-8", "replace")])
    elif str(out) == "-":
        print(made.text, end="")
    else:
        if out.is_dir():
            fail(f"{out} is a folder; this format is one file", 2)
        write_durable(out, [made.text.encode("utf-8", "replace")])


def _say(made: Exported, what: str, out: Path) -> None:
    one = what.removesuffix("s") if made.told == 1 else what
    objects = "1 object" if made.objects == 1 else f"{made.objects:,} objects"
    note(f"{made.told:,} {one}, {objects}: {safe(str(out))}")
    for reason, count in made.withheld.items():
        how = " (--telescope CIDR,... or --show-telescope)" if "prefixes are not known" in reason else ""
        how = " (--tlp)" if reason.startswith("TLP:") else how
        note(f"andon: {count:,} withheld: {safe(reason)}{how}")
    if made.left:
        first = "; ".join(f"{safe(value)[:60]}: {safe(why)[:80]}" for _, value, why in made.left[:3])
        note(f"andon: {len(made.left):,} not expressible or not told as rules: {first}")
