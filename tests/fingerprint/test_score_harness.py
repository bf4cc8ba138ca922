"""The benchmark harness: resumes where it stopped, survives a cut line, and its tables say what was measured."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from andon.detect.darknet.fingerprint.sample import Family, Sample

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "fingerprint"
MODULES = ("run", "searches", "experiments", "captures", "tables")


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The harness with a stand-in search that knows two relations and one that nobody planted."""
    hidden = {name: sys.modules.pop(name, None) for name in MODULES}
    monkeypatch.syspath_prepend(str(FOLDER))
    run = importlib.import_module("run")
    monkeypatch.setitem(run.METHODS, "algebra", stand_in)
    yield run
    for name, module in hidden.items():
        sys.modules.pop(name, None)
        if module is not None:
            sys.modules[name] = module


def stand_in(sample: Sample, seed: int) -> tuple[list[Family], dict[str, Any]]:
    hits = {
        "tcp.seq == ip.dst": sample.columns["tcp_seq"] == sample.columns["dst"],
        "ip.id == 0xd431": sample.columns["ip_id"] == 54321,
        "tcp.seq & 0xffff == 0": sample.columns["tcp_seq"] & 0xFFFF == 0,
    }
    found = []
    for text, rows in hits.items():
        at, counts = np.unique(sample.of_row[rows], return_counts=True)
        sources = at[(counts >= 3) | (np.diff(sample.starts)[at] == counts)]
        if len(sources) >= 20:
            found.append(Family(text, "global", sources, 16.0, "stand-in", {}))
    return found, {}


def test_planted_and_noise_runs_are_scored(harness: ModuleType, tmp_path: Path) -> None:
    results, figures = tmp_path / "r.jsonl", tmp_path / "f.json"
    common = ["--packets", "40000", "--seeds", "1", "--results", str(results)]
    assert harness.main(["--experiments", "planted,noise", *common, "--json", str(figures)]) == 0
    made = json.loads(figures.read_text())
    assert set(made["planted"]["by contamination"]) == {"0", "1", "5", "10", "20"}
    assert made["planted"]["by family"]["mirai"]["found"] == 5
    assert made["planted"]["by family"]["mixed"]["found"] == 0
    clean = made["planted"]["by contamination"]["0"]
    assert 0 < clean["family_recall"] < 0.3
    assert clean["family_precision"] == clean["exact_share"] == 1.0
    assert (made["noise"]["runs"], made["noise"]["false"]) == (1, [])
    assert made["noise"]["bound"] == pytest.approx(0.95)


def test_what_is_done_is_not_done_again(
    harness: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "r.jsonl"
    arguments = ["--experiments", "noise", "--packets", "5000", "--seeds", "2", "--results", str(results)]
    assert harness.main([*arguments, "--slice-minutes", "0.000001"]) == 0
    assert not results.exists()
    assert "2 jobs left" in capsys.readouterr().out
    assert harness.main(arguments) == 0
    lines = results.read_text().splitlines()
    assert len(lines) == 2
    results.write_text(lines[0] + "\n" + lines[1][:40])  # killed while it wrote
    assert harness.main(arguments) == 0
    again = [line for line in results.read_text().splitlines() if line.endswith("}}")]
    assert [json.loads(line)["job"]["seed"] for line in again] == [1, 2]
    assert "not a result" in capsys.readouterr().err
    assert harness.main([*arguments, "--label", "other code"]) == 0
    assert len(results.read_text().splitlines()) == 5


def test_slow_sources_send_three_packets_at_most(harness: ModuleType) -> None:
    seen: dict[str, Any] = {}

    def look(sample: Sample, seed: int) -> tuple[list[Family], dict[str, Any]]:
        seen["sizes"] = np.diff(sample.starts)
        return stand_in(sample, seed)

    made = importlib.import_module("experiments").slow(look, 1, 5000, 40)
    assert (seen["sizes"] <= 3).sum() > 16 * 35
    assert {f["name"]: f["found"] for f in made["families"]}["mirai"] == "tcp.seq == ip.dst"
    assert harness.show([{"job": {"experiment": "slow", "seed": 1, "sources": 40}, "result": made}])


def test_addresses_with_two_infections_are_followed(harness: ModuleType) -> None:
    made = importlib.import_module("experiments").mixed(stand_in, 2, 40_000)
    assert made["infected_twice"] > 50
    assert made["found_twice"] == 0  # the stand-in knows mirai and zmap, which share no host


@pytest.mark.real_data
def test_real_captures_are_judged_alone_spliced_and_dealt(harness: ModuleType, andon_data: Path) -> None:
    captures = importlib.import_module("captures")
    folder = andon_data / "darknet-data" / "captures"
    known = {use for name, use in captures.uses(folder) if name == "zmap_syn80_10k.pcap"}
    assert known == {"alone", "spliced", "dealt"}
    flood = captures.real(stand_in, folder / "synflood_spoofed.pcap", "spliced", 1, 20_000)
    assert (flood["found"], flood["missing"], flood["false"]) == (["tcp.seq & 0xffff == 0"], False, [])
    zmap = captures.real(stand_in, folder / "zmap_syn80_10k.pcap", "dealt", 1, 20_000)
    assert (zmap["found"], zmap["missing"], zmap["false"]) == (["ip.id == 0xd431"], False, [])
    masscan = captures.real(stand_in, folder / "masscan_tcp_0_1000_vlan.pcap", "dealt", 1, 20_000)
    assert masscan["missing"]
