"""``andon learn knowledge``: what is known of attackers, from the user's own copy of ATT&CK and MISP galaxies."""

from __future__ import annotations

from pathlib import Path

import typer

from andon.cli.terminal import fail, note


def command(
    attack: list[Path] = typer.Option(
        [], "--attack", help="ATT&CK as a STIX bundle (enterprise-attack.json, also .gz). Repeatable."
    ),
    galaxy: list[Path] = typer.Option(
        [],
        "--galaxy",
        help="A cluster of a MISP galaxy (threat-actor.json, ransomware.json, ...). Repeatable.",
    ),
    profiles: list[Path] = typer.Option(
        [], "--profiles", help="Labelled profiles: JSON objects with id, name, cls, techniques. Repeatable."
    ),
    names: list[Path] = typer.Option(
        [], "--names", help="Actors with a class: JSON objects with name, synonyms, cls. Repeatable."
    ),
    techniques: list[Path] = typer.Option(
        [], "--techniques", help="Names of techniques where there is no bundle: CSV with id, name, tactics."
    ),
    out: Path = typer.Option(..., "--out", help="Where the knowledge base goes (.npz)."),
    seed: int = typer.Option(1, "--seed", min=0, max=2**31, help="Of the folds and of the partial profiles."),
) -> None:
    """Make a knowledge base of attackers: classes, families, groups and what tells them apart.

    Example: andon learn knowledge --attack enterprise-attack.json --galaxy threat-actor.json --out attacker.npz
    """
    from andon.learn import registry
    from andon.learn.attacker import train
    from andon.learn.attacker.sources import corpus

    if not attack and not profiles:
        fail("there is nothing to learn from: give --attack enterprise-attack.json, or --profiles FILE", 2)
    try:
        made, notes = corpus(attack, galaxy, profiles, names, techniques)
        for text in notes:
            note(f"andon: {text}")
        model = train(made, seed)
        registry.save(model, out)
    except ValueError as error:
        fail(str(error), 2)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error), 1)
    counts = model.card["profiles"]
    print(
        f"learnt from {counts['groups']} groups and {counts['families']} families: {counts['targeted']} targeted, "
        f"{counts['financial']} financial; {len(model.arrays['actor']):,} names of actors, "
        f"{len(model.arrays['family']):,} names of families, {len(model.arrays['artefact']):,} artefacts"
    )
    note(f"model {model.digest} in {out} ({out.stat().st_size:,} bytes)")


def show(
    model: Path | None = typer.Option(
        None, "--model", help="A knowledge base; the shipped one if not given."
    ),
) -> None:
    """Print the card of a knowledge base as JSON: data with licences, method, limits, notice."""
    import json

    from andon.learn import registry

    try:
        shown = registry.load(model) if model is not None else registry.shipped()["attacker"]
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error), 1)
    except ValueError as error:
        fail(str(error), 1)
    except KeyError:
        fail("this installation has no knowledge base; make one with andon learn knowledge", 1)
    print(json.dumps(dict(shown.card) | {"digest": shown.digest}, indent=1, ensure_ascii=False))
