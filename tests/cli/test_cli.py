"""The command line as others use it: exit codes, JSON on stdout alone, help with an example, quiet in pipes."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import jsonschema
import pyarrow.parquet as pq
import pytest

SCHEMA = json.loads(files("andon.records").joinpath("finding.schema.json").read_text())


def andon(*words: str | Path, stdin: bytes | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "andon", *map(str, words)],
        input=stdin,
        capture_output=True,
        check=False,
        timeout=300,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sim")
    done = andon("simulate", "internet", "--seed", "3", "--packets", "200000", "--telescope",
                 "198.18.0.0/18,203.0.0.0/18", "--duration", "20min", "--noise", "0.4", "--contamination", "0.1",
                 "--family", "mine:tcp.seq == ip.dst + 7:50", "--out", folder)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    return folder


def test_help_takes_at_most_three_tenths_of_a_cpu_second() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = andon("--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime <= 0.3


@pytest.mark.parametrize(
    "command",
    [
        "demo",
        "analyze",
        "count",
        "match",
        "translate",
        "doctor",
        "simulate internet",
        "fingerprints discover",
    ],
)
def test_every_command_has_help_with_an_example(command: str) -> None:
    done = andon(*command.split(), "--help")
    assert done.returncode == 0
    assert f"Example: andon {command}" in " ".join(done.stdout.split())
    assert max(map(len, done.stdout.splitlines())) <= 100


# Without the search for fingerprints and what needs it, which take nearly all of the time.
QUICK = ["--engine", "darknet.census", "--engine", "darknet.tools", "--engine", "darknet.backscatter"]


def test_analyze_json_is_findings_and_nothing_else(simulated: Path) -> None:
    done = andon("analyze", simulated / "capture.pcap", "--format", "json")
    assert done.returncode == 0
    assert done.stderr == ""
    findings = [json.loads(line) for line in done.stdout.splitlines()]
    for finding in findings:
        jsonschema.validate(finding, SCHEMA)
    tools = {f["subject"]["value"] for f in findings if f["kind"] == "known-tool"}
    assert {"mirai", "masscan", "zmap"} <= tools


def test_the_table_fits_a_hundred_columns_and_out_holds_findings_all_entities_tables_and_packets(
    simulated: Path, tmp_path: Path
) -> None:
    done = andon("analyze", simulated / "capture.pcap", "--out", tmp_path, "--packets")
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert "\x1b" not in done.stdout
    assert len(done.stdout.splitlines()) > 10
    findings = [json.loads(line) for line in (tmp_path / "findings.ndjson").read_text().splitlines()]
    entities = pq.read_table(tmp_path / "entities.parquet")
    for finding in findings:
        mine = entities.filter(entities["finding_id"].to_numpy(zero_copy_only=False) == finding["id"])
        assert len(mine) == finding["entities_total"]
    assert pq.read_metadata(tmp_path / "packets.parquet").num_rows == 200_000
    assert (tmp_path / "tables" / "darknet.census.slots.parquet").is_file()


def test_mask_leaves_no_dark_address_anywhere(simulated: Path, tmp_path: Path) -> None:
    done = andon("analyze", simulated / "capture.pcap", "--mask", "--format", "json", "--out", tmp_path)
    assert done.returncode == 0
    written = done.stdout + (tmp_path / "findings.ndjson").read_text()
    for secret in ("198.18.", "203.0.", '"check"'):
        assert secret not in written
    assert not (tmp_path / "tables" / "darknet.census.telescope.parquet").exists()
    dark = [(0xC6120000, 0xC6123FFF), (0xCB000000, 0xCB003FFF)]
    for path in (tmp_path / "tables").iterdir():
        table = pq.read_table(path)
        for name in {"src", "dst", "address"} & set(table.column_names):
            assert not [v for v in table[name].to_pylist() if any(a <= v <= b for a, b in dark)], path
    assert (
        andon("analyze", simulated / "capture.pcap", "--mask", "--packets", "--out", tmp_path).returncode == 2
    )


def test_standard_input_gives_the_same_findings_as_the_file(simulated: Path) -> None:
    capture = simulated / "capture.pcap"
    from_file = andon("analyze", capture, *QUICK, "--format", "json").stdout
    piped = andon("analyze", "-", *QUICK, "--format", "json", stdin=capture.read_bytes())
    assert piped.returncode == 0
    ids = [[json.loads(line)["id"] for line in text.splitlines()] for text in (from_file, piped.stdout)]
    assert ids[0] == ids[1] and len(ids[0]) > 10


def test_count_json_is_one_object_per_capture_and_exit_codes_are_as_documented(
    andon_data: Path, tmp_path: Path
) -> None:
    folder = andon_data / "darknet-data"
    expected = json.loads((folder / "expected.json").read_text())["captures/zmap_syn80_10k.pcap"]
    bad = tmp_path / "bad.pcap"
    bad.write_bytes(b"\x00" * 100)
    done = andon("count", folder / "captures" / "zmap_syn80_10k.pcap", bad, "--format", "json")
    assert done.returncode == 0
    (got,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert {key: got[key] for key in ("packets", "syn_only", "fp_zmap", "first_ts")} == {
        key: expected[key] for key in ("packets", "syn_only", "fp_zmap", "first_ts")
    }
    assert "bad.pcap" in done.stderr
    assert andon("count", bad).returncode == 1
    assert andon("analyze", bad).returncode == 1
    assert andon("analyze", tmp_path / "absent.pcap").returncode == 1
    assert andon("analyze", bad, "--telescope", "10.0.0.0/33").returncode == 2
    assert andon("analyze").returncode == 2
    assert andon("analyze", bad, "--engine", "no.such").returncode == 2


def test_no_malformed_capture_gives_a_traceback(andon_data: Path, tmp_path: Path) -> None:
    import tarfile

    with tarfile.open(andon_data / "darknet-data" / "malformed.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    captures = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert len(captures) == 126
    for command in ("count", "analyze"):
        done = andon(command, *captures, "--format", "json")
        assert done.returncode == 0
        assert "Traceback" not in done.stderr
        assert "internal error" not in done.stderr


def test_match_and_translate_answer_or_say_what_is_wrong(simulated: Path) -> None:
    done = andon(
        "match", "--fingerprint", "tcp.seq == ip.dst + 7", simulated / "capture.pcap", "--format", "json"
    )
    assert json.loads(done.stdout)["sources"] == 50
    assert "tcp[4:4] = ip[16:4]" in andon("translate", "tcp.seq == ip.dst").stdout
    wrong = andon("translate", "tcp.seq = ip.dst")
    assert wrong.returncode == 2
    assert "column 9" in wrong.stderr


def test_a_closed_pipe_ends_quietly(simulated: Path) -> None:
    words = f"analyze '{simulated / 'capture.pcap'}' {' '.join(QUICK)} --format json"
    command = f"'{sys.executable}' -m andon {words} | head -c 10"
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=False, env=os.environ)
    assert len(done.stdout) == 10
    assert b"Traceback" not in done.stderr
    assert b"Err" not in done.stderr


def test_an_engine_that_is_not_needed_is_not_run(simulated: Path) -> None:
    done = andon("analyze", simulated / "capture.pcap", "--engine", "darknet.tools", "--format", "json")
    engines = {json.loads(line)["engine"] for line in done.stdout.splitlines()}
    assert engines == {"darknet.tools"}


def test_prefixes_of_the_inside_may_be_given_one_by_one(tmp_path: Path) -> None:
    log = tmp_path / "conn.log"
    log.write_text("")
    done = andon("analyze", log, "--inside", "10.0.0.0/8x", "--inside", "192.0.2.0/24,198.51.100.0/24")
    assert done.returncode == 2
    assert "10.0.0.0/8x" in done.stderr  # the last one does not take the place of the others
