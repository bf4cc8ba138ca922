"""Alerts in lines of text: CEF, LEEF, tables, and what the operator maps."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import Any

import alert_samples as made
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from alert_reading import read, read_file

from andon.observe.jsonlines import Skipped
from andon.observe.logs.options import Options

EIGHT = 1_772_352_000_000_000_000  # 2026-03-01 08:00


def told(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value not in ("", -1) and name not in ("raw", "ts")}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            r"<134>2026-03-01T08:00:00Z fw1 CEF:0|Acme|IPS \| X|1.0|100|a \| in it|10|src=10.0.0.1 act=blocked a | "
            r"spt=1232 dst=198.51.100.2 request=http://x.example/?a=b&c=d msg=one \= two\nthree suser=al bert",
            {"product": "acme ips | x", "rule": "100", "title": "a | in it", "severity": 5, "disposition": 2,
             "host": "10.0.0.1", "address": "10.0.0.1", "src": "10.0.0.1", "src_port": 1232, "dst": "198.51.100.2",
             "name": "http://x.example/?a=b&c=d", "user": "al bert", "source": "cef"},
        ),
        (
            r"CEF:0|Acme|Acme EDR|1.0|E-1|worm stopped|Very-High|rt=1772352000000 dhost=srv1 fname=C:\\new\\x.exe "
            r"fileHash=AB cnt=3",
            {"product": "acme edr", "rule": "E-1", "title": "worm stopped", "severity": 5, "disposition": 0,
             "host": "srv1", "path": "C:\\new\\x.exe", "digest": "ab", "count": 3, "source": "cef"},
        ),
        (
            "<13>1 2026-03-01T08:00:00+00:00 host5 app - - - CEF:1|Acme|EDR|1|R-1|name|7",
            {"product": "acme edr", "rule": "R-1", "title": "name", "severity": 4, "disposition": 0, "host": "host5",
             "source": "cef"},
        ),
        (
            "LEEF:1.0|Example|Mail|4.0 SP1|15345|src=192.0.2.0\tdst=172.16.0.1\tsev=5\tcat=anomaly\tsrcPort=81\t"
            "usrName=joe\tdevTime=Mar 01 2026 08:00:00",
            {"product": "example mail", "rule": "15345", "title": "15345", "severity": 3, "disposition": 0,
             "category": "anomaly", "host": "172.16.0.1", "address": "172.16.0.1", "src": "192.0.2.0",
             "dst": "172.16.0.1", "src_port": 81, "user": "joe", "source": "leef"},
        ),
        (
            "LEEF:2.0|Example|Watch|1.0|41|^|src=10.0.1.8^dst=10.0.0.5^sev=9^devTime=2026-03-01 08:00:00",
            {"product": "example watch", "rule": "41", "title": "41", "severity": 5, "disposition": 0,
             "host": "10.0.0.5", "address": "10.0.0.5", "src": "10.0.1.8", "dst": "10.0.0.5", "source": "leef"},
        ),
        (
            "LEEF:2.0|Example|Watch|1.0|41|0x5E|devTime=1772352000000^identHostName=srv9^proto=17",
            {"product": "example watch", "rule": "41", "title": "41", "severity": 0, "disposition": 0,
             "host": "srv9", "protocol": "udp", "source": "leef"},
        ),
        (
            "Mar  1 08:00:00 gw CEF:0|Acme|FW|1|7|deny|3|src=198.51.100.3 dst=10.0.0.9 dhost=web3 dvchost=f proto=TCP",
            {"product": "acme fw", "rule": "7", "title": "deny", "severity": 2, "disposition": 0, "host": "web3",
             "address": "10.0.0.9", "src": "198.51.100.3", "dst": "10.0.0.9", "protocol": "tcp", "source": "cef"},
        ),
    ],
)  # fmt: skip
def test_cef_and_leef_by_the_book(tmp_path: Path, line: str, expected: dict[str, Any]) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(line.encode() + b"\n")
    os.utime(path, ns=(EIGHT, EIGHT))
    (row,) = read_file(path)
    assert told(row) == {"count": 1, "position": 0} | expected
    assert row["ts"] == EIGHT and row["raw"] == line


def test_times_without_a_year_are_before_the_files_last_change(tmp_path: Path) -> None:
    head = "CEF:0|A|B|1|1|t|1|cnt=1\n"
    path = tmp_path / "y.log"
    path.write_text("".join(f"{day} 08:00:00 h {head}" for day in ("Dec 31", "Jan 01", "Mar  2", "Feb 29")))
    os.utime(path, ns=(EIGHT, EIGHT))
    stamps = [np.datetime64(row["ts"], "ns").astype("datetime64[D]").item() for row in read_file(path)]
    assert [str(one) for one in stamps] == ["2025-12-31", "2026-01-01", "2026-03-02", "2024-02-29"]


def test_lines_without_a_payload_are_no_damage_and_torn_ones_are(tmp_path: Path) -> None:
    skipped = Skipped()
    good = "CEF:0|A|B|1|1|t|1|rt=1772352000000\n"
    rows = read(
        tmp_path, f"{good}Mar 1 08:00:00 h sshd: hello\nCEF:0|a|b|c\n{good}\nCEF:0|A|B|1|1|t|1|x=1\n".encode(),
        skipped=skipped,
    )  # fmt: skip
    assert [row["position"] for row in rows] == [0, 3]
    assert dict(skipped.passed) == {"lines without CEF or LEEF": 1}
    assert dict(skipped.reasons) == {"does not fit the format": 1, "no valid time": 1}


COLUMNS = ["time", "name", "ip", "host", "short", "time_label", "event_label"]


def _table(scenario: bool) -> tuple[list[str], list[list[str]]]:
    rows = [
        ["1642118401", "Wazuh: IDS event.", "10.0.0.1", "web", "W-All-Evt", "false_positive", "-"],
        [
            "1642118402",
            'Suricata: Alert - ET SCAN "x", y',
            "10.0.0.2",
            "fw",
            "S-Flw-Nmp",
            "network_scans",
            "scan",
        ],
        ["1642118403", "AMiner: New event type.", "10.0.0.3", "mail", "A-All-Evt", "webshell", "webshell"],
    ]
    if scenario:
        return ["scenario", *COLUMNS], [["fox", *row] for row in rows]
    return COLUMNS, rows


@pytest.mark.parametrize("scenario", [False, True])
def test_the_ait_table_is_read_without_its_labels(tmp_path: Path, scenario: bool) -> None:
    names, cells = _table(scenario)
    text = io.StringIO()
    csv.writer(text).writerows([names, *cells])
    from_csv = read(tmp_path, text.getvalue().encode(), "ads.csv")
    columns = {name: [row[n] for row in cells] for n, name in enumerate(names)}
    table = pa.table(
        {name: pa.array(list(map(int, held)) if name == "time" else held) for name, held in columns.items()}
    )
    pq.write_table(table, tmp_path / "ads.parquet")
    from_parquet = read_file(tmp_path / "ads.parquet")
    assert [row["position"] for row in from_csv] == [1, 2, 3]  # the heading is line 0
    assert [dict(row, position=0) for row in from_csv] == [dict(row, position=0) for row in from_parquet]
    assert [row["product"] for row in from_csv] == ["wazuh", "suricata", "aminer"]
    assert told(from_csv[1]) == {
        "product": "suricata", "rule": "S-Flw-Nmp", "title": "ET SCAN *, y", "severity": 0, "host": "fw",
        "address": "10.0.0.2", "disposition": 0, "count": 1, "position": 2, "source": "ait-ads",
        **({"site": "fox"} if scenario else {}),
    }  # fmt: skip
    assert not any("scan" in str(value) for value in from_csv[1].values()) and from_csv[1]["raw"] == ""


def test_the_whole_ait_table(andon_data: Path) -> None:
    path = andon_data / "triage" / "ait_ads_dev.parquet"
    if not path.exists():
        pytest.skip("no triage data")
    from andon.observe.sensors import sniff

    sensor = sniff(path)
    assert sensor is not None and sensor.kind == "alert"
    table = pa.Table.from_batches(sensor.read(path, Skipped()))
    real = pq.read_table(path, columns=["time", "scenario", "short", "host"])
    assert table.num_rows == real.num_rows
    assert (table["ts"].cast("int64").to_numpy() == real["time"].to_numpy() * 10**9).all()
    for ours, theirs in (("site", "scenario"), ("rule", "short"), ("host", "host")):
        assert table[ours].cast("string").to_pylist() == real[theirs].cast("string").to_pylist()


def test_alerts_written_as_parquet_come_back(tmp_path: Path) -> None:
    from andon.observe.sensors import sniff

    (tmp_path / "w.json").write_bytes(made.lines(*map(made.wazuh, range(20))))
    sensor = sniff(tmp_path / "w.json")
    assert sensor is not None
    table = pa.Table.from_batches(sensor.read(tmp_path / "w.json", Skipped()))
    pq.write_table(table, tmp_path / "w.parquet")
    assert read_file(tmp_path / "w.parquet") == read_file(tmp_path / "w.json")


MAPPING = """
kind = "alert"
source = "legacy-ids"
format = "{format}"
[columns]
ts = {{ from = "when", format = "%Y-%m-%d %H:%M:%S" }}
product = {{ value = "Legacy IDS" }}
rule = "sig"
title = "text"
severity = {{ from = "prio", map = {{ "P1" = "critical", "P2" = "low" }} }}
src = "from"
dst = "to"
dst_port = "port"
action = {{ from = "did", map = {{ "D" = "dropped" }} }}
"""


@pytest.mark.parametrize("form", ["csv", "json", "pairs"])
def test_what_the_operator_maps(tmp_path: Path, form: str) -> None:
    (tmp_path / "map.toml").write_text(MAPPING.format(format=form))
    fields = {"when": "2026-03-01 08:00:00", "sig": "77", "text": "bad, from 192.0.2.1", "prio": "P1",
              "from": "192.0.2.1", "to": "10.0.0.4", "port": "22", "did": "D"}  # fmt: skip
    import json

    if form == "csv":
        text = io.StringIO()
        csv.writer(text).writerows([fields, fields.values()])
        data = text.getvalue()
    elif form == "json":
        data = json.dumps(fields) + "\n"
    else:
        data = " ".join(f'{key}="{value}"' for key, value in fields.items()) + "\n"
    (row,) = read(tmp_path, data.encode(), "legacy.log", options=Options(mapping=tmp_path / "map.toml"))
    assert row["ts"] == EIGHT and row["product"] == "legacy ids" and row["severity"] == 5
    assert (row["rule"], row["title"], row["host"], row["dst_port"], row["disposition"], row["source"]) == (
        "77", "bad, from *", "10.0.0.4", 22, 2, "legacy-ids",
    )  # fmt: skip


def test_a_mapping_goes_before_what_a_file_looks_like(tmp_path: Path) -> None:
    (tmp_path / "map.toml").write_text(
        'kind = "alert"\nsource = "mine"\nformat = "json"\n[columns]\nts = { from = "timestamp", format = "iso" }\n'
        'rule = "id"\n'
    )
    rows = read(
        tmp_path, made.lines(*map(made.wazuh, range(3))), options=Options(mapping=tmp_path / "map.toml")
    )
    assert [row["source"] for row in rows] == ["mine"] * 3


def test_a_mapping_of_alerts_needs_a_rule_or_a_title(tmp_path: Path) -> None:
    from andon.observe.logs.mapping import load

    (tmp_path / "map.toml").write_text('kind = "alert"\nformat = "csv"\n[columns]\nts = "t"\nsrc = "s"\n')
    with pytest.raises(ValueError, match="rule or title is missing"):
        load(tmp_path / "map.toml")
