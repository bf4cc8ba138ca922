"""--mask: nothing that is written gives the telescope away."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import IPv4Network

import pyarrow as pa

from andon.records.finding import Check, Entity, Evidence, Finding
from andon.run.mask import MASKED, Mask

DARK = Mask([IPv4Network("203.0.112.0/22")])
FINDING = Finding(
    engine="darknet.backscatter",
    engine_version=1,
    kind="backscatter-victim",
    title="Flood aimed at 203.0.113.9",
    statement="From 198.51.100.7 to 203.0.113.9 in 203.0.112.0/22, key 0xcb007109",
    confidence=0.9,
    calibration="none",
    window=(0, 1),
    subject=("ipv4-addr", "203.0.113.9"),
    first_seen=0,
    last_seen=0,
    count=1,
    entities=(Entity("ipv4-addr", "203.0.113.9"), Entity("ipv4-addr", "198.51.100.7")),
    evidence=(Evidence("dst 203.0.113.9", Check("ip.dst == 0xcb007109", 0.0)),),
    attributes={
        "dst": 0xCB007109,
        "half": "tcp.seq == 0xcb00",
        "nested": [{"a": "203.0.115.255"}],
        "n": 3412,
    },
)


def test_no_dark_address_check_or_prefix_constant_is_left() -> None:
    text = DARK.finding(FINDING).to_json()
    for secret in ("203.0.11", "cb00", str(0xCB007109), "relation"):
        assert secret not in text.lower(), secret
    assert "198.51.100.7" in text
    assert json.loads(text)["attributes"]["n"] == 3412


def test_the_identity_does_not_depend_on_the_dark_address() -> None:
    other = replace(FINDING, subject=("ipv4-addr", "203.0.113.10"))
    assert DARK.finding(FINDING).series == DARK.finding(other).series


def test_tables_lose_the_rows_of_dark_addresses_and_the_telescope_itself() -> None:
    table = pa.table(
        {"address": pa.array([0xCB007109, 0xC6336407], pa.uint32()), "note": ["203.0.113.9", "x"]}
    )
    masked = DARK.table("darknet.backscatter:victims", table)
    assert masked.column("address").to_pylist() == [0xC6336407]
    assert DARK.table("darknet.census:telescope", table) is None


def test_other_text_is_untouched() -> None:
    text = "65,535 packets from 198.51.100.0/24 at 12:30, version 1.2.3.4.5, 54321"
    assert DARK.text(text) == text
    assert MASKED in DARK.text("203.0.113.1")


def test_a_defanged_dark_address_is_hidden_too() -> None:
    told = replace(
        FINDING, title="Beacon to 203[.]0[.]113[.]9", statement="10[.]0[.]0[.]1 polls 203[.]0[.]113[.]9"
    )
    masked = DARK.finding(told)
    assert masked.title == f"Beacon to {MASKED}"
    assert masked.statement == f"10[.]0[.]0[.]1 polls {MASKED}"
