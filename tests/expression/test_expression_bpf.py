"""tcpdump, given our filter, selects exactly the packets that the predicate selects."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from expression_reference import constants, expressions, fields
from frames import columns_of, random_frame, tcpdump_selects, write_pcap
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from andon.records.expression import NotExpressible, compile_program, evaluate, parse, to_bpf

pytestmark = pytest.mark.skipif(shutil.which("tcpdump") is None, reason="tcpdump is not installed")

RELATIONS = (
    "tcp.seq == ip.dst",
    "tcp.seq != ip.dst",
    "ip.id == 54321",
    "ip.id == (ip.dst ^ tcp.dstport ^ tcp.seq) & 0xffff",
    "tcp.seq == rotl32(ip.dst, 7) ^ (tcp.srcport << 16) ^ 0xa5c3f00d",
    "tcp.seq == (ip.dst * 0x01000193) + tcp.dstport",
    "ip.id == 3 or tcp.window == 3 or udp.srcport == 3",
    "(ip.ttl == 3 or tcp.srcport == 3) and (ip.id == 3 or udp.dstport == 3 or tcp.flags == 18)",
    "ip.ttl == 3 and (tcp.window == 3 or (ip.id == 3 and (ip.len != 40 or tcp.srcport == 3)))",
    "tcp.seq == udp.srcport or ip.ttl == 255",
    "tcp.seq == tcp.seq",
    "udp.srcport == udp.srcport or ip.id == 3",
    "bswap32(ip.dst) == tcp.seq or bswap16(tcp.srcport) == 0x300 or rotl16(tcp.window, 3) == 24",
    "hi16(ip.dst) != lo16(tcp.seq) - tcp.ack",
    "tcp.seq << 40 == 0 and 1 << tcp.dstport == 8",
    "0 == 0 and ip.id == 3",
)


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    rng = np.random.default_rng(42)
    frames = [random_frame(rng) for _ in range(4000)]
    path = tmp_path_factory.mktemp("bpf") / "all_kinds.pcap"
    write_pcap(path, frames)
    return path, [columns_of([frame[:cut] for frame, cut in frames], tags) for tags in (0, 1, 2)]


def matches(expr, columns):
    return np.flatnonzero(evaluate(compile_program(expr), columns)).tolist()


@pytest.mark.parametrize("flags", [(), ("-O",)], ids=["optimised", "plain"])
@pytest.mark.parametrize("vlan", [0, 1, 2])
@pytest.mark.parametrize("text", RELATIONS)
def test_tcpdump_selects_what_the_predicate_selects(capture, text, vlan, flags):
    path, columns = capture
    expected = matches(parse(text), columns[vlan])
    assert tcpdump_selects(path, to_bpf(parse(text), vlan), *flags) == expected
    assert expected, "the capture should hold packets for every relation"


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(expressions(st.one_of(fields, fields, constants), depth=6), st.integers(0, 2))
def test_tcpdump_agrees_on_random_expressions(capture, expr, vlan):
    path, columns = capture
    expected = matches(expr, columns[vlan])
    try:
        text = to_bpf(expr, vlan)
    except NotExpressible:
        assert not expected
        return
    # -O: the optimiser of libpcap 1.10.3 miscompiles a few long filters (see the test below).
    assert tcpdump_selects(path, text, "-O") == expected


def test_long_filters_want_the_optimiser_off(capture):
    # libpcap 1.10.3 drops the store to a memory word that it reads again later: right without its optimiser.
    path, columns = capture
    expr = parse("rotl16(ip.ttl, 1) != 0 and 0 != rotl16(ip.src, 1) and ip.ttl == ip.id")
    expected = matches(expr, columns[0])
    assert expected
    assert tcpdump_selects(path, to_bpf(expr), "-O") == expected
