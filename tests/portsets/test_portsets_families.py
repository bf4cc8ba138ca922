"""Families: found from partial views, not found in noise, surveys left out; what counts as explained."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from portsets_traffic import Run, addresses, batch, family, noise

from andon.detect.darknet.portsets import names
from andon.detect.darknet.portsets.candidates import PAIR, candidates, popularities
from andon.detect.darknet.portsets.chance import discoveries
from andon.detect.darknet.portsets.scanners import scanners
from andon.detect.darknet.portsets.summary import Scans, services
from andon.records.contract import Site
from andon.records.expression import parse

TELNET = ((23, 9), (2323, 1))
IOT = ((23, 4), (2323, 2), (5555, 1), (7547, 1), (37215, 1), (52869, 1))
TWELVE = tuple((p, 1) for p in (80, 81, 82, 85, 88, 8080, 8081, 8443, 7574, 49152, 60001, 37215))


def test_a_family_is_found_with_its_weights_in_front_of_a_busy_port() -> None:
    run = Run()
    run.next(noise(4000, 1), family(addresses(300, 2), TELNET, 15, 3))
    row = run.families()["23,2323"]
    assert row["low"][0] < 0.9 < row["high"][0] and row["high"][0] - row["low"][0] < 0.06
    assert row["sources"] > 150 and 240 < row["estimated_sources"] < 360


def test_families_that_share_ports_are_told_apart() -> None:
    run = Run()
    run.next(noise(3000, 4), family(addresses(250, 5), TELNET, 20, 6), family(addresses(200, 7), IOT, 20, 8))
    assert set(run.families()) == {"23,2323", names.text(p for p, _ in IOT)}
    sources = run.outcome.tables["sources"]
    of_iot = np.isin(sources["src"].to_numpy(), addresses(200, 7))
    iot = np.array(sources["ports"].to_pylist()) != "23,2323"
    assert of_iot[iot].mean() > 0.97 and of_iot[~iot].mean() < 0.03


def test_twelve_ports_are_found_from_sources_that_show_five() -> None:
    # 792 sets of five: hardly one is seen twice, so exact sets cannot find it.
    run = Run()
    run.next(noise(3000, 9), family(addresses(400, 10), TWELVE, 5, 11))
    assert names.text(p for p, _ in TWELVE) in run.families()


@pytest.mark.parametrize("seed", [21, 22, 23, 24])
def test_independent_scanners_make_no_family(seed: int) -> None:
    run = Run()
    run.next(noise(6000, seed))
    assert run.outcome.tables["families"].num_rows == 0
    row = run.outcome.tables["coverage"].to_pylist()[0]
    assert row["unexplained_sources_share"] == 1.0 and row["one_port_sources"] > 4000


def test_one_busy_port_explains_nothing_however_many_scan_it() -> None:
    run = Run()
    run.next(family(addresses(5000, 25), ((23, 1),), 10, 26), noise(500, 27))
    row = run.outcome.tables["coverage"].to_pylist()[0]
    assert row["port_set_sources"] == 0 and row["unexplained_sources_share"] == 1.0


def test_pairs_of_udp_ports_are_not_taken_for_families_because_tcp_is_more_common() -> None:
    rng = np.random.default_rng(28)
    source = addresses(3000, 29)
    pairs = rng.choice([53, 123, 161, 1900, 389, 5060], (3000, 2), p=[0.4, 0.2, 0.1, 0.1, 0.1, 0.1])
    udp = batch(src=np.repeat(source, 2), dst_port=pairs.ravel(), proto=17, layers=9, tcp_flags=0)
    made = Scans(20_000, 5)
    for part in (udp, noise(6000, 30)):
        made.add(part, services())
    seen = scanners(made)
    found = candidates(seen, popularities(seen))
    assert not discoveries(found.log_p, found.tests, 0.01)[found.kind == PAIR].any()


def test_hosts_behind_the_same_address_do_not_hide_a_family_nor_make_one() -> None:
    rng = np.random.default_rng(31)
    bots = addresses(300, 32)
    # Every third bot shares its address with a host that scans a busy port of its own.
    others = bots[::3]
    foreign = batch(
        src=np.repeat(others, 2),
        dst_port=np.repeat(rng.choice([445, 22, 80, 443, 3389], len(others)), 2),
        second=rng.uniform(0, 86_000, 2 * len(others)),
    )
    run = Run()
    run.next(noise(3000, 33), family(bots, TELNET, 25, 34), foreign)
    assert set(run.families()) == {"23,2323"}
    row = run.outcome.tables["coverage"].to_pylist()[0]
    assert row["port_set_mixed_sources"] > 40 and row["port_set_sources"] > 100
    assert row["packets"] == sum(
        v for k, v in row.items() if k.endswith("_packets") and k != "unexplained_packets"
    )


def test_surveys_teach_nothing_and_are_counted_apart() -> None:
    bots, survey = addresses(200, 35), addresses(200, 36)
    purpose = pa.table({"src": pa.array(survey, pa.uint32()), "purpose": ["survey"] * 200})
    run = Run()
    run.next(
        noise(1000, 37),
        family(bots, TELNET, 20, 38),
        family(survey, ((8291, 1), (8728, 1)), 20, 39),
        tables={"darknet.purpose:sources": purpose},
    )
    assert set(run.families()) == {"23,2323"}
    assert run.outcome.tables["coverage"]["survey_sources"].to_pylist() == [200]


def test_lists_of_the_operator_are_surveys_too() -> None:
    cidr = [f"198.51.100.{n}/32" for n in range(64)] + ["nonsense"]
    listed = pa.table({"cidr": cidr, "organisation": ["Example"] * 65})
    run = Run(site=Site(lists={"mine": listed}))
    run.next(noise(800, 40), family(0xC6336400 + np.arange(80), TELNET, 20, 41))
    assert run.outcome.tables["coverage"]["survey_sources"].to_pylist() == [64]


def test_fingerprint_then_port_set_then_nothing() -> None:
    bots, marked = addresses(200, 42), addresses(60, 43)
    tools = pa.table(
        {
            "src": pa.array(np.r_[bots[:50], marked], pa.uint32()),
            "tool": ["mirai"] * 110,
            "packets": pa.array([20] * 110, pa.int64()),
            "confidence": [0.99] * 100 + [0.1] * 10,
        }
    )
    run = Run()
    run.next(
        noise(1000, 44), family(bots, TELNET, 20, 45), family(marked, ((80, 1),), 20, 46),
        tables={"darknet.tools:sources": tools},
    )  # fmt: skip
    row = run.outcome.tables["coverage"].to_pylist()[0]
    assert row["with_fingerprint_sources"] == 100  # the ten that are not sure do not count
    assert 100 < row["port_set_sources"] + row["several_sets_sources"] <= 150
    family_row = run.families()["23,2323"]
    assert family_row["fingerprint"] == "mirai" and 0.2 < family_row["fingerprint_share"] < 0.4
    (coverage,) = [f for f in run.outcome.findings if f.subject == ("coverage", "portset")]
    assert "Not known of this span: darknet.fingerprint" in coverage.statement


def test_what_is_left_out_of_the_findings_is_said() -> None:
    run = Run(site=Site(settings={"darknet.portsets.told": 1}))
    run.next(
        noise(1500, 47), family(addresses(250, 48), TELNET, 20, 49), family(addresses(150, 50), IOT, 20, 51)
    )
    assert [f.subject for f in run.outcome.findings] == [("port-set", "23,2323"), ("coverage", "portset")]
    assert "1 families are told, 1 more" in run.outcome.findings[-1].statement


def test_names_and_relations_go_both_ways() -> None:
    codes = (23, 2323, 65536 + 53)
    assert names.codes(names.text(codes)) == codes and names.codes("") == ()
    for some in ((23,), (65536 + 53,), codes, (65536 + 53, 65536 + 123)):
        parse(names.relation(some))
