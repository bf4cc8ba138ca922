"""Forged senders and outbreaks: one alert of the organisation, not thousands; memory stays where it is."""

from __future__ import annotations

import json
from collections import Counter
from importlib.resources import files

import jsonschema
import numpy as np
import pyarrow as pa
import pytest
from daedalus_traffic import (
    DARK,
    HOUR,
    RELATIONS,
    SECOND,
    SITE,
    SPAN,
    START,
    UNI,
    Live,
    dark,
    mirai,
    packets,
    v4,
)

from andon.detect.darknet.daedalus.judge import outweighs_forged
from andon.records.contract import Organisation, Site

T = START + 4 * SECOND
BIG = Site(
    telescope=DARK,
    organisations=(Organisation("Big", ("100.0.0.0/8",)), Organisation("City", ("192.0.2.0/24",))),
    relations=RELATIONS,
)
EIGHT, BITS = v4("100.0.0.0"), 24


def forged(n: int, seed: int, base: int, bits: int, start: int, length: int = SPAN) -> pa.RecordBatch:
    """A flood of one dark address with senders drawn evenly from a prefix."""
    rng = np.random.default_rng(seed)
    ts = np.sort(start + rng.integers(0, length, n))
    return packets(
        ts,
        base + rng.integers(0, 1 << bits, n),
        dark(1)[0],
        dst_port=80,
        src_port=rng.integers(1024, 65536, n),
    )


def kinds(found: list) -> Counter:  # type: ignore[type-arg]
    return Counter((f.attributes["alert_kind"], f.attributes["state"]) for f in found)


def test_a_flood_with_forged_senders_is_told_once() -> None:
    live = Live()
    found = []
    for n in range(150):  # five minutes at 500 packets a second
        found += live.run(forged(1000, n, v4("198.18.0.0"), 16, T + n * SPAN))
    assert kinds(found) == {("spoofed-sources", "new"): 1}
    (finding,) = found
    schema = json.loads(files("andon.records").joinpath("finding.schema.json").read_text())
    jsonschema.validate(json.loads(finding.to_json()), schema)
    assert finding.subject == ("identity", "Uni")
    assert "being spoofed" in finding.statement
    later = live.run(until=T + 5 * 24 * HOUR)
    spoofed = [f for f in later if f.attributes["alert_kind"] == "spoofed-sources"]
    assert [f.attributes["state"] for f in spoofed] == ["continued", "closed"]
    # 150,000 packets from 65,536 addresses: what is counted for the organisation is nearly all of them.
    assert spoofed[-1].count == pytest.approx(150_000, rel=0.05)
    # Some addresses were hit more often than one in a hundred such floods would.
    assert len(later) - len(spoofed) <= 1


def test_a_slow_forged_flood_of_a_small_prefix_gives_few_alerts() -> None:
    live = Live()
    found = live.run(forged(400, 1, v4("192.0.2.0"), 8, T, 2 * HOUR))
    counted = kinds(found)
    assert counted[("spoofed-sources", "new")] == 1
    assert sum(counted.values()) <= 30


def test_a_real_bot_is_told_in_the_middle_of_a_forged_flood() -> None:
    live = Live()
    batches = [forged(2000, n, v4("198.18.0.0"), 16, T + n * SPAN) for n in range(20)]
    bot = mirai(T + np.arange(1, 40, 2) * SECOND, v4("198.18.77.1"), dark(20))
    neighbour = mirai(T + 30 * SECOND, v4("192.0.2.77"), dark(1)[0])
    found = live.run(*batches, bot, neighbour)
    hosts = {f.subject[1] for f in found if f.attributes["alert_kind"] == "outbound-scan"}
    assert {"198.18.77.1", "192.0.2.77"} <= hosts
    assert len(hosts) <= 4


def test_an_outbreak_is_told_by_host_up_to_the_quota_then_together_with_all_addresses() -> None:
    live = Live()
    sources = v4("198.18.40.0") + np.arange(300) + 8 * 256  # one building, not the whole /16
    batches = [mirai(T + n * SECOND + np.arange(2), int(src), dark(2, n)) for n, src in enumerate(sources)]
    found = live.run(*batches)
    counted = kinds(found)
    assert counted == {("outbound-scan", "new"): 64, ("many-hosts", "new"): 1}
    (later,) = [f for f in live.run(until=T + 2 * HOUR) if f.attributes["alert_kind"] == "many-hosts"]
    assert later.attributes["addresses"] == 236
    assert len(later.entities) == 236


def test_few_hosts_with_one_packet_each_are_told_each() -> None:
    live = Live()
    sources = v4("198.18.0.0") + np.arange(8) * 7919
    found = live.run(*(packets(T + n * 60 * SECOND, int(src), dark(8)[n]) for n, src in enumerate(sources)))
    assert kinds(found) == {("outbound-scan", "new"): 8}
    # The ninth within the hour waits for its second packet, which nothing forged would send.
    ninth = live.run(packets(T + 600 * SECOND, v4("198.18.200.9"), dark(1)[0]))
    assert kinds(ninth) == {("many-hosts", "new"): 1}
    again = live.run(packets(T + 700 * SECOND, v4("198.18.200.9"), dark(2)[1]))
    assert [f.subject[1] for f in again] == ["198.18.200.9"]


def test_the_mark_rises_with_the_flood() -> None:
    marks = [outweighs_forged(n, 1 << 24) for n in (0, 10, 10**4, 10**6, 10**7, 10**9, 10**12)]
    assert marks == sorted(marks)
    assert marks[0] == 2
    # A simulated flood: no address of a /16 gets so many by chance.
    rng = np.random.default_rng(1)
    for n in (1000, 65_536, 1 << 20):
        most = np.bincount(rng.integers(0, 1 << 16, n)).max()
        assert most < outweighs_forged(n, 1 << 16) <= 3 * most + 2


@pytest.mark.slow
def test_memory_is_bounded_under_ten_million_forged_senders() -> None:
    live = Live(BIG)
    live.run(mirai(T - SPAN, v4("100.1.2.3"), dark(1)[0]), mirai(T - SPAN, v4("192.0.2.3"), dark(1)[0]))
    largest = 0
    found = []
    tile = 250_000
    for n in range(40):  # 10 million packets, 125,000 a second
        summary = live.engine.empty()
        start = T + n * SPAN
        for part in range(2):
            batch = forged(tile // 2, 2 * n + part, EIGHT, BITS, start)
            summary = live.engine.summarise(batch, summary)
        largest = max(largest, summary.nbytes, len(summary.to_bytes()))
        before = len(live.found)
        live._conclude(summary, start)
        found += live.found[before:]
    assert largest < 6 << 20
    assert live.carry is not None
    assert len(live.carry.to_bytes()) < 2 << 20
    assert kinds([f for f in found if f.kind == "own-host-alert"]) == {("spoofed-sources", "new"): 1}
    # What did not fit is said, not as often as it happens.
    shed = [f for f in found if f.kind == "load-shed"]
    assert 1 <= len(shed) <= 10
    told = live.run(until=T + 2 * HOUR)
    digest = next(f for f in told if f.attributes["alert_kind"] == "spoofed-sources")
    assert digest.attributes["addresses"] == pytest.approx(10_000_000, rel=0.05)
    # Who was told before the flood stays known.
    assert {"100.1.2.3", "192.0.2.3"} <= {f.subject[1] for f in live.run(until=T + 80 * HOUR)}


def test_a_full_memory_gives_up_pending_entries_first_and_counts_them() -> None:
    site = Site(
        telescope=DARK, organisations=SITE.organisations, settings={"darknet.daedalus.most_tracked": 100}
    )
    live = Live(site)
    live.run(packets(T, v4("192.0.2.5"), dark(1)[0]))
    rng = np.random.default_rng(4)
    for n in range(200):  # a few at a time, clustered: held back one by one
        live.run(packets(T + (n + 1) * SPAN, v4("198.18.9.0") + rng.integers(0, 2000, 3), dark(3)))
    assert live.carry is not None
    assert len(live.carry.entries) == 100
    assert live.carry.organisations["evicted"].sum() > 100
    assert v4("192.0.2.5") in (live.carry.entries["lo"] & 0xFFFFFFFF)
    shed = [finding for finding in live.found if finding.kind == "load-shed"]
    assert shed and {finding.subject for finding in shed} == {("identity", UNI.name)}
    assert len({finding.id for finding in shed}) == 1  # one an hour, that grows
    assert [finding.revision for finding in shed] == sorted({finding.revision for finding in shed})
    evicted = int(live.carry.organisations["evicted"].sum())
    assert evicted / 2 < shed[-1].count <= evicted
    assert f"{shed[-1].count:,} addresses or alerts that were followed were forgotten" in shed[-1].statement
    assert shed[-1].attributes["forgotten"] == shed[-1].count and shed[-1].attributes["packets_left_out"] == 0
    assert not any(finding.attributes.get("alert_kind") for finding in shed)


def test_packets_that_a_full_span_did_not_take_in_are_told() -> None:
    live = Live(SITE)
    rng = np.random.default_rng(5)
    addresses = v4("198.18.0.0") + rng.permutation(1 << 16)[:30_000]
    for n in range(3):
        live.run(packets(T + n * SPAN, addresses, dark(1)[0]))
    shed = [finding for finding in live.found if finding.kind == "load-shed"]
    assert live.carry is not None
    left_out = int(live.carry.organisations["left_out"].sum())
    assert left_out > 0
    assert shed[-1].attributes["packets_left_out"] <= left_out < 2 * shed[-1].attributes["packets_left_out"]
    assert "were not looked at" in shed[-1].statement
    before = len(shed)
    live.run(packets(T + HOUR, addresses[:20_000], dark(1)[0]))  # another hour, another finding
    later = [finding for finding in live.found if finding.kind == "load-shed"][before:]
    assert len(later) == 1 and later[0].id != shed[-1].id and later[0].series == shed[-1].series
    assert later[0].attributes["packets_left_out_in_all"] > left_out


def test_a_carry_of_the_version_before_is_read() -> None:
    from andon.detect.darknet.daedalus.state import ORGANISATION, Remembered
    from andon.sketch.state import pack

    live = Live(SITE)
    live.run(packets(T, v4("192.0.2.5"), dark(1)[0]))
    assert live.carry is not None
    now = live.carry
    names = list(ORGANISATION.names or ())[:-2]
    old = np.zeros(len(now.organisations), [(name, ORGANISATION[name]) for name in names])
    for name in names:
        old[name] = now.organisations[name]
    data = pack(
        "daedalus-carry", 1,
        {"entries": now.entries.view(np.uint8), "organisations": old.view(np.uint8), "relations": now.relations},
    )  # fmt: skip
    read = Remembered.from_bytes(data)
    assert np.array_equal(read.entries, now.entries)
    assert all(np.array_equal(read.organisations[name], now.organisations[name]) for name in names)
    assert read.to_bytes() == now.to_bytes()
