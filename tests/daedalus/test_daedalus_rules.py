"""Which packets raise which alert: scans, answers to forged packets, mistakes; IPv4 and IPv6; the tool's name."""

from __future__ import annotations

import json
from importlib.resources import files
from ipaddress import ip_network

import jsonschema
import numpy as np
import pyarrow as pa
import pytest
from daedalus_traffic import (
    DARK,
    HOUR,
    INSIDE_DARK,
    SECOND,
    SITE,
    START,
    Live,
    dark,
    mirai,
    packets,
    told,
    v4,
    v6,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.detect.darknet.daedalus import Daedalus, engine
from andon.detect.darknet.daedalus.members import Members
from andon.detect.darknet.fingerprint.tables import FAMILIES, SOURCES
from andon.records import packet
from andon.records.contract import Organisation, Site
from andon.records.finding import fingerprint_name
from spent import spent

HOST = v4("198.18.3.7")
T = START + 5 * SECOND
SYN_ACK, RST = packet.SYN | packet.ACK, packet.RST | packet.ACK
UDP = {"proto": 17, "layers": packet.IPV4 | packet.UDP, "tcp_flags": 0, "tcp_seq": 0}


def times(n: int, apart: int = SECOND // 10) -> np.ndarray:
    return T + np.arange(n) * apart


def test_a_mirai_bot_is_named_by_its_first_packet() -> None:
    (finding,) = Live().run(mirai(T, HOST, dark(1)[0]))
    assert told([finding]) == [("198.18.3.7", "outbound-scan", "new")]
    assert [tool["name"] for tool in finding.attributes["tools"]] == ["mirai"]
    assert "Telnet" in finding.attributes["advice"]
    assert finding.severity == "high"
    schema = json.loads(files("andon.records").joinpath("finding.schema.json").read_text())
    jsonschema.validate(json.loads(finding.to_json()), schema)


def test_sixteen_bits_need_two_addresses_to_name_a_tool() -> None:
    def masscan(n: int) -> pa.RecordBatch:
        dst, seq = dark(n), np.arange(n) * 77_777
        return packets(times(n), HOST, dst, tcp_seq=seq, ip_id=(dst ^ 23 ^ seq) & 0xFFFF)

    assert Live().run(masscan(1))[0].attributes["tools"] == []
    assert Live().run(masscan(2))[0].attributes["tools"][0]["name"] == "masscan"


def test_retries_to_one_address_prove_no_tool() -> None:
    once = dark(1)[0]
    retries = packets(times(3), HOST, once, tcp_seq=5, ip_id=(once ^ 23 ^ 5) & 0xFFFF)
    assert Live().run(retries)[0].attributes["tools"] == []


def test_an_address_inside_the_own_prefix_is_an_internal_scan() -> None:
    (finding,) = Live().run(packets(times(5), HOST, INSIDE_DARK + np.arange(5)))
    assert told([finding]) == [("198.18.3.7", "internal-scan", "new")]
    assert finding.attributes["darknet"] == {"inside": True, "addresses": 5, "estimated": False}
    assert finding.attack == ("T1046",)


def test_the_darknet_of_another_member_is_outside() -> None:
    (finding,) = Live().run(packets(times(5), v4("192.0.2.3"), INSIDE_DARK + np.arange(5)))
    assert finding.attributes["alert_kind"] == "outbound-scan"
    assert finding.attributes["organisation"] == "City"


@pytest.mark.parametrize(
    "fields",
    [
        {"tcp_flags": SYN_ACK, "src_port": 443},
        {"tcp_flags": RST, "src_port": 80},
        {**UDP, "src_port": 53, "dst_port": 4444},
        {"proto": 1, "layers": packet.IPV4 | packet.ICMP, "icmp_type": 3, "src_port": 0, "dst_port": 0},
    ],
)
def test_answers_to_nobody_are_backscatter(fields: dict[str, int]) -> None:
    (finding,) = Live().run(packets(times(6), HOST, dark(6), **fields))
    assert told([finding]) == [("198.18.3.7", "backscatter", "new")]
    assert finding.attack == ("T1498",)


def test_answers_of_a_scanner_are_not_backscatter() -> None:
    live = Live()
    found = live.run(
        packets(times(4), HOST, dark(4)), packets(times(4), HOST, dark(4), tcp_flags=RST, src_port=9)
    )
    found += live.run(packets(T + 60 * SECOND, HOST, dark(1)[0], tcp_flags=SYN_ACK))
    assert told(found) == [("198.18.3.7", "outbound-scan", "new")]


@pytest.mark.parametrize("port", [53, 123, 514, 137, 1900])
def test_one_wrong_server_address_is_a_misconfiguration(port: int) -> None:
    (finding,) = Live().run(packets(times(2), HOST, dark(1)[0], **UDP, dst_port=port))
    assert told([finding]) == [("198.18.3.7", "misconfiguration", "new")]
    assert finding.severity == "low"


def test_the_same_ports_asked_for_everywhere_are_a_scan() -> None:
    (finding,) = Live().run(packets(times(5), HOST, dark(5), **UDP, dst_port=53))
    assert finding.attributes["alert_kind"] == "outbound-scan"


def test_retries_turn_a_first_guess_into_a_misconfiguration_under_the_same_key() -> None:
    live = Live()
    once = dark(1)[0]
    first = live.run(packets(T, HOST, once, dst_port=8081))
    later = live.run(
        packets(T + np.array([3, 9, 20]) * SECOND, HOST, once, dst_port=8081), until=T + 2 * HOUR
    )
    assert told([*first, *later]) == [
        ("198.18.3.7", "outbound-scan", "new"),
        ("198.18.3.7", "misconfiguration", "continued"),
    ]
    assert first[0].series == later[0].series


def test_a_misconfigured_host_that_begins_to_scan_is_told_at_once() -> None:
    live = Live()
    live.run(packets(times(3), HOST, dark(1)[0], **UDP, dst_port=53))
    found = live.run(packets(times(8) + 60 * SECOND, HOST, dark(8, 1)))
    assert told(found) == [("198.18.3.7", "outbound-scan", "new")]


def test_a_second_malware_on_the_same_host_is_told_by_its_port() -> None:
    live = Live()
    live.run(packets(times(5), HOST, dark(5)))
    other = packets(times(60) + 60 * SECOND, HOST, dark(60, 1), dst_port=445)
    found = live.run(other)
    assert [f.attributes["dedup_key"].split("|")[-1] for f in found] == ["tcp/445"]
    # A sweep over many ports is one alert, not one per port.
    swept = live.run(packets(times(3000) + 90 * SECOND, HOST, dark(3000, 2), dst_port=1000 + np.arange(3000)))
    assert swept == []


def test_ipv6_sources_and_dark_addresses() -> None:
    source = v6("2001:db8:1::5")
    inside = [v6(f"2001:db8:dead::{n:x}") for n in range(1, 6)]
    (finding,) = Live().run(packets(times(5), source, inside))
    assert told([finding]) == [("2001:db8:1::5", "internal-scan", "new")]
    assert finding.subject[0] == "ipv6-addr"
    assert finding.attributes["darknet"]["addresses"] == 5


def test_neighbour_discovery_and_live_destinations_raise_nothing() -> None:
    live = Live()
    discovery = packets(
        times(3), v6("2001:db8:1::5"), v6("2001:db8:dead::1"), proto=58,
        layers=packet.IPV6 | packet.ICMP6, icmp_type=135,
    )  # fmt: skip
    assert live.run(discovery, packets(times(3), HOST, v4("198.18.200.1"))) == []


def test_the_most_specific_prefix_wins_and_a_prefix_given_twice_is_an_error() -> None:
    lab = Organisation("Lab", ("198.18.3.0/24", "2001:db8:1::/48"))
    members = Members([*SITE.organisations, lab])
    assert [members.owner(a) for a in ("198.18.3.7", "198.18.4.1", "2001:db8:1::5", "2001:db8:2::5")] == [
        "Lab",
        "Uni",
        "Lab",
        "Uni",
    ]
    with pytest.raises(ValueError, match=r"198\.18\.0\.0/16 is registered twice: by Uni and by Twin"):
        Members([*SITE.organisations, Organisation("Twin", ("198.18.0.0/16",))])
    with pytest.raises(ValueError, match=r"Lab: prefix '198\.18\.3\.1/24'"):
        Members([Organisation("Lab", ("198.18.3.1/24",))])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32), st.integers(0, 3)), min_size=1, max_size=12
    ),
    st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=20),
)
def test_the_owner_is_that_of_the_longest_prefix(
    prefixes: list[tuple[int, int, int]], asked: list[int]
) -> None:
    networks = {ip_network((base >> (32 - n) << (32 - n), n)): f"o{k}" for base, n, k in prefixes}
    organisations = [
        Organisation(name, tuple(str(net) for net, of in networks.items() if of == name))
        for name in sorted(set(networks.values()))
    ]
    members = Members(organisations)
    edges = [int(net[at]) for net in networks for at in (0, -1)]
    for address in [*asked, *edges]:
        hits = [net for net in networks if address in range(int(net[0]), int(net[-1]) + 1)]
        expected = networks[max(hits, key=lambda net: net.prefixlen)] if hits else None
        assert members.owner(str(ip_network(address).network_address)) == expected


def _unknown_family(relation: str, source: int) -> dict[str, pa.Table]:
    row = {
        "relation": relation, "kind": "scanner-fingerprint", "scope": "global", "layer": "x", "bits": 32.0,
        "sources": 9, "packets": 99, "chance_packets": 0.0, "precision": 1.0, "precision_low": 1.0,
        "precision_high": 1.0, "first": T,
        "last": T, "born": T, "spans": 1, "known_as": "", "spoofed": False,
    }  # fmt: skip
    of = {"src": source, "relation": relation, "packets": 9, "hits": 9, "looked_at": 9, "key": -1}
    return {
        "darknet.fingerprint:families@last": pa.Table.from_pylist([row], schema=FAMILIES),
        "darknet.fingerprint:sources@last": pa.Table.from_pylist([of], schema=SOURCES),
    }


def test_a_family_without_a_name_is_unknown_under_the_name_of_its_card() -> None:
    relation = "tcp.seq == ip.dst ^ 0xdeadbeef"
    name = fingerprint_name(relation)
    tables = _unknown_family(relation, v4("198.18.9.9"))
    bot = packets(T, HOST, dark(1)[0], tcp_seq=dark(1)[0] ^ 0xDEADBEEF)
    listed = packets(T, v4("198.18.9.9"), dark(1)[0])  # was in the family yesterday
    found = Live(tables=tables).run(bot, listed)
    assert [f.attributes["tools"][0]["title"] for f in found] == [f"unknown family {name}"] * 2
    assert "deadbeef" not in "".join(f.to_json() for f in found)


def test_what_darknet_tools_said_yesterday_is_told() -> None:
    schema = pa.schema([("src", pa.uint32()), ("tool", pa.string())])
    tables = {
        "darknet.tools:sources@last": pa.Table.from_pylist([{"src": HOST, "tool": "zmap"}], schema=schema)
    }
    (finding,) = Live(tables=tables).run(packets(T, HOST, dark(1)[0]))
    assert finding.attributes["tools"] == [{"name": "zmap", "by": "darknet.tools"}]


@pytest.mark.parametrize(
    ("site", "message"),
    [
        (Site(relations={"x": "tcp.seq == key32"}), "relation of x: one packet cannot show"),
        (Site(relations={"x": "nonsense"}), "relation of x"),
        (Site(organisations=(Organisation("", ("192.0.2.0/24",)),)), "needs a name"),
        (Site(telescope=("banana",)), "telescope prefix 'banana'"),
        (Site(settings={"darknet.daedalus.alerts": 0}), "darknet.daedalus.alerts is 0"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_name(site: Site, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Daedalus(site)


def test_without_organisations_nothing_is_done() -> None:
    live = Live(Site(telescope=DARK))
    assert live.run(mirai(T, HOST, dark(1)[0])) == []
    assert engine(Site(telescope=DARK)) is None


def test_packets_of_nobody_cost_next_to_nothing() -> None:
    ours = Daedalus(SITE)
    rng = np.random.default_rng(3)
    rows = 1 << 16
    batch = packets(np.full(rows, T), rng.integers(1 << 24, 0xC0000000, rows), dark(1)[0]).select(
        list(ours.columns)
    )
    summary = ours.summarise(batch, ours.empty())
    best = float("inf")
    for _ in range(5):
        with spent() as cost:
            for _ in range(40):
                ours.summarise(batch, summary)
        best = min(best, cost.seconds / 40 / rows)
    assert best < 10e-9  # CPU seconds a packet
    assert summary.nbytes == 0
