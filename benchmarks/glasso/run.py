"""What darknet.glasso and darknet.changefinder cost, and how exact the graphical lasso is.

    python benchmarks/glasso/run.py [--part solver|spans|packets|alerts ...] [--networks 500] [--peer-networks 300]

Parts, each printing JSON objects, one a line; all times are CPU seconds of one thread:

solver   windows of a simulated Internet at a /20, ``--networks`` of their networks drawn at random: all six rho;
         edges, violation of the conditions of the minimum (by a matrix inversion of its own) and distance of the
         nearest undecided entry. On ``--peer-networks`` of the same window scikit-learn's ``graphical_lasso`` on the
         same blocks (``S + rho I``, so that both penalise the diagonal), its time and the edges on which they differ.
spans    twelve spans with 1,000 networks each, as the engine concludes them: quiet, and busy ones in which no two
         networks have equal counts.
packets  ns per packet to summarise, seconds to conclude a span at 20,000 packets/s, bytes of a summary.
alerts   both engines over days of ``andon.simulate.coordination``, scored by ``andon.simulate.score_alerts``: planted
         events found, false alerts, delay (``--days``, ``--telescope``, ``--most-hosts``, ``--warm-up``).
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from andon.detect.darknet import changefinder, glasso
from andon.detect.darknet.glasso.hosts import covariance
from andon.detect.darknet.glasso.options import PUBLISHED_RHO
from andon.detect.darknet.glasso.solver import Solution, components, graphical_lasso_path, precision
from andon.records.columns import column
from andon.records.contract import Context, Site
from andon.simulate import coordination
from andon.simulate.internet import InternetConfig, packets
from andon.simulate.score_alerts import Run, score, threshold_for

SPAN = 600_000_000_000
PARTS = ("solver", "spans", "packets", "alerts")


def show(**values: Any) -> None:
    brief = {
        name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in values.items()
    }
    print(json.dumps(brief), flush=True)


def windows(total: int, telescope: str, noise: float = 0.7, spans: int = 3) -> Iterator[np.ndarray]:
    """Counts (networks, 12) of TCP packets in spans of ten minutes."""
    config = InternetConfig(
        seed=5, packets=total * spans, duration=600.0 * spans, telescope=(telescope,), noise=noise
    )
    counts = np.zeros((1 << 16, 12 * spans), np.int64)
    for batch in packets(config):
        tcp = column(batch, "proto") == 6
        sample = (column(batch, "ts")[tcp] - config.start_ns) // (SPAN // 12)
        np.add.at(counts, (column(batch, "src")[tcp] >> 16, np.minimum(sample, 12 * spans - 1)), 1)
    for n in range(spans):
        part = counts[:, 12 * n : 12 * n + 12]
        yield part[part.sum(axis=1) > 0]


def drawn(counts: np.ndarray, networks: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    return counts[np.sort(rng.choice(len(counts), min(networks, len(counts)), replace=False))]


def whole(cov: np.ndarray, size: np.ndarray, group: np.ndarray, answer: Solution) -> np.ndarray:
    theta, within = precision(cov, size, answer)
    full = np.where(group[:, None] == group[None, :], within[group][:, None], theta[np.ix_(group, group)])
    np.fill_diagonal(full, np.diag(theta)[group])
    return (full + full.T) / 2


def conditions(cov: np.ndarray, rho: float, theta: np.ndarray) -> tuple[float, float]:
    """(largest violation of the conditions, distance of the nearest zero entry from becoming an edge)."""
    gradient = cov - np.linalg.inv(theta)
    off = ~np.eye(len(cov), dtype=bool)
    linked = (theta != 0) & off
    free = np.abs(gradient)[off & ~linked] - rho
    violation = max(
        float(np.max(np.abs(gradient + rho * np.sign(theta))[linked], initial=0.0)),
        float(np.max(free, initial=0.0)),
        float(np.max(np.abs(np.diag(gradient) + rho))),
    )
    return violation, float(-np.max(free, initial=-np.inf))


def solver(networks: int, peer_networks: int) -> None:
    for kind, total in (("quiet", 65_000), ("usual", 165_000), ("busy", 500_000)):
        for n, counts in enumerate(windows(total, "203.8.0.0/20")):
            sample = drawn(counts, networks)
            cov, size, group = covariance(sample)
            began = time.thread_time()
            answers = graphical_lasso_path(cov, size, PUBLISHED_RHO)
            spent = time.thread_time() - began
            full = cov[np.ix_(group, group)]
            checked = [conditions(full, answer.rho, whole(cov, size, group, answer)) for answer in answers]
            show(
                part="solver",
                window=f"{kind} {n}",
                active=len(counts),
                networks=len(sample),
                groups=len(size),
                cpu_s=spent,
                edges=[answer.edges for answer in answers],
                largest=[answer.largest for answer in answers],
                sweeps=[answer.sweeps for answer in answers],
                violation=max(violation for violation, _ in checked),
                nearest_zero=min(distance for _, distance in checked),
            )
        for tolerance in (1e-4, 1e-6, 1e-8):
            began = time.thread_time()
            again = graphical_lasso_path(cov, size, PUBLISHED_RHO, tolerance)
            show(
                part="tolerance",
                window=f"{kind} {n}",
                tolerance=tolerance,
                cpu_s=time.thread_time() - began,
                edges=[answer.edges for answer in again],
            )
        peer(drawn(counts, peer_networks), kind)


def peer(counts: np.ndarray, kind: str) -> None:
    """scikit-learn on the same blocks, for the first and the last rho."""
    from sklearn.covariance import graphical_lasso

    cov, size, group = covariance(counts)
    full = cov[np.ix_(group, group)]
    for rho in (PUBLISHED_RHO[0], PUBLISHED_RHO[-1]):
        began = time.thread_time()
        ours = graphical_lasso_path(cov, size, (rho,))[0]
        mine = time.thread_time() - began
        theta = whole(cov, size, group, ours)
        label = components(full, rho)
        began = time.thread_time()
        theirs = np.zeros_like(full)
        failed = 0
        for block in np.flatnonzero(np.bincount(label) > 1):
            members = np.flatnonzero(label == block)
            part = full[np.ix_(members, members)] + rho * np.eye(len(members))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    theirs[np.ix_(members, members)] = graphical_lasso(
                        part, rho, tol=1e-6, enet_tol=1e-6, max_iter=300
                    )[1]
                except FloatingPointError:  # it says that the problem is too ill-conditioned
                    failed += 1
        spent = time.thread_time() - began
        off = ~np.eye(len(full), dtype=bool)
        differ = ((theta != 0) != (theirs != 0)) & off
        show(
            part="peer",
            window=kind,
            networks=len(counts),
            rho=rho,
            largest_block=int(np.bincount(label).max()),
            cpu_s=mine,
            sklearn_cpu_s=spent,
            sklearn_failed_blocks=failed,
            edges=ours.edges,
            sklearn_edges=float(np.count_nonzero(theirs[off]) / 2),
            edges_that_differ=float(np.count_nonzero(differ) / 2),
            largest_entry_of_these=float(
                np.max(np.maximum(np.abs(theta), np.abs(theirs))[differ], initial=0.0)
            ),
            violation=conditions(full, rho, theta)[0],
            sklearn_violation=0.0 if failed else conditions(full, rho, _positive(theirs, full, rho))[0],
        )


def _positive(theta: np.ndarray, cov: np.ndarray, rho: float) -> np.ndarray:
    """With the diagonal of variables that stand alone."""
    alone = np.diag(theta) == 0
    full = (theta + theta.T) / 2
    full[alone, alone] = 1 / (np.diag(cov)[alone] + rho)
    return full


def spans() -> None:
    rng = np.random.default_rng(3)
    kinds = {
        "simulated": list(windows(165_000, "203.8.0.0/20", spans=12)),
        "one packet a sample, no series alike": [rng.poisson(1.0, (1000, 12)) for _ in range(12)],
    }
    for kind, counts in kinds.items():
        spent = []
        for part in counts:
            began = time.thread_time()
            cov, size, _ = covariance(drawn(part, 1000))
            answers = graphical_lasso_path(cov, size, PUBLISHED_RHO)
            spent.append(time.thread_time() - began)
        show(
            part="spans",
            kind=kind,
            networks=1000,
            groups_of_the_last=len(size),
            cpu_s_a_span=[round(value, 2) for value in spent],
            worst_cpu_s=max(spent),
            converged=all(answer.converged for answer in answers),
        )


def cost() -> None:
    total = 1_000_000
    config = InternetConfig(seed=5, packets=total, duration=600.0, telescope=("203.8.0.0/16",), noise=0.7)
    batches = list(packets(config))
    start = config.start_ns // SPAN * SPAN
    for repeats in (1, 12):  # the same packets twelve times over stand for 20,000 packets/s
        for engine in (glasso.engine(Site()), changefinder.engine(Site())):
            engine.summarise(batches[0].slice(0, 1000), engine.empty())
            began = time.thread_time()
            summary = engine.empty()
            for _ in range(repeats):
                for batch in batches:
                    summary = engine.summarise(batch, summary)
            spent = time.thread_time() - began
            began = time.thread_time()
            outcome = engine.conclude(summary, None, Context("10min", start, start + SPAN))
            concluded = time.thread_time() - began
            show(
                part="packets",
                packets_per_s=total * repeats / 600,
                engine=engine.name,
                ns_per_packet=spent / (total * repeats) * 1e9,
                conclude_s=concluded,
                concluded=bool(outcome.tables),
                pairs=summary.pairs.used,
                level=summary.pairs.level,
                bytes=len(summary.to_bytes()),
            )


def alerts(days: float, telescope: str, most_hosts: int, warm_up: int, seed: int) -> None:
    scenario = coordination.Scenario(seed=seed, telescope=(telescope,), days=days)
    chosen = {"darknet.glasso.most_hosts": most_hosts, "darknet.glasso.warm_up": warm_up}
    engines = {"glasso": glasso.engine(Site(settings=chosen)), "changefinder": changefinder.engine(Site())}
    summaries = {name: engine.empty() for name, engine in engines.items()}
    carries: dict[str, Any] = dict.fromkeys(engines)
    tables: dict[str, list[pa.Table]] = {name: [] for name in engines}
    spent = dict.fromkeys(engines, 0.0)
    current = -1
    truth = coordination.event_table(coordination.World(scenario))

    def close(start: int) -> None:
        for name, engine in engines.items():
            began = time.thread_time()
            outcome = engine.conclude(summaries[name], carries[name], Context("10min", start, start + SPAN))
            spent[name] += time.thread_time() - began
            carries[name], summaries[name] = outcome.carry, engine.empty()
            if "alerts" in outcome.tables:
                tables[name].append(outcome.tables["alerts"])

    for batch in coordination.packets(scenario):
        time_ns = column(batch, "ts")
        cuts = np.flatnonzero(np.diff(time_ns // SPAN)) + 1
        bounds = [0, *cuts.tolist(), batch.num_rows]
        for a, b in pairwise(bounds):
            if a == b:
                continue
            span = int(time_ns[a] // SPAN)
            if span != current and current >= 0:
                close(current * SPAN)
            current = span
            for name, engine in engines.items():
                summaries[name] = engine.summarise(batch.slice(a, b - a), summaries[name])
    close(current * SPAN)
    for name in engines:
        if not tables[name]:
            show(part="alerts", engine=name, spans=0)
            continue
        table = pa.concat_tables(tables[name])
        table = table.filter(pa.compute.greater(table["protocol"], 0))  # totals name no port
        run = Run(table, truth, scenario.calm_ns, scenario.end_ns)
        own, level = score([run]), threshold_for([run], 1.0)
        equal = score([run], level)
        said = table.filter(table["alerted"])
        show(
            part="alerts",
            engine=name,
            days=days,
            conclude_cpu_s=spent[name],
            spans_judged=len(tables[name]),
            spans_with_an_alert=len(set(said["start"].cast(pa.int64()).to_pylist())),
            rows=table.num_rows,
            own_threshold={
                "false_a_day": own.false_a_day,
                "found_of_events_above_the_limit": own.recall(),
                "median_delay_s": float(np.median(own.delays())) if len(own.delays()) else None,
            },
            one_false_alert_a_day={
                "threshold": level,
                "found_of_events_above_the_limit": equal.recall(),
                "median_delay_s": float(np.median(equal.delays())) if len(equal.delays()) else None,
            },
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=PARTS, nargs="*", default=["solver", "spans", "packets"])
    parser.add_argument("--networks", type=int, default=500)
    parser.add_argument("--peer-networks", type=int, default=300)
    parser.add_argument("--days", type=float, default=4.0)
    parser.add_argument("--telescope", default="198.18.0.0/23")
    parser.add_argument("--most-hosts", type=int, default=300)
    parser.add_argument("--warm-up", type=int, default=144)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    graphical_lasso_path(np.eye(3), np.ones(3), (0.5,))  # compiles
    for part in options.part:
        if part == "solver":
            solver(options.networks, options.peer_networks)
        elif part == "spans":
            spans()
        elif part == "packets":
            cost()
        else:
            alerts(options.days, options.telescope, options.most_hosts, options.warm_up, options.seed)


if __name__ == "__main__":
    main()
