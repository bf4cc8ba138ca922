"""The URL model under the rules against leakage: python benchmarks/livenet/url.py [URLS.parquet] [--part NAME ...]

Parts: honest (domains and days not seen; boosted baselines in the same run), random, platforms, ages, sources,
ablations, sahingoz, speed. Without a file: livenet/url/urls_dev.parquet below ANDON_DATA."""

from __future__ import annotations

import argparse
import gzip
import os
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from url_lexical import boosted, features

from andon.learn.url import HELD, assembled, lesson, parted, report, suffix_rules
from andon.learn.url.data import Urls, capped, read
from andon.learn.url.evaluate import HEAD, figures
from andon.learn.url.sgd import fit, quantised
from andon.learn.url.sources import is_hard, may_ship
from andon.records.model import Model
from andon.sketch.hashing import mix64_array
from andon.sketch.ngrams import rule_table
from andon.sketch.urlscore import KIND, UrlScorer

SUFFIXES, _ = suffix_rules()
RULES = rule_table(SUFFIXES)
PARTS = (
    "honest",
    "folds",
    "traffic",
    "random",
    "platforms",
    "ages",
    "sources",
    "ablations",
    "sahingoz",
    "speed",
)


def scorer(weights: np.ndarray) -> UrlScorer:
    """For scores alone: no calibration."""
    held, scale = quantised(weights)
    from andon.learn.url.sgd import FACTORS

    arrays = {
        "weights": held, "scale": np.array([scale], np.float32), "factors": np.array(FACTORS), "suffixes": SUFFIXES,
        "platt": np.array([[1.0, 0.0], [1.0, 0.0]]), "alarm": np.full(2, np.inf),
        "grid": np.tile(np.array([-1.0, 1.0]), (2, 1)), "phish": np.ones((2, 2)), "benign": np.ones((2, 2)),
    }  # fmt: skip
    return UrlScorer(Model(KIND, arrays, {}))


def trained(own: Urls, made: bool = True) -> UrlScorer:
    one = lesson(own, RULES, made)
    return scorer(fit(one.bag, one.label, one.weight))


def rows(test: Urls, z: np.ndarray, label: str = "", short: bool = False) -> None:
    """The figures of scores on a test set: all, with a path, bare, hard negatives, by harmless source."""
    hard = np.array([is_hard(name) for name in test.source.tolist()], np.bool_)
    phishing, bare = test.label == 1, test.bare
    parts = [("all but hard negatives", ~hard), ("with a path", ~hard & ~bare), ("bare hosts", ~hard & bare)]
    if hard.any():
        parts.append(("hard negatives (jdm)", hard | phishing))
    if not short:
        names = sorted(set(test.source[~phishing].tolist()) - {"jdm"})
        parts += [(f"harmless: {name}", (test.source == name) | phishing) for name in names]
    for name, own in parts:
        if len(set(test.label[own].tolist())) == 2:
            print(figures(f"{label}{name}", test.label[own], z[own]).line())


def honest(urls: Urls) -> None:
    own = urls.take(np.array([may_ship(name) for name in urls.source.tolist()]))
    learn, test = parted(own)
    held, taught = own.take(test), own.take(learn)
    held = held.take(capped(held))
    print("\n== domains not seen, later days; learnt from what may be shipped\n" + HEAD)
    model = trained(taught)
    z = model.scores(held.host, held.path)
    rows(held, z, "Andon: ")
    x = features(held)
    # The baselines learn from the same URLs; made pages would not help counts and are left out for them.
    plain = taught.take(capped(taught))
    weight = np.where(plain.label == 1, 0.5 / (plain.label == 1).mean(), 0.5 / (plain.label == 0).mean())
    for name, score in boosted(features(plain), plain.label, weight).items():
        rows(held, score(x), f"{name}: ", short=True)


def folds(urls: Urls) -> None:
    """The honest split with each of the five folds of domains held out in turn."""
    own = urls.take(np.array([may_ship(name) for name in urls.source.tolist()]))
    found: dict[str, list[tuple[float, float, float]]] = {}
    for fold in range(5):
        learn, test = parted(own, fold)
        held = own.take(test)
        held = held.take(capped(held))
        model = trained(own.take(learn))
        for each in report(model, held):
            found.setdefault(each.name, []).append((each.auc, each.tpr_1, each.tpr_01))
    print("\n== each fold of domains held out in turn: mean (worst) of AUC, TPR at 1 %, TPR at 0.1 %")
    for name, values in found.items():
        mean, worst = np.mean(values, axis=0), np.min(values, axis=0)
        print(f"{name:<28}" + "   ".join(f"{a:.4f} ({b:.4f})" for a, b in zip(mean, worst, strict=True)))


def traffic(urls: Urls) -> None:
    """Harmless traffic: distinct URLs of a day of scripted browsing (RITA's Zeek http.log), and how many of them
    would reach scores that 1 %, 0.1 % and 0.01 % of harmless links reach."""
    log = Path(os.environ.get("ANDON_DATA", "../shared/data")) / "livenet/zeek/rita_valid_http.log.gz"
    seen = set()
    with gzip.open(log, "rt", errors="replace") as file:
        names: list[str] = []
        for line in file:
            cells = line.rstrip("\n").split("\t")
            if line.startswith("#fields"):
                names = cells[1:]
            elif not line.startswith("#"):
                seen.add((cells[names.index("host")].partition(":")[0].lower(), cells[names.index("uri")]))
    hosts, paths = (pa.array(column, pa.string()) for column in zip(*sorted(seen), strict=True))
    own = urls.take(np.array([may_ship(name) for name in urls.source.tolist()]))
    learn, test = parted(own)
    held = own.take(test)
    print(f"\n== real harmless traffic: {len(seen):,} distinct URLs of {len(set(hosts.to_pylist()))} hosts")
    for name, made in (("with made pages", True), ("without", False)):
        one = lesson(own.take(learn), RULES, made)
        weights = fit(one.bag, one.label, one.weight)
        model = UrlScorer(assembled(weights, SUFFIXES, held.take(capped(held)), {}))
        rarity = model.rarity(model.scores(hosts, paths), np.ones(len(hosts), np.int64))
        shares = ", ".join(
            f"{np.mean(rarity > -np.log(rate)):.4%} at {rate:.2%}" for rate in (0.01, 0.001, 0.0001)
        )
        print(f"   {name}: {shares}")


def random_split(urls: Urls) -> None:
    own = urls.take(np.array([may_ship(name) for name in urls.source.tolist()]))
    drawn = mix64_array(np.arange(len(own), dtype=np.uint64), np.uint64(5)) % np.uint64(5) == 0
    held = own.take(drawn)
    held = held.take(capped(held))
    print(
        "\n== random split of URLs: NOT honest, domains are in both parts; for comparison with papers\n"
        + HEAD
    )
    model = trained(own.take(~drawn))
    rows(held, model.scores(held.host, held.path), "random: ", short=True)


def platforms(urls: Urls) -> None:
    """Hosting platforms and suffixes as folds: none of the test's was learnt from, but for the five commonest
    endings."""
    own = urls.take(np.array([may_ship(name) for name in urls.source.tolist()]))
    from andon.sketch.texts import text_keys

    common = np.isin(own.platform.to_pylist(), ["com", "org", "net", "io", "de"])
    fold = np.where(common, own.fold, (text_keys(own.platform) % np.uint64(5)).astype(np.int8))
    print("\n== by hosting platform: the platforms and endings of the test never learnt from\n" + HEAD)
    learn, test = own.take(fold != HELD), own.take(fold == HELD)
    test = test.take(capped(test))
    model = trained(learn)
    rows(test, model.scores(test.host, test.path), "platforms: ", short=True)


def ages(urls: Urls) -> None:
    old = np.isin(urls.source, ["pdd", "phishstorm", "iscx"])
    print("\n== learnt from 2014-2018, tested on 2025 (what age does)\n" + HEAD)
    own = urls.take(np.array([may_ship(name) for name in urls.source.tolist()]))
    _, test = parted(own)
    held = own.take(test)
    held = held.take(capped(held))
    model = trained(urls.take(old & (urls.fold != HELD)))
    rows(held, model.scores(held.host, held.path), "2014-18 on 2025: ", short=True)
    model = trained(own.take(parted(own)[0]))
    for name in ("pdd", "phishstorm", "iscx"):
        part = urls.take((urls.source == name) & (urls.fold == HELD))
        part = part.take(capped(part))
        print(figures(f"2025 on {name}", part.label, model.scores(part.host, part.path)).line())


def sources(urls: Urls) -> None:
    """Harmless sources left out in turn, and what the licences cost."""
    own = urls.take(np.array([may_ship(name) for name in urls.source.tolist()]))
    learn, test = parted(own)
    held = own.take(test)
    held = held.take(capped(held))
    print("\n== a harmless source never learnt from\n" + HEAD)
    for name in ("weekly", "fpb", "jdm"):
        model = trained(own.take(learn & (own.source != name)))
        part = held.take((held.source == name) | (held.label == 1))
        print(
            figures(f"{name} left out, tested on it", part.label, model.scores(part.host, part.path)).line()
        )
    print("\n== what the licences cost: the same test for models that learn from more\n" + HEAD)
    every_learn, every_test = parted(urls)
    tested = ["citizenlab", *sorted(set(own.source.tolist()))]
    late = urls.take(every_test & np.isin(urls.source, tested))
    late = late.take(capped(late))
    for name, more in (
        ("shipped sources", []),
        ("and citizenlab", ["citizenlab"]),
        ("and pdd, phishstorm, iscx harmless", ["pdd", "phishstorm", "iscx"]),
    ):
        ships = np.array([may_ship(each) for each in urls.source.tolist()])
        chosen = every_learn & (ships | (np.isin(urls.source, more) & (urls.label == 0)))
        model = trained(urls.take(chosen))
        rows(late, model.scores(late.host, late.path), f"{name}: ", short=True)
        part = late.take((late.source == "citizenlab") | (late.label == 1))
        print(figures(f"{name}: on citizenlab", part.label, model.scores(part.host, part.path)).line())


def ablations(urls: Urls) -> None:
    from andon.learn.url import sgd

    own = urls.take(np.array([may_ship(name) for name in urls.source.tolist()]))
    learn, test = parted(own)
    held = own.take(test)
    held = held.take(capped(held))
    print("\n== without one thing at a time\n" + HEAD)
    rows(
        held, trained(own.take(learn), made=False).scores(held.host, held.path), "no made pages: ", short=True
    )
    kept = sgd.FACTORS
    for name, factors in (
        ("host and path grams alone", (1.0, 1.0, 0.0, 0.0)),
        ("no words", (1.0, 1.0, 0.0, 2.0)),
        ("no shape", (1.0, 1.0, 1.0, 0.0)),
    ):
        sgd.FACTORS = factors  # type: ignore[misc]
        rows(held, trained(own.take(learn)).scores(held.host, held.path), f"{name}: ", short=True)
    sgd.FACTORS = kept  # type: ignore[misc]


def sahingoz(urls: Urls) -> None:
    """Accuracy on the data of Sahingoz et al. (2019), five folds, random and by domain; published: 97.98 %,
    random."""
    own = urls.take(urls.source == "pdd")
    print(
        "\n== data of Sahingoz et al. (our copy has no duplicates over all sources, and 72 % of its domains)"
    )
    for name, folds in (
        (
            "random",
            (mix64_array(np.arange(len(own), dtype=np.uint64), np.uint64(9)) % np.uint64(5)).astype(int),
        ),
        ("by domain", own.fold.astype(int)),
    ):
        right = 0
        for fold in range(5):
            one = lesson(own.take(folds != fold), RULES, made=False, cap=10**9)
            model = scorer(fit(one.bag, one.label, one.weight))
            part = own.take(folds == fold)
            right += int(((model.scores(part.host, part.path) > 0) == (part.label == 1)).sum())
        print(f"accuracy, {name} folds: {right / len(own):.4f} of {len(own):,}")


def speed(urls: Urls) -> None:
    one = lesson(urls.take(np.arange(0, len(urls), 20)), RULES)
    model = scorer(fit(one.bag, one.label, one.weight, epochs=1))
    model.scores(urls.host, urls.path)
    begin = time.process_time()
    model.scores(urls.host, urls.path)
    cpu = time.process_time() - begin
    begin = time.process_time()
    features(urls.take(np.arange(5000)))
    slow = 5000 / (time.process_time() - begin)
    print(
        f"\n== scoring: {len(urls) / cpu:,.0f} URLs a CPU second; lexical features in Python alone: {slow:,.0f}"
    )
    hosts, paths = pa.concat_arrays([urls.host] * 3), pa.concat_arrays([urls.path] * 3)
    begin = time.process_time()
    model.scores(hosts.dictionary_encode(), paths)
    print(
        f"   with hosts by dictionary, encoding included: {len(hosts) / (time.process_time() - begin):,.0f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Path(os.environ.get("ANDON_DATA", "../shared/data")) / "livenet/url/urls_dev.parquet"
    parser.add_argument("file", nargs="?", type=Path, default=default)
    parser.add_argument("--part", action="append", choices=PARTS)
    given = parser.parse_args()
    urls = read([given.file])
    print(f"{len(urls):,} URLs of {given.file}")
    run = {
        "honest": honest, "folds": folds, "traffic": traffic, "random": random_split, "platforms": platforms,
        "ages": ages, "sources": sources,
        "ablations": ablations, "sahingoz": sahingoz, "speed": speed,
    }  # fmt: skip
    for part in given.part or PARTS:
        begin = time.process_time()
        run[part](urls)
        print(f"  ({time.process_time() - begin:.0f} CPU s)")


if __name__ == "__main__":
    main()
