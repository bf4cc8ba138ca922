"""The contract, bounds under hostile input, what is remembered, and the published method as a baseline."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files

import jsonschema
import numpy as np
import pytest
from campaigns_traffic import (
    DAY,
    DAY_NS,
    LONE_MSS,
    addresses,
    batch,
    bots,
    conclude,
    events,
    group,
    noise,
    purpose_table,
    rows,
    run,
    tools_table,
)

from andon.detect.darknet.campaigns import CampaignsEngine
from andon.detect.darknet.campaigns.kernel import DRAWN
from andon.detect.darknet.campaigns.memory import DEAD, RING, Memory
from andon.detect.darknet.campaigns.nmf import factorise
from andon.detect.darknet.campaigns.summary import DaySources
from andon.records import packet
from andon.records.contract import Site
from andon.records.expression import compile_program, evaluate, parse, to_bpf
from andon.run.contract import check_engine
from andon.sketch.state import StateError, pack, unpack

TELNET = {23: 0.9, 2323: 0.1}
ROUTERS = {8291: 0.5, 8728: 0.5}


def day_of(day: int) -> list:
    return [
        *noise(800, day),
        bots(60, TELNET, day),
        group(addresses(50, 40 + day), ROUTERS, day, tcp_window=1025),
    ]


def test_engine_keeps_the_contract() -> None:
    src = addresses(60, 1000).tolist()
    outcome = check_engine(
        CampaignsEngine(Site()),
        day_of(0),
        {
            "darknet.tools:sources": tools_table(dict.fromkeys(src, "mirai")),
            "darknet.purpose:sources": purpose_table(dict.fromkeys(src, "attack")),
        },
    )
    assert len(rows(outcome)) == 2


def test_engine_keeps_the_contract_above_its_cap() -> None:
    engine = CampaignsEngine(Site(settings={"darknet.campaigns.sources": 1000}))
    crowd = [bots(1500, TELNET, 0, seed=n, each=2) for n in range(3)]
    outcome = check_engine(engine, [*day_of(0), *crowd])
    assert "Only one source in 8 was kept" in outcome.findings[0].statement
    telnet = next(row for row in rows(outcome) if row["ports"].startswith("23 "))
    assert telnet["sources"] == pytest.approx(4560, rel=0.15)  # scaled up


def test_engine_keeps_the_contract_with_the_published_method() -> None:
    check_engine(CampaignsEngine(Site(settings={"darknet.campaigns.method": "nmf"})), day_of(0))


def test_a_cookie_bot_at_the_edge_of_a_batch_is_drawn_the_same() -> None:
    # Merging keeps the lowest hashes of all packets, whoever held them.
    parts = day_of(3)
    whole, left, right = (DaySources(10_000, 5) for _ in range(3))
    for part in parts:
        whole.add(part)
        left.add(part.slice(0, part.num_rows // 3))
        right.add(part.slice(part.num_rows // 3))
    left.merge(right)
    assert left.to_bytes() == whole.to_bytes()
    assert whole.rows.columns["drawn"].shape[1] == 2 * DRAWN


def test_answers_and_later_fragments_are_no_scans() -> None:
    summary = DaySources(10_000, 5)
    summary.add(batch(src=np.arange(50), tcp_flags=packet.SYN | packet.ACK))
    summary.add(batch(src=np.arange(50), tcp_flags=packet.RST))
    summary.add(batch(src=np.arange(50), layers=packet.IPV4 | packet.LATER_FRAGMENT))
    summary.add(batch(src=np.arange(50), layers=packet.IPV6 | packet.TCP))
    assert summary.packets == 0 and summary.rows.used == 0


def test_a_flood_of_spoofed_sources_does_not_grow_state_or_hide_a_large_campaign() -> None:
    engine = CampaignsEngine(Site(settings={"darknet.campaigns.sources": 4000}))
    rng = np.random.default_rng(1)

    def flood(day: int) -> list:
        src = rng.integers(1 << 24, 1 << 32, 60_000)
        return [
            batch(
                day,
                src=src,
                dst=0x0A000009,
                dst_port=80,
                tcp_options=0,
                tcp_window=rng.integers(0, 65536, 60_000),
            )
        ]

    first = conclude(engine, [*noise(800, 0), bots(600, TELNET, 0)], 0)
    second = conclude(engine, [*noise(800, 1), bots(600, TELNET, 1), *flood(1)], 1, first.carry)
    assert len(rows(first)) == 1
    assert [row["campaign"] for row in rows(second) if row["state"] == "active"] == [
        rows(first)[0]["campaign"]
    ]


def test_small_campaigns_that_a_sample_cannot_show_are_not_called_quiet() -> None:
    engine = CampaignsEngine(Site(settings={"darknet.campaigns.sources": 1000}))
    first = conclude(engine, [*noise(400, 0), bots(12, ROUTERS, 0)], 0)
    assert len(rows(first)) == 1
    crowd = [bots(2500, TELNET, 1, seed=n, each=2) for n in range(3, 6)]
    second = conclude(engine, [*noise(400, 1), *crowd], 1, first.carry)
    assert not [event for event in events([first, second]) if event[2] in ("pause", "death")]


def test_a_million_ports_and_odd_bytes_are_survived() -> None:
    rng = np.random.default_rng(2)
    size = 200_000
    bits = {
        "dst": 32,
        "dst_port": 16,
        "tcp_options": 62,
        "tcp_mss": 16,
        "tcp_window": 16,
        "ttl": 8,
        "frag": 16,
    }
    bits |= {"layers": 8, "icmp_type": 8, "tcp_flags": 8, "tcp_seq": 32}
    wild = batch(
        second=rng.uniform(0, 86_399, size),
        src=rng.integers(0, 2000, size) * 65537,
        proto=rng.choice([1, 6, 17, 200], size),
        **{name: rng.integers(0, 1 << width, size) for name, width in bits.items()},
    )
    outcome = conclude(CampaignsEngine(Site()), [wild], 0)
    assert outcome.carry is not None and len(outcome.carry.to_bytes()) < 1_000_000
    assert rows(outcome) == []


def test_memory_comes_back_from_bytes_and_damage_is_an_error() -> None:
    outcomes = run(3, lambda day: [bots(60, TELNET, day)])
    memory = outcomes[-1].carry
    assert memory is not None
    data = memory.to_bytes()
    again = Memory.from_bytes(data)
    assert again.to_bytes() == data
    assert (again.campaigns[0].name, again.campaigns[0].born) == (memory.campaigns[0].name, DAY)
    follow = [conclude(CampaignsEngine(Site()), day_of(3), 3, m) for m in (memory, again)]
    assert follow[0].tables["campaigns"].equals(follow[1].tables["campaigns"])
    for broken in (data[:-1], data[:40] + b"\x01" + data[41:], b""):
        with pytest.raises(StateError):
            Memory.from_bytes(broken)


def test_a_memory_of_the_version_before_is_read_and_goes_on_under_the_same_names() -> None:
    outcomes = run(3, lambda day: [bots(60, TELNET, day)])
    memory = outcomes[-1].carry
    assert memory is not None
    arrays, scalars = unpack("campaigns", 2, memory.to_bytes())
    arrays["numbers"] = arrays["numbers"][:, :-3]
    old = pack("campaigns", 1, {k: v for k, v in arrays.items() if not k.startswith("base.")}, scalars)
    again = Memory.from_bytes(old)
    assert not again.campaigns[0].acted and again.campaigns[0].seen == -1
    follow = conclude(CampaignsEngine(Site()), [bots(60, TELNET, 3)], 3, again).tables["campaigns"]
    assert follow["campaign"].to_pylist() == [memory.campaigns[0].name]
    with pytest.raises(StateError, match="version 3"):
        Memory.from_bytes(pack("campaigns", 3, arrays, scalars))


def test_memory_is_bounded_and_counts_whom_it_forgot() -> None:
    outcomes = run(
        2,
        lambda day: [bots(20, {9000 + 7 * n: 1.0}, day, seed=10 + n, tcp_options=LONE_MSS) for n in range(6)],
        {"kept": 4},
    )
    memory = outcomes[0].carry
    assert memory is not None and len(memory.campaigns) == 4 and memory.forgotten == 2
    assert "2 campaigns were forgotten for want of room" in outcomes[0].findings[0].statement


def test_old_campaigns_go_and_rings_stay_sixty_days() -> None:
    outcome = run(1, lambda day: [bots(60, TELNET, day)])[0]
    engine = CampaignsEngine(Site())
    carry = outcome.carry
    states = []
    for day in range(1, 34):
        assert carry is not None
        carry = conclude(engine, noise(120, day), day, carry).carry
        assert carry is not None
        states.append([c.state for c in carry.campaigns])
    assert states[7] == [DEAD] and states[29] == [DEAD] and states[30] == []
    assert outcome.carry is not None and outcome.carry.campaigns[0].ring.shape == (RING, 4)


def test_findings_are_bounded_and_say_what_is_left_out() -> None:
    def of(day: int) -> list:
        return [bots(20, {9000 + 7 * n: 1.0}, day, seed=10 + n, tcp_options=LONE_MSS) for n in range(6)]

    outcome = run(1, of, {"findings": 2})[0]
    assert len(outcome.findings) == 2 and len(rows(outcome)) == 6
    assert "4 more campaigns had something to tell" in outcome.findings[0].statement


def test_of_what_is_there_on_the_first_day_ten_are_findings_and_all_are_in_the_table() -> None:
    (outcome,) = run(1, lambda day: [bots(20 + n, {9000 + 7 * n: 1.0}, day, seed=10 + n) for n in range(13)])
    told = outcome.tables["campaigns"].to_pylist()
    assert len(told) == 13 and all(row["standing"] and row["events"] == "first-day" for row in told)
    assert len(outcome.findings) == 10
    assert min(finding.attributes["sources_today"] for finding in outcome.findings) == 23  # the largest
    assert "3 more campaigns had something to tell" in outcome.findings[0].statement


def test_checks_hold_for_the_packets_of_the_campaign() -> None:
    rng = np.random.default_rng(3)
    dst = 0x0A000000 + rng.integers(0, 1 << 16, 60 * 12)
    mine = bots(60, TELNET, 0, dst=dst, tcp_seq=dst)
    outcome = conclude(CampaignsEngine(Site()), [*noise(600, 0), mine], 0)
    (finding,) = outcome.findings
    checks = [item.check for item in finding.evidence if item.check]
    relations = [check.relation for check in checks]
    assert len(relations) == 2
    # Noise asks for 23 and 2323 as well, but none of it with this header.
    noisy = sum(int(np.isin(part.column("dst_port").to_numpy(), [23, 2323]).sum()) for part in noise(600, 0))
    assert checks[0].by_chance == pytest.approx(noisy, rel=0.05) and checks[1].by_chance == 0
    names = {"ip.dst": "dst", "tcp.seq": "tcp_seq"}
    assert set(names.values()) <= set(mine.schema.names)
    columns = {name: mine.column(name).to_numpy() for name in mine.schema.names if name != "ts"}
    zero = np.zeros(mine.num_rows, np.uint16)
    columns |= {"src_port": zero, "ip_id": zero, "tcp_ack": zero.astype(np.uint32), "ip_len": zero}
    for relation in relations:
        held = evaluate(compile_program(parse(relation)), columns)
        assert int(np.asarray(held).sum()) == mine.num_rows


@pytest.mark.parametrize(
    ("name", "value"),
    [("method", "glasso"), ("least_sources", 1), ("kept", 0), ("death_days", 31), ("sources", 10)],
)
def test_settings_out_of_range_are_refused(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"darknet.campaigns.{name}"):
        CampaignsEngine(Site(settings={f"darknet.campaigns.{name}": value}))


def test_nmf_holds_what_both_windows_have() -> None:
    rng = np.random.default_rng(4)
    v = rng.random((12, 3)) @ rng.random((3, 20))
    w, h = factorise(v[:9], np.zeros((0, 3)), 3, 1)
    later, h2 = factorise(v[3:], w[3:], 3, 1)
    assert np.array_equal(later[:6], w[3:])
    assert np.abs(v[3:] - later @ h2).mean() < 0.1 * v.mean()
    assert np.abs(v[:9] - w @ h).mean() < 0.1 * v.mean()


def test_nmf_names_bases_and_keeps_them_while_their_course_stays() -> None:
    def of(day: int) -> list:
        rng = np.random.default_rng(day)
        early = bots(80, TELNET, day, each=30)
        return [early, bots(80, ROUTERS, day, 2, each=30, second=rng.uniform(40_000, 60_000, 80 * 30))]

    outcomes = run(3, of, {"method": "nmf", "bases": 2})
    assert all(row["name"].startswith("basis ") for outcome in outcomes for row in rows(outcome))
    owner = []
    for outcome in outcomes[1:]:
        members = outcome.tables["members"].to_pydict()
        by_source = dict(zip(members["src"], members["campaign"], strict=True))
        day = outcomes.index(outcome)
        names = {by_source.get(int(a)) for a in addresses(80, 2000 + day)}
        owner.append(names)
    assert owner[0] == owner[1] and len(owner[0]) == 1


def test_a_setting_of_other_bases_starts_the_published_method_anew() -> None:
    first = run(1, lambda day: [bots(60, TELNET, day)], {"method": "nmf", "bases": 4})[0]
    engine = CampaignsEngine(Site(settings={"darknet.campaigns.method": "nmf", "darknet.campaigns.bases": 6}))
    second = conclude(engine, day_of(1), 1, first.carry)
    assert second.carry is not None and second.carry.bases["w"].shape[1] == 6


def test_a_day_number_is_the_day_of_the_span() -> None:
    outcome = run(1, lambda day: [bots(60, TELNET, day)])[0]
    assert outcome.carry is not None
    assert outcome.carry.campaigns[0].ring[-1, 0] == DAY // DAY_NS
    assert replace(outcome.carry, days=5).days == 5


def test_findings_fit_the_public_schema() -> None:
    schema = json.loads(files("andon.records").joinpath("finding.schema.json").read_text())
    wild = [bots(60, TELNET, 0), group(addresses(30, 8), {5683: 1.0}, proto=17, layers=9, tcp_options=0)]
    outcomes = run(4, lambda day: wild if day == 0 else [bots(60, TELNET, day)] if day == 1 else [])
    made = [finding for outcome in outcomes for finding in outcome.findings]
    assert {event for finding in made for event in finding.attributes["events"]} >= {"first-day", "pause"}
    for finding in made:
        jsonschema.validate(json.loads(finding.to_json()), schema)
        for item in finding.evidence:
            if item.check:
                assert to_bpf(parse(item.check.relation))
