"""Survey, attack or undecided: each reason speaks for the side it should, and says why."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from purpose_traffic import DAY, DAY_NS, NETWORK, batch, concluded, crowd, row_of, scanner, tables

from andon.detect.darknet.purpose import PurposeEngine
from andon.detect.darknet.purpose.profile import sources
from andon.records import packet
from andon.records.columns import column
from andon.records.contract import Site
from andon.records.expression import compile_program, evaluate_many, parse
from andon.run.contract import check_engine

LONE = 0xC6336401  # 198.51.100.1
WELL_KNOWN = [22, 80, 443, 8080, 21, 25]
MANY_PORTS = np.arange(1, 2001)


def test_engine_keeps_the_contract() -> None:
    parts = [scanner(LONE + n, 300, MANY_PORTS[: 10 * n + 1], seed=n) for n in range(6)]
    parts.append(batch(src=np.arange(500), dst_port=23, second=np.arange(500)))
    named = {LONE: "mirai", LONE + 1: "zmap"}
    check_engine(PurposeEngine(Site()), parts, tables(named=named))


def test_engine_keeps_the_contract_above_its_cap() -> None:
    rng = np.random.default_rng(1)
    parts = [batch(src=rng.integers(0, 5000, 4000), second=rng.uniform(0, 80_000, 4000)) for _ in range(4)]
    outcome = check_engine(PurposeEngine(Site(settings={"darknet.purpose.sources": 700})), parts, tables())
    assert "Only one source in" in outcome.findings[0].statement


def test_a_lone_small_source_is_undecided_without_a_reason() -> None:
    row = row_of(concluded(scanner(LONE, 20, WELL_KNOWN, end=600)), LONE)
    assert (row["purpose"], row["reasons"], row["packets"]) == ("undecided", "", 20)


def test_the_volume_rule_scaled_to_the_telescope_makes_a_survey() -> None:
    # One packet per dark address and day to 40 ports: NICTER's 300,000 packets to 300,000 addresses.
    outcome = concluded(scanner(LONE, 70_000, MANY_PORTS[:40]))
    row = row_of(outcome, LONE)
    assert row["purpose"] == "survey" and "volume rule" in row["reasons"]
    below = row_of(concluded(scanner(LONE, 70_000, MANY_PORTS[:5])), LONE)
    assert "volume rule" not in below["reasons"]


def test_an_hour_counts_as_an_hour_in_the_volume_rule() -> None:
    hour = scanner(LONE, 3_500, MANY_PORTS[:40], end=3600)
    assert "volume rule" in row_of(concluded(hour, given=tables(end=3600)), LONE)["reasons"]
    assert "volume rule" not in row_of(concluded(hour), LONE)["reasons"]


def test_without_a_telescope_nothing_is_judged_by_its_size() -> None:
    outcome = concluded(scanner(LONE, 70_000, MANY_PORTS[:40]), given=tables(cidr="0.0.0.0/0"))
    reasons = row_of(outcome, LONE)["reasons"]
    assert "volume rule" not in reasons and "of the telescope" not in reasons


def test_malware_is_an_attack_and_zmap_alone_decides_nothing() -> None:
    parts = [scanner(LONE + n, 100, [80]) for n in range(2)]
    outcome = concluded(*parts, given=tables(named={LONE: "mirai", LONE + 1: "zmap"}))
    assert row_of(outcome, LONE)["purpose"] == "attack"
    assert row_of(outcome, LONE + 1)["purpose"] == "undecided"
    assert "tool zmap" in row_of(outcome, LONE + 1)["reasons"]


def test_a_list_makes_a_survey_with_its_name_and_malware_holds_against_it() -> None:
    table = pa.table(
        {"cidr": ["198.51.100.0/24", "198.51.100.1", "nonsense"], "organisation": ["Wide", "Exact", "Bad"]}
    )
    site = Site(lists={"scanners 2026-06": table})
    outcome = concluded(scanner(LONE, 30, [80]), scanner(LONE + 1, 30, [23]), site=site)
    row = row_of(outcome, LONE)
    assert (row["purpose"], row["organisation"]) == ("survey", "Exact")
    assert "Exact by list scanners 2026-06" in row["reasons"]
    assert row_of(outcome, LONE + 1)["organisation"] == "Wide"
    assert "1 entries of the lists are no prefixes" in outcome.findings[0].statement
    infected = concluded(scanner(LONE, 30, [80]), site=site, given=tables(named={LONE: "mirai"}))
    assert row_of(infected, LONE)["purpose"] == "undecided"


def test_reverse_names_speak_for_either_side() -> None:
    site = Site(
        rdns={LONE: "scan-3.example.org", LONE + 1: "p5.dyn.example.net", LONE + 2: "mail.example.org"}
    )
    outcome = concluded(*(scanner(LONE + n, 30, [80]) for n in range(3)), site=site)
    scores = [row_of(outcome, LONE + n)["score"] for n in range(3)]
    assert scores[0] >= 2.2 and scores[1] < 0 and scores[2] == 0


def test_many_ports_at_equal_packets_speak_for_a_survey_whatever_the_volume() -> None:
    for packets in (100, 1_000, 20_000):
        wide = row_of(concluded(scanner(LONE, packets, MANY_PORTS)), LONE)
        narrow = row_of(concluded(scanner(LONE, packets, WELL_KNOWN)), LONE)
        assert "ports in 100 packets (+1.5)" in wide["reasons"]
        assert "ports in 100 packets" not in narrow["reasons"]


def test_a_block_that_acts_as_one_is_a_survey_and_an_infected_street_is_not() -> None:
    block = [scanner(LONE + n, 200 + n, [80, 443]) for n in range(12)]
    outcome = concluded(*block)
    assert {row_of(outcome, LONE + n)["purpose"] for n in range(12)} == {"survey"}
    volumes = np.exp(np.random.default_rng(2).normal(4.5, 1.2, 12)).astype(int) + 20
    street = [scanner(LONE + n, int(volume), [80, 443]) for n, volume in enumerate(volumes)]
    assert "of its /24" not in row_of(concluded(*street), LONE)["reasons"]


def test_attacked_ports_are_weak_evidence() -> None:
    row = row_of(concluded(scanner(LONE, 100, [23, 2323])), LONE)
    assert row["purpose"] == "undecided" and -2.2 < row["score"] < 0


def test_strangers_in_step_are_attackers_and_independent_ones_are_not() -> None:
    rng = np.random.default_rng(4)
    bots = rng.choice(1 << 16, 40, replace=False).astype(np.int64) << 16 | 7
    others = rng.choice(1 << 24, 400, replace=False).astype(np.int64) << 8 | 9
    begin = rng.uniform(0, 70_000, 400)
    background = crowd(others, 40, 8291, begin, begin + rng.uniform(2_000, 16_000, 400), 5)
    together = crowd(bots, 40, 8291, np.full(40, 30_000.0), np.full(40, 50_000.0), 6)
    outcome = concluded(background, together)
    rows = outcome.tables["sources"].select(["src", "purpose"]).to_pylist()
    attackers = {row["src"] for row in rows if row["purpose"] == "attack"}
    assert len(attackers & set(bots.tolist())) >= 36
    assert len(attackers - set(bots.tolist())) <= 4


def test_independent_sources_are_never_in_step() -> None:
    found = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        sources = rng.choice(1 << 24, 600, replace=False).astype(np.int64) << 8 | 9
        begin = rng.uniform(0, 70_000, 600)
        outcome = concluded(crowd(sources, 20, 23, begin, begin + rng.exponential(6_000, 600) + 50, seed))
        found += sum("in step" in text for text in outcome.tables["sources"]["reasons"].to_pylist())
    assert found == 0


def test_a_survey_from_one_block_in_step_is_no_crowd_of_strangers() -> None:
    block = 0xC6330000 + np.arange(40)
    outcome = concluded(crowd(block, 40, 8291, np.full(40, 30_000.0), np.full(40, 50_000.0), 1))
    assert not any("in step" in text for text in outcome.tables["sources"]["reasons"].to_pylist())


def test_backscatter_and_ipv6_have_no_purpose() -> None:
    answers = batch(tcp_flags=[0x12, 0x14, 0x04, 0x10], src=[1, 2, 3, 4])
    errors = batch(src=[5], proto=1, layers=packet.IPV4 | packet.ICMP, icmp_type=3)
    six = batch(src=[0, 0], layers=packet.IPV6 | packet.TCP)
    outcome = concluded(answers, errors, six)
    assert outcome.findings == () and not outcome.tables


def test_a_survey_is_never_above_low_and_every_class_has_one_finding() -> None:
    outcome = concluded(
        scanner(LONE, 70_000, MANY_PORTS),
        scanner(2, 50, [23]),
        scanner(3, 50, [80]),
        given=tables(named={2: "mirai"}),
    )
    found = {finding.subject[1]: finding for finding in outcome.findings}
    assert {name: finding.severity for name, finding in found.items()} == {
        "survey": "low",
        "attack": "medium",
        "undecided": "informational",
    }
    assert found["survey"].entities[0].value == "198.51.100.1"
    assert found["survey"].attributes["main_reasons"] == {"volume rule": 1}


def test_checks_count_exactly_the_packets_they_speak_of() -> None:
    rng = np.random.default_rng(7)
    mixed = scanner(LONE, 500, WELL_KNOWN)
    udp = batch(
        src=3, proto=17, layers=packet.IPV4 | packet.UDP, tcp_flags=0, dst_port=rng.integers(1, 99, 80)
    )
    outcome = concluded(mixed, udp)
    checks = [e.check for finding in outcome.findings for e in finding.evidence]
    assert {check.relation for check in checks if check} == {
        f"ip.src == {LONE:#x} and tcp.flags & 0x3f == 2",
        "ip.src == 0x3",
    }
    program = compile_program(parse(f"ip.src == {LONE:#x} and tcp.flags & 0x3f == 2"))
    names = [name for name in program.columns if name != "layers"] + ["layers"]
    bits = evaluate_many([program], {name: column(mixed, name) for name in dict.fromkeys(names)})
    assert int((bits & 1).sum()) == 500


def test_an_empty_day_says_nothing_and_keeps_what_is_remembered() -> None:
    first = concluded(scanner(LONE, 50, [80]))
    empty = concluded(carry=first.carry, day=DAY + DAY_NS)
    assert empty.findings == () and empty.carry is not None
    assert empty.carry.address.tolist() == [LONE]


@pytest.mark.parametrize("ports", [1, 2, 30, 120, 400])
def test_the_number_of_ports_is_estimated_within_a_fifth(ports: int) -> None:
    row = row_of(concluded(scanner(LONE, 30 * ports, MANY_PORTS[:ports])), LONE)
    assert abs(row["ports"] - ports) <= 0.2 * ports


@pytest.mark.parametrize("targets", [100, 2_000, 60_000])
def test_the_number_of_destinations_is_estimated_within_a_third(targets: int) -> None:
    rng = np.random.default_rng(3)
    part = batch(
        src=LONE, dst=NETWORK + rng.permutation(65_536)[:targets], second=np.linspace(0, 9_000, targets)
    )
    assert abs(row_of(concluded(part), LONE)["destinations"] - targets) <= targets / 3


def test_the_port_scanned_most_is_found_among_others() -> None:
    rng = np.random.default_rng(8)
    engine = PurposeEngine(Site())
    summary = engine.empty()
    for n in range(60):
        ports = np.where(rng.random(200) < 0.9, 8291, rng.integers(1, 65_536, 200))
        summary = engine.summarise(batch(src=n + 1, dst_port=ports, second=np.arange(200)), summary)
    assert (sources(summary).main == 8291).sum() >= 58
