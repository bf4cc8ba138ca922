"""The search finds planted relations, each exactly, with its sources, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest

from andon.detect.darknet.fingerprint import search
from andon.detect.darknet.fingerprint.discover import Budget, Discovery, discover
from andon.detect.darknet.fingerprint.sample import COLUMNS, Sample
from andon.records.columns import column
from andon.records.expression import equal_on, parse
from andon.simulate.internet import DEFAULT_TELESCOPE, InternetConfig, packets, parse_family, truth
from andon.simulate.internet import Family as SimulatedFamily

PLANTED = (
    "tcp.seq == ip.dst",
    "ip.id == lo16(ip.dst ^ tcp.dstport ^ tcp.seq)",
    "ip.id == 54321",
    "tcp.seq == rotl32(ip.dst, 7) ^ (tcp.srcport << 16) ^ 0xa5c3f00d",
    "tcp.seq == bswap32(ip.dst) ^ 0x5bd1e995",
    "hi16(tcp.seq) ^ lo16(ip.dst) == 0x1234",
    "tcp.seq & 0xffff == 0xbeef",
    "tcp.seq & 0xfff0 == ip.dst & 0xfff0",
    "ip.id == lo16(tcp.srcport + tcp.dstport)",
    "tcp.seq == (ip.dst * 0x01000193) + tcp.dstport",
    "tcp.seq == ip.dst ^ tcp.srcport ^ (tcp.dstport << 16) ^ key32",
    "hi16(tcp.seq) ^ lo16(tcp.seq) == key16",
    "tcp.seq == ip.dst | 0x00ff0001",
    "tcp.window == ip.id & 0x3ff",
    "tcp.seq == (ip.dst * 0x9e3779b1) ^ (tcp.srcport << 16)",
    "tcp.seq == rotl32(ip.dst + tcp.srcport, 11)",
)
FAR_FETCHED = (
    "tcp.seq == (ip.dst & tcp.srcport) ^ 0x11223344",
    "tcp.seq == ip.dst * tcp.srcport",
    "tcp.seq == (ip.dst ^ 0xdeadbeef) * 0x9e3779b1",
    "tcp.seq == (ip.dst + tcp.srcport) ^ 0xcafebabe",
    "tcp.seq == ip.src ^ ip.dst",
    "tcp.seq == ip.dst and ip.id == lo16(tcp.srcport ^ 0x5555)",
    "tcp.seq == (ip.dst ^ key32) * 0x4a6f188b",
    "tcp.seq == rotl32(ip.dst + 0x1234567, 1)",
    "ip.id == hi16(tcp.seq * 0x9e3779b1)",
    "tcp.seq == (ip.dst ^ tcp.srcport) * 0x9e3779b1",
    "tcp.seq == rotl32(tcp.srcport + ip.dst, 16) * 0x25f30afb",
    "tcp.seq == bswap32(tcp.dstport - (ip.dst * 0xd9aa0eeb)) + tcp.srcport",
)


def sample_of(config: InternetConfig, most: int = 96) -> Sample:
    """The SYN packets of a simulated capture."""
    names = ("src", *COLUMNS, "ts", "tcp_flags", "layers")
    parts = []
    for batch in packets(config):
        columns = {name: np.array(column(batch, name)) for name in names}
        kept = ((columns["tcp_flags"] & 0x3F) == 2) & ((columns["layers"] & 5) == 5)
        parts.append({name: values[kept] for name, values in columns.items()})
    return Sample.of_packets({n: np.concatenate([p[n] for p in parts]) for n in names}, most)


@cache
def found_in(
    relations: Sequence[str], count: int, sources: int, contamination: float
) -> tuple[Discovery, Sample, InternetConfig]:
    families = tuple(parse_family(f"f{i}:{text}:{sources}") for i, text in enumerate(relations))
    config = InternetConfig(seed=5, packets=count, families=families, contamination=contamination)
    sample = sample_of(config)
    return discover(sample, telescope_prefixes=DEFAULT_TELESCOPE), sample, config


def sources_of(config: InternetConfig, family: str) -> np.ndarray:
    table = truth(config)[0]
    mine = np.array(table.column("family").to_pylist()) == family
    return table.column("src").to_numpy()[mine]


def check(relations: Sequence[str], number: int, contamination: float) -> None:
    made, sample, config = found_in(relations, 100_000, 50, contamination)
    planted = parse(relations[number])
    equal = [f for f in made.families if equal_on(parse(f.relation), planted, DEFAULT_TELESCOPE, 1, 60_000)]
    assert len(equal) == 1, [f.relation for f in made.families]
    carried, true = sample.src[equal[0].sources], sources_of(config, f"f{number}")
    assert np.isin(carried, true).mean() >= 0.99
    assert np.isin(true, carried).mean() >= 0.9


@pytest.mark.parametrize("contamination", [0.0, 0.2])
@pytest.mark.parametrize("number", range(len(PLANTED)), ids=PLANTED)
def test_planted_relation_is_found_exactly(number: int, contamination: float) -> None:
    check(PLANTED, number, contamination)


@pytest.mark.parametrize("number", range(len(FAR_FETCHED)), ids=FAR_FETCHED)
def test_relation_of_mixed_arithmetic_is_found_exactly(number: int) -> None:
    check(FAR_FETCHED, number, 0.1)


@pytest.mark.parametrize("contamination", [0.0, 0.2])
def test_nothing_is_found_that_was_not_planted(contamination: float) -> None:
    made, _, _ = found_in(PLANTED, 100_000, 50, contamination)
    for family in made.families:
        assert any(
            equal_on(parse(family.relation), parse(text), DEFAULT_TELESCOPE, 1, 60_000) for text in PLANTED
        )


def test_noise_has_no_family_and_its_windows_are_stack_defaults() -> None:
    made = discover(sample_of(InternetConfig(seed=6, packets=200_000, families=())))
    assert made.families == []
    assert {f.relation for f in made.stack_defaults} >= {"tcp.window == 0xfaf0", "ip.id == 0"}


def test_nothing_is_found_beside_relations_of_mixed_arithmetic() -> None:
    made, _, _ = found_in(FAR_FETCHED, 100_000, 50, 0.1)
    for family in made.families:
        assert any(
            equal_on(parse(family.relation), parse(text), DEFAULT_TELESCOPE, 1, 60_000)
            for text in FAR_FETCHED
        ), family.relation


def test_one_port_sources_of_mirai_are_mirai_and_not_a_session_of_unicornscan() -> None:
    families = (
        SimulatedFamily("mirai", "mirai", "botnet", "attack", 80, 1.0, ((23, 1),)),
        SimulatedFamily("unicorn", "unicornscan", "tool", "survey", 40, 1.0, ((80, 1), (443, 1), (22, 1))),
    )
    made = discover(sample_of(InternetConfig(seed=4, packets=60_000, families=families)))
    assert [f.relation for f in made.families] == [
        "tcp.seq == ip.dst",
        "tcp.seq == ip.dst ^ tcp.srcport ^ (tcp.dstport << 0x10) ^ key32",
    ]
    assert [len(f.sources) for f in made.families] == [80, 40]


def test_a_spent_budget_is_said() -> None:
    _, sample, _ = found_in(PLANTED, 100_000, 50, 0.0)
    made = discover(sample, budget=Budget(seconds=0.5))
    assert any("CPU seconds was spent" in text for text in made.left_out)
    assert sum(made.spent.values()) < 10


def test_voters_first_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    made, sample, _ = found_in(PLANTED, 100_000, 50, 0.0)
    monkeypatch.setattr(search, "MOST_AT_ONCE", 0)
    again = discover(sample, telescope_prefixes=DEFAULT_TELESCOPE)
    assert {f.relation for f in again.families} == {f.relation for f in made.families}


def test_hardly_a_family_is_expected_by_chance() -> None:
    made, _, _ = found_in(PLANTED, 100_000, 50, 0.2)
    assert made.candidates > 100
    assert made.chance_families < 1e-3


def test_slow_scanners_are_found_from_one_to_three_packets_each() -> None:
    relations = (
        "tcp.seq == ip.dst",
        "tcp.seq == rotl32(ip.dst, 7) ^ (tcp.srcport << 16) ^ 0xa5c3f00d",
        "tcp.seq == bswap32(ip.dst) ^ 0x5bd1e995",
        "tcp.seq == ip.dst + tcp.srcport",
    )
    families = tuple(parse_family(f"f{i}:{text}:30") for i, text in enumerate(relations))
    noise = 60_000
    config = InternetConfig(seed=8, packets=noise + 240, noise=noise / (noise + 240), families=families)
    made = discover(sample_of(config), telescope_prefixes=DEFAULT_TELESCOPE)
    for text in relations:
        assert any(
            equal_on(parse(f.relation), parse(text), DEFAULT_TELESCOPE, 1, 60_000) for f in made.families
        ), text


def test_an_empty_sample_has_no_family() -> None:
    empty = {
        name: np.zeros(0, np.uint32 if name in ("dst", "src", "tcp_seq", "tcp_ack") else np.uint16)
        for name in ("src", *COLUMNS)
    }
    empty["ttl"] = np.zeros(0, np.uint8)
    made = discover(Sample.of_packets(empty | {"ts": np.zeros(0, np.int64)}))
    assert made.families == [] and made.stack_defaults == []


def test_a_second_run_says_the_same() -> None:
    made, sample, _ = found_in(PLANTED, 100_000, 50, 0.2)
    again = discover(sample, telescope_prefixes=DEFAULT_TELESCOPE)
    assert [(f.relation, f.sources.tolist()) for f in again.families] == [
        (f.relation, f.sources.tolist()) for f in made.families
    ]
