"""Calibration of the ledger: scores of profiles that were not learnt from, cut down to as many techniques as a case
shows.

Folds hold whole owners (``corpus.owners``): a family is never judged by weights that its owner's other families made,
and a group's software counts only by users of other folds."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from andon.learn.attacker.corpus import FAMILY, Corpus, Profile, owners
from andon.learn.attacker.fit import drawn, weights
from andon.triage.attacker.ledger import basis, families, log_odds, score
from andon.triage.attacker.vocabulary import folded, is_shared

VIEWS: Final = (3, 5, 7, 10, 15, 20, 30)
FOLDS: Final = 5
_WHOLE: Final = 10_000
_MOST_WEIGHT: Final = 3.0
_RIDGE: Final = 1e-4


@dataclass(frozen=True)
class Calibration:
    """``map``: see ``ledger.log_odds``; ``score`` with ``key`` (view, population, label) are log-odds with families
    counted; see ``knowledge``."""

    map: np.ndarray
    score: np.ndarray
    key: np.ndarray


def fold_of(owner: str, seed: int, folds: int = FOLDS) -> int:
    return zlib.crc32(f"{seed} {owner}".encode()) % folds


def users_class(family: Profile, cls: Mapping[str, str], without: frozenset[str] = frozenset()) -> str:
    """Class of a family by those of its users that are not in ``without``: a class, "shared", or "" if none is
    known."""
    found = {cls.get(user, "") for user in family.users if user not in without} - {""}
    return found.pop() if len(found) == 1 else "shared" if found else ""


def by_name(corpus: Corpus) -> dict[str, Profile]:
    """Families by number and by folded name; without the tools of everybody."""
    table: dict[str, Profile] = {}
    for each in corpus.profiles:
        if each.kind == FAMILY and not is_shared(each.name):
            table[each.number] = each
            for name in (each.name, *each.aliases):
                table.setdefault(folded(name), each)
    return table


def family_weights(corpus: Corpus) -> tuple[float, float]:
    """(targeted, financial): log-odds that a link of a group to a family gives, where all other users of the family
    are of one class. Counted leaving the group itself out, so it is what a hit on a known family is worth in a new
    case."""
    table, cls = by_name(corpus), {each.number: each.cls for each in corpus.profiles if each.kind != FAMILY}
    links, hits = (
        np.zeros(2),
        np.zeros((2, 2)),
    )  # by class of the group; by (class of the others, class of the group)
    for group in corpus.profiles:
        if group.kind == FAMILY or group.cls not in ("targeted", "financial"):
            continue
        own = int(group.cls == "financial")
        for each in group.software:
            if (family := table.get(each) or table.get(folded(each))) is None:
                continue
            links[own] += 1
            others = users_class(family, cls, frozenset([group.number]))
            if others in ("targeted", "financial"):
                hits[int(others == "financial"), own] += 1
    rate = (hits + 0.5) / (links + 1)
    found = [np.log(rate[each, each] / rate[each, 1 - each]) for each in (0, 1)]
    targeted, financial = (float(np.clip(each, 0.0, _MOST_WEIGHT)) for each in found)
    return targeted, financial


def calibrate(corpus: Corpus, seed: int = 1) -> Calibration:
    """Raises ValueError where there are too few profiles."""
    profiles = corpus.learnt_from()
    owner = owners(profiles)
    fold = np.array([fold_of(owner[each.number], seed) for each in profiles])
    label = np.array([each.cls == "financial" for each in profiles], np.int64)
    table, cls = by_name(corpus), {each.number: each.cls for each in corpus.profiles if each.kind != FAMILY}
    pair = family_weights(corpus)
    per_class = {"targeted": pair[0], "financial": pair[1]}
    plain = np.full((len(profiles), len(VIEWS)), np.nan)
    count = np.ones((len(profiles), len(VIEWS)))
    added = np.zeros((len(profiles), len(VIEWS)))
    for held in range(FOLDS):
        learn = [profiles[at] for at in np.flatnonzero(fold != held)]
        made = weights(learn, seed)
        hidden = frozenset(profiles[at].number for at in np.flatnonzero(fold == held))
        for at in np.flatnonzero(fold == held):
            each = profiles[at]
            for view, low in enumerate(VIEWS):
                if len(each.techniques) < low:
                    continue
                most = _cut(each, view)
                shares = score(dict.fromkeys(drawn(each, most, seed), 1.0), made)
                plain[at, view], count[at, view] = shares.total, max(shares.known, 1)
                hits = _hits(each, most, table, cls, hidden, seed)
                added[at, view] = families(hits, per_class).total
    rows, views = np.nonzero(~np.isnan(plain))
    fitted = smooth_map(plain[rows, views], count[rows, views], label[rows], views)
    value = log_odds(plain[rows, views], count[rows, views], fitted) + added[rows, views]
    population = np.array([int(each.kind == FAMILY) for each in profiles])
    key = np.stack([views, population[rows], label[rows]], axis=1)
    return Calibration(fitted, np.round(value, 6), key)


def smooth_map(z: np.ndarray, count: np.ndarray, label: np.ndarray, view: np.ndarray) -> np.ndarray:
    """The four numbers of ``ledger.log_odds``: Platt's map whose slope and offset move smoothly with the number of
    techniques. Both classes weigh the same in each view, so that how many techniques were seen speaks for neither
    class: in a case that depends on the sensors. Newton's method with a little ridge."""
    terms = np.stack(basis(z, count), axis=1)
    weight = np.zeros(len(z))
    for each in np.unique(view):
        for cls in (0, 1):
            own = (view == each) & (label == cls)
            weight[own] = 1.0 / max(int(own.sum()), 1)
    weight /= weight.sum()
    found = np.array([1.0, 0.0, 0.0, 0.0])
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(terms @ found, -500, 500)))
        slope = terms.T @ (weight * (p - label)) + _RIDGE * found
        curve = (terms * (weight * np.maximum(p * (1 - p), 1e-12))[:, None]).T @ terms + _RIDGE * np.eye(4)
        step = np.linalg.solve(curve, slope)
        found = found - step
        if np.abs(step).max() < 1e-10:
            break
    return np.asarray(np.round(found, 9))


def _cut(profile: Profile, view: int) -> int:
    """How many techniques stay in a view: from its own number to below the next one's; the last view is whole."""
    if view == len(VIEWS) - 1:
        return _WHOLE
    low, high = VIEWS[view], VIEWS[view + 1]
    return low + zlib.crc32(f"{view} {profile.number}".encode()) % (high - low)


def _hits(
    profile: Profile,
    most: int,
    table: Mapping[str, Profile],
    cls: Mapping[str, str],
    hidden: frozenset[str],
    seed: int,
) -> dict[str, tuple[str, float]]:
    """Families of a group that users of other folds give a class, as many as fit the share of techniques that
    stay."""
    share = min(1.0, most / len(profile.techniques))
    chosen = part(profile.software, share, profile.number, seed)
    found = {}
    for each in chosen:
        family = table.get(each) or table.get(folded(each))
        if family is not None and (known := users_class(family, cls, hidden)) in ("targeted", "financial"):
            found[family.number] = (known, 1.0)
    return found


def part(values: Sequence[str], share: float, name: str, seed: int) -> tuple[str, ...]:
    """This share of values, the same ones for the same name and seed."""
    if share >= 1.0:
        return tuple(values)
    chance = np.random.default_rng([seed, zlib.crc32(name.encode())])
    keep = chance.random(len(values)) < share
    return tuple(value for value, stays in zip(values, keep, strict=True) if stays)
