"""ChangeFinder as an engine: the contract, exact counts, births and falls of ports, bounds, hostile input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from andon.detect.darknet.changefinder import ChangeFinder
from andon.detect.darknet.changefinder.carry import SILENT, TOTAL, Followed
from andon.detect.darknet.changefinder.summary import Ports
from andon.records import packet
from andon.records.columns import column
from andon.records.contract import Context, Site
from andon.records.expression import compile_program, evaluate, parse
from andon.run.contract import check_engine
from andon.sketch.state import StateError
from made_packets import packets

SPAN = 600_000_000_000
START = 2_800_000 * SPAN


def changefinder(**settings: Any) -> ChangeFinder:
    return ChangeFinder(
        Site(settings={f"darknet.changefinder.{name}": value for name, value in settings.items()})
    )


def batch(start: int = START, **given: Any) -> pa.RecordBatch:
    """``second`` counts from ``start``, the rest as in ``made_packets``."""
    return packets(ChangeFinder.columns, start, **given)


def traffic(rng: np.random.Generator, start: int, **ports: int) -> pa.RecordBatch:
    """A whole span with so many packets, each of its own source, to ports given as ``p23=100``."""
    port = np.concatenate([np.full(n, int(name[1:])) for name, n in ports.items()])
    second = rng.uniform(0, 600, len(port))
    second[0], second[-1] = 0.0, 599.9
    return batch(start, second=second, src=rng.integers(1, 1 << 32, len(port)), dst_port=port)


def conclude(engine: ChangeFinder, part: pa.RecordBatch, carry: Any, start: int, gap: int = 0) -> Any:
    summary = engine.summarise(part, engine.empty())
    length = 86_400_000_000_000 if engine.options.span == "1d" else SPAN
    return engine.conclude(summary, carry, Context(engine.options.span, start, start + length, gap=gap))


def test_engine_keeps_the_contract() -> None:
    rng = np.random.default_rng(1)
    parts = [traffic(rng, START, p23=200, p80=90, p5555=30) for _ in range(3)]
    udp = batch(
        second=np.linspace(0, 599, 50),
        src=np.arange(50),
        proto=17,
        layers=packet.IPV4 | packet.UDP,
        dst_port=53,
    )
    check_engine(changefinder(), [*parts, udp])
    check_engine(changefinder(per="total", packets="all", early="published", scale="log"), [*parts, udp])
    days = batch(second=np.linspace(0, 86_000, 500), src=np.arange(500))
    check_engine(changefinder(span="1d"), [days])


def test_engine_keeps_the_contract_above_its_cap_and_says_so() -> None:
    rng = np.random.default_rng(2)
    parts = [traffic(rng, START, p23=3000, p80=900) for _ in range(2)]
    engine = changefinder(pairs=1000, ignored=0, threshold=0.0)
    check_engine(engine, parts)
    summary = engine.empty()
    for part in parts:
        summary = engine.summarise(part, summary)
    assert summary.pairs.level > 0
    sources, total = summary.sources()
    assert summary.packets[23] == 6000 and 4500 < sources[23] < 7500 and 6000 < total < 9600
    outcome = conclude(engine, parts[0], None, START)
    outcome = conclude(engine, traffic(rng, START + SPAN, p23=60_000), outcome.carry, START + SPAN)
    assert any("estimates from one source in" in finding.statement for finding in outcome.findings)


def test_counts_are_exact_below_the_cap() -> None:
    rng = np.random.default_rng(3)
    part = batch(
        second=np.linspace(0, 599, 4000),
        src=rng.integers(0, 300, 4000),
        dst_port=rng.integers(0, 40, 4000),
        tcp_flags=rng.choice([packet.SYN, packet.SYN | packet.ACK, packet.RST], 4000),
    )
    engine = changefinder()
    summary = engine.summarise(part, engine.empty())
    asks = column(part, "tcp_flags") == packet.SYN
    port, source = column(part, "dst_port")[asks], column(part, "src")[asks]
    sources, total = summary.sources()
    for p in range(40):
        assert summary.packets[p] == np.count_nonzero(port == p)
        assert sources[p] == len(np.unique(source[port == p]))
    assert total == len(np.unique(source))
    everything = changefinder(packets="all")
    assert everything.summarise(part, everything.empty()).packets.sum() == 4000


def run(engine: ChangeFinder, plan: Any, spans: int) -> list[list[dict[str, Any]]]:
    """Alert rows of each span; ``plan(n)`` gives the expected packets by port."""
    rng = np.random.default_rng(4)
    carry, rows = None, []
    for n in range(spans):
        start = START + n * SPAN
        ports = {name: int(rng.poisson(mean)) for name, mean in plan(n).items() if mean}
        outcome = conclude(engine, traffic(rng, start, **ports), carry, start)
        carry = outcome.carry
        rows.append(outcome.tables["alerts"].to_pylist())
    return rows


def test_a_port_that_is_born_and_one_that_falls_are_told_at_once_and_others_are_not() -> None:
    rows = run(
        changefinder(),
        lambda n: {"p23": 300, "p80": 150 if n < 80 else 15, "p5555": 60 if n >= 80 else 0},
        90,
    )
    told = [
        (n, row["port"], row["direction"]) for n, span in enumerate(rows) for row in span if row["alerted"]
    ]
    assert (80, 5555, "start") in told
    assert any(port == 80 and direction == "stop" and 80 <= n <= 83 for n, port, direction in told)
    assert not [entry for entry in told if entry[1] == 23]
    assert not [entry for entry in told if entry[0] < 80]
    born = next(row for row in rows[80] if row["port"] == 5555)
    assert born["score"] > 3 and born["series"] and born["begins"] == born["start"]
    # Later spans keep a row while the score is high, but are no new alert.
    after = [row for row in rows[82] if row["port"] == 5555]
    assert after and not after[0]["alerted"] and after[0]["series"] == ""


def test_whole_telescope_alone_as_published() -> None:
    rows = run(
        changefinder(per="total", early="published"),
        lambda n: {"p23": 100, "p5555": 2000 if n >= 200 else 0},
        208,
    )
    assert {(row["port"], row["protocol"]) for span in rows for row in span} <= {(0, 0)}
    assert not any(rows[:15])
    assert any(row["score"] > 3 for span in rows[200:] for row in span)


def test_finding_of_a_port_can_be_counted() -> None:
    rng = np.random.default_rng(5)
    engine = changefinder()
    carry = None
    for n in range(41):
        part = traffic(rng, START + n * SPAN, p23=300, **({"p5555": 70} if n >= 39 else {}))
        outcome = conclude(engine, part, carry, START + n * SPAN)
        carry = outcome.carry
    finding = next(f for f in outcome.findings if f.subject == ("port", "5555/tcp"))
    check = finding.evidence[0].check
    assert check is not None and finding.count == 70 and finding.attributes["direction"] == "start"
    columns = {name: column(part, name) for name in engine.columns}
    assert int(evaluate(compile_program(parse(check.relation)), columns).sum()) == 70


def test_ports_followed_are_bounded_and_the_ones_with_fewest_sources_go() -> None:
    rng = np.random.default_rng(6)
    engine = changefinder(ports=5, least_packets=1, least_sources=1)
    carry = None
    for n in range(4):
        ports = {f"p{port}": 10 + port for port in range(1, 13)}
        outcome = conclude(engine, traffic(rng, START + n * SPAN, **ports), carry, START + n * SPAN)
        carry = outcome.carry
    assert carry.codes.tolist() == [TOTAL, SILENT, 8, 9, 10, 11, 12]
    followed, dropped = carry.follow(np.arange(1, 13), np.arange(1 << 17), 5)
    assert dropped == 7 and len(followed.codes) == 7


def test_a_port_that_stays_silent_is_forgotten_in_the_end() -> None:
    rng = np.random.default_rng(7)
    engine = changefinder(forgetting=0.2)
    carry = None
    for n in range(60):
        part = traffic(rng, START + n * SPAN, p23=100, **({"p5555": 50} if n < 3 else {}))
        carry = conclude(engine, part, carry, START + n * SPAN).carry
    assert carry.codes.tolist() == [TOTAL, SILENT, 23]


def test_a_span_cut_short_is_no_point() -> None:
    engine = changefinder()
    half = batch(second=np.linspace(0, 300, 500), src=np.arange(500))
    for part in (half, half.slice(0, 0)):
        outcome = conclude(engine, part, None, START)
        assert not outcome.tables and outcome.carry.seen.tolist() == [0, 0]


def test_hostile_packets_and_broken_states() -> None:
    rng = np.random.default_rng(8)
    wild = batch(
        second=rng.uniform(0, 600, 500),
        src=rng.integers(0, 1 << 32, 500),
        dst_port=rng.choice([0, 65535], 500),
        tcp_flags=rng.integers(0, 256, 500),
        layers=rng.integers(0, 256, 500),
        proto=rng.choice([0, 1, 6, 17, 58, 255], 500),
    )
    engine = changefinder()
    outcome = check_engine(engine, [wild, traffic(rng, START, p23=50)])
    data = engine.summarise(wild, engine.empty()).to_bytes()
    for broken in (b"", data[:7], data[:-1], data[:40] + b"\xff" + data[41:]):
        with pytest.raises(StateError):
            Ports.from_bytes(broken)
    assert outcome.carry is not None
    kept = outcome.carry.to_bytes()
    assert Followed.from_bytes(kept).to_bytes() == kept
    with pytest.raises(StateError):
        Followed.from_bytes(kept[:-2])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("per", "source"),
        ("span", "1h"),
        ("forgetting", 0.0),
        ("ports", 0),
        ("threshold", "high"),
        ("protocols", ["icmp"]),
        ("ignored", 2.5),
        ("ignored", True),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"darknet.changefinder.{name}"):
        changefinder(**{name: value})
