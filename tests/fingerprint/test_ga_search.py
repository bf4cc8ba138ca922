"""The genetic search: breeding keeps trees legal, searches repeat themselves, planted relations are found."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.detect.darknet.fingerprint import ga, ga_trees
from andon.detect.darknet.fingerprint.ga_fitness import Guards
from andon.detect.darknet.fingerprint.sample import COLUMNS, Sample
from andon.records.columns import column
from andon.records.expression import compile_program, evaluate, parse
from andon.records.expression.ast import Comparison, Const
from andon.simulate.internet import Family, InternetConfig, packets, truth


def syn_sample(config: InternetConfig) -> Sample:
    batches = list(packets(config))
    names = ("ts", "src", "tcp_flags", "layers", *COLUMNS)
    columns = {name: np.concatenate([column(batch, name) for batch in batches]) for name in names}
    syn = (columns["layers"] & 5 == 5) & (columns["tcp_flags"] & 0x3F == 2)
    return Sample.of_packets({name: values[syn] for name, values in columns.items()}, 64)


def botnet(name: str, relation: str = "", tool: str = "raw") -> Family:
    return Family(name, tool, "botnet", "attack", 120, 1.0, ((23, 5), (80, 1)), relation=relation, spread=0.5)


@pytest.fixture(scope="module")
def config() -> InternetConfig:
    families = (
        botnet("mirai", tool="mirai"),
        botnet("other", "ip.id == lo16(tcp.seq) ^ tcp.srcport ^ 0x3a7"),
    )
    return InternetConfig(seed=3, packets=40_000, families=families, noise_sources=600, contamination=0.05)


@pytest.fixture(scope="module")
def sample(config: InternetConfig) -> Sample:
    return syn_sample(config)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6))
def test_every_descendant_is_an_expression_of_bounded_size(seed: int) -> None:
    rng = random.Random(seed)
    living = ga_trees.first_population(rng, 20)
    for _ in range(5):
        living = [ga_trees.mutate(rng, ga_trees.crossover(rng, *rng.choices(living, k=2))) for _ in range(10)]
    for tree in living:
        assert ga_trees.nodes(tree) <= ga_trees.LARGEST
        whole = Comparison(tree, "==", Const(0))
        assert str(parse(str(whole))) == str(whole)
        compile_program(whole)
        assert all(ga_trees.nodes(t) < ga_trees.nodes(tree) for t in ga_trees.shrink(tree))


def test_same_seed_same_search(sample: Sample) -> None:
    plan = ga.Settings(generations=6, population=40, rounds=3)
    first, again = (ga.evolve(sample, 5, plan) for _ in range(2))
    assert first.evaluations == again.evaluations > 100
    assert [(f.relation, f.sources.tolist()) for f in first.families] == [
        (f.relation, f.sources.tolist()) for f in again.families
    ]


def test_planted_families_are_found_with_their_sources(config: InternetConfig, sample: Sample) -> None:
    table = truth(config)[0]
    found = {f.relation: f for f in ga.search(sample, seed=1, generations=25, population=200, rounds=5)}
    mirai = found["tcp.seq == ip.dst"]
    names = np.array(table["family"].to_pylist(), object)
    real = set(table["src"].to_numpy()[names == "mirai"].tolist())
    given_to = set(sample.src[mirai.sources].tolist())
    assert given_to <= real
    assert len(given_to) >= 0.95 * len(real)
    assert (mirai.scope, mirai.bits, mirai.layer) == ("global", 32.0, "ga")
    # High address bits of five blocks take five values; the 14 low bits of a /18 all vary.
    assert mirai.proven["ip.dst"] & 0x3FFF == 0x3FFF
    for family in found.values():
        of_row = np.isin(sample.of_row, family.sources)
        columns = {name: values[of_row] for name, values in sample.columns.items()}
        columns |= {
            "src": sample.src[sample.of_row[of_row]],
            "layers": np.full(int(of_row.sum()), 5, np.uint8),
            "tcp_flags": np.full(int(of_row.sum()), 2, np.uint8),
        }
        assert evaluate(compile_program(parse(family.relation)), columns).any()


def test_noise_gives_nothing_with_guards_and_artefacts_without() -> None:
    noise = syn_sample(InternetConfig(seed=8, packets=30_000, noise=1.0, families=()))
    plan = ga.Settings(generations=8, population=80, rounds=4)
    assert ga.evolve(noise, 1, plan).families == []
    bare = ga.Settings(generations=8, population=80, rounds=4, guards=Guards.none())
    assert ga.evolve(noise, 1, bare).families


def test_no_packets_no_families() -> None:
    empty = {
        name: np.zeros(0, kind)
        for name, kind in {
            "dst": np.uint32, "ip_id": np.uint16, "ttl": np.uint8, "ip_len": np.uint16, "src_port": np.uint16,
            "dst_port": np.uint16, "tcp_seq": np.uint32, "tcp_ack": np.uint32, "tcp_window": np.uint16, "ts": np.int64,
        }.items()
    }  # fmt: skip
    none = Sample(np.zeros(0, np.uint32), np.zeros(1, np.int64), empty, np.zeros(0, np.int64))
    assert ga.search(none, seed=1) == []


@pytest.mark.parametrize("wrong", [{"population": 1}, {"elite": 200}, {"crossover": 0.9, "mutation": 0.2}])
def test_settings_that_cannot_work_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"must be|sum to"):
        ga.Settings(**wrong)  # type: ignore[arg-type]
