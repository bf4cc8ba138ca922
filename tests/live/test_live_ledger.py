"""What engines make of the journal, and what stays of it over restarts, changed settings and refused writes."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest
from live_parts import Clock, Parts, Scripted, batches_of

from andon.detect.darknet.census import engine as census
from andon.records.contract import Context, Outcome, Site, Window
from andon.records.finding import Check, Evidence, Finding
from andon.run.live.notices import Notices
from andon.run.live.past import Past
from andon.simulate.internet import InternetConfig
from andon.store.casebook import Casebook
from andon.store.errors import StoreFull
from andon.store.history import History
from andon.store.journal import Journal

DAY = 86_400 * 10**9
CONFIG = InternetConfig(seed=5, packets=30_000, duration=3.5 * 86_400)
START = int(CONFIG.start.timestamp()) * 10**9
LATER = START + 4 * DAY


@pytest.fixture(scope="module")
def batches() -> list[pa.RecordBatch]:
    return batches_of(CONFIG, 500)


class Renamed:
    """An engine under a setting of its own."""

    def __init__(self, engine: Any, site: Site) -> None:
        self._engine = engine
        self.uses = (*self._engine.uses, f"{engine.name}.test")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)


class Counter:
    """Publishes how many rows its span had, and wants that of the span before."""

    name: ClassVar = "test.counter"
    version: ClassVar = 1
    reads: ClassVar = ("packet",)
    columns: ClassVar = ("ts",)
    window: ClassVar = Window("2h", ("2h", "12h"))
    needs: ClassVar = ("test.counter:rows@last",)
    uses: ClassVar[tuple[str, ...]] = ()
    publishes: ClassVar = {"rows": pa.schema([("rows", pa.int64())])}
    limit: ClassVar = 1 << 20
    saw: ClassVar[dict[int, int | None]] = {}

    class Rows:
        def __init__(self, rows: int = 0) -> None:
            self.rows = rows

        def to_bytes(self) -> bytes:
            return self.rows.to_bytes(8, "big")

        @classmethod
        def from_bytes(cls, data: bytes) -> Counter.Rows:
            return cls(int.from_bytes(data, "big"))

    carries: ClassVar = Rows

    def empty(self) -> Counter.Rows:
        return self.Rows()

    def summarise(self, batch: pa.RecordBatch, into: Counter.Rows) -> Counter.Rows:
        return self.Rows(into.rows + batch.num_rows)

    def merge(self, a: Counter.Rows, b: Counter.Rows) -> Counter.Rows:
        return self.Rows(a.rows + b.rows)

    def conclude(self, summary: Counter.Rows, carry: Any, ctx: Context[Any]) -> Outcome[Any]:
        last = ctx.tables.get("test.counter:rows@last")
        carry = self.Rows((0 if carry is None else carry.rows) + summary.rows)
        if ctx.span == "12h":
            self.saw[ctx.start] = None if last is None else last.column(0)[0].as_py()
        return Outcome(carry=carry, tables={"rows": pa.table({"rows": [summary.rows]})})


def parts_of(folder: Path, batches: list[pa.RecordBatch], value: int = 1, name: str = "tap") -> Parts:
    folder.mkdir(exist_ok=True)
    site = Site(settings={"darknet.census.test": value, "test.counter.test": value})
    engines: list[Any] = [Renamed(census(site), site), Renamed(Counter(), site)]
    return Parts(folder, [Scripted(batches, name)], Clock(LATER), site, engines=engines)


def ran(parts: Parts) -> tuple[Parts, list[str]]:
    said = parts.ledger.restore()
    parts.pump.run(list(parts.journal.segments(after=parts.ledger.segment)))
    return parts, said


def concluded(parts: Parts) -> tuple[dict[str, str], dict[int, int | None]]:
    found = {one.id: one.document for one in parts.casebook.findings() if not one.engine.startswith("run.")}
    parts.close()
    assert found
    seen = dict(Counter.saw)
    Counter.saw.clear()
    return found, seen


def test_a_changed_setting_rebuilds_what_is_open_from_the_packets_and_says_so(
    tmp_path: Path, batches: list[pa.RecordBatch]
) -> None:
    part = len(batches) * 5 // 12  # in the middle of a span and of a tile
    calm = concluded(ran(parts_of(tmp_path / "calm", batches, 2))[0])
    first, _ = ran(parts_of(tmp_path / "store", batches[:part], 1))
    states = [windows.state() for windows in first.ledger.conclusions.windows]
    first.close()
    between = parts_of(tmp_path / "store", [], 2)
    said = between.ledger.restore()
    assert len(said) == 2
    assert all("another version or settings" in text for text in said)
    assert [windows.state() for windows in between.ledger.conclusions.windows] == states
    between.close()
    second, said_again = ran(parts_of(tmp_path / "store", batches[part:], 2))
    assert said_again == said  # nothing was saved in between
    assert concluded(second) == calm


def test_settings_that_stay_rebuild_nothing(tmp_path: Path, batches: list[pa.RecordBatch]) -> None:
    ran(parts_of(tmp_path, batches[:20]))[0].close()
    second, said = ran(parts_of(tmp_path, batches[20:]))
    assert said == []
    second.close()


def test_what_this_version_cannot_read_is_lost_aloud(tmp_path: Path, batches: list[pa.RecordBatch]) -> None:
    ran(parts_of(tmp_path, batches))[0].close()

    class Unreadable(Renamed):
        @property
        def carries(self) -> Any:
            class Carry:
                @classmethod
                def from_bytes(cls, data: bytes) -> Any:
                    raise ValueError("a carry of version 9")

            return Carry

    site = Site()
    engines: list[Any] = [Unreadable(census(site), site), Unreadable(Counter(), site)]
    parts = Parts(tmp_path, [Scripted([])], Clock(LATER), site, engines=engines)
    lost = [text for text in parts.ledger.restore() if "is lost" in text]
    assert len(lost) == 2  # one for each span of the counter; the census carries nothing
    assert all("version 9" in text for text in lost)
    told = parts.ledger.notices.changed()
    assert [finding.kind for finding in told] == ["memory-lost"] * 2
    assert all("version 9" in finding.statement and finding.count == 0 for finding in told)
    parts.close()


def test_a_source_of_another_name_goes_on_where_the_old_one_was(
    tmp_path: Path, batches: list[pa.RecordBatch]
) -> None:
    half = len(batches) // 2
    calm = concluded(ran(parts_of(tmp_path / "calm", batches))[0])
    ran(parts_of(tmp_path / "store", batches[:half], name="tap"))[0].close()
    assert concluded(ran(parts_of(tmp_path / "store", batches[half:], name="mirror"))[0]) == calm


def test_the_table_of_the_last_span_is_there_after_a_restart(
    tmp_path: Path, batches: list[pa.RecordBatch]
) -> None:
    def go(name: str, given: list[list[pa.RecordBatch]]) -> dict[int, int | None]:
        Counter.saw.clear()
        for some in given:
            ran(parts_of(tmp_path / name, some))[0].close()
        return dict(Counter.saw)

    whole = go("calm", [batches])
    assert go("store", [batches[:25], batches[25:]]) == whole
    assert (
        next(iter(whole.values())) is not None
    )  # the two-hour span that ended when this one began to be told
    assert all(rows for rows in list(whole.values())[1:])


def test_a_casebook_that_another_process_holds_is_waited_for(
    tmp_path: Path, batches: list[pa.RecordBatch]
) -> None:
    parts = Parts(tmp_path, [Scripted(batches, pause=0.002)], Clock(LATER), engines=[census(Site())])
    parts.casebook.close()
    parts.casebook = parts.ledger.casebook = Casebook(tmp_path, busy_seconds=0.1)
    other = sqlite3.connect(tmp_path / "casebook.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    thread = parts.run_aside()
    for _ in range(1200):
        if any("locked" in text for text in parts.pump.troubles.texts()):
            break
        threading.Event().wait(0.05)
    else:
        pytest.fail("nothing was said of the lock")
    other.execute("COMMIT")
    other.close()
    thread.join(timeout=120)
    assert parts.pump.failure is None
    assert not parts.pump.troubles.texts()
    assert (
        parts.ledger.findings == sum(1 for f in parts.casebook.findings() if f.engine == "darknet.census") > 0
    )
    parts.close()


def test_notices_are_told_again_until_they_are_stored(tmp_path: Path, batches: list[pa.RecordBatch]) -> None:
    parts = Parts(tmp_path, [Scripted(batches)], Clock(LATER), engines=[census(Site())])
    parts.ledger.notices.late("darknet.census", 5, LATER)
    save = parts.casebook.checkpoint

    def full(point: Any) -> None:
        raise StoreFull("no room")

    parts.casebook.checkpoint = full  # type: ignore[method-assign]
    with pytest.raises(StoreFull):
        parts.ledger.checkpoint(LATER)
    parts.casebook.checkpoint = save  # type: ignore[method-assign]
    parts.ledger.checkpoint(LATER)
    assert parts.kinds()["input-damage"].count == 5
    parts.close()


def test_a_notice_that_grows_is_one_finding_of_a_higher_revision(
    tmp_path: Path, batches: list[pa.RecordBatch]
) -> None:
    parts = Parts(tmp_path, [Scripted(batches)], Clock(LATER), engines=[census(Site())])
    for rows in (5, 7):
        parts.ledger.notices.late("darknet.census", rows, LATER)
        parts.ledger.checkpoint(LATER)
    (found,) = parts.casebook.findings()
    assert (found.count, found.revision) == (12, 2)
    parts.ledger.notices.late("darknet.census", 1, LATER + 3600 * 10**9)
    parts.ledger.checkpoint(LATER)
    assert len(list(parts.casebook.findings())) == 2
    parts.close()


def test_ten_thousand_bad_files_are_a_hundred_notices_and_one_more() -> None:
    notices = Notices()
    for n in range(10_000):
        event = {"type": "damage", "source": "s", "file": f"{n}.pcap", "places": 1}
        notices._add("input-damage", "s", event["file"], LATER, event)
    found = notices.changed()
    assert len(found) == 101
    assert sum(one.count for one in found) == 10_000


def finding(window: tuple[int, int], relation: str = "") -> Finding:
    check = Check(tool="tcpdump", relation=relation, by_chance=0.0) if relation else None
    return Finding(
        engine="test", engine_version=1, kind="census", title="t", statement="s", confidence=1.0,
        calibration="", window=window, subject=("x", str(window) + relation), first_seen=window[0],
        last_seen=window[0], count=1, evidence=(Evidence("e", check),),
    )  # fmt: skip


def test_counted_findings_keep_their_order(tmp_path: Path, batches: list[pa.RecordBatch]) -> None:
    parts = Parts(tmp_path, [Scripted(batches)], Clock(LATER), engines=[census(Site())])
    parts.run()
    one, two = (START, START + DAY), (START + DAY, START + 2 * DAY)
    asked = [
        finding(one, "ip.ttl == 64"),
        finding(two),
        finding(two, "ip.ttl == 64"),
        finding(one, "ip.ttl == 128"),
    ]
    told = parts.past.recount(asked, parts.ledger.segment)
    assert [f.subject for f in told] == [f.subject for f in asked]
    counts = [f.evidence[0].check.expected if f.evidence[0].check else None for f in told]
    assert counts[1] is None
    assert all(counts[n] is not None for n in (0, 2, 3))
    parts.close()


def test_rows_are_read_once_while_they_move_from_journal_to_history(
    tmp_path: Path, batches: list[pa.RecordBatch]
) -> None:
    journal, history = Journal(tmp_path / "journal"), History(tmp_path / "history")
    past = Past(journal, history, None)
    stop, wrong = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            through, expected = journal.last, journal.next_row
            with past.still:
                rows = sum(len(ts) for _, _, ts in past.rows(0, 1 << 62, ("ts",), through))
            if rows != expected:
                wrong.append((rows, expected))

    reader = threading.Thread(target=read)
    reader.start()
    for n, batch in enumerate(batches):
        journal.append("tap", batch, {})
        journal.commit(LATER)
        if n % 3 == 2:
            history.append(journal.segments(after=history.last_segment))
            with past.still:
                journal.drop_through(history.last_segment)
    stop.set()
    reader.join()
    assert [pair for pair in wrong if pair[0] < pair[1]] == []
    assert [pair for pair in wrong if pair[0] > pair[1] + 3 * 500] == []
    assert np.sum([b.num_rows for b in batches]) == 30_000
