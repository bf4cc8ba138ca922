"""The engine as a whole: contract, planted botnets, each correction, bounds, and settings that make no sense."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from nmf_traffic import background, concluded, heavy

from andon.detect.darknet.nmf import NmfEngine
from andon.records import packet
from andon.records.columns import column
from andon.records.contract import Site
from andon.records.coordination import ALERTS
from andon.records.expression import compile_program, evaluate, parse
from andon.run.contract import check_engine
from andon.sketch.factors.usual import Usual
from factor_traffic import NETWORK, SPAN_NS, START, alerted, batch, bots, flood

UDP = {"proto": packet.PROTO_UDP, "layers": packet.IPV4 | packet.UDP, "tcp_flags": 0}


def rows(outcome: Any) -> dict[int, dict[str, Any]]:
    return {row["port"]: row for row in outcome.tables["alerts"].to_pylist()}


def learnt(*parts: Any, spans: int = 4, settings: dict[str, Any] | None = None) -> Usual:
    """What is remembered after some spans of background."""
    carry = None
    for n in range(spans):
        start = START - (spans - n) * SPAN_NS
        outcome = concluded(
            background(100 + n, start=start),
            *(part(start) for part in parts),
            settings=settings or {"rules": "corrected"},
            carry=carry,
            start=start,
        )
        carry = outcome.carry
    assert carry is not None
    return carry


def test_engine_keeps_the_contract() -> None:
    outcome = check_engine(NmfEngine(Site()), [background(1), bots(7547), heavy(), background(2)])
    assert outcome.findings and outcome.tables["alerts"].schema == ALERTS


@pytest.mark.parametrize(
    "settings", [{"rules": "corrected"}, {"cells": 1000, "quiet_spans": 1}, {"mode": 0, "udp": 1}]
)
def test_engine_keeps_the_contract_under_other_settings(settings: dict[str, Any]) -> None:
    site = Site(settings={f"darknet.nmf.{name}": value for name, value in settings.items()})
    check_engine(NmfEngine(site), [background(1), bots(7547), heavy(), bots(6881, **UDP)])


def test_an_empty_span_says_nothing() -> None:
    outcome = concluded(settings={"rules": "corrected"})
    assert outcome.findings == () and outcome.tables["alerts"].num_rows == 0


def test_a_planted_botnet_comes_first_and_its_finding_can_be_checked() -> None:
    outcome = concluded(background(1), bots(7547), heavy())
    row = outcome.tables["alerts"].slice(0, 1).to_pylist()[0]
    assert (row["port"], row["protocol"], row["alerted"], row["direction"]) == (7547, 6, True, "start")
    assert (row["sources"], row["blocks"]) == (40, 40)
    begins = outcome.tables["alerts"]["begins"].cast(pa.int64())[0].as_py()
    assert begins == START + 600_000_000_000
    finding = outcome.findings[0]
    assert finding.kind == "coordinated-activity" and finding.series == row["series"]
    assert finding.count == 480 and len(finding.entities) == 40
    assert finding.evidence[0].check is not None
    assert finding.evidence[0].check.relation == "tcp.dstport == 7547 and tcp.flags & 0x3f == 2"
    assert finding.attributes["minutes"] == [f"2024-03-09T16:1{n}:00Z" for n in range(3)]
    assert "16:10-16:12" in finding.statement and '"10.0.' not in finding.to_json()


def test_the_check_of_a_finding_selects_its_group_and_the_others_it_names() -> None:
    parts = [background(1), bots(7547), heavy(), batch(second=900, src=np.arange(5), dst_port=7547)]
    finding = concluded(*parts).findings[0]
    check = finding.evidence[0].check
    assert check is not None
    program = compile_program(parse(check.relation))
    selected = sum(
        int(evaluate(program, {name: column(part, name) for name in part.schema.names}).sum())
        for part in parts
    )
    assert selected == finding.count + check.by_chance == 485 and check.by_chance == 5


def test_hals_and_one_rank_by_description_length_find_the_same_botnet() -> None:
    for settings in ({"solver": "hals"}, {"mdl": 1}, {"solver": "hals", "mdl": 1}):
        outcome = concluded(background(1), bots(7547), heavy(), settings=settings)
        assert 7547 in alerted(outcome)
        if "mdl" in settings:
            assert len(outcome.findings[0].attributes["ranks"]) == 1


def test_scores_order_the_specific_port_before_the_popular_ones() -> None:
    found = rows(concluded(background(1), bots(7547), heavy()))
    popular = [found[port]["score"] for port in (443, 6379) if port in found]
    assert popular and found[7547]["score"] > 3 * max(popular)


def test_the_second_stage_confirms_a_botnet_and_takes_out_what_is_only_popular() -> None:
    # Exactly in step: the second stage asks for two addresses within 2 % of the largest of their group.
    step = np.tile(np.linspace(600, 779, 12), 40)
    parts = (background(1, packets=2500), bots(7547, second=step), heavy())
    first = alerted(concluded(*parts, settings={"mode": 0, "second_stage": 0}))
    both = alerted(concluded(*parts, settings={"mode": 0, "quiet_spans": 1}))
    assert 7547 in both and both < first


def test_the_second_stage_loses_its_span_without_a_heavy_address_as_published() -> None:
    step = np.tile(np.linspace(600, 779, 12), 40)
    parts = (background(1, packets=2500), bots(7547, second=step), heavy())
    assert alerted(concluded(*parts, settings={"mode": 0})) == set()
    loud = batch(second=np.linspace(300, 359, 31), src=0x7E010101, dst_port=7547)  # 31 an address and minute
    assert alerted(concluded(*parts, loud, settings={"mode": 0})) == {7547}


def test_surveys_are_taken_out_before() -> None:
    survey = bots(4911, networks=30)
    sources = np.unique(survey["src"].to_numpy())
    tables = {
        "darknet.purpose:sources@last": pa.table(
            {"src": pa.array(sources, pa.uint32()), "purpose": ["survey"] * len(sources)}
        )
    }
    parts = (background(1), bots(7547), survey, heavy())
    assert {4911, 7547} <= alerted(concluded(*parts, tables=tables))
    found = alerted(concluded(*parts, tables=tables, settings={"surveys_out": True}))
    assert 7547 in found and 4911 not in found


def test_lists_are_taken_out_before() -> None:
    survey = bots(4911, networks=30)
    cidrs = [f"{int(a) >> 24}.{int(a) >> 16 & 255}.0.0/16" for a in np.unique(survey["src"].to_numpy())]
    lists = {"scanners": pa.table({"cidr": cidrs, "organisation": ["Example"] * len(cidrs)})}
    found = alerted(concluded(background(1), survey, heavy(), lists=lists, settings={"lists_out": True}))
    assert 4911 not in found


def test_udp_is_looked_at_by_itself_when_asked() -> None:
    parts = (background(1), bots(6881, **UDP), heavy())
    assert 6881 not in alerted(concluded(*parts))
    outcome = concluded(*parts, settings={"udp": True, "quiet_spans": True})
    row = next(row for row in outcome.tables["alerts"].to_pylist() if row["port"] == 6881)
    assert row["alerted"] and row["protocol"] == 17
    finding = next(finding for finding in outcome.findings if finding.subject[1] == "6881/udp")
    assert finding.evidence[0].check is not None
    assert finding.evidence[0].check.relation == "udp.dstport == 6881"


def test_excluded_ports_are_blind_and_the_correction_sees_a_worm_there() -> None:
    def telnet(start: int) -> pa.RecordBatch:  # what asks for 23 every half hour
        return bots(23, seed=start % 1000, networks=60, each=3, minutes=(0, 30), start=start)

    worm = bots(23, seed=5, networks=150, each=8)
    parts = (background(1), telnet(START), worm, heavy())
    assert 23 not in rows(concluded(*parts))
    carry = learnt(telnet)
    quiet = concluded(background(1), telnet(START), settings={"rules": "corrected"}, carry=carry)
    assert alerted(quiet) == set()
    assert 23 in alerted(concluded(*parts, settings={"rules": "corrected"}, carry=carry))


def test_nothing_is_alerted_before_it_is_known_what_is_usual() -> None:
    outcome = concluded(background(1), bots(7547), settings={"rules": "corrected"})
    assert alerted(outcome) == set() and outcome.carry is not None and outcome.carry.spans == 1
    carry = learnt()
    assert alerted(concluded(background(1), bots(7547), settings={"rules": "corrected"}, carry=carry)) == {
        7547
    }


def test_slow_bots_beside_a_loud_pair_are_lost_as_published_and_found_when_corrected() -> None:
    slow = bots(7547, networks=60, each=1)
    loud = [batch(second=np.linspace(0, 1799, 900), src=(n + 1) << 16 | 9, dst_port=4899) for n in range(2)]
    parts = (background(1), slow, *loud, heavy())
    assert 7547 not in alerted(concluded(*parts))
    assert 7547 in alerted(concluded(*parts, settings={"rules": "corrected"}, carry=learnt()))


def test_what_was_usual_before_lowers_the_score_and_decides_nothing_as_published() -> None:
    fresh = rows(concluded(background(1), bots(7547), heavy()))[7547]
    carry = None
    for n in range(4, 0, -1):
        start = START - n * SPAN_NS
        carry = concluded(background(1, start=start), bots(7547, start=start), carry=carry, start=start).carry
    often = rows(concluded(background(1), bots(7547), heavy(), carry=carry))[7547]
    assert often["alerted"] and fresh["alerted"] and often["score"] < 1 and fresh["score"] > 10


def test_rows_below_the_threshold_are_there_with_a_score() -> None:
    table = concluded(background(1), bots(7547), heavy()).tables["alerts"].to_pylist()
    below = [row for row in table if not row["alerted"]]
    assert below and all(row["series"] == "" and row["score"] >= 0 for row in below)
    assert len({(row["port"], row["protocol"]) for row in table}) == len(table)


def test_findings_are_bounded_and_what_is_left_out_is_said() -> None:
    outcome = concluded(
        background(1), bots(7547), bots(60001, minutes=(20, 22)), heavy(), settings={"findings": 1}
    )
    assert len(outcome.findings) == 1 and len(alerted(outcome)) > 1
    left = len(alerted(outcome)) - 1
    assert f"{left} further ports were alerted" in outcome.findings[0].statement
    assert outcome.findings[0].attributes["alerts_left_out"] == left


def test_a_cap_on_cells_is_said() -> None:
    outcome = concluded(
        background(1), bots(7547, networks=200), settings={"cells": 1000, "quiet_spans": True}
    )
    assert "Only one /16 network in" in outcome.findings[0].statement
    assert 7547 in alerted(outcome)


def test_a_cap_on_columns_is_said() -> None:
    settings = {"columns": 100, "quiet_spans": True}
    outcome = concluded(background(1), bots(7547), settings=settings)
    assert "networks with fewest packets were left out" in outcome.findings[0].statement


def test_traffic_to_one_dark_address_is_told_apart() -> None:
    outcome = concluded(background(1), bots(7547, dst=NETWORK + 99), bots(60001, minutes=(20, 22)), heavy())
    by_port = {finding.attributes["port"]: finding for finding in outcome.findings}
    assert by_port[7547].attributes["one_address"] and by_port[7547].severity == "low"
    assert "one dark address" in by_port[7547].statement
    assert not by_port[60001].attributes["one_address"] and by_port[60001].severity == "medium"


def test_a_spoofed_flood_of_all_networks_stays_within_bounds() -> None:
    outcome = concluded(flood(65536), heavy(), settings={"cells": 20_000})
    assert outcome.tables["alerts"].num_rows <= 2000 and len(outcome.findings) <= 20


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rules", "best"),
        ("solver", "sgd"),
        ("ranks", 0),
        ("ranks", 2.5),
        ("stop", -1),
        ("octets", 5),
        ("mode", 2),
        ("share", 101),
        ("peak", "high"),
        ("quiet_spans", 7),
        ("excluded_ports", "23, telnet"),
        ("excluded_ports", "70000"),
        ("cells", 1),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"darknet.nmf.{name}"):
        NmfEngine(Site(settings={f"darknet.nmf.{name}": value}))


def test_every_setting_is_declared() -> None:
    from andon.detect.darknet.nmf.settings import NAMES

    assert {f"darknet.nmf.{name}" for name in NAMES} <= set(NmfEngine.uses)
