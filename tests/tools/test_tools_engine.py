"""Known tools are named by arithmetic: enough distinct hits, and never by chance, share or constant fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tools_batches import (
    analyse,
    batch,
    masscan,
    mirai,
    named,
    nmap,
    syn,
    together,
    unicornscan,
    zmap,
    zmap_udp,
)

from andon.detect.darknet.tools import ToolsEngine, engine
from andon.records.contract import Site
from andon.run.contract import check_engine

FAMILIES: list[tuple[str, Callable[..., dict[str, np.ndarray]]]] = [
    ("mirai", mirai),
    ("masscan", masscan),
    ("zmap", zmap),
    ("zmap", zmap_udp),
    ("unicornscan", unicornscan),
    ("nmap", nmap),
]
A, B, C = 0x01020304, 0x05060708, 0x090A0B0C


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


@pytest.mark.parametrize(("tool", "family"), FAMILIES)
@pytest.mark.parametrize("foreign", [0, 1, 10])
def test_a_tool_is_named_with_and_without_a_fifth_of_foreign_packets(
    tool: str, family: Callable[..., dict[str, np.ndarray]], foreign: int, rng: np.random.Generator
) -> None:
    own = family(rng, 40, src=A)
    outcome = analyse(together(own, syn(rng, foreign, src=A), syn(rng, 3000)))
    assert named(outcome) == {tool: {A}}
    (finding,) = outcome.findings
    assert finding.subject == ("tool", tool)
    assert [entity.value for entity in finding.entities] == ["1.2.3.4"]
    assert finding.confidence > 0.85
    assert finding.count == pytest.approx(40, abs=9 if tool in ("unicornscan", "nmap") else 0)


def test_one_hit_of_sixteen_bits_never_names_a_source(rng: np.random.Generator) -> None:
    # 2,000 sources with one ZMap packet each, as a spoofed flood with a constant identification would send.
    assert named(analyse(zmap(rng, 2000))) == {}
    assert named(analyse(masscan(rng, 2000))) == {}


def test_two_packets_are_enough_for_a_rare_relation(rng: np.random.Generator) -> None:
    outcome = analyse(masscan(rng, 2, src=A), syn(rng, 20_000))
    assert named(outcome) == {"masscan": {A}}


def test_retransmissions_of_one_packet_are_one_hit(rng: np.random.Generator) -> None:
    once = masscan(rng, 1, src=A)
    again = {name: np.repeat(values, 50) for name, values in once.items()}
    again["ts"] = np.arange(50) * 1_000_000_000
    assert named(analyse(again, syn(rng, 1000))) == {}


def test_fields_that_never_change_are_no_evidence(rng: np.random.Generator) -> None:
    fixed = syn(rng, 300, src=A, tcp_seq=0x12341234, ttl=60, tcp_window=1024)
    one_target = syn(rng, 300, src=B, tcp_seq=7, dst=0x0A000001, src_port=99, dst_port=23, ttl=60)
    assert named(analyse(together(fixed, one_target, syn(rng, 1000)))) == {}


def test_a_bot_with_one_port_is_not_unicornscan(rng: np.random.Generator) -> None:
    bot = mirai(rng, 200, src=A, src_port=5000, dst_port=23)
    variant = syn(rng, 200, src=B, src_port=5000, dst_port=23)
    variant["tcp_seq"] = variant["dst"] ^ np.uint32(0xDEADBEEF)
    assert named(analyse(together(bot, variant, syn(rng, 1000)))) == {"mirai": {A}}


@pytest.mark.parametrize("swapped", [True, False])
def test_unicornscan_is_found_from_both_byte_orders(swapped: bool, rng: np.random.Generator) -> None:
    assert named(analyse(unicornscan(rng, 30, swapped, src=A), syn(rng, 1000))) == {"unicornscan": {A}}


def test_unicornscan_with_its_default_window_is_named_on_two_packets(rng: np.random.Generator) -> None:
    default = unicornscan(rng, 2, src=A)
    other = unicornscan(rng, 2, src=B, tcp_window=16384)
    assert named(analyse(together(default, other, syn(rng, 3000)))) == {"unicornscan": {A}}


def test_several_infections_of_one_address_are_all_named(rng: np.random.Generator) -> None:
    # Two bots, a scanner and an ordinary host behind one address: no tool has half of the packets.
    shared = together(
        mirai(rng, 30, src=A),
        masscan(rng, 30, src=A),
        nmap(rng, 30, src=A),
        syn(rng, 60, src=A),
        syn(rng, 500),
    )
    assert {tool for tool, sources in named(analyse(shared)).items() if A in sources} == {
        "mirai",
        "masscan",
        "nmap",
    }


def test_nmap_is_told_from_other_scanners_with_its_window_and_a_fixed_sequence_number(
    rng: np.random.Generator,
) -> None:
    one_try = nmap(rng, 30, tries=1, src=A)
    copy = nmap(rng, 30, tries=1, src=B, ttl=50)  # all but the TTL drawn for each packet
    assert named(analyse(together(one_try, copy, syn(rng, 1000)))) == {"nmap": {A}}


def test_nmap_survives_a_flood_of_spoofed_sources(rng: np.random.Generator) -> None:
    outcome = analyse(
        together(nmap(rng, 40, src=A), mirai(rng, 40, src=B), zmap(rng, 40, src=C)), syn(rng, 250_000)
    )
    assert named(outcome) == {"mirai": {B}, "zmap": {C}, "nmap": {A}}


def test_a_single_mirai_packet_is_believed_by_its_own_arithmetic_unless_several_are_asked_for(
    rng: np.random.Generator,
) -> None:
    traffic = together(mirai(rng, 1, src=A), mirai(rng, 5, src=B), syn(rng, 20_000))
    outcome = analyse(traffic)
    assert named(outcome) == {"mirai": {A, B}}
    (finding,) = outcome.findings
    assert finding.attributes["sources_on_one_packet"] == 1
    assert "one such packet" in finding.statement
    assert named(analyse(traffic, least_packets=2)) == {"mirai": {B}}


def test_constant_identifications_are_expected_to_be_54321_now_and_then(rng: np.random.Generator) -> None:
    # 3,000 hosts each with an identification of its own that never changes: by chance one in 65,535 sends ZMap's.
    stacks = syn(rng, 9000, src=np.repeat(np.arange(1, 3001, dtype=np.uint32) << 8, 3))
    stacks["ip_id"] = np.repeat(rng.integers(1, 54321, 3000), 3).astype(np.uint16)
    unlucky = zmap(rng, 3, src=A, tcp_window=8192)
    real = zmap(rng, 3, src=B)
    assert named(analyse(together(unlucky, real))) == {"zmap": {A, B}}
    outcome = analyse(together(stacks, unlucky, real))
    assert named(outcome) == {"zmap": {B}}
    assert outcome.findings[0].attributes["expected_chance_sources"] > 0.01


def _hosts(rng: np.random.Generator, count: int, ports: list[int], **given: Any) -> dict[str, np.ndarray]:
    sources = rng.integers(1 << 24, 224 << 24, count, dtype=np.uint32)
    return syn(
        rng, 8 * count, src=np.repeat(sources, 8), dst_port=rng.choice(np.array(ports), 8 * count), **given
    )


def test_linux_hosts_with_hajimes_window_are_not_hajime(rng: np.random.Generator) -> None:
    common = [23, 80, 443, 22, 445, 8080]
    outcome = analyse(_hosts(rng, 200, common, tcp_window=14600), _hosts(rng, 200, common, tcp_window=29200))
    assert named(outcome) == {}


def test_hajime_is_found_by_the_ports_that_its_window_goes_with(rng: np.random.Generator) -> None:
    common = [23, 80, 443, 22, 445, 8080]
    bots = _hosts(rng, 60, [23, 5358, 7547, 5555, 81], tcp_window=14600)
    linux = together(_hosts(rng, 300, common, tcp_window=14600), _hosts(rng, 300, common, tcp_window=29200))
    outcome = analyse(together(bots, linux))
    assert set(named(outcome)) == {"hajime"}
    found, truth = named(outcome)["hajime"], set(bots["src"].tolist())
    assert len(found & truth) / len(truth) > 0.8
    assert len(found & truth) / len(found) > 0.95
    assert {5358, 7547} <= set(outcome.findings[0].attributes["favoured_ports"])


def test_hajime_is_found_by_a_zero_byte_in_each_sequence_number(rng: np.random.Generator) -> None:
    bot = syn(rng, 6, src=A, tcp_window=14600)
    bot["tcp_seq"] &= np.uint32(0xFFFFFF00)
    outcome = analyse(bot, syn(rng, 2000, tcp_window=14600), _hosts(rng, 50, [23, 80], tcp_window=29200))
    assert named(outcome) == {"hajime": {A}}


@pytest.mark.parametrize("seed", range(20))
def test_pure_noise_names_nothing(seed: int) -> None:
    noise = np.random.default_rng(1000 + seed)
    sources = noise.integers(1 << 24, 224 << 24, 6000, dtype=np.uint32)
    weights = noise.pareto(1.1, 6000) + 0.2
    which = noise.choice(6000, 60_000, p=weights / weights.sum())
    windows = noise.choice(np.array([29200, 14600, 64240, 65535, 1024]), 6000)
    assert named(analyse(syn(noise, 60_000, src=sources[which], tcp_window=windows[which]))) == {}


def test_the_engine_keeps_the_contract(rng: np.random.Generator) -> None:
    traffic = together(
        *(family(rng, 60, src=source) for source, (_, family) in enumerate(FAMILIES, start=A)),
        syn(rng, 5000, src=rng.integers(1, 400, 5000)),
    )
    whole = batch(traffic)
    outcome = check_engine(engine(Site()), [whole.slice(at, 700) for at in range(0, whole.num_rows, 700)])
    assert {finding.subject[1] for finding in outcome.findings} == {
        "mirai",
        "masscan",
        "zmap",
        "unicornscan",
        "nmap",
    }


def test_a_summary_stays_within_its_limit_under_spoofed_sources(rng: np.random.Generator) -> None:
    made = ToolsEngine(Site())
    summary = made.empty()
    for n in range(4):
        part = mirai(rng, 100_000, tcp_window=[1024, 29200, 2048, 512][n])
        other = syn(rng, 100_000, tcp_window=1024 if n % 2 else 700)
        summary = made.summarise(batch(together(part, other)).select(list(made.columns)), summary)
    assert summary.hits.level > 0
    assert summary.nbytes < 180_000_000
    assert len(summary.to_bytes()) < made.limit
    assert int(summary.totals[0]) == 400_000


@pytest.mark.parametrize("settings", [{"false_alarms": 0.0}, {"false_alarms": 2}, {"least_packets": 0}])
def test_settings_out_of_range_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"darknet\.tools"):
        analyse(**settings)


def test_an_empty_day_has_no_findings() -> None:
    outcome = analyse()
    assert outcome.findings == ()
    assert outcome.tables["sources"].num_rows == 0
