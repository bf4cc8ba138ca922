"""Functions whose low bits determine the low bits: noticed without being known, then solved digit by digit."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.detect.darknet.fingerprint.candidate import values
from andon.detect.darknet.fingerprint.high import factor
from andon.detect.darknet.fingerprint.shapes import first_fit, shapes
from andon.detect.darknet.fingerprint.triangular import solved
from andon.detect.darknet.fingerprint.verify import Tally
from andon.detect.darknet.fingerprint.words import SEQ, fields_matrix
from andon.records.expression import Comparison, parse
from andon.records.expression.evaluate import execute
from andon.records.expression.program import compile_value

ROWS = 64
SOLVED = (
    "rotl32(ip.dst + 0x1234567, 1)",
    "rotl32(ip.dst ^ tcp.srcport, 3) + 0x55aa1234",
    "bswap32(tcp.dstport - (ip.dst * 0xd9aa0eeb)) + tcp.srcport",
    "(rotl32(ip.dst, 3) ^ 0x3b3b5e55) * 0x78f802db",
    "rotl32(tcp.srcport + ip.dst, 16) * 0x25f30afb",
    "(ip.dst ^ 0x752b368e) | tcp.dstport",
    "tcp.srcport ^ (ip.dst + 0x1e7dd680)",
)


def packets(seed: int = 3) -> dict[str, np.ndarray]:
    """Header fields as one scanner would draw them, behind five blocks and with five ports."""
    rng = np.random.default_rng(seed)
    blocks = np.array([0x175A4000, 0x3AB58000, 0x652C0000, 0x9247C000, 0xCB080000], np.uint32)
    return {
        "dst": rng.choice(blocks, ROWS) + rng.integers(0, 1 << 14, ROWS).astype(np.uint32),
        "src": np.full(ROWS, 7, np.uint32),
        "tcp_seq": rng.integers(0, 1 << 32, ROWS, np.uint32),
        "tcp_ack": np.zeros(ROWS, np.uint32),
        "ip_id": rng.integers(0, 65536, ROWS).astype(np.uint16),
        "src_port": rng.integers(1024, 65536, ROWS).astype(np.uint16),
        "dst_port": rng.choice(np.array([23, 80, 8080, 5555, 2323], np.uint16), ROWS),
        "tcp_window": np.full(ROWS, 5840, np.uint16),
    }


@pytest.mark.parametrize("text", SOLVED)
def test_relation_is_read_off_one_source(text: str) -> None:
    columns = packets()
    relation = parse(f"{text} == 0")
    assert isinstance(relation, Comparison)
    columns["tcp_seq"] = execute(compile_value(relation.left), columns, values=True)[1]
    made, _ = solved(fields_matrix(columns), SEQ, Counter())
    assert made
    assert any(len(np.unique(values(c.residue, columns))) == 1 for candidates in made for c in candidates)


def test_random_sequence_numbers_are_determined_by_nothing() -> None:
    for seed in range(20):
        assert solved(fields_matrix(packets(seed)), SEQ, Counter()) == ([], 0)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.integers(0, 2**32 - 1), st.integers(0, 2**31 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)
)
def test_constants_of_a_shape_are_found_whatever_they_are(a: int, b: int, c: int, seed: int) -> None:
    x = np.random.default_rng(seed).integers(0, 2**32, (1, 40), np.uint32)
    target = ((x[0] ^ np.uint32(a)) * np.uint32(2 * b + 1)) ^ np.uint32(c)
    found, of = np.zeros(3, np.uint32), shapes((0,))
    number = first_fit(
        of.code, of.lines, of.constants, x, 40, target, 32, np.array([4000, 150_000], np.int64), found
    )
    assert number >= 0
    column = {"dst": x[0]}
    made = parse(f"{of.text(number, ['ip.dst'], [str(k) for k in found.tolist()])} == 0")
    assert isinstance(made, Comparison)
    assert np.array_equal(execute(compile_value(made.left), column, values=True)[1], target)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 2**31 - 1), st.integers(0, 0xFFFF), st.integers(0, 2**32 - 1))
def test_factor_is_found_from_upper_halves(half: int, constant: int, seed: int) -> None:
    x = np.random.default_rng(seed).integers(0, 2**32, 24, np.uint32)
    c = np.uint32(2 * half + 1)
    target = ((x * c >> np.uint32(16)) + np.uint32(constant)) & np.uint32(0xFFFF)
    found = np.uint32(factor(x, target, 24))
    assert len(np.unique((target - (x * found >> np.uint32(16))) & np.uint32(0xFFFF))) == 1


def test_expected_chance_families_grow_with_looser_thresholds() -> None:
    counts = []
    for needed in (19, 9, 4):
        tally = Tally()
        tally.add_constants(16, 1.0, needed)
        counts.append(tally.families)
    assert counts[0] < 1e-6 < counts[1] < counts[2]


def test_expected_chance_families_bound_a_trial() -> None:
    rng = np.random.default_rng(4)
    tally = Tally()
    tally.add_constants(16, 1.0, 6)
    seen = np.mean(
        [(np.bincount(rng.integers(0, 65536, 65536), minlength=65536) >= 6).sum() for _ in range(20)]
    )
    assert 0 < seen <= tally.families
