"""Steady attempts outside that nobody answers: what is told from the first day on, and what is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from flow_world import HOUR, START, Flow, batch, concluded, usual

from andon.detect.livenet.flowbaseline import FlowBaseline
from andon.detect.livenet.flowbaseline.strobes import TOO_MANY, gaps
from andon.detect.livenet.flowbaseline.tries import MOST, Tries
from andon.records.contract import Site
from andon.run.contract import check_engine
from andon.run.table_checks import SpanParts

IMPLANT, C2 = "10.1.1.15", "198.51.100.66"


def tries(
    every: float, begin: float = 8 * HOUR, end: float = 17 * HOUR, jitter: float = 0.2, **given: Any
) -> list[Flow]:
    """Attempts in vain, about every so many seconds."""
    rng = np.random.default_rng(7)
    at = np.arange(begin, end, every) + every * jitter * rng.random(len(np.arange(begin, end, every)))
    src, dst, port, answered = (
        given.get(name, default)
        for name, default in (("src", IMPLANT), ("dst", C2), ("port", 5888), ("answered", False))
    )
    return [(float(t), src, dst, port, "", answered, 0, 0) for t in at]


def told(flows: Sequence[Flow], terminals: int = 20) -> list[Any]:
    day = usual(np.random.default_rng(1), 0, terminals)
    return [f for f in concluded([*day, *flows], 0).findings if f.aspect == "unanswered"]


@pytest.mark.parametrize(
    ("every", "shown"), [(5, "on average every 5.0 s"), (300, "about every"), (1200, "20 min")]
)
def test_a_terminal_that_tries_one_destination_in_vain_is_told_on_its_first_day(
    every: float, shown: str
) -> None:
    (finding,) = told(tries(every))
    assert (finding.kind, finding.severity, finding.subject) == (
        "flow-anomaly",
        "medium",
        ("ipv4-addr", IMPLANT),
    )
    assert {entity.value for entity in finding.entities} == {IMPLANT, C2}
    assert finding.count == len(tries(every)) and shown in finding.statement
    assert "tcp/5888" in finding.statement and "a firewall that blocks" in finding.statement
    assert finding.attributes["period"] == pytest.approx(every, rel=0.25)


def test_a_short_capture_is_enough_if_there_are_many() -> None:
    flows = tries(0.7, 0, 480)
    (finding,) = [f for f in concluded(flows, 0).findings if f.aspect == "unanswered"]
    assert finding.count == len(flows) and "8 min" in finding.statement


@pytest.mark.parametrize(
    "flows",
    [
        pytest.param(tries(300, port=53), id="a resolver that is down"),
        pytest.param(tries(300, dst="224.0.0.252"), id="discovery"),
        pytest.param(tries(300, dst="10.1.9.9"), id="inside"),
        pytest.param(tries(300, answered=True), id="answered"),
        pytest.param(tries(300) + tries(300, answered=True), id="half of it answered"),
        pytest.param(tries(1, 9 * HOUR, 9 * HOUR + 60), id="a minute of reloading"),
        pytest.param(tries(1800, end=13 * HOUR), id="few"),
        pytest.param(
            [f for hour in (8, 9, 12, 16) for f in tries(20, hour * HOUR, hour * HOUR + 300)], id="now and then"
        ),
        pytest.param(
            [f for n in range(TOO_MANY + 1) for f in tries(300, dst=f"198.51.100.{n}")], id="all is blocked"
        ),
        pytest.param([(8 * HOUR + n, IMPLANT, f"198.51.{n % 90}.{n % 250}", 23, "", False, 0, 0)
                      for n in range(9000)], id="a scan"),
    ],
)  # fmt: skip
def test_what_is_none_of_it_is_not_told(flows: list[Flow]) -> None:
    assert told(flows) == []


def test_ordinary_failures_of_many_terminals_are_not_told() -> None:
    """People's sessions meet dead servers of pages and advertisements, three attempts each time."""
    rng = np.random.default_rng(12)
    flows: list[Flow] = []
    for n in range(150):
        for _ in range(rng.poisson(60)):
            at = (8 + 9 * rng.random()) * HOUR
            dead = f"198.51.{int(rng.pareto(0.7)) % 200}.{int(rng.pareto(0.7)) % 200}"
            flows += [
                (at + again, f"10.1.{n // 50}.{n % 50 + 10}", dead, 443, "", False, 0, 0)
                for again in (0, 1, 3)
            ]
    assert told(flows, terminals=40) == []


def test_web_ports_weigh_less_and_a_busy_terminal_hides_nothing() -> None:
    scan: list[Flow] = [
        (9 * HOUR + n, IMPLANT, f"203.0.{n % 50}.{n % 249}", 443, "", False, 0, 0) for n in range(100)
    ]
    (finding,) = told(tries(60, port=443) + scan)
    assert finding.severity == "low" and finding.entities[1].value == C2


def test_what_many_terminals_try_is_told_once_of_the_destination() -> None:
    (finding,) = told([f for n in range(10, 16) for f in tries(300, src=f"10.1.1.{n}")])
    assert (
        finding.subject == ("ipv4-addr", C2) and finding.severity == "low" and "6 terminals" in finding.title
    )
    assert len(finding.entities) == 7


def test_the_check_counts_the_attempts() -> None:
    engine = FlowBaseline(Site())
    flows = tries(60)
    outcome = concluded(flows, 0, None, engine)
    parts, start = SpanParts(), START * 10**9
    tables = {f"{engine.name}:{name}": table for name, table in outcome.tables.items()}
    parts.add("1d", start, tables)
    spans = [("1d", start)] * len(outcome.findings)
    counted = parts.count(outcome.findings, spans, {name: [table] for name, table in tables.items()})
    (finding,) = [f for f in counted if f.aspect == "unanswered"]
    assert [e.check.expected for e in finding.evidence if e.check] == [len(flows)]


def test_the_contract_holds_with_attempts_beyond_the_caps() -> None:
    rng = np.random.default_rng(3)
    scan: list[Flow] = [
        (
            float(rng.integers(86_400)),
            f"10.1.0.{n % 7}",
            f"198.51.{n % 200}.{n % 240}",
            23 + n % 3,
            "",
            False,
            0,
            0,
        )
        for n in range(4000)
    ]
    flows = scan + tries(300) + usual(rng, 0, 10)
    parts = [batch(flows[n::4], 0) for n in range(4)]
    check_engine(FlowBaseline(Site()), parts)
    outcome = check_engine(FlowBaseline(Site(settings={"livenet.flowbaseline.rows": 2000})), parts)
    assert any("about one terminal in" in f.statement for f in outcome.findings)


def test_of_a_scan_a_bounded_part_is_kept() -> None:
    flows: list[Flow] = [
        (n % 86_400, IMPLANT, f"198.{n % 200}.{n // 200}.7", 23, "", False, 0, 0) for n in range(30_000)
    ]
    summary = FlowBaseline(Site()).empty()
    FlowBaseline(Site()).summarise(batch(flows, 0), summary)
    assert len(summary.flows.tries.columns()["key"]) == MOST
    again = Tries.from_bytes(summary.flows.tries.to_bytes(), summary.flows.tries.most)
    assert again.to_bytes() == summary.flows.tries.to_bytes()


def test_gaps_of_rows_without_any() -> None:
    active = np.zeros((3, 720), bool)
    active[1, 5] = True
    active[2, [1, 2, 3]] = True
    middle, steady, number = gaps(active)
    assert number.tolist() == [0, 0, 2] and middle.tolist() == [0, 0, 1] and steady.tolist() == [0, 0, 1]


def test_pseudonyms_lie_inside() -> None:
    hidden = [(at, f"addr-{src}", dst, *rest) for at, src, dst, *rest in tries(300)]
    (finding,) = [f for f in concluded(hidden, 0).findings if f.aspect == "unanswered"]
    assert finding.subject == ("user-account", f"addr-{IMPLANT}")


def test_flows_that_are_nobodys_of_ours_are_said_and_no_error() -> None:
    (finding,) = concluded([(5.0, "198.51.100.1", "203.0.113.1", 80, "", True, 1, 1)], 0).findings
    assert finding.severity == "informational" and "--inside" in finding.statement
