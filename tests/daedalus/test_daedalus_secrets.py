"""No dark address gets out, in no spelling, neither in a finding nor in a message."""

from __future__ import annotations

import json
from ipaddress import IPv6Address, ip_address

import numpy as np
import pytest
from daedalus_traffic import (
    FIRST_DARK,
    HOUR,
    INSIDE_DARK,
    SECOND,
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

from andon.records import packet
from andon.records.finding import Finding
from andon.share.daedalus import LANGUAGES, alert_message, digest_message

HOST = v4("198.18.3.7")
T = START + 5 * SECOND


def swapped(address: int) -> int:
    return int.from_bytes(address.to_bytes(4, "big"), "little")


def spellings(address: int) -> list[str]:
    """IPv4 in every way that a header field or a careless print could show it."""
    low = address & 0xFFFF
    found = [str(ip_address(address)), f"{address:x}", f"{address:#x}", f"{address:o}", str(address)]
    found += [str(swapped(address)), f"{swapped(address):08x}", str(ip_address(swapped(address)))]
    found += [".".join(str(ip_address(address)).split(".")[:3]) + "."]
    found += ["-".join(str(ip_address(address)).split("."))]
    return found + [f'"src_port": {half},' for half in (low, address >> 16, swapped(low) >> 16)]


def everything(found: list[Finding]) -> str:
    """Whatever leaves: findings, and messages in all languages."""
    parts = []
    for finding in found:
        parts += [finding.to_json(), str([(e.value, e.packets) for e in finding.entities])]
        for language in LANGUAGES:
            message = alert_message(finding, language)
            parts += [message.subject, message.text, message.json]
    for name in {f.attributes["organisation"] for f in found}:
        message = digest_message([f for f in found if f.attributes["organisation"] == name], name)
        parts += [message.subject, message.text, message.json]
    return "\n".join(parts).lower()


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(0, 4095), min_size=1, max_size=8, unique=True),
    st.booleans(),
    st.sampled_from([packet.SYN, packet.SYN | packet.ACK, packet.RST, packet.ACK]),
    st.sampled_from([6, 17, 1]),
    st.sampled_from(["plain", "swapped", "high", "low"]),
)
def test_no_dark_address_in_any_spelling(
    places: list[int], inside: bool, flags: int, proto: int, how: str
) -> None:
    base = INSIDE_DARK if inside else FIRST_DARK
    dst = np.array([base + (place % 2048 if inside else place) for place in places])
    shown = {
        "plain": dst,
        "swapped": np.array([swapped(int(d)) for d in dst]),
        "high": dst >> 16,
        "low": dst,
    }[how]
    layers = packet.IPV4 | {6: packet.TCP, 17: packet.UDP, 1: packet.ICMP}[proto]
    # Every field that a sender chooses freely is made from the destination.
    batch = packets(
        T + np.arange(len(dst)) * SECOND // 2, HOST, dst, tcp_flags=flags, proto=proto, layers=layers, tcp_seq=shown,
        tcp_ack=shown, ip_id=shown & 0xFFFF, tcp_window=shown & 0xFFFF, src_port=shown & 0xFFFF,
        dst_port=0 if proto == 1 else 23,
    )  # fmt: skip
    live = Live()
    found = live.run(batch)
    found += live.run(packets(T + 60 * SECOND, HOST, dst), until=T + 100 * HOUR)
    assert len(found) >= 3
    text = everything(found)
    for address in dst.tolist():
        for spelling in spellings(address):
            assert spelling.lower() not in text, spelling
    assert str(ip_address(HOST)) in text


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, (1 << 80) - 1), min_size=1, max_size=6, unique=True))
def test_no_dark_ipv6_address_either(places: list[int]) -> None:
    base = int(IPv6Address("2001:db8:dead::"))
    dst = [(base + place).to_bytes(16, "big") for place in places]
    live = Live()
    found = live.run(packets(T + np.arange(len(dst)), v6("2001:db8:1::5"), dst), until=T + 100 * HOUR)
    text = everything(found)
    assert "2001:db8:1::5" in text
    assert "dead" not in text
    for address in dst:
        assert address.hex() not in text
        assert str(int.from_bytes(address, "big")) not in text


def test_a_dark_address_as_a_forged_sender_is_told_to_nobody() -> None:
    live = Live()
    sources = np.array([HOST, INSIDE_DARK + 3, INSIDE_DARK + 99, HOST])
    summary = live.engine.empty()
    batch = packets(T + np.arange(4), sources, dark(4)).select(list(live.engine.columns))
    summary = live.engine.summarise(batch, summary)
    assert summary.passed_over.tolist() == [0, 0, 2]
    six = packets(T, v6("2001:db8:dead::77"), v6("2001:db8:dead::1"))
    found = live.run(packets(T + np.arange(4), sources, dark(4)), six, until=T + 100 * HOUR)
    assert {f.subject[1] for f in found} == {"198.18.3.7"}


def test_the_check_names_the_own_address_only_and_stays_with_the_operator() -> None:
    (finding,) = Live().run(mirai(T, HOST, dark(1)[0]))
    (check,) = [item.check for item in finding.evidence if item.check]
    assert check.relation == f"ip.src == {HOST:#010x}"
    assert check.tool == "duckdb"  # the runner would add the telescope's prefixes to a tcpdump filter
    body = json.loads(alert_message(finding).json)
    assert "evidence" not in body and "check" not in json.dumps(body)


def test_messages_are_for_people_in_both_languages() -> None:
    live = Live()
    found = live.run(mirai(T + np.arange(4) * SECOND, HOST, dark(4)), until=T + 80 * HOUR)
    english = alert_message(found[0])
    assert english.subject == "[DAEDALUS] new: 198.18.3.7 scans other networks (mirai)"
    assert "tcp/23" in english.text and "Telnet" in english.text
    japanese = alert_message(found[0].to_dict(), "ja")
    assert "新規" in japanese.subject and "マルウェア" in japanese.text
    assert "closed" in alert_message(found[-1]).subject
    with pytest.raises(ValueError, match="no texts in 'fr'"):
        alert_message(found[0], "fr")


def test_a_digest_holds_a_line_for_each_alert_new_ones_first() -> None:
    live = Live()
    found = live.run(
        *(mirai(T + n * SPAN_, v4("198.18.1.0") + n, dark(60)[n]) for n in range(60)), until=T + 80 * HOUR
    )
    message = digest_message(found, "Uni")
    assert message.subject == "[DAEDALUS] Uni: 60 new, 60 closed"
    assert message.text.index("new  198.18.1.0") < message.text.index("closed  198.18.1.0")
    assert len(json.loads(message.json)["alerts"]) == 120
    with pytest.raises(ValueError, match="alone"):
        digest_message(found, "City")
    assert told(found[:1]) == [("198.18.1.0", "outbound-scan", "new")]


def test_a_name_with_a_line_break_makes_no_mail_header() -> None:
    (finding,) = Live().run(mirai(T, HOST, dark(1)[0]))
    body = finding.to_dict()
    body["attributes"] = {**body["attributes"], "tools": [{"name": "x\r\nBcc: someone@example.org"}]}
    assert "\n" not in alert_message(body).subject


SPAN_ = 2 * SECOND
