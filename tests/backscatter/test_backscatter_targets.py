"""What one address receives: reflection and forged floods are named, scans of it are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from backscatter_traffic import (
    ACK,
    DARK,
    RST,
    SECOND,
    START,
    SYN_ACK,
    classes_of,
    concluded,
    packets,
    scans,
)

from andon.records import packet

TARGET = DARK + 77
NAME = "10.10.0.77"
UDP = {"proto": 17, "layers": packet.IPV4 | packet.UDP}
ICMP = {"proto": 1, "layers": packet.IPV4 | packet.ICMP, "src_port": 0, "dst_port": 0}


def everywhere(count: int, seed: int) -> np.ndarray:
    """Sources drawn at random from all of IPv4, as most tools forge them."""
    return np.random.default_rng(seed).integers(0, 1 << 32, count, dtype=np.uint32)


def hosts(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Real hosts: routable addresses and the TTLs that real paths leave."""
    rng = np.random.default_rng(seed)
    src = rng.integers(1 << 24, 0xDF000000, count, dtype=np.uint32)
    return src[(src >> 24) != 127], (rng.choice([64, 128, 255], count) - rng.integers(5, 28, count))[
        (src >> 24) != 127
    ]


def burst(count: int, seconds: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return START + 600 * SECOND + np.sort(rng.integers(0, int(seconds * SECOND), count))


def reflection(
    count: int = 400, seconds: float = 20, seed: int = 1, dst: Any = TARGET, **fields: Any
) -> pa.RecordBatch:
    src, ttl = hosts(count, seed)
    return packets(burst(len(src), seconds, seed), src, dst, ttl=ttl, **fields)


def flood(count: int = 3000, seconds: float = 20, seed: int = 1, **fields: Any) -> pa.RecordBatch:
    fields = {"tcp_flags": packet.SYN, "dst_port": 25565, "ttl": 50, **fields}
    return packets(burst(count, seconds, seed), everywhere(count, seed), TARGET, **fields)


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize(
    "fields",
    [
        {"tcp_flags": SYN_ACK},
        {"tcp_flags": RST | ACK},
        {**UDP, "src_port": 53},
        {**UDP, "src_port": 11211},
        {**UDP, "src_port": 37810},
        {**ICMP, "icmp_type": 0},
        {"proto": 17, "layers": packet.IPV4 | packet.LATER_FRAGMENT, "src_port": 0, "dst_port": 0},
    ],
)
def test_reflection_is_named_alone_and_among_scans(fields: dict[str, int], alone: bool) -> None:
    batches = [reflection(**fields)] if alone else [scans(400_000, 5), reflection(**fields)]
    outcome = concluded(*batches, dark=1 if alone else 1 << 16)
    assert classes_of(outcome) == {NAME: "reflection-target"}


def test_the_reflectors_are_the_entities_and_the_numbers_are_exact() -> None:
    (found,) = concluded(reflection(500), reflection(100, seed=2, tcp_flags=RST), dark=1).findings
    assert found.attributes["reflectors"] == len(found.entities) == found.count
    assert found.attributes["answers"]["SYN-ACK"] + found.attributes["answers"]["RST"] == found.count
    assert found.first_seen >= START + 600 * SECOND
    assert "forged as the sender" in found.statement


@pytest.mark.parametrize(
    ("fields", "flood"),
    [
        ({}, "TCP reflection"),
        ({**UDP, "src_port": 123}, "UDP amplification"),
        ({**ICMP, "icmp_type": 3, "icmp_code": 3}, "ICMP reflection"),
    ],
)
def test_the_kind_of_reflection_is_named_and_every_one_can_be_checked(
    fields: dict[str, int], flood: str
) -> None:
    (found,) = concluded(reflection(**fields), dark=1).findings
    assert found.attributes["flood"] == flood
    assert any(item.check is not None for item in found.evidence)


@pytest.mark.parametrize(("count", "expected"), [(40, False), (60, True)])
def test_a_reflection_has_at_least_fifty_reflectors_in_a_minute(count: int, expected: bool) -> None:
    assert bool(classes_of(concluded(reflection(count), dark=1))) is expected


def test_answers_spread_over_hours_are_no_reflection() -> None:
    assert classes_of(concluded(reflection(400, seconds=20_000), dark=1)) == {}


def test_answers_that_were_asked_for_are_no_reflection() -> None:
    replies = reflection(400)
    src = replies.column("src").to_numpy()
    requests = packets(START + 600 * SECOND, TARGET, src, tcp_flags=packet.SYN)
    assert classes_of(concluded(replies, requests, dark=0)) == {}


def test_strays_all_over_the_telescope_are_no_reflection_at_any_address() -> None:
    rng = np.random.default_rng(9)
    src, ttl = hosts(30_000, 9)
    strays = packets(burst(len(src), 60, 9), src, DARK + rng.integers(0, 256, len(src)), ttl=ttl)
    assert classes_of(concluded(strays, dark=256)) == {}


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({}, "TCP SYN flood"),
        ({"tcp_flags": packet.SYN | packet.ECE | packet.CWR}, "TCP SYN flood"),
        ({"tcp_flags": ACK}, "other TCP flood"),
        ({**UDP, "dst_port": 80}, "UDP flood"),
        ({**ICMP, "icmp_type": 8}, "ICMP flood"),
    ],
)
def test_floods_from_forged_sources_are_named(fields: dict[str, int], kind: str, alone: bool) -> None:
    batches = [flood(**fields)] if alone else [scans(400_000, 5), flood(**fields)]
    outcome = concluded(*batches, dark=1 if alone else 1 << 16)
    assert classes_of(outcome) == {NAME: "spoofed-flood-target"}
    (found,) = outcome.findings
    assert found.attributes["flood"] == kind
    assert abs(found.attributes["sources"] / 3000 - 1) < (0.01 if alone else 0.25)
    assert abs(found.attributes["unroutable_share"] - 0.133) < (0.02 if alone else 0.1)


def test_forged_sources_that_avoid_unroutable_space_are_known_by_their_ttl() -> None:
    src, _ = hosts(3000, 3)
    (found,) = concluded(
        packets(burst(len(src), 20, 3), src, TARGET, tcp_flags=packet.SYN, ttl=244), dark=1
    ).findings
    assert found.attributes["class"] == "spoofed-flood-target"
    assert found.attributes["top_ttls"] == [244]


def test_a_botnet_that_scans_one_address_is_no_forged_flood() -> None:
    src, ttl = hosts(2000, 4)
    scan = packets(burst(len(src), 60, 4), src, TARGET, tcp_flags=packet.SYN, dst_port=23, ttl=ttl)
    assert classes_of(concluded(scan, dark=1)) == {}


def test_a_botnet_that_scans_the_whole_telescope_is_no_flood_on_any_address() -> None:
    assert classes_of(concluded(scans(500_000, 6, dark=256, seconds=60, sources=50_000), dark=256)) == {}


def test_a_busy_server_is_not_flooded_by_its_clients() -> None:
    src, _ = hosts(3000, 5)
    when = burst(len(src), 30, 5)
    opening = packets(when, src, TARGET, tcp_flags=packet.SYN, ttl=50)
    rest = packets(when + SECOND, src, TARGET, tcp_flags=ACK, ttl=50)
    assert classes_of(concluded(opening, rest, dark=1)) == {}


def test_udp_from_one_unlisted_port_of_many_hosts_is_a_reflection() -> None:
    src, ttl = hosts(5000, 6)
    answers = packets(burst(len(src), 20, 6), src, TARGET, ttl=ttl, **UDP, src_port=30120, dst_port=4444)
    assert classes_of(concluded(answers, dark=1)) == {NAME: "reflection-target"}


def test_reflectors_used_against_a_block_of_the_telescope_are_not_called_victims() -> None:
    rng = np.random.default_rng(8)
    src = rng.choice(hosts(200, 8)[0], 40_000)
    block, ports = DARK + rng.integers(0, 256, 40_000), rng.integers(1024, 65536, 40_000)
    carpet = packets(burst(40_000, 300, 8), src, block, dst_port=ports)
    outcome = concluded(carpet)
    assert "spoofed-dos-victim" not in classes_of(outcome).values()
    assert outcome.tables["set_aside"].num_rows == 1
