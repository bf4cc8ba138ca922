"""``andon cases``: the queue, one case in full, and what an analyst does with it."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import typer

from andon.cli.book import AS, FORMAT, SINCE, SITE, STORE, UNTIL, Errors, acting, age, bounds, opened
from andon.cli.terminal import Format, fail, note, safe

if TYPE_CHECKING:
    from andon.records.case import Case

app = typer.Typer(
    help="Cases: the queue, one in full, and what is done with it.\n\n"
    "Example: andon cases list --store /var/lib/andon --tier act",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_ID = typer.Argument(..., metavar="ID", help="Id of a case, or its first digits (four or more).")
_IDS = typer.Argument(..., metavar="ID...", help="Ids, or - for one a line from stdin.")
_VERSION = typer.Option(None, "--version", help="Only if the case still has this version (see `show`).")


@app.callback()
def _group() -> None:
    """Cases: the queue, one in full, and what is done with it."""


@app.command("list")
def list_command(
    store: str = STORE,
    state: str = typer.Option("open", "--state", help="open, closed, merged, or any."),
    tier: str = typer.Option(
        "", "--tier", help="act, inspect, audit or screened; any. Default: all that is not screened."
    ),
    level: str = typer.Option("", "--level", help="This level of threat or worse, e.g. high."),
    assignee: str = typer.Option("", "--assignee", help="Cases of this analyst."),
    unassigned: bool = typer.Option(False, "--unassigned", help="Cases of nobody."),
    site: str | None = SITE,
    host: str = typer.Option("", "--host", help="Host that the case is about."),
    entity: str = typer.Option("", "--entity", help="Any address, name or user in the case."),
    text: str = typer.Option("", "--text", help="Words in the title or statement."),
    since: str = SINCE,
    until: str = UNTIL,
    limit: int = typer.Option(50, "--limit", min=1, help="Most to list."),
    format: Format = FORMAT,
) -> None:
    """The queue: what is to be acted on first, then the likeliest and worst, then the newest.

    Example: andon cases list --store /var/lib/andon --unassigned --level medium
    """
    from andon.records.triage import SCREENED
    from andon.store.casebook import CaseFilter

    with Errors():
        begin, end = bounds(since, until)
        wanted = CaseFilter(
            state="" if state == "any" else state,
            tier="" if tier == "any" else tier,
            level=level,
            assignee="" if unassigned else assignee or None,
            site=site,
            host=host,
            entity=entity,
            since=begin,
            until=end,
            text=text,
        )
        hidden = SCREENED if not (tier or text or entity or host) and state == "open" else ""
        found: list[Case] = []
        last: tuple[float, int, str] | None = None
        with opened(store) as book:
            while len(found) < limit:
                size = min(200, limit - len(found))
                page = book.cases.page(wanted, last, size)
                found += [case for case in page if case.tier != hidden]
                if len(page) < size:
                    break
                last = page[-1].priority, page[-1].last_seen, page[-1].id
    if format is Format.json:
        from andon.cli.cases_show import document

        for one in found:
            print(document(one))
        return
    _table(found, limit)


@app.command("show")
def show_command(id: str = _ID, store: str = STORE, format: Format = FORMAT) -> None:
    """A case in full: why it is here, what was checked and came out, what the attacker may be, its items, what was
    said and done.

    Example: andon cases show 3f2a --store /var/lib/andon
    """
    from andon.cli import cases_show

    with Errors(), opened(store) as book:
        case = book.cases.get(id)
        verdicts = book.verdicts.of(("case", case.id))
        timeline = book.cases.timeline(case.id)
        if format is Format.json:
            print(cases_show.document(case, verdicts, timeline))
            return
        items = cases_show.items(book, case)
    cases_show.show(case, items, verdicts, timeline)


@app.command("timeline")
def timeline_command(id: str = _ID, store: str = STORE, format: Format = FORMAT) -> None:
    """Who did what to a case, oldest first.

    Example: andon cases timeline 3f2a --store /var/lib/andon
    """
    from andon.cli import cases_show

    with Errors(), opened(store) as book:
        events = book.cases.timeline(book.cases.get(id).id)
    for event in events:
        print(cases_show.event_document(event) if format is Format.json else cases_show.event_line(event))


@app.command("assign")
def assign_command(
    ids: list[str] = _IDS,
    store: str = STORE,
    to: str = typer.Option("", "--to", help="To this analyst. Default: to whoever acts."),
    nobody: bool = typer.Option(False, "--nobody", help="Give it back."),
    version: int | None = _VERSION,
    by: str = AS,
) -> None:
    """Take a case, give it to somebody, or give it back.

    Example: andon cases assign 3f2a --store /var/lib/andon
    """
    who = acting(by)
    name = "" if nobody else to or who
    with Errors(), opened(store, write=True) as book:
        for id in _read(ids):
            _said(book.cases.assign(id, name, who, version), f"is {name}'s" if name else "is nobody's")


@app.command("note")
def note_command(
    id: str = _ID,
    text: str = typer.Argument(..., metavar="TEXT", help="What to write down, or - for stdin."),
    store: str = STORE,
    by: str = AS,
) -> None:
    """Write something into the timeline of a case.

    Example: andon cases note 3f2a "the owner says it is the backup" --store /var/lib/andon
    """
    with Errors(), opened(store, write=True) as book:
        _said(book.cases.note(id, sys.stdin.read() if text == "-" else text, acting(by)), "has the note")


@app.command("close")
def close_command(
    ids: list[str] = _IDS,
    store: str = STORE,
    reason: str = typer.Option(..., "--reason", help="Why."),
    version: int | None = _VERSION,
    by: str = AS,
) -> None:
    """Close cases. A verdict teaches more: see `andon cases verdict --close`.

    Example: andon cases close 3f2a --reason "host was re-installed" --store /var/lib/andon
    """
    with Errors(), opened(store, write=True) as book:
        for id in _read(ids):
            _said(book.cases.close(id, reason, acting(by), version), "is closed")


@app.command("reopen")
def reopen_command(
    ids: list[str] = _IDS,
    store: str = STORE,
    reason: str = typer.Option("", "--reason", help="Why."),
    version: int | None = _VERSION,
    by: str = AS,
) -> None:
    """Open closed cases again.

    Example: andon cases reopen 3f2a --reason "it came back" --store /var/lib/andon
    """
    with Errors(), opened(store, write=True) as book:
        for id in _read(ids):
            _said(book.cases.reopen(id, acting(by), reason, version), "is open")


@app.command("merge")
def merge_command(
    ids: list[str] = _IDS,
    into: str = typer.Option(..., "--into", metavar="ID", help="The case that the others go into."),
    store: str = STORE,
    by: str = AS,
) -> None:
    """Put cases into one; `unmerge` takes them out again.

    Example: andon cases merge 3f2a 77c0 --into 91be --store /var/lib/andon
    """
    with Errors(), opened(store, write=True) as book:
        case = book.cases.merge(_read(ids), into, acting(by))
        _said(case, f"has {len(case.items):,} items")


@app.command("unmerge")
def unmerge_command(id: str = _ID, store: str = STORE, by: str = AS) -> None:
    """Take a merged case out again, with the items it had.

    Example: andon cases unmerge 3f2a --store /var/lib/andon
    """
    with Errors(), opened(store, write=True) as book:
        case = book.cases.unmerge(id, acting(by))
        _said(case, f"is {case.state}, with {len(case.items):,} items")


@app.command("split")
def split_command(
    id: str = _ID,
    item: list[str] = typer.Option(
        ..., "--item", metavar="KIND:ID", help="finding:ID or episode:ID. Repeatable."
    ),
    store: str = STORE,
    by: str = AS,
) -> None:
    """Make a new case of some items of one.

    Example: andon cases split 3f2a --item episode:0a1b2c3d4e5f --store /var/lib/andon
    """
    with Errors(), opened(store, write=True) as book:
        held = book.cases.get(id).items
        wanted = [_item(text, held) for text in item]
        new = book.cases.split(id, wanted, acting(by))
        _said(new, f"is new, with {len(new.items):,} items")


@app.command("verdict")
def verdict_command(
    ids: list[str] = _IDS,
    label: str = typer.Option(
        ..., "--label", help="true-positive, benign-positive, false-positive or unsure."
    ),
    store: str = STORE,
    reason: str = typer.Option(
        "", "--reason", help="Why, in a code of yours or in words; for several a must."
    ),
    about: str = typer.Option("", "--note", help="More words."),
    kind: str = typer.Option("case", "--kind", help="What the ids are of: case, episode or finding."),
    shown: str = typer.Option(
        "", "--shown", help="Why you were asked: top, uncertain, audit; else manual or bulk."
    ),
    close: bool = typer.Option(False, "--close", help="Close the cases too."),
    by: str = AS,
) -> None:
    """Say what a case was. A verdict is never changed; a later one stands beside it. Several in one go: all or none.

    Example: andon cases verdict 3f2a 77c0 --label false-positive --reason "backup server" --close --store DIR
    """
    from andon.records.case import Verdict

    wanted = _read(ids)
    if len(wanted) > 1 and not reason.strip():
        fail("say why: several verdicts at once need a --reason", 2)
    if close and kind != "case":
        fail("--close closes cases", 2)
    who = acting(by)
    with Errors(), opened(store, write=True) as book, book.work(who) as work:
        if kind == "case":
            wanted = [work.cases.get(id).id for id in wanted]
        mark = shown or ("bulk" if len(wanted) > 1 else "manual")
        new = [Verdict((kind, id), label, who, reason, mark, about) for id in dict.fromkeys(wanted)]
        work.verdicts.add_all(new)
        for verdict in new if close else ():
            if work.cases.get(verdict.subject[1]).state == "open":
                work.cases.close(verdict.subject[1], f"{label}: {reason}" if reason else label)
    note(f"{len(new):,} verdict{'s' * (len(new) != 1)}: {label}")


def _read(ids: list[str]) -> list[str]:
    if ids != ["-"]:
        return list(dict.fromkeys(ids))
    read = list(dict.fromkeys(line.split()[0] for line in sys.stdin if line.strip()))
    if not read:
        fail("no id came in from stdin", 1)
    return read


def _item(text: str, held: tuple[tuple[str, str], ...]) -> tuple[str, str]:
    kind, _, id = text.partition(":")
    if kind not in ("finding", "episode") or not id:
        raise ValueError(f"--item {text}: say finding:ID or episode:ID")
    near = [item for item in held if item[0] == kind and len(id) >= 4 and item[1].startswith(id)]
    if len(near) > 1:
        raise ValueError(f"several items begin so: {text}")
    return near[0] if near else (kind, id)


def _said(case: Case, what: str) -> None:
    note(f"case {case.id[:12]} {what} (version {case.version})")


def _table(found: list[Case], limit: int) -> None:
    from andon.cli.cases_show import say
    from andon.records.neutral import neutral

    if not found:
        note("no cases")
        return
    now = time.time_ns()
    rows = [("level", "tier", "prio", "age", "id", "host")]
    for case in found:
        host = neutral(case.entities[0][1]) if case.entities else ""
        rows.append(
            (
                case.level or "-",
                case.tier,
                f"{case.priority:.2f}",
                age(case.last_seen, now),
                case.id[:12],
                safe(host),
            )
        )
    # A line of numbers to run the eye down, and what it is about below, as wide as the terminal is.
    for row, told in zip(rows, (None, *found), strict=True):
        print("{:<14}{:<9}{:>4}  {:>5}  {:<12}  {}".format(*row).rstrip())
        if told is not None:
            say(told.title, 4)
            say(_why(told.judgement) + _whose(told), 4)
    if len(found) == limit:
        note(f"the first {limit}; --limit lists more")


def _why(judgement: Any) -> str:
    """The sentence of the verification, else of the threat."""
    for part in ("verification", "threat"):
        said = judgement.get(part)
        if isinstance(said, dict) and said.get("statement"):
            return str(said["statement"])
    return "not judged yet"


def _whose(case: Case) -> str:
    told = [case.assignee] if case.assignee else []
    told += [case.state] if case.state != "open" else []
    return f"  [{', '.join(told)}]" if told else ""
