"""``count`` agrees with tshark: exactly on the real captures, by hand-checked cases on what they lack."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from build import ether, ipv4, ipv6, pcap, tcp, udp
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.observe.count import count
from andon.observe.distinct import Distinct
from andon.observe.reassemble import Reassembly


def of(*frames: bytes, link: int = 1) -> dict[str, Any]:
    return count(io.BytesIO(pcap(frames, link)))


@pytest.mark.real_data
def test_every_capture_gives_exactly_the_counts_of_tshark(andon_data: Path) -> None:
    folder = andon_data / "darknet-data"
    expected = json.loads((folder / "expected.json").read_text())
    compared = 0
    for name, numbers in expected.items():
        if "tshark_error" in numbers:
            continue
        counted = count(folder / name)
        wanted = {key: n for key, n in numbers.items() if key not in {"bytes", "sha256", "encap"}}
        assert {key: counted[key] for key in wanted} == wanted, name
        compared += 1
    assert compared == len(expected) - 1


@pytest.mark.real_data
def test_edsa_which_tshark_cannot_read_is_read(andon_data: Path) -> None:
    counted = count(andon_data / "darknet-data" / "formats" / "tcpdump_edsa.pcap")
    assert (counted["packets"], counted["ipv4"], counted["skipped"]) == (10, 6, {"arp": 4})


INNER = ipv4(tcp(80, flags=0x12), src=0x0A010101, dst=0x0A020202)
VXLAN = udp(4789, bytes.fromhex("0800000000000500") + ether(INNER))


@pytest.mark.parametrize(
    ("packet", "layers"),
    [
        (ipv4(VXLAN, 17), {"udp", "synack"}),
        (ipv4(bytes.fromhex("00000800") + INNER, 47), {"synack"}),
        (ipv4(bytes.fromhex("20006558000000aa") + ether(INNER), 47), {"synack"}),
        (ipv4(bytes.fromhex("100088be00000001 1001000a00000000") + ether(INNER), 47), {"synack"}),
        (ipv4(INNER, 4), {"synack"}),
        (ipv4(udp(6081, bytes.fromhex("0000655800000500") + ether(INNER)), 17), {"udp", "synack"}),
        (ipv4(udp(2152, bytes.fromhex("30ff003000000001") + INNER), 17), {"udp", "synack"}),
        (ipv4(udp(1701, bytes.fromhex("000200010002ff030021") + INNER), 17), {"udp", "synack"}),
        (ipv4(ipv6(tcp(80, flags=0x12)), 41), {"synack", "ipv6"}),
        (ipv4(udp(3544, ipv6(tcp(80, flags=0x12))), 17), {"udp", "synack", "ipv6"}),
        (ipv4(bytes.fromhex("0604000000000001") + bytes(16) + tcp(80, flags=0x12), 51), {"synack"}),
    ],
)
def test_tunnels_are_looked_into(packet: bytes, layers: set[str]) -> None:
    counted = of(ether(packet))
    present = {key for key in ("udp", "icmp", "ipv6", "synack", "syn_only", "rst") if counted[key]}
    assert present == layers
    assert counted["tcp"] == counted["ipv4"] == 1


def test_the_outer_addresses_count_as_the_packets_own() -> None:
    counted = of(ether(ipv4(INNER, 4)), ether(ipv4(VXLAN, 17)), ether(INNER))
    assert (counted["unique_src_v4"], counted["unique_dst_v4"]) == (2, 2)


def test_a_quoted_header_is_tcp_but_no_syn() -> None:
    quote = bytes.fromhex("0301000000000000") + ipv4(tcp())
    counted = of(ether(ipv4(quote, 1)))
    assert (counted["icmp"], counted["tcp"], counted["syn_only"]) == (1, 1, 0)
    # Eight quoted bytes are the ports and the sequence number; there are no flags to see.
    short = of(ether(ipv4(quote[: 8 + 20 + 8], 1)))
    assert (short["icmp"], short["tcp"]) == (1, 0)


def test_fingerprints_are_counted_over_syns() -> None:
    dst = 0xCB007109
    mirai = ipv4(tcp(seq=dst), dst=dst)
    zmap = ipv4(tcp(), ident=54321)
    masscan = ipv4(tcp(23, seq=0x11223344), dst=dst, ident=(dst ^ 23 ^ 0x11223344) & 0xFFFF)
    answer = ipv4(tcp(flags=0x12), ident=54321)
    ecn = ipv4(tcp(flags=0xC2), ident=54321)
    counted = of(*map(ether, (mirai, zmap, masscan, answer, ecn)))
    assert (counted["fp_mirai"], counted["fp_zmap"], counted["fp_masscan"]) == (1, 2, 1)
    assert (counted["syn_only"], counted["synack"]) == (4, 1)


def test_tags_count_as_vlan_but_a_service_tag_alone_does_not() -> None:
    counted = of(ether(ipv4(tcp()), tags=[(0x8100, 5)]), ether(ipv4(tcp()), tags=[(0x88A8, 5)]))
    assert (counted["vlan"], counted["tcp"]) == (1, 2)


def fragment(offset: int, more: bool, piece: bytes, ident: int = 1) -> bytes:
    head = struct.pack(">BBHI", 17, 0, offset | more, ident)
    return ether(ipv6(head + piece, 44), 0x86DD)


@given(st.permutations(range(4)))
@settings(max_examples=24, deadline=None)
def test_ipv6_fragments_show_their_layers_in_the_packet_that_completes_them(order: list[int]) -> None:
    whole = udp(53, bytes(40))
    pieces = [fragment(at, at + 16 < len(whole), whole[at : at + 16]) for at in range(0, len(whole), 16)]
    counted = of(*(pieces[i] for i in order if i < len(pieces)))
    assert counted["udp"] == 1
    assert of(*pieces[:-1])["udp"] == 0


def test_reassembly_holds_a_bounded_number_of_bytes() -> None:
    waiting = Reassembly()
    for i in range(20_000):
        assert waiting.add(i.to_bytes(36, "big"), 17, 0, True, bytes(1400)) is None
    assert waiting.given_up > 0
    assert waiting._held <= 16 << 20


@given(st.lists(st.integers(0, 2**32 - 1), max_size=300), st.integers(1, 5))
@settings(deadline=None)
def test_distinct_is_the_size_of_the_set(addresses: list[int], times: int) -> None:
    seen = Distinct()
    for _ in range(times):
        seen.add(np.array(addresses, dtype=np.int64))
    assert (seen.count, seen.exact) == (len(set(addresses)), True)


def test_distinct_beyond_its_limit_estimates_within_five_standard_errors() -> None:
    seen = Distinct(limit=1 << 14)
    true = 3_000_000
    for start in range(0, true, 100_000):
        seen.add(np.arange(start, start + 100_000, dtype=np.int64) * 1000 + 7)
    assert not seen.exact
    assert abs(seen.count - true) < 5 * 1.2 / (1 << 7) * true


def test_skipped_names_what_held_no_ip() -> None:
    counted = of(ether(b"", 0x0806), ether(ipv4(tcp())), b"x")
    assert counted["skipped"] == {"arp": 1, "short frame": 1}
    assert counted["packets"] == 3


def test_times_are_those_of_the_first_and_last_packet_in_the_file() -> None:
    counted = of(b"a", b"b", b"c")
    assert (counted["first_ts"], counted["last_ts"]) == ("1600000000.000005000", "1600000002.000005000")
    assert of()["first_ts"] is None
