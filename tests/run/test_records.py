"""Records of other kinds than packets in the batch runner: in the order of time, none lost, wild times left out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from record_engines import DAY, START, All, CountEngine, Joined, Packets, Sessions, Sources, cowrie, log

from andon.records.contract import SECOND
from andon.records.kinds import HONEYPOT_SESSION, kind_of
from andon.run.batch import Analysis, analyze
from andon.run.engines import in_order
from andon.run.inputs import Inputs
from andon.run.results import write_results
from andon.run.shelf import Shelf, _far
from andon.simulate.internet import InternetConfig, simulate

HOUR = 3600 * SECOND


def weeks(tmp_path: Path, days: int = 20, seed: int = 3) -> Path:
    """A log of 200 sessions over some weeks, in no order of time."""
    rng = np.random.default_rng(seed)
    starts = START + (rng.random(200) * days * DAY).astype(np.int64)
    return log(
        tmp_path / "cowrie.json", (cowrie(n, int(t), f"192.0.2.{n % 50}") for n, t in enumerate(starts))
    )


def sources(path: Path, times: Sequence[int]) -> Path:
    rows = {"ts": np.array(times) / 1e9, "src": [f"192.0.2.{n % 7}" for n in range(len(times))]}
    pq.write_table(pa.table({**rows, "dst_port": [23] * len(times)}), path)
    return path


def counts(result: Analysis, engine: str) -> list[tuple[int, int]]:
    """(day, records) of each span that the engine concluded, in the order in which it did."""
    found = [f for f in result.findings if f.engine == engine]
    return [((f.window[0] - START) // DAY, f.count) for f in found]


def drained(paths: Sequence[Path], **settings: Any) -> tuple[list[tuple[str, dict[str, Any]]], Shelf]:
    """Every record that a shelf gives, in its order, after seeing that the pieces run forward."""
    inputs, rows, before = Inputs.of(paths), [], -(1 << 63)
    with Shelf(("honeypot-session", "darknet-source", "report"), **settings) as shelf:
        for sensor, report in inputs.records:
            assert sum(shelf.add(sensor, report)) == report.records
        for kind, batch, ts, then in shelf.pieces():
            assert kind_of(batch) == kind and (np.diff(ts) >= 0).all() and ts[0] >= before
            assert then is None or then >= ts[0]
            assert ts[0] // shelf.step == ts[-1] // shelf.step
            before = int(ts[0])
            rows += [(kind, row) for row in batch.to_pylist()]
    return rows, shelf


def test_sessions_weeks_out_of_order_are_counted_in_their_days(tmp_path: Path) -> None:
    path = weeks(tmp_path)
    engine = Sessions()
    result = analyze([path], engines=[engine])
    found = counts(result, "test.sessions")
    assert sum(n for _, n in found) == 200 and [day for day, _ in found] == sorted(day for day, _ in found)
    times = [
        json.loads(line)["timestamp"][:10] for line in path.read_text().splitlines() if "connect" in line
    ]
    assert [n for _, n in found] == [times.count(day) for day in sorted(set(times))]
    assert result.late == 0 and (result.files[0].kind, result.files[0].records) == (HONEYPOT_SESSION, 200)
    # The input ends inside the last span and nowhere else.
    assert [ctx.partial for ctx in engine.contexts] == [False] * (len(found) - 1) + [True]
    assert all(
        b.gap == (b.start - a.end) // DAY for a, b in zip(engine.contexts, engine.contexts[1:], strict=False)
    )


def test_what_is_spilled_to_disk_comes_back_the_same(tmp_path: Path) -> None:
    paths = [weeks(tmp_path), sources(tmp_path / "sources.parquet", [START + n * HOUR for n in range(300)])]
    held, _ = drained(paths)
    spilled, shelf = drained(paths, budget=20_000)
    assert shelf._folder is not None and not Path(shelf._folder.name).exists()
    assert held == spilled and len(held) == 500
    in_steps, _ = drained(paths, budget=20_000, step=HOUR)
    assert sorted(map(str, in_steps)) == sorted(map(str, held))


def test_a_day_larger_than_memory_is_taken_out_in_parts(tmp_path: Path) -> None:
    starts = np.random.default_rng(1).permutation(400) * (DAY // 400) + START
    path = log(tmp_path / "cowrie.json", (cowrie(n, int(t)) for n, t in enumerate(starts)))
    held, _ = drained([path])
    parts, _ = drained([path], budget=10_000)
    assert held == parts and len(held) == 400


def test_wild_times_open_no_windows_and_are_counted(tmp_path: Path) -> None:
    good = [cowrie(n, START + n * HOUR // 100) for n in range(2000)]
    wild = [cowrie(9000, 0), cowrie(9001, 4_102_444_800 * SECOND), cowrie(9002, START - 4000 * DAY)]
    engine = Sessions()
    result = analyze([log(tmp_path / "cowrie.json", good + wild)], engines=[engine])
    assert counts(result, "test.sessions") == [(0, 2000)] and len(engine.contexts) == 1
    (report,) = result.files
    assert (report.astray, report.records) == (3, 2003)
    assert (report.first, report.last) == (START, START + 1999 * HOUR // 100)
    (damage,) = [f for f in result.findings if f.kind == "input-damage"]
    assert "3 records have times that cannot be true" in damage.evidence[-1].statement
    assert damage.window == (START, START + DAY) and damage.count == 2003


def test_a_quiet_honeypot_is_not_taken_for_a_wrong_clock(tmp_path: Path) -> None:
    sessions = [cowrie(n, START + day * DAY) for n, day in enumerate((0, 1, 200, 201, 500))]
    result = analyze([log(tmp_path / "cowrie.json", sessions)], engines=[Sessions()])
    assert counts(result, "test.sessions") == [(0, 1), (1, 1), (200, 1), (201, 1), (500, 1)]


def test_a_log_of_every_day_of_the_century_cannot_open_windows_without_end(tmp_path: Path) -> None:
    rows = dict.fromkeys(range(7305, 47481), 1) | {20_000: 50_000}
    gone = _far(rows)
    left = sorted(rows.keys() - gone)
    assert len(left) == 3660 and left[0] < 20_000 < left[-1]


def test_only_the_engines_that_have_something_to_say_conclude(tmp_path: Path) -> None:
    path = log(tmp_path / "cowrie.json", [cowrie(1, START), cowrie(2, START + 2 * DAY)])
    table = sources(tmp_path / "sources.parquet", [START + 2 * DAY, START + 3 * DAY])
    engines: list[CountEngine] = [Sessions(), Sources(), Joined(), Packets()]
    result = analyze([path, table], engines=in_order(engines))
    assert counts(result, "test.sessions") == [(0, 1), (2, 1)]
    assert counts(result, "test.sources") == [(2, 1), (3, 1)]
    assert counts(result, "test.packets") == [] and not engines[3].contexts
    # It reads nothing and follows those that it needs; of one that has seen nothing there is no table.
    joined = [f for f in result.findings if f.engine == "test.joined"]
    assert [sorted(f.attributes["tables"]) for f in joined] == [
        ["test.sessions:counts"], ["test.sessions:counts", "test.sources:counts"], ["test.sources:counts"],
    ]  # fmt: skip


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from datetime import UTC, datetime

    start = datetime(2026, 1, 1, 23, 30, tzinfo=UTC)
    config = InternetConfig(seed=4, packets=40_000, start=start, duration=7200, telescope=("198.18.0.0/18",))
    return simulate(config, tmp_path_factory.mktemp("sim")).capture


def test_packets_and_sessions_are_one_stream_in_the_order_of_time(tmp_path: Path, capture: Path) -> None:
    path = weeks(tmp_path, days=4)
    together = [Packets(), Sessions(), All()]
    result = analyze([path, capture], engines=together)
    alone = analyze([capture], engines=[Packets()])
    assert counts(result, "test.packets") == counts(alone, "test.packets")
    sessions, both = dict(counts(result, "test.sessions")), dict(counts(result, "test.all"))
    packets = dict(counts(alone, "test.packets"))
    assert both == {day: sessions.get(day, 0) + packets.get(day, 0) for day in sessions | packets}
    assert result.late == 0 and sum(packets.values()) > 20_000
    # Packets ended on the second day and sessions went on to the fourth: only the last day is cut short.
    assert [ctx.partial for ctx in together[2].contexts] == [False, False, False, True]
    assert [ctx.start for ctx in together[2].contexts] == [START + n * DAY for n in range(4)]


def test_a_telescope_is_no_matter_for_other_records(tmp_path: Path, capture: Path) -> None:
    from andon.records.contract import Site

    result = analyze(
        [weeks(tmp_path, 1), capture], Site(telescope=("198.18.0.0/24",)), [Packets(), Sessions()]
    )
    assert sum(n for _, n in counts(result, "test.sessions")) == 200
    assert result.files[1].outside > 10_000


def test_lines_that_were_not_read_are_told(tmp_path: Path) -> None:
    path = log(
        tmp_path / "cowrie.json", [cowrie(1, START), ["{broken"], cowrie(2, START + SECOND), ['{"a": 1}']]
    )
    result = analyze([path], engines=[Sessions()])
    (damage,) = [f for f in result.findings if f.kind == "input-damage"]
    assert damage.attributes["skipped"] == {"not valid JSON": 1, "no session or no time": 1}
    assert (
        damage.evidence[0].statement == "line 5: not valid JSON"
        and "2 sessions were read" in damage.statement
    )


def test_nobody_reads_a_kind_and_its_records_are_counted_all_the_same(tmp_path: Path) -> None:
    result = analyze([weeks(tmp_path)], engines=[Sources()])
    assert result.findings == [] and result.files[0].records == 200


def test_a_file_that_no_sensor_knows_gets_the_error_it_always_got(tmp_path: Path) -> None:
    path = tmp_path / "noise.bin"
    path.write_bytes(bytes(range(256)))
    result = analyze([path, tmp_path / "none.pcap"], engines=[Sessions()])
    assert not result.readable
    assert "which is no pcap or pcapng magic" in str(result.files[0].error)
    assert "No such file" in str(result.files[1].error)


def test_a_sensor_of_an_unknown_kind_is_an_error_of_its_file(tmp_path: Path) -> None:
    from andon.observe.sensors.honeypots import Honeypots

    class Odd(Honeypots):
        name, kind = "odd", "telegram"

    inputs = Inputs.of([weeks(tmp_path)])
    inputs.records = [(Odd(), report) for _, report in inputs.records]
    result = analyze(inputs, engines=[Sessions()])
    assert result.files[0].error == "sensor odd gives records of an unknown kind 'telegram'"
    assert not result.readable


def test_a_check_by_sql_is_counted_and_anybody_can_run_it_again(tmp_path: Path) -> None:
    path = weeks(tmp_path, days=3)
    result = analyze([path], engines=[Sessions()])
    out = tmp_path / "out"
    write_results(result, out)
    findings = [json.loads(line) for line in (out / "findings.ndjson").read_text().splitlines()]
    assert len(findings) == 3 and sum(f["attributes"]["busy"] for f in findings) > 30
    for finding in findings:
        (check,) = [item["check"] for item in finding["evidence"]]
        assert check["expected"] == finding["attributes"]["busy"]
        assert check["input"] == ["tables/test.sessions.counts.parquet"]
        connection = duckdb.connect(":memory:")
        connection.execute(f"SET file_search_path = '{out}'")
        assert connection.execute(check["expression"]).fetchall() == [(check["expected"],)]


class Sloppy(Sessions):
    """Its check is the SQL of ``given``."""

    given = ""

    def conclude(self, summary: Any, carry: object, ctx: Any) -> Any:
        outcome = super().conclude(summary, carry, ctx)
        (finding,) = outcome.findings
        (item,) = finding.evidence
        assert item.check is not None
        told = replace(item, check=replace(item.check, expression=self.given))
        return replace(outcome, findings=(finding.with_evidence((told,)),))


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("SELECT count(*) FROM read_csv('/etc/passwd')", "disabled"),
        ("SELECT 1; SELECT 2", "not one SELECT"),
        ("COPY (SELECT 1) TO '/tmp/andon-escape'", "not one SELECT"),
        ("SELECT 'one'", "one whole number"),
        ("SELECT unnest([1, 2])", "one whole number"),
        ("SELECT count(*) FROM no_such_table", "no_such_table"),
        ("INSTALL httpfs", "not one SELECT"),
    ],
)
def test_sql_that_is_no_check_is_told_and_reaches_nothing(tmp_path: Path, sql: str, why: str) -> None:
    engine = Sloppy()
    engine.given = sql
    result = analyze([weeks(tmp_path, days=1)], engines=[engine])
    (item,) = result.findings[0].evidence
    assert item.check is not None and item.check.expected is None
    assert "not counted" in item.statement and why in item.statement
    assert not Path("/tmp/andon-escape").exists()
