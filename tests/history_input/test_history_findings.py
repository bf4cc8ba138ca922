"""What was received and is analysed later gives what its captures give: findings, counts of checks, tables."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from received import MIDNIGHT, SECOND, START, one_after_another, received, side_by_side, telescopes, trunk
from typer.testing import CliRunner

from andon.cli import app
from andon.observe import read
from andon.records.columns import column
from andon.records.contract import Site
from andon.run.batch import Analysis, analyze
from andon.run.cluster.analysis import analyze_on
from andon.run.cluster.executors.local import Local
from andon.run.engines import load_engines
from andon.run.inputs import Inputs

ENGINES = ["darknet.purpose", "darknet.synchrony"]  # they need census, tools, backscatter
WAYS = {"one after another": one_after_another, "side by side": side_by_side}


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return telescopes(tmp_path_factory.mktemp("captures"))


@pytest.fixture(scope="module")
def stores(captures: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("stores")
    for name, way in WAYS.items():
        received(folder / name, way(captures), rows=2_500, segments=3)
    return {name: folder / name for name in WAYS}


def of_history(
    store: Path,
    site: Site = Site(),  # noqa: B008
    start: int | None = None,
    end: int | None = None,
    files: Sequence[Path] = (),
    engines: Sequence[str] = ENGINES,
) -> Analysis:
    inputs = Inputs.of(files)
    inputs.add_history(store, start, end)
    return analyze(inputs, site, load_engines(site, engines))


def said(result: Analysis, expressions: bool = True) -> list[str]:
    """Findings without the names of files, which are others. A filter allows for the tags that its files hold."""
    lines = []
    for finding in result.findings:
        body = finding.to_dict()
        for item in body["evidence"]:
            if "check" in item:
                del item["check"]["input"]
                if not expressions:
                    del item["check"]["expression"]
        lines.append(json.dumps(body, sort_keys=True))
    return lines


def tables(result: Analysis) -> dict[str, Any]:
    return {name: pa.concat_tables(parts) for name, parts in result.tables.items()}


@pytest.mark.parametrize("telescope", [(), ("198.18.0.0/17", "203.0.0.0/19")])
def test_history_gives_the_findings_of_its_captures(
    captures: list[Path], stores: dict[str, Path], telescope: tuple[str, ...]
) -> None:
    site = Site(telescope=telescope)
    want = analyze(captures, site, load_engines(site, ENGINES))
    assert len(want.findings) > 20 and want.late == 0
    for name, store in stores.items():
        got = of_history(store, site)
        assert got.late == 0 and [report.error for report in got.files if report.error] == []
        assert sum(r.rows for r in got.files) == sum(r.rows for r in want.files) == 63_000
        assert sum(r.outside for r in got.files) == sum(r.outside for r in want.files)
        assert max(r.vlan_depth for r in got.files) == 2
        # Side by side, every file of the history holds packets with tags.
        exactly = name == "one after another"
        assert said(got, exactly) == said(want, exactly), name
        assert tables(got) == tables(want)


def test_compacted_history_gives_the_same(captures: list[Path], tmp_path: Path) -> None:
    history = received(tmp_path, one_after_another(captures), rows=1_250, segments=2)
    before = of_history(tmp_path)
    many = len(history.files())
    assert history.compact().files_after >= 1
    after = of_history(tmp_path)
    assert len(after.files) < many / 4
    assert said(after, False) == said(before, False) and tables(after) == tables(before)


def test_bounds_are_exact_and_hold_in_both_reads(captures: list[Path], stores: dict[str, Path]) -> None:
    ts = np.sort(np.concatenate([column(batch, "ts") for path in captures for batch in read(path)]))
    start, end = int(ts[20_000]), int(ts[45_000])  # the first is in, the second is not
    between = int(((ts >= start) & (ts < end)).sum())
    for store in stores.values():
        result = of_history(store, start=start, end=end, engines=["darknet.census"])
        assert sum(report.rows for report in result.files) == between
        census = [finding for finding in result.findings if finding.kind == "census"]
        assert sum(finding.count for finding in census) == between
        counted = [i.check for f in census for i in f.evidence if i.check and i.check.relation]
        assert len(census) == 2 and sum(check.expected or 0 for check in counted) <= between
        assert min(f.first_seen for f in census) == start
        one_more = of_history(store, start=start, end=end + 1, engines=["darknet.census"])
        assert sum(report.rows for report in one_more.files) == int(((ts >= start) & (ts <= end)).sum())


def test_history_goes_beside_a_capture(captures: list[Path], tmp_path: Path) -> None:
    received(tmp_path, one_after_another(captures[:2]), rows=5_000)
    site = Site()
    want = analyze(captures, site, load_engines(site, ENGINES))
    got = of_history(tmp_path, site, files=captures[2:])
    assert got.late == 0 and said(got) == said(want)


def test_a_file_inside_the_bounds_is_read_as_if_there_were_none(stores: dict[str, Path]) -> None:
    """So that what was made of it on a cluster is good for other bounds, too."""
    inputs = Inputs()
    inputs.add_history(stores["one after another"], START + 300 * SECOND, MIDNIGHT + 300 * SECOND)
    free = [report for report in inputs.captures if report.start is None and report.end is None]
    assert free and len(free) < len(inputs.captures)


def test_a_check_names_few_files_or_the_table(tmp_path: Path) -> None:
    capture = trunk(tmp_path / "t.pcap")
    received(tmp_path / "few", one_after_another([capture]), rows=500)
    received(tmp_path / "many", one_after_another([capture]), rows=75, segments=1)

    def named(store: Path) -> list[tuple[str, ...]]:
        found = of_history(store, engines=["darknet.census"]).findings
        return [i.check.input for f in found for i in f.evidence if i.check]

    assert all(name.endswith(".parquet") for names in named(tmp_path / "few") for name in names)
    assert all(1 <= len(names) <= 16 for names in named(tmp_path / "many"))
    assert (str(tmp_path / "many/history/packets"),) in named(tmp_path / "many")


def test_commands_take_a_history(captures: list[Path], stores: dict[str, Path]) -> None:
    store = str(stores["one after another"])

    def run(*words: str) -> list[Any]:
        done = CliRunner().invoke(app, [*words, "--format", "json"])
        assert done.exit_code == 0, done.output
        found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        return [[f["kind"], f["title"], f["count"]] for f in found]

    census = ["--engine", "darknet.census"]
    assert run("analyze", "--history", store, *census) == run("analyze", *map(str, captures), *census)
    day = run("analyze", "--history", store, "--from", "2026-01-02", "--to", "2026-01-03", *census)
    assert len(day) == 1
    assert run("analyze", "--history", store, "--to", "2026-01-02T00:00:00Z", *census) != day


def test_workers_give_what_threads_give(stores: dict[str, Path], tmp_path: Path) -> None:
    site = Site(telescope=("198.18.0.0/17",))
    bounds = START + 600 * SECOND, MIDNIGHT + 600 * SECOND
    for name, store in stores.items():
        inputs = Inputs()
        inputs.add_history(store, *bounds)
        with Local(2) as executor:
            got = analyze_on(executor, tmp_path / name, inputs, site, load_engines(site, ENGINES))
        want = of_history(store, site, *bounds)
        assert len(want.findings) > 10
        assert [f.to_json() for f in got.findings] == [f.to_json() for f in want.findings]
        assert tables(got) == tables(want)


def test_a_search_for_fingerprints_finds_in_a_history_what_it_finds_in_captures(tmp_path: Path) -> None:
    capture = trunk(tmp_path / "t.pcap", 2_000)
    received(tmp_path, one_after_another([capture]), rows=300, segments=2)
    found = []
    for words in (["--history", str(tmp_path)], [str(capture)]):
        done = CliRunner().invoke(app, ["fingerprints", "discover", "--format", "json", *words])
        assert done.exit_code == 0, done.output
        findings = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        found.append([[f["kind"], f["subject"], f["window"], f["count"]] for f in findings])
    assert found[0] == found[1] and any(kind == "scanner-fingerprint" for kind, *_ in found[0])


def test_what_the_live_runner_has_received_is_analysed_like_the_folder_it_came_from(tmp_path: Path) -> None:
    captures = tmp_path / "captures"
    captures.mkdir()
    trunk(captures / "trunk.pcap")
    (tmp_path / "a.toml").write_text(
        f'engines = ["darknet.census"]\n[[source]]\nname = "sensor"\nkind = "folder"\npath = "{captures}"\n'
        f'settle = "1s"\n[store]\npath = "{tmp_path / "store"}"\ncommit_rows = 500\nhistory_every = "1s"\n'
        'retention = "3650d"\n[telescope]\nprefixes = ["198.18.0.0/24"]\n'
    )
    words = ["run", "--config", str(tmp_path / "a.toml"), "--once", "--log", "json"]
    command = [sys.executable, "-c", "from andon.cli import main; main()", *words]
    subprocess.run(command, check=True, timeout=300, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    site = Site(telescope=("198.18.0.0/24",))
    want = analyze([captures / "trunk.pcap"], site, load_engines(site, ENGINES))
    got = of_history(tmp_path / "store", site)
    assert sum(report.rows for report in got.files) == 3_000
    assert said(got) == said(want) and tables(got) == tables(want)


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ([], 2, "give files, or --history STORE"),
        (["--from", "2026-01-01"], 2, "--from and --to bound a history"),
        (["--history", "STORE", "--from", "yesterday"], 2, "--from yesterday: write a date or a time"),
        (["--history", "STORE", "--from", "9999-01-01"], 2, "packets have times from"),
        (["--history", "STORE", "--from", "2026-01-02", "--to", "2026-01-02"], 2, "is not before"),
        (["--history", "STORE", "--from", "2027-01-02"], 1, "the history holds no packets of that time"),
        (["--history", "/nowhere"], 1, "no such store folder"),
        (["--history", "/usr"], 1, "there is no packet history in it"),
    ],
)
@pytest.mark.parametrize("command", [["analyze"], ["fingerprints", "discover"]])
def test_commands_say_what_is_wrong(
    stores: dict[str, Path], command: list[str], words: list[str], code: int, text: str
) -> None:
    store = str(stores["side by side"])
    done = CliRunner().invoke(app, [*command, *(store if word == "STORE" else word for word in words)])
    assert done.exit_code == code, done.output
    assert text in done.stderr and "Traceback" not in done.output
