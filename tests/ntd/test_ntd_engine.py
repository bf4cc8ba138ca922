"""The engine as a whole: contract, planted botnets, each correction, bounds, and settings that make no sense."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from ntd_traffic import chatter, concluded

from andon.detect.darknet.ntd import NtdEngine
from andon.detect.darknet.ntd.span import cube
from andon.records import packet
from andon.records.contract import Site
from andon.records.coordination import ALERTS
from andon.run.contract import check_engine
from andon.sketch.factors.cells import Cells
from andon.sketch.factors.traffic import traffic
from andon.sketch.factors.usual import Usual
from factor_traffic import SPAN_NS, START, alerted, batch, bots, flood

UDP = {"proto": packet.PROTO_UDP, "layers": packet.IPV4 | packet.UDP, "tcp_flags": 0}
CORRECTED = {"rules": "corrected"}


def learnt(*parts: Any, spans: int = 4) -> Usual:
    carry = None
    for n in range(spans):
        start = START - (spans - n) * SPAN_NS
        traffic_of = (chatter(100 + n, start=start), *(part(start) for part in parts))
        carry = concluded(*traffic_of, settings=CORRECTED, carry=carry, start=start).carry
    assert carry is not None
    return carry


def test_engine_keeps_the_contract() -> None:
    outcome = check_engine(NtdEngine(Site()), [chatter(1), bots(7547), chatter(2)])
    assert outcome.findings and outcome.tables["alerts"].schema == ALERTS


@pytest.mark.parametrize("settings", [CORRECTED, {"cells": 1000}, {"threshold": 0.3, "udp": 1}])
def test_engine_keeps_the_contract_under_other_settings(settings: dict[str, Any]) -> None:
    site = Site(settings={f"darknet.ntd.{name}": value for name, value in settings.items()})
    check_engine(NtdEngine(site), [chatter(1), bots(7547), bots(6881, **UDP)])


def test_an_empty_span_says_nothing() -> None:
    for settings in ({}, CORRECTED):
        outcome = concluded(settings=settings)
        assert outcome.findings == () and outcome.tables["alerts"].num_rows == 0


def test_the_tensor_holds_the_cells_of_two_packets_and_more_by_network() -> None:
    # Two addresses of one network with one packet each make a cell of two.
    pair = batch(second=61, src=np.array([1 << 16 | 1, 1 << 16 | 2]), dst_port=99)
    lone = batch(second=61, src=2 << 16, dst_port=99)
    cells = Cells(1000, 1)
    cells.add(pair)
    cells.add(lone)
    made = cube(traffic(cells, START, START + SPAN_NS, 6), 2)
    assert made.hosts.tolist() == [1] and made.ports.tolist() == [99]
    assert made.tensor.at.ravel().tolist() == [1, 0, 0] and made.tensor.value.tolist() == [2.0]
    assert made.tensor.shape == (30, 1, 1)


@pytest.mark.parametrize("settings", [{}, {"threshold": 0.3}, {"own_thresholds": 1, "core_couples": 1}])
def test_a_planted_botnet_is_told_by_every_restart(settings: dict[str, Any]) -> None:
    outcome = concluded(chatter(1), bots(7547), settings=settings)
    finding = next(f for f in outcome.findings if f.attributes["port"] == 7547)
    assert finding.attributes["restarts"] == [1, 2, 3, 4]
    assert finding.attributes["networks"] >= 20
    assert finding.kind == "coordinated-activity" and '"10.0.' not in finding.to_json()
    begins = [row for row in outcome.tables["alerts"].to_pylist() if row["port"] == 7547]
    assert len(begins) == 1 and begins[0]["alerted"]
    assert finding.attributes["minutes"][0].startswith("2024-03-09T16:1")


def test_published_pairing_tells_false_pairs_and_the_core_does_not() -> None:
    # Two campaigns of their own: of the networks of either none asks for the other's port.
    parts = (chatter(1, talks=200), bots(7547, minutes=(3, 5)), bots(60001, minutes=(20, 22)))
    by_rules = {}
    for couples in (0, 1):
        settings = {"own_thresholds": 1, "core_couples": couples, "coupling": 0.3}
        outcome = concluded(*parts, settings=settings)
        assert {7547, 60001} <= alerted(outcome)
        by_rules[couples] = {f.attributes["port"]: f.attributes for f in outcome.findings}
    for port in (7547, 60001):
        loose, tight = by_rules[0][port], by_rules[1][port]
        # Of the pairs told, the share that is real.
        assert loose["networks"] / loose["networks_of_groups"] < 0.7
        assert tight["networks"] / tight["networks_of_groups"] > 0.9


def test_the_published_ports_are_ignored_and_the_correction_sees_a_worm_there() -> None:
    def telnet(start: int) -> pa.RecordBatch:
        return bots(23, seed=start % 1000, networks=60, each=30, minutes=(0, 30), start=start)

    worm = (chatter(1), telnet(START), bots(23, seed=5, networks=200))
    assert 23 not in alerted(concluded(*worm))
    assert 23 in alerted(concluded(*worm, settings={"excluded_ports": ""}))
    carry = learnt(telnet)
    quiet = concluded(chatter(1), telnet(START), settings=CORRECTED, carry=carry)
    assert alerted(quiet) == set()
    assert 23 in alerted(concluded(*worm, settings=CORRECTED, carry=carry))


def test_nothing_is_alerted_before_it_is_known_what_is_usual() -> None:
    outcome = concluded(chatter(1), bots(7547), settings=CORRECTED)
    assert alerted(outcome) == set() and outcome.carry is not None and outcome.carry.spans == 1
    assert 7547 in alerted(concluded(chatter(1), bots(7547), settings=CORRECTED, carry=learnt()))


def test_slow_bots_are_below_the_published_cut_and_above_the_corrected_one() -> None:
    slow = bots(7547, networks=80, each=1)
    assert 7547 not in alerted(concluded(chatter(1), slow))
    assert 7547 in alerted(concluded(chatter(1), slow, settings=CORRECTED, carry=learnt()))


def test_lists_are_left_out_as_published_and_surveys_when_corrected() -> None:
    survey = bots(4911)
    sources = np.unique(survey["src"].to_numpy())
    cidrs = [f"{int(a) >> 24}.{int(a) >> 16 & 255}.0.0/16" for a in sources]
    lists = {"scanners": pa.table({"cidr": cidrs, "organisation": ["Example"] * len(cidrs)})}
    assert 4911 in alerted(concluded(chatter(1), survey))
    assert 4911 not in alerted(concluded(chatter(1), survey, lists=lists))
    assert 4911 in alerted(concluded(chatter(1), survey, lists=lists, settings={"lists_out": 0}))
    purposes = pa.table({"src": pa.array(sources, pa.uint32()), "purpose": ["survey"] * len(sources)})
    tables = {"darknet.purpose:sources@last": purposes}
    assert 4911 in alerted(concluded(chatter(1), survey, tables=tables))
    assert 4911 not in alerted(concluded(chatter(1), survey, tables=tables, settings={"surveys_out": 1}))


def test_udp_is_looked_at_by_itself_when_asked() -> None:
    parts = (chatter(1), bots(6881, **UDP))
    assert 6881 not in alerted(concluded(*parts))
    outcome = concluded(*parts, settings={"udp": True})
    rows = [row for row in outcome.tables["alerts"].to_pylist() if row["port"] == 6881]
    assert [(row["alerted"], row["protocol"]) for row in rows] == [(True, 17)]


def test_starts_are_random_but_the_same_each_time_and_of_the_seed() -> None:
    parts = (chatter(3, talks=3000), bots(7547, networks=6, each=4))
    first, again = (concluded(*parts).tables["alerts"] for _ in range(2))
    assert first.equals(again)
    tables = [
        concluded(*parts, settings={"seed": seed, "restarts": 1}).tables["alerts"] for seed in range(1, 9)
    ]
    assert any(not table.equals(tables[0]) for table in tables)


def test_more_restarts_tell_no_fewer_ports() -> None:
    parts = (chatter(4, talks=3000), bots(7547, networks=8, each=5))
    one = alerted(concluded(*parts, settings={"restarts": 1}))
    four = alerted(concluded(*parts, settings={"restarts": 4}))
    assert one <= four


def test_findings_are_bounded_and_a_cap_on_cells_is_said() -> None:
    parts = (chatter(1, talks=200), bots(7547, networks=300), bots(60001, minutes=(20, 22), networks=300))
    outcome = concluded(*parts, settings={"findings": 1, "cells": 1000})
    assert len(outcome.findings) == 1
    assert "Only one /16 network in" in outcome.findings[0].statement
    left = len(alerted(outcome)) - 1
    assert left >= 1 and f"{left} further ports" in outcome.findings[0].statement


def test_a_spoofed_flood_of_all_networks_stays_within_bounds() -> None:
    for settings in ({"cells": 20_000}, {"cells": 20_000, **CORRECTED}):
        outcome = concluded(flood(50), settings=settings)
        assert outcome.tables["alerts"].num_rows <= 2000 and len(outcome.findings) <= 20


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rules", ""),
        ("core", 0),
        ("restarts", 1.5),
        ("threshold", 2),
        ("udp", "yes"),
        ("excluded_ports", [1, "x"]),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"darknet.ntd.{name}"):
        NtdEngine(Site(settings={f"darknet.ntd.{name}": value}))


def test_every_setting_is_declared() -> None:
    from andon.detect.darknet.ntd.settings import NAMES

    assert {f"darknet.ntd.{name}" for name in NAMES} <= set(NtdEngine.uses)
