"""The census counts what is there, exactly while it can, and says when it estimates."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from census_traffic import DAY, batch, concluded, random_traffic

from andon.detect.darknet.census import PORTS, CensusEngine, engine
from andon.detect.darknet.census.units import CLASSES
from andon.observe import read
from andon.records import packet
from andon.records.contract import Site
from andon.run.contract import check_engine


def test_engine_keeps_the_contract() -> None:
    check_engine(engine(Site()), [random_traffic(seed, 2000) for seed in range(4)])


def test_engine_keeps_the_contract_above_its_cap() -> None:
    census = engine(Site(settings={"darknet.census.pairs": 132_000}))
    rng = np.random.default_rng(3)
    wide = [
        batch(src=rng.integers(0, 1 << 30, 90_000), dst=rng.integers(0, 1 << 16, 90_000), dst_port=23)
        for _ in range(3)
    ]
    check_engine(census, wide)
    assert not concluded(census, *wide).findings[0].attributes["exact"]


def test_packets_sources_and_destinations_by_port_are_exact() -> None:
    traffic = random_traffic(1, 5000)
    rows = traffic.to_pylist()
    packets: defaultdict[tuple[int, int], int] = defaultdict(int)
    sources, targets = defaultdict(set), defaultdict(set)
    whole = {6: packet.TCP, 17: packet.UDP, 1: packet.ICMP}
    for row in rows:
        if not row["layers"] & packet.IPV4:
            continue
        if row["proto"] in whole and not row["layers"] & whole[row["proto"]]:
            continue  # no transport header, so no port
        port = {6: row["dst_port"], 17: row["dst_port"], 1: row["icmp_type"]}.get(row["proto"], 0)
        key = row["proto"], port
        packets[key] += 1
        sources[key].add(row["src"])
        targets[key].add(row["dst"])
    outcome = concluded(CensusEngine(Site()), traffic)
    table = outcome.tables["ports"]
    assert table.schema.equals(PORTS)
    found = {
        (r["proto"], r["port"]): (r["packets"], r["sources"], r["destinations"]) for r in table.to_pylist()
    }
    assert found == {key: (packets[key], len(sources[key]), len(targets[key])) for key in packets}
    assert all(table["exact"].to_pylist())


def test_every_packet_is_in_exactly_one_class() -> None:
    outcome = concluded(CensusEngine(Site()), random_traffic(2, 3000))
    classes = outcome.findings[0].attributes["classes"]
    assert sum(classes.values()) == outcome.findings[0].count == 3000
    assert set(classes) <= set(CLASSES)
    assert classes["ipv6"] > 0 and classes["no transport header"] > 0


def test_a_syn_with_ecn_set_up_is_a_syn_and_a_syn_ack_is_not() -> None:
    outcome = concluded(CensusEngine(Site()), batch(tcp_flags=[0x02, 0xC2, 0x12, 0x14, 0x10], dst_port=80))
    assert outcome.findings[0].attributes["classes"] == {
        "tcp syn": 2,
        "tcp syn-ack": 1,
        "tcp rst": 1,
        "tcp other": 1,
    }


def test_ten_minute_slots_carry_their_start() -> None:
    outcome = concluded(CensusEngine(Site()), batch(src=[1, 2, 2], dst_port=[23, 23, 80]), span="10min")
    slots = outcome.tables["slots"]
    rows = slots.to_pylist()
    assert [(r["port"], r["packets"], r["sources"]) for r in rows] == [(23, 2, 2), (80, 1, 1)]
    assert slots["start"].cast(pa.int64()).to_pylist() == [DAY, DAY]
    assert outcome.findings == ()


def test_a_day_is_the_merge_of_its_slots() -> None:
    census = CensusEngine(Site())
    parts = [random_traffic(seed, 1500) for seed in range(3)]
    day = census.empty()
    for part in parts:
        day = census.merge(day, census.summarise(part, census.empty()))
    straight = census.empty()
    for part in parts:
        straight = census.summarise(part, straight)
    assert day.to_bytes() == straight.to_bytes()


def test_estimates_above_the_cap_are_within_their_stated_error() -> None:
    rng = np.random.default_rng(5)
    sources = rng.choice(1 << 31, 400_000, replace=False)
    census = CensusEngine(Site(settings={"darknet.census.pairs": 132_000}))
    parts = [batch(src=part, dst=7, dst_port=23) for part in np.array_split(sources, 4)]
    outcome = concluded(census, *parts)
    row = outcome.tables["ports"].to_pylist()[0]
    assert row["packets"] == 400_000 and not row["exact"]
    level = 2  # 400,000 sources at 132,000 places
    error = np.sqrt(400_000 * (2**level - 1))
    assert abs(row["sources"] - 400_000) < 4 * error
    assert "sample of one in 4" in outcome.findings[0].statement


def test_spoofed_sources_cannot_grow_the_summary_beyond_its_limit() -> None:
    rng = np.random.default_rng(6)
    census = CensusEngine(Site(settings={"darknet.census.pairs": 132_000}))
    summary = census.empty()
    for _ in range(6):
        flood = batch(
            src=rng.integers(0, 1 << 32, 100_000),
            dst=rng.integers(0, 1 << 32, 100_000),
            dst_port=rng.integers(0, 1 << 16, 100_000),
        )
        summary = census.summarise(flood, summary)
    assert summary.nbytes < 40 << 20
    assert len(summary.to_bytes()) < census.limit
    assert summary.packets == 600_000


def test_too_low_a_cap_is_refused_with_a_reason() -> None:
    with pytest.raises(ValueError, match="must be at least"):
        CensusEngine(Site(settings={"darknet.census.pairs": 10}))


def test_countries_and_systems_come_from_the_table_given() -> None:
    class Odd:
        def locate(self, addresses: np.ndarray) -> tuple[list[str], list[str]]:
            odd = addresses % 2 == 1
            return ["JP" if o else "" for o in odd], ["AS64500 Odd" if o else "" for o in odd]

    outcome = concluded(CensusEngine(Site(locator=Odd())), batch(src=[1, 1, 3, 4], dst_port=23))
    assert outcome.findings[0].attributes["countries"] == [
        {"name": "JP", "packets": 3, "sources": 2},
        {"name": "unknown", "packets": 1, "sources": 1},
    ]
    assert outcome.tables["sources"]["country"].to_pylist() == ["JP", "JP", ""]


@pytest.mark.real_data
def test_real_captures_are_counted_as_tshark_counts_them(andon_data: Path) -> None:
    folder = andon_data / "darknet-data" / "captures"
    census = CensusEngine(Site())
    reflected = concluded(
        census, *read(folder / "backscatter_synack_reflection.pcap", columns=census.columns)
    )
    # tshark counts 6,651 SYN-ACK and one SYN over TCP, and 7,055 IPv4 sources.
    assert reflected.findings[0].attributes["classes"]["tcp syn-ack"] == 6651
    assert reflected.findings[0].attributes["classes"]["tcp syn"] == 1
    assert reflected.findings[0].attributes["sources"] == 7055
    assert reflected.tables["telescope"]["cidr"].to_pylist() == ["10.10.10.10/32"]
    flood = concluded(census, *read(folder / "synflood_spoofed.pcap", columns=census.columns))
    assert flood.tables["ports"].to_pylist()[0]["sources"] == 37_623
