"""Wild timestamps: nothing grows without bound, nothing is lost silently, honest captures are untouched."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.records.contract import Site
from andon.run.batch import analyze
from andon.run.engines import load_engines
from andon.run.order import SLACK, astray


@given(st.lists(st.integers(0, 400), min_size=1, max_size=60))
@settings(max_examples=200, deadline=None)
def test_times_that_run_forward_but_for_a_day_are_never_astray(days: list[int]) -> None:
    ts = np.sort(np.array(days, np.int64)) * SLACK
    jitter = np.random.default_rng(len(days)).integers(-SLACK // 2, SLACK // 2, len(ts))
    assert astray(ts + jitter) is None


@given(st.lists(st.integers(0, 2**32), min_size=1, max_size=200))
@settings(max_examples=200, deadline=None)
def test_what_stays_runs_forward(seconds: list[int]) -> None:
    ts = np.array(seconds, np.int64) * 1_000_000_000
    gone = astray(ts)
    kept = ts if gone is None else ts[~gone]
    assert len(kept)
    assert np.all(kept >= np.maximum.accumulate(kept) - 2 * SLACK)


def test_one_wild_time_among_many_is_the_only_one_left_out() -> None:
    for wild in (0, 4_000_000_000):
        ts = np.arange(1_700_000_000, 1_700_001_000, dtype=np.int64) * 1_000_000_000
        ts[500] = wild * 1_000_000_000
        assert np.flatnonzero(astray(ts)).tolist() == [500]


def capture(path: Path, times: list[int]) -> Path:
    rng = np.random.default_rng(3)
    with path.open("wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for second in times:
            source, target = int(rng.integers(1 << 24, 3 << 30)), 0xC6120000 + int(rng.integers(0, 1 << 14))
            frame = (
                b"\0" * 12
                + b"\x08\0"
                + struct.pack(">BBHHHBBHII", 0x45, 0, 40, 7, 0, 64, 6, 0, source, target)
            )
            frame += struct.pack(
                ">HHIIBBHHH", 4000, 23, int(rng.integers(0, 1 << 32)), 0, 0x50, 2, 1024, 0, 0
            )
            out.write(struct.pack("<IIII", second, 0, len(frame), len(frame)) + frame)
    return path


def test_timestamps_all_over_136_years_stay_within_memory_and_are_all_accounted_for(tmp_path: Path) -> None:
    times = np.random.default_rng(1).integers(0, 2**32, 20_000).tolist()
    path = capture(tmp_path / "wild.pcap", times)
    code = (
        "import sys, json; from andon.run.batch import analyze; r = analyze([sys.argv[1]]);"
        # Not getrusage: after fork and exec its peak is at least that of the process that forked.
        "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'));"
        "print(json.dumps([sum(f.count for f in r.findings if f.kind == 'census'), r.late,"
        "int(peak.split()[1]) // 1024]))"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, check=True, timeout=300)
    counted, late, peak_mb = json.loads(done.stdout)
    assert counted + late == 20_000
    assert peak_mb < 800


def test_a_small_telescope_over_years_loses_nothing(tmp_path: Path) -> None:
    path = capture(tmp_path / "slow.pcap", [1_600_000_000 + 40_000 * n for n in range(400)])  # two a day
    # Two hundred days for every engine take half a minute, and each has its own tests of empty days.
    result = analyze([path], engines=load_engines(Site(), ["darknet.census", "darknet.tools"]))
    census = [finding for finding in result.findings if finding.kind == "census"]
    assert result.late == 0
    assert sum(finding.count for finding in census) == 400
    assert len(census) > 180


def test_a_gap_of_a_year_is_no_reason_to_drop_anything(tmp_path: Path) -> None:
    path = capture(
        tmp_path / "gap.pcap", [1_600_000_000 + n + (31_536_000 if n > 500 else 0) for n in range(1000)]
    )
    result = analyze([path])
    assert (result.late, sum(f.count for f in result.findings if f.kind == "census")) == (0, 1000)
