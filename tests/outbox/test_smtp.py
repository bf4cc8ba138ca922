"""Mail to real servers: encrypted, authenticated, in order, with an identity, and nothing smuggled in."""

from __future__ import annotations

import json
import smtplib
import time
from pathlib import Path
from typing import Any

import pytest
from outbox_servers import MailServer, drip, free_port, raw_server, silent

from andon.share.outbox import Message, Parcel, Refused, Secret, SmtpSink, Unreachable, deliver
from andon.store.casebook import Casebook


def sink(port: int, /, **changes: Any) -> SmtpSink:
    values: dict[str, Any] = {
        "name": "soc",
        "host": "127.0.0.1",
        "port": port,
        "sender": "andon@example.org",
        "to": ("soc@example.org",),
        "security": "none",
    }
    return SmtpSink(**{**values, **changes})


def parcel(**changes: Any) -> Parcel:
    values: dict[str, Any] = {
        "id": "0123456789abcdef" * 2,
        "sink": "soc",
        "kind": "alert",
        "subject": "Host 198.51.100.7 scans",
        "text": "It scans port 23.\nAdvice: look at it.",
        "body": '{"src":"198.51.100.7"}',
        "created": 1_767_268_800_000_000_000,
    }
    return Parcel(**{**values, **changes})


def put(book: Casebook, clock: Any, *numbers: int) -> None:
    messages = [Message(f"a{n}", "soc", "alert", f"Alert {n}", "Text", {"number": n}) for n in numbers]
    book.record(messages=messages, clock=clock())


def test_a_mail_has_text_for_people_and_json_for_machines() -> None:
    with MailServer(free_port()) as server:
        sink(server.port).send(parcel(), 0, 10)
    (mail,) = server.mails
    assert mail["Subject"] == "Host 198.51.100.7 scans"
    assert (mail["From"], mail["To"]) == ("andon@example.org", "soc@example.org")
    assert mail["Message-ID"] == "<0123456789abcdef0123456789abcdef@example.org>"
    assert mail["Date"] == "Thu, 01 Jan 2026 12:00:00 +0000"
    assert mail["Auto-Submitted"] == "auto-generated"
    body = mail.get_body(("plain",))
    assert body is not None and body.get_content().splitlines() == [
        "It scans port 23.",
        "Advice: look at it.",
    ]
    (attachment,) = mail.iter_attachments()
    assert json.loads(attachment.get_content()) == {"src": "198.51.100.7"}


def test_every_attempt_is_the_same_mail() -> None:
    assert sink(25).mail(parcel()).as_bytes() == sink(25).mail(parcel()).as_bytes()


def test_text_in_any_script_arrives_as_it_was() -> None:
    with MailServer(free_port()) as server:
        sink(server.port).send(
            parcel(subject="警告: ダークネット通信", text="感染の疑い\n" + "長" * 2000), 0, 10
        )
    (mail,) = server.mails
    assert mail["Subject"] == "警告: ダークネット通信"
    body = mail.get_body(("plain",))
    assert body is not None and body.get_content().splitlines() == ["感染の疑い", "長" * 2000]


@pytest.mark.parametrize(
    "text",
    [
        "Alert\r\nBcc: victim@example.net",
        "Alert\nBcc: victim@example.net",
        "Alert\r\n\r\n<html>",
        "Alert\x00\x0b\x1b[2J",
        "Alert\u2028Bcc: victim@example.net",
        "=?utf-8?q?Alert=0D=0ABcc:_victim@example.net?=",
    ],
)
def test_nothing_from_outside_becomes_a_header_or_an_address(text: str) -> None:
    with MailServer(free_port()) as server:
        sink(server.port).send(parcel(subject=text, text=text + "\r\n.\r\nMAIL FROM:<x@y>", kind="a"), 0, 10)
    (mail,) = server.mails
    assert mail["Bcc"] is None
    ours = {"from", "to", "subject", "date", "message-id", "auto-submitted", "x-andon-kind", "mime-version"}
    added = {"content-type", "x-peer", "x-mailfrom", "x-rcptto"}  # by MIME and by the test's server
    assert {name.lower() for name in mail.keys()} <= ours | added  # noqa: SIM118 (a message is no mapping)
    assert mail["To"] == "soc@example.org"
    assert len(list(mail.iter_attachments())) == 1


def test_a_digest_carries_json_lines() -> None:
    lines = '{"n": 1}\n{"n": 2}'
    with MailServer(free_port()) as server:
        sink(server.port).send(parcel(kind="digest", lines=lines), 0, 10)
    (attachment,) = server.mails[0].iter_attachments()
    assert attachment.get_filename() == "messages.ndjson"
    assert attachment.get_content() == (lines + "\n").encode()


def test_starttls_verifies_the_server_and_sends_the_password_inside(
    certificates: Any, tmp_path: Path
) -> None:
    secret = tmp_path / "password"
    secret.write_text("s3cret-word\n")
    ready = {"security": "starttls", "user": "andon", "password": Secret(secret)}
    with MailServer(free_port(), certificates.server, password="s3cret-word") as server:
        sink(server.port, ca_file=certificates.ca, **ready).send(parcel(), 0, 10)
        assert server.logins == ["andon"] and len(server.mails) == 1
        with pytest.raises(Unreachable, match="certificate not accepted"):
            sink(server.port, **ready).send(parcel(), 0, 10)
        sink(server.port, verify=False, **ready).send(parcel(), 0, 10)
        secret.write_text("wrong-word\n")
        with pytest.raises(Unreachable, match="535") as caught:
            sink(server.port, ca_file=certificates.ca, **ready).send(parcel(), 0, 10)
        assert "wrong-word" not in str(caught.value)
    assert len(server.mails) == 2


def test_implicit_tls_verifies_the_server(certificates: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", "s3cret-word")
    ready = {"security": "tls", "user": "andon", "password": Secret(variable="MAIL_PASSWORD")}
    with MailServer(free_port(), certificates.server, implicit=True, password="s3cret-word") as server:
        sink(server.port, host="localhost", ca_file=certificates.ca, **ready).send(parcel(), 0, 10)
        with pytest.raises(Unreachable, match="certificate not accepted"):
            sink(server.port, **ready).send(parcel(), 0, 10)
    assert len(server.mails) == 1


def test_a_server_without_tls_gets_neither_password_nor_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", "s3cret-word")
    with MailServer(free_port()) as server:
        ready = {"security": "starttls", "user": "andon", "password": Secret(variable="MAIL_PASSWORD")}
        with pytest.raises(Unreachable, match="STARTTLS"):
            sink(server.port, **ready).send(parcel(), 0, 10)
    assert server.mails == []


def test_a_server_that_was_down_gets_everything_once_and_in_order(book: Casebook, clock: Any) -> None:
    port = free_port()
    put(book, clock, *range(30))
    for _ in range(5):
        deliver(book, [sink(port, digest_after=0)], clock)
        clock.turn(20)
    with MailServer(port) as server:
        for _ in range(10):
            deliver(book, [sink(port, digest_after=0)], clock)
            clock.turn(120)
    with MailServer(port) as again:
        deliver(book, [sink(port)], clock)
    assert [mail["Subject"] for mail in server.mails] == [f"Alert {n}" for n in range(30)]
    assert again.mails == []
    assert len({mail["Message-ID"] for mail in server.mails}) == 30


def test_a_refused_text_is_refused_and_a_busy_server_is_waited_for() -> None:
    with MailServer(free_port()) as server:
        server.answer = "554 looks like spam"
        with pytest.raises(Refused, match="554 looks like spam"):
            sink(server.port).send(parcel(), 0, 10)
        server.answer = "451 try again later"
        with pytest.raises(Unreachable, match="451"):
            sink(server.port).send(parcel(), 0, 10)
        server.refuse_recipient = "soc@example.org"
        with pytest.raises(Unreachable, match="no such user"):
            sink(server.port).send(parcel(), 0, 10)


def test_one_unknown_recipient_of_two_is_remarked_on(book: Casebook, clock: Any) -> None:
    put(book, clock, 1)
    with MailServer(free_port()) as server:
        server.refuse_recipient = "gone@example.org"
        both = sink(server.port, to=("soc@example.org", "gone@example.org"))
        assert deliver(book, [both], clock).delivered == 1
    assert len(server.mails) == 1
    assert "gone@example.org: 550" in book.audit_log()[0].detail["remark"]


@pytest.mark.parametrize("work", [drip, silent])
def test_a_server_that_never_finishes_is_left_on_time(work: Any) -> None:
    with raw_server(work) as port:
        begun = time.monotonic()
        with pytest.raises(Unreachable):
            sink(port).send(parcel(), 0, 1.0)
        assert time.monotonic() - begun < 20


def test_an_answer_without_end_does_not_fill_the_memory() -> None:
    import tracemalloc

    def endless(peer: Any) -> None:
        while True:
            peer.sendall(b"220-welcome welcome welcome welcome\r\n" * 1000)

    with raw_server(endless) as port:
        tracemalloc.start()
        with pytest.raises(Unreachable):
            sink(port).send(parcel(), 0, 5.0)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 5_000_000


def test_a_connection_that_breaks_after_the_mail_was_taken_is_no_failure() -> None:
    class Rude(MailServer):
        async def handle_QUIT(self, server: Any, session: Any, envelope: Any) -> str:
            server.transport.abort()
            return "221 never seen"

    with Rude(free_port()) as server:
        sink(server.port).send(parcel(), 0, 10)
    assert len(server.mails) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"to": ()},
        {"to": ("no address",)},
        {"to": ("a@example.org\r\nRCPT TO:<b@example.org>",)},
        {"sender": "andon"},
        {"security": "maybe"},
        {"host": "mail.example.org\nx"},
        {"port": 0},
        {"user": "andon"},
        {"user": "andon", "password": Secret(variable="X"), "security": "none"},
        {"security": "tls", "ca_file": Path("no/such/file.pem")},
    ],
)
def test_settings_that_cannot_work_are_refused_at_once(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        sink(25, **changes)


def test_the_password_is_shown_nowhere() -> None:
    made = sink(25, security="tls", user="andon", password=Secret(variable="MAIL_PASSWORD"))
    assert "MAIL_PASSWORD" not in repr(made)
    assert smtplib.SMTP.debuglevel == 0
