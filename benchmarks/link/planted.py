"""Links on scenarios whose truth is known: precision, recall of the linkable, false discoveries, calibration, null.

    python benchmarks/link/planted.py --seeds 1-20                    one line of JSON a seed, then the sum
    python benchmarks/link/planted.py --folder ../shared/data/joint/scenario
    python benchmarks/link/planted.py --seeds 101-110 --fit           constants of the probability, and nothing else
    python benchmarks/link/planted.py --seeds 1-20 --null rename      what is linked where nothing can be

What is linkable is defined in docs/joint.md. Sessions and behaviours come from ``intel.session``, sightings from
``darknet.sightings``, as in ``andon analyze``; the last day's links are what is scored. ``--lease``, ``--honeypots``,
``--contamination``, ``--clock-offset``, ``--nat`` are given to the generator; what is not given it draws by seed.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from andon.detect.darknet import link, sightings
from andon.detect.darknet.link.associate import Pairings
from andon.detect.darknet.link.day import SEPARATOR
from andon.detect.darknet.link.evidence import Judged, judge
from andon.detect.darknet.link.versions import Analysed, analyse
from andon.detect.intel import session
from andon.observe.jsonlines import Skipped
from andon.observe.sensors import sniff
from andon.records.columns import column
from andon.records.contract import Context, Site
from andon.records.kinds import DARKNET_SOURCE, HONEYPOT_SESSION, KINDS, marked

DAY = 86_400_000_000_000
SCORED = ("token", "exploit", "credential")


def batches(folder: Path) -> Iterator[tuple[str, int, pa.RecordBatch]]:
    """(kind, day, batch) of the honeypot logs and darknet sources in a folder."""
    for path in sorted(folder.iterdir()):
        sensor = sniff(path) if path.is_file() else None
        if sensor is None or sensor.kind not in (DARKNET_SOURCE, HONEYPOT_SESSION):
            continue
        for batch in sensor.read(path, Skipped()):
            of = column(batch, KINDS[sensor.kind].time) // DAY
            for day in np.unique(of).tolist():
                yield sensor.kind, day, marked(batch.filter(pa.array(of == day)), sensor.kind)


@dataclass
class Run:
    """``last`` is the outcome of the last day, ``findings`` the number told each day."""

    last: Any
    findings: list[int]
    made: Analysed
    judged: Judged
    cpu: dict[str, float]


def run(folder: Path, daily: bool = False) -> Run:
    """All days through the three engines; without ``daily`` links are looked for on the last day alone."""
    site = Site()
    engines = {DARKNET_SOURCE: sightings.engine(site), HONEYPOT_SESSION: session.engine(site)}
    linker = link.engine(site)
    cpu = dict.fromkeys((*engines, "link"), 0.0)
    summaries: dict[tuple[str, int], Any] = {}
    for kind, day, batch in batches(folder):
        begin = time.thread_time()
        key = kind, day
        summaries[key] = engines[kind].summarise(batch, summaries.get(key) or engines[kind].empty())
        cpu[kind] += time.thread_time() - begin
    carries: dict[str, Any] = {}
    outcome: Any = None
    told = []
    days = sorted({day for _, day in summaries})
    for day in days:
        tables: dict[str, pa.Table] = {}
        where = {"span": "1d", "start": day * DAY, "end": (day + 1) * DAY}
        for kind, engine in engines.items():
            begin = time.thread_time()
            summary = summaries.pop((kind, day), None) or engine.empty()
            done = engine.conclude(summary, carries.get(kind), Context(**where))
            carries[kind] = done.carry
            tables |= {f"{engine.name}:{name}": table for name, table in done.tables.items()}
            cpu[kind] += time.thread_time() - begin
        begin = time.thread_time()
        if daily or day == days[-1]:
            outcome = linker.conclude(linker.empty(), carries.get("link"), Context(**where, tables=tables))
            carries["link"] = outcome.carry
            told.append(len(outcome.findings))
        else:
            carries["link"] = linker.remember(carries.get("link"), Context(**where, tables=tables))[0]
        cpu["link"] += time.thread_time() - begin
    made = analyse(
        outcome.carry, int(outcome.carry.levels[:, 0].min()) * 86400, (days[-1] + 1) * 86400, site.hash_key
    )
    return Run(outcome, told, made, judge(made), cpu)


class Truth:
    """Families, and what of them is linkable; see docs/joint.md."""

    def __init__(self, folder: Path) -> None:
        body = json.loads((folder / "truth" / "families.json").read_text())
        self.families = {one["family"]: one for one in body}
        self.true: set[tuple[str, str, str]] = set()
        for one in body:
            if one["fingerprint"]:
                shown = [("token", one["token"])] + [("exploit", cve) for cve in one["cve"]]
                shown += [("credential", ":".join(pair)) for pair in one["creds"]]
                self.true |= {(one["fingerprint"], *what) for what in shown}

    def sets(self, made: Analysed, target: Pairings, linked: np.ndarray) -> tuple[list[int], list[int]]:
        """([links of port sets, those of which a family with the behaviour asks for all these ports], [families without
        a fingerprint that are met at honeypots, those found by a link of a port set])."""
        right = count = 0
        found = set()
        for n in np.flatnonzero(linked & (target.mark >= made.marks.fingerprints)).tolist():
            ports = set(made.marks.texts[target.mark[n]].split(","))
            kind, value = made.history.behaviours[target.behaviour[n]].split(SEPARATOR, 1)
            if kind not in SCORED:
                continue
            count += 1
            of = [
                one["family"]
                for one in self.families.values()
                if value in (one["token"], *one["cve"], *(":".join(pair) for pair in one["creds"]))
                and ports <= set(map(str, one["ports"]))
            ]
            right += bool(of)
            found |= set(of)
        bare = {n for n, one in self.families.items() if not one["fingerprint"] and one.get("services", [1])}
        return [count, right], [len(bare), len(bare & found)]

    def linkable(self, folder: Path, made: Analysed) -> set[tuple[str, str, str]]:
        """Pairs that can be found: by the truth about sessions, and the darknet's rows as they were read."""
        table = pq.read_table(folder / "truth" / "sessions.parquet").to_pylist()
        bots = {row["session"]: row["family"] for row in table if row["role"] == "bot"}
        seen = defaultdict(list)
        sources = pq.read_table(
            folder / "darknet_sources.parquet", columns=["ts", "src", "fingerprint"]
        ).to_pydict()
        for ts, src, fingerprint in zip(sources["ts"], sources["src"], sources["fingerprint"], strict=True):
            if fingerprint:
                seen[int(IPv4Address(src)), fingerprint].append(ts)
        networks = defaultdict(set)
        history = made.history
        begins = history.sessions.begins()
        for row, name in enumerate(history.sessions.name):
            family = self.families.get(bots.get(name.rsplit("/", 1)[-1], ""))
            if family is None or not family["fingerprint"]:
                continue
            address, at = int(history.sessions.address[row]), int(history.sessions.at[row])
            probes = seen.get((address, family["fingerprint"]), ())
            if not any(abs(at - ts) <= 86_400 for ts in probes):
                continue
            first = begins[row]
            for code in history.sessions.behaviour[first : first + history.sessions.count[row]].tolist():
                kind, value = history.behaviours[code].split(SEPARATOR, 1)
                networks[family["fingerprint"], kind, value].add(address >> 8)
        return {pair for pair, held in networks.items() if len(held) >= 3 and pair in self.true}


def names(made: Analysed, target: Pairings) -> list[tuple[str, str, str] | None]:
    """(fingerprint, kind, value) of each pairing that is scored, else None."""
    found: list[tuple[str, str, str] | None] = []
    for mark, behaviour in zip(target.mark.tolist(), target.behaviour.tolist(), strict=True):
        kind, value = made.history.behaviours[behaviour].split(SEPARATOR, 1)
        scored = mark < made.marks.fingerprints and kind in SCORED
        found.append((made.marks.texts[mark], kind, value) if scored else None)
    return found


def score(folder: Path, daily: bool = False) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """(figures, weights and truth of all pairings of the scored kinds)."""
    done = run(folder, daily)
    truth = Truth(folder)
    target = done.made.target.pairings
    named = names(done.made, target)
    linkable = truth.linkable(folder, done.made)
    rows = [(n, one) for n, one in enumerate(named) if one is not None]
    linked = {one for n, one in rows if done.judged.linked[n]}
    fdr = float(max((done.judged.fdr[n] for n, one in rows if done.judged.linked[n]), default=0.0))
    weight = np.array([done.judged.weight[n] for n, _ in rows])
    right = np.array([one in truth.true for _, one in rows], np.bool_)
    probability = np.array([done.judged.probability[n] for n, _ in rows])
    sets, bare = truth.sets(done.made, target, done.judged.linked)
    by_kind = {
        kind: {
            "links": sum(one[1] == kind for one in linked),
            "right": sum(one[1] == kind for one in linked & truth.true),
            "linkable": sum(one[1] == kind for one in linkable),
            "found": sum(one[1] == kind for one in linked & linkable),
        }
        for kind in SCORED
    }
    figures = {
        "links": len(linked),
        "right": len(linked & truth.true),
        "linkable": len(linkable),
        "found": len(linked & linkable),
        "all_links": int(done.judged.linked.sum()),
        "fdr_printed": round(fdr, 5),
        "fdr_true": round(1 - len(linked & truth.true) / max(len(linked), 1), 5),
        "fdr_time": round(done.judged.fdr_time, 3),
        "pairings": len(right),
        "brier": round(float(np.mean((probability - right) ** 2)), 5) if len(right) else None,
        "matched": target.matched,
        "ambiguous": len(done.made.target.marked.ambiguous),
        "clock": [done.made.offsets[0].seconds, done.made.offsets[0].method],
        "by_kind": by_kind,
        "sets": sets,
        "without_fingerprint": bare,
        "wrong": sorted(map(list, linked - truth.true))[:10],
        "told": done.findings,
        "cpu": {name: round(seconds, 2) for name, seconds in done.cpu.items()},
    }
    return figures, weight, right


def fit(weight: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """(slope, intercept) of a logistic function, with Platt's smoothed targets (1999)."""
    positive, negative = int(right.sum()), int((~right).sum())
    target = np.where(right, (positive + 1) / (positive + 2), 1 / (negative + 2))
    x = np.stack([weight, np.ones(len(weight))], axis=1)
    beta = np.zeros(2)
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(x @ beta, -50, 50)))
        step = np.linalg.solve(x.T @ (x * (p * (1 - p))[:, None]) + 1e-9 * np.eye(2), x.T @ (target - p))
        beta += step
        if np.abs(step).max() < 1e-9:
            break
    return float(beta[0]), float(beta[1])


def reliability(probability: np.ndarray, right: np.ndarray) -> list[list[float]]:
    """[mean probability, share right, number] in bins of a tenth."""
    place = np.minimum((probability * 10).astype(int), 9)
    return [
        [*(round(float(values[place == n].mean()), 3) for values in (probability, right)), int((place == n).sum())]
        for n in range(10)
        if (place == n).any()
    ]  # fmt: skip


def main() -> None:
    parse = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parse.add_argument("--seeds", default="")
    parse.add_argument("--folder", type=Path)
    parse.add_argument("--fit", action="store_true")
    parse.add_argument("--daily", action="store_true")
    parse.add_argument("--null", default="")
    parse.add_argument("--days", type=float, default=21.0)
    parse.add_argument("--devices", type=int, default=5000)
    for name in ("lease", "contamination", "clock-offset", "nat", "honeypots"):
        parse.add_argument(f"--{name}", type=float)
    given = parse.parse_args()
    results, weights, rights = [], [], []
    if given.folder:
        figures, _, _ = score(given.folder, given.daily)
        print(json.dumps(figures))
        return
    from andon.simulate.joint import Scenario, simulate

    first, _, last = given.seeds.partition("-")
    for seed in range(int(first), int(last or first) + 1):
        with tempfile.TemporaryDirectory() as folder:
            drawn = {n: getattr(given, n) for n in ("lease", "contamination", "clock_offset", "nat")}
            scenario = Scenario(
                seed=seed, days=given.days, devices=given.devices, null=given.null,
                honeypots=None if given.honeypots is None else int(given.honeypots), **drawn,
            )  # fmt: skip
            simulate(scenario, Path(folder))
            figures, weight, right = score(Path(folder), given.daily)
        results.append(figures)
        weights.append(weight)
        rights.append(right)
        drawn = {name: round(value, 3) for name, value in scenario.drawn.items()}
        print(json.dumps({"seed": seed, **figures, "drawn": drawn}), flush=True)
    weight, right = np.concatenate(weights), np.concatenate(rights)
    sums = {
        name: sum(one[name] for one in results)
        for name in ("links", "right", "linkable", "found", "all_links")
    }
    total: dict[str, Any] = {
        **sums,
        "precision": round(sums["right"] / max(sums["links"], 1), 4),
        "recall": round(sums["found"] / max(sums["linkable"], 1), 4),
        "runs_with_links": sum(one["all_links"] > 0 for one in results),
        "runs": len(results),
    }
    from andon.detect.darknet.link.evidence import INTERCEPT, SLOPE

    probability = 1 / (1 + np.exp(-np.clip(SLOPE * weight + INTERCEPT, -50, 50)))
    total["brier"] = round(float(np.mean((probability - right) ** 2)), 5)
    total["reliability"] = reliability(probability, right)
    if given.fit:
        total["slope"], total["intercept"] = (round(value, 4) for value in fit(weight, right))
        total["pairings"], total["right_pairings"] = len(right), int(right.sum())
    print(json.dumps(total))


if __name__ == "__main__":
    main()
