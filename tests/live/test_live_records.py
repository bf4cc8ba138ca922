"""Records of other kinds than packets in the live runner: kept, concluded, told of, and killed at random moments."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from live_parts import Clock, Parts
from live_runs import findings, finish, killed_writing, make_captures

from andon.observe.live.log import LogSource
from andon.observe.live.reports import ReportSource
from andon.observe.live.source import Piece
from andon.records.contract import Site
from andon.records.kinds import DARKNET_SOURCE, HONEYPOT_SESSION, REPORT, marked
from andon.records.sighting import SIGHTING
from andon.run.live.clocks import Clocks
from andon.run.live.config import ConfigError, load
from andon.run.live.ledger import Ledger
from andon.run.live.parts import site_of
from andon.run.live.records import RecordFiles
from andon.store.errors import StoreDamaged

RUN = Path(__file__).resolve().parent.parent / "run"
SECOND = 1_000_000_000
DAY = 86_400 * SECOND
START = 1_767_225_600 * SECOND  # 2026-01-01


@pytest.fixture(scope="module")
def engines(monkeypatch_module: pytest.MonkeyPatch) -> Any:
    monkeypatch_module.syspath_prepend(str(RUN))
    import record_engines

    return record_engines


@pytest.fixture(scope="module")
def monkeypatch_module() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def parts_of(folder: Path, sources: Sequence[Any], engines: Sequence[Any], now: int) -> Parts:
    """Parts whose sources give records of several kinds."""
    folder.mkdir(exist_ok=True)
    parts = Parts(folder, sources, Clock(now), engines=engines)
    records = RecordFiles(folder / "records", parts.journal.last)
    kinds = {source.name: getattr(source, "kind", "packet") for source in sources}
    old = parts.ledger
    parts.ledger = Ledger(
        engines, Site(), kinds, parts.casebook, old.states, old.tables, parts.past, old.messages, threads=2,
        records=records,
    )  # fmt: skip
    old.close()
    parts.pump.ledger, parts.pump.records = parts.ledger, records
    parts.ledger.wait_for_room = parts.pump._wait_for_room
    return parts


def documents(parts: Parts) -> list[dict[str, Any]]:
    return [finding.to_dict() for finding in parts.casebook.findings()]


def stored(parts: Parts, engine: str) -> dict[int, int]:
    """Records by day (of January), of the findings of an engine."""
    found = [f for f in documents(parts) if f["engine"] == engine]
    return {int(f["window"]["start"][8:10]) - 1: f["count"] for f in found}


def test_sessions_of_a_log_are_concluded_day_by_day(tmp_path: Path, engines: Any) -> None:
    sessions = [engines.cowrie(n, START + n * DAY // 10, f"192.0.2.{n % 7}") for n in range(45)]
    path = engines.log(tmp_path / "cowrie.json", sessions)
    parts = parts_of(
        tmp_path / "s", [LogSource("pot", path, once=True)], [engines.Sessions()], START + 9 * DAY
    )
    parts.run()
    parts.close()
    # The last day is not over: more may come.
    assert stored(parts, "test.sessions") == {0: 10, 1: 10, 2: 10, 3: 10}
    assert parts.pump.counters.records == {HONEYPOT_SESSION: 45}
    assert parts.pump.counters.by_source == {"pot": 45} and parts.pump.counters.received == 0
    # A check by SQL is counted in the table of its span and can be run again.
    for finding in documents(parts):
        (item,) = finding["evidence"]
        check = item["check"]
        assert check["expected"] == finding["attributes"]["busy"] > 0
        connection = duckdb.connect(":memory:")
        connection.execute(f"SET file_search_path = '{tmp_path / 's'}'")
        assert connection.execute(check["expression"]).fetchall() == [(check["expected"],)]
        assert all((tmp_path / "s" / name).is_file() for name in check["input"])


def test_a_restart_takes_up_open_days_and_changed_settings_read_them_again(
    tmp_path: Path, engines: Any
) -> None:
    first = [engines.cowrie(n, START + n * DAY // 10) for n in range(15)]
    path = engines.log(tmp_path / "cowrie.json", first)
    parts = parts_of(
        tmp_path / "s", [LogSource("pot", path, once=True)], [engines.Sessions()], START + 9 * DAY
    )
    parts.run()
    parts.close()
    engines.log(path, [*first, *(engines.cowrie(n, START + n * DAY // 10) for n in range(15, 45))])

    class Changed(engines.Sessions):  # type: ignore[misc, name-defined]
        version = 2

    again = parts_of(tmp_path / "s", [LogSource("pot", path, once=True)], [Changed()], START + 9 * DAY)
    said = again.ledger.restore()
    again.pump.run(list(again.journal.segments(after=again.ledger.segment)))
    again.close()
    assert "summarised again from" in said[0]
    assert stored(again, "test.sessions") == {0: 10, 1: 10, 2: 10, 3: 10}


def test_wild_times_are_told_and_open_nothing(tmp_path: Path, engines: Any) -> None:
    good = [engines.cowrie(n, START + n * DAY // 10) for n in range(25)]
    wild = [engines.cowrie(90, 0), engines.cowrie(91, START + 90 * 365 * DAY)]
    path = engines.log(tmp_path / "cowrie.json", [*good[:12], *wild, *good[12:]])
    parts = parts_of(
        tmp_path / "s", [LogSource("pot", path, once=True)], [engines.Sessions()], START + 9 * DAY
    )
    parts.run()
    parts.close()
    titles = {f["title"] for f in documents(parts) if f["engine"] == "run.live"}
    assert "pot: 1 records from the future" in titles and "pot: 1 records from before 1990" in titles


class Scripted:
    """Records, given one batch after another, that can be asked for again."""

    replayable = can_wait = True
    trouble = ""

    def __init__(self, name: str, batches: Sequence[tuple[pa.RecordBatch, int | None]]) -> None:
        self.name, self.kind = name, DARKNET_SOURCE
        self._batches = list(batches)
        self._given = 0

    def open(self, position: Any) -> None:
        self._given = int(position["given"]) if position else 0

    def poll(self, timeout: float) -> list[Piece]:
        if self._given == len(self._batches):
            return []
        batch, promise = self._batches[self._given]
        self._given += 1
        return [Piece(marked(batch, DARKNET_SOURCE), {"given": self._given, "promise": promise})]

    def events(self) -> list[dict[str, Any]]:
        return []

    def quiet(self) -> int | None:
        return None

    @property
    def finished(self) -> bool:
        return self._given == len(self._batches)

    def close(self) -> None:
        pass


def seen(times: Sequence[int]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(
        [{"first": t, "last": t, "src": 1, "dst_port": 23, "protocol": 6, "fingerprint": "", "packets": 1}
         for t in times], SIGHTING,
    )  # fmt: skip


def test_late_records_are_told_as_records(tmp_path: Path, engines: Any) -> None:
    source = Scripted(
        "partner", [(seen([START, START + 3 * DAY]), START + 3 * DAY), (seen([START + 5]), None)]
    )
    parts = parts_of(tmp_path / "s", [source], [engines.Sources()], START + 9 * DAY)
    parts.pump.commit_ns = 0
    parts.run()
    parts.close()
    assert stored(parts, "test.sources") == {0: 1}
    (late,) = [f for f in documents(parts) if "too late" in f["title"]]
    assert late["title"] == "1 records came too late for test.sources"


def test_who_waits_for_whom() -> None:
    class One:
        def __init__(self, name: str, reads: tuple[str, ...], needs: tuple[str, ...] = ()) -> None:
            self.name, self.reads, self.needs = name, reads, needs

    engines: Any = [
        One("alerts", ("packet",), ("marks:found@last",)), One("marks", ("packet",)),
        One("sessions", (HONEYPOT_SESSION,)), One("link", (), ("marks:found", "sessions:rows")), One("text", (REPORT,)),
    ]  # fmt: skip
    clocks = Clocks(engines, {"tap": "packet", "pot": HONEYPOT_SESSION, "news": REPORT})
    both = frozenset(("tap", "pot"))
    assert clocks.group == {
        "alerts": frozenset(("tap",)), "marks": both, "sessions": both, "link": both, "text": frozenset(),
    }  # fmt: skip
    clocks.rows("tap", np.array([100, 200]))
    assert clocks.reached() == {"alerts": 200} and clocks.low is None
    clocks.promise("pot", 50)
    assert clocks.reached() == {"alerts": 200, "marks": 50, "sessions": 50, "link": 50}
    again = Clocks(engines, {"tap": "packet", "pot": HONEYPOT_SESSION, "news": REPORT})
    again.restore(json.loads(json.dumps(clocks.state())))
    assert again.reached() == clocks.reached()
    # A checkpoint of a runner that knew of packets alone.
    older = Clocks(engines, {"tap": "packet"})
    older.restore({"newest": {"tap": 70}, "finished": []})
    assert older.reached() == {"alerts": 70, "marks": 70, "link": 70, "sessions": 70} or older.low == 70
    clocks.finish("pot")
    assert clocks.before("link") == 200


def test_records_whose_segment_never_came_are_gone_and_damage_is_seen(tmp_path: Path) -> None:
    files = RecordFiles(tmp_path / "r", 0, keep=0.0, now=lambda: 1e12)
    event = files.stage("partner", Piece(marked(seen([START]), DARKNET_SOURCE), {"promise": 5}))
    assert event == {"type": "records", "source": "partner", "kind": DARKNET_SOURCE, "rows": 1, "promise": 5}
    files.write(1)
    files.write(1)
    files.committed()
    ((source, forgeable, batch),) = files.kept(1)
    assert (source, forgeable, batch.num_rows) == ("partner", False, 1)
    RecordFiles(tmp_path / "r", 1)
    files.drop_through(0)
    (path,) = (tmp_path / "r").iterdir()
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(StoreDamaged, match="segment 1 are damaged"):
        files.kept(1)
    files.drop_through(1)
    assert not list((tmp_path / "r").iterdir())
    files.stage("partner", Piece(marked(seen([START]), DARKNET_SOURCE), {}))
    files.write(2)
    RecordFiles(tmp_path / "r", 1)
    assert not list((tmp_path / "r").iterdir())


ARTICLE = {"id": "R1", "title": "A botnet", "date": "2026-01-02", "text": "The Mirai botnet scans port 23."}


def test_reports_put_into_a_folder_are_read_once_whole_and_in_order(tmp_path: Path) -> None:
    folder, kept, position = tmp_path / "reports", [], None
    folder.mkdir()

    def read() -> list[str]:
        nonlocal position
        source = ReportSource("reports", folder, once=True)
        source.open(json.loads(json.dumps(position)))
        while not source.finished:
            for piece in source.poll(0.0):
                kept.extend(piece.batch.column("id").to_pylist())
                position = dict(piece.position) or position
        return [event["what"] for event in source.events()]

    (folder / "a.jsonl").write_text(json.dumps(ARTICLE) + "\n")
    assert read() == [] and kept == ["R1"]
    (folder / "b.jsonl").write_text(json.dumps({**ARTICLE, "id": "R2"}) + "\n")
    shutil.copy(folder / "a.jsonl", folder / "c.jsonl")  # the same again
    (folder / "noise.bin").write_bytes(bytes(range(256)))
    (folder / ".hidden").write_text("x")
    assert read() == ["no report of a form that is known"] and kept == ["R1", "R2"]
    (folder / "a.jsonl").touch()
    assert read() == [] and kept == ["R1", "R2"]


def test_a_report_counts_when_it_comes(tmp_path: Path, engines: Any) -> None:
    class Texts(engines.CountEngine):  # type: ignore[misc, name-defined]
        name, reads = "test.texts", (REPORT, DARKNET_SOURCE)

        def summarise(self, batch: pa.RecordBatch, into: Any) -> Any:
            if "title" not in batch.schema.names:
                return super().summarise(batch, into)
            into.add(REPORT, -1, batch.num_rows, START)
            return into

    folder = tmp_path / "reports"
    folder.mkdir()
    (folder / "old.json").write_text(json.dumps({**ARTICLE, "date": "2016-01-01"}))
    batches = [(seen([START + DAY]), START + DAY), (seen([START + 4 * DAY]), START + 4 * DAY)]
    for given, others in ((1, []), (1, [ReportSource("reports", folder, once=True)]), (2, [])):
        parts = parts_of(
            tmp_path / "s", [Scripted("partner", batches[:given]), *others], [Texts()], START + 9 * DAY
        )
        parts.run()
        parts.close()
    # Written ten years ago and read today: it counts in the span of today, and opens none of 2016.
    assert stored(parts, "test.texts") == {1: 2}
    assert not [f for f in documents(parts) if "too late" in f["title"]]


CONFIG = """[[source]]
name = "pot"
kind = "log"
path = "cowrie.json"
[store]
path = "s"
[[organisation]]
name = "Example"
prefixes = ["192.0.2.0/24"]
[[assets]]
path = "assets.csv"
owner = "Example"
[[reports]]
path = "reports"
"""


@pytest.mark.parametrize(
    ("old", "new", "wrong"),
    [
        ('path = "cowrie.json"\n', "", ":1: source.0: a source of kind \"log\" needs path"),
        ('owner = "Example"', 'owner = "Nobody"', ":12: assets are of 'Nobody', and there is no such"),
        ('path = "reports"', 'name = "pot"\npath = "reports"', ":14: two sources are named 'pot'"),
        ('path = "reports"', "", ":13: reports.0.path: is missing"),
        ('path = "assets.csv"', 'path = "assets.csv"\nowners = 1', ":12: assets.0.owners: there is no such setting"),
    ],
)  # fmt: skip
def test_mistakes_in_the_configuration_are_told_with_their_line(
    tmp_path: Path, old: str, new: str, wrong: str
) -> None:
    path = tmp_path / "andon.toml"
    assert old in CONFIG
    path.write_text(CONFIG.replace(old, new))
    with pytest.raises(ConfigError) as error:
        load(path)
    assert wrong in str(error.value)


def test_assets_of_the_configuration_come_to_the_site(tmp_path: Path) -> None:
    path = tmp_path / "andon.toml"
    path.write_text(CONFIG)
    config = load(path)
    with pytest.raises(ConfigError, match=r"andon\.toml:11: .*No such file"):
        site_of(config, path)
    (tmp_path / "assets.csv").write_text("noise\n")
    with pytest.raises(ConfigError, match=r"andon\.toml:11: .*not an asset list"):
        site_of(config, path)
    (tmp_path / "assets.csv").write_text(
        "asset_id,ip,device,vendor,product,owner\nA1,192.0.2.7,Router,Acme,R1,\nA2,192.0.2.8,DVR,Acme,D1,Other\n"
    )
    site, _ = site_of(config, path)
    assert site.assets is not None
    assert site.assets.column("asset").to_pylist() == ["A1", "A2"]
    assert site.assets.column("owner").to_pylist()[0] == "Example"


def test_status_and_metrics_tell_records_by_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from andon.cli.run import _show
    from andon.run.live.metrics import LiveMetrics
    from andon.run.live.status import Status, read_status, write_status

    status = Status(
        pid=1, started=START, clock=START, received=0, journaled=0, backlog=0, shed=0, lost=0, segment=3, findings=0,
        lag=None, state="running", sources={"pot": 45}, records={HONEYPOT_SESSION: 45},
    )  # fmt: skip
    families = {family.name: family for family in LiveMetrics(lambda: status).collect()}
    (sample,) = families["andon_records"].samples
    assert (sample.name, sample.labels, sample.value) == (
        "andon_records_total",
        {"kind": HONEYPOT_SESSION},
        45,
    )
    write_status(tmp_path, status.to_dict())
    found = read_status(tmp_path)
    assert found is not None
    _show(found)
    assert "records   honeypot-session: 45 received" in capsys.readouterr().out


def site_folder(folder: Path) -> Path:
    """Engines of somebody's package, as an installer would put them there."""
    about = folder / "records_test-1.0.dist-info"
    about.mkdir(parents=True)
    shutil.copy(RUN / "record_engines.py", folder)
    text = "import record_engines\n\n\ndef sessions(site):\n    return record_engines.Sessions()\n"
    (folder / "records_test.py").write_text(text + "\n\ndef every(site):\n    return record_engines.All()\n")
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: records-test\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[andon.engines]\nsessions = records_test:sessions\nevery = records_test:every\n"
    )
    return folder


@pytest.mark.slow
def test_a_runner_of_packets_and_logs_that_is_killed_ends_where_an_undisturbed_one_does(
    tmp_path: Path, engines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    site = site_folder(tmp_path / "site")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]))
    captures, logs = tmp_path / "caps", tmp_path / "logs"
    make_captures(captures, 12_000, 12, 2.0)
    logs.mkdir()
    rng = np.random.default_rng(7)
    starts = START + np.sort(rng.random(14_000) * 3.2 * DAY).astype(np.int64)
    sessions = [
        engines.cowrie(n, int(t), f"198.51.100.{n % 200}", 3 * int(n % 40)) for n, t in enumerate(starts)
    ]
    lines = [line for session in sessions for line in session]
    lines.sort(key=lambda line: json.loads(line)["timestamp"])
    half = len(lines) // 2
    (logs / "cowrie.json.1").write_text("".join(line + "\n" for line in lines[:half]))
    (logs / "cowrie.json").write_text("".join(line + "\n" for line in lines[half:]))
    os.utime(logs / "cowrie.json.1", (1e9, 1e9))

    def config(store: str) -> Path:
        path = tmp_path / f"{store}.toml"
        path.write_text(
            f'engines = ["test.sessions", "test.all"]\n'
            f'[[source]]\nname = "tap"\nkind = "folder"\npath = "{captures}"\nsettle = "1s"\n'
            f'[[source]]\nname = "pot"\nkind = "log"\npath = "{logs}/cowrie.json"\n'
            f'[store]\npath = "{tmp_path / store}"\ncommit = "1s"\ncommit_rows = 500\ncheckpoint = "1s"\n'
            f'history_every = "1s"\nretention = "3650d"\n'
        )
        return path

    finish(config("calm"))
    calm = findings(tmp_path / "calm")
    chance, hit = random.Random(5), 0
    for _ in range(3):
        hit += killed_writing(config("hurt"), tmp_path / "hurt", chance.randint(1, 3))
    finish(config("hurt"))
    hurt = findings(tmp_path / "hurt")
    print(f"{hit} of 3 rounds hit the runner")
    assert hit >= 2, "the runner was done before it was killed"
    assert hurt == calm and len(calm) >= 5
    days = {f["window"]["start"]: f["count"] for f in calm.values() if f["engine"] == "test.sessions"}
    expected: dict[str, int] = {}
    for start in starts.tolist():
        day = datetime.fromtimestamp(start // DAY * DAY / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        expected[day] = expected.get(day, 0) + 1
    assert days.items() <= expected.items() and len(days) == 3
