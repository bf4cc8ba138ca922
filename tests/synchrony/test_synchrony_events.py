"""Events that must be told, and what looks like one and is none."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from synchrony_traffic import DARK, MINUTE, SPAN, START, Run, Telescope, dark, planted, strangers

from andon.records import packet
from andon.records.contract import Site
from andon.records.expression import parse

LEARN = 24  # spans of background before something happens


def test_a_wake_up_on_a_quiet_port_is_one_finding_with_a_check() -> None:
    telescope = Telescope(1)
    bots = strangers(telescope.rng, 40)
    wake = planted(telescope.rng, bots, LEARN * 10 + 2, 4, dst_port=37777)
    run = Run().play(telescope, range(LEARN + 3), wake)
    (finding,) = run.findings()
    assert finding.kind == "coordinated-activity" and finding.subject == ("port-set", "37777/tcp")
    assert finding.window[0] == START + LEARN * SPAN, "told at the end of the span in which they woke"
    assert abs(finding.first_seen - (START + LEARN * SPAN + 2 * MINUTE)) <= 2 * MINUTE
    body = json.loads(finding.to_json())["attributes"]
    assert body["event"] == "start" and body["state"] == "new" and body["sources"] >= 35
    assert body["ports"][0]["new_sources"] >= 15 and body["ports"][0]["expected_new_sources"] < 0.1
    assert finding.count >= 35 and finding.entities[0].packets >= finding.entities[-1].packets
    assert len(body["not"]) == 5 and body["log10_e_value"] > 6
    check = finding.evidence[0].check
    assert check is not None and parse(check.relation) and check.by_chance < 1
    assert {e.value for e in finding.entities} <= {str(pa_ip(b)) for b in bots}
    activity = run.outcomes[LEARN].tables["activity"].to_pylist()
    assert activity and activity[-1]["new_sources"] >= 35


def pa_ip(address: int) -> str:
    return ".".join(str(int(address) >> shift & 255) for shift in (24, 16, 8, 0))


def test_a_small_botnet_inside_a_busy_port_and_a_wake_up_over_udp() -> None:
    telescope = Telescope(2)
    rng = telescope.rng
    busy = planted(rng, strangers(rng, 120), LEARN * 10, 9, dst_port=23, tcp_seq=7)
    udp = planted(
        rng, strangers(rng, 30), LEARN * 10 + 10, 9, dst_port=5555, src_port=50000, proto=packet.PROTO_UDP,
        layers=packet.IPV4 | packet.UDP, tcp_flags=0,
    )  # fmt: skip
    run = Run().play(telescope, range(LEARN + 2), busy, udp)
    assert {(r["port"], r["protocol"]) for r in run.alerted("start")} == {(23, 6), (5555, 17)}


def test_ports_with_the_same_sources_are_one_series_and_repeats_are_revisions() -> None:
    telescope = Telescope(3)
    rng = telescope.rng
    bots = strangers(rng, 60)
    first = [planted(rng, bots, LEARN * 10, 9, dst_port=p) for p in (31000, 32000)]
    second = planted(rng, strangers(rng, 200), LEARN * 10 + 30, 9, dst_port=31000)
    run = Run().play(telescope, range(LEARN + 5), *first, second)
    findings = run.findings()
    assert len({f.series for f in findings}) == 1
    assert [f.revision for f in findings] == [1, 2]
    assert findings[0].subject == ("port-set", "31000/tcp,32000/tcp")
    assert findings[1].attributes["state"] == "continued"
    assert len({f.id for f in findings}) == 2


def test_known_bots_that_turn_to_a_new_port_are_told() -> None:
    telescope = Telescope(4)
    rng = telescope.rng
    bots = strangers(rng, 50)
    always = [planted(rng, bots, 10 * n, 9, each=1, dst_port=23) for n in range(LEARN + 2)]
    turned = planted(rng, bots, LEARN * 10, 9, dst_port=26)
    run = Run().play(telescope, range(LEARN + 2), *always, turned)
    assert {r["port"] for r in run.alerted("start")} == {26}


def test_a_stop_is_told_and_names_who_fell_silent() -> None:
    telescope = Telescope(5)
    rng = telescope.rng
    bots = strangers(rng, 60)
    before = [planted(rng, bots, 10 * n, 9, each=1, dst_port=9530) for n in range(LEARN)]
    run = Run().play(telescope, range(LEARN + 3), *before)
    rows = run.alerted("stop")
    assert {r["port"] for r in rows} == {9530}
    told = (
        run.outcomes[LEARN]
        .tables["alerts"]
        .filter(pc.equal(run.outcomes[LEARN].tables["alerts"]["direction"], "stop"))
    )
    assert told["begins"].cast("int64").to_pylist() == [START + LEARN * SPAN], (
        "in the first span without them"
    )
    (finding,) = (f for f in run.findings() if f.attributes["event"] == "stop")
    assert 50 <= len(finding.entities) <= 60 and finding.attack == ()


def test_a_slow_worm_adds_up_over_the_hours() -> None:
    telescope = Telescope(6)
    rng = telescope.rng
    worm = planted(rng, strangers(rng, 60), LEARN * 10, 360, dst_port=9999)
    run = Run().play(telescope, range(LEARN + 36), worm)
    assert {r["port"] for r in run.alerted("start")} == {9999}


def test_an_hour_with_a_wake_up_in_the_middle_is_enough() -> None:
    telescope = Telescope(7)
    wake = planted(telescope.rng, strangers(telescope.rng, 40), 31, 5, dst_port=37777)
    run = Run().play(telescope, range(6), wake)
    (finding,) = run.findings()
    assert (
        finding.subject[1] == "37777/tcp"
        and "spans of ten minutes of this capture alone" in finding.statement
    )


def test_mirai_is_named_from_the_span_itself() -> None:
    telescope = Telescope(8)
    rng = telescope.rng
    dst = dark(rng, 80)
    wake = planted(rng, strangers(rng, 40), LEARN * 10, 5, dst_port=37777, dst=dst, tcp_seq=dst)
    finding = Run().play(telescope, range(LEARN + 1), wake).findings()[0]
    assert finding.attributes["fingerprint"] == {"name": "tcp.seq == ip.dst", "share": 1.0}


def decoys(kind: str, rng: np.random.Generator) -> list[pa.RecordBatch]:
    begin = LEARN * 10 + 1
    icmp = packet.IPV4 | packet.ICMP
    if kind == "survey in step":  # three /24, every address, one new port
        nets = np.concatenate([net * 256 + np.arange(1, 61) for net in rng.integers(0x010000, 0xC00000, 3)])
        return [planted(rng, nets, begin, 4, each=8, dst_port=p) for p in (40001, 40002)]
    if kind == "syn-ack":
        return [
            planted(
                rng,
                strangers(rng, 300),
                begin,
                30,
                src_port=80,
                dst_port=51000,
                tcp_flags=packet.SYN | packet.ACK,
            )
        ]
    if kind == "rst":
        return [planted(rng, strangers(rng, 300), begin, 30, dst_port=51000, tcp_flags=packet.RST)]
    if kind == "udp answers":
        return [
            planted(
                rng, strangers(rng, 300), begin, 30, src_port=53, dst_port=51000, proto=packet.PROTO_UDP, tcp_flags=0,
                layers=packet.IPV4 | packet.UDP,
            )
        ]  # fmt: skip
    if kind == "icmp errors":
        return [
            planted(
                rng, strangers(rng, 300), begin, 30, dst_port=0, src_port=0, proto=packet.PROTO_ICMP, tcp_flags=0,
                layers=icmp, icmp_type=3,
            )
        ]  # fmt: skip
    if kind == "forged flood on one address":
        return [planted(rng, strangers(rng, 3000), begin, 5, dst_port=8081, dst=DARK + 9, each=1)]
    if kind == "single loud host":
        return [planted(rng, np.repeat(strangers(rng, 1), 20_000), begin, 20, each=1, dst_port=8081)]
    if kind == "vertical scanner":
        return [
            planted(
                rng,
                np.repeat(strangers(rng, 1), 5000),
                begin,
                20,
                each=1,
                dst_port=rng.integers(1, 65536, 5000),
            )
        ]
    raise AssertionError(kind)


@pytest.mark.parametrize(
    "kind",
    ["survey in step", "syn-ack", "rst", "udp answers", "icmp errors", "forged flood on one address",
     "single loud host", "vertical scanner"],
)  # fmt: skip
def test_decoys_raise_nothing(kind: str) -> None:
    telescope = Telescope(9)
    run = Run().play(telescope, range(LEARN + 5), *decoys(kind, telescope.rng))
    assert run.alerted() == []


def test_a_survey_on_a_list_and_one_that_darknet_purpose_names_are_left_out() -> None:
    telescope = Telescope(10)
    rng = telescope.rng
    listed = (0x55000000 + rng.choice(1 << 16, 40, replace=False)).astype(np.int64)
    named = strangers(rng, 40)
    wake = [
        planted(rng, listed, LEARN * 10, 5, dst_port=40001),
        planted(rng, named, LEARN * 10, 5, dst_port=40002),
    ]
    site = Site(lists={"own": pa.table({"cidr": ["85.0.0.0/16", "no prefix"], "organisation": ["A", "B"]})})
    purposes = {
        "darknet.purpose:sources@last": pa.table(
            {"src": pa.array(named, pa.uint32()), "purpose": ["survey"] * 40}
        )
    }
    run = Run(site)
    for n in range(LEARN + 2):
        run.span(n, telescope.span(n), *wake, tables=purposes)
    assert run.alerted() == []


@pytest.mark.parametrize("rates", [(0.0, 1.0), (0.05, 1.0), (0.4, 1.0), (2.0, 1.0)])
def test_a_failing_sensor_and_its_return_are_no_event(rates: tuple[float, float]) -> None:
    telescope = Telescope(11)
    run = Run().play(telescope, range(LEARN))
    for n in range(LEARN, LEARN + 3):
        run.span(n, telescope.span(n, rates[0]))
    run.span(LEARN + 3, telescope.span(LEARN + 3, minutes=(7.0, 10.0)))
    run.play(telescope, range(LEARN + 4, LEARN + 10))
    assert run.alerted() == []


def test_others_that_alerted_too_are_named_with_their_time() -> None:
    telescope = Telescope(12)
    wake = planted(telescope.rng, strangers(telescope.rng, 40), LEARN * 10, 5, dst_port=37777)
    run = Run().play(telescope, range(LEARN + 1), wake)
    theirs = run.outcomes[-1].tables["alerts"]
    more = planted(telescope.rng, strangers(telescope.rng, 30), LEARN * 10 + 10, 5, dst_port=37777)
    run.span(LEARN + 1, telescope.span(LEARN + 1), more, tables={"darknet.nmf:alerts@last": theirs})
    last = run.findings()[-1]
    assert list(last.attributes["agree"]) == ["darknet.nmf"] and last.revision == 2
    assert "darknet.nmf alerted too" in last.statement
