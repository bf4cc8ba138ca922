"""Suricata's EVE log: events of three versions as contacts and flows, nothing twice."""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from zeek_files import read

from andon.observe.jsonlines import Skipped
from andon.observe.logs import Options, eve, format_of

TIME = "2026-01-01T00:00:00.250000+0100"
AT = 1_767_222_000_250_000_000


def event(
    kind: str,
    src: str = "10.0.0.5",
    src_port: int = 50_000,
    dest: str = "198.51.100.7",
    dest_port: int = 443,
    **more: Any,
) -> str:
    ends = {"src_ip": src, "src_port": src_port, "dest_ip": dest, "dest_port": dest_port}
    return (
        json.dumps({"timestamp": TIME, "flow_id": 1, "event_type": kind, **ends, "proto": "TCP", **more})
        + "\n"
    )


def question(version: int, name: str, kind: str = "A") -> str:
    asked = {"rrname": name, "rrtype": kind}
    if version == 3:
        return event("dns", dest_port=53, dns={"version": 3, "type": "request", "queries": [asked]})
    return event("dns", dest_port=53, dns={"type": "query", "id": 2, **asked})


def answer(
    version: int, name: str, address: str, kind: str = "A", code: str = "NOERROR", turned: bool = False
) -> str:
    said: dict[str, Any] = {
        "rcode": code,
        "version": version,
        "type": "response" if version == 3 else "answer",
    }
    if version == 1:
        said |= {"rrname": name, "rrtype": kind, "rdata": address}
    else:
        said["answers"] = [
            {"rrname": name, "rrtype": "CNAME", "rdata": "alias.example"},
            {"rrname": "alias.example", "rrtype": kind, "rdata": address},
        ]
        said |= (
            {"queries": [{"rrname": name, "rrtype": kind}]}
            if version == 3
            else {"rrname": name, "rrtype": kind}
        )
    if turned:
        return event("dns", "198.51.100.53", 53, "10.0.0.5", 50_000, dns=said)
    return event("dns", dest_port=53, dns=said)


def test_http_events_say_who_asked_for_what() -> None:
    said = {
        "hostname": "A.example",
        "url": "/x",
        "http_user_agent": "U",
        "http_content_type": "text/html",
        "status": 302,
        "http_refer": "http://r.example/",
        "http_method": "GET",
        "redirect": "http://c.example/",
        "length": 9,
    }
    proxied = {
        "hostname": "proxy",
        "url": "http:\\/\\/b.example:81\\/y".replace("\\", ""),
        "http_method": "GET",
    }
    rows = read(
        eve,
        event("http", dest_port=8080, http=said)
        + event("http", http=proxied)
        + event("http", http={"url": "c.example:443", "http_method": "CONNECT"})
        + event("http", http={}),
    )
    first = rows[0]
    assert first["ts"] == AT and first["terminal"] == "10.0.0.5" and first["server"] == "198.51.100.7"
    assert (first["host"], first["port"], first["path"], first["location"]) == (
        "a.example",
        8080,
        "/x",
        "http://c.example/",
    )
    assert (first["status"], first["bytes_in"], first["mime"], first["referer"]) == (
        302,
        9,
        "text/html",
        "http://r.example/",
    )
    assert [(row["host"], row["port"], row["via"], row["server"]) for row in rows[1:]] == [
        ("b.example", 81, "http", ""),
        ("c.example", 443, "tunnel", ""),
        ("198.51.100.7", 443, "http", "198.51.100.7"),
    ]


def test_slashes_may_be_escaped() -> None:
    text = event("http", http={"hostname": "p.example", "url": "http://b.example:81/y"})
    assert read(eve, text.replace("/", "\\/")) == read(eve, text)
    assert read(eve, text.replace("/", "\\/"))[0]["host"] == "b.example"


def test_handshakes_name_the_host_or_leave_the_address() -> None:
    skipped = Skipped()
    text = (
        event("tls", tls={"sni": "A.example.", "version": "TLS 1.3"})
        + event("tls", dest_port=8443, tls={})
        + event("quic", quic={"sni": "q.example"})
        + event("quic", quic={"version": "1"})
    )
    rows = read(eve, text, None, skipped)
    assert [(row["host"], row["scheme"], row["source"]) for row in rows] == [
        ("a.example", "https", "suricata-tls"),
        ("198.51.100.7", "", "suricata-tls"),
        ("q.example", "https", "suricata-quic"),
    ]
    assert skipped.passed == {"quic events of Suricata without a name": 1} and not skipped.lines


@pytest.mark.parametrize("version", [1, 2, 3])
def test_questions_count_and_answers_do_not_count_again(version: int) -> None:
    skipped = Skipped()
    text = (
        question(version, "A.example")
        + answer(version, "a.example", "203.0.113.9")
        + question(version, "b.example", "AAAA")
    )
    text += question(version, "9.2.0.192.in-addr.arpa", "PTR") + question(version, "host")
    rows = read(eve, text, None, skipped)
    assert [(row["host"], row["method"], row["via"], row["status"]) for row in rows] == [
        ("a.example", "A", "dns", -1),
        ("b.example", "AAAA", "dns", -1),
    ]
    assert skipped.passed[eve.ANSWERS] == 1 and sum(skipped.passed.values()) == 3


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("turned", [False, True])
def test_answers_alone_are_contacts_with_the_address(version: int, turned: bool) -> None:
    text = answer(version, "a.example", "203.0.113.9", turned=turned) + answer(
        version, "no.example", "-", code="NXDOMAIN", turned=turned
    )
    rows = read(eve, text)
    assert [(row["host"], row["server"], row["status"], row["terminal"]) for row in rows] == [
        ("a.example", "203.0.113.9", 0, "10.0.0.5"),
        ("no.example", "", 3, "10.0.0.5"),
    ]


def test_flows_have_two_sides_and_netflow_events_one() -> None:
    flow = {
        "pkts_toserver": 3,
        "pkts_toclient": 0,
        "bytes_toserver": 180,
        "bytes_toclient": 0,
        "state": "new",
        "start": "2026-01-01T00:00:00.000000+0000",
        "end": "2026-01-01T00:00:02.500000+0000",
    }
    half = {"pkts": 3, "bytes": 180, "start": flow["start"], "end": flow["end"]}
    netflow = event("netflow", netflow=half, tcp={"tcp_flags": "1b"}, app_proto="tls")
    (row,) = read(eve, event("flow", flow=flow, app_proto="failed"))
    assert (row["ts"], row["duration"], row["service"], row["state"]) == (
        1_767_225_600_000_000_000,
        2_500_000_000,
        "",
        "new",
    )
    assert (row["answered"], row["bytes_out"], row["bytes_in"], row["packets_out"]) == (False, 180, 0, 3)
    assert row["protocol"] == "tcp" and row["source"] == "suricata-flow"
    (row,) = read(eve, netflow)
    assert (row["answered"], row["bytes_out"], row["bytes_in"], row["state"]) == (None, 180, -1, "SAFP")
    assert row["service"] == "tls"
    skipped = Skipped()
    rows = read(eve, event("flow", flow=flow) + netflow, None, skipped)
    assert [row["source"] for row in rows] == ["suricata-flow"] and skipped.passed == {eve.HALVES: 1}


def test_what_is_read_does_not_depend_on_how_the_file_is_cut() -> None:
    rng = random.Random(4)
    flow = {"start": TIME, "pkts_toserver": 1}
    pieces = [answer(2, f"x{n}.example", "1.2.3.4") for n in range(5)]
    pieces += [question(2, f"y{n}.example") for n in range(20)] + [
        event("netflow", netflow={"pkts": n}) for n in range(9)
    ]
    pieces += [event("flow", flow=flow), event("alert", alert={}), event("tls", tls={"sni": "t.example"})] * 3
    rng.shuffle(pieces)
    text = "".join(pieces)

    def told(rows: list[dict[str, Any]]) -> Counter[str]:
        return Counter(json.dumps(row, sort_keys=True) for row in rows)

    whole = told(read(eve, text))
    assert 26 < sum(whole.values()) < 40  # 26 are sure, a few came before the first of their betters
    for cut in (1, 400, 3000):
        assert told(read(eve, text, cut, restart=True)) == whole


def test_other_events_are_no_damage_and_other_lines_are() -> None:
    skipped = Skipped()
    text = (
        event("fileinfo", fileinfo={}) * 2
        + event("stats")
        + event("never_heard_of")
        + event("tls", tls={"sni": "a.example"})
    )
    text += '{"timestamp":"2026"}\n{"event_type":"tls","src_ip":"1.1.1.1","dest_ip":"2.2.2.2"}\n'
    text += 'nonsense\n{"event_type":"t\n'
    rows = read(eve, text, None, skipped)
    assert [row["host"] for row in rows] == ["a.example"]
    assert (
        sum(skipped.passed.values()) == 4
        and skipped.passed["fileinfo events of Suricata: not of use here"] == 2
    )
    assert skipped.reasons == {
        "no event_type": 1,
        "tls event without a time or an address": 1,
        "not a JSON object": 1,
        "line cut short": 1,
    }


def test_recognition() -> None:
    assert eve.recognise(event("dns").encode(), "eve.json")
    assert format_of(event("dns").encode(), "eve.json", Options()) is eve
    assert not eve.recognise(b'{"ts":1,"id.orig_h":"1.1.1.1"}\n', "x") and not eve.recognise(b"", "x")


@pytest.mark.parametrize("seed", range(4))
def test_hostile_bytes_are_counted_and_never_fatal(seed: int) -> None:
    rng = random.Random(seed)
    good = (
        question(3, "a.example")
        + answer(2, "b.example", "1.2.3.4")
        + event("flow", flow={"start": TIME})
        + event("http", http={"hostname": "a", "url": "http://b/c"})
    ).encode() * 4
    for _ in range(60):
        data = bytearray(good)
        for _ in range(rng.randrange(1, 15)):
            at = rng.randrange(len(data))
            if rng.random() < 0.5:
                data[at] = rng.choice(b'"{}[]:,\\\n\x00\xffa0')
            else:
                del data[at : at + rng.randrange(40)]
        read(eve, bytes(data))


def test_a_real_log_is_read_to_the_last_event(andon_data: Path) -> None:
    text = gzip.decompress(
        (andon_data / "livenet/zeek/slips_test6_suricata_eve.json.gz").read_bytes()
    ).decode()
    kinds = Counter(json.loads(one)["event_type"] for one in text.splitlines())
    skipped = Skipped()
    rows = read(eve, text, 1 << 18, skipped)
    found = Counter(row["source"] for row in rows)
    assert found == {
        "suricata-flow": kinds["flow"],
        "suricata-http": 56,
        "suricata-tls": 1,
        "suricata-dns": 340,
        "eve": kinds["alert"],
    }
    assert skipped.passed[eve.ANSWERS] == 340 and not skipped.lines
    assert len(rows) + sum(skipped.passed.values()) == len(text.splitlines()) == 5000
    flows = [json.loads(one)["flow"] for one in text.splitlines() if '"event_type":"flow"' in one]
    assert sum(row["bytes_out"] for row in rows if row["source"] == "suricata-flow") == sum(
        f["bytes_toserver"] for f in flows
    )
