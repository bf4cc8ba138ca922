"""Weights of the prior and scales of the probabilities of livenet.proxygraph, fitted on generated organisations.

    python benchmarks/livenet/proxygraph_fit.py [SIZES]     default 600,1200,2500,1000 (terminals; 3 CPU min)

Each organisation (``andon simulate organisation``) goes through the engines of the inside; then a logistic
regression of "is bad" on what the visits say and on each feature of ``prior`` (unweighted), organisations weighing
alike. The shipped weights lie between those of several runs, drawn towards 0 where the runs disagree, as generated
organisations are not real ones; where the generator cannot teach a weight (agent, failed, port, URL: nothing of it
depends there on what a site is) it is small by judgement. Then how the probabilities of destinations and terminals
fare, in steps: that is the calibration that findings state.
scikit-learn is needed (it is among the development tools).
"""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from andon.detect.livenet import beacon, edges, proxygraph, url
from andon.detect.livenet.proxygraph.judge import Judged, judge
from andon.detect.livenet.proxygraph.memory import Memory, remember
from andon.detect.livenet.proxygraph.prior import WEIGHTS, features
from andon.learn.registry import shipped
from andon.records.contract import Site
from andon.records.reputation import REPUTATION
from andon.run.batch import analyze

DAY, NANO = 86_400, 1_000_000_000
BAD = ("malicious", "compromised")
STEPS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.01)


def reputation(folder: Path) -> pa.Table:
    rows: list[tuple[Any, ...]] = []
    for row in csv.DictReader((folder / "black.csv").open()):
        added = datetime.fromisoformat(row["date"]).replace(tzinfo=UTC) if row["date"] else None
        rows.append((row["value"], row["type"], "black", -1, "black", row["family"], added, -1))
    for text in (folder / "white.csv").read_text().split():
        rank, value = text.split(",")
        rows.append((value, "domain", "white", -1, "white", "", None, int(rank)))
    return pa.table({name: [row[i] for row in rows] for i, name in enumerate(REPUTATION.names)}, REPUTATION)


def judged(terminals: int, seed: int, folder: Path) -> tuple[Judged, int, np.ndarray, np.ndarray]:
    """(what is believed on the last day, its end, which destinations are bad, which terminals infected)."""
    andon = str(Path(sys.executable).with_name("andon"))
    made = ["--terminals", str(terminals), "--seed", str(seed), "--logs", "squid", "--format", "combined"]
    subprocess.run(
        [andon, "simulate", "organisation", *made, "--out", str(folder)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    site = Site(reputation=reputation(folder / "lists"), models=shipped())
    found = analyze([folder / "access.log"], site, [of.engine(site) for of in (edges, url, beacon)])
    memory, end = Memory.empty(), 0
    needs = {name.split(":")[1]: name for name in proxygraph.ProxyGraph.needs}
    for day in range(len(found.tables[needs["edges"]])):
        tables = {name: found.tables[of][day] for name, of in needs.items() if of in found.tables}
        begin = int(tables["edges"]["first"].cast(pa.int64()).to_numpy().min()) // NANO // DAY * DAY
        end = begin + DAY
        memory = remember(memory, tables, begin, end, 14, 100_000_000)
    sites = pq.read_table(folder / "truth/destinations.parquet", columns=["host", "kind"]).to_pylist()
    people = pq.read_table(
        folder / "truth/terminals.parquet", columns=["terminal", "address", "campaign"]
    ).to_pylist()
    bad = {row["host"] for row in sites if row["kind"] in BAD}
    sick = {row[key] for row in people for key in ("terminal", "address") if row["campaign"] >= 0}
    names = [memory.destinations.texts["name"].to_pylist(), memory.terminals.texts["name"].to_pylist()]
    of_names = [
        np.array([name in known for name in some], bool)
        for some, known in zip(names, (bad, sick), strict=True)
    ]
    return judge(memory, site, "default", end), end, *of_names


def main() -> None:
    from sklearn.linear_model import LogisticRegression

    sizes = [int(text) for text in (sys.argv[1] if len(sys.argv) > 1 else "600,1200,2500,1000").split(",")]
    rows, labels, weights, sites, people = [], [], [], [], []
    for number, terminals in enumerate(sizes):
        with tempfile.TemporaryDirectory() as place:
            made, end, bad, sick = judged(terminals, 41 + number, Path(place))
        of = np.flatnonzero(made.judged)
        said = made.belief.odds[of, 0] - made.prior.malicious[of]
        held = features(made.memory, made.graph.visitors(), made.judged, end)
        rows.append(np.column_stack([np.clip(said, -8, 8), *(held[name][of] for name in WEIGHTS)]))
        labels.append(bad[of])
        weights.append(np.full(len(of), 1 / len(of)))
        sites.append((made.probability[of], bad[of]))
        others = ~made.black.certain
        people.append((made.infected[others], sick[others]))
        print(f"{terminals:,} terminals: {len(of):,} gray destinations, {int(bad[of].sum())} bad", flush=True)
    weight = np.concatenate(weights)
    model = LogisticRegression(C=0.3, max_iter=500)
    model.fit(np.concatenate(rows), np.concatenate(labels), sample_weight=weight * len(weight) / weight.sum())
    print(f"{'part':10s} fitted  shipped")
    for name, value in zip(("visits", *WEIGHTS), model.coef_[0], strict=True):
        print(f"{name:10s} {value:6.2f} {WEIGHTS[name][0] if name in WEIGHTS else 1.0:8.2f}")
    for what, pairs in (("destinations", sites), ("terminals", people)):
        p, y = (np.concatenate([pair[i] for pair in pairs]) for i in (0, 1))
        print(what + ": probability, how many, share that is bad")
        for low, high in pairwise(STEPS):
            at = (p >= low) & (p < high)
            print(
                f"  {low:.1f} to {min(high, 1):.1f} {int(at.sum()):8,} {y[at].mean() if at.any() else 0:8.3f}"
            )


if __name__ == "__main__":
    main()
