"""Packets made by assignment satisfy the expression; equality and chance are told right."""

from __future__ import annotations

import math

import numpy as np
import pytest
from expression_reference import comparisons, constants, random_columns, tcp_fields
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.records.expression import (
    NotSolvable,
    apply,
    canonical,
    chance_rate,
    compile_program,
    equal_on,
    evaluate,
    parse,
    session_key,
    solve,
)

UNIFORM = random_columns(np.random.default_rng(8), 500, layers=(5,))
TELESCOPE = ["198.51.0.0/16", "203.0.113.0/24"]


@pytest.mark.parametrize(
    "text",
    [
        "tcp.seq == ip.dst",
        "ip.id == (ip.dst ^ tcp.dstport ^ tcp.seq) & 0xffff and ip.ttl == 255 and tcp.window == 1024",
        "ip.id == lo16(ip.dst ^ tcp.dstport ^ tcp.seq) and tcp.seq == ip.dst",
        "tcp.seq == (ip.dst * 0x01000193) + tcp.dstport and ip.id == lo16(ip.dst + tcp.seq)",
        "hi16(tcp.seq) == 5 and lo16(tcp.seq) == ip.id and ip.id == lo16(ip.dst)",
        "tcp.srcport == lo16(tcp.seq) and tcp.ack == tcp.seq + 1 and tcp.seq == bswap32(ip.src)",
        "ip.dst == rotl32(tcp.seq, 5) ^ (tcp.srcport << 16)",
    ],
)
def test_assigned_packets_satisfy_the_expression(text):
    expr = parse(text)
    before = {name: column.copy() for name, column in UNIFORM.items()}
    made = apply(solve(expr), UNIFORM)
    assert evaluate(compile_program(expr), made).all()
    assert all(np.array_equal(UNIFORM[name], before[name]) for name in UNIFORM), (
        "input columns are left alone"
    )
    assert {name: c.dtype for name, c in made.items()} == {name: c.dtype for name, c in before.items()}
    assert np.array_equal(made["dst"], before["dst"]), "the telescope's addresses are not ours to set"


def test_bits_outside_the_mask_stay_as_drawn():
    made = apply(solve(parse("tcp.seq & 0xffff == hi16(tcp.seq) ^ ip.id")), UNIFORM)
    assert np.array_equal(made["tcp_seq"] >> 16, UNIFORM["tcp_seq"] >> 16)


def test_sessions_are_made_from_keys():
    expr = parse("hi16(tcp.seq) ^ lo16(tcp.seq) == key16 and tcp.window == 1024")
    keys = (UNIFORM["src"] * np.uint32(77)) & np.uint32(0xFFFF)
    made = apply(solve(expr), UNIFORM, keys)
    found, valid = session_key(compile_program(expr), made)
    assert valid.all()
    assert np.array_equal(found, keys)


@settings(max_examples=300, deadline=None)
@given(st.lists(comparisons(st.one_of(tcp_fields, tcp_fields, constants), depth=4), min_size=1, max_size=3))
def test_whatever_is_solved_is_satisfied(parts):
    from andon.records.expression import And

    expr = parts[0] if len(parts) == 1 else And(tuple(parts))
    try:
        assignments = solve(expr)
    except NotSolvable:
        return
    assert evaluate(compile_program(expr), apply(assignments, UNIFORM)).all()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ip.id == 3 or ip.id == 4", "'or' leaves a choice"),
        ("ip.id != 3", "only == can be assigned"),
        ("ip.id == 3 and ip.id == 4", "the same bits"),
        ("tcp.seq == tcp.ack + 1 and tcp.ack == tcp.seq * 3", "in a circle"),
        ("ip.dst == 5", "ip.dst is not ours to set"),
        ("ip.id == ip.dst", "too few bits"),
        ("ip.id == 0x12345", "never true"),
        ("tcp.seq == udp.srcport", "both TCP and UDP"),
        ("tcp.seq == tcp.seq * 3", "depend on itself"),
        ("tcp.seq & ip.dst == 5", "no field can be brought to one side"),
    ],
)
def test_what_cannot_be_solved_says_why(text, reason):
    with pytest.raises(NotSolvable, match=reason):
        solve(parse(text))


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        ("tcp.seq == ip.dst", "ip.dst ^ tcp.seq == 0", True),
        (
            "tcp.seq == (ip.dst ^ tcp.srcport) + (tcp.dstport << 16)",
            "tcp.seq == (ip.dst + (tcp.dstport << 16)) ^ tcp.srcport",
            True,
        ),
        ("tcp.seq == ip.dst", "tcp.seq == ip.dst + 1", False),
        ("tcp.seq == ip.dst", "lo16(tcp.seq) == lo16(ip.dst)", False),
        ("ip.id == 54321", "ip.id == 54321 and tcp.window == 65535", False),
        ("ip.id == 54321 or ip.id == 5", "ip.id == 54321", False),
        ("tcp.seq == ip.dst", "udp.srcport == 5", False),
        ("hi16(tcp.seq) ^ lo16(tcp.seq) == key16", "hi16(tcp.seq) == key16 ^ lo16(tcp.seq) ^ 99", True),
        ("hi16(tcp.seq) ^ lo16(tcp.seq) == key16", "hi16(tcp.seq) == key16 ^ ip.id", False),
        ("tcp.seq == key32 ^ ip.dst", "tcp.seq == key16 ^ ip.dst", False),
        ("tcp.seq == key32 ^ ip.dst", "tcp.seq == ip.dst", False),
    ],
)
def test_equality_is_told_by_packets_that_could_differ(a, b, equal):
    assert equal_on(parse(a), parse(b), TELESCOPE, seed=4) is equal
    assert equal_on(parse(b), parse(a), TELESCOPE, seed=4) is equal


def test_relations_that_differ_only_off_the_telescope_are_equal_on_it():
    mirai, half = parse("tcp.seq == ip.dst"), parse("tcp.seq == (ip.dst & 0xffff) ^ 0xc6330000")
    assert equal_on(mirai, half, ["198.51.0.0/16"], seed=1)
    assert not equal_on(mirai, half, TELESCOPE, seed=1)


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        ("tcp.seq == ip.dst", 32),
        ("ip.id == 54321", 16),
        ("ip.id == 54321 and tcp.window == 65535 and ip.ttl == 255", 16),
        ("ip.id == lo16(ip.dst ^ tcp.dstport ^ tcp.seq)", 16),
        ("tcp.flags & 0x3f == 2 and tcp.dstport == 23", 0),
        ("ip.id == 0", 0),
        ("tcp.seq & 0xfff == 5", 12),
        ("tcp.seq == ip.dst and hi16(tcp.seq) == hi16(ip.dst)", 32),
        ("tcp.seq == ip.dst and ip.id == lo16(tcp.seq)", 48),
        ("ip.id == 5 or ip.id == 6", 15),
        ("ip.id != 5", 0),
        ("hi16(tcp.seq) ^ lo16(tcp.seq) == key16", 16),
        ("tcp.window == key16", 0),
        ("ip.id == rotl16(ip.id, 8)", 8),
        ("ip.id == ip.id & 0xff", 8),
        ("ip.id == ip.id | 5", 2),
        ("tcp.window == tcp.window & 0xff", 0),
        ("tcp.window == ip.id & 0x3ff", 16),
        ("hi16(tcp.seq) == lo16(tcp.seq)", 16),
    ],
)
def test_chance_is_the_width_of_what_is_compared(text, bits):
    assert -math.log2(chance_rate(parse(text))) == bits


def test_chance_is_what_uniform_packets_show():
    rng = np.random.default_rng(2)
    columns = random_columns(rng, 1, layers=(5,))
    rows = 2_000_000
    for name, column in columns.items():
        columns[name] = rng.integers(0, np.iinfo(column.dtype).max, rows, dtype=column.dtype, endpoint=True)
    columns["layers"] = np.full(rows, 5, np.uint8)
    for text in (
        "ip.id & 0x3ff == lo16(tcp.seq) & 0x3ff",
        "tcp.seq & 0xff0 == 0x120 or ip.id & 0xff == 7",
        "ip.id == lo16((ip.id ^ 0x1234) * 0x4321)",
        "ip.id == ip.id & lo16(tcp.seq) & 0x7fff",
    ):
        expected = chance_rate(parse(text)) * rows
        found = int(evaluate(compile_program(parse(text)), columns).sum())
        assert abs(found - expected) < 6 * math.sqrt(expected) + expected * 0.01, canonical(parse(text))
