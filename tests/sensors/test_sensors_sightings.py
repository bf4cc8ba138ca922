"""Tables of darknet sources: whatever types their columns have, and what is no row of such a table."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from andon.observe import sightings as module
from andon.observe.jsonlines import Skipped
from andon.observe.sightings import NoTable, recognise, sightings
from andon.records.sighting import SIGHTING

SECOND = 1_000_000_000
START = 1_767_225_600 * SECOND  # 2026-01-01


def read(path: Path) -> tuple[list[dict[str, Any]], Skipped]:
    skipped = Skipped()
    table = pa.Table.from_batches(sightings(path, skipped), schema=SIGHTING)
    times = [field.name for field in SIGHTING if pa.types.is_timestamp(field.type)]
    for name in times:
        position = table.schema.get_field_index(name)
        table = table.set_column(position, name, table.column(name).cast(pa.int64()))
    return table.to_pylist(), skipped


def stored(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize(
    "ts",
    [
        pa.array([START], pa.timestamp("ns", tz="UTC")),
        pa.array([START // 1000], pa.timestamp("us")),
        pa.array([START / 1e9]),
        pa.array([START / 1e6]),
        pa.array([START // SECOND]),
        pa.array([START // 1_000_000]),
        pa.array([START // 1000]),
        pa.array([START]),
        pa.array(["2026-01-01T00:00:00Z"]),
        pa.array(["2026-01-01 09:00:00+09:00"], pa.large_string()),
        pa.array(["1767225600.0"]),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "src",
    [pa.array(["192.0.2.1"]), pa.array([0xC0000201], pa.uint32()), pa.array([0xC0000201], pa.int64()),
     pa.array(["192.0.2.1"]).dictionary_encode()],
    ids=["text", "uint32", "int64", "dictionary"],
)  # fmt: skip
def test_times_and_addresses_of_any_type_are_the_same(tmp_path: Path, ts: pa.Array, src: pa.Array) -> None:
    path = stored(tmp_path / "a.parquet", ts=ts, src=src, dst_port=pa.array([23]))
    rows, skipped = read(path)
    assert rows == [{"first": START, "last": START, "src": 0xC0000201, "dst_port": 23, "protocol": 0,
                     "fingerprint": "", "packets": 1}]  # fmt: skip
    assert skipped.lines == 0


def test_csv_with_all_columns_in_any_order_is_read_as_parquet(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    text = (
        '\ufeffpackets,Fingerprint,SRC,remark,first,last,dst_port,protocol\r\n7,"tcp.seq == ip.dst, twice",192.0.2.1,x,'
        "2026-01-01T00:00:00Z,2026-01-01 00:00:05.5,23,6\r\n,,3221225986,y,1767225600,,,\r\n"
    )
    path.write_bytes(gzip.compress(text.encode()))
    rows, skipped = read(path)
    assert rows == [
        {"first": START, "last": START + 5_500_000_000, "src": 0xC0000201, "dst_port": 23, "protocol": 6,
         "fingerprint": "tcp.seq == ip.dst, twice", "packets": 7},
        {"first": START, "last": START, "src": 0xC0000202, "dst_port": 0, "protocol": 0, "fingerprint": "",
         "packets": 1},
    ]  # fmt: skip
    assert skipped.lines == 0


def test_rows_that_are_none_are_counted_by_reason_and_the_others_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = [
        "ts,src,dst_port,protocol,packets",
        "1767225600,192.0.2.1,23,6,1",
        "yesterday,192.0.2.1,23,6,1",
        "1767225600,2001:db8::1,23,6,1",
        "1767225600,192.0.2.1,65536,6,1",
        "1767225600,192.0.2.1,ssh,6,1",
        "1767225600,192.0.2.1,23,256,1",
        "1767225600,192.0.2.1,23,6,-5",
        "1767225600,192.0.2.1",
        "99999999999999999999,192.0.2.1,23,6,1",
    ]
    path.write_bytes("\n".join(rows).encode() + b"\n1767225600,192.0.2.\xff,23,6,1\n")
    found, skipped = read(path)
    assert len(found) == 1
    assert skipped.reasons == {
        module.NO_TIME_READ: 2, module.NO_SOURCE: 2, module.NO_PORT: 2, module.NO_PROTOCOL: 1, module.NO_COUNT: 1,
        module.NO_ROW: 1,
    }  # fmt: skip


def test_nulls_and_numbers_that_cannot_be_are_no_rows(tmp_path: Path) -> None:
    path = stored(
        tmp_path / "a.parquet",
        ts=pa.array([START / 1e9, None, float("nan"), 1e300, -1.0, START / 1e9, START / 1e9]),
        src=pa.array([1, 1, 1, 1, 1, -1, None]),
        dst_port=pa.array([23.0, 23.0, 23.0, 23.0, 23.0, 23.0, 23.0]),
    )
    rows, skipped = read(path)
    assert len(rows) == 1 and skipped.reasons == {module.NO_TIME_READ: 4, module.NO_SOURCE: 2}


def test_a_broken_gzip_gives_what_is_there_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    lines = "ts,src,dst_port\n" + "".join(
        f"{1_767_225_600 + n},192.0.2.1,{n % 60_000}\n" for n in range(90_000)
    )
    path.write_bytes(gzip.compress(lines.encode())[:-5000])
    rows, skipped = read(path)
    assert 10_000 < len(rows) < 90_000
    assert any("cut" in reason for reason in skipped.reasons)


def test_what_is_no_such_table_is_not_recognised(tmp_path: Path) -> None:
    other = stored(tmp_path / "a.parquet", src=pa.array([1]), port=pa.array([2]))
    assert not recognise(other.read_bytes(), str(other))
    assert not recognise(b"asset_id,ip,lease_start\n", "a.csv") and not recognise(b"", "b")
    assert recognise(b"first,src,dst_port", "a.csv")
    with pytest.raises(NoTable):
        read(other)


def test_the_scenarios_table_is_read_whole(andon_data: Path) -> None:
    path = andon_data / "joint" / "scenario" / "darknet_sources.parquet"
    rows, skipped = read(path)
    table = pq.read_table(path)
    assert len(rows) == table.num_rows == 134_412 and skipped.lines == 0
    assert rows[0]["first"] == round(table.column("ts")[0].as_py() * 1e6) * 1000
    named = [value or "" for value in table.column("fingerprint").to_pylist()]
    assert [row["fingerprint"] for row in rows] == named
    assert datetime.fromtimestamp(rows[-1]["first"] / 1e9, UTC).year == 2026
