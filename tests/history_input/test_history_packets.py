"""One file of a history as a feed reads it: every packet, as far ahead as is said, and damage that is told."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from received import MIDNIGHT, SECOND, START, append, numbered, one_after_another, received, table_file, trunk

from andon.observe import read
from andon.records.columns import column
from andon.records.contract import Site
from andon.records.packet import COLUMNS, SCHEMA
from andon.run.batch import analyze
from andon.run.engines import load_engines
from andon.run.feed import Feed, FileReport
from andon.run.inputs import Inputs
from andon.run.packets import HistoryPackets, NoPackets, open_packets
from andon.store.history import History
from andon.store.history_files import checksum
from andon.store.history_schema import STORED
from andon.store.journal import Journal

DAY = START // (86_400 * SECOND) * 86_400 * SECOND


def renamed(path: Path) -> Path:
    """The file under a name that says its checksum."""
    return path.rename(path.with_name(f"{path.stem.split('-')[0]}-{checksum(path):08x}.parquet"))


def unnamed(path: Path) -> Path:
    """The file under a name that says no checksum, as other writers name theirs."""
    return path.rename(path.with_name(f"part0{path.stem.split('-')[0]}.parquet"))


def together(path: Path, **bounds: Any) -> pa.Table:
    return pa.Table.from_batches(list(open_packets(path, **bounds)), SCHEMA).sort_by("ts").combine_chunks()


def test_every_column_comes_back_in_wire_types(tmp_path: Path) -> None:
    packets = numbered(np.arange(DAY, DAY + 3000 * 777, 777))
    path = table_file(tmp_path, [packets.column("ts").view(pa.int64()).to_numpy()])
    assert together(path).equals(pa.Table.from_batches([packets]).combine_chunks())
    few = next(iter(open_packets(path, ["dst_port", "ts"])))
    assert few.schema.names == ["dst_port", "ts"] and few.column("dst_port").equals(
        packets.column("dst_port")
    )
    with pytest.raises(KeyError, match="no column 'payload'"):
        open_packets(path, ["payload"])


def test_a_capture_is_read_as_ever_and_between_bounds(tmp_path: Path) -> None:
    capture = trunk(tmp_path / "t.pcap", 500)
    whole = pa.Table.from_batches(list(read(capture)), SCHEMA)
    assert pa.Table.from_batches(list(open_packets(capture)), SCHEMA).equals(whole)
    ts = np.concatenate([column(batch, "ts") for batch in read(capture)])
    reader = open_packets(capture, ["src"], int(ts[100]), int(ts[300]))
    assert sum(batch.num_rows for batch in reader) == 200 == reader.counts.rows
    assert next(iter(open_packets(capture, ["src"], int(ts[100]), None))).schema.names == ["src"]


groups = st.lists(
    st.lists(st.integers(0, 6 * 3600), min_size=1, max_size=60).map(
        lambda seconds: [DAY + second * SECOND + n for n, second in enumerate(seconds)]
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=30)
@given(groups, st.integers(0, 6 * 3600), st.integers(0, 6 * 3600))
def test_whatever_the_order_each_packet_comes_once_and_ahead_is_never_too_far(
    tmp_path_factory: pytest.TempPathFactory, times: list[list[int]], first: int, length: int
) -> None:
    path = table_file(tmp_path_factory.mktemp("f"), times)
    start, end = DAY + first * SECOND, DAY + (first + length) * SECOND
    reader = open_packets(path, ["ts", "ip_id"], start, end)
    assert isinstance(reader, HistoryPackets)
    seen: list[int] = []
    ahead = reader.ahead
    for batch in reader:
        ts = column(batch, "ts")
        assert ahead is not None and int(ts.min()) >= ahead
        seen += ts.tolist()
        ahead = reader.ahead
    assert reader.ahead is None
    assert sorted(seen) == sorted(t for group in times for t in group if start <= t < end)


def test_pieces_of_a_file_run_no_further_ahead_of_one_another_than_a_minute(tmp_path: Path) -> None:
    """Two captures were received one after the other: each group begins again where the one before began."""
    hour = np.arange(DAY, DAY + 3600 * SECOND, SECOND // 10)  # 36,000 packets
    path = table_file(tmp_path, [hour, hour + 1])
    reader = open_packets(path, ["ts"])
    newest, behind = DAY, 0
    for batch in reader:
        ts = column(batch, "ts")
        behind = max(behind, newest - int(ts.min()))
        newest = max(newest, int(ts.max()))
    assert behind <= 8 * 60 * SECOND  # 4,096 packets of a group are given at once; an hour without this


def test_a_feed_over_many_files_holds_few_of_them_open(tmp_path: Path) -> None:
    """Each of 200 files has three row groups, and begins when the one before has an hour to go."""
    files = [
        table_file(tmp_path, [DAY + (100 * n + 60 * g + np.arange(60)) * SECOND for g in range(3)])
        for n in range(200)
    ]
    reports = [FileReport(str(path), begins=DAY + 100 * n * SECOND) for n, path in enumerate(files)]
    most, rows, passed = 0, 0, 0
    for _, batch, ts, watermark in Feed(reports[::-1], ("src",), None):
        assert int(ts.min()) >= passed
        passed = max(passed, watermark)
        rows += batch.num_rows
        most = max(most, _open_tables())
    assert rows == 200 * 180 and most <= 4


def _open_tables() -> int:
    """Parquet files that this process has open."""
    return sum(
        fd.is_symlink() and str(fd.readlink()).endswith(".parquet") for fd in Path("/proc/self/fd").iterdir()
    )


def _flip(path: Path) -> Path:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    return path


def _cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-100])
    return path


def _columns(path: Path) -> Path:
    pq.write_table(pa.table({"ts": [1, 2], "dst": ["a", "b"]}), path)
    return renamed(path)


def _text(path: Path) -> Path:
    path.write_bytes(b"PAR1" + b"nothing of the kind" * 100)
    return renamed(path)


def _gone(path: Path) -> Path:
    path.unlink()
    return path


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (_flip, "its checksum is not the one in its name"),
        (_cut, "its checksum is not the one in its name|does not read"),
        (lambda path: _cut(unnamed(path)), "does not read"),
        (_columns, "not a file of the packet history: ts is timestamp"),
        (_text, "does not read"),
        (_gone, "this file is gone"),
    ],
)
def test_a_file_that_cannot_be_used_is_said_and_the_others_are_read(
    tmp_path: Path, damage: Callable[[Path], Path], text: str
) -> None:
    good = table_file(tmp_path, [DAY + np.arange(50) * SECOND])
    bad = damage(table_file(tmp_path, [DAY + np.arange(50) * SECOND]))
    with pytest.raises(NoPackets, match=text):
        open_packets(bad)
    for begins in (None, DAY):
        feed = Feed([FileReport(str(bad), begins=begins), str(good)], ("src",), None)
        assert sum(batch.num_rows for _, batch, _, _ in feed) == 50
        assert feed.reports[1].error is None and re.search(text, str(feed.reports[0].error))


def test_a_damaged_page_is_counted_where_no_checksum_says_so(tmp_path: Path) -> None:
    path = unnamed(table_file(tmp_path, [DAY + (100 * g + np.arange(90)) * SECOND for g in range(3)]))
    group = pq.ParquetFile(path).metadata.row_group(1)
    data = bytearray(path.read_bytes())
    for n in range(group.num_columns):  # all pages of the group in the middle
        chunk = group.column(n)
        at = chunk.dictionary_page_offset or chunk.data_page_offset
        data[at : at + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    path.write_bytes(data)
    result = analyze(
        [path], Site(), load_engines(Site(), ["darknet.census"])
    )  # given as a file, it is one of packets
    (report,) = result.files
    assert (report.rows, report.packets, report.skipped) == (180, 270, {"damaged row group": 90})
    assert report.places == 1 and "row group 1 of 90 packets is left out" in report.damage[0]
    assert [f.count for f in result.findings if f.kind == "input-damage"] == [270]


@pytest.mark.parametrize(
    ("name", "values", "text"),
    [
        ("dst_port", [1, None], "1 values of dst_port are missing"),
        ("dst_port", [1, 70_000], "does not read"),
        ("src", [-1, 5], "does not read"),
        ("ts", [0, 2**62], "times that are out of all bounds"),
    ],
)
def test_values_that_were_never_written_leave_their_group_out(
    tmp_path: Path, name: str, values: list[int | None], text: str
) -> None:
    path = table_file(tmp_path, [[DAY, DAY + 1]])
    table = pq.read_table(path, partitioning=None)
    at = table.schema.get_field_index(name)
    kind = STORED.field(name).type
    array = pa.array(values, pa.int64())
    table = table.set_column(at, STORED.field(name), array.view(kind) if name == "ts" else array.cast(kind))
    pq.write_table(table, path)
    reader = open_packets(renamed(path))
    assert list(reader) == [] and text in reader.damage[0].what and reader.counts.packets == 2


def test_a_file_that_is_removed_while_it_is_read_is_read_to_its_end(tmp_path: Path) -> None:
    path = table_file(tmp_path, [DAY + (100 * g + np.arange(90)) * SECOND for g in range(3)])
    batches = iter(open_packets(path))
    first = next(batches).num_rows
    path.unlink()
    assert first + sum(batch.num_rows for batch in batches) == 270


def test_files_that_go_between_the_two_reads_are_told(tmp_path: Path) -> None:
    """What the engines saw is then more than what checks count: nobody shall think that the packets were not there."""
    received(tmp_path, one_after_another([trunk(tmp_path / "t.pcap")]), rows=500, segments=1)
    inputs = Inputs()
    inputs.add_history(tmp_path)
    gone = inputs.captures[2].path

    def progress(stage: str, rows: int) -> None:
        if stage == "check":
            Path(gone).unlink(missing_ok=True)

    result = analyze(inputs, Site(), load_engines(Site(), ["darknet.census"]), progress)
    assert result.readable and sum(report.rows for report in result.files) == 3_000
    told = [finding for finding in result.findings if finding.kind == "input-damage"]
    assert [finding.subject for finding in told] == [("file", gone)]
    assert (
        "checks count less than there was" in told[0].statement and "this file is gone" in told[0].statement
    )


def test_what_a_compaction_replaces_is_read_until_its_grace_is_over(tmp_path: Path) -> None:
    history = received(tmp_path, one_after_another([trunk(tmp_path / "t.pcap")]), rows=200, segments=1)
    inputs = Inputs()
    inputs.add_history(tmp_path)
    before = len(inputs.captures)
    assert history.compact().files_before >= 8
    assert sum(batch.num_rows for _, batch, _, _ in Feed(inputs.captures, ("src",), None)) == 3_000
    again = Inputs()
    assert again.add_history(tmp_path) < before - 6


def test_wild_times_of_one_commit_do_not_open_windows_without_end(tmp_path: Path) -> None:
    """A commit with more dates than get a file of their own has one of mixed dates, where few times fit the others."""
    rng = np.random.default_rng(1)
    wild = rng.integers(0, 2**61, 3_000)
    journal, history = Journal(tmp_path / "journal"), History(tmp_path / "history")
    journal.append("a", numbered(np.concatenate([START + np.arange(500) * SECOND, wild])), {})
    journal.commit(MIDNIGHT)
    append(journal, history)
    inputs = Inputs()
    inputs.add_history(tmp_path)
    feed = Feed(inputs.captures, ("src",), None, cut=86_400 * SECOND)
    given = sum(batch.num_rows for _, batch, _, _ in feed)
    left = sum(report.astray for report in feed.reports)
    assert given + left == 3_500 and left > 2_700
    assert all(report.astray == 0 for report in feed.reports if "__HIVE" not in report.path)


def test_columns_of_the_record_are_those_of_the_table() -> None:
    assert set(COLUMNS) < set(STORED.names)
