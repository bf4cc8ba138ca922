"""The relative-frequency statistic: the three published cases, the compiled count, and what the guards rule out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.detect.darknet.fingerprint.ga_fitness import (
    Guards,
    Pool,
    near_minimum,
    poisson_bits,
    tally,
)
from andon.detect.darknet.fingerprint.sample import COLUMNS, Sample
from andon.records.expression import parse
from andon.records.expression.ast import Comparison, Value

TYPES = {"dst": np.uint32, "tcp_seq": np.uint32, "tcp_ack": np.uint32, "ttl": np.uint8}


def value(text: str) -> Value:
    made = parse(f"{text} == 0")
    assert isinstance(made, Comparison)
    return made.left


def random_sample(sources: int, each: int, seed: int = 1, **given: np.ndarray) -> Sample:
    """Sources that fill every header field at random, but for the columns given."""
    rng = np.random.default_rng(seed)
    rows = sources * each
    columns = {}
    for name in COLUMNS:
        dtype = TYPES.get(name, np.uint16)
        drawn = rng.integers(0, np.iinfo(dtype).max, rows, dtype, endpoint=True)
        columns[name] = given.get(name, drawn).astype(dtype)
    columns["ts"] = np.arange(rows)
    src = np.arange(sources, dtype=np.uint32) + np.uint32(0x0B000000)
    return Sample(src, np.arange(sources + 1) * each, columns, np.full(sources, each))


def pool(sample: Sample, guards: Guards) -> Pool:
    return Pool(sample, np.ones(len(sample.src), bool), 8, 100_000, guards, seed=1)


@pytest.mark.parametrize(
    ("feature", "second", "others", "each"),
    [
        pytest.param(5000, 100, 50, 100, id="half of all, 50 others at 1 %"),
        pytest.param(1000, 10, 9_900, 10, id="1 %, 9,900 others at 0.01 %"),
        pytest.param(1000, 500, 98_500, 1, id="1 %, a second one at half of that, others at 0.001 %"),
    ],
)
def test_a_feature_is_found_by_its_distance_from_the_minimum(
    feature: int, second: int, others: int, each: int
) -> None:
    counts = np.r_[feature, second, np.full(others, each)]
    level = near_minimum(counts)
    assert level == each
    tried = 1e9 * len(counts) * 1e6
    assert poisson_bits(feature, level) > np.log2(tried)
    assert (poisson_bits(second, level) > np.log2(tried)) == (second > 10 * each)
    assert poisson_bits(each, level) == 0


def test_the_second_feature_of_case_three_does_not_hide_the_first() -> None:
    counts = np.r_[1000, 500, np.full(98_500, 1)]
    assert counts[0] / counts[1] == 2  # the ratio to the next value sees nothing
    assert counts[0] / near_minimum(counts) == 1000


@settings(deadline=None)  # compilation is in the first call
@given(
    st.lists(
        st.lists(st.integers(0, 40).map(lambda v: v * 0x01010101), min_size=1, max_size=8),
        min_size=1,
        max_size=60,
    )
)
def test_compiled_count_is_the_plain_one(packets: list[list[int]]) -> None:
    values = np.array([v for source in packets for v in source], np.uint32)
    starts = np.r_[0, np.cumsum([len(source) for source in packets])].astype(np.int64)
    expected: dict[int, int] = {}
    for source in packets:
        for v in set(source):
            expected[v] = expected.get(v, 0) + 1
    top, often = np.zeros(8, np.uint32), np.zeros(8, np.int32)
    distinct, level = tally(values, starts, np.zeros(1024, np.uint32), np.zeros(1024, np.int32), top, often)
    assert distinct == len(expected)
    assert level == pytest.approx(near_minimum(np.array(list(expected.values()))))
    ranked = sorted(expected.items(), key=lambda item: (-item[1], item[0]))[:8]
    assert [*zip(top.tolist(), often.tolist(), strict=True)][: len(ranked)] == ranked


def test_counts_beyond_the_last_class_enter_the_level() -> None:
    sources = 3000
    values = np.tile(np.arange(4, dtype=np.uint32), sources)
    starts = np.arange(sources + 1, dtype=np.int64) * 4
    _, level = tally(
        values,
        starts,
        np.zeros(16, np.uint32),
        np.zeros(16, np.int32),
        np.zeros(8, np.uint32),
        np.zeros(8, np.int32),
    )
    assert level == sources


def test_one_loud_source_makes_no_feature() -> None:
    sample = random_sample(400, 8)
    sample.columns["ip_id"][:8] = 7  # one source, always the same
    assert pool(sample, Guards.none()).feature(value("ip.id")).sources < 10


def test_a_planted_relation_stands_out() -> None:
    sample = random_sample(2000, 4)
    sample.columns["tcp_seq"][:400] = sample.columns["dst"][:400] ^ np.uint32(0xBEEF)
    found = pool(sample, Guards()).feature(value("tcp.seq ^ ip.dst"))
    assert (found.value, found.sources) == (0xBEEF, 100)
    assert found.bits > 400


@pytest.mark.parametrize(
    "text", ["tcp.seq & ip.dst & tcp.ack & ip.id & tcp.srcport", "(tcp.seq & ip.id) << 24"]
)
def test_functions_that_collapse_are_features_only_without_guards(text: str) -> None:
    sample = random_sample(3000, 4)
    assert pool(sample, Guards.none()).feature(value(text)).bits > 100
    assert pool(sample, Guards()).feature(value(text)).bits < 60


def test_a_constant_word_is_the_feature_and_not_what_is_made_of_it() -> None:
    columns = {"ip_id": np.random.default_rng(5).integers(0, 65536, 8000), "dst_port": np.full(8000, 23)}
    columns["ip_id"][:800] = 54321
    judged = pool(random_sample(2000, 4, **columns), Guards())
    assert judged.feature(value("ip.id")).value == 54321
    assert judged.feature(value("ip.id ^ tcp.dstport")).bits < 60


def test_one_field_against_itself_is_no_feature() -> None:
    """Where few results are possible at all, many sources share one without any relation."""
    columns = {"ip_id": np.random.default_rng(5).integers(0, 65536, 12_000)}
    sample = random_sample(3000, 4, **columns)
    text = "(ip.id ^ (ip.id << 1)) & 0xff0f & (ip.id << 3)"
    assert pool(sample, Guards(least_values=1, permuted=False)).feature(value(text)).bits > 100
    assert pool(sample, Guards(least_values=1)).feature(value(text)).bits < 60


def test_defaults_and_places_are_no_marks() -> None:
    columns = {"tcp_window": np.full(8000, 65535), "ip_id": np.random.default_rng(5).integers(0, 65536, 8000)}
    columns["ip_id"][:4000] = 0
    judged = pool(random_sample(2000, 4, **columns), Guards(least_values=1))
    for text in ("tcp.window", "hi16(ip.src)", "ip.id", "hi16(ip.dst)"):
        assert judged.feature(value(text)).bits < 60, text
    assert pool(random_sample(2000, 4, **columns), Guards.none()).feature(value("ip.id")).sources == 1000
