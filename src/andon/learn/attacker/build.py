"""The knowledge base as a model: arrays of a corpus that was learnt from, with its card."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any, Final

import numpy as np

from andon.learn.attacker.calibrate import FOLDS, VIEWS, by_name, calibrate, family_weights
from andon.learn.attacker.corpus import CAMPAIGN, FAMILY, GROUP, LEAST, Corpus, Profile
from andon.learn.attacker.fit import MIX, A, C, weights
from andon.records.case import CLASSES
from andon.records.model import Model
from andon.triage.attacker.knowledge import FORMAT, KIND
from andon.triage.attacker.vocabulary import folded, is_shared, telling, written

VERSION: Final = "1"
NOTICE: Final = (
    "Technique numbers and names, groups and software are from MITRE ATT&CK. (c) 2025 The MITRE Corporation. This "
    "work is reproduced and distributed with the permission of The MITRE Corporation. Licence: The MITRE Corporation "
    "(MITRE) hereby grants you a non-exclusive, royalty-free license to use ATT&CK for research, development, and "
    "commercial purposes. Any copy you make for such purposes is authorized provided that you reproduce MITRE's "
    "copyright designation and this license in any such copy."
)
_LEAST_CLASS: Final = 20  # profiles of each class


def train(corpus: Corpus, seed: int = 1) -> Model:
    """The knowledge base of a corpus; the same corpus and seed give the same arrays. Raises ValueError where there
    are fewer than 20 profiles of a class with three techniques or more."""
    profiles = corpus.learnt_from()
    counts = Counter(each.cls for each in profiles)
    if min(counts["targeted"], counts["financial"]) < _LEAST_CLASS:
        raise ValueError(
            f"too few profiles to learn from: {counts['targeted']} targeted and {counts['financial']} financial ones "
            f"with {LEAST} techniques or more; needed are {_LEAST_CLASS} of each. Give galaxies with --galaxy, so that "
            "groups of ATT&CK get a class"
        )
    made = weights(profiles, seed)
    scale = calibrate(corpus, seed)
    used = {name for each in corpus.profiles for name in each.techniques} | set(made)
    titles = {**dict.fromkeys(sorted(used), ("", ())), **corpus.techniques}
    names = sorted(titles)
    arrays: dict[str, np.ndarray] = {
        "technique_id": _text(names),
        "technique_name": _text([titles[name][0] for name in names]),
        "technique_tactics": _text([";".join(titles[name][1]) for name in names]),
        "feature": _text(sorted(made)),
        "weight": np.array([made[name] for name in sorted(made)]),
        "view": np.array(VIEWS, np.int64),
        "map": scale.map,
        "score": scale.score.astype(np.float32),
        "score_key": scale.key.astype(np.int8),
        "family_weight": np.array(family_weights(corpus)),
        **_families(corpus),
        **_actors(corpus),
        **_artefacts(corpus),
        **_groups(corpus),
    }
    return Model(KIND, arrays, _card(corpus, profiles, counts, seed))


def _text(values: list[str]) -> np.ndarray:
    return np.array(values, dtype=str) if values else np.zeros(0, "<U1")


def _families(corpus: Corpus) -> dict[str, np.ndarray]:
    rows: dict[str, tuple[str, str, str]] = {}
    for name, cls in corpus.families:  # known by name alone; a profile of the same name says more
        fold = folded(name)
        if len(fold) >= 3 and not is_shared(name):
            held = rows.get(fold)
            rows[fold] = (name, cls if held is None or held[1] == cls else "shared", "")
    for each in corpus.profiles:
        if each.kind == FAMILY and not is_shared(each.name):
            for alias in (*each.aliases, each.name):
                if len(folded(alias)) >= 3:
                    rows[folded(alias)] = (each.name, each.cls, each.number)
    order = sorted(rows)
    fields = [[rows[fold][at] for fold in order] for at in range(3)]
    return {
        "family": _text(order), "family_name": _text(fields[0]), "family_class": _text(fields[1]),
        "family_number": _text(fields[2]),
    }  # fmt: skip


def _actors(corpus: Corpus) -> dict[str, np.ndarray]:
    held: dict[str, tuple[str, set[str]]] = {}
    for name, cls in corpus.actors:
        if len(folded(name)) >= 3:
            held.setdefault(folded(name), (name, set()))[1].update({cls} & set(CLASSES))
    order = sorted(held)
    return {
        "actor": _text(order),
        "actor_name": _text([held[fold][0] for fold in order]),
        "actor_classes": _text([";".join(sorted(held[fold][1])) for fold in order]),
    }


def _artefacts(corpus: Corpus) -> dict[str, np.ndarray]:
    """Artefacts that exactly one family has and that are particular enough to mean it."""
    owners: dict[str, set[str]] = {}
    for each in set(by_name(corpus).values()):
        for kind, value in each.artefacts:
            text = written(kind, value)
            if telling(kind, text):
                owners.setdefault(f"{kind}:{text}", set()).add(folded(each.name))
    single = {key: min(value) for key, value in owners.items() if len(value) == 1}
    return {
        "artefact": _text(sorted(single)),
        "artefact_family": _text([single[key] for key in sorted(single)]),
    }


def _groups(corpus: Corpus) -> dict[str, np.ndarray]:
    table = by_name(corpus)
    starts, given, rows = [0], [], []
    for each in sorted((p for p in corpus.profiles if p.kind in (GROUP, CAMPAIGN)), key=lambda p: p.number):
        software = {table.get(value) or table.get(folded(value)) for value in each.software}
        found = {
            *each.techniques,
            *(f"software:{folded(family.name)}" for family in software if family is not None),
        }
        given += sorted(found)
        starts.append(len(given))
        rows.append((each.name, each.number, each.cls))
    return {
        "group_name": _text([row[0] for row in rows]), "group_number": _text([row[1] for row in rows]),
        "group_class": _text([row[2] for row in rows]), "group_start": np.array(starts, np.int64),
        "group_feature": _text(given),
    }  # fmt: skip


def _card(corpus: Corpus, profiles: list[Profile], counts: Counter[str], seed: int) -> dict[str, Any]:
    said = "\n".join(
        f"{p.number} {p.cls} {' '.join(p.techniques)}" for p in sorted(profiles, key=lambda p: p.number)
    )
    return {
        "kind": KIND,
        "format": FORMAT,
        "version": VERSION,
        "purpose": "tells which kind of attacker a case is like: financially motivated or targeted (hacktivists by "
        "rules)",
        "method": f"mean of naive Bayes (presence only, {A:g} pseudo-profiles) and ridge logistic regression (C = {C}, "
        f"share {MIX}); sum over techniques divided by the root of their number; Platt's map that moves with it "
        f"and class-conditional conformal scores, from {FOLDS} folds of owners at "
        f"{', '.join(map(str, VIEWS))} techniques; seed {seed}",
        "data": corpus.sources,
        "data_sha256": hashlib.sha256(said.encode()).hexdigest(),
        "profiles": {
            "groups": sum(p.kind == GROUP for p in profiles), "families": sum(p.kind == FAMILY for p in profiles),
            "targeted": counts["targeted"], "financial": counts["financial"],
        },
        "notice": NOTICE,
        "limits": [
            "what is published about attackers is not what attacks: classes, ages and languages of reports are uneven",
            "ATT&CK has no hacktivists: that class rests on rules set by hand",
            "with fewer than ten techniques most answers are 'not enough evidence', and should be",
            "likeness to a group is no attribution; names, files and techniques can be planted",
            "the promise of the set holds for attackers like those of ATT&CK, told with the same care",
        ],
    }  # fmt: skip
