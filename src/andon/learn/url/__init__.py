"""Training of the URL model: what is learnt from, how the honest figures come about, and the model that is shipped.

Two models are made. The first learns from four folds of registered domains and from the early days of phishing; the
fifth fold and the late days give its figures and calibration, so both are on domains and days that it has not seen.
The second, which is shipped, learns from everything and takes the first one's calibration. The same data give the
same bits."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.learn.url.calibrate import ALARM, platt, tail_score, tails
from andon.learn.url.data import Urls, capped
from andon.learn.url.evaluate import Figures, figures
from andon.learn.url.sgd import EPOCHS, FACTORS, RATE, Bags, bags, fit, quantised
from andon.learn.url.shapes import addresses, pages
from andon.learn.url.sources import SOURCES, is_hard, may_ship
from andon.records.finding import timestamp
from andon.records.model import Model
from andon.sketch.ngrams import PLACES, rule_hashes, rule_table
from andon.sketch.urlscore import UrlScorer

KIND: Final = "url"
VERSION: Final = "1"
HELD: Final = 0  # the fold that is kept for the figures
EARLY, LATE = 0.7, 0.85  # of the days of phishing: learnt from before the first, tested on after the second
LEARNT: Final = 20  # URLs of a registered domain that are learnt from
_MADE, _HOSTS = 0.25, 0.05  # what a made page and a phishing site's bare name count


@dataclass(frozen=True)
class Trained:
    model: Model
    figures: tuple[Figures, ...]


def suffix_rules() -> tuple[np.ndarray, str]:
    """(hashes of the public suffix rules, version of the list)."""
    from importlib.metadata import version
    from importlib.resources import files

    text = files("publicsuffixlist").joinpath("public_suffix_list.dat").read_text("utf-8")
    return rule_hashes(text.splitlines()), version("publicsuffixlist")


@dataclass(frozen=True)
class Lesson:
    """What is learnt from: features, labels, weights."""

    bag: Bags
    label: np.ndarray
    weight: np.ndarray


def lesson(urls: Urls, rules: np.ndarray, made: bool = True, cap: int = LEARNT) -> Lesson:
    """A training set of labelled URLs: capped by domain, with made pages of harmless domains (``shapes``) and the
    bare names of phishing sites, both classes weighing the same."""
    own = urls.take(capped(urls, cap))
    hosts, paths = [own.host], [own.path]
    label, weight = [own.label], [np.ones(len(own))]

    def add(pairs: Sequence[tuple[str, str]], kind: int, share: float) -> None:
        hosts.append(pa.array([host for host, _ in pairs], pa.string()))
        paths.append(pa.array([path for _, path in pairs], pa.string()))
        label.append(np.full(len(pairs), kind, np.int8))
        weight.append(np.full(len(pairs), share))

    if made:
        harmless = sorted(set(own.domain.filter(pa.array(own.label == 0)).to_pylist()))
        add([*pages(harmless), *addresses()], 0, _MADE)
        named = own.host.filter(pa.array((own.label == 1) & ~own.bare))
        add([(host, "") for host in sorted(set(named.to_pylist()))], 1, _HOSTS)
    labels, weights = np.concatenate(label), np.concatenate(weight)
    for kind in (0, 1):
        total = weights[labels == kind].sum()
        if total > 0:
            weights[labels == kind] *= 0.5 * len(labels) / total
    return Lesson(bags(pa.concat_arrays(hosts), pa.concat_arrays(paths), rules), labels, weights)


def parted(urls: Urls, fold: int = HELD) -> tuple[np.ndarray, np.ndarray]:
    """Masks (learnt from, tested on): harmless URLs by fold; dated phishing by fold and time, in such a way that no
    domain of the test was seen; a class without dates by fold alone."""
    held = urls.fold == fold
    learn, test = ~held, held.copy()
    dated = (urls.label == 1) & (urls.day >= 0)
    if dated.any():
        first, last = int(urls.day[dated].min()), int(urls.day[dated].max())
        early, late = (int(first + share * (last - first)) for share in (EARLY, LATE))
        phishing = urls.label == 1
        learn[phishing] = (dated & (urls.day < early) & ~held)[phishing]
        known = pc.is_in(urls.domain, value_set=urls.domain.filter(pa.array(phishing & (urls.day < early))))
        fresh = ~known.to_numpy(zero_copy_only=False)
        test[phishing] = (dated & (urls.day >= late) & fresh)[phishing]
    return learn, test


def as_hosts(urls: Urls) -> Urls:
    """The same without paths, each host once: what tunnels and names show."""
    from dataclasses import replace

    _, first = np.unique(np.array(urls.host.to_pylist(), dtype=object).astype(str), return_index=True)
    own = urls.take(np.sort(first))
    return replace(own, path=pa.array([""] * len(own), pa.string()))


def assembled(weights: np.ndarray, rules: np.ndarray, test: Urls, card: dict[str, Any]) -> Model:
    """A model with the calibration of ``weights`` on ``test``."""
    held, scale = quantised(weights)
    arrays: dict[str, np.ndarray] = {
        "weights": held, "scale": np.array([scale], np.float32), "factors": np.array(FACTORS), "suffixes": rules,
        "platt": np.array([[1.0, 0.0], [1.0, 0.0]]), "alarm": np.full(2, np.inf),
        "grid": np.tile(np.array([-1.0, 1.0]), (2, 1)), "phish": np.ones((2, 2)), "benign": np.ones((2, 2)),
    }  # fmt: skip
    plain = UrlScorer(Model(KIND, arrays, card))
    meant: list[tuple[Any, ...]] = []
    for urls in (as_hosts(test), test.take(~test.bare)):
        z = plain.scores(urls.host, urls.path)
        if len(set(urls.label.tolist())) < 2:
            raise ValueError("there is nothing to calibrate with: the held-out URLs are of one label")
        meant.append((platt(urls.label, z), tail_score(z[urls.label == 0]), *tails(urls.label, z)))
    arrays["platt"] = np.array([each[0] for each in meant])
    arrays["alarm"] = np.array([each[1] for each in meant])
    for at, name in enumerate(("grid", "phish", "benign"), 2):
        arrays[name] = np.stack([each[at] for each in meant])
    return Model(KIND, arrays, card)


def report(scorer: UrlScorer, test: Urls) -> tuple[Figures, ...]:
    """The figures of a model on URLs of domains and days it has not seen; hard ones apart."""
    z = scorer.scores(test.host, test.path)
    hard = np.array([is_hard(name) for name in test.source.tolist()], np.bool_)
    phishing, bare = test.label == 1, test.bare
    rows = [("all but hard negatives", ~hard), ("with a path", ~hard & ~bare), ("bare hosts", ~hard & bare)]
    rows.append(("hard negatives", hard | phishing))
    rows += [
        (f"harmless: {name}", (test.source == name) | phishing)
        for name in sorted(set(test.source[~phishing].tolist()))
    ]
    return tuple(figures(name, test.label[own], z[own]) for name, own in rows if own.any())


def train(urls: Urls, every_source: bool = False, seed: int = 1) -> Trained:
    """Train, test and calibrate. ``every_source``: learn also from sources that a shipped model may not use. Raises
    ValueError where there is too little of a class."""
    allowed = np.array([every_source or may_ship(name) for name in urls.source.tolist()], np.bool_)
    own = urls.take(allowed)
    if min((own.label == 0).sum(), (own.label == 1).sum()) < 100:
        raise ValueError("training needs at least 100 URLs of each label from sources that may be used")
    suffixes, listed = suffix_rules()
    rules = rule_table(suffixes)
    learn, test = parted(own)
    first = lesson(own.take(learn), rules)
    held = own.take(test)
    held = held.take(capped(held))
    tested = assembled(fit(first.bag, first.label, first.weight, seed), suffixes, held, {})
    found = report(UrlScorer(tested), held)
    # What may not be learnt from may be tested on: harmless sites of a source never seen.
    rest = urls.take(~allowed)
    rest = rest.take((rest.label == 0) & (rest.fold == HELD))
    rest = rest.take(capped(rest))
    if len(rest):
        found += _never_learnt(UrlScorer(tested), held, rest)
    whole = lesson(own, rules)
    final, scale = quantised(fit(whole.bag, whole.label, whole.weight, seed))
    arrays = dict(tested.arrays) | {"weights": final, "scale": np.array([scale], np.float32)}
    return Trained(Model(KIND, arrays, _card(own, held, found, listed, seed, tested)), found)


def _never_learnt(scorer: UrlScorer, held: Urls, rest: Urls) -> tuple[Figures, ...]:
    phishing = held.take(held.label == 1)
    caught = scorer.scores(phishing.host, phishing.path)
    z = scorer.scores(rest.host, rest.path)
    rows = []
    for name in sorted(set(rest.source.tolist())):
        own = rest.source == name
        label = np.r_[np.ones(len(caught), np.int8), np.zeros(int(own.sum()), np.int8)]
        rows.append(figures(f"never learnt from: {name}", label, np.r_[caught, z[own]]))
    return tuple(rows)


def _card(
    own: Urls, held: Urls, found: tuple[Figures, ...], listed: str, seed: int, tested: Model
) -> dict[str, Any]:
    texts = pc.binary_join_element_wise(own.host, own.path, "")
    content = hashlib.sha256("\n".join(texts.to_pylist()).encode("utf-8", "replace") + own.label.tobytes())
    sources = []
    for name in sorted(set(own.source.tolist())):
        rows = own.source == name
        known = SOURCES.get(name)
        days = own.day[rows & (own.day >= 0)]
        sources.append(
            {
                "name": name,
                "origin": known.origin if known else "given by whoever trained it",
                "licence": known.licence if known else "as whoever trained it has it",
                "rests_on": known.why if known else "",
                "phishing": int((own.label[rows] == 1).sum()),
                "harmless": int((own.label[rows] == 0).sum()),
                "first_day": _day(int(days.min())) if len(days) else "",
                "last_day": _day(int(days.max())) if len(days) else "",
            }
        )
    late = held.day[(held.label == 1) & (held.day >= 0)]
    return {
        "kind": KIND,
        "version": VERSION,
        "purpose": "ranks URLs and host names by how much they look like those of phishing sites",
        "method": f"logistic regression on hashed n-grams, words and shape ({PLACES:,} weights of 8 bits), averaged "
        f"AdaGrad, {EPOCHS} epochs, rate {RATE}, seed {seed}; at most {LEARNT} URLs of a registered domain",
        "data": sources,
        "data_sha256": content.hexdigest(),
        "made": "account pages, counters, assets and bare names on harmless domains, by rule (andon.learn.url.shapes)",
        "suffixes": f"publicsuffixlist {listed} (public suffix list, MPL 2.0), as hashes",
        "tested_on": "domains of one fold of five never learnt from; phishing of the last days"
        + (f", {_day(int(late.min()))} to {_day(int(late.max()))}" if len(late) else ""),
        "figures": [
            {"test": each.name, "phishing": each.phishing, "harmless": each.harmless, "auc": round(each.auc, 4),
             "tpr_at_1_percent": round(each.tpr_1, 4), "tpr_at_0.1_percent": round(each.tpr_01, 4)}
            for each in found
        ],
        "calibration": "Platt's map for bare hosts and URLs with a path apart, both classes alike; tails of both; "
        f"alarm at {ALARM:g} of harmless URLs by an exponential tail",
        "alarm": [round(float(each), 3) for each in tested.arrays["alarm"]],
        "limits": [
            "it knows the words of phishing of its days; it grows old with them (docs/urls.md has figures by year)",
            "harmless URLs are links people share, not traffic: expect more false alarms in a proxy log",
            "the label phishing is a public list's own, with false entries, and covers phishing more than malware",
            "sites on free hosting platforms are suspected more than they deserve",
            "a score is a hint for a ranking, no proof: never block on it alone",
        ],
    }  # fmt: skip


def _day(day: int) -> str:
    return timestamp(day * 86_400_000_000_000)[:10]
