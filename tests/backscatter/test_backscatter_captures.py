"""Real captures: reflection and forged floods are named as such, scans and normal traffic are neither."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from backscatter_traffic import scans, telescope

from andon.detect.darknet.backscatter import engine
from andon.detect.darknet.backscatter.summary import COLUMNS
from andon.observe import read
from andon.records.columns import column
from andon.records.contract import Context, Outcome, Site
from andon.records.finding import Finding

pytestmark = pytest.mark.real_data


def analysed(path: Path, dark: int, *more: Any) -> Outcome[Any]:
    ours = engine(Site())
    state, first = ours.empty(), 0
    for batch in read(path, columns=COLUMNS):
        state = ours.summarise(batch, state)
        first = int(column(batch, "ts").min())
    for batch in more:
        state = ours.summarise(batch, state)
    return ours.conclude(state, None, Context("1d", first, first + 1, tables=telescope(dark, given=False)))


def only(outcome: Outcome[Any]) -> Finding:
    (found,) = outcome.findings
    assert found.subject == ("ipv4-addr", "10.10.10.10")
    return found


def captures(andon_data: Path) -> Path:
    return andon_data / "darknet-data" / "captures"


def test_the_tcp_reflection_is_called_that_with_its_numbers(andon_data: Path) -> None:
    found = only(analysed(captures(andon_data) / "backscatter_synack_reflection.pcap", 1))
    assert found.attributes["class"] == "reflection-target"
    answers = found.attributes["answers"]
    assert answers["SYN-ACK"] == 6651
    assert answers["RST"] + answers["RST-ACK"] == 1018
    assert answers["ICMP port unreachable"] + answers["other ICMP error"] == 153
    assert found.attributes["tcp_ports"][:2] == [80, 443]
    for text in ("6,651 SYN-ACK", "backscatter", "forged as the sender", "reflectors", "0.15 s"):
        assert text in found.statement


def test_the_udp_reflection_is_called_amplification_from_its_service(andon_data: Path) -> None:
    found = only(analysed(captures(andon_data) / "udp_reflection_isakmp.pcap", 1))
    assert found.attributes["class"] == "reflection-target"
    assert found.attributes["flood"] == "UDP amplification"
    assert found.attributes["reflectors"] == 2767
    assert "IKE" in found.statement


def test_the_spoofed_syn_flood_is_called_that(andon_data: Path) -> None:
    found = only(analysed(captures(andon_data) / "synflood_spoofed.pcap", 1))
    assert found.attributes["class"] == "spoofed-flood-target"
    assert found.attributes["sources"] == 37_623
    assert found.count == 37_841


@pytest.mark.parametrize("dark", [0, 1, 256])
@pytest.mark.parametrize(
    "name",
    [
        "icmp_sweep.pcap",
        "iot_malware_telnet_scan.pcap",
        "masscan_tcp_0_1000_vlan.pcap",
        "masscan_udp_0_1000_vlan.pcap",
        "nmap_80_all.pcap",
        "nmap_80_vanilla.pcap",
        "nmap_synscan_2010.pcap",
        "zmap_syn80_10k.pcap",
    ],
)
def test_scans_and_their_replies_are_neither_floods_nor_victims(
    andon_data: Path, name: str, dark: int
) -> None:
    assert analysed(captures(andon_data) / name, dark).findings == ()


def test_no_format_sample_is_called_a_flood(andon_data: Path) -> None:
    paths = sorted((andon_data / "darknet-data" / "formats").glob("*.pcap*"))
    assert paths
    assert [path.name for path in paths if analysed(path, 0).findings] == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("backscatter_synack_reflection.pcap", {"reflection-target"}),
        ("udp_reflection_isakmp.pcap", {"reflection-target"}),
        ("synflood_spoofed.pcap", {"spoofed-flood-target"}),
        ("zmap_syn80_10k.pcap", set()),
        ("iot_malware_telnet_scan.pcap", set()),
    ],
)
def test_spliced_into_a_million_scan_packets_the_answer_is_the_same(
    andon_data: Path, name: str, expected: set[str]
) -> None:
    background = scans(1_000_000, 3, sources=50_000)
    shift = 0
    for batch in read(captures(andon_data) / name, columns=COLUMNS):
        shift = int(column(batch, "ts").min()) - int(column(background, "ts").min())
        break
    position = background.schema.get_field_index("ts")
    field = background.schema.field(position)
    moved = np.asarray(column(background, "ts") + shift - 1_800_000_000_000)
    background = background.set_column(position, field, pa.array(moved).cast(field.type))
    outcome = analysed(captures(andon_data) / name, 1 << 16, background)
    assert {finding.attributes["class"] for finding in outcome.findings} == expected
