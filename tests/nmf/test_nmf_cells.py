"""The summary: exact counts, the same however it was cut, bounded, and what the bound left out is known."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nmf_traffic import background

from andon.records import packet
from andon.records.columns import column
from andon.sketch.factors.cells import Cells
from andon.sketch.factors.surprise import concentration
from andon.sketch.factors.traffic import pairs, traffic
from andon.sketch.factors.usual import LEAST_SPANS, Usual
from andon.sketch.state import StateError
from factor_traffic import NETWORK, SPAN_NS, START, batch, bots

KEY = 0x1234567
TCP, UDP = packet.PROTO_TCP, packet.PROTO_UDP


def cells(*batches: pa.RecordBatch, limit: int = 100_000) -> Cells:
    made = Cells(limit, KEY)
    for part in batches:
        made.add(part)
    return made


def test_cells_hold_exactly_the_packets_of_each_minute_source_and_port() -> None:
    part = background(3, networks=20, packets=3000)
    seen = traffic(cells(part), START, START + SPAN_NS, TCP)
    minute = (column(part, "ts") - START) // 60_000_000_000
    told = Counter(
        zip(minute.tolist(), column(part, "src").tolist(), column(part, "dst_port").tolist(), strict=True)
    )
    got = zip(
        seen.minute.tolist(), seen.source.tolist(), seen.port.tolist(), seen.packets.tolist(), strict=True
    )
    assert {(m, s, p): n for m, s, p, n in got} == dict(told)


def test_a_span_that_crosses_midnight_is_in_order() -> None:
    start = 20_000 * 86_400_000_000_000 - 600_000_000_000  # ten minutes before a day begins
    part = batch(start=start, second=np.array([0.0, 599.0, 600.0, 1799.0]), src=np.arange(4) + 1)
    seen = traffic(cells(part), start, start + SPAN_NS, TCP)
    assert sorted(zip(seen.source.tolist(), seen.minute.tolist(), strict=True)) == [
        (1, 0),
        (2, 9),
        (3, 10),
        (4, 29),
    ]


def test_only_what_asks_is_counted() -> None:
    syn_ack = batch(src=5, tcp_flags=packet.SYN | packet.ACK)
    reset = batch(src=6, tcp_flags=packet.RST)
    six = batch(src=7, layers=packet.IPV6 | packet.TCP)
    cut = batch(src=8, layers=packet.IPV4 | packet.CUT)
    icmp = batch(src=9, proto=packet.PROTO_ICMP, layers=packet.IPV4 | packet.ICMP)
    assert cells(syn_ack, reset, six, cut, icmp).packets == 0
    ecn = batch(src=1, tcp_flags=packet.SYN | packet.ECE | packet.CWR)
    udp = batch(src=2, proto=UDP, layers=packet.IPV4 | packet.UDP, tcp_flags=0)
    both = cells(ecn, udp)
    assert both.packets == 2
    assert [traffic(both, START, START + SPAN_NS, proto).source.tolist() for proto in (TCP, UDP)] == [
        [1],
        [2],
    ]


def test_one_destination_is_known_and_several_are_not_taken_for_one() -> None:
    one = batch(src=1, dst=np.array([NETWORK + 9] * 5))
    two = batch(src=2, dst=np.array([NETWORK + 9, NETWORK + 8]))
    seen = traffic(cells(one, two), START, START + SPAN_NS, TCP)
    assert dict(zip(seen.source.tolist(), seen.one.tolist(), strict=True)) == {1: NETWORK + 9, 2: -1}


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 1799), st.integers(0, 40), st.integers(0, 3), st.sampled_from([TCP, UDP, 1])
        ),
        min_size=1,
        max_size=300,
    ),
    st.lists(st.integers(0, 300), max_size=4),
)
def test_cells_do_not_depend_on_how_the_input_was_cut(
    rows: list[tuple[int, int, int, int]], cuts: list[int]
) -> None:
    second, source, port, proto = (np.array(column) for column in zip(*rows, strict=True))
    layers = np.select([proto == TCP, proto == UDP], [packet.TCP, packet.UDP], packet.ICMP) | packet.IPV4
    whole = batch(
        second=second,
        src=source << 16 | port,
        dst=NETWORK + source,
        dst_port=port,
        proto=proto,
        layers=layers,
    )
    reference = cells(whole, limit=30)
    edges = sorted({0, len(rows), *(min(cut, len(rows)) for cut in cuts)})
    parts = [cells(whole.slice(a, b - a), limit=30) for a, b in pairwise(edges)]
    merged = Cells(30, KEY)
    for part in reversed(parts):
        merged.merge(part)
    assert merged.to_bytes() == reference.to_bytes()
    assert Cells.from_bytes(reference.to_bytes()).to_bytes() == reference.to_bytes()


def test_above_its_limit_whole_networks_are_left_out_and_their_packets_counted() -> None:
    part = background(4, networks=400, packets=8000)
    whole, capped = cells(part), cells(part, limit=1500)
    assert capped.rows.used <= 1500 and capped.rows.level >= 1 and capped.packets == 8000
    full = traffic(whole, START, START + SPAN_NS, TCP)
    kept = traffic(capped, START, START + SPAN_NS, TCP)
    same = full.take(np.isin(full.host(), kept.host()))
    assert len(same) == len(kept) and same.packets.sum() == kept.packets.sum()


@pytest.mark.parametrize("data", [b"", b"123", b"\xff" * 40, cells(bots(9)).to_bytes()[:-3]])
def test_damaged_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(StateError):
        Cells.from_bytes(data)


def test_pairs_are_distinct_networks_and_ports() -> None:
    part = batch(src=np.array([1 << 16, 1 << 16, (1 << 16) + 5, 2 << 16]), dst_port=np.array([7, 8, 7, 7]))
    found = pairs(traffic(cells(part), START, START + SPAN_NS, TCP))
    assert found.hosts.tolist() == [1, 2] and found.ports.tolist() == [7, 8]
    assert found.hosts_of_ports().tolist() == [2, 1]


def test_the_bound_on_chance_is_above_the_exact_tail_and_not_far_off() -> None:
    from scipy.stats import binom

    for k, n, q in ((10, 40, 0.05), (40, 40, 0.3), (200, 400, 0.1), (3, 5, 0.01)):
        exact = -binom.logsf(k - 1, n, q) / np.log(10)
        score = float(concentration(np.array([k]), np.array([n]), np.array([q]))[0])
        assert exact - 2.5 < score <= exact + 1e-9


def test_what_is_usual_is_learnt_and_kept_through_bytes() -> None:
    usual = Usual()
    rng = np.random.default_rng(2)
    for _ in range(60):
        usual = usual.after(np.array([23, 80]), np.array([500 + rng.integers(-40, 40), rng.poisson(9)]))
    again = Usual.from_bytes(usual.to_bytes())
    keys, hosts = np.array([23, 23, 80, 4000]), np.array([540, 900, 30, 30])
    surprise = again.surprise(keys, hosts)
    assert surprise[0] < 2 and surprise[1] > 6 and surprise[2] > 6 and surprise[3] > 20
    assert again.to_bytes() == usual.to_bytes() and usual.knows and not Usual().knows
    assert Usual().after(keys[:1], hosts[:1]).spans == 1 < LEAST_SPANS


def test_ports_that_are_not_seen_any_more_are_forgotten() -> None:
    usual = Usual().after(np.arange(1000), np.ones(1000, np.int64))
    for _ in range(400):
        usual = usual.after(np.array([5000]), np.array([3]))
    assert usual.keys.tolist() == [5000]


def test_a_damaged_history_is_refused() -> None:
    from andon.sketch.state import pack

    with pytest.raises(StateError):
        Usual.from_bytes(pack("usual", 1, {"keys": np.zeros(2, "<i8"), "mean": np.zeros(1)}, {"spans": 1}))
    bad = {"keys": np.zeros(2, "<i8"), "mean": np.zeros(1), "variance": np.zeros(2)}
    with pytest.raises(StateError):
        Usual.from_bytes(pack("usual", 1, bad, {"spans": 1}))
