"""Zeek's text logs: headings, fields, what becomes of lines that are none."""

from __future__ import annotations

import random

import pytest
from zeek_files import HTTP, heading, http, line, read

from andon.observe.jsonlines import Skipped
from andon.observe.logs import Options, format_of, zeek

CONN = (
    "ts",
    "uid",
    "id.orig_h",
    "id.orig_p",
    "id.resp_h",
    "id.resp_p",
    "proto",
    "service",
    "duration",
    "orig_bytes",
    "resp_bytes",
    "conn_state",
    "local_orig",
    "history",
    "orig_pkts",
    "resp_pkts",
)
DNS = (
    "ts",
    "uid",
    "id.orig_h",
    "id.orig_p",
    "id.resp_h",
    "id.resp_p",
    "trans_id",
    "rtt",
    "query",
    "qtype",
    "qtype_name",
    "rcode",
    "answers",
)
SSL = (
    "ts",
    "uid",
    "id.orig_h",
    "id.orig_p",
    "id.resp_h",
    "id.resp_p",
    "cipher",
    "server_name",
    "established",
)
ENDS = {"id_orig_h": "10.0.0.5", "id_orig_p": 50_000, "id_resp_h": "198.51.100.7", "id_resp_p": 443}


def test_a_request_becomes_a_contact_with_all_that_the_line_says() -> None:
    (row,) = read(
        zeek,
        heading("http", HTTP)
        + http(
            host="WWW.Example.",
            uri="/a?b=1",
            referrer="http://r.example/",
            user_agent="x y",
            request_body_len=7,
            response_body_len=90,
            status_code=302,
            resp_mime_types="text/html,text/plain",
            username="admin",
        ),
    )
    assert row["ts"] == 1_767_225_600_250_000_000
    assert (row["terminal"], row["address"], row["server"], row["port"]) == (
        "192.0.2.1",
        "192.0.2.1",
        "198.51.100.9",
        80,
    )
    assert (row["host"], row["path"], row["scheme"], row["via"]) == ("www.example", "/a?b=1", "http", "http")
    assert (row["bytes_in"], row["bytes_out"], row["status"], row["duration"]) == (90, 7, 302, -1)
    assert (row["referer"], row["agent"], row["mime"]) == ("http://r.example/", "x y", "text/html")
    assert row["user"] == ""  # of the site, not of the terminal
    assert (row["location"], row["category"], row["source"]) == (None, None, "zeek-http")


@pytest.mark.parametrize(
    ("method", "uri", "host", "expected"),
    [
        ("CONNECT", "c2.example:8443", "-", ("c2.example", 8443, "tunnel", "", "")),
        ("connect", "[2001:db8::1]:443", "proxy", ("2001:db8::1", 443, "tunnel", "", "")),
        ("GET", "http://u:p@A.example:81/x?y", "proxy.example", ("a.example", 81, "http", "http", "/x?y")),
        ("GET", "https://a.example", "-", ("a.example", 443, "http", "https", "")),
        ("GET", "http://a.example?q", "-", ("a.example", 80, "http", "http", "?q")),
        ("GET", "ftp://a.example/f", "-", ("a.example", -1, "http", "", "/f")),
        ("GET", "http://a.example:99999/", "-", ("a.example", 80, "http", "http", "/")),
    ],
)
def test_through_an_explicit_proxy_the_host_is_that_of_the_url(
    method: str, uri: str, host: str, expected: tuple[str, int, str, str, str]
) -> None:
    text = http(method=method, uri=uri, host=host, id_resp_h="10.0.0.1", id_resp_p=3128, username="alice")
    (row,) = read(zeek, heading("http", HTTP) + text)
    assert (row["host"], row["port"], row["via"], row["scheme"], row["path"]) == expected
    assert row["server"] == ""  # what was seen is the proxy
    assert row["user"] == "alice"


@pytest.mark.parametrize(
    ("host", "uri", "expected"),
    [
        ("-", "/x", "198.51.100.9"),
        ("a.example:8080", "/", "a.example"),
        ("[2001:DB8::5]:80", "/", "2001:db8::5"),
        ("2001:db8::5", "/", "2001:db8::5"),
        ("(empty)", "/", "198.51.100.9"),
        ("...", "/", "198.51.100.9"),
        ("a.example", "*", "a.example"),
    ],
)
def test_without_a_url_the_host_is_the_header_or_the_server(host: str, uri: str, expected: str) -> None:
    (row,) = read(zeek, heading("http", HTTP) + http(host=host, uri=uri))
    assert row["host"] == expected and row["port"] == 80 and row["server"] == "198.51.100.9"


def test_a_proxy_that_asks_who_it_is_refuses() -> None:
    text = "".join(
        http(method=method, uri=uri, host="x.example", status_code=status)
        for method, uri in (("CONNECT", "x.example:443"), ("GET", "/"))
        for status in (200, 403, 407)
    )
    assert [row["refused"] for row in read(zeek, heading("http", HTTP) + text)] == [
        False,
        True,
        True,
        False,
        False,
        True,
    ]


def test_a_connect_to_nowhere_is_counted_and_no_contact() -> None:
    skipped = Skipped()
    rows = read(
        zeek,
        heading("http", HTTP) + http(method="CONNECT", uri=":443") + http(host="a.example"),
        None,
        skipped,
    )
    assert [row["host"] for row in rows] == ["a.example"]
    assert skipped.reasons == {"http log of Zeek: no host": 1}


def test_flows_have_state_answer_and_sides() -> None:
    text = heading("conn", CONN) + "".join(
        line(
            CONN,
            ts="1767225600",
            uid="C",
            **ENDS,
            proto=proto,
            duration=duration,
            orig_bytes=out,
            resp_bytes=back,
            conn_state=state,
            history=history,
            orig_pkts=packets,
            resp_pkts=answer,
            service="ssl",
        )
        for proto, duration, out, back, state, history, packets, answer in (
            ("tcp", "1.5", 10, 20, "SF", "ShADadFf", 4, 3),
            ("tcp", "-", "-", "-", "S0", "S", 1, 0),
            ("icmp", "0.1", 56, 56, "OTH", "-", 1, "-"),
            ("udp", "1e-06", 5, "-", "SF", "Dd", 1, "-"),
            ("udp", "1", 5, "-", "S0", "-", 1, "-"),
        )
    )
    rows = read(zeek, text)
    assert [row["answered"] for row in rows] == [True, False, None, True, False]
    assert [row["duration"] for row in rows] == [1_500_000_000, -1, 100_000_000, 1000, 1_000_000_000]
    assert [(row["src_port"], row["dst_port"]) for row in rows[1:3]] == [(50_000, 443), (-1, -1)]
    assert [(row["bytes_out"], row["bytes_in"]) for row in rows[:2]] == [(10, 20), (-1, -1)]
    assert rows[0]["state"] == "SF" and rows[0]["service"] == "ssl" and rows[0]["source"] == "zeek-conn"
    assert rows[0]["terminal"] == rows[0]["src"] == "10.0.0.5" and rows[0]["dst"] == "198.51.100.7"


def test_questions_are_contacts_but_for_reverse_and_local_ones() -> None:
    asked = [
        ("A", 1, "www.Example.", 53, "alias.example,203.0.113.5,203.0.113.6"),
        ("HTTPS", 65, "a.example", 53, "-"),
        ("TXT", 16, "t.example", 53, "TXT 5 1.2.3"),
        ("AAAA", 28, "six.example", 53, "2001:db8::7"),
        ("PTR", 12, "7.2.0.192.in-addr.arpa", 53, "-"),
        ("-", 12, "b.example", 53, "-"),
        ("A", 1, "printer.local", 5353, "-"),
        ("A", 1, "wpad", 5355, "-"),
        ("A", 1, "c.example", 5353, "-"),
        ("-", "-", "-", 53, "-"),
    ]
    skipped = Skipped()
    text = heading("dns", DNS) + "".join(
        line(
            DNS,
            ts="1767225600",
            uid="C",
            **{**ENDS, "id_resp_p": port},
            trans_id=1,
            rtt="0.01",
            query=query,
            qtype=kind,
            qtype_name=name,
            rcode=0,
            answers=answers,
        )
        for name, kind, query, port, answers in asked
    )
    rows = read(zeek, text, None, skipped)
    assert [(row["host"], row["method"], row["server"]) for row in rows] == [
        ("www.example", "A", "203.0.113.5"),
        ("a.example", "HTTPS", ""),
        ("t.example", "TXT", ""),
        ("six.example", "AAAA", "2001:db8::7"),
    ]
    assert {(row["via"], row["status"], row["port"], row["duration"]) for row in rows} == {
        ("dns", 0, -1, 10_000_000)
    }
    assert sum(skipped.passed.values()) == 6 and not skipped.lines


def test_a_handshake_without_a_name_is_a_contact_with_the_address() -> None:
    rows = read(
        zeek,
        heading("ssl", SSL)
        + "".join(
            line(SSL, ts="1767225600", uid="C", **ENDS, cipher="x", server_name=name, established="T")
            for name in ("-", "A.example", "(empty)")
        ),
    )
    assert [row["host"] for row in rows] == ["198.51.100.7", "a.example", "198.51.100.7"]
    assert {(row["via"], row["scheme"], row["port"], row["server"]) for row in rows} == {
        ("tls", "https", 443, "198.51.100.7")
    }


def test_headings_may_come_again_and_change() -> None:
    turned = (*HTTP[:1], "new_field", *HTTP[:0:-1])
    text = (
        heading("http", HTTP)
        + http(host="a.example")
        + "#close\t2026\n"
        + heading("http", turned)
        + line(
            turned,
            ts="1767225601",
            new_field="x\ty".replace("\t", " "),
            id_orig_h="10.0.0.9",
            host="b.example",
            id_resp_p=8080,
            id_resp_h="1.2.3.4",
            trans_depth=1,
        )
        + heading("conn", CONN)
        + line(CONN, ts="1767225602", **ENDS, proto="tcp")
        + heading("http", HTTP, " ", "?").replace("http", "http")
        + http(host="c.example").replace("\t-", " ?").replace("\t", " ")
    )
    skipped = Skipped()
    rows = read(zeek, text, None, skipped)
    assert [row.get("host", row["source"]) for row in rows] == [
        "a.example",
        "b.example",
        "zeek-conn",
        "c.example",
    ]
    assert rows[1]["port"] == 8080 and rows[1]["terminal"] == "10.0.0.9"
    assert not skipped.lines
    for cut in (1, 100, 333):
        assert read(zeek, text, cut) == rows
        assert read(zeek, text, cut, restart=True) == rows


def test_what_is_unset_is_empty_and_what_is_no_column_is_null() -> None:
    short = tuple(name for name in HTTP if name not in ("user_agent", "resp_mime_types"))
    (row,) = read(
        zeek, heading("http", short) + line(short, ts="1767225600", id_orig_h="1.1.1.1", host="a.example")
    )
    assert row["agent"] is None and row["mime"] is None and row["referer"] == ""
    assert row["status"] == -1 and row["bytes_in"] == -1 and row["method"] == ""


def test_lines_that_are_none_are_counted_with_their_reason() -> None:
    good = http(host="a.example")
    text = (
        "1767225600\tbefore\n"
        + heading("http", HTTP)
        + good
        + "1767225600.1\tC2\t10.0.0.1\n"
        + good.rstrip("\n")
        + "\tmore\n"
        + http(ts="never", host="b.example")
        + http(id_orig_h="-", host="c.example")
        + "\n\r\n"
        + good
        + good[:40]
    )
    skipped = Skipped()
    rows = read(zeek, text, None, skipped)
    assert len(rows) == 2
    assert skipped.reasons == {
        "before any heading (#fields)": 1,
        "fewer fields than the heading names": 2,
        "more fields than the heading names": 1,
        "http log of Zeek: no time": 1,
        "http log of Zeek: no address of the client": 1,
    }
    places = {reason: number for number, reason in skipped.examples}
    assert places["before any heading (#fields)"] == 1 and places["more fields than the heading names"] == 12


def test_other_logs_are_recognised_and_counted() -> None:
    text = heading("x509", ("ts", "fingerprint", "certificate.version")) + "1767225600\tabc\t3\n" * 3
    quic = heading("quic", ("ts", *HTTP[1:6], "client_initial_dcid")) + "1\tC\ta\t1\tb\t2\tx\n"
    skipped = Skipped()
    assert zeek.recognise(text.encode(), "x509.log") and read(zeek, text + quic, None, skipped) == []
    assert skipped.passed == {"x509 log of Zeek: not of use here": 3, "quic log of Zeek: not of use here": 1}
    assert not skipped.lines


def test_a_log_under_another_name_is_known_by_its_fields() -> None:
    assert len(read(zeek, heading("http_eth1", HTTP) + http(host="a.example"))) == 1


def test_carriage_returns_are_no_part_of_the_last_field() -> None:
    text = (heading("http", HTTP) + http(host="a.example", resp_mime_types="text/html")).replace("\n", "\r\n")
    (row,) = read(zeek, text)
    assert row["mime"] == "text/html"


def test_recognition_does_not_take_what_others_read() -> None:
    assert zeek.recognise(heading("http", HTTP).encode(), "x")
    assert not zeek.recognise(b"#Software: x\n#Version: 1.0\n#Fields: date time c-ip\n", "x")
    assert not zeek.recognise(b'{"timestamp":"2026","event_type":"dns","ts":1,"id":{"orig_h":1}}\n', "x")
    assert not zeek.recognise(b'{"eventid":"cowrie.session.connect","id.orig_h":1}\n', "x")
    assert not zeek.recognise(b"", "x") and not zeek.recognise(b"\xff\xfe\x00{", "x")
    assert format_of(heading("conn", CONN).encode(), "x", Options()) is zeek


@pytest.mark.parametrize("seed", range(8))
def test_hostile_bytes_are_counted_and_never_fatal(seed: int) -> None:
    rng = random.Random(seed)
    good = (
        heading("http", HTTP) + http(host="a.example", uri="/x") * 20 + heading("dns", DNS) + http() * 3
    ).encode()
    for _ in range(60):
        data = bytearray(good)
        for _ in range(rng.randrange(1, 12)):
            at = rng.randrange(len(data))
            action = rng.randrange(4)
            if action == 0:
                data[at] = rng.randrange(256)
            elif action == 1:
                del data[at : at + rng.randrange(60)]
            elif action == 2:
                data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(20)))
            else:
                data[at:at] = rng.choice(
                    [b"#fields", b"#separator \\x00\n", b"\t\t\t", b"\n#", b"(empty)", b"[", b"://"]
                )
        read(zeek, bytes(data))


def test_long_values_are_cut_and_odd_bytes_replaced() -> None:
    text = heading("http", HTTP).encode() + http(
        host="a.example", uri="/" + "x" * 9000, user_agent="U"
    ).encode().replace(b"\tU\t", b"\t\xff\xfe \xe3\x83\t")
    (row,) = read(zeek, text)
    assert len(row["path"]) == 2048 and row["path"].startswith("/xxx")
    assert "�" in row["agent"]
