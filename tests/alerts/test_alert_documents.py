"""Alerts that are JSON documents: each product's members in the columns, however the documents lie in the file."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import alert_samples as made
import pytest
from alert_reading import read

from andon.observe.jsonlines import Skipped
from andon.observe.logs.options import Options


def of(row: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


def test_suricata_alerts_have_the_number_of_the_rule_and_our_side(tmp_path: Path) -> None:
    skipped = Skipped()
    other = {"timestamp": made.eve(0)["timestamp"], "event_type": "stats", "flow_id": 1, "stats": {}}
    rows = read(tmp_path, made.lines(*map(made.eve, range(4)), other), skipped=skipped)
    assert [row["position"] for row in rows] == [0, 1, 2, 3] and sum(skipped.passed.values()) == 1
    row = rows[2]
    assert of(row, "product", "rule", "severity", "attack", "cve", "source") == (
        "suricata", "2034647", 4, "T1190", "CVE-2021-44228", "eve",
    )  # fmt: skip
    assert row["title"] == "ET EXPLOIT Apache log4j RCE Attempt (http ldap) (CVE-2021-44228)"
    assert row["ts"] == made.ns(2) and row["host"] == row["address"] == row["src"] == made.inside(2)
    assert of(row, "dst", "src_port", "dst_port", "protocol") == (made.outside(2), 40_002, 80, "tcp")
    assert of(row, "name", "path", "disposition") == ("www2.example/download?id=2", "/download", 1)
    assert rows[0]["disposition"] == 2 and rows[1]["severity"] == 2
    assert json.loads(row["raw"]) == made.eve(2)


def test_the_host_is_the_side_inside_else_the_destination(tmp_path: Path) -> None:
    events = [made.eve(0) | {"src_ip": src, "dest_ip": dst} for src, dst in (
        ("10.0.0.1", "198.51.100.1"), ("198.51.100.1", "10.0.0.1"), ("10.0.0.1", "10.0.0.2"),
        ("198.51.100.1", "198.51.100.2"), ("2001:db8::1", "fd00::1"), ("192.0.2.5", "10.0.0.1"),
    )]  # fmt: skip
    hosts = [row["host"] for row in read(tmp_path, made.lines(*events))]
    assert hosts == ["10.0.0.1", "10.0.0.1", "10.0.0.2", "198.51.100.2", "fd00::1", "10.0.0.1"]
    rows = read(tmp_path, made.lines(*events), options=Options(inside=("192.0.2.0/24",)))
    assert rows[5]["host"] == "192.0.2.5"


def test_a_rules_target_says_who_is_the_source(tmp_path: Path) -> None:
    event = made.eve(1)
    event["alert"] |= {"source": {"ip": "198.51.100.9", "port": 443}, "target": {"ip": "10.0.0.9", "port": 5}}
    (row,) = read(tmp_path, made.lines(event))
    assert of(row, "src", "src_port", "dst", "dst_port", "host") == (
        "198.51.100.9", 443, "10.0.0.9", 5, "10.0.0.9",
    )  # fmt: skip


def test_rules_of_other_groups_keep_their_group(tmp_path: Path) -> None:
    event = made.eve(1)
    event["alert"] |= {"gid": 3, "signature_id": 7}
    no_ip = made.eve(0)
    del no_ip["src_ip"], no_ip["dest_ip"]
    rows = read(tmp_path, made.lines(event, no_ip))
    assert [row["rule"] for row in rows] == ["3:7", "2013028"] and rows[1]["host"] == ""


def test_wazuh_names_the_agent_and_passes_suricata_on(tmp_path: Path) -> None:
    rows = read(tmp_path, made.lines(*map(made.wazuh, range(10))))
    assert [row["product"] for row in rows[:5]] == ["wazuh"] * 4 + ["suricata"]
    ssh, web, file, windows, ids = rows[:5]
    assert of(ssh, "rule", "severity", "host", "address", "user", "src", "src_port") == (
        "5710", 2, "srv0", made.inside(0), "admin0", made.outside(0), 4711,
    )  # fmt: skip
    assert ssh["attack"] == "T1110.001,T1021.004" and ssh["category"] == "syslog,sshd,invalid_login"
    assert ssh["uid"].endswith(".0") and ssh["ts"] == made.ns(0)
    assert of(web, "name", "protocol") == ("/wp-login.php?x=1", "")
    assert of(file, "path", "digest", "user") == ("/etc/passwd", "ab" * 32, "root")
    assert of(windows, "severity", "user", "path", "digest") == (
        4, "EXAMPLE\\alice", "C:\\Windows\\System32\\cmd.exe", "cd" * 32,
    )  # fmt: skip
    assert of(ids, "rule", "title", "severity", "host", "dst") == (
        "2013028", "ET POLICY curl User-Agent Outbound", 3, "srv4", made.outside(4),
    )  # fmt: skip


def test_the_manager_speaks_for_the_host_of_the_line(tmp_path: Path) -> None:
    alert = made.wazuh(0)
    alert["agent"] = {"id": "000", "name": "wazuh-manager"}
    alert["predecoder"]["hostname"] = "switch7"
    (row,) = read(tmp_path, made.lines(alert))
    assert of(row, "host", "address") == ("switch7", "")


def test_titles_lose_the_values_of_the_event(tmp_path: Path) -> None:
    texts = [
        f"User 'u{n}' from {made.outside(n)} read /home/u{n}/.ssh/id_rsa {n + 100000} times" for n in range(9)
    ]
    alerts = [made.wazuh(0) | {"rule": made.wazuh(0)["rule"] | {"description": text}} for text in texts]
    assert {row["title"] for row in read(tmp_path, made.lines(*alerts))} == {"User * from * read * * times"}


def test_aminer_tells_the_time_of_the_line(tmp_path: Path) -> None:
    for data in (made.lines(*map(made.aminer, range(3))), "\n".join(
        json.dumps(made.aminer(n), indent=2) for n in range(3)
    ).encode()):  # fmt: skip
        rows = read(tmp_path, data)
        assert [row["ts"] // 1_000_000 for row in rows] == [made.ns(n) // 1_000_000 for n in range(3)]
        assert of(rows[1], "product", "rule", "host", "address", "category") == (
            "aminer", "New request method in Apache Access log.", made.inside(1), made.inside(1),
            "NewMatchPathValueDetector",
        )  # fmt: skip


def test_zeek_notices_as_text_and_json(tmp_path: Path) -> None:
    rows = read(tmp_path, made.notice_text(3), "notice.log")
    assert of(rows[1], "product", "rule", "src", "dst", "dst_port", "host", "uid") == (
        "zeek", "SSL::Invalid_Server_Cert", made.inside(1), made.outside(1), 443, made.inside(1), "C1",
    )  # fmt: skip
    rows = read(tmp_path, made.lines(*map(made.notice, range(3))), "notice.json")
    assert of(rows[2], "rule", "src", "dst", "source") == (
        "SSH::Password_Guessing", made.outside(2), "", "zeek-notice",
    )  # fmt: skip


def test_ocsf_takes_what_the_evidences_hold(tmp_path: Path) -> None:
    row = read(tmp_path, made.lines(*map(made.ocsf, range(2))))[1]
    assert of(row, "product", "rule", "severity", "disposition", "host", "address") == (
        "example edr", "EDR-1003", 4, 2, "srv1", made.inside(1),
    )  # fmt: skip
    assert row["title"] == "Credential dumping on srv1 by process *" and row["attack"] == "T1003.001"
    assert of(row, "user", "command", "path", "digest", "dst", "dst_port") == (
        "alice", "procdump -ma lsass.exe 1", "C:\\tools\\procdump.exe", "ab" * 32, made.outside(1), 445,
    )  # fmt: skip
    assert of(row, "cve", "count", "uid", "site", "category") == (
        "CVE-2021-36934", 3, "f-1", "t1", "credential-access",
    )  # fmt: skip


@pytest.mark.parametrize("dotted", [False, True])
def test_kibana_alerts_nested_or_dotted(tmp_path: Path, dotted: bool) -> None:
    row = read(tmp_path, made.lines(*(made.kibana(n, dotted) for n in range(3))))[2]
    assert of(row, "product", "rule", "title", "severity", "host", "address", "user") == (
        "elastic", "4de76544-f0e5-486a-8f84-eae0b6063cdc", "Disable Windows Event Logs", 4, "srv2", made.inside(2),
        "alice",
    )  # fmt: skip
    assert row["attack"] == "T1562,T1562.002" and row["uid"] == "a2" and row["path"].endswith("wevtutil.exe")


def test_a_sensor_on_the_wire_is_not_the_machine(tmp_path: Path) -> None:
    row = read(tmp_path, made.lines(*map(made.beat, range(2))))[1]
    assert of(row, "product", "rule", "severity", "host", "src") == (
        "suricata", "2034647", 4, made.inside(1), made.outside(1),
    )  # fmt: skip


@pytest.mark.parametrize("spread", [None, 2])
def test_the_answer_of_a_search_is_read_hit_by_hit(tmp_path: Path, spread: int | None) -> None:
    answer = {
        "took": 3,
        "_shards": {"total": 1},
        "hits": {"total": {"value": 5}, "hits": [*map(made.hit, range(5))]},
    }
    rows = read(tmp_path, json.dumps(answer, indent=spread).encode())
    assert [row["ts"] for row in rows] == [made.ns(n) for n in range(5)] and rows[4]["host"] == "srv4"


def test_one_sigma_rule_is_one_signature_whichever_tool_found_it(tmp_path: Path) -> None:
    files = {
        "chainsaw": json.dumps([*map(made.chainsaw, range(3))]).encode(),
        "hayabusa": made.lines(*map(made.hayabusa, range(3))),
        "zircolite": json.dumps(made.zircolite(3), indent=4).encode(),
    }
    for name, data in files.items():
        rows = read(tmp_path, data, name)
        assert len(rows) == 3, name
        assert of(rows[1], "product", "rule", "title", "severity", "attack", "host", "user", "command") == (
            "sigma", "ca2092a1-c273-4878-9b4b-0d60115bf5ea", "Suspicious Encoded PowerShell", 4, "T1059.001",
            "srv1.example", "EX\\bob", "powershell -enc 1",
        ), name  # fmt: skip
        assert rows[1]["ts"] // 1_000_000 == made.ns(1) // 1_000_000, name


@pytest.mark.parametrize(
    "lay",
    [
        lambda some: made.lines(*some),
        lambda some: json.dumps(some).encode(),
        lambda some: json.dumps(some, indent=2).encode(),
        lambda some: b"\n".join(json.dumps(one, indent=1).encode() for one in some),
        lambda some: json.dumps({"hits": {"hits": [{"_source": one} for one in some]}}).encode(),
        lambda some: b"[\n" + b",\n".join(json.dumps(one).encode() for one in some) + b"\n]\n",
    ],
)
@pytest.mark.parametrize("sample", [made.wazuh, made.aminer, made.ocsf, made.kibana, made.hayabusa])
def test_how_documents_lie_makes_no_difference(
    tmp_path: Path, lay: Callable[[list[Any]], bytes], sample: Callable[[int], Any]
) -> None:
    some = [sample(n) for n in range(7)]
    plain = read(tmp_path, made.lines(*some))
    laid = read(tmp_path, lay(some))
    packed = read(tmp_path, gzip.compress(lay(some)), "alerts.json.gz")
    assert [dict(row, raw="", position=0) for row in plain] == [dict(row, raw="", position=0) for row in laid]
    assert laid == packed and [row["position"] for row in plain] == list(range(7))
