"""The batch runner: sorted input loses nothing, the order of files does not matter, bad files do not stop good ones."""

from __future__ import annotations

import json
import struct
import subprocess
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

from andon.records.contract import Site
from andon.run.batch import Analysis, analyze
from andon.run.engines import load_engines
from andon.simulate.internet import InternetConfig, simulate

SCHEMA = json.loads(files("andon.records").joinpath("finding.schema.json").read_text())


def selected(tcpdump: str, capture: Path, expression: str) -> int:
    """How many packets tcpdump selects: it writes them as a capture, whose records are counted here."""
    out = subprocess.run(
        [tcpdump, "-r", capture, "-w", "-", expression], capture_output=True, check=True
    ).stdout
    packets, position = 0, 24
    while position < len(out):
        position += 16 + struct.unpack_from("<I", out, position + 8)[0]
        packets += 1
    return packets


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two overlapping half-hours from two telescopes, with a day boundary inside."""
    made = []
    for seed, telescope in ((1, "198.18.0.0/18"), (2, "203.0.0.0/18")):
        folder = tmp_path_factory.mktemp(f"sim{seed}")
        start = datetime(2026, 1, 1, 23, 40 + 5 * seed, tzinfo=UTC)
        config = InternetConfig(
            seed=seed, packets=150_000, start=start, duration=1800, telescope=(telescope,)
        )
        made.append(simulate(config, folder).capture)
    return made


@pytest.fixture(scope="module")
def forward(captures: list[Path]) -> Analysis:
    """What all engines say of them."""
    return analyze(captures)


def test_sorted_overlapping_files_have_no_late_packet_and_the_order_does_not_matter(
    captures: list[Path], forward: Analysis
) -> None:
    backward = analyze(captures[::-1])
    assert forward.late == 0
    assert [f.to_json() for f in forward.findings if f.kind != "input-damage"] == [
        f.to_json() for f in backward.findings if f.kind != "input-damage"
    ]
    census = [finding for finding in forward.findings if finding.kind == "census"]
    assert sum(finding.count for finding in census) == 300_000
    assert len(census) == 2  # the day boundary


def test_every_finding_follows_the_schema_and_every_check_is_counted(forward: Analysis) -> None:
    findings = forward.findings
    assert {finding.kind for finding in findings} >= {
        "census",
        "known-tool",
        "backscatter-victim",
        "scanner-purpose",
    }
    for finding in findings:
        body = json.loads(finding.to_json())
        jsonschema.validate(body, SCHEMA)
        for item in body["evidence"]:
            if "check" in item:
                assert item["check"]["expected"] is not None


@pytest.mark.parametrize(
    "name",
    [
        "captures/masscan_tcp_0_1000_vlan.pcap",
        "captures/zmap_syn80_10k.pcap",
        "captures/backscatter_synack_reflection.pcap",
        "captures/synflood_spoofed.pcap",
        "captures/nmap_synscan_2010.pcap",
        "formats/zeek_http-qinq-0.pcap",
    ],
)
def test_tcpdump_selects_exactly_what_each_check_expects(andon_data: Path, tcpdump: str, name: str) -> None:
    capture = andon_data / "darknet-data" / name
    checks = [
        item.check
        for f in analyze([capture]).findings
        for item in f.evidence
        if item.check is not None and item.check.tool == "tcpdump"
    ]
    assert checks
    for check in checks:
        assert selected(tcpdump, capture, check.expression) == check.expected, check.expression


def test_a_check_within_a_given_telescope_selects_only_packets_to_it(
    captures: list[Path], tcpdump: str
) -> None:
    capture = captures[1]  # five minutes of it are on the first day
    site = Site(telescope=("203.0.0.0/19",))
    findings = analyze([capture], site, load_engines(site, ["darknet.census", "darknet.tools"])).findings
    first = min(finding.window for finding in findings)
    relation = next(i.check.relation for f in findings for i in f.evidence if i.check and f.kind == "census")
    same = [i.check for f in findings for i in f.evidence if i.check and i.check.relation == relation]
    assert len({f.window for f in findings}) == 2
    assert first[1] % (86_400 * 10**9) == 0
    # The checks of both days together are what tcpdump finds in the whole file.
    assert selected(tcpdump, capture, same[0].expression) == sum(check.expected for check in same)


def test_a_file_that_is_no_capture_is_named_and_the_others_are_read(
    captures: list[Path], tmp_path: Path
) -> None:
    bad = tmp_path / "notes.txt"
    bad.write_text("not a capture")
    result = analyze(
        [bad, tmp_path / "absent.pcap", captures[0]], engines=load_engines(Site(), ["darknet.census"])
    )
    assert result.readable
    assert [report.error is None for report in result.files] == [False, False, True]


def test_only_packets_to_the_telescope_given_are_counted(captures: list[Path]) -> None:
    site = Site(telescope=("203.0.0.0/18",))
    result = analyze(captures, site, load_engines(site, ["darknet.census"]))
    assert sum(report.outside for report in result.files) == 150_000
    assert sum(f.count for f in result.findings if f.kind == "census") == 150_000
