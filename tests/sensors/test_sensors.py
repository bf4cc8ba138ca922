"""Which sensor a file goes to, and that others may bring their own."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from andon.observe import sensors
from andon.observe.jsonlines import Skipped
from andon.observe.sensors import sniff
from andon.observe.sensors.totals import totals
from andon.records.kinds import KINDS

COWRIE = (
    '{"eventid": "cowrie.session.connect", "session": "a1", "sensor": "pot", "src_ip": "192.0.2.1", '
    '"timestamp": "2026-01-01T00:00:00.000000Z"}\n'
)
ARTICLE = {"id": "R1", "title": "A botnet", "date": "2026-01-02", "text": "The Mirai botnet scans port 23."}


@pytest.mark.parametrize(
    ("name", "data", "sensor"),
    [
        ("a.pcap", bytes.fromhex("d4c3b2a1") + b"\0" * 40, "capture"),
        ("a.pcapng", bytes.fromhex("0a0d0d0a") + b"\0" * 40, "capture"),
        ("cowrie.json", COWRIE.encode(), "honeypot-log"),
        ("cowrie.json.gz", gzip.compress(COWRIE.encode(), mtime=0), "honeypot-log"),
        ("cut.json.gz", gzip.compress(COWRIE.encode() * 99, 0, mtime=0)[:-20], "honeypot-log"),
        ("sources.csv", b"ts,src,dst_port\n1,192.0.2.1,23\n", "darknet-sources"),
        ("sources.csv.gz", gzip.compress(b"ts,src,dst_port\n1,192.0.2.1,23\n", mtime=0), "darknet-sources"),
        ("reports.jsonl", json.dumps(ARTICLE).encode() + b"\n", "report"),
        ("noise.bin", bytes(range(256)) * 8, None),
        ("empty", b"", None),
        ("other.parquet", b"PAR1" + b"\0" * 100, None),
        ("other.json", b'{"some": "thing"}\n' * 5, None),
        ("deep.json", b"[" * 100_000, None),
    ],
)
def test_a_file_goes_to_the_sensor_that_knows_it(
    tmp_path: Path, name: str, data: bytes, sensor: str | None
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    found = sniff(path)
    assert (None if found is None else found.name) == sensor


REAL = {
    "scenario/cowrie.json.zst": "honeypot-log",
    "scenario/tanner_report.json.zst": "honeypot-log",
    "scenario/darknet_sources.parquet": "darknet-sources",
    "scenario/reports.jsonl": "report",
    "scenario/assets.csv.zst": "asset-list",
    "scenario/assets_ja.csv": "asset-list",
    "scenario/assets_nmap.xml.zst": "asset-list",
    "scenario/assets_shodan.jsonl.zst": "asset-list",
    "scenario/assets_censys.jsonl.zst": "asset-list",
    "scenario/assets_runzero.jsonl.zst": "asset-list",
    "scenario/assets_ocsf.jsonl.zst": "asset-list",
    "tpot_gcp_2025/heralding.jsonl.zst": "honeypot-log",
    "tpot_gcp_2025/honeytrap_attackers.jsonl.zst": "honeypot-log",
    "tpot_formats_2025/ciscoasa/ciscoasa.log.zst": "honeypot-log",
    "tpot_formats_2025/fatt/fatt.log.zst": "honeypot-log",
    "rules/recog_xml.tar.zst": None,
    "scenario/truth/addresses.parquet": None,
    "scenario/truth/sessions.parquet": None,
}


@pytest.mark.parametrize(("name", "sensor"), REAL.items())
def test_real_files_go_where_they_belong(andon_data: Path, name: str, sensor: str | None) -> None:
    found = sniff(andon_data / "joint" / name)
    assert (None if found is None else found.name) == sensor


def test_records_are_in_the_schema_of_their_kind(andon_data: Path) -> None:
    for name in ("scenario/cowrie.json.zst", "scenario/darknet_sources.parquet", "scenario/reports.jsonl"):
        path = andon_data / "joint" / name
        sensor = sniff(path)
        assert sensor is not None
        for batch in sensor.read(path, Skipped()):
            assert batch.schema.equals(KINDS[sensor.kind].schema)


def test_totals_of_each_kind(andon_data: Path) -> None:
    def of(name: str) -> dict[str, object]:
        path = andon_data / "joint" / "scenario" / name
        sensor = sniff(path)
        assert sensor is not None
        return totals(sensor, path)

    sources = of("darknet_sources.parquet")
    assert (sources["records"], sources["unique_src_v4"], sources["fingerprints"]) == (134_412, 13_650, 9)
    assert (sources["first_ts"], sources["skipped"]) == ("2026-03-01T00:02:37.245307Z", {})
    assert of("cowrie.json.zst")["sessions"] == 4893
    reports = of("reports.jsonl")
    assert reports["records"] == 14 and reports["undated"] == 0


PLUGIN = """
import pyarrow as pa
from andon.records.sighting import SIGHTING

class Beacons:
    name = "beacons"
    kind = "darknet-source"
    def recognise(self, head, name):
        return head.startswith(b"BEACON 1")
    def read(self, path, skipped):
        rows = []
        for number, line in enumerate(open(path, "rb").read().split(b"\\n")[1:], 1):
            if line.isdigit():
                rows.append({"first": int(line), "last": int(line), "src": 1, "dst_port": 23, "protocol": 6,
                             "fingerprint": "", "packets": 1})
            elif line:
                skipped.add(number, "no beacon")
        yield pa.RecordBatch.from_pylist(rows, SIGHTING)

def sensor():
    return Beacons()
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Somebody's package with a sensor of its own, as an installer would put it there."""
    site = tmp_path / "site"
    about = site / "beacons-1.0.dist-info"
    about.mkdir(parents=True)
    (site / "beacons_sensor.py").write_text(PLUGIN)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: beacons\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[andon.sensors]\nbeacons = beacons_sensor:sensor\n")
    monkeypatch.syspath_prepend(str(site))
    sensors.sensors.cache_clear()
    yield
    sensors.sensors.cache_clear()


def test_a_sensor_of_somebody_elses_package_is_asked_too(tmp_path: Path, installed: None) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"BEACON 1\n1767225600000000000\nnonsense\n1767225601000000000\n")
    sensor = sniff(path)
    assert sensor is not None and sensor.name == "beacons"
    found = totals(sensor, path)
    assert (found["kind"], found["records"], found["packets"]) == ("beacons", 2, 2)
    assert found["skipped"] == {"no beacon": 1} and found["first_ts"] == "2026-01-01T00:00:00Z"
