"""Keyed expressions: the key that a packet needs is the key with which it matches."""

from __future__ import annotations

import numpy as np
import pytest
from expression_reference import holds, random_columns, rows_of

from andon.records.expression import ExpressionError, compile_program, evaluate, parse, session_key

KEYED = (
    "hi16(tcp.seq) ^ lo16(tcp.seq) == key16",
    "tcp.seq == key32 ^ ip.dst ^ tcp.srcport ^ (tcp.dstport << 16)",
    "tcp.seq - ip.dst == rotl32(key32 + 5, 9)",
    "tcp.seq == key16 ^ ip.dst",
    "bswap16(key16) == ip.id ^ tcp.srcport",
    "tcp.seq & 0xffff0000 == (key16 << 16) and tcp.window == 3",
    "tcp.seq & 0xff == lo16(key32) & 0xff",
    "udp.srcport == key16 ^ udp.dstport",
    "ip.id == lo16((hi16(ip.dst) + key16) - 0xb0)",
)


@pytest.mark.parametrize("text", KEYED)
def test_the_session_key_is_the_key_that_matches(text):
    expr = parse(text)
    columns = random_columns(np.random.default_rng(5), 4000)
    program = compile_program(expr)
    key, valid = session_key(program, columns)
    assert program.key_bits == (16 if "key16" in text else 32)
    assert valid.any()
    assert np.array_equal(evaluate(program, columns, keys=key), valid)
    other = key ^ np.uint32(program.key_mask & -program.key_mask)
    assert not evaluate(program, columns, keys=other).any()
    rows = rows_of({name: column[:300] for name, column in columns.items()})
    assert [holds(expr, row, int(k)) for row, k in zip(rows, key, strict=False)] == valid[:300].tolist()


@pytest.mark.parametrize(
    "text",
    [
        "tcp.seq == key32 ^ key32",
        "tcp.seq != key32",
        "tcp.seq == key32 or ip.id == 3",
        "tcp.seq == key32 & ip.dst",
        "tcp.seq == key32 * 2",
    ],
)
def test_keys_that_cannot_be_solved_are_refused(text):
    with pytest.raises(ExpressionError):
        compile_program(parse(text))


def test_keyed_expressions_do_not_match_without_keys():
    columns = random_columns(np.random.default_rng(5), 10)
    with pytest.raises(ValueError, match="has a key"):
        evaluate(compile_program(parse(KEYED[0])), columns)
    with pytest.raises(ValueError, match="has no key"):
        session_key(compile_program(parse("ip.id == 3")), columns)
