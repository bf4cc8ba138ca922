"""Dark-GLASSO as an engine: the contract, the published pipeline step by step, a planted botnet, hostile input."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from glasso_traffic import DARK, SPAN, START, batch, conclude, glasso, noise, summary_of, wake_up
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import graphical_lasso

from andon.detect.darknet.glasso import Glasso
from andon.detect.darknet.glasso.hosts import choose
from andon.detect.darknet.glasso.options import PUBLISHED_RHO
from andon.detect.darknet.glasso.ports import ports_of
from andon.detect.darknet.glasso.summary import Counts
from andon.records import packet
from andon.records.columns import column
from andon.records.contract import Site
from andon.records.expression import compile_program, evaluate, parse
from andon.run.contract import check_engine
from andon.sketch.state import StateError


def rows_of(outcome: Any, table: str = "alerts") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = outcome.tables[table].to_pylist()
    return rows


def test_engine_keeps_the_contract() -> None:
    rng = np.random.default_rng(1)
    outcome = check_engine(glasso(), [noise(rng, 200, 4000), wake_up(rng, 40, 5555)])
    assert len(rows_of(outcome, "densities")) == 6


def test_engine_keeps_the_contract_with_every_fault_set_right() -> None:
    rng = np.random.default_rng(2)
    udp = batch(
        second=np.linspace(1, 599, 500),
        src=rng.integers(0, 1 << 32, 500),
        proto=packet.PROTO_UDP,
        layers=packet.IPV4 | packet.UDP,
        dst_port=53,
    )
    lists = {"mine": pa.table({"cidr": ["16.1.0.0/16", "16.2.3.0/24"], "organisation": ["A", "B"]})}
    chosen = {
        "samples": 60,
        "protocols": ["tcp", "udp"],
        "packets": "scan",
        "survey": "drop",
        "hosts": "random",
    }
    site = Site(lists=lists, settings={f"darknet.glasso.{name}": value for name, value in chosen.items()})
    check_engine(Glasso(site), [noise(rng, 200, 3000), udp, wake_up(rng, 40, 5555)])


def test_engine_keeps_the_contract_above_its_cap() -> None:
    rng = np.random.default_rng(3)
    parts = [
        batch(
            second=np.sort(rng.uniform(0, 600, 3000)),
            src=rng.integers(0, 400, 3000) << 16,
            dst_port=rng.integers(0, 1 << 16, 3000),
        )
        for _ in range(3)
    ]
    engine = glasso(pairs=1000, warm_up=12, history=12)
    check_engine(engine, parts)
    summary = summary_of(engine, *parts)
    assert summary.pairs.level > 0 and summary.pairs.used <= 1000
    chosen = choose(summary, engine.options, START, None)
    assert chosen.unknown == 400 - len(chosen.host) > 0
    # What is known of a network is whole: all its ports, and every count.
    host, port, packets, _ = summary.pair_table()
    source = np.concatenate([column(part, "src") for part in parts]) >> 16
    ports = np.concatenate([column(part, "dst_port") for part in parts])
    for n, network in enumerate(chosen.host.tolist()[:5]):
        mine = source == network
        assert chosen.counts[n].sum() == np.count_nonzero(mine)
        assert sorted(port[host == network].tolist()) == sorted(set(ports[mine].tolist()))
        assert packets[host == network].sum() == np.count_nonzero(mine)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.lists(st.integers(0, 900), max_size=6))
def test_any_cut_in_any_order_gives_the_same_summary(seed: int, cuts: list[int]) -> None:
    rng = np.random.default_rng(seed)
    whole = noise(rng, 500, 900)
    engine = glasso(pairs=1000)
    reference = summary_of(engine, whole).to_bytes()
    edges = sorted({0, 900, *cuts})
    parts = [whole.slice(a, b - a) for a, b in pairwise(edges)]
    rng.shuffle(parts)
    merged = engine.empty()
    for part in parts:
        merged = engine.merge(summary_of(engine, part), merged)
    assert merged.to_bytes() == reference
    assert Counts.from_bytes(reference).to_bytes() == reference


def published_window(part: pa.RecordBatch) -> tuple[np.ndarray, list[float], dict[int, tuple[int, float]]]:
    """A plain transcription of the published steps: counts, densities by rho, {port: (level, share)}."""
    second = (column(part, "ts") - START) / 1e9
    network = (column(part, "src") >> 16).tolist()
    hosts = sorted(set(network))
    counts = np.zeros((12, len(hosts)))
    for at, host in zip(second, network, strict=True):
        counts[int(at // 50), hosts.index(host)] += 1
    logs = np.log(np.where(counts == 0, 0.1, counts))
    cov = np.cov(logs, rowvar=False, bias=True)
    densities = []
    p = len(hosts)
    for rho in PUBLISHED_RHO:
        _, theta = graphical_lasso(cov + rho * np.eye(p), rho, tol=1e-10, enet_tol=1e-12, max_iter=2000)
        off = (np.abs(theta) > 1e-7) & ~np.eye(p, dtype=bool)
        densities.append(np.count_nonzero(off) / 2 / (p * (p - 1)))
    senders: dict[int, set[int]] = {}
    for host, port in zip(network, column(part, "dst_port").tolist(), strict=True):
        senders.setdefault(port, set()).add(host)
    levels: dict[int, tuple[int, float]] = {}
    ordered = sorted(senders, key=lambda port: -len(senders[port]))
    below = [len(senders[port]) for port in ordered if len(senders[port]) < 0.1 * p]
    for port in ordered:
        n = len(senders[port])
        if n >= 0.1 * p:
            levels[port] = (1 if n >= 20 else 2, n / p)
        elif n == max(below):
            levels[port] = (3, n / p)
    return counts.T, densities, levels


@pytest.mark.parametrize("seed", range(3))
def test_same_counts_densities_and_ports_as_the_published_steps(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = 700
    second = np.sort(rng.uniform(0, 600, size))
    second[0], second[-1] = 0, 599.5
    bots = np.arange(size) % 5 == 0
    second[bots] = 300 + rng.uniform(0, 20, bots.sum())
    part = batch(
        second=second,
        src=np.where(bots, 0x5000 + rng.integers(0, 25, size), 0x1000 + rng.integers(0, 60, size)) << 16,
        dst=DARK + rng.integers(0, 4096, size),
        dst_port=np.where(bots, 5555, 1 + rng.geometric(0.2, size)),
    )
    counts, densities, levels = published_window(part)
    engine = glasso(hosts="busiest")
    summary = summary_of(engine, part)
    np.testing.assert_array_equal(summary.table()[1], counts)
    outcome = conclude(engine, part)
    assert [row["density"] for row in rows_of(outcome, "densities")] == pytest.approx(densities, abs=1e-12)
    ports, left_out = ports_of(summary, choose(summary, engine.options, START, None))
    assert left_out == 0
    assert {port.port: (port.level, port.share) for port in ports} == levels
    assert levels[5555][0] == 1
    twice = conclude(glasso(hosts="busiest", density="usual"), part)
    assert [row["density"] for row in rows_of(twice, "densities")] == pytest.approx(
        [2 * value for value in densities]
    )


def test_a_botnet_that_wakes_in_step_raises_the_density_and_its_port_is_named() -> None:
    rng = np.random.default_rng(5)
    engine = glasso(warm_up=30, findings=3)
    carry, alerts = None, []
    for n in range(45):
        start = START + n * SPAN
        parts = [noise(rng, 120, 900, start)]
        if n == 40:
            parts.append(wake_up(rng, 40, 5555, start))
        outcome = conclude(engine, *parts, carry=carry, start=start)
        carry = outcome.carry
        if n < 29:
            assert not rows_of(outcome)  # nothing is said before the history is long enough
        else:
            assert rows_of(outcome)  # rows below the threshold as well
        alerts += [(n, row["port"], row["score"]) for row in rows_of(outcome) if row["alerted"]]
        if n == 40:
            found = outcome
    assert {span for span, _, _ in alerts} == {40}
    row = next(row for row in rows_of(found) if row["port"] == 5555)
    assert row["alerted"] and row["blocks"] == 40 and row["score"] > 3.1 and row["protocol"] == 6
    finding = next(f for f in found.findings if f.subject == ("port", "5555/tcp"))
    assert finding.series == row["series"] and finding.kind == "coordinated-activity"
    assert finding.attributes["level"] == 1 and finding.attributes["networks"] == 160
    assert len(finding.entities) == 40 and finding.entities[0].value.endswith("/16")
    # Its networks are those with most links, so it comes first, though other ports are asked by more.
    assert found.findings[0] == finding and finding.attributes["links_above"] > 5
    assert len(found.findings) == 3 and "other ports of this span" in finding.statement


def test_checks_of_a_finding_count_what_they_say() -> None:
    rng = np.random.default_rng(6)
    engine = glasso(warm_up=12)
    carry = None
    for n in range(13):
        parts = [noise(rng, 60, 400, START + n * SPAN)]
        if n == 12:
            parts.append(wake_up(rng, 50, 5555, START + n * SPAN))
        outcome = conclude(engine, *parts, carry=carry, start=START + n * SPAN)
        carry = outcome.carry
    finding = next(f for f in outcome.findings if f.subject[1] == "5555/tcp")
    table = pa.Table.from_batches(parts)
    names = {field.name: table[field.name].combine_chunks() for field in table.schema}
    columns = {name: column(pa.record_batch({name: array}), name) for name, array in names.items()}
    counted = []
    for evidence in finding.evidence:
        assert evidence.check is not None
        counted.append(int(evaluate(compile_program(parse(evidence.check.relation)), columns).sum()))
    assert counted == [200, 4, 4] and finding.count == 200


def test_one_dark_address_is_level_four() -> None:
    rng = np.random.default_rng(7)
    many = batch(
        src=(0x7000 + np.arange(30)) << 16, dst=DARK + 77, dst_port=6881, second=np.linspace(1, 599, 30)
    )
    engine = glasso()
    summary = summary_of(engine, noise(rng, 50, 500), many)
    ports, _ = ports_of(summary, choose(summary, engine.options, START, None))
    port = next(port for port in ports if port.port == 6881)
    assert (port.level, port.point, len(port.host)) == (4, DARK + 77, 30)
    assert all(other.point == -1 for other in ports if other.port != 6881)


def test_hosts_are_chosen_as_told_and_the_choice_can_be_repeated() -> None:
    rng = np.random.default_rng(8)
    part = noise(rng, 800, 6000)

    def taken(start: int = START, **more: Any) -> list[int]:
        engine = glasso(most_hosts=100, **more)
        hosts: list[int] = choose(summary_of(engine, part), engine.options, start, None).host.tolist()
        return hosts

    assert taken(hosts="hash") == taken(hosts="hash", start=START + SPAN)
    assert taken(hosts="random") == taken(hosts="random") != taken(hosts="random", start=START + SPAN)
    assert taken(hosts="random", seed=2) != taken(hosts="random")
    network = column(part, "src") >> 16
    _, counts = np.unique(network, return_counts=True)
    busiest = taken(hosts="busiest")
    mine = [int(np.count_nonzero(network == host)) for host in busiest]
    assert sorted(mine, reverse=True) == np.sort(counts)[::-1][:100].tolist()


def test_surveys_are_dropped_by_list_and_by_what_purpose_said_the_day_before() -> None:
    rng = np.random.default_rng(9)
    part = noise(rng, 50, 2000)
    purposes = pa.table(
        {
            "src": pa.array(
                [0x1003 << 16 | 1, 0x1003 << 16 | 2, 0x1004 << 16 | 1, 0x1004 << 16 | 2], pa.uint32()
            ),
            "purpose": ["survey", "attack", "survey", "undecided"],
            "packets": pa.array([60, 40, 40, 60], pa.int64()),
        }
    )
    lists = {
        "mine": pa.table(
            {"cidr": ["16.5.0.0/16", "16.6.0.0/25", "nonsense"], "organisation": ["A", "B", "C"]}
        )
    }
    site = Site(lists=lists, settings={"darknet.glasso.survey": "drop"})
    engine = Glasso(site)
    summary = summary_of(engine, part)
    source = column(part, "src")
    listed = (source >> 16 == 0x1005) | (source >> 7 == 0x10060000 >> 7)
    assert summary.listed == np.count_nonzero(listed) > 0
    assert summary.packets == 2000 - summary.listed
    chosen = choose(summary, engine.options, START, purposes)
    assert chosen.surveys == 1 and 0x1003 not in chosen.host and 0x1004 in chosen.host
    assert 0x1005 not in chosen.host
    kept = Glasso(Site(lists=lists))
    assert summary_of(kept, part).listed == 0


def test_protocols_flags_and_ignored_ports_are_settings() -> None:
    syn_ack = batch(second=np.arange(10), tcp_flags=packet.SYN | packet.ACK)
    udp = batch(second=np.arange(7), proto=packet.PROTO_UDP, layers=packet.IPV4 | packet.UDP, dst_port=53)
    plain = batch(second=np.arange(5), dst_port=23)
    counted = {
        name: summary_of(glasso(**chosen), syn_ack, udp, plain).packets
        for name, chosen in {
            "published": {},
            "scan": {"packets": "scan"},
            "udp": {"protocols": ["udp"]},
            "both": {"protocols": ["tcp", "udp"], "packets": "scan"},
            "ignored": {"ignore": [23]},
        }.items()
    }
    assert counted == {"published": 15, "scan": 5, "udp": 7, "both": 12, "ignored": 10}


def test_a_span_cut_short_or_without_networks_is_not_judged() -> None:
    rng = np.random.default_rng(10)
    engine = glasso()
    short = batch(second=np.linspace(60, 599, 500), src=rng.integers(0, 1 << 32, 500))
    one = batch(second=np.linspace(0, 599, 500))
    for part in (short, one, one.slice(0, 0)):
        outcome = conclude(engine, part)
        assert not outcome.tables and outcome.carry is not None
        assert all(len(series) == 0 for series in outcome.carry.densities)
    assert conclude(engine, noise(rng, 30, 300)).carry.seen == 1


def test_hostile_packets_are_left_out_and_extremes_do_no_harm() -> None:
    rng = np.random.default_rng(11)
    size = 300
    wild = batch(
        start=0,
        second=0,
        src=rng.integers(0, 1 << 32, size),
        dst=rng.choice([0, 0xFFFFFFFF], size),
        dst_port=rng.choice([0, 65535], size),
        tcp_flags=rng.integers(0, 256, size),
        layers=rng.integers(0, 256, size),
        proto=rng.choice([0, 1, 6, 17, 58, 255], size),
    )
    index = wild.schema.get_field_index("ts")
    times = rng.choice([0, 1, 2**62, -(2**62), -1], size)
    wild = wild.set_column(
        index, wild.schema.field(index), pa.array(times).cast(wild.schema.field(index).type)
    )
    engine = glasso(protocols=["tcp", "udp"])
    summary = summary_of(engine, wild)
    layers, proto = column(wild, "layers"), column(wild, "proto")
    tcp = (proto == 6) & (layers & packet.TCP > 0)
    udp = (proto == 17) & (layers & packet.UDP > 0)
    assert summary.packets == np.count_nonzero((layers & packet.IPV4 > 0) & (tcp | udp))
    check_engine(engine, [wild, noise(rng, 20, 100)])
    data = summary.to_bytes()
    for broken in (b"", data[:7], data[:-1], data[: len(data) // 2], data[:40] + b"\xff" + data[41:]):
        with pytest.raises(StateError):
            Counts.from_bytes(broken)


def test_every_network_on_every_port_stays_within_the_limit() -> None:
    engine = glasso(pairs=20_000)
    summary = engine.empty()
    for n in range(4):
        source = np.arange(1 << 16, dtype=np.int64) << 16
        part = batch(second=150 * n, src=source, dst_port=(source >> 7 ^ n * 977) & 0xFFFF)
        summary = engine.summarise(part, summary)
    assert len(summary.to_bytes()) < engine.limit
    assert summary.pairs.used <= 20_000
    assert summary.table()[1].sum() == 4 << 16  # the counts themselves are exact


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hosts", "all"),
        ("samples", 7),
        ("samples", 12.5),
        ("rho", [0.4, -1]),
        ("rho", [0.4, 0.4]),
        ("rho", ["a"]),
        ("theta", 1.5),
        ("history", 5),
        ("warm_up", 500),
        ("protocols", ["icmp"]),
        ("ignore", [70000]),
        ("levels", [5]),
        ("survey", True),
        ("forget_alerts", 1),
        ("pairs", 10),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"darknet.glasso.{name}"):
        glasso(**{name: value})
