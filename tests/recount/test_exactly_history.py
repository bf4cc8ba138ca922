"""A file of the history is counted like a capture, and only those of its row groups that a window meets are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from andon.records.columns import column
from andon.records.finding import Check, Evidence, Finding
from andon.records.packet import SCHEMA
from andon.run.exactly import Counted, count, merge, wanted
from andon.run.feed import FileReport
from andon.run.recount import count_captures, recount
from andon.store.history_files import ENCODING
from andon.store.history_schema import STORED, to_stored
from made_packets import packets

SECOND = 10**9
START = 1_767_225_600 * SECOND
HOUR = 3600
PLAIN = "tcp.seq == ip.dst"
GROUP = 1000
_GIVEN = ("ts", "layers", "tcp_flags", "proto")


@pytest.fixture
def batch() -> pa.RecordBatch:
    """Six hours of packets, in order but for some seconds."""
    rng, rows = np.random.default_rng(4), 6 * GROUP
    dst = rng.integers(0, 90, rows)
    given = {
        "second": np.sort(rng.uniform(0, 6 * HOUR, rows)) + rng.uniform(0, 3, rows),
        "src": rng.integers(1, 500, rows),
        "dst": dst,
        "dst_port": rng.choice([22, 23, 80], rows),
        "tcp_seq": np.where(rng.random(rows) < 0.3, dst, 999),
        "vlan_tags": (np.arange(rows) == 10).astype(int),
    }
    plain = [field.name for field in SCHEMA if not pa.types.is_fixed_size_binary(field.type)]
    made = packets(plain, START, **{**dict.fromkeys(set(plain) - set(_GIVEN), 0), **given})
    columns = [
        made.column(field.name) if field.name in plain else pa.array([bytes(16)] * rows, field.type)
        for field in SCHEMA
    ]
    return pa.record_batch(columns, schema=SCHEMA)


@pytest.fixture
def stored(batch: pa.RecordBatch, tmp_path: Path) -> str:
    path = tmp_path / "0.parquet"
    table = pa.Table.from_batches([to_stored(batch, 0)], STORED)
    pq.write_table(table, path, row_group_size=GROUP, compression="zstd", **ENCODING)
    assert pq.ParquetFile(path).num_row_groups == 6
    return str(path)


def finding(first: float, last: float) -> Finding:
    return Finding(
        engine="darknet.fingerprint", engine_version=1, kind="scanner-fingerprint", title="t", statement="s",
        confidence=0.9, calibration="c", window=(START + int(first * HOUR) * SECOND, START + int(last * HOUR) * SECOND),
        subject=("fingerprint", "x"), first_seen=1, last_seen=2, count=3, evidence=(Evidence("e", Check(PLAIN, 0.0)),),
        attributes={"exact": {"relation": PLAIN}},
    )  # fmt: skip


def report(path: str, start: int | None = None, end: int | None = None) -> FileReport:
    return FileReport(path, start=start, end=end, rows=6 * GROUP)


FINDINGS = [finding(2.2, 2.6), finding(4.9, 5.1), finding(9, 10)]


def test_row_groups_outside_of_all_windows_are_not_read(stored: str, batch: pa.RecordBatch) -> None:
    rows: list[int] = []
    first = report(stored)
    made = recount(FINDINGS, [first], None, rows.append)
    assert sum(rows) <= 4 * GROUP < 6 * GROUP
    assert not first.damage, "a group that was passed over is no loss"
    ts, hit = column(batch, "ts"), column(batch, "tcp_seq") == column(batch, "dst")
    for one, told in zip(FINDINGS, made, strict=True):
        inside = hit & (ts >= one.window[0]) & (ts < one.window[1])
        assert told.attributes["exact"]["packets"] == inside.sum()
        assert told.evidence[0].check is not None and told.evidence[0].check.expected == inside.sum()
    assert made[0].count > 50 < made[1].count + 45 and made[2].count == 3


def test_a_file_counted_in_parts_gives_the_bytes_of_one_read(stored: str, batch: pa.RecordBatch) -> None:
    asked = wanted([finding(0, 6), *FINDINGS])
    whole = count_captures(asked, [report(stored)], None)
    cut = START + int(2.4 * HOUR) * SECOND
    parts = [report(stored, end=cut), report(stored, start=cut)]
    apart = [Counted.from_bytes(count_captures(asked, [one], None).to_bytes()) for one in parts]
    assert merge(*apart[::-1]).to_bytes() == merge(*apart).to_bytes() == whole.to_bytes()
    assert count_captures(asked, parts, None).to_bytes() == whole.to_bytes()
    assert (
        count(asked, [(0, batch, column(batch, "ts"))], [FileReport(stored, vlan_depth=1)]).to_bytes()
        == whole.to_bytes()
    )
    # Times of the first read are those of each part, though the path is the same.
    parts[1].first, parts[1].last, parts[0].first, parts[0].last = (
        cut,
        START + 6 * HOUR * SECOND,
        START,
        cut - 1,
    )
    assert count_captures(asked, parts, None).to_bytes() == whole.to_bytes()


def test_packets_that_are_gone_since_the_first_read_are_told(stored: str) -> None:
    first = report(stored)
    first.rows += 7
    recount([finding(0, 6)], [first], None)
    assert first.damage == ["checks count less than there was: 7 packets fewer than in the first read"]
    gone = FileReport(stored + "-.parquet", rows=5)
    recount([finding(0, 6)], [gone], None)
    assert len(gone.damage) == 1 and "this file is gone" in gone.damage[0]
