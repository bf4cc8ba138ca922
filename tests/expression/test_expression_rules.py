"""Suricata and Zeek text against golden files (the engines themselves are not run here)."""

from __future__ import annotations

from pathlib import Path

import pytest

from andon.records.expression import NotExpressible, parse, to_suricata, to_zeek

GOLDEN = Path(__file__).parent / "golden"

RULES = {
    "zmap": "ip.id == 54321 and tcp.flags == 2",
    "masscan_constants": "ip.ttl == 255 and tcp.window == 1024 and tcp.dstport != 443",
    "masscan": "ip.id == (ip.dst ^ tcp.dstport ^ tcp.seq) & 0xffff",
    "mirai": "tcp.seq == ip.dst",
    "land": "ip.src == ip.dst and ip.len == 40",
    "arithmetic": "tcp.seq == rotl32(ip.dst, 7) - (bswap32(tcp.ack) * 0x01000193) or bswap16(udp.srcport) == 5",
    "null_scan": "tcp.flags == 0 and tcp.seq == 0 and tcp.ack == 0 and ip.dst == 192.0.2.7",
    "not_from": "ip.src != 192.0.2.1 and udp.dstport == 53",
}


@pytest.mark.parametrize("name", RULES)
def test_zeek_text_is_the_golden_one(name):
    assert to_zeek(parse(RULES[name])) == (GOLDEN / f"{name}.zeek").read_text()


@pytest.mark.parametrize("name", [name for name in RULES if (GOLDEN / f"{name}.rules").exists()])
def test_suricata_text_is_the_golden_one(name):
    assert to_suricata(parse(RULES[name]), 1000001, name) + "\n" == (GOLDEN / f"{name}.rules").read_text()


def test_five_of_the_rules_have_suricata_text():
    assert len(list(GOLDEN.glob("*.rules"))) == 5


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("tcp.seq == ip.dst", "constant only"),
        ("ip.id == lo16(ip.dst ^ tcp.dstport ^ tcp.seq)", "constant only"),
        ("tcp.flags & 0x3f == 2", "constant only"),
        ("ip.id == 5 or ip.ttl == 5", "'or'"),
        ("ip.id != 5", "negation"),
        ("tcp.window == 5 and tcp.window != 6", "one condition on tcp.window"),
        ("tcp.seq == key32 ^ ip.dst", "constant only"),
        ("tcp.seq == 3 and udp.srcport == 3", "TCP or about UDP"),
    ],
)
def test_suricata_refuses_what_a_rule_cannot_say_exactly(text, reason):
    with pytest.raises(NotExpressible, match=reason):
        to_suricata(parse(text), 1, "x")


def test_zeek_refuses_keys_and_shifts_by_a_field():
    for text in ("tcp.seq == key32 ^ ip.dst", "tcp.seq == ip.dst << ip.ttl"):
        with pytest.raises(NotExpressible):
            to_zeek(parse(text))


def test_a_rule_message_cannot_end_the_rule():
    for msg in ('x"; sid:1;', "a;b", "line\nbreak", ""):
        with pytest.raises(ValueError, match="msg"):
            to_suricata(parse("ip.id == 5"), 1, msg)
