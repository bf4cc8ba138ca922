"""The catalogue is sound: every entry is sourced and dated, every check is one that tcpdump can run."""

from __future__ import annotations

import math
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.detect.darknet.tools.catalogue import CatalogueError, load
from andon.detect.darknet.tools.chance import distinct_hits, expected_by_chance, log_tail
from andon.detect.darknet.tools.sample import value_code
from andon.records.expression import parse, to_bpf

SMALL = """
schema = 1
[[tool]]
name = "x"
title = "X"
sign = "x"
purpose = "either"
attack = []
from = ""
to = ""
versions = ""
collisions = ""
source = "here"
[[tool.signature]]
scope = "global"
lane = "syn"
guard = "tcp.flags & 0x3f == 2"
relation = "tcp.seq == ip.dst"
bits = 32
identity = ["tcp.seq"]
trust = 0.9
"""


def test_every_tool_says_where_and_when_its_relation_was_read() -> None:
    catalogue = load()
    assert {"mirai", "masscan", "zmap", "unicornscan", "nmap", "hajime"} <= {
        tool.name for tool in catalogue.tools
    }
    assert catalogue.date == "2026-11-21"
    for tool in catalogue.tools:
        assert tool.source and tool.versions and tool.collisions and tool.valid_from
        assert all(technique.startswith("T1") for technique in tool.attack)


def test_every_check_is_a_filter_that_tcpdump_accepts() -> None:
    catalogue = load()
    texts = [s.check for s in catalogue.globals] + [s.with_key(0x1234) for s in catalogue.sessions]
    for text in texts:
        filter_text = to_bpf(parse(f"ip.src == 192.0.2.1 and {text}"))
        command = ["tcpdump", "-y", "EN10MB", "-d", filter_text]
        assert subprocess.run(command, capture_output=True, check=False).returncode == 0, text


def test_chance_rates_are_those_of_random_headers() -> None:
    rng = np.random.default_rng(4)
    n = 1 << 19
    from andon.records.expression import compile_program, evaluate

    columns = {
        "src": rng.integers(0, 1 << 32, n, dtype=np.uint32),
        "dst": rng.integers(0, 1 << 32, n, dtype=np.uint32),
        "src_port": rng.integers(0, 1 << 16, n, dtype=np.uint16),
        "dst_port": rng.integers(0, 1 << 16, n, dtype=np.uint16),
        "tcp_seq": rng.integers(0, 1 << 32, n, dtype=np.uint32),
        "ip_id": rng.integers(0, 1 << 16, n, dtype=np.uint16),
        "tcp_window": np.full(n, 14600, np.uint16),
        "tcp_flags": np.full(n, 2, np.uint8),
        "layers": np.full(n, 5, np.uint8),
    }
    for signature in load().globals:
        if signature.lane == 0:
            hits = int(evaluate(compile_program(parse(signature.check)), columns).sum())
            expected = n * signature.rate
            assert abs(hits - expected) <= 5 * math.sqrt(expected) + 1, signature


def test_session_values_can_be_computed_from_what_is_sampled() -> None:
    for signature in load().sessions:
        code = value_code(signature)
        assert code is not None
        assert code.columns <= {
            "dst",
            "tcp_seq",
            "src_port",
            "dst_port",
            "tcp_window",
            "ip_id",
        }


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("schema = 1", "schema = 2", "schema"),
        ("schema = 1", "schema =", "TOML"),
        ('purpose = "either"', 'purpose = "fun"', "purpose"),
        ('source = "here"', "", "source"),
        ("tcp.seq == ip.dst", "tcp.seq ==", "x"),
        ("tcp.seq == ip.dst", "tcp.seq ^ ip.dst == key32", "key"),
        ('lane = "syn"', 'lane = "sctp"', "sctp"),
        ("bits = 32", "bits = 0", "bits"),
        ("bits = 32", "bits = 32\nbanana = 1", "banana"),
    ],
)
def test_a_wrong_catalogue_is_refused_with_the_reason(old: str, new: str, message: str) -> None:
    assert load(SMALL).globals[0].tool == "x"
    with pytest.raises(CatalogueError, match=message):
        load(SMALL.replace(old, new))


def _exact_tail(n: int, k: int, p: float) -> float:
    return math.fsum(math.comb(n, j) * p**j * (1 - p) ** (n - j) for j in range(k, n + 1))


@given(st.integers(1, 60), st.integers(0, 60), st.sampled_from([2.0**-32, 2.0**-16, 2.0**-7, 0.3]))
@settings(max_examples=200, deadline=None)
def test_the_tail_is_never_understated(n: int, k: int, p: float) -> None:
    k = min(k, n)
    bound = math.exp(log_tail(np.array([n]), np.array([k]), p)[0])
    assert bound >= _exact_tail(n, k, p) * (1 - 1e-9)
    assert k == 0 or bound <= max(1e-300, math.comb(n, k) * p**k * (1 + 1e-9))


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=50), st.sampled_from([1e-3, 1e-7]))
@settings(max_examples=50, deadline=None)
def test_expected_chance_sources_stay_within_the_budget(trials: list[int], threshold: float) -> None:
    array = np.array(trials)
    expected = expected_by_chance(array, 2.0**-7, threshold)
    assert 0.0 <= expected <= threshold * np.count_nonzero(array) * (1 + 1e-9)


def test_distinct_hits_are_exact_when_few_and_cautious_when_many() -> None:
    rng = np.random.default_rng(2)
    few = np.full((1, 8), 0xFFFFFFFF, np.uint32)
    few[0, :3] = [5, 9, 70]
    assert distinct_hits(few, np.array([100])).tolist() == [3]
    many = np.sort(rng.integers(0, 1 << 32, (2000, 1000), dtype=np.uint32), axis=1)[:, :8].copy()
    estimate = distinct_hits(many, np.full(2000, 1000))
    assert np.mean(estimate > 1000) == 0.0
    assert np.median(estimate) > 250
