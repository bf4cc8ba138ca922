"""The rule for victims of randomly forged floods: at, below and above each of its thresholds."""

from __future__ import annotations

import numpy as np
import pytest
from backscatter_traffic import (
    ACK,
    DARK,
    RST,
    SECOND,
    START,
    classes_of,
    concluded,
    flood_answers,
    joined,
    packets,
    scans,
)  # fmt: skip

from andon.detect.darknet.backscatter.thresholds import thresholds
from andon.records import packet
from andon.records.contract import Site
from andon.sketch.hashing import mix64_array

VICTIM = 0xCB007105  # 203.0.113.5
NAME = "203.0.113.5"


def apart(count: int) -> np.ndarray:
    """Dark addresses that fall on different bits of the counting mask, so that few are counted exactly."""
    candidates = np.arange(DARK, DARK + 4096, dtype=np.uint64)
    bits = mix64_array(candidates, np.uint64(Site().hash_key)) >> np.uint64(58)
    return candidates[np.unique(bits, return_index=True)[1]][:count]


def answers_at(seconds: list[float], addresses: np.ndarray | None = None) -> object:
    """One answer at each of these seconds, each to another dark address."""
    times = START + (np.array(seconds) * SECOND).astype(np.int64)
    addresses = apart(len(seconds)) if addresses is None else addresses
    return packets(times, VICTIM, addresses, dst_port=np.arange(20_000, 20_000 + len(times)))


def called(seconds: list[float], addresses: np.ndarray | None = None, dark: int = 1 << 16) -> bool:
    return NAME in classes_of(concluded(answers_at(seconds, addresses), dark=dark))


TEN = [0, 1, 2, 3, 4, 65, 66, 67, 68, 69]


def test_ten_answers_in_69_seconds_with_five_in_a_minute_are_a_victim() -> None:
    assert called(TEN)


def test_nine_packets_are_too_few() -> None:
    assert not called(TEN[:1] + TEN[2:])


@pytest.mark.parametrize(("last", "expected"), [(59.9, False), (60.0, True)])
def test_an_attack_lasts_at_least_a_minute(last: float, expected: bool) -> None:
    assert called([*TEN[:5], 55, 56, 57, 58, last]) is expected


@pytest.mark.parametrize(("within", "expected"), [(4, False), (5, True)])
def test_the_busiest_minute_must_hold_five(within: int, expected: bool) -> None:
    slow = [100.0 + 20 * n for n in range(1, 12)]  # three or four a minute, for four minutes
    assert called([*(float(n) for n in range(within)), *slow]) is expected


def test_repeated_answers_to_four_addresses_are_not_a_victim() -> None:
    # A victim repeats an unanswered SYN-ACK at 1, 3, 7, 15 and 31 s: 24 packets of only four forged ones.
    start = np.repeat([0.0, 20.0, 40.0, 60.0], 6)
    seconds = np.sort(start + np.tile([0, 1, 3, 7, 15, 31], 4))
    addresses = np.repeat(apart(4), 6)[np.argsort(start + np.tile([0, 1, 3, 7, 15, 31], 4), kind="stable")]
    assert not called(seconds.tolist(), addresses)


@pytest.mark.parametrize(("gap", "attacks"), [(299, 1), (301, 2)])
def test_300_seconds_of_silence_end_an_attack(gap: int, attacks: int) -> None:
    first = [float(n) * 3 for n in range(24)]
    second = [first[-1] + gap + n * 3 for n in range(24)]
    found = concluded(answers_at(first + second)).findings
    assert [len(finding.attributes["attacks"]) for finding in found] == [attacks]


def test_two_halves_that_are_each_too_small_do_not_add_up_over_a_silence() -> None:
    assert not called([0, 1, 2, 3, 4, 500, 501, 502, 503, 504])


def test_one_dark_address_is_never_enough() -> None:
    seconds = np.linspace(0, 600, 5000).tolist()
    assert not called(seconds, np.full(5000, DARK))


def test_thresholds_are_corsaros_on_a_slash_8_and_floors_below() -> None:
    full = thresholds(Site(), 1 << 24)
    assert (full.packets, full.rate, full.seconds, full.silence) == (25, 30, 60 * SECOND, 300 * SECOND)
    twice = thresholds(Site(), 1 << 25)
    assert (twice.packets, twice.rate) == (50, 60)
    small = thresholds(Site(), 1 << 12)
    assert (small.packets, small.rate, small.addresses) == (10, 5, 5)
    assert thresholds(Site(), 4).addresses == 2


def test_on_a_slash_8_twenty_four_packets_are_too_few_and_twenty_five_enough() -> None:
    burst = [float(n) for n in range(30)]
    late = [61.0]
    assert not called([*burst[:23], *late], dark=1 << 24)
    assert called([*burst, *late], dark=1 << 24)


def test_settings_move_the_floors() -> None:
    site = Site(settings={"darknet.backscatter.floor_packets": 30})
    assert not concluded(answers_at([float(n) * 3 for n in range(29)]), site=site).findings
    assert concluded(answers_at([float(n) * 3 for n in range(30)]), site=site).findings


@pytest.mark.parametrize(
    ("fields", "flood"),
    [
        ({}, "SYN flood"),
        ({"tcp_flags": RST}, "TCP flood on closed ports or without SYN"),
        ({"tcp_flags": RST | ACK, "src_port": 7777}, "TCP flood on closed ports or without SYN"),
        ({"proto": 1, "layers": packet.IPV4 | packet.ICMP, "icmp_type": 0}, "ICMP echo flood"),
        ({"proto": 1, "layers": packet.IPV4 | packet.ICMP, "icmp_type": 3, "icmp_code": 3}, "UDP flood"),
        ({"proto": 1, "layers": packet.IPV4 | packet.ICMP, "icmp_type": 11}, "flood of unknown protocol"),
        ({"proto": 17, "layers": packet.IPV4 | packet.UDP, "src_port": 53}, "UDP flood"),
    ],
)
def test_the_answers_tell_the_kind_of_flood(fields: dict[str, int], flood: str) -> None:
    if "icmp_type" in fields:
        fields = {**fields, "src_port": 0, "dst_port": 0}
    found = concluded(flood_answers(VICTIM, 300, 600, seed=1, **fields)).findings
    assert [finding.attributes["flood"] for finding in found] == [flood]


def test_ports_attacked_are_the_victims_source_ports() -> None:
    rng = np.random.default_rng(3)
    answers = flood_answers(VICTIM, 400, 600, seed=2, src_port=rng.choice([80, 443], 400, p=[0.8, 0.2]))
    (found,) = concluded(answers).findings
    assert found.attributes["ports"] == [80, 443]


def test_the_worldwide_rate_holds_the_true_one() -> None:
    # 2,000 of 2^16 dark addresses' share of a flood of 2,000 * 2^16 packets in 1,000 s: 131,072 a second.
    (found,) = concluded(flood_answers(VICTIM, 2000, 1000, seed=4)).findings
    rate = found.attributes["attacks"][0]["packets_per_second_worldwide"]
    assert rate["low"] < 131_072 < rate["high"]
    assert rate["high"] / rate["low"] < 1.2


def test_a_telescope_of_a_few_addresses_gives_no_worldwide_rate() -> None:
    (found,) = concluded(flood_answers(VICTIM, 2000, 1000, seed=4, dark=64), dark=64).findings
    assert "packets_per_second_worldwide" not in found.attributes["attacks"][0]


def test_scanners_with_syn_ack_or_from_a_service_port_are_no_victims() -> None:
    rng = np.random.default_rng(6)
    probe = flood_answers(
        VICTIM, 2000, 600, seed=5, src_port=rng.integers(30_000, 60_000, 2000), dst_port=443
    )
    dns = flood_answers(
        VICTIM + 1, 2000, 600, seed=6, proto=17, layers=packet.IPV4 | packet.UDP, src_port=53, dst_port=5060
    )
    outcome = concluded(probe, dns)
    assert classes_of(outcome) == {}
    assert {row["sources"] for row in outcome.tables["set_aside"].to_pylist()} == {1}


def test_a_host_that_is_asked_or_talks_is_no_victim() -> None:
    # An office that is no telescope: 300 clients and one server, both directions, then only the inbound one.
    rng = np.random.default_rng(7)
    inbound = flood_answers(VICTIM, 3000, 900, seed=8)
    requests = packets(START, DARK + rng.integers(0, 300, 3000), VICTIM, tcp_flags=packet.SYN, dst_port=80)
    data = flood_answers(VICTIM, 6000, 900, seed=9, tcp_flags=ACK)
    assert NAME not in classes_of(concluded(inbound, requests))
    assert NAME not in classes_of(concluded(inbound, data))
    assert NAME in classes_of(concluded(inbound))


def test_many_packets_to_few_of_many_dark_addresses_are_no_random_forging() -> None:
    rng = np.random.default_rng(10)
    few = rng.choice(apart(12), 20_000)
    times = START + np.sort(rng.integers(0, 900 * SECOND, 20_000))
    outcome = concluded(packets(times, VICTIM, few, dst_port=rng.integers(1024, 65536, 20_000)))
    assert classes_of(outcome) == {}


def test_scans_and_single_stray_answers_are_no_victims() -> None:
    rng = np.random.default_rng(11)
    strays = packets(
        START + rng.integers(0, 3600 * SECOND, 20_000),
        rng.integers(1 << 24, 0xDF000000, 20_000),
        DARK + rng.integers(0, 1 << 16, 20_000),
        dst_port=rng.integers(1024, 65536, 20_000),
    )
    assert classes_of(concluded(scans(300_000, 12), joined(strays))) == {}


def test_victims_beyond_the_fifty_largest_are_said_in_numbers_and_stand_in_the_table() -> None:
    batches = [flood_answers(VICTIM + n, 40 + n, 300, seed=n) for n in range(60)]
    outcome = concluded(*batches)
    assert len(outcome.findings) == 51
    assert outcome.findings[-1].title.startswith("10 more victims")
    assert outcome.tables["victims"].num_rows == 60


def test_checks_select_the_packets_that_were_counted() -> None:
    from andon.records.expression import compile_program, evaluate, parse

    answers = joined(
        flood_answers(VICTIM, 300, 600, seed=1),
        flood_answers(VICTIM, 70, 600, seed=2, tcp_flags=RST),
        scans(5000, 3),
    )
    (found,) = concluded(answers).findings
    columns = {name: answers.column(name).to_numpy() for name in answers.schema.names if name != "ts"}
    counts = [
        int(evaluate(compile_program(parse(item.check.relation)), columns).sum())
        for item in found.evidence
        if item.check is not None
    ]
    assert counts == [300, 70]
