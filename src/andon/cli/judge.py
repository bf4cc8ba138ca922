"""``andon judge``: what kind of attacker the techniques, software and artefacts of a file show."""

from __future__ import annotations

from pathlib import Path

import typer

from andon.cli.terminal import Format, fail, note, safe


def command(
    file: Path = typer.Argument(
        ...,
        metavar="FILE",
        help="JSON: an array of objects, one object, or one a line (also .gz), with techniques, software, artefacts.",
    ),
    model: Path | None = typer.Option(
        None, "--model", help="A knowledge base (andon learn knowledge); the shipped one if not given."
    ),
    base_rates: str = typer.Option(
        "",
        "--base-rates",
        help="What the site knows to be usual, as hacktivist=0.1,financial=0.7,targeted=0.2. Off by default: an "
        "attacker who knows them hides among the frequent ones. They move probabilities, never the classes.",
    ),
    format: Format = typer.Option(Format.table, "--format", help="table, or json: one object a line."),
) -> None:
    """Judge what kind of attacker is behind what was seen: hacktivist, financial, targeted, or not enough evidence.

    Example: andon judge reports.json.gz --format json
    """
    import json

    from andon.learn import registry
    from andon.observe.knowledge import objects
    from andon.records.neutral import plain_json
    from andon.triage.attacker import Knowledge, judge, of_object

    prior = _rates(base_rates) if base_rates else None
    try:
        knowledge = Knowledge.of(
            registry.load(model) if model is not None else registry.shipped().get("attacker")
        )
        bad, judged = 0, 0
        for number, item in objects(file):
            if item is None:
                bad += 1
                continue
            judged += 1
            found = judge(of_object(item), knowledge, prior)
            named = {key: item[key] for key in ("id", "name") if isinstance(item.get(key), str | int)}
            if format is Format.json:
                said = {"number": number, **named, **found.to_dict()}
                print(plain_json(json.dumps(said, ensure_ascii=False, allow_nan=False)))
            else:
                _show(str(named.get("name") or named.get("id") or number), found.to_dict())
    except BrokenPipeError:
        raise  # typer ends it quietly
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error), 1)
    except ValueError as error:
        fail(str(error), 1)
    if bad:
        note(f"andon: {file}: {bad} entries are no JSON objects and were left out")
    if not judged:
        fail(f"{file}: no object to judge", 1)


def _rates(text: str) -> dict[str, float]:
    from andon.records.case import CLASSES

    try:
        given = {name.strip(): float(value) for name, value in (each.split("=") for each in text.split(","))}
    except ValueError:
        given = {}
    if set(given) != set(CLASSES) or not all(0 < value < 1 for value in given.values()):
        fail(
            f"--base-rates is written {','.join(f'{name}=0.3' for name in CLASSES)}, each between 0 and 1", 2
        )
    return given


def _show(name: str, said: dict[str, object]) -> None:
    print(safe(name)[:100])
    print(f"  {said['statement']}")
    chances = said["probabilities"]
    assert isinstance(chances, dict)
    print("  " + ", ".join(f"{cls} {chance:.2f}" for cls, chance in chances.items()))
    ledger = said["ledger"]
    assert isinstance(ledger, list)
    for line in ledger[:8]:
        weights = ", ".join(f"{cls} {weight:+.2f}" for cls, weight in line["weights"].items() if weight)
        print(f"    {safe(line['statement'])}" + (f" ({weights})" if weights else ""))
    groups = said["groups"]
    assert isinstance(groups, list)
    for group in groups:
        print(f"  like {safe(group['name'])} {group['likeness']:.2f} by {safe(group['by'])}")
