"""Attacker class: the ledger and its sets beside plain models, on owners and days never learnt from.

    .venv/bin/python benchmarks/triage/attacker.py owner     # five folds of owners, groups and families
    .venv/bin/python benchmarks/triage/attacker.py time      # families of the last quarter, learnt from what is older
    .venv/bin/python benchmarks/triage/attacker.py parts     # what each layer adds: techniques, software, artefacts
    .venv/bin/python benchmarks/triage/attacker.py hacktivist    # how often rules name hacktivists among the others
    .venv/bin/python benchmarks/triage/attacker.py blind FILE --model FILE    # labelled objects through the command's
    path

Data: ANDON_DATA/triage. Splits: an owner (a group with the families that it or a sharing group uses) is in one fold;
families that are copies of one another (the same techniques, another owner) are counted and left out of the test; a
group in the test is struck from the users of the families that are learnt from, so that no label goes that way.
Views: whole, and 20, 10, 5, 3 techniques drawn by a keyed hash. "wrong" is the share of all cases whose answer is one
class, and not theirs."""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from andon.learn import registry
from andon.learn.attacker import Corpus, Profile, profile, train
from andon.learn.attacker.calibrate import fold_of, part
from andon.learn.attacker.corpus import FAMILY, GROUP, owners
from andon.learn.attacker.fit import drawn, features, matrix
from andon.records.case import CLASSES, Observation
from andon.triage.attacker import Knowledge, judge, of_object

DATA = Path(os.environ.get("ANDON_DATA", "../shared/data")) / "triage"
WHOLE = 9999
VIEWS = (WHOLE, 20, 10, 5, 3)
FILES = ("attack_groups_dev.json.gz", "attack_software_dev.json.gz")
Seen = Callable[[Profile, int], list[Observation]]


def corpus() -> Corpus:
    made = Corpus()
    for name in FILES:
        with gzip.open(DATA / name, "rt", encoding="utf-8") as file:
            made.profiles += [found for item in json.load(file) if (found := profile(item)) is not None]
    with gzip.open(DATA / "attack_techniques.csv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            made.techniques[row["id"]] = (row["name"], tuple(row["tactics"].split(";")))
    return made


def without(made: Corpus, held: Sequence[Profile]) -> Corpus:
    """The corpus with these profiles taken out, and their numbers out of the users of families: a family that only
    they use loses its class."""
    hidden = {each.number for each in held}
    rows = []
    for each in made.profiles:
        if each.number in hidden:
            continue
        if each.kind == FAMILY and each.by_users and hidden & set(each.users):
            left = tuple(user for user in each.users if user not in hidden)
            each = replace(each, users=left, cls=each.cls if left else "")
        rows.append(each)
    return Corpus(rows, made.techniques, [], [], [])


def seen(
    each: Profile, most: int, software: bool = True, techniques: bool = True, artefacts: bool = False
) -> list[Observation]:
    found = [Observation("technique", number) for number in drawn(each, most, 3)] if techniques else []
    if software:
        share = min(1.0, most / len(each.techniques))
        found += [Observation("software", name) for name in part(each.software, share, each.number, 3)]
    if artefacts:
        found += [Observation(kind, value) for kind, value in each.artefacts]
    return found


def auc(label: np.ndarray, value: np.ndarray) -> float:
    from scipy.stats import rankdata

    ranks, ones = rankdata(value), int(label.sum())
    zeros = len(label) - ones
    return (
        float((ranks[label == 1].sum() - ones * (ones + 1) / 2) / (ones * zeros))
        if ones and zeros
        else float("nan")
    )


def balanced(label: np.ndarray, said: np.ndarray) -> float:
    return float(np.mean([(said[label == cls] == cls).mean() for cls in (0, 1)]))


def baselines() -> dict[str, Any]:
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import BernoulliNB

    return {
        "Bernoulli NB": BernoulliNB(alpha=0.5, fit_prior=False),
        "logistic, C .05": LogisticRegression(C=0.05, max_iter=500, class_weight="balanced"),
        "ExtraTrees, 200": ExtraTreesClassifier(
            200, min_samples_leaf=2, class_weight="balanced", random_state=0
        ),
    }


Row = tuple[str, str, int, int, float, tuple[str, ...]]  # model, kind, view, label, p of financial, set


def tested(made: Corpus, held: Sequence[Profile], plain: bool, how: Seen = seen) -> list[Row]:
    learnt = without(made, held)
    knowledge = Knowledge.of(train(learnt))
    rows: list[Row] = []
    views = [(each, most) for each in held for most in VIEWS if most == WHOLE or len(each.techniques) >= most]
    for each, most in views:
        found = judge(how(each, most), knowledge)
        p = found.probabilities
        share = p["financial"] / (p["financial"] + p["targeted"])
        rows.append(("ledger", each.kind, most, int(each.cls == "financial"), share, found.classes))
    if not plain:
        return rows
    profiles = learnt.learnt_from()
    label = np.array([each.cls == "financial" for each in profiles], np.int64)
    names = sorted({name for each in profiles for name in features(each.techniques)})
    whole = matrix([each.techniques for each in profiles], names)
    asked = matrix([drawn(each, most, 3) for each, most in views], names)
    for name, model in baselines().items():
        shares = model.fit(whole, label).predict_proba(asked)[:, 1]
        rows += [
            (name, each.kind, most, int(each.cls == "financial"), float(share), ())
            for (each, most), share in zip(views, shares, strict=True)
        ]
    return rows


def copies(profiles: Sequence[Profile]) -> set[str]:
    """Numbers of profiles whose techniques are those of an earlier one."""
    first: dict[tuple[str, ...], str] = {}
    found = set()
    for each in sorted(profiles, key=lambda p: p.number):
        if first.setdefault(each.techniques, each.number) != each.number:
            found.add(each.number)
    return found


def table(rows: Sequence[Row]) -> None:
    print(
        f"{'model':16s} {'of':7s} {'seen':>5s} {'n':>5s} {'fin':>4s} {'AUC':>6s} {'bal.':>6s}  "
        f"{'covered t, f':>13s} {'one class':>9s} {'wrong':>6s} {'right of one':>12s} {'size':>5s}"
    )
    for model in dict.fromkeys(row[0] for row in rows):
        for kind in (GROUP, FAMILY):
            for most in VIEWS:
                own = [row for row in rows if row[:3] == (model, kind, most)]
                if not own:
                    continue
                label, value = np.array([row[3] for row in own]), np.array([row[4] for row in own])
                line = f"{model:16s} {kind:7s} {'all' if most == WHOLE else most:>5} {len(own):5d} {label.sum():4d} "
                line += f"{auc(label, value):6.3f} {balanced(label, (value > 0.5).astype(int)):6.3f}"
                print(line + (sets(own) if model == "ledger" else ""))


def sets(own: Sequence[Row]) -> str:
    true = ["financial" if row[3] else "targeted" for row in own]
    covered = {
        cls: np.mean(
            [cls in row[5] or not row[5] for row, each in zip(own, true, strict=True) if each == cls]
        )
        for cls in ("targeted", "financial")
    }
    one = [(row[5][0], each) for row, each in zip(own, true, strict=True) if len(row[5]) == 1]
    wrong = sum(said != each for said, each in one)
    right = f"{len(one) - wrong}/{len(one)}"
    size = np.mean([len(set(row[5]) & {"targeted", "financial"}) if row[5] else 2 for row in own])
    return (
        f"  {covered['targeted']:6.3f} {covered['financial']:6.3f} {len(one) / len(own):9.3f} {wrong / len(own):6.3f} "
        f"{right:>12s} {size:5.2f}"
    )


def by_owner(made: Corpus, plain: bool, how: Seen = seen, repeats: int = 2) -> list[Row]:
    profiles = made.learnt_from()
    owner, twice = owners(profiles), copies(profiles)
    rows: list[Row] = []
    for seed in range(repeats):
        for fold in range(5):
            inside = [each for each in profiles if fold_of(owner[each.number], 100 + seed, 5) == fold]
            rows += tested(made, inside, plain and seed == 0, how)
    print(
        f"{len(profiles)} profiles of {len(set(owner.values()))} owners, {len(twice)} copies of others among them"
    )
    return rows


def by_time(made: Corpus) -> list[Row]:
    families = [each for each in made.learnt_from() if each.kind == FAMILY]
    cut = sorted(each.created for each in families)[int(0.75 * len(families))]
    held = [each for each in families if each.created >= cut]
    older = Corpus([each for each in made.profiles if each.created < cut], made.techniques, [], [], [])
    print(f"{len(held)} families from {cut} on; learnt from {len(older.learnt_from())} older profiles")
    return tested(Corpus(older.profiles + held, made.techniques, [], [], []), held, True)


def parts(made: Corpus) -> None:
    for name, how in {
        "techniques alone": lambda p, k: seen(p, k, software=False),
        "and software": seen,
        "and artefacts": lambda p, k: seen(p, k, artefacts=True),
        "artefacts alone": lambda p, k: seen(p, k, software=False, techniques=False, artefacts=True),
    }.items():
        print(name)
        table([row for row in by_owner(made, False, how, 1) if row[2] in (WHOLE, 10)])


def hacktivist(made: Corpus) -> None:
    """Nobody here is a hacktivist, so each naming is a false one."""
    knowledge = Knowledge.of(train(made))
    for kind in (GROUP, FAMILY):
        own = [each for each in made.profiles if each.kind == kind]
        found = [judge(seen(each, WHOLE), knowledge) for each in own]
        alone = sum(each.classes == ("hacktivist",) for each in found)
        among = sum("hacktivist" in each.classes and len(each.classes) == 2 for each in found)
        print(f"{kind}: of {len(own)} named hacktivist alone {alone}, beside another class {among}")


def blind(path: Path, model: Path | None) -> None:
    knowledge = Knowledge.of(registry.load(model) if model else registry.shipped().get("attacker"))
    with (
        gzip.open(path, "rt", encoding="utf-8")
        if path.suffix == ".gz"
        else path.open(encoding="utf-8") as file
    ):
        items = [item for item in json.load(file) if item.get("cls") in CLASSES]
    rows: list[Row] = []
    for item in items:
        found = judge(of_object(item), knowledge)
        p = found.probabilities
        kind = FAMILY if str(item.get("id", "")).startswith("S") else GROUP
        rows.append(
            (
                "ledger",
                kind,
                WHOLE,
                int(item["cls"] == "financial"),
                p["financial"] / (p["financial"] + p["targeted"]),
                found.classes,
            )
        )
    table(rows)


def main() -> None:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("what", choices=("owner", "time", "parts", "hacktivist", "blind"))
    arguments.add_argument("file", nargs="?", type=Path)
    arguments.add_argument("--model", type=Path)
    given = arguments.parse_args()
    began = time.process_time()
    if given.what == "blind":
        blind(given.file, given.model)
    elif given.what == "owner":
        table(by_owner(corpus(), True))
    elif given.what == "time":
        table(by_time(corpus()))
    elif given.what == "parts":
        parts(corpus())
    else:
        hacktivist(corpus())
    print(f"{time.process_time() - began:.1f} CPU s", file=sys.stderr)


if __name__ == "__main__":
    main()
