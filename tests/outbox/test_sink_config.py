"""``[[sink]]``: every sink can be had from the configuration, and a mistake is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from andon.share.outbox import FileSink, SmtpSink, SyslogSink, WebhookSink, make_sink

MAIL = {
    "name": "soc",
    "kind": "smtp",
    "host": "mail.example.org",
    "sender": "a@example.org",
    "to": ["b@example.org"],
}


def test_a_mail_sink_with_everything(tmp_path: Path) -> None:
    sink = make_sink(
        {**MAIL, "port": 465, "security": "tls", "user": "u", "password_file": "pw", "digest_after": 5},
        tmp_path,
    )
    assert isinstance(sink, SmtpSink)
    assert sink.to == ("b@example.org",) and sink.digest_after == 5
    assert sink.password is not None and sink.password.file == tmp_path / "pw"


def test_a_webhook_a_collector_and_a_file(tmp_path: Path) -> None:
    hook = make_sink({"name": "h", "kind": "webhook", "url": "https://example.org/", "key_env": "HOOK_KEY"})
    assert isinstance(hook, WebhookSink) and hook.key.variable == "HOOK_KEY"
    collector = make_sink({"name": "c", "kind": "cef", "host": "siem.example.org"})
    assert isinstance(collector, SyslogSink) and collector.tls and collector.verify
    file = make_sink({"name": "f", "kind": "file", "path": "out/alerts.ndjson"}, tmp_path)
    assert isinstance(file, FileSink) and file.path == tmp_path / "out/alerts.ndjson"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "needs a name"),
        ({"name": "x"}, "kind is one of smtp, webhook, cef, file"),
        ({"name": "x", "kind": "pager"}, "pager"),
        ({**MAIL, "hsot": "x"}, "no setting 'hsot'"),
        ({**MAIL, "port": "25"}, "port is a whole number"),
        ({**MAIL, "port": True}, "port is a whole number"),
        ({**MAIL, "digest_after": -1}, "not negative"),
        ({**MAIL, "to": "b@example.org"}, "to is a list"),
        ({**MAIL, "verify": "no"}, "verify is true or false"),
        ({**MAIL, "password": "geheim"}, "password_file or password_env"),
        ({**MAIL, "user": "u", "password_file": "a", "password_env": "B"}, "give one of the two"),
        ({"name": "x", "kind": "smtp"}, "host, sender, to is missing"),
        ({"name": "x", "kind": "webhook", "url": "https://example.org"}, "key_file or key_env is missing"),
        ({"name": "x", "kind": "webhook", "url": 5, "key_env": "K"}, "url is a text"),
        ({"name": "x", "kind": "file", "path": 5}, "path is a path"),
        ({"name": "x", "kind": "cef", "host": "h", "ca_file": "no/such.pem"}, "no certificates"),
    ],
)
def test_a_mistake_is_named(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        make_sink(settings)
    assert "geheim" not in str(caught.value)
