"""Text to tree and back; errors name the text and its column."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.records.expression import ExpressionError, Field, canonical, parse
from spent import spent

WORDS = ["ip.dst", "tcp.seq", "(", ")", "==", "!=", "and", "or", "^", "&", "+", "<<", "5", "0x1f"]
WORDS += ["key16", "lo16", "rotl32", ",", "3", "$"]


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("tcp.seq==ip.dst", "tcp.seq == ip.dst"),
        ("ip.id == 54321 or ip.id == 9", "ip.id == 0xd431 or ip.id == 9"),
        ("ip.id == (ip.dst ^ tcp.dstport ^ tcp.seq) & 0xffff", None),
        ("rotl32(ip.dst, 7) ^ 0xa5c3f00d == tcp.seq", None),
        ("((ip.id == 1))", "ip.id == 1"),
        ("ip.id == 1 and ip.ttl == 2 or ip.len == 3", "(ip.id == 1 and ip.ttl == 2) or ip.len == 3"),
        ("ip.dst == 192.0.2.1", "ip.dst == 0xc0000201"),
        (
            "(ip.id == 1 or ip.id == 2) and (lo16(tcp.seq) == 3)",
            "(ip.id == 1 or ip.id == 2) and lo16(tcp.seq) == 3",
        ),
        ("tcp.seq == key32 ^ (tcp.dstport << 16)", "tcp.seq == key32 ^ (tcp.dstport << 0x10)"),
    ],
)
def test_expressions_print_in_one_style(text, printed):
    assert str(parse(text)) == (printed or text)


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("", "not the end", 1),
        ("ip.dst", "'ip.dst' is a value", 1),
        ("ip.dst == ip.dts", "unknown name 'ip.dts'", 11),
        ("ip.dst == 4294967296", "'4294967296' does not fit", 11),
        ("ip.dst == 1.2.3.400", "bad number '1.2.3.400'", 11),
        ("ip.src ^ ip.dst & 1 == 2", "one operator per chain", 17),
        ("rotl32(ip.dst, 32) == 1", "'32'", 16),
        ("rotl16(ip.id, ip.ttl) == 1", "'ip.ttl'", 15),
        ("(ip.dst == 1) ^ 2 == 3", "is a comparison", 1),
        ("ip.dst == 1 == 2", "do not chain", 13),
        ("ip.dst = 1", "unexpected character '='", 8),
        ("ip.dst == 1; drop", "unexpected character ';'", 12),
        ("(" * 1000, "levels of parentheses", 25),
    ],
)
def test_errors_name_the_bad_text_and_its_column(text, message, column):
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert message in str(caught.value)
    assert str(caught.value).endswith(f"at column {column}")


@settings(max_examples=500, deadline=None)
@given(
    st.one_of(
        st.text(max_size=60),
        st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join),
    )
)
def test_any_text_is_an_expression_or_an_error(text):
    try:
        expr = parse(text)
    except ExpressionError:
        return
    assert parse(str(expr)) == parse(str(parse(str(expr))))


def test_hostile_text_costs_little():
    deep = "tcp.seq"
    for level in range(23):
        deep = f"({deep} {'+^'[level % 2]} ip.{('src', 'dst', 'id', 'ttl')[level % 4]})"
    wide = "tcp.seq == " + " + ".join(f"rotl32(ip.dst,{n % 31})" for n in range(180))
    with spent() as cost:
        for text in ("1" * 100_000, "(" * 4000, "ip.id ^ " * 500, "bswap32(" * 500):
            with pytest.raises(ExpressionError):
                parse(text)
    assert cost.seconds < 0.5
    with spent() as cost:
        for text in (wide, f"{deep} == {deep}"):
            canonical(parse(text))
    assert cost.seconds < 8


def test_nodes_check_themselves():
    with pytest.raises(ExpressionError, match=r"unknown field 'ip\.proto'"):
        Field("ip.proto")
