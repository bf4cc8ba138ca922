"""``andon learn``: train a model, show its card, score with it."""

from __future__ import annotations

from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from andon.cli import learn_knowledge
from andon.cli.terminal import fail, note

if TYPE_CHECKING:
    from andon.records.model import Model

app = typer.Typer(
    help="Models: train, show, score.", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)
train_app = typer.Typer(help="Train a model from labelled data.", no_args_is_help=True, rich_markup_mode=None)
show_app = typer.Typer(help="Show the card of a model.", no_args_is_help=True, rich_markup_mode=None)
score_app = typer.Typer(help="Score with a model.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(train_app, name="train")
app.add_typer(show_app, name="show")
app.add_typer(score_app, name="score")
app.command("knowledge")(learn_knowledge.command)
show_app.command("attacker")(learn_knowledge.show)


class Output(StrEnum):
    json = "json"
    csv = "csv"


def _said(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)


def _model(path: Path | None, kind: str = "url") -> Model:
    from andon.learn import registry

    try:
        return registry.load(path) if path is not None else registry.shipped()[kind]
    except OSError as error:
        fail(_said(error), 1)
    except ValueError as error:
        fail(str(error), 1)
    except KeyError:
        fail(f"this installation has no model of kind {kind}; give one with --model FILE", 1)


@train_app.command("url")
def train_url(
    data: list[Path] = typer.Option(
        ...,
        "--data",
        help="Labelled URLs: Parquet or CSV with columns url, label (1 = phishing), and source, date. Repeatable.",
    ),
    out: Path = typer.Option(..., "--out", help="Where the model goes (.npz)."),
    every_source: bool = typer.Option(
        False, "--every-source", help="Learn also from sources whose licence does not allow a shipped model."
    ),
    seed: int = typer.Option(1, "--seed", min=0, max=2**31, help="Of the order of the examples."),
) -> None:
    """Train the URL model and print how well it does on domains and days it has not seen.

    Example: andon learn train url --data urls.parquet --out url.npz
    """
    from andon.learn import registry
    from andon.learn.url import train
    from andon.learn.url.data import read
    from andon.learn.url.evaluate import HEAD

    try:
        made = train(read(data), every_source, seed)
        registry.save(made.model, out)
    except ValueError as error:
        fail(str(error), 2)
    except OSError as error:
        fail(_said(error), 1)
    print(HEAD)
    for figures in made.figures:
        print(figures.line())
    note(f"model {made.model.digest} in {out} ({out.stat().st_size:,} bytes)")


@train_app.command("vulnerability")
def train_vulnerability(
    data: list[Path] = typer.Option(
        ..., "--data", help="CVE records: JSON 5.x, folder or zip of cvelistV5, Parquet. Repeatable."
    ),
    kev: Path = typer.Option(..., "--kev", help="KEV catalogue, JSON or CSV: the labels, with their dates."),
    out: Path = typer.Option(..., "--out", help="Where the model goes (.npz)."),
    as_of: str = typer.Option(
        "",
        "--as-of",
        metavar="DATE",
        help="Learn from what was known on this day; the last of KEV if not given.",
    ),
    seed: int = typer.Option(1, "--seed", min=0, max=2**31, help="Of the rows whose SSVC points are hidden."),
) -> None:
    """Train the exploitation model and print how a model of 210 days before would have done since.

    Example: andon learn train vulnerability --data cvelistV5.zip --kev kev.csv --out vulnerability.npz
    """
    from andon.learn import registry
    from andon.learn.vulnerability import train
    from andon.learn.vulnerability.evaluate import HEAD
    from andon.observe.vulnerability import kev as read_kev
    from andon.observe.vulnerability import vulnerabilities
    from andon.observe.vulnerability.values import when

    day = when(as_of) if as_of else None
    if as_of and (day is None or len(as_of) != 10):
        fail(f"--as-of {as_of}: write a day as YYYY-MM-DD", 2)
    try:
        table, skipped = vulnerabilities(data)
        listed, _ = read_kev(kev)
        made = train(table, listed, None if day is None else day + 86_400_000_000_000 - 1, seed)
        registry.save(made.model, out)
    except ValueError as error:
        fail(str(error), 2)
    except OSError as error:
        fail(_said(error), 1)
    if skipped.lines:
        note(f"andon: {skipped.lines:,} records skipped ({'; '.join(skipped.examples)})")
    if made.figures:
        print(HEAD)
    for figures in made.figures:
        print(figures.line())
    note(f"model {made.model.digest} in {out} ({out.stat().st_size:,} bytes)")


@show_app.command("screening")
def show_screening(
    model: Path | None = typer.Option(None, "--model", help="A model file; the shipped one if not given."),
) -> None:
    """Print the model card as JSON: data, method, figures, limits. For those of a store: andon learn models --card.

    Example: andon learn show screening
    """
    import json

    shown = _model(model, "screening")
    print(json.dumps(dict(shown.card) | {"digest": shown.digest}, indent=1, ensure_ascii=False))


@show_app.command("vulnerability")
def show_vulnerability(
    model: Path | None = typer.Option(None, "--model", help="A model file; the shipped one if not given."),
) -> None:
    """Print the model card as JSON: data, method, figures, limits."""
    import json

    shown = _model(model, "vulnerability")
    print(json.dumps(dict(shown.card) | {"digest": shown.digest}, indent=1, ensure_ascii=False))


@show_app.command("url")
def show_url(
    model: Path | None = typer.Option(None, "--model", help="A model file; the shipped one if not given."),
) -> None:
    """Print the model card as JSON: data with licences, method, figures, limits."""
    import json

    shown = _model(model)
    print(json.dumps(dict(shown.card) | {"digest": shown.digest}, indent=1, ensure_ascii=False))


@score_app.command("url")
def score_url(
    file: Path = typer.Argument(
        ..., metavar="FILE", help="One URL a line, or CSV or Parquet with a column url; - for standard input."
    ),
    model: Path | None = typer.Option(None, "--model", help="A model file; the shipped one if not given."),
    format: Output = typer.Option(Output.json, "--format", help="json: one object a line; or csv."),
    explain: bool = typer.Option(False, "--explain", help="With json: the features that weigh most."),
) -> None:
    """Score URLs: the chance of phishing where both kinds are as frequent, and its log-odds.

    Example: andon learn score url urls.txt --format csv
    """
    from andon.learn.url.score import score_file

    if explain and format is Output.csv:
        fail("--explain needs --format json: reasons have no column", 2)
    try:
        for text in score_file(file, _model(model), format.value, explain):
            print(text, end="")
    except ValueError as error:
        fail(str(error), 2)
    except OSError as error:
        fail(_said(error), 1)


# Commands in files of their own; each imports ``app`` or ``train_app`` from here and adds to it.
_MORE = ("learn_feedback",)
for _name in _MORE:
    import_module(f"andon.cli.{_name}")
