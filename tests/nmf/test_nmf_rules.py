"""The published rules, written out once more in plain NumPy and sets, against the engine on small windows."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest
from nmf_traffic import background, concluded, heavy

from andon.detect.darknet.nmf.factorise import Factors
from andon.detect.darknet.nmf.groups import Rule, groups
from andon.records.columns import column
from factor_traffic import START, alerted, batch, bots

EXCLUDED = {22, 23, 80, 81, 445, 1433, 2323, 3389, 5555, 8080, 52869}


def published(
    batches: list[pa.RecordBatch], mode: int = 1, faults: bool = True
) -> dict[int, tuple[float, float]]:
    """Port -> (most, least percent) by the published rules: 30 rows of a minute, /16 hosts with 2 packets or more,
    without those above 60 packets in a minute, r = 1..10, half of the maximum, 2 hosts, 30 %."""
    sent: dict[int, np.ndarray] = defaultdict(lambda: np.zeros(30))
    asked: dict[int, set[int]] = defaultdict(set)
    for part in batches:
        rows = zip(*(column(part, name).tolist() for name in ("ts", "src", "dst_port")), strict=True)
        for ts, source, port in rows:
            if port not in EXCLUDED:
                sent[source >> 16][(ts - START) // 60_000_000_000] += 1
                asked[source >> 16].add(port)
    hosts = sorted(host for host, row in sent.items() if row.sum() >= 2)
    over = [host for host in hosts if sent[host].max() > 60]
    if faults and not over:
        return {}  # V[, -integer(0)] has no columns
    hosts = [host for host in hosts if host not in over]
    v = np.array([sent[host] for host in hosts]).T
    u, _, vt = np.linalg.svd(v, full_matrices=False)
    told: dict[int, list[float]] = defaultdict(list)
    for r in range(1, 11):
        w, h, last = np.abs(u[:, :r]), np.abs(vt[:r]), np.inf
        for _ in range(3000):
            w = w * (v @ h.T) / (w @ (h @ h.T))
            h = h * (w.T @ v) / ((w.T @ w) @ h)
            error = float(np.mean((v - w @ h) ** 2))
            if abs(last - error) < 1e-5:
                break
            last = error
        for g in range(r):
            packets = h[g] * w[:, g].sum()
            active = {host for host, n in zip(hosts, packets, strict=True) if n >= 1}
            peak = {
                host for host, n in zip(hosts, packets, strict=True) if n >= 1 and n >= 0.5 * packets.max()
            }
            if len(peak) < 2:
                continue
            group = peak if mode == 1 else active
            number: dict[int, int] = defaultdict(int)
            for host in group:
                for port in asked[host]:
                    number[port] += 1
            for port, n in number.items():
                if n >= 2 and n >= 0.3 * len(group):
                    told[port].append(100 * n / len(group))
    return {port: (max(percent), min(percent)) for port, percent in told.items()}


@pytest.mark.parametrize("seed", [11, 12, 13])
@pytest.mark.parametrize("mode", [1, 0])
def test_the_engine_tells_the_ports_of_the_published_rules(seed: int, mode: int) -> None:
    parts = [
        background(seed, networks=120, packets=2500),
        bots(7547, seed),
        bots(60001, seed, 12, 5, (3, 9)),
        heavy(),
    ]
    expected = published(parts, mode)
    outcome = concluded(*parts, settings={"mode": mode, "second_stage": 0})
    told = alerted(outcome)
    assert told == set(expected) and 7547 in told
    for one in outcome.findings:
        most, least = expected[one.attributes["port"]]
        assert one.attributes["percent_max"] == pytest.approx(most, abs=0.01)
        assert one.attributes["percent_min"] == pytest.approx(least, abs=0.01)


def test_without_a_heavy_host_the_published_code_loses_the_span_and_the_switch_keeps_it() -> None:
    parts = [background(14, networks=120, packets=2500), bots(7547)]
    assert published(parts) == {} and alerted(concluded(*parts)) == set()
    kept = concluded(*parts, settings={"quiet_spans": True})
    assert alerted(kept) == set(published(parts, faults=False)) >= {7547}


def test_a_host_above_the_limit_is_taken_out_and_one_at_the_limit_is_not() -> None:
    def loud(rate: int) -> list[pa.RecordBatch]:
        pair = [batch(second=np.linspace(60, 119, rate), src=(n + 1) << 16, dst_port=4567) for n in range(2)]
        return [background(15, networks=60, packets=600), heavy(rate=90), *pair]

    assert 4567 in alerted(concluded(*loud(60)))
    assert 4567 not in alerted(concluded(*loud(61)))
    assert 4567 in alerted(concluded(*loud(61), settings={"over_limit": 61}))


def test_a_host_of_one_packet_is_no_column() -> None:
    singles = batch(second=np.full(40, 300.0), src=(np.arange(40) + 9) << 16, dst_port=4567)
    assert alerted(concluded(singles, heavy())) == set()
    doubles = batch(second=np.full(80, 300.0), src=np.repeat(np.arange(40) + 9, 2) << 16, dst_port=4567)
    assert alerted(concluded(doubles, heavy())) == {4567}


def test_active_and_anomalous_hosts_are_those_of_the_rule() -> None:
    w = np.array([[2.0, 0.0], [2.0, 1.0]])  # column sums 4 and 1
    h = np.array([[0.25, 0.2, 2.0, 1.0, 0.9], [0.0, 0.0, 5.0, 0.0, 0.0]])
    of = np.arange(5)
    (one,) = groups(
        Factors(w, h, 0.0, 1), of, Rule()
    )  # packets 1, 0.8, 8, 4, 3.6; the second has one host only
    assert one.anomalous.tolist() == [False, False, True, True, False]
    assert one.hosts is one.anomalous and one.minutes.tolist() == [True, True]
    (wide,) = groups(Factors(w, h, 0.0, 1), of, Rule(mode=0))
    assert wide.hosts.tolist() == [True, False, True, True, True]


def test_larger_blocks_of_hosts_have_their_own_limits() -> None:
    # Two addresses with 35 packets in a minute: above the limit of an address (30), within that of a /24 (45).
    quiet = [batch(second=60 + n, src=(n + 1) << 16 | 5, dst_port=np.full(2, 999)) for n in range(30)]
    pair = [batch(second=np.linspace(600, 659, 35), src=(n + 1) << 16 | 7, dst_port=4567) for n in range(2)]
    for octets, told in ((4, False), (3, True), (2, True)):
        settings = {"octets": octets, "quiet_spans": True}
        assert (4567 in alerted(concluded(*quiet, *pair, settings=settings))) is told
