"""Real captures: ZMap, Masscan and Nmap by name, nobody else; tcpdump counts what the findings say."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tools_batches import batch, named, syn

from andon.detect.darknet.tools import ToolsEngine
from andon.observe import read
from andon.records.contract import Context, Outcome, Site
from andon.records.expression import parse, to_bpf

pytestmark = pytest.mark.real_data

WHO = {
    "zmap_syn80_10k.pcap": {"zmap"},
    "masscan_tcp_0_1000_vlan.pcap": {"masscan"},
    "nmap_synscan_2010.pcap": {"nmap"},
    "masscan_udp_0_1000_vlan.pcap": set(),  # its cookie is not in the header
    "nmap_80_all.pcap": set(),  # connect scans look like the operating system
    "nmap_80_vanilla.pcap": set(),
    "synflood_spoofed.pcap": set(),
    "backscatter_synack_reflection.pcap": set(),
    "udp_reflection_isakmp.pcap": set(),
    "iot_malware_telnet_scan.pcap": set(),
    "icmp_sweep.pcap": set(),
}


def _analyse(path: Path, *more: Any) -> Outcome[Any]:
    engine = ToolsEngine(Site())
    summary = engine.empty()
    for part in (*read(path, columns=list(engine.columns)), *more):
        summary = engine.summarise(part.select(list(engine.columns)), summary)
    return engine.conclude(summary, None, Context("1d", 0, 1))


def _tcpdump(path: Path, relation: str) -> int:
    command = ["tcpdump", "-n", "-r", str(path), to_bpf(parse(relation), vlan=True)]
    return len(subprocess.run(command, capture_output=True, check=True).stdout.splitlines())


@pytest.mark.parametrize("name", sorted(WHO))
def test_each_capture_names_the_tools_that_made_it_and_no_other(andon_data: Path, name: str) -> None:
    outcome = _analyse(andon_data / "darknet-data" / "captures" / name)
    assert set(named(outcome)) == WHO[name]


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("zmap_syn80_10k.pcap", 10_000),
        ("masscan_tcp_0_1000_vlan.pcap", 1001),
        ("nmap_synscan_2010.pcap", 1993),
    ],
)
def test_tcpdump_counts_what_the_finding_says(andon_data: Path, name: str, count: int) -> None:
    path = andon_data / "darknet-data" / "captures" / name
    (finding,) = _analyse(path).findings
    check = next(item.check for item in finding.evidence if item.check is not None)
    assert check.expected is None  # the runner's to fill in
    assert _tcpdump(path, check.relation) == pytest.approx(count, abs=1)
    assert finding.count == count
    assert check.by_chance < 1


@pytest.mark.parametrize("name", sorted(name for name, tools in WHO.items() if tools))
def test_a_real_scan_is_still_named_within_unrelated_traffic(andon_data: Path, name: str) -> None:
    rng = np.random.default_rng(8)
    noise = syn(rng, 200_000, src=rng.integers(1 << 24, 1 << 25, 200_000) // 7)
    outcome = _analyse(andon_data / "darknet-data" / "captures" / name, batch(noise))
    assert set(named(outcome)) == WHO[name]


def test_the_masscan_relation_survives_vlan_tags_and_truncation(andon_data: Path) -> None:
    folder = andon_data / "darknet-data"
    (finding,) = _analyse(folder / "captures" / "masscan_tcp_0_1000_vlan.pcap").findings
    assert finding.count == 1001
    (finding,) = _analyse(folder / "formats" / "derived_zmap_syn80_10k.snap54.pcap").findings
    assert finding.count == 10_000
