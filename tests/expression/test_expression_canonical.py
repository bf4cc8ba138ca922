"""One form for every way to write a relation."""

from __future__ import annotations

import numpy as np
import pytest
from expression_reference import expressions, random_columns, tcp_fields
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from andon.records.expression import Comparison, Const, Fn, Sum, canonical, compile_program, evaluate, parse
from andon.records.expression.ast import Field, needs_of, walk
from andon.records.expression.isolate import isolations, sides

SAME = {
    "ip.id == lo16(ip.dst ^ tcp.dstport ^ tcp.seq)": [
        "ip.id == (ip.dst ^ tcp.dstport ^ tcp.seq) & 0xffff",
        "lo16(tcp.seq) == ip.id ^ tcp.dstport ^ lo16(ip.dst)",
        "tcp.dstport ^ ip.id == (tcp.seq & 0xffff) ^ (0xffff & ip.dst)",
        "lo16(ip.id ^ ip.dst ^ tcp.dstport ^ tcp.seq) == 0",
        "bswap16(ip.id) == bswap16(ip.dst ^ tcp.seq ^ tcp.dstport)",
    ],
    "tcp.seq == ip.dst": [
        "ip.dst == tcp.seq",
        "tcp.seq ^ ip.dst == 0",
        "tcp.seq - ip.dst == 0",
        "bswap32(ip.dst) == bswap32(tcp.seq)",
        "rotl32(tcp.seq ^ 5, 3) == rotl32(5 ^ ip.dst, 3)",
        "tcp.seq + ip.ttl == ip.ttl + ip.dst",
    ],
    "tcp.seq == rotl32(ip.dst, 7) ^ (tcp.srcport << 0x10) ^ 0xa5c3f00d": [
        "rotl32(tcp.seq ^ (tcp.srcport << 16) ^ 0xa5c3f00d, 25) == ip.dst",
        "tcp.seq ^ 0xa5c3f00d == (tcp.srcport * 65536) ^ rotl32(ip.dst, 7)",
    ],
    "tcp.seq == (ip.dst * 0x1000193) + tcp.dstport": [
        "tcp.seq - tcp.dstport == ip.dst * 16777619",
        "(tcp.seq - tcp.dstport) * 0x359c449b == ip.dst",
    ],
    "tcp.seq & 0xffff == hi16(tcp.seq) ^ key16": ["hi16(tcp.seq) ^ lo16(tcp.seq) == key16"],
    "ip.id == rotl16(ip.dst ^ tcp.srcport, 5) ^ 0xa446": [
        "ip.id == rotl16(ip.dst, 5) ^ rotl16(tcp.srcport, 5) ^ 0xa446",
        "ip.id == rotl16(lo16(ip.dst) ^ tcp.srcport ^ 0x3522, 5)",
    ],
    "tcp.seq == rotl32(ip.dst ^ tcp.srcport, 5)": [
        "tcp.seq == rotl32(ip.dst, 5) ^ (tcp.srcport << 5)",
        "tcp.seq ^ rotl32(ip.dst, 5) == tcp.srcport * 32",
    ],
    "ip.id == lo16(ip.dst ^ tcp.srcport) | 0x9021": ["ip.id == lo16((ip.dst ^ tcp.srcport) | 0x9021)"],
    "tcp.seq == bswap32(ip.dst) ^ 0x8c47b81a": ["tcp.seq == bswap32(ip.dst ^ 0x1ab8478c)"],
    "ip.id == 0xd431": ["54321 == ip.id", "0xd430 == ip.id - 1", "ip.id ^ 0xffff == 0x2bce"],
    "tcp.flags & 0x3f == 2": ["2 == tcp.flags & 0x3f", "(tcp.flags & 0x3f) ^ 2 == 0"],
    "ip.id == 1 and ip.ttl == 2 and tcp.seq == 3": [
        "(tcp.seq == 3 and ip.ttl == 2) and (ip.id == 1 and 3 == tcp.seq)",
    ],
    "tcp.seq == tcp.seq": ["tcp.seq ^ tcp.seq == 0", "tcp.ack - tcp.ack == 0"],
    "0 != 0": ["ip.id == 0x12345", "ip.ttl & 0xff00 == 256", "tcp.seq != tcp.seq"],
}


@pytest.mark.parametrize(
    ("form", "text"), [(form, text) for form, texts in SAME.items() for text in [form, *texts]]
)
def test_ways_to_write_a_relation_have_one_form(form, text):
    assert str(canonical(parse(text))) == form


def linear(depth=5):
    """Values made of operations that can be undone."""
    return st.recursive(
        st.one_of(tcp_fields, st.integers(0, 2**32 - 1).map(Const)),
        lambda inner: st.one_of(
            st.builds(lambda op, a, b: Sum(op, (a, b)), st.sampled_from("^+-"), inner, inner),
            st.builds(lambda x, n: Fn("rotl32", x, n), inner, st.integers(0, 31)),
            st.builds(lambda x: Fn("bswap32", x), inner),
        ),
        max_leaves=depth,
    )


@settings(max_examples=300, deadline=None, derandomize=True)
@given(linear(), linear())
def test_solving_for_another_field_leads_to_the_same_form(left, right):
    expr = Comparison(left, "==", right)
    named = [node for node in walk(expr) if isinstance(node, Field)]
    assume(len(named) == len(set(named)))  # a field that occurs twice may double or cancel: not undone
    at = sides(expr)
    assume(at.decided() is None)
    made = canonical(expr)
    for found in isolations(at):
        other = Comparison(found.left, "==", found.masked_right())
        if needs_of(other) == needs_of(expr):  # else a field cancelled out, and with it what must be present
            assert canonical(other) == made


@settings(max_examples=300, deadline=None, derandomize=True)
@given(expressions())
def test_the_form_is_a_fixed_point_that_says_the_same(expr):
    made = canonical(expr)
    assert canonical(made) == made
    columns = random_columns(np.random.default_rng(5), 400)
    assert np.array_equal(
        evaluate(compile_program(made), columns), evaluate(compile_program(expr), columns)
    ), f"{expr} became {made}"


@settings(max_examples=200, deadline=None, derandomize=True)
@given(expressions(), st.randoms(use_true_random=False))
def test_order_of_terms_does_not_matter(expr, random):
    def shuffled(node):
        if isinstance(node, Comparison):
            sides_ = [shuffled(node.left), shuffled(node.right)]
            random.shuffle(sides_)
            return Comparison(sides_[0], node.op, sides_[1])
        if isinstance(node, Fn):
            return Fn(node.name, shuffled(node.argument), node.n)
        if not hasattr(node, "terms"):
            return node
        terms = [shuffled(term) for term in node.terms]
        if isinstance(node, Sum):
            if node.op in "^|&+*":
                random.shuffle(terms)
            return Sum(node.op, tuple(terms))
        random.shuffle(terms)
        return type(node)(tuple(terms))

    assert canonical(shuffled(expr)) == canonical(expr)
