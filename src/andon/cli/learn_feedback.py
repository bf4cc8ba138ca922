"""``andon learn labels|dataset|train screening|compare|promote|rollback|models|queries|drift``: from verdicts to the
model in use."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from andon.cli.learn import app, train_app
from andon.cli.terminal import Format, console, fail, note, safe

if TYPE_CHECKING:
    from andon.learn.feedback.compare import Comparison
    from andon.learn.feedback.shelf import Shelf
    from andon.store.casebook import Casebook

_STORE = typer.Option(
    ..., "--store", envvar="ANDON_STORE", help="Store folder of `andon run`, or postgresql:// URL."
)
_FILES = typer.Option(
    None, "--files", help="Folder of data sets and models; STORE/learn if not given, needed with a URL."
)
_FORMAT = typer.Option(Format.table, "--format", help="table, or json: one object a line.")
_BY = typer.Option("", "--by", help="Who does it, for the audit log; your login name if not given.")
_SEED = typer.Option(1, "--seed", min=0, max=2**31, help="Of the trees.")
_LOOKS = typer.Option(
    10, "--looks", min=1, help="Looks a day that the site has; cases found are counted within them."
)
_KIND = typer.Option("screening", "--kind", help="Kind of model.")


@contextmanager
def _opened(store: str, files: Path | None, write: bool = False) -> Iterator[tuple[Casebook, Shelf]]:
    """The casebook and its shelf; what goes wrong is said in a sentence."""
    from andon.learn.feedback.shelf import Shelf
    from andon.store.casebook import Casebook
    from andon.store.errors import StoreError

    folder = Path(store)
    if "://" in store:
        if files is None:
            fail("with a database URL, --files FOLDER says where data sets and models are kept", 2)
    elif not (folder / "casebook.db").exists() and folder.suffix != ".db":
        fail(f"there is no casebook at {safe(store)}", 1)
    place = files or (folder.parent if folder.suffix == ".db" else folder) / "learn"
    try:
        with Casebook(store, read_only=not write) as book:
            yield book, Shelf(place)
    except (StoreError, ValueError) as error:
        fail(safe(str(error)), 1)
    except OSError as error:
        fail(safe(f"{error.filename}: {error.strerror}" if error.filename else str(error)), 1)


def _who(by: str) -> str:
    from getpass import getuser

    try:
        return by or getuser()
    except (OSError, KeyError):
        return "unknown"


def _print(columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[object]]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name, how in columns:
        table.add_column(
            name, justify="right" if how == "right" else "left", overflow="fold", no_wrap=how == "right"
        )
    for row in rows:
        table.add_row(*(safe(str(value)) for value in row))
    console().print(table)


def _moment(ns: int) -> str:
    from andon.records.finding import timestamp

    return timestamp(ns)[:16].replace("T", " ")


@app.command("labels")
def labels(
    store: str = _STORE,
    format: Format = _FORMAT,
    alarms: bool = typer.Option(False, "--alarms", help="Only what a person has to look at."),
) -> None:
    """What the verdicts so far teach: labels, trust in each analyst, conflicts, flips, floods.

    Example: andon learn labels --store /var/lib/andon --alarms
    """
    from andon.learn.feedback import material
    from andon.learn.feedback.labels import fold
    from andon.records.columns import plain_rows
    from andon.records.finding import timestamp

    with _opened(store, Path()) as (book, _):
        held = material.read(book)
        made = fold(held.verdicts, held.items)
    if format is Format.json:
        for row in [] if alarms else plain_rows(made.table):
            row["time"] = timestamp(row["time"])
            row["provenance"] = json.loads(row["provenance"])
            print(json.dumps({"type": "label", **row}))
        for name, each in ({} if alarms else made.trust.to_dict()).items():
            print(json.dumps({"type": "analyst", "name": name, **each}))
        for alarm in made.alarms:
            print(json.dumps({"type": "alarm", **alarm.to_dict()}))
        return
    if not alarms:
        counts: dict[tuple[str, int], list[float]] = {}
        for state, label, weight in zip(
            *(made.table[name].to_pylist() for name in ("state", "label", "weight")), strict=True
        ):
            held_ = counts.setdefault((state, label), [0, 0.0])
            held_[0] += 1
            held_[1] += weight
        _print(
            [("state", ""), ("label", ""), ("episodes", "right"), ("weight", "right")],
            [
                (s, "true" if l else "not true", f"{int(n):,}", f"{w:.1f}")
                for (s, l), (n, w) in sorted(counts.items())
            ],
        )
        _print(
            [
                ("analyst", ""),
                ("judged with others", "right"),
                ("sensitivity", "right"),
                ("specificity", "right"),
            ],
            [
                (name, each["shared"], f"{each['sensitivity']:.2f}", f"{each['specificity']:.2f}")
                for name, each in made.trust.to_dict().items()
            ],
        )
        for why, count in sorted(made.skipped.items()):
            note(f"{count:,} verdict(s) teach nothing: {why}")
    for alarm in made.alarms:
        print(f"{alarm.kind}: {safe(alarm.text)}")
    if not made.alarms:
        note("nothing to review")


@app.command("dataset")
def dataset(
    store: str = _STORE,
    files: Path | None = _FILES,
    hold_site: list[str] = typer.Option(
        [], "--hold-site", help="Keep a site for evaluation alone. Repeatable."
    ),
    refreeze: str = typer.Option("", "--refreeze", metavar="REASON", help="Freeze the evaluation set anew."),
) -> None:
    """Make a data set of all verdicts so far, and the frozen evaluation set once there is enough for one.

    Example: andon learn dataset --store /var/lib/andon
    """
    from andon.learn.feedback import cycle

    with _opened(store, files) as (book, shelf):
        made = cycle.make_data(book, shelf, time.time_ns(), held_sites=hold_site, refreeze=refreeze)
        manifest = dict(made.data.manifest)
        manifest.pop("alarms", None)
        print(json.dumps(manifest | {"frozen": made.frozen.hash if made.frozen else ""}, indent=1))
        if made.waiting:
            note(f"no frozen set yet: {made.waiting}")


@train_app.command("screening")
def train_screening(
    store: str = _STORE,
    files: Path | None = _FILES,
    seed: int = _SEED,
    trees: int = typer.Option(300, "--trees", min=10, max=2000, help="Trees of the forest."),
    looks: int = _LOOKS,
    by: str = _BY,
) -> None:
    """Make a data set, train a screening model from it, and compare it with the one in use. Nothing is promoted.

    Example: andon learn train screening --store /var/lib/andon
    """
    from andon.learn.feedback import cycle

    with _opened(store, files, write=True) as (book, shelf):
        now = time.time_ns()
        made = cycle.make_data(book, shelf, now)
        model = cycle.train(book, shelf, made.data, _who(by), now, seed, trees)
        print(f"candidate {model.digest} from data set {made.data.hash}")
        _say(cycle.compared(book, shelf, model.digest, looks))


@app.command("compare")
def compare(
    digest: str = typer.Argument(..., metavar="MODEL", help="Digest of the model, or how it begins."),
    store: str = _STORE,
    files: Path | None = _FILES,
    looks: int = _LOOKS,
    format: Format = _FORMAT,
) -> None:
    """Compare a model with the one in use on the frozen set and the last 30 days. Exit code 3: not to be promoted.

    Example: andon learn compare 3f2a --store /var/lib/andon
    """
    from andon.learn.feedback import cycle

    with _opened(store, files) as (book, shelf):
        comparison = cycle.compared(book, shelf, _model(book, digest), looks)
    if format is Format.json:
        print(json.dumps(comparison.to_dict()))
    else:
        _say(comparison)
    if not comparison.promote:
        raise typer.Exit(3)


@app.command("promote")
def promote(
    digest: str = typer.Argument(..., metavar="MODEL", help="Digest of the model, or how it begins."),
    store: str = _STORE,
    files: Path | None = _FILES,
    override: str = typer.Option(
        "", "--override", metavar="REASON", help="Promote whatever the comparison says."
    ),
    looks: int = _LOOKS,
    by: str = _BY,
) -> None:
    """Put a model in use if it is not worse than the one that is; refuse it otherwise (exit code 3).

    Example: andon learn promote 3f2a --store /var/lib/andon
    """
    from andon.learn.feedback import cycle

    refused: Comparison | None = None
    with _opened(store, files, write=True) as (book, shelf):
        whole = _model(book, digest)
        try:
            _say(cycle.promote(book, shelf, whole, _who(by), time.time_ns(), override, looks), override)
            note(f"model {whole} is in use; `andon run` takes it up when it starts")
        except cycle.NotBetter as error:
            refused = error.comparison
    if refused is not None:
        _say(refused)
        raise typer.Exit(3)


@app.command("rollback")
def rollback(
    reason: str = typer.Option(..., "--reason", help="Why, for the audit log."),
    store: str = _STORE,
    kind: str = _KIND,
    by: str = _BY,
) -> None:
    """Take the model in use out again and put the one before it back.

    Example: andon learn rollback --store /var/lib/andon --reason "misses the new proxy alerts"
    """
    with _opened(store, Path(), write=True) as (book, _):
        back = book.models.roll_back(kind, reason, _who(by), time.time_ns())
        note("what is shipped is in use again" if back is None else f"model {back.digest} is in use again")


@app.command("models")
def models(
    store: str = _STORE,
    kind: str = typer.Option("", "--kind", help="Only this kind."),
    card: str = typer.Option(
        "", "--card", metavar="MODEL", help="Print the card and last comparison of one, as JSON."
    ),
    format: Format = _FORMAT,
) -> None:
    """Models of this store: which is in use, which were refused.

    Example: andon learn models --store /var/lib/andon
    """
    with _opened(store, Path()) as (book, _):
        rows = book.models.rows(kind)
        if card:
            own = [row for row in rows if row.digest.startswith(card)]
            if len(own) != 1:
                fail(f"{len(own)} models begin with {safe(card)}", 1)
            body = {"kind": own[0].kind, "digest": own[0].digest, "state": own[0].state}
            print(
                json.dumps(
                    body | {"card": dict(own[0].card), "comparison": dict(own[0].comparison)}, indent=1
                )
            )
            return
    if format is Format.json:
        for row in rows:
            told = {"kind": row.kind, "digest": row.digest, "state": row.state, "created": row.created}
            print(json.dumps(told | {"card": dict(row.card), "comparison": dict(row.comparison)}))
        return
    _print(
        [("made (UTC)", ""), ("kind", ""), ("state", ""), ("digest", ""), ("data set", "")],
        [(_moment(r.created), r.kind, r.state, r.digest, r.card.get("data_set", "")) for r in rows],
    )


@app.command("queries")
def queries(
    store: str = _STORE,
    budget: int = typer.Option(
        20, "--budget", min=0, max=10_000, help="Verdicts asked for, besides the audit."
    ),
    days: float = typer.Option(1.0, "--days", min=0.01, max=366, help="Episodes of so many last days."),
    format: Format = _FORMAT,
) -> None:
    """What to ask analysts next: the audit, half top and half uncertain, and what wants a second analyst.

    Example: andon learn queries --store /var/lib/andon --budget 20
    """
    from andon.learn.feedback.ask import ask

    with _opened(store, Path()) as (book, _):
        asked = ask(book, time.time_ns(), budget, days)
    if format is Format.json:
        for each in asked.rows:
            print(json.dumps(each))
        return
    _print(
        [("why", ""), ("episode", ""), ("host", ""), ("signature", ""), ("score", "right"), ("not by", "")],
        [
            (r["shown"] + (" (second)" if r["second"] else ""), r["episode"], r["host"], r["signature"],
             f"{r['score']:.3f}", ", ".join(r["not_by"]))
            for r in asked.rows
        ],
    )  # fmt: skip
    note(asked.missed.text())


@app.command("drift")
def drift(
    store: str = _STORE,
    files: Path | None = _FILES,
    days: float = typer.Option(90.0, "--days", min=1, max=3660, help="Look so far back."),
    retrain: bool = typer.Option(
        False, "--retrain", help="If score, rate or miss rate moved: train, compare, promote or refuse."
    ),
    format: Format = _FORMAT,
    by: str = _BY,
) -> None:
    """Has the world changed under the model? ADWIN on scores, rate and audit; stability of features week by week.

    Example: andon learn drift --store /var/lib/andon --retrain
    """
    from andon.learn.feedback import cycle
    from andon.learn.feedback.watch import watch

    with _opened(store, files, write=retrain) as (book, shelf):
        now = time.time_ns()
        seen = watch(book, now - round(days * 86_400e9))
        if format is Format.json:
            print(json.dumps(seen.to_dict()))
        else:
            for alarm in seen.alarms:
                print(f"{_moment(alarm.time)}  {alarm.stream}: {safe(alarm.text)}")
            note(f"{seen.episodes:,} episodes; {len(seen.alarms)} alarm(s); {seen.missed.text()}")
        if not (retrain and seen.retrain):
            return
        made = cycle.make_data(book, shelf, now)
        model = cycle.train(book, shelf, made.data, _who(by), now)
        try:
            cycle.promote(book, shelf, model.digest, _who(by), now)
            note(f"model {model.digest} is in use; `andon run` takes it up when it starts")
        except cycle.NotBetter as error:
            note(f"model {model.digest} was refused: {safe(str(error))}")


def _model(book: Casebook, digest: str) -> str:
    own = [
        row.digest for row in book.models.rows("screening", limit=100_000) if row.digest.startswith(digest)
    ]
    if len(own) != 1 or len(digest) < 4:
        fail(
            f"{len(own)} models begin with {safe(digest)} (four digits at least): andon learn models lists them",
            1,
        )
    return own[0]


def _say(comparison: Comparison, override: str = "") -> None:
    """A table of the comparison, and what follows from it."""
    rows: list[tuple[Any, ...]] = []
    for each in comparison.sets:
        for name, f in each.figures.items():
            rows.append(
                (
                    each.name,
                    each.groups,
                    name,
                    f"{f.candidate:.3f}",
                    f"{f.current:.3f}",
                    f"{f.low:+.3f} to {f.high:+.3f}",
                )
            )
    _print(
        [("set", ""), ("true cases", "right"), ("figure", ""), ("candidate", "right"), ("in use", "right"),
         ("difference, 5 % to 95 %", "right")],
        rows,
    )  # fmt: skip
    for why in comparison.reasons:
        note(f"against it: {safe(why)}")
    if comparison.promote:
        note(f"not worse than {safe(comparison.current)}")
    elif override:
        note(f"promoted all the same: {safe(override)}")
    else:
        note(
            "refused" if comparison.sets and comparison.sets[0].figures else "refused: not enough to judge by"
        )
