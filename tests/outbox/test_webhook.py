"""Webhooks to real HTTP servers: signed, with a key for repetitions, never led elsewhere."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from outbox_servers import WebServer, drip, free_port, raw_server, silent

from andon.share.outbox import Message, Parcel, Refused, Secret, Unreachable, WebhookSink, deliver, verify
from andon.store.casebook import Casebook

NOW = 1_767_268_800_000_000_000


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_KEY", "the-signing-key")
    monkeypatch.setenv("HOOK_TOKEN", "the-token")


def sink(url: str, **changes: Any) -> WebhookSink:
    return WebhookSink("soc", url, Secret(variable="HOOK_KEY"), digest_after=0, **changes)


def parcel(**changes: Any) -> Parcel:
    values: dict[str, Any] = {
        "id": "0123456789abcdef" * 2,
        "sink": "soc",
        "kind": "alert",
        "subject": "警告",
        "text": "Text",
        "body": '{"src":"198.51.100.7"}',
        "created": NOW,
    }
    return Parcel(**{**values, **changes})


def test_a_receiver_can_tell_who_sent_it_when_and_what() -> None:
    with WebServer(free_port()) as server:
        sink(f"http://127.0.0.1:{server.port}/hook?a=b").send(parcel(), NOW, 10)
    ((path, headers, body),) = server.requests
    assert path == "/hook?a=b"
    assert headers["Idempotency-Key"] == parcel().id
    assert headers["Content-Type"] == "application/json"
    signature = headers["X-Andon-Signature"]
    assert signature.startswith("t=1767268800,v1=")
    key, seconds = b"the-signing-key", NOW // 10**9
    assert verify(key, signature, body, seconds)
    assert not verify(key, signature, body + b" ", seconds)
    assert not verify(b"another", signature, body, seconds)
    assert not verify(key, signature, body, seconds + 301)
    assert not verify(key, signature.replace("t=1767268800", "t=1767268801"), body, seconds)
    message = json.loads(body)
    assert (message["schema"], message["subject"]) == ("andon.message/1", "警告")
    assert message["body"] == {"src": "198.51.100.7"} and message["id"] == parcel().id


@pytest.mark.parametrize(
    "header", ["", "t=,v1=", "v1=00", "t=x,v1=y", "t=1" + "0" * 400, "\udcff", "t=²,v1=0"]
)
def test_a_signature_that_makes_no_sense_is_wrong_and_nothing_more(header: str) -> None:
    assert not verify(b"key", header, b"{}", 1767268800)


def test_a_digest_carries_its_messages() -> None:
    with WebServer(free_port()) as server:
        sink(f"http://127.0.0.1:{server.port}/").send(
            parcel(kind="digest", lines='{"n": 1}\n{"n": 2}'), NOW, 10
        )
    assert json.loads(server.requests[0][2])["messages"] == [{"n": 1}, {"n": 2}]


def test_a_redirect_is_not_followed() -> None:
    with WebServer(free_port()) as elsewhere, WebServer(free_port()) as server:
        server.status = 307
        server.headers = {"Location": f"http://127.0.0.1:{elsewhere.port}/"}
        with pytest.raises(Unreachable, match="redirects are not followed"):
            sink(f"http://127.0.0.1:{server.port}/").send(parcel(), NOW, 10)
    assert elsewhere.requests == [] and len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, Refused), (413, Refused), (422, Refused)]
    + [(code, Unreachable) for code in (401, 403, 404, 408, 409, 429, 500, 503)],
)
def test_an_answer_says_whether_it_is_the_message_or_the_sink(status: int, error: type[Exception]) -> None:
    with WebServer(free_port()) as server:
        server.status = status
        server.body = b"because the-signing-key \x1b[2J"
        with pytest.raises(error, match=str(status)) as caught:
            sink(f"http://127.0.0.1:{server.port}/").send(parcel(), NOW, 10)
    assert "the-signing-key" not in str(caught.value) and "\x1b" not in str(caught.value)


def test_the_server_may_ask_for_time() -> None:
    with WebServer(free_port()) as server:
        server.status, server.headers = 429, {"Retry-After": "120"}
        with pytest.raises(Unreachable) as caught:
            sink(f"http://127.0.0.1:{server.port}/").send(parcel(), NOW, 10)
    assert caught.value.retry_after == 120


def test_https_verifies_the_server(certificates: Any) -> None:
    with WebServer(free_port(), certificates.server) as server:
        url = f"https://localhost:{server.port}/"
        sink(url, ca_file=certificates.ca, token=Secret(variable="HOOK_TOKEN")).send(parcel(), NOW, 10)
        with pytest.raises(Unreachable, match="certificate not accepted"):
            sink(url).send(parcel(), NOW, 10)
    assert [headers["Authorization"] for _, headers, _ in server.requests] == ["Bearer the-token"]


def test_an_endpoint_that_was_down_gets_everything_once_and_in_order(book: Casebook, clock: Any) -> None:
    messages = [Message(f"a{n}", "soc", "alert", f"Alert {n}", "T", {"n": n}) for n in range(30)]
    book.record(messages=messages, clock=clock())
    port = free_port()
    hook = sink(f"http://127.0.0.1:{port}/")
    for _ in range(5):
        deliver(book, [hook], clock)
        clock.turn(20)
    with WebServer(port) as server:
        calls = iter([503, 503, *[200] * 100])
        server.status = lambda body: next(calls)
        for _ in range(10):
            deliver(book, [hook], clock)
            clock.turn(1000)
    taken = [json.loads(body)["body"]["n"] for _, _, body in server.requests]
    assert taken == [0, 0, *range(30)]  # twice refused with 503, then each once
    assert len({headers["Idempotency-Key"] for _, headers, _ in server.requests}) == 30


@pytest.mark.parametrize("work", [drip, silent])
def test_an_endpoint_that_never_finishes_is_left_on_time(work: Any) -> None:
    with raw_server(work) as port:
        begun = time.monotonic()
        with pytest.raises(Unreachable):
            sink(f"http://127.0.0.1:{port}/").send(parcel(), NOW, 1.0)
        assert time.monotonic() - begun < 20


def test_an_answer_without_end_is_not_read_to_the_end() -> None:
    def endless(peer: Any) -> None:
        peer.recv(65536)
        peer.sendall(b"HTTP/1.1 500 no\r\n\r\n")
        while True:
            peer.sendall(b"x" * 65536)

    with raw_server(endless) as port:
        begun = time.monotonic()
        with pytest.raises(Unreachable, match="500"):
            sink(f"http://127.0.0.1:{port}/").send(parcel(), NOW, 60.0)
        assert time.monotonic() - begun < 50


@pytest.mark.parametrize(
    "said", [b"", b"\x00\xff garbage", b"HTTP/1.1 9999 x\r\n\r\n", b"HTTP/1.1 200\r\nA: " + b"x" * 99999]
)
def test_an_answer_that_is_no_http_is_a_failure_and_nothing_more(said: bytes) -> None:
    def work(peer: Any) -> None:
        peer.recv(65536)
        peer.sendall(said)

    with raw_server(work) as port, pytest.raises(Unreachable):
        sink(f"http://127.0.0.1:{port}/").send(parcel(), NOW, 5.0)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/",
        "file:///etc/passwd",
        "example.org",
        "http://",
        "http://user:password@example.org/",
        "http://example.org:99999/",
        "http://example.org/a b",
        "http://example.org/\r\nX: y",
        "http://[::1",
    ],
)
def test_a_url_that_cannot_work_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError):
        sink(url)


def test_a_token_is_not_sent_in_the_clear() -> None:
    with pytest.raises(ValueError, match="https"):
        sink("http://example.org/", token=Secret(variable="HOOK_TOKEN"))


def test_a_missing_key_is_named_and_waited_for(tmp_path: Path) -> None:
    hook = WebhookSink("soc", "http://127.0.0.1:9/", Secret(tmp_path / "no-key"))
    with pytest.raises(Unreachable, match="no-key"):
        hook.send(parcel(), NOW, 1)
