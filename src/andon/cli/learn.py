"""``andon learn``: train a model, show its card, score with it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

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


class Output(StrEnum):
    json = "json"
    csv = "csv"


def _said(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)


def _model(path: Path | None) -> Model:
    from andon.learn import registry

    try:
        return registry.load(path) if path is not None else registry.shipped()["url"]
    except OSError as error:
        fail(_said(error), 1)
    except ValueError as error:
        fail(str(error), 1)
    except KeyError:
        fail("this installation has no URL model; give one with --model FILE", 1)


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
