"""CEF that parses back to what went in, over syslog that is seen to arrive."""

from __future__ import annotations

import json
import re
import socket
import struct
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outbox_servers import SyslogServer, drip, free_port, raw_server

from andon.records.finding import Entity, Finding
from andon.share.outbox import Message, Parcel, SyslogSink, Unreachable, deliver
from andon.share.outbox.cef import cef
from andon.store.casebook import Casebook

NOW = 1_767_268_800_123_456_789
RFC5424 = re.compile(
    rb"<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z) (\S{1,255}) andon - (\S{1,32}) - (CEF:0\|.*)",
    re.DOTALL,
)


def parse_cef(line: str) -> tuple[list[str], dict[str, str]]:
    """A reader by the book: split at unescaped pipes, then at unescaped equals signs; undo the escapes."""
    assert line.startswith("CEF:0|")
    parts = _split(line[6:])
    header = [re.sub(r"\\([\\|])", r"\1", part) for part in parts[:6]]
    fields: dict[str, str] = {}
    found = list(re.finditer(r"(?:^| )([A-Za-z0-9]+)=", parts[6]))
    for at, match in enumerate(found):
        end = found[at + 1].start() if at + 1 < len(found) else len(parts[6])
        text = parts[6][match.end() : end]
        fields[match[1]] = re.sub(r"\\(.)", lambda m: {"n": "\n", "r": "\r"}.get(m[1], m[1]), text)
    return header, fields


def _split(text: str) -> list[str]:
    """Six header parts and the rest."""
    parts, part, at = [], "", 0
    while at < len(text) and len(parts) < 6:
        if text[at] == "\\":
            part += text[at : at + 2]
            at += 2
            continue
        if text[at] == "|":
            parts.append(part)
            part = ""
        else:
            part += text[at]
        at += 1
    return [*parts, text[at:]]


def parcel(text: str = "Text", **body: Any) -> Parcel:
    return Parcel("0123456789abcdef" * 2, "siem", "own-host-alert", "Alert", text, json.dumps(body), NOW)


def sink(port: int, **changes: Any) -> SyslogSink:
    return SyslogSink("siem", "127.0.0.1", port, **{"tls": False, **changes})


@given(st.text(), st.text())
def test_any_text_comes_back_from_cef_as_it_went_in(title: str, text: str) -> None:
    line = cef(parcel(text[:900], title=title, organisation=text[:100]), "1|\\")
    assert "\n" not in line and "\r" not in line
    header, fields = parse_cef(line)
    assert header[:4] == ["Andon", "Andon", "1|\\", "own-host-alert"]

    def plain(value: str, breaks: bool) -> str:
        kept = value.replace("\r\n", "\n") if breaks else value
        return "".join(c if c.isprintable() or (breaks and c in "\r\n") else " " for c in kept)

    assert header[4] == plain(title or "Alert", False)[:512]
    assert fields["msg"] == plain(text[:900], True)
    assert fields.get("cs5", "") == plain(text[:100], True)
    assert set(fields) <= {"externalId", "rt", "cat", "cs5", "cs5Label", "msg"}


def test_a_value_cannot_make_keys_of_its_own() -> None:
    _, fields = parse_cef(cef(parcel("x src=203.0.113.9 act=blocked\nrt=0", title="t|10|src=1.2.3.4"), "1"))
    assert "src" not in fields and "act" not in fields
    assert fields["msg"] == "x src=203.0.113.9 act=blocked\nrt=0"


def test_a_finding_fills_the_keys_of_cef() -> None:
    finding = Finding(
        engine="darknet.tools",
        engine_version=1,
        kind="known-tool",
        title="Mirai | scans = a lot",
        statement="s",
        confidence=1.0,
        calibration="c",
        window=(0, 86_400 * 10**9),
        subject=("tool", "mirai"),
        first_seen=1_000_000_000,
        last_seen=2_500_000_000,
        count=7,
        entities=(Entity("ipv4-addr", "198.51.100.7"),),
        severity="high",
    )
    whole = Parcel("a" * 32, "siem", "known-tool", "s", "t", finding.to_json(), NOW)
    header, fields = parse_cef(cef(whole, "1"))
    assert header == ["Andon", "Andon", "1", "known-tool", "Mirai | scans = a lot", "8"]
    assert (fields["src"], fields["cnt"], fields["start"], fields["end"]) == (
        "198.51.100.7",
        "7",
        "1000",
        "2500",
    )
    assert (fields["cs1"], fields["cs1Label"]) == (finding.id, "finding")
    assert fields["externalId"] == "a" * 32


def test_an_alert_fills_the_keys_of_cef() -> None:
    body = {
        "schema": "andon.alert/1",
        "state": "new",
        "alert_kind": "outbound-scan",
        "organisation": "Example University",
        "subject": {"type": "ipv6-addr", "value": "2001:db8::7"},
        "dst_ports": [[23, "tcp", 9]],
        "packets": 9,
        "tools": [{"name": "mirai"}],
    }
    _, fields = parse_cef(cef(parcel(**body), "1"))
    assert (fields["reason"], fields["cs2Label"], fields["cs2"]) == ("outbound-scan", "tool", "mirai")
    assert fields["c6a2"] == "2001:db8::7" and fields["c6a2Label"] == "Source IPv6 Address"
    assert (fields["dpt"], fields["proto"], fields["cnt"], fields["cs6"]) == ("23", "tcp", "9", "new")


@pytest.mark.parametrize(
    "body", ["[]", "1", '{"entities": [1], "dst_ports": [[]]}', '{"first_seen": "x", "count": "y"}']
)
def test_a_body_of_any_shape_is_an_event_all_the_same(body: str) -> None:
    whole = Parcel("a" * 32, "siem", "k", "s", "t", body, NOW)
    assert parse_cef(cef(whole, "1"))[1]["msg"] == "t"


def test_a_frame_says_its_length_in_octets_and_stays_within_what_receivers_take() -> None:
    for text in ("警告", "x" * 5000, "警" * 5000, "\\" * 5000):
        frame = sink(1, hostname="sensor-1").frame(parcel(text, statement=text, organisation="警" * 3000))
        length, _, message = frame.partition(b" ")
        assert int(length) == len(message) <= 8192
        message.decode()
        match = RFC5424.fullmatch(message)
        assert match is not None and match[1] == b"132" and match[3] == b"sensor-1"
        assert match[2] == b"2026-01-01T12:00:00.123456Z" and match[4] == b"own-host-alert"


@pytest.mark.parametrize("tls", [False, True])
def test_a_collector_that_was_down_gets_everything_once_and_in_order(
    book: Casebook, clock: Any, certificates: Any, tls: bool
) -> None:
    messages = [Message(f"a{n}", "siem", "alert", f"Alert {n}", "T", {"n": n}) for n in range(30)]
    book.record(messages=messages, clock=clock())
    port = free_port()
    collector = sink(port, tls=tls, ca_file=certificates.ca if tls else None)
    for _ in range(3):
        deliver(book, [collector], clock)
        clock.turn(30)
    with SyslogServer(port, certificates.server if tls else None) as server:
        for _ in range(5):
            deliver(book, [collector], clock)
            clock.turn(1000)
    assert [re.search(rb"\|Alert (\d+)\|", m)[1] for m in server.messages] == [b"%d" % n for n in range(30)]  # type: ignore[index]
    assert book.outbox_counts() == {("siem", "delivered"): 30}


def test_tls_verifies_the_collector(certificates: Any) -> None:
    with SyslogServer(free_port(), certificates.server) as server:
        with pytest.raises(Unreachable, match="certificate not accepted"):
            sink(server.port, tls=True).send(parcel(), NOW, 10)
        sink(server.port, tls=True, ca_file=certificates.ca).send(parcel(), NOW, 10)
    assert len(server.messages) == 1


def test_a_collector_that_breaks_off_has_not_got_it() -> None:
    def reset(peer: socket.socket) -> None:
        peer.recv(10)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with raw_server(reset) as port, pytest.raises(Unreachable):
        sink(port).send(parcel("x" * 900), NOW, 5)


def test_a_collector_that_keeps_the_connection_has_got_it_when_its_machine_says_so() -> None:
    got: list[bytes] = []

    def keeps(peer: socket.socket) -> None:
        got.append(peer.recv(65536))
        time.sleep(30)

    with raw_server(keeps) as port:
        begun = time.monotonic()
        sink(port).send(parcel(), NOW, 60)
        assert time.monotonic() - begun < 29, "before the other side hung up"
        while not got and time.monotonic() - begun < 29:  # the kernel had it, and said so
            time.sleep(0.01)
    assert len(got) == 1 and b"CEF:0" in got[0]


def test_a_collector_that_talks_without_end_is_left_on_time() -> None:
    with raw_server(drip) as port:
        begun = time.monotonic()
        sink(port).send(parcel(), NOW, 60)
        assert time.monotonic() - begun < 50


def test_a_collector_that_takes_nothing_in_has_not_got_it() -> None:
    def stuffed(peer: socket.socket) -> None:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        time.sleep(30)

    frames = sink(1).frame(parcel("x" * 1000, organisation="y" * 500))
    with raw_server(stuffed) as port, pytest.raises(Unreachable):
        crowded = sink(port)
        object.__setattr__(crowded, "frame", lambda _: frames * 3000)
        crowded.send(parcel(), NOW, 3)


@pytest.mark.parametrize(
    "changes",
    [
        {"hostname": "two words"},
        {"hostname": "x\ny"},
        {"hostname": "警"},
        {"port": -1},
        {"host": ""},
        {"tls": True, "ca_file": Path("no/such.pem")},
    ],
)
def test_settings_that_cannot_work_are_refused_at_once(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        SyslogSink(**{"name": "siem", "host": "127.0.0.1", "tls": False, **changes})
