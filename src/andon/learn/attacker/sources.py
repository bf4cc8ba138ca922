"""A corpus from the user's files: ATT&CK bundles, MISP galaxies, labelled profiles.

A group of ATT&CK gets its class from the votes of its names and description and of the galaxies' entries that share a
name with it (``labels``); a family that of the groups that use it, or of a galaxy of ransomware and the like that
names it, or of its description."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from andon.learn.attacker.calibrate import users_class
from andon.learn.attacker.corpus import CAMPAIGN, FAMILY, Corpus, Profile, profile
from andon.learn.attacker.labels import OF_TYPE, SOFTWARE_TYPES, chosen, votes
from andon.observe.knowledge import Attack, Galaxy, KnowledgeError, Named, objects, read_attack, read_galaxy
from andon.observe.knowledge.attack import users_of
from andon.observe.knowledge.documents import text_of
from andon.records.case import CLASSES
from andon.triage.attacker.vocabulary import folded, technique


def corpus(
    attack: Sequence[Path] = (),
    galaxies: Sequence[Path] = (),
    profiles: Sequence[Path] = (),
    names: Sequence[Path] = (),
    techniques: Sequence[Path] = (),
) -> tuple[Corpus, list[str]]:
    """(corpus, notes on what was left out). ``names``: files of objects with ``name``, ``synonyms`` and ``cls``
    (actors that somebody labelled); ``profiles``: see ``corpus.profile``; ``techniques``: CSV with id, name, tactics.
    Raises OSError, KnowledgeError."""
    made, notes = Corpus(), []
    read = [read_galaxy(path) for path in galaxies]
    told = _told(read, made)
    for path, galaxy in zip(galaxies, read, strict=True):
        made.sources.append(
            {"file": path.name, "is": f"MISP galaxy {galaxy.type}, version {galaxy.version}",
             "names": len(galaxy.named), "licence": "CC0-1.0 or BSD-2-Clause"}
        )  # fmt: skip
        if galaxy.left_out:
            notes.append(f"{path}: {galaxy.left_out} entries without a name were left out")
    for path in attack:
        bundle = read_attack(path)
        _attack(bundle, told, made)
        made.sources.append(
            {"file": path.name, "is": f"MITRE ATT&CK, {bundle.version}", "licence": "ATT&CK terms of use",
             "techniques": len(bundle.techniques), "groups and software": len(bundle.actors)}
        )  # fmt: skip
        notes.append(f"{path}: {bundle.left_out} objects revoked, deprecated or damaged were left out")
    for path in profiles:
        notes += _profiles(path, made)
    for path in names:
        notes += _names(path, made)
    for path in techniques:
        _techniques(path, made)
    return made, notes


def _told(galaxies: Sequence[Galaxy], made: Corpus) -> dict[str, list[Named]]:
    """folded name -> entries of galaxies of actors; names with a class go into the corpus."""
    table: dict[str, list[Named]] = {}
    for galaxy in galaxies:
        for named in galaxy.named:
            names = (named.name, *named.synonyms)
            if galaxy.type in SOFTWARE_TYPES:
                if cls := OF_TYPE.get(galaxy.type, ""):
                    made.families += [(name, cls) for name in names]
                continue
            if cls := chosen(votes((), "", named)):
                made.actors += [(name, cls) for name in names]
            for fold in {folded(name) for name in names} - {""}:
                table.setdefault(fold, []).append(named)
    return table


def _attack(bundle: Attack, told: dict[str, list[Named]], made: Corpus) -> None:
    made.techniques.update(bundle.techniques)
    cls: dict[str, str] = {}
    for actor in bundle.actors.values():
        if actor.kind == "group":
            found: Counter[str] = votes((actor.name, *actor.aliases), actor.description)
            entries = {
                id(each): each for name in (actor.name, *actor.aliases) for each in told.get(folded(name), [])
            }
            for each in entries.values():
                found += votes((), "", each)
            cls[actor.number] = chosen(found)
            if cls[actor.number]:
                made.actors += [(name, cls[actor.number]) for name in (actor.name, *actor.aliases)]
    users = users_of(bundle)
    by_name = {folded(name): kind for name, kind in made.families}
    for actor in sorted(bundle.actors.values(), key=lambda each: each.number):
        if not actor.uses:
            continue
        own = tuple(sorted(users.get(actor.number, ()))) if actor.kind == "family" else ()
        made.profiles.append(
            Profile(
                number=actor.number, name=actor.name, kind=actor.kind, cls=cls.get(actor.number, ""),
                techniques=tuple(sorted(actor.uses)), software=tuple(sorted(actor.software)), users=own,
                artefacts=tuple(sorted(actor.artefacts)), aliases=actor.aliases, created=actor.created,
            )
        )  # fmt: skip
        if actor.kind == "campaign":
            made.profiles[-1] = _with(made.profiles[-1], users_class(_users(actor.users), cls), False)
        elif actor.kind == "family":
            known = users_class(made.profiles[-1], cls)
            by_users = bool(known)
            named = next(
                (by_name[folded(n)] for n in (actor.name, *actor.aliases) if folded(n) in by_name), ""
            )
            made.profiles[-1] = _with(
                made.profiles[-1], known or named or chosen(votes((), actor.description)), by_users
            )


def _users(numbers: set[str]) -> Profile:
    return Profile("", "", FAMILY, "", (), users=tuple(sorted(numbers)))


def _with(given: Profile, cls: str, by_users: bool) -> Profile:
    from dataclasses import replace

    return replace(given, cls=cls, by_users=by_users)


def _profiles(path: Path, made: Corpus) -> list[str]:
    bad, taken, labelled = 0, 0, 0
    for _, item in objects(path):
        found = profile(item) if item is not None else None
        if found is None:
            bad += 1
            continue
        made.profiles.append(found)
        taken, labelled = taken + 1, labelled + bool(found.cls)
        if found.kind not in (FAMILY, CAMPAIGN) and found.cls in CLASSES:
            made.actors += [(name, found.cls) for name in (found.name, *found.aliases)]
    if not taken:
        raise KnowledgeError(
            f"{path}: no object with a number or name and techniques (docs/attacker.md, Labelled profiles)"
        )
    made.sources.append(
        {"file": path.name, "is": "labelled profiles", "profiles": taken, "with a class": labelled}
    )
    return [f"{path}: {bad} objects without a name or techniques were left out"] if bad else []


def _techniques(path: Path, made: Corpus) -> None:
    taken = 0
    for row in csv.DictReader(text_of(path).replace("\0", "").splitlines()):
        if number := technique(str(row.get("id") or "")):
            tactics = tuple(each[:40] for each in str(row.get("tactics") or "").split(";")[:20] if each)
            made.techniques[number] = (str(row.get("name") or "")[:200], tactics)
            taken += 1
    if not taken:
        raise KnowledgeError(f"{path}: no row with id, name and tactics of a technique")
    made.sources.append({"file": path.name, "is": "names and tactics of techniques", "techniques": taken})


def _names(path: Path, made: Corpus) -> list[str]:
    taken = 0
    for _, item in objects(path):
        if item is None or item.get("cls") not in CLASSES or not isinstance(item.get("name"), str):
            continue
        synonyms = item.get("synonyms")
        listed = (
            [each for each in synonyms[:200] if isinstance(each, str)] if isinstance(synonyms, list) else []
        )
        made.actors += [(name[:200], item["cls"]) for name in (item["name"], *listed)]
        taken += 1
    if not taken:
        raise KnowledgeError(f"{path}: no object with name and cls ({', '.join(CLASSES)})")
    made.sources.append({"file": path.name, "is": "names of actors with a class", "names": taken})
    return []
