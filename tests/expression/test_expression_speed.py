"""The machine's cost, in CPU seconds of this process."""

from __future__ import annotations

import numpy as np
from expression_reference import random_columns

from andon.records.expression import compile_bundle, compile_program, evaluate, evaluate_many, parse
from spent import spent

TEN = (
    "tcp.seq == ip.dst",
    "ip.id == (ip.dst ^ tcp.dstport ^ tcp.seq) & 0xffff",
    "ip.id == 54321",
    "tcp.window == 1024 and ip.ttl == 255",
    "tcp.seq == rotl32(ip.dst, 7) ^ (tcp.srcport << 16) ^ 0xa5c3f00d",
    "tcp.seq == (ip.dst * 0x01000193) + tcp.dstport",
    "ip.id == lo16(ip.dst + tcp.seq)",
    "lo16(tcp.seq) == hi16(tcp.seq) ^ 5",
    "bswap32(tcp.seq) == ip.dst",
    "tcp.window == 14600 and tcp.flags == 2",
)


def test_ten_relations_cost_less_than_thirty_nanoseconds_a_packet():
    rows = 1_000_000
    columns = random_columns(np.random.default_rng(1), rows)
    bundle = compile_bundle([parse(text) for text in TEN])
    evaluate_many(bundle, {name: column[:1] for name, column in columns.items()})
    costs = []
    for _ in range(3):
        with spent() as cost:
            evaluate_many(bundle, columns)
        costs.append(cost.seconds / rows * 1e9)
    assert min(costs) < 30, costs


def test_a_bundle_answers_like_its_expressions_one_by_one():
    columns = random_columns(np.random.default_rng(2), 5000)
    programs = [compile_program(parse(text)) for text in TEN]
    bits = evaluate_many(programs, columns)
    for bit, program in enumerate(programs):
        assert np.array_equal(bits >> np.uint32(bit) & np.uint32(1) != 0, evaluate(program, columns))


def test_a_thousand_candidates_cost_no_compilation():
    columns = random_columns(np.random.default_rng(2), 100)
    evaluate(compile_program(parse(TEN[0])), columns)
    with spent() as cost:
        for number in range(1000):
            evaluate(compile_program(parse(f"tcp.seq == rotl32(ip.dst, {number % 32}) ^ {number}")), columns)
    assert cost.seconds < 2
