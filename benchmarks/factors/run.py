"""Dark-NMF and Dark-NTD: what they cost, how the solvers compare, what they find on a simulated telescope.

    python benchmarks/factors/run.py cost [--rate 20000] [--seconds 120]     CPU per packet, merge, conclusion of a span
    python benchmarks/factors/run.py solvers [--hosts 2194]                   multiplicative updates, HALS, scikit-learn
    python benchmarks/factors/run.py found [--days 0.5] [--telescope 198.18.0.0/21] [--seed 5]

``found`` plays a scenario with planted botnets and decoys, concludes each half hour with both engines, published and
corrected, and matches alerts to events by port and protocol and time. An event counts as found if one of its ports is
alerted in a span that overlaps it; an alert on another port is false. Alerts on decoys are counted apart. "Surveys out"
are the published rules, told by the simulator which addresses belong to surveys, as ``darknet.purpose`` would tell them
at best; the corrected rules get no such help here. Times are CPU seconds of one thread.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import resource
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from andon.detect.darknet import nmf, ntd
from andon.detect.darknet.nmf import factorise
from andon.records.columns import column
from andon.records.contract import Context, Site
from andon.records.coordination import START
from andon.simulate.coordination import Scenario, events, packets
from andon.simulate.coordination.stream import World
from andon.simulate.internet import InternetConfig
from andon.simulate.internet import packets as internet
from andon.sketch.factors.cells import READ, Cells

SPAN = 1_800_000_000_000
SURVEYS = "darknet.purpose:sources@last"


def engines() -> dict[str, Any]:
    """Both engines: as published, the published rules on a telescope whose surveys are known, corrected."""
    made: dict[str, Any] = {}
    for module, name in ((nmf, "nmf"), (ntd, "ntd")):
        for words, settings in (
            ("published", {}),
            ("published, surveys out", {"surveys_out": True, "quiet_spans": True}),
            ("corrected", {"rules": "corrected"}),
        ):
            named = {f"darknet.{name}.{key}": value for key, value in settings.items()}
            made[f"{name} {words}"] = module.engine(Site(settings=named))
    return made


def timed(work: Any, *given: Any) -> tuple[Any, float]:
    began = time.process_time()
    return work(*given), time.process_time() - began


def cost(options: argparse.Namespace) -> dict[str, Any]:
    config = InternetConfig(
        seed=3,
        packets=options.rate * options.seconds,
        start=datetime(2026, 1, 1, tzinfo=UTC),
        duration=float(options.seconds),
        contamination=0.05,
    )
    engine = nmf.engine(Site())
    _, compiled = timed(_warm, engine)
    cells, spent, count = engine.empty(), 0.0, 0
    for batch in internet(config):
        part = batch.select(list(READ))
        cells, seconds = timed(engine.summarise, part, cells)
        spent, count = spent + seconds, count + part.num_rows
    data, packed = timed(cells.to_bytes)
    other = Cells.from_bytes(data)
    _, merged = timed(engine.merge, engine.empty(), other)
    start = config.start_ns // SPAN * SPAN
    result: dict[str, Any] = {
        "packets": count,
        "requests": cells.packets,
        "ns a packet": round(spent / count * 1e9, 1),
        "compiled or loaded, CPU s": round(compiled, 2),
        "cells": cells.rows.used,
        "one network in": 1 << cells.rows.level,
        "bytes of the summary": len(data),
        "to bytes, CPU s": round(packed, 3),
        "merge, CPU s": round(merged, 3),
        "networks": len(np.unique(cells.rows.table()[0] >> np.uint64(16) & np.uint64(0xFFFF))),
    }
    for name, made in engines().items():
        carry = None
        for _ in range(4 if "corrected" in name else 1):  # the corrected rules learn for three spans
            outcome, seconds = timed(made.conclude, cells, carry, Context("30min", start, start + SPAN))
            carry = outcome.carry
        result[f"conclude, {name}, CPU s"] = round(seconds, 3)
    result["peak memory, MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return result


def _warm(engine: Any) -> None:
    tiny = InternetConfig(seed=1, packets=2000, duration=60.0)
    for batch in internet(tiny):
        half = engine.summarise(batch.select(list(READ)), engine.empty())
        engine.merge(engine.empty(), half)
        Cells.from_bytes(half.to_bytes())
        engine.conclude(half, None, Context("30min", 0, SPAN))


def matrix_like(hosts: int, seed: int) -> np.ndarray:
    """Minutes by networks: 20 groups with a course of their own, log-normal sizes, a Poisson count in each cell."""
    rng = np.random.default_rng(seed)
    course = rng.gamma(0.3, 1.0, (30, 20))
    course /= course.sum(axis=0)
    mean = course[:, rng.integers(0, 20, hosts)] * np.exp(rng.normal(2.5, 1.2, hosts))
    counts = rng.poisson(mean)
    return np.asarray(counts[:, (counts.sum(axis=0) >= 2) & (counts.max(axis=0) <= 60)], np.float64)


def solvers(options: argparse.Namespace) -> dict[str, Any]:
    from sklearn.decomposition import NMF  # type: ignore[import-not-found]

    v = matrix_like(options.hosts, 1)
    m, seconds = timed(factorise.matrix, v)
    result: dict[str, Any] = {
        "V": list(v.shape),
        "distinct columns": m.v.shape[1],
        "distinct columns, CPU s": round(seconds, 4),
    }
    errors = {}
    for solver in ("mu", "hals"):
        found, seconds = timed(factorise.all_ranks, m, 10, 3000, 1e-5, solver)
        errors[solver] = [round(one.error, 5) for one in found]
        result[solver] = {
            "r = 1..10, CPU s": round(seconds, 3),
            "iterations": [one.rounds for one in found],
            "mean squared error": errors[solver],
        }
    u, _, vt = np.linalg.svd(v, full_matrices=False)
    spent, sizes = 0.0, []
    for r in range(1, 11):
        rounds = result["mu"]["iterations"][r - 1]
        model = NMF(r, init="custom", solver="mu", tol=0.0, max_iter=rounds)
        w, seconds = timed(
            lambda model, r: model.fit_transform(v, W=np.abs(u[:, :r]).copy(), H=np.abs(vt[:r]).copy()),
            model,
            r,
        )
        spent += seconds
        sizes.append(round(float(np.mean((v - w @ model.components_) ** 2)), 5))
    result["scikit-learn, mu, the same start and iterations"] = {
        "r = 1..10, CPU s": round(spent, 3),
        "mean squared error": sizes,
    }
    return result


def spans(scenario: Scenario) -> Iterator[tuple[int, Cells]]:
    """Each half hour with its cells."""
    now, cells = -1, None
    for batch in packets(scenario):
        part = batch.select(list(READ))
        span = column(part, "ts") // SPAN
        for number in np.unique(span).tolist():
            if number != now:
                if cells is not None:
                    yield now * SPAN, cells
                now, cells = number, nmf.engine(Site()).empty()
            cells.add(part.filter(pa.array(span == number)))
    if cells is not None:
        yield now * SPAN, cells


def found(options: argparse.Namespace) -> dict[str, Any]:
    scenario = Scenario(
        seed=options.seed,
        telescope=tuple(options.telescope.split(",")),
        days=options.days,
        calm=options.calm / 24,
    )
    truth = events(scenario).to_pylist()
    made = engines()
    known = np.unique(np.concatenate([who.sources for who in World(scenario).surveys.organisations]))
    purposes = pa.table({"src": pa.array(known.astype(np.uint32)), "purpose": ["survey"] * len(known)})
    carry: dict[str, Any] = dict.fromkeys(made)
    alerts: dict[str, list[dict[str, Any]]] = {name: [] for name in made}
    spent: dict[str, list[float]] = {name: [] for name in made}
    asked = 0
    for start, cells in spans(scenario):
        asked += cells.packets
        for name, engine in made.items():
            outcome, seconds = timed(
                engine.conclude,
                cells,
                carry[name],
                Context(
                    "30min", start, start + SPAN, tables={SURVEYS: purposes} if "surveys out" in name else {}
                ),
            )
            carry[name] = outcome.carry
            spent[name].append(seconds)
            alerts[name] += outcome.tables["alerts"].to_pylist()
    return {
        "requests": asked,
        "events above the limit": sum(_counts(event) for event in truth),
        **{
            name: {
                "conclude, CPU s, mean and most": [round(f(spent[name]), 3) for f in (np.mean, np.max)],
                **_scored(rows, truth),
            }
            for name, rows in alerts.items()
        },
    }


def _counts(event: dict[str, Any]) -> bool:
    return not event["decoy"] and event["direction"] == START and event["above_limit"]


def _scored(rows: list[dict[str, Any]], truth: list[dict[str, Any]]) -> dict[str, Any]:
    told = [row for row in rows if row["alerted"]]
    hit = {event["name"] for event in truth if _counts(event) and any(_meets(row, event) for row in told)}
    right = [row for row in told if any(_meets(row, e) for e in truth if not e["decoy"])]
    decoys = [row for row in told if any(_meets(row, e) for e in truth if e["decoy"])]
    false = [row for row in told if not any(_meets(row, e) for e in truth)]
    # Scores of true alerts against all rows that meet nothing: the share of pairs that stand in the right order.
    good = np.array([row["score"] for row in rows if any(_meets(row, e) for e in truth if _counts(e))])
    bad = np.sort([row["score"] for row in rows if not any(_meets(row, e) for e in truth)])
    order = float(np.mean(np.searchsorted(bad, good) / len(bad))) if len(good) and len(bad) else None
    return {
        "events found": sorted(hit),
        "alerts": {"right": len(right), "on decoys": len(decoys), "false": len(false)},
        "rows": len(rows),
        "score puts a right row above a false one": None if order is None else round(order, 3),
    }


def _meets(row: dict[str, Any], event: dict[str, Any]) -> bool:
    here = (row["port"], row["protocol"])
    same = any((one["port"], one["protocol"]) == here for one in event["ports"])
    return same and row["start"] < event["ends"] and event["begins"] < row["end"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("cost", "solvers", "found"))
    parser.add_argument("--rate", type=int, default=20_000)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--hosts", type=int, default=2194)
    parser.add_argument("--days", type=float, default=0.5)
    parser.add_argument("--calm", type=float, default=3.0, help="hours without planted events")
    parser.add_argument("--telescope", default="198.18.0.0/21")
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    print(json.dumps({"cost": cost, "solvers": solvers, "found": found}[options.what](options), indent=1))


if __name__ == "__main__":
    main()
