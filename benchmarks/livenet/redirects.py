"""Redirect chains: how many are rebuilt, to which entry, and is the class right, with referers missing.

    python benchmarks/livenet/redirects.py            # confusion matrices with 0, 30 and 60 % of the referers missing
    python benchmarks/livenet/redirects.py --fit      # the weights of detect/livenet/redirects/classes.py, anew

Planted are social engineering, drive-by and harmless ways over shorteners, in the browsing of terminals that read
other pages meanwhile. The fit and the figures use different seeds and different habits of the generator (pauses,
lengths)."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from andon.detect.livenet.redirects import engine
from andon.detect.livenet.redirects.classes import NAMES
from andon.detect.livenet.redirects.ends import ends
from andon.detect.livenet.redirects.lists import Lists
from andon.detect.livenet.redirects.rebuild import columns_of, told
from andon.learn.registry import shipped
from andon.records.contact import CONTACT
from andon.records.contract import Context, Site
from andon.records.kinds import CONTACT as KIND
from andon.records.kinds import marked
from andon.records.reputation import REPUTATION

HOUR = 3600
START = 20_000 * 86_400
SOCIAL, DRIVE_BY, HARMLESS = "social engineering", "drive-by", "harmless"


@dataclass
class World:
    """Rows of an hour and the truth: by (terminal, final host) the class, the entry's host and the number of hops."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    truth: dict[tuple[str, str], tuple[str, str, int]] = field(default_factory=dict)
    black: set[str] = field(default_factory=set)


def world(
    seed: int, terminals: int, chains: int, missing: float, brisk: float = 1.0, tunnels: float = 0.25
) -> World:
    """``missing``: chance that a referer is not logged; ``brisk``: how fast people are; ``tunnels``: chance that a
    site of a chain is only seen as CONNECT."""
    rng = np.random.default_rng(seed)
    made = World()
    sites = [
        f"{_word(rng)}{_word(rng)}.{rng.choice(['com', 'org', 'net', 'de', 'co.jp'])}" for _ in range(400)
    ]
    for who in range(terminals):
        t = rng.random() * 300
        here = ""
        while t < HOUR:
            if not here or rng.random() < 0.15:
                here, referer = sites[int(rng.zipf(1.5)) % 400], ""
                t += rng.exponential(120)
            else:
                referer = f"http://{here}/{_word(rng)}"
            t += rng.exponential(20 / brisk)
            _row(made, rng, who, t, here, f"/{_word(rng)}", referer, missing=missing, status=200)
            t += 0.3
    kinds = (SOCIAL, DRIVE_BY, HARMLESS)
    for number in range(chains):
        who, t = int(rng.integers(terminals)), 300 + rng.random() * (HOUR - 700)
        _chain(made, rng, who, t, kinds[number % 3], number, sites, missing, brisk, tunnels)
    return made


def _word(rng: np.random.Generator) -> str:
    return "".join(
        rng.choice(list("bdfgklmnprstvz")) + rng.choice(list("aeiou")) for _ in range(int(rng.integers(2, 5)))
    )


def _row(
    made: World, rng: np.random.Generator, who: int, t: float, host: str, path: str, referer: str, missing: float,
    status: int, mime: str = "text/html", tunnel: bool = False, location: str = "",
) -> None:  # fmt: skip
    shown = "" if tunnel or rng.random() < missing else referer
    if shown and shown.split("/")[2] != host and rng.random() < 0.5:
        shown = "/".join(shown.split("/")[:3]) + "/"  # browsers name only the origin to other sites
    made.rows.append(
        {
            "ts": t, "terminal": f"user{who}", "host": host, "path": "" if tunnel else path,
            "via": "tunnel" if tunnel else "http", "status": status, "referer": shown,
            "mime": "" if tunnel else mime, "location": location, "method": "CONNECT" if tunnel else "GET",
        }
    )  # fmt: skip


def _chain(
    made: World, rng: np.random.Generator, who: int, t: float, kind: str, number: int, sites: list[str],
    missing: float, brisk: float, tunnels: float,
) -> None:  # fmt: skip
    """One chain into the rows: hosts, how each is reached (30x, script, click), what the end is."""
    bait = rng.choice(["update", "secure", "player", "invoice", "cdn"])
    evil = f"{_word(rng)}-{bait}{number}.{rng.choice(['top', 'xyz', 'com', 'info'])}"
    if kind != HARMLESS and rng.random() < 0.1:
        evil = f"198.51.{rng.integers(100)}.{rng.integers(1, 255)}"
    steps: list[tuple[str, str, str]] = []  # host, path, how it was reached
    if kind == SOCIAL:
        lure = rng.random()
        entry = (
            "bit.ly"
            if lure < 0.25
            else f"ads{number % 7}.{_word(rng)}.net"
            if lure < 0.6
            else sites[int(rng.integers(400))]
        )
        steps.append(
            (entry, f"/click?campaign={number}" if lure < 0.6 else f"/search?q={_word(rng)}", "start")
        )
        via = int(rng.integers(0, 3))
        steps += [(f"tds{rng.integers(99)}.{_word(rng)}.com", f"/r/{_word(rng)}", "30x") for _ in range(via)]
        steps.append((evil, f"/{_word(rng)}/index.php", "30x" if lure < 0.6 else "click"))
        if rng.random() < 0.6:
            steps.append((evil, f"/{_word(rng)}.php?id={number}", "click"))
        end, mime = _payload(rng, ("exe", "zip", "apk", "msi", "html"))
        steps.append((evil, f"/download/{_word(rng)}.{end}", "click"))
    elif kind == DRIVE_BY:
        steps.append((sites[int(rng.integers(400))], f"/{_word(rng)}", "start"))
        for _ in range(int(rng.integers(1, 4))):
            how = "script" if rng.random() < 0.5 else "30x"
            steps.append((f"{_word(rng)}{rng.integers(99)}.{_word(rng)}.com", f"/{_word(rng)}.php", how))
        if rng.random() < 0.7:
            steps.append((evil, f"/{_word(rng)}", "script"))
        end, mime = _payload(rng, ("exe", "jar", "swf", "dll"))
        steps.append((evil, f"/{_word(rng)}.{end}", "script"))
    else:
        evil = f"shop{number}.{_word(rng)}.com"
        steps.append(
            (
                "bit.ly" if rng.random() < 0.5 else f"ads{number % 7}.{_word(rng)}.net",
                f"/click?campaign={number}",
                "start",
            )
        )
        steps.append((f"track.{_word(rng)}.com", f"/r/{_word(rng)}", "30x"))
        steps.append((evil, f"/product/{_word(rng)}", "30x"))
        mime = "text/html"
        if rng.random() < 0.3:
            steps.append((evil, f"/files/{_word(rng)}.exe", "click"))
            mime = "application/x-msdownload"
    closed = {host for host, _, _ in steps[:-1] if rng.random() < tunnels} - {evil}
    referer, before = "", ""
    for at, (host, path, how) in enumerate(steps):
        if how == "30x":
            t += float(rng.uniform(0.1, 0.9))
        elif how == "script":
            t += float(rng.uniform(0.2, 2.5))
        elif how == "click":
            t += float(rng.lognormal(np.log(12 / brisk), 0.6)) + 2.5
        if how != "30x":
            referer = before
        redirects = at + 1 < len(steps) and steps[at + 1][2] == "30x"
        last = at == len(steps) - 1
        _row(
            made, rng, who, t, host, path, referer, missing, 302 if redirects else 200,
            mime if last else "text/html", tunnel=host in closed,
        )  # fmt: skip
        before = "" if host in closed else f"http://{host}{path}"
    hosts = [host for host, _, _ in steps]
    made.truth[f"user{who}", evil] = (kind, hosts[0], len(steps) - 1)
    if kind != HARMLESS and rng.random() < 0.5:
        made.black.add(evil)


def _payload(rng: np.random.Generator, endings: tuple[str, ...]) -> tuple[str, str]:
    end = str(rng.choice(endings))
    types = {
        "exe": "application/x-msdownload",
        "zip": "application/zip",
        "html": "text/html",
        "jar": "application/java-archive",
    }
    return end, types.get(end, "application/octet-stream")


def batch(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    """The rows as contacts."""
    given = {
        "address": "", "user": "", "port": -1, "server": "", "scheme": "http", "action": "", "refused": False,
        "bytes_in": 1000, "bytes_out": 100, "duration": 50_000_000, "agent": None, "category": None, "source": "made",
    }  # fmt: skip
    full = [{**given, **row, "ts": round((START + row["ts"]) * 1e9)} for row in rows]
    columns = []
    for each in CONTACT:
        values = [row[each.name] for row in full]
        if pa.types.is_dictionary(each.type):
            columns.append(pa.array(values, pa.string()).dictionary_encode())
        else:
            columns.append(
                pa.array(values, pa.int64() if pa.types.is_timestamp(each.type) else each.type).cast(
                    each.type
                )
            )
    return marked(pa.RecordBatch.from_arrays(columns, schema=CONTACT), KIND)


def reputation(black: set[str]) -> pa.Table:
    rows = [
        {
            "value": host,
            "type": "host",
            "colour": "black",
            "port": -1,
            "list": "made",
            "family": "",
            "added": None,
            "rank": -1,
        }
        for host in sorted(black)
    ]
    return pa.Table.from_pylist(rows, REPUTATION)


def judged(made: World) -> tuple[Any, float]:
    """(outcome of the engine on one hour, CPU seconds)."""
    settings = {"livenet.redirects.findings": 1000}  # every planted chain has a host of its own
    one = engine(Site(models=shipped(), reputation=reputation(made.black), settings=settings))
    start = START * 10**9
    begin = time.process_time()
    summary = one.summarise(batch(made.rows), one.empty())
    outcome = one.conclude(summary, None, Context("1h", start, start + HOUR * 10**9))
    return outcome, time.process_time() - begin


def confusion(missing: float, seed: int, chains: int = 600) -> None:
    made = world(seed, 400, chains, missing)
    outcome, cpu = judged(made)
    found = {
        (row["terminal"], row["host"]): row
        for row in outcome.tables["chains"].drop_columns(["ts"]).to_pylist()
    }
    counts: Counter[tuple[str, str]] = Counter()
    entries = right_hops = 0
    flagged = {(who, f.subject[1]) for f in outcome.findings for who in f.attributes["terminals"]}
    for key, (kind, entry, hops) in made.truth.items():
        row = found.get(key)
        if row is None:
            counts[kind, "no chain"] += 1
            continue
        counts[kind, DRIVE_BY if row["drive_by"] >= 0.5 else SOCIAL] += 1
        if kind != HARMLESS:
            entries += row["urls"][0].split("/")[0] == entry
            right_hops += row["hops"] == hops
    strange = len(set(found) - set(made.truth))
    bad = [key for key, value in made.truth.items() if value[0] != HARMLESS]
    rebuilt = sum(key in found for key in bad)
    print(f"\nreferers missing: {missing:.0%}; {len(made.rows):,} rows, {cpu:.2f} CPU s")
    print(f"{'truth':<20} {SOCIAL:>20} {DRIVE_BY:>10} {'no chain':>10} {'in a finding':>13}")
    for kind in (SOCIAL, DRIVE_BY, HARMLESS):
        own = [key for key, value in made.truth.items() if value[0] == kind]
        print(
            f"{kind:<20} {counts[kind, SOCIAL]:>20} {counts[kind, DRIVE_BY]:>10} {counts[kind, 'no chain']:>10} "
            f"{sum(key in flagged for key in own):>6} of {len(own)}"
        )
    sure = counts[SOCIAL, SOCIAL] + counts[DRIVE_BY, DRIVE_BY]
    judged_ = sure + counts[SOCIAL, DRIVE_BY] + counts[DRIVE_BY, SOCIAL]
    print(
        f"rebuilt {rebuilt} of {len(bad)}; of these entry right {entries / max(rebuilt, 1):.3f}, length right "
        f"{right_hops / max(rebuilt, 1):.3f}; class right {sure / max(judged_, 1):.3f}; chains nobody planted {strange}"
    )


def fit() -> None:
    """Print the constants of ``classes``: ridge logistic regression on chains of other seeds and habits."""
    vectors, labels = [], []
    for seed, missing, brisk in ((1, 0.0, 1.0), (2, 0.3, 1.0), (3, 0.6, 1.0), (4, 0.3, 0.5), (5, 0.3, 2.0)):
        made = world(seed, 400, 600, missing, brisk, tunnels=0.1 * seed)
        one = engine(Site(models=shipped(), reputation=reputation(made.black)))
        visits = one.summarise(batch(made.rows), one.empty()).table()
        found, _ = ends(visits, 0, Lists(reputation(made.black)), one._scorer, None, 100_000)
        columns = columns_of(visits)
        seen = set()
        for end in sorted(found, key=lambda end: (end.kind == "page", end.row)):
            chain = told(visits, columns, end, one._scorer)
            if chain is None or (chain.terminal, chain.host) in seen:
                continue
            seen.add((chain.terminal, chain.host))
            truth = made.truth.get((chain.terminal, chain.host))
            if truth and truth[0] != HARMLESS:
                vectors.append(chain.traits.vector())
                labels.append(truth[0] == DRIVE_BY)
    x, y = np.array(vectors), np.array(labels, float)
    mean, spread = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-3)
    scaled = np.c_[(x - mean) / spread, np.ones(len(x))]
    w = np.zeros(scaled.shape[1])
    ridge = np.diag([len(x) * 0.005] * (len(w) - 1) + [0.0])
    for _ in range(30):
        p = 1 / (1 + np.exp(-scaled @ w))
        h = scaled.T @ (scaled * (p * (1 - p))[:, None]) + ridge
        w -= np.linalg.solve(h, scaled.T @ (p - y) + ridge @ w)
    print(f"{len(x)} chains, right on themselves {np.mean((scaled @ w > 0) == (y > 0)):.3f}")
    for name, values in (("MEAN", mean), ("SPREAD", spread), ("WEIGHTS", w[:-1])):
        print(f"{name}: Final = np.array([{', '.join(f'{value:.4f}' for value in values)}])")
    print(f"OFFSET: Final = {w[-1]:.4f}")
    for name, value in zip(NAMES, w, strict=False):
        print(f"# {name}: {value:+.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--seed", type=int, default=77)
    given = parser.parse_args()
    if given.fit:
        fit()
        return
    for missing in (0.0, 0.3, 0.6):
        confusion(missing, given.seed)


if __name__ == "__main__":
    main()
