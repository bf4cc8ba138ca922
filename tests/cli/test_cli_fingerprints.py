"""``andon fingerprints`` as others use it: find, list, show, export, with tcpdump as the judge of what is exported."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import jsonschema
import pyarrow.parquet as pq
import pytest

SCHEMA = json.loads(files("andon.records").joinpath("finding.schema.json").read_text())
MIRAI = "tcp.seq == ip.dst"
MINE = "tcp.seq == ip.dst + 7"
RUN = "from andon.cli.fingerprints import app; app(prog_name='andon fingerprints')"


def fingerprints(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", RUN, *map(str, words)],
        capture_output=True,
        check=False,
        timeout=600,
        text=True,
    )


def andon(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from andon.cli import main; main()", *map(str, words)],
        capture_output=True,
        check=False,
        timeout=600,
        text=True,
    )


def selected(tcpdump: str, capture: Path, expression: str) -> int:
    out = subprocess.run(
        [tcpdump, "-O", "-r", capture, "-w", "-", expression], capture_output=True, check=True
    ).stdout
    packets, position = 0, 24
    while position < len(out):
        position += 16 + struct.unpack_from("<I", out, position + 8)[0]
        packets += 1
    return packets


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from andon.simulate.internet import InternetConfig, parse_family, simulate

    extra = (parse_family("mine:tcp.seq == ip.dst + 7:40"), parse_family("s:tcp.seq == ip.dst ^ key32:40"))
    config = InternetConfig(
        seed=3, packets=150_000, telescope=("198.18.0.0/18", "203.0.0.0/18"), noise=0.4, extra=extra
    )
    return simulate(config, tmp_path_factory.mktemp("sim")).capture


@pytest.fixture(scope="module")
def found(
    capture: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    out = tmp_path_factory.mktemp("found")
    telescope = "198.18.0.0/18,203.0.0.0/18"
    done = fingerprints("discover", capture, "--telescope", telescope, "--format", "json", "--out", out)
    assert done.returncode == 0, done.stderr
    return out, done


def test_discover_prints_findings_and_nothing_else_and_writes_the_same(
    found: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    out, done = found
    findings = [json.loads(line) for line in done.stdout.splitlines()]
    for finding in findings:
        jsonschema.validate(finding, SCHEMA)
    assert done.stdout == (out / "findings.ndjson").read_text()
    relations = {f["subject"]["value"] for f in findings if f["kind"] == "scanner-fingerprint"}
    assert MINE in relations
    assert pq.read_metadata(coverage_of(out)).num_rows == 1


def test_every_exported_filter_selects_what_the_second_read_counted(
    found: tuple[Path, subprocess.CompletedProcess[str]], capture: Path, tcpdump: str
) -> None:
    out, done = found
    exact = {
        f["subject"]["value"]: f["attributes"]["exact"]["packets"]
        for f in map(json.loads, done.stdout.splitlines())
        if "exact" in f["attributes"]
    }
    telescope = "dst net 198.18.0.0/18 or dst net 203.0.0.0/18"
    assert len(exact) >= 2
    for relation, packets in exact.items():
        text = fingerprints("export", relation, "--from", out, "--to", "bpf")
        assert text.returncode == 0, text.stderr
        assert selected(tcpdump, capture, f"({text.stdout.strip()}) and ({telescope})") == packets


def test_list_shows_what_was_found_and_the_known_tools(
    found: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    cards = [
        json.loads(line)
        for line in fingerprints("list", "--from", found[0], "--format", "json").stdout.splitlines()
    ]
    origins = {card["origin"] for card in cards}
    assert origins == {"finding", "catalogue"}
    assert {card["schema"] for card in cards} == {"andon.fingerprint/1"}
    table = fingerprints("list", "--from", found[0])
    assert max(map(len, table.stdout.splitlines())) <= 100
    assert "mirai" in fingerprints("list").stdout


def test_a_card_is_found_by_name_and_by_relation_and_says_how_to_check(
    found: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    out = found[0]
    by_relation = json.loads(
        fingerprints("show", "ip.dst == tcp.seq - 7", "--from", out, "--format", "json").stdout
    )
    by_name = json.loads(fingerprints("show", by_relation["name"], "--from", out, "--format", "json").stdout)
    assert by_name == by_relation
    assert (by_name["relation"], by_name["sources"]) == (MINE, 40)
    text = fingerprints("show", by_name["name"], "--from", out).stdout
    assert "tcpdump -O -nn -r CAPTURE" in text
    assert "## What is proven" in text


def test_a_name_that_was_found_can_be_matched_in_a_capture(
    found: tuple[Path, subprocess.CompletedProcess[str]], capture: Path
) -> None:
    out, done = found
    (mine,) = [f for f in map(json.loads, done.stdout.splitlines()) if f["subject"]["value"] == MINE]
    name = f"fp-{mine['series'][:8]}"
    matched = andon("match", "--fingerprint", name, "--from", out, "--format", "json", capture)
    assert json.loads(matched.stdout)["packets"] == mine["count"]
    for words, why in (
        (["--fingerprint", name], "--from"),
        (["--fingerprint", "fp-00000000", "--from", out], "there are: fp-"),
    ):
        refused = andon("match", *words, capture)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert why in refused.stderr


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_of_discover_fits_the_terminal(
    found: tuple[Path, subprocess.CompletedProcess[str]], width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from io import StringIO

    from rich.console import Console

    from andon.cli import fingerprints as command
    from andon.run.batch import Analysis

    out, done = found
    shown = StringIO()
    monkeypatch.setattr(
        command, "console", lambda: Console(file=shown, width=min(width, 100), highlight=False)
    )
    result = Analysis(tables={"darknet.fingerprint:coverage": [pq.read_table(coverage_of(out))]})
    findings = [_Shown(json.loads(line)) for line in done.stdout.splitlines()]
    command._show_found(result, findings)  # type: ignore[arg-type]
    lines = shown.getvalue().splitlines()
    assert max(map(len, lines)) <= min(width, 100)
    text = " ".join(" ".join(lines).split())
    assert MINE in text
    assert "a key for each session" in text
    assert "carry neither a fingerprint nor the mark of a known tool" in text


class _Shown:
    """A finding read back from its JSON, as far as a table shows it."""

    def __init__(self, body: dict[str, object]) -> None:
        self.__dict__ |= body
        self.subject = tuple(body["subject"].values())  # type: ignore[attr-defined]


def coverage_of(out: Path) -> Path:
    return out / "tables" / "darknet.fingerprint.coverage.parquet"


def test_stix_is_a_bundle_of_indicators_with_bpf_patterns_and_stable_ids(
    found: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    done = fingerprints("export", "--from", found[0], "--to", "stix")
    bundle = json.loads(done.stdout)
    assert bundle["type"] == "bundle"
    for indicator in bundle["objects"]:
        assert {
            "type",
            "spec_version",
            "id",
            "created",
            "modified",
            "pattern",
            "pattern_type",
            "valid_from",
        } <= indicator.keys()
        assert (indicator["type"], indicator["spec_version"], indicator["pattern_type"]) == (
            "indicator",
            "2.1",
            "x-bpf",
        )
        assert len(indicator["created"]) == len("2026-01-01T00:00:00.000Z")
        assert indicator["modified"] >= indicator["created"]
    assert "key" not in done.stdout or "left out" in done.stderr
    again = fingerprints("export", "--from", found[0], "--to", "stix")
    assert again.stdout == done.stdout


def test_what_a_language_cannot_say_is_refused_and_not_approximated() -> None:
    for form, expression in (
        ("bpf", "tcp.seq == ip.dst ^ key32"),
        ("suricata", MIRAI),
        ("stix", "tcp.seq == key32"),
    ):
        done = fingerprints("export", expression, "--to", form)
        assert (done.returncode, done.stdout) == (1, "")
        assert "not expressible" in done.stderr
    assert fingerprints("export", "ip.id == 54321", "--to", "suricata").stdout.startswith("alert ")
    assert fingerprints("export", "tcp.seq == ip.dst ^ key32", "--to", "sql").stdout.startswith("SELECT ")


def test_a_zeek_script_of_several_fingerprints_names_each_function_once() -> None:
    script = fingerprints("export", "--to", "zeek").stdout
    names = [line for line in script.splitlines() if line.startswith("function ")]
    assert len(names) == len(set(names)) >= 2
    assert "\t" in script


def test_a_masked_result_shows_no_dark_address_in_any_export(capture: Path, tmp_path: Path) -> None:
    telescope = "198.18.0.0/18,203.0.0.0/18"
    done = fingerprints(
        "discover", capture, "--telescope", telescope, "--mask", "--format", "json", "--out", tmp_path
    )
    assert done.returncode == 0, done.stderr
    exported = "".join(
        fingerprints("export", "--from", tmp_path, "--to", form).stdout for form in ("card", "json", "bpf")
    )
    for secret in ("198.18.", "203.0.", "0xc612", "0xcb00"):
        assert secret not in done.stdout + exported
    assert fingerprints("discover", capture, "--mask").returncode == 2


def test_wrong_use_is_exit_2_and_nothing_readable_is_exit_1(tmp_path: Path) -> None:
    bad = tmp_path / "findings.ndjson"
    bad.write_text("{broken\n")
    other = tmp_path / "other.ndjson"
    other.write_text('{"schema": "andon.finding/1", "kind": "scanner-fingerprint"}\n[1]\n')
    for words, code in (
        (["show", "no such name"], 2),
        (["list", "--from", bad], 2),
        (["list", "--from", other], 2),
        (["list", "--from", tmp_path / "absent"], 1),
        (["discover", bad], 1),
        (["discover", bad, "--telescope", "10.0.0.0/33"], 2),
        (["export", "mirai", "--to", "yara"], 2),
    ):
        done = fingerprints(*words)
        assert done.returncode == code, (words, done.stderr)
        assert done.stdout == ""
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["discover", "list", "show", "export"])
def test_each_command_has_help_with_an_example(command: str) -> None:
    done = fingerprints(command, "--help")
    assert f"Example: andon fingerprints {command}" in " ".join(done.stdout.split())
    assert max(map(len, done.stdout.splitlines())) <= 100
