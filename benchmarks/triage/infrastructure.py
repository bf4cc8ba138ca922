"""The infrastructure graph against planted campaigns, against published indicators, and against the clock.

    python benchmarks/triage/infrastructure.py planted [--range ordinary|harsh] [--worlds N] [--first SEED]
    python benchmarks/triage/infrastructure.py eset FILE
    python benchmarks/triage/infrastructure.py speed [--relations N]

``planted``: every world draws its parameters anew from the range (``ordinary``, ``harsh``: their docstrings); settings
were chosen on seeds 1 to 3, 100 to 114 and 200 to 205, which are not used here. Scored are the nodes that some feed
still knows. *bound*: share of the campaign's nodes that hang together with the seed over the campaign's own things;
nobody who follows ties can find more (dynamic DNS, shared hosts and privacy services cut campaigns apart).
"""

from __future__ import annotations

import argparse
import csv
import gzip
import itertools
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

import igraph
import leidenalg
import numpy as np
import pyarrow as pa
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components

from andon.observe.enrichment import enrichment
from andon.records.infrastructure import RELATION
from andon.simulate.infrastructure import Scenario, simulate
from andon.triage.infrastructure import Graph, build, grow
from andon.triage.infrastructure.campaign import weights
from andon.triage.infrastructure.communities import partition
from andon.triage.infrastructure.nodes import KIND
from andon.triage.infrastructure.value import DESCRIPTIVE
from andon.triage.infrastructure.walk import push, sweep

MISSING = (0.0, 0.1, 0.2, 0.3, 0.4, 0.6)
SIZES = ((0, 30), (30, 80), (80, 10_000))


def load(folder: Path) -> tuple[Graph, np.ndarray]:
    """(graph, campaign of each node: -1 shared by several, -9 nobody's)."""
    graph = build([enrichment(path)[0] for path in sorted(folder.glob("*.*"))])
    label = np.full(len(graph.nodes.kinds), -9)
    with (folder / "truth" / "members.csv").open() as lines:
        for row in csv.DictReader(lines):
            for node in graph.find(row["value"]):
                label[node] = int(row["campaign"])
    return graph, label


class Baselines:
    """Ways to grow on the plain graph of nodes."""

    def __init__(self, graph: Graph) -> None:
        n = len(graph.nodes.kinds)
        a, b = graph.nodes.source.astype(np.int64), graph.nodes.target.astype(np.int64)
        ones = np.ones(2 * len(a))
        self.matrix: csr_matrix = coo_matrix((ones, (np.r_[a, b], np.r_[b, a])), shape=(n, n)).tocsr()
        self.matrix.sum_duplicates()
        self.matrix.data[:] = 1.0
        self.degree = np.diff(self.matrix.indptr)
        self.graph, self.n = graph, n
        self.part = partition(graph)

    def hops(self, seed: int, count: int, most: int = 0) -> np.ndarray:
        """Nodes within so many hops; ``most``: nothing of a higher degree, and nothing descriptive, is passed
        through."""
        seen = np.zeros(self.n, np.bool_)
        seen[seed] = True
        edge = np.array([seed])
        for _ in range(count):
            if most:
                edge = edge[(self.degree[edge] <= most) & ~DESCRIPTIVE[self.graph.nodes.kinds[edge]]]
            if not len(edge):
                break
            near = np.unique(self.matrix[edge].indices)
            edge = near[~seen[near]]
            seen[edge] = True
        return np.flatnonzero(seen)

    def walk(self, seed: int, size: int) -> np.ndarray:
        """Plain personalised PageRank, as many nodes as the campaign has."""
        ptr, other = self.matrix.indptr.astype(np.int64), self.matrix.indices.astype(np.int64)
        reached, score, _ = push(
            ptr, other, self.matrix.data, self.degree.astype(float), np.array([seed]), 0.15, 1e-6, 200_000
        )
        return reached[np.argsort(-score, kind="stable")[:size]]

    def _nodes(self, entities: np.ndarray) -> np.ndarray:
        return np.unique(np.concatenate([self.graph.nodes_of(int(entity)) for entity in entities]))

    def swept(self, seed: int) -> np.ndarray:
        """The walk on our weights, cut where the conductance is least."""
        weight, volume = weights(self.graph)
        reached, score, _ = push(
            self.graph.ptr,
            self.graph.other,
            weight,
            volume,
            self.graph.entities.of[[seed]],
            0.15,
            1e-6,
            50_000,
        )
        order = reached[np.argsort(-score / np.maximum(volume[reached], 1e-9), kind="stable")]
        cut, _ = sweep(self.graph.ptr, self.graph.other, weight, volume, order, float(volume.sum()))
        return self._nodes(np.unique(np.r_[order[:cut], self.graph.entities.of[seed]]))

    def leiden(self, seed: int) -> np.ndarray:
        """The community of the seed, on our weights."""
        return self._community(seed, self.part)

    def leidenalg(self, seed: int) -> np.ndarray:
        """The same with the library of the authors of the method."""
        return self._community(seed, self.other_part)

    @cached_property
    def other_part(self) -> np.ndarray:
        weight, _ = weights(self.graph)
        ends = np.repeat(np.arange(len(self.graph.kinds)), np.diff(self.graph.ptr))
        kept = np.flatnonzero((weight > 0) & (ends < self.graph.other))
        made = igraph.Graph(len(self.graph.kinds), np.c_[ends[kept], self.graph.other[kept]].tolist())
        found = leidenalg.find_partition(
            made, leidenalg.RBConfigurationVertexPartition, weights=weight[kept].tolist(), seed=1
        )
        return np.array(found.membership)

    def _community(self, seed: int, part: np.ndarray) -> np.ndarray:
        entity = int(self.graph.entities.of[seed])
        if part[entity] < 0:
            return self._nodes(np.array([entity]))
        return self._nodes(np.flatnonzero(part == part[entity]))


def methods(base: Baselines, size: int) -> Iterator[tuple[str, Callable[[int], np.ndarray]]]:
    yield "1 hop", lambda seed: base.hops(seed, 1)
    yield "2 hops", lambda seed: base.hops(seed, 2)
    yield "6 hops", lambda seed: base.hops(seed, 6)
    yield "6 hops, degree <= 30", lambda seed: base.hops(seed, 6, 30)
    yield "PageRank, size known", lambda seed: base.walk(seed, size)
    yield "weighted walk, sweep", base.swept
    yield "Leiden, ours (modularity)", base.leiden
    yield "Leiden, leidenalg (RB)", base.leidenalg


def grown(graph: Graph, seed: int) -> tuple[np.ndarray, dict[int, float], float]:
    """(nodes, probabilities of those and of what came nearest, CPU s)."""
    begin = time.thread_time()
    growth = grow(graph, [seed])
    spent = time.thread_time() - begin
    chance: dict[int, float] = {}
    for member in (*growth.beside, *growth.members):
        if not member.seed:
            for node in graph.find(f"{member.kind}:{member.value}"):
                chance[node] = member.probability
    nodes = [node for member in growth.members for node in graph.find(f"{member.kind}:{member.value}")]
    return np.unique(nodes), chance, spent


def reachable(graph: Graph, label: np.ndarray, campaign: int, seed: int) -> np.ndarray:
    inside = (label[graph.nodes.source] == campaign) & (label[graph.nodes.target] == campaign)
    n = len(label)
    matrix = coo_matrix(
        (np.ones(int(inside.sum())), (graph.nodes.source[inside], graph.nodes.target[inside])), shape=(n, n)
    )
    parts = connected_components(matrix, directed=False)[1]
    return np.flatnonzero((parts == parts[seed]) & (label == campaign))


def ordinary(seed: int, missing: float) -> Scenario:
    """Campaigns of 20 to 200 nodes whose operators reuse registrants, name servers, certificates and leases, as in
    published operations such as Emdivi; a third to two thirds of the names on shared hosts, a fifth to two fifths of
    the registrations behind privacy services. What else would hang on nothing is attested by samples (``attested``):
    without any tie nobody could have said that it belongs to the campaign. Missing facts take ties away from all."""
    rng = np.random.default_rng([seed, 78])
    return Scenario(
        seed=seed,
        missing=missing,
        campaigns=8,
        owners=int(rng.integers(400, 1800)),
        smallest=6,
        largest=50,
        hosting=float(rng.uniform(0.3, 0.6)),
        privacy=float(rng.uniform(0.2, 0.4)),
        reuse=float(rng.uniform(0.7, 0.95)),
        decoys=float(rng.uniform(0, 0.3)),
        cdn=float(rng.uniform(0, 0.1)),
        dynamic=float(rng.uniform(0, 0.05)),
        own_name_server=float(rng.uniform(0.1, 0.5)),
        certificates=float(rng.uniform(0.4, 0.9)),
        samples=float(rng.uniform(0.4, 1.0)),
        lease_days=float(rng.uniform(45, 150)),
        expired=float(rng.uniform(0, 0.15)),
        sinkholed=float(rng.uniform(0, 0.1)),
        shared_tool=float(rng.uniform(0, 0.5)),
        bulletproof=float(rng.uniform(0, 0.1)),
        attested=1.0,
        days=int(rng.integers(400, 1500)),
    )


def harsh(seed: int, missing: float) -> Scenario:
    """Parameters drawn from very wide ranges: campaigns that hide most of what they register, bulletproof hosts that
    several share, leases of three weeks, content networks. Parts of a campaign may hang on nothing of its own."""
    rng = np.random.default_rng([seed, 77])
    return Scenario(
        seed=seed,
        missing=missing,
        campaigns=8,
        owners=int(rng.integers(400, 1800)),
        largest=int(rng.integers(20, 90)),
        hosting=float(rng.uniform(0.05, 0.5)),
        reuse=float(rng.uniform(0.4, 0.95)),
        privacy=float(rng.uniform(0.1, 0.6)),
        decoys=float(rng.uniform(0, 0.8)),
        cdn=float(rng.uniform(0, 0.3)),
        dynamic=float(rng.uniform(0, 0.15)),
        own_name_server=float(rng.uniform(0, 0.6)),
        certificates=float(rng.uniform(0.2, 0.9)),
        samples=float(rng.uniform(0.1, 1.0)),
        lease_days=float(rng.uniform(20, 150)),
        expired=float(rng.uniform(0, 0.3)),
        sinkholed=float(rng.uniform(0, 0.2)),
        shared_tool=float(rng.uniform(0, 0.9)),
        bulletproof=float(rng.uniform(0, 0.4)),
        days=int(rng.integers(400, 1500)),
    )


RANGES: dict[str, Callable[[int, float], Scenario]] = {"ordinary": ordinary, "harsh": harsh}


def planted(world: Callable[[int, float], Scenario], worlds: int, first: int) -> None:
    scores: dict[tuple[str, float], list[tuple[float, ...]]] = defaultdict(list)
    by_size: dict[tuple[int, float], list[tuple[float, ...]]] = defaultdict(list)
    chances: list[tuple[float, bool]] = []
    spent: list[float] = []
    for missing in MISSING:
        for number in range(worlds):
            with tempfile.TemporaryDirectory() as folder:
                simulate(world(first + number, missing), folder)
                graph, label = load(Path(folder))
            base = Baselines(graph)
            countable = ~DESCRIPTIVE[graph.nodes.kinds] & (label != -1)
            for campaign in range(8):
                own = np.flatnonzero(label == campaign)
                names = own[np.isin(graph.nodes.kinds[own], [KIND["registered-domain"], KIND["file"]])]
                if len(names) < 3:
                    continue
                rng = np.random.default_rng([first + number, campaign])
                for seed in rng.choice(names, 2, replace=False).tolist():
                    bound = reachable(graph, label, campaign, seed)

                    def score(
                        found: np.ndarray,
                        own: np.ndarray = own,
                        bound: np.ndarray = bound,
                        mask: np.ndarray = countable,
                    ) -> tuple[float, ...]:
                        found = found[mask[found]]
                        hits = np.isin(found, own).sum()
                        return (
                            hits / len(own),
                            hits / max(len(found), 1),
                            np.isin(found, bound).sum() / len(bound),
                        )

                    found, chance, cpu = grown(graph, seed)
                    spent.append(cpu)
                    chances += [
                        (p, bool(label[node] == campaign)) for node, p in chance.items() if countable[node]
                    ]
                    ours = (*score(found), len(bound) / len(own))
                    scores["grow", missing].append(ours)
                    place = next(at for at, (low, high) in enumerate(SIZES) if low <= len(own) < high)
                    by_size[place, missing].append(ours)
                    for name, method in methods(base, len(own)):
                        scores[name, missing].append((*score(method(seed)), ours[3]))
    count = len(scores["grow", MISSING[0]])
    print(
        f"{worlds} worlds at each share, {count} seeds each; recall / precision "
        "(recall of what hangs together with the seed)"
    )
    print(f"{'missing':24}" + "".join(f"{share:>20.0%}" for share in MISSING))
    bounds = [float(np.mean([row[3] for row in scores["grow", share]])) for share in MISSING]
    print(f"{'bound of recall':24}" + "".join(f"{value:>20.3f}" for value in bounds))
    for name in dict.fromkeys(name for name, _ in scores):
        cells = [np.mean(scores[name, share], axis=0) for share in MISSING]
        print(f"{name:24}" + "".join(f"{f'{c[0]:.3f} / {c[1]:.3f} ({c[2]:.2f})':>20}" for c in cells))
    cells = [np.median(scores["grow", share], axis=0) for share in MISSING]
    print(f"{'grow, median':24}" + "".join(f"{f'{c[0]:.3f} / {c[1]:.3f} ({c[2]:.2f})':>20}" for c in cells))
    for place, (low, high) in enumerate(SIZES):
        rows = [by_size[place, share] for share in MISSING]
        cells = [np.mean(row, axis=0) if row else np.full(4, np.nan) for row in rows]
        name = f"grow, {low} to {high} nodes" if high < 10_000 else f"grow, {low} nodes and more"
        print(f"{name:24}" + "".join(f"{f'{c[0]:.3f} / {c[1]:.3f} ({c[2]:.2f})':>20}" for c in cells))
    print(
        f"\nCPU of one growth: median {1e3 * np.median(spent):.1f} ms, 95 % {1e3 * np.quantile(spent, 0.95):.1f} ms"
    )
    print("\nprobability said, nodes, share that were members")
    p, true = np.array([row[0] for row in chances]), np.array([row[1] for row in chances])
    steps = (0, 0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97, 1.01)
    for low, high in itertools.pairwise(steps):
        here = (p >= low) & (p < high)
        if here.any():
            print(f"{low:.2f} to {min(high, 1):.2f} {here.sum():8,} {true[here].mean():.2f}")


def eset(path: Path) -> None:
    """One indicator of each case with at least fifteen of its own, as the research note had it."""
    document = json.loads(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())
    table, skipped = enrichment(path)
    graph = build([table])
    base = Baselines(graph)
    cases: dict[str, list[int]] = defaultdict(list)
    words = {
        "ip": "address",
        "regdom": "registered-domain",
        "sha1": "file",
        "sha256": "file",
        "md5": "file",
        "org": "operator",
        "file": "file-name",
        "det": "detection",
    }
    lost = 0
    for node in document["nodes"]:
        kind, _, value = node["id"].partition(":")
        hits = graph.find(f"{words.get(kind, kind)}:{value}") or graph.find(value)
        lost += not hits
        if hits and len(node["cases"]) == 1:
            cases[node["cases"][0]].append(hits[0])
    parts = connected_components(base.matrix, directed=False)
    print(
        f"{len(document['nodes']):,} nodes, {len(document['edges']):,} edges, {lost:,} nodes without an edge, "
        f"{skipped.lines} skipped; {parts[0]:,} components"
    )
    rows: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for _case, nodes in sorted(cases.items()):
        own = np.unique(nodes)
        if len(own) < 15:
            continue
        total = len(own)
        rng = np.random.default_rng(len(own))
        for seed in rng.choice(own, 3, replace=False).tolist():
            found: list[tuple[str, np.ndarray]] = [("grow", grown(graph, seed)[0])]
            found += [(name, method(seed)) for name, method in methods(base, total)]
            found.append(("bound: its component", own[parts[1][own] == parts[1][seed]]))
            for name, got in found:
                hits = np.isin(got, own).sum()
                rows[name].append((hits / total, hits / max(len(got), 1)))
    print(f"{len(rows['grow'])} seeds; recall, precision")
    for name, values in rows.items():
        recall, precision = np.mean(values, axis=0)
        print(f"{name:24} {recall:.3f} {precision:.3f}")


def speed(relations: int) -> None:
    """Owners with four names each: a fifth on a server of their own, the others on hosts of heavy-tailed size."""
    rng = np.random.default_rng(1)
    n = relations // 4
    at = np.arange(n)
    hosts = np.minimum(rng.zipf(1.3, n), 20_000)
    where = np.where(rng.random(n) < 0.2, 100_000 + at // 4, hosts)
    tables = []
    for relation, kind, values in (
        ("resolves-to", "address", [f"{11 + (i >> 16)}.{i >> 8 & 255}.{i & 255}.7" for i in where.tolist()]),
        ("registered-by", "registrant", [f"p{i // 4}@mail.test" for i in range(n)]),
        ("served-by", "name-server", [f"ns{i % 2}.h{i % 997}.org" for i in hosts.tolist()]),
        ("certified-by", "certificate", [f"{i:064x}" for i in range(n)]),
    ):
        begin = rng.integers(1_600_000_000, 1_750_000_000, n) * 10**9
        columns = [
            pa.array(["domain"] * n),
            pa.array([f"www.d{i}.net" if i % 5 == 0 else f"d{i}.net" for i in range(n)]),
            pa.array([relation] * n),
            pa.array([kind] * n),
            pa.array(values),
            pa.array(begin, pa.timestamp("ns", "UTC")),
            pa.array(begin + 60 * 86_400 * 10**9, pa.timestamp("ns", "UTC")),
            pa.array(np.ones(n, np.int64)),
            pa.array(["bench"] * n),
        ]
        tables.append(pa.table(columns, names=RELATION.names).cast(RELATION))
    build([table.slice(0, 100) for table in tables])
    begin_cpu = time.process_time()
    graph = build(tables)
    spent = time.process_time() - begin_cpu
    nodes, edges, entities = graph.size_of
    print(
        f"build: {sum(t.num_rows for t in tables):,} relations, {nodes:,} nodes, {edges:,} edges, "
        f"{entities:,} entities: {spent:.2f} CPU s"
    )
    begin_cpu = time.process_time()
    weights(graph)
    _ = graph.members, graph.block_members
    print(f"indexes made once: {time.process_time() - begin_cpu:.2f} CPU s")
    spans, sizes = [], []
    grow(graph, [int(graph.nodes.source[0])])
    for seed in rng.choice(nodes, 200, replace=False).tolist():
        begin_cpu = time.thread_time()
        sizes.append(len(grow(graph, [seed]).members))
        spans.append(time.thread_time() - begin_cpu)
    print(
        f"grow: median {1e3 * np.median(spans):.1f} ms, 95 % {1e3 * np.quantile(spans, 0.95):.1f} ms, "
        f"most {1e3 * max(spans):.1f} ms CPU; "
        f"members: median {np.median(sizes):.0f}, most {max(sizes)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("planted", "eset", "speed"))
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--range", choices=tuple(RANGES), default="ordinary")
    parser.add_argument("--worlds", type=int, default=6)
    parser.add_argument("--first", type=int, default=1000)
    parser.add_argument("--relations", type=int, default=1_000_000)
    given = parser.parse_args()
    if given.what == "planted":
        planted(RANGES[given.range], given.worlds, given.first)
    elif given.what == "eset":
        if given.file is None:
            parser.error("eset needs the file of the graph")
        eset(given.file)
    else:
        speed(given.relations)


if __name__ == "__main__":
    main()
