"""From packets of a telescope to a report: through the engine of sightings, and nothing of the telescope in it."""

from __future__ import annotations

import json
import time
from ipaddress import ip_address, ip_network
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from andon.detect.darknet.sightings import SightingsEngine, engine
from andon.records import packet
from andon.records.contract import Context, Site
from andon.records.sighting import SIGHTING
from andon.share.hub import protocol as p
from andon.share.hub.client import reports
from andon.share.hub.telescope import heard, of_table

NOW = time.time_ns()
HOUR = NOW // p.HOUR * p.HOUR
COVER = [ip_network("198.51.100.0/24"), ip_network("2001:db8::/32"), ip_network("101.0.0.0/8")]


def table(*rows: tuple[str, int, int, str, int, int]) -> pa.Table:
    """(source, port, protocol, fingerprint, packets, last) a row."""
    columns = {
        "first": [last - 10 for *_, last in rows],
        "last": [last for *_, last in rows],
        "src": [int(ip_address(source)) for source, *_ in rows],
        "dst_port": [port for _, port, *_ in rows],
        "protocol": [protocol for _, _, protocol, *_ in rows],
        "fingerprint": [fingerprint for _, _, _, fingerprint, *_ in rows],
        "packets": [packets for *_, packets, _ in rows],
    }
    return pa.table(columns, schema=SIGHTING)


def test_rows_of_one_source_and_hour_are_one_sighting_and_constants_stay_at_home(tmp_path: Path) -> None:
    made = table(
        ("198.51.100.7", 23, 6, "mirai", 5, HOUR + 5),
        ("198.51.100.7", 2323, 6, "tcp.seq == ip.dst ^ 0xcb007100", 3, HOUR + 9),
        ("198.51.100.7", 23, 6, "", 2, HOUR - 5),
        ("198.51.100.9", 0, 1, "fp-dac33e68", 1, HOUR + 5),
        ("8.8.8.8", 53, 17, "", 9, HOUR + 5),
        ("101.1.1.1", 1, 47, "", 4, HOUR - 8 * 24 * p.HOUR),
    )
    found = list(of_table(made, COVER))
    assert found == [
        p.Sighting("101.1.1.1", "scan", HOUR - 8 * 24 * p.HOUR, 4),
        p.Sighting("198.51.100.7", "scan", HOUR - p.HOUR, 2, (("tcp", 23, 2),)),
        p.Sighting("198.51.100.7", "scan", HOUR, 8, (("tcp", 23, 5), ("tcp", 2323, 3)), "mirai"),
        p.Sighting("198.51.100.9", "scan", HOUR, 1, (("icmp", 0, 1),)),
    ]
    pq.write_table(made, tmp_path / "t.parquet")
    kept = list(heard(tmp_path / "t.parquet", COVER, NOW))
    assert kept == found[1:]  # the hub takes nothing older than a week
    (report,) = reports(kept)
    assert p.read_report(json.loads(report.to_json()), NOW) == report
    assert "cb007100" not in report.to_json()
    assert list(of_table(made.slice(0, 0), COVER)) == [] and list(of_table(made, [])) == []


def test_another_table_is_said_to_be_one(tmp_path: Path) -> None:
    pq.write_table(pa.table({"src": [1]}), tmp_path / "t.parquet")
    with pytest.raises(ValueError, match=r"no table of darknet\.sightings"):
        list(heard(tmp_path / "t.parquet", COVER, NOW))
    wrong = table(("198.51.100.7", 23, 6, "", 5, HOUR)).set_column(2, "src", pa.array(["x"]))
    with pytest.raises(ValueError, match=r"no table of darknet\.sightings"):
        list(of_table(wrong, COVER))
    (tmp_path / "lines").write_text("{}\nno json\n")
    with pytest.raises(ValueError, match="line 2 is no JSON"):
        list(heard(tmp_path / "lines", COVER, NOW))


def test_packets_become_a_report(tmp_path: Path) -> None:
    day = NOW - NOW % (24 * p.HOUR)
    size = 500
    given = {
        "ts": day + np.arange(size) * 10**9, "src": np.arange(size) % 50 + int(ip_address("198.51.100.0")),
        "src_port": 40_000, "dst_port": np.arange(size) % 3 + 21, "proto": packet.PROTO_TCP,
        "tcp_flags": packet.SYN, "layers": packet.IPV4 | packet.TCP, "icmp_type": 0,
    }  # fmt: skip
    fields = [packet.SCHEMA.field(name) for name in SightingsEngine.columns]
    columns = [np.broadcast_to(np.asarray(given[field.name]), size).astype(np.int64) for field in fields]
    arrays = [pa.array(column).cast(field.type) for column, field in zip(columns, fields, strict=True)]
    made = engine(Site())
    summary = made.summarise(pa.record_batch(arrays, schema=pa.schema(fields)), made.empty())
    outcome = made.conclude(summary, None, Context("1d", day, day + 24 * p.HOUR, tables={}))
    pq.write_table(outcome.tables["sources"], tmp_path / "darknet.sightings.sources.parquet")
    found = list(heard(tmp_path / "darknet.sightings.sources.parquet", COVER, day + 24 * p.HOUR))
    assert len(found) == 50 and sum(one.packets for one in found) == size
    assert {port for one in found for _, port, _ in one.ports} == {21, 22, 23}
    (report,) = reports(found)
    assert p.read_report(json.loads(report.to_json()), day + 24 * p.HOUR) == report
