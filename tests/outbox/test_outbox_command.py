"""``andon findings outbox``: what was given up is seen, and comes back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from andon.cli import app
from andon.store.casebook import Casebook, Message

DAY = 86_400 * 10**9


def message(key: str, sink: str = "soc", kind: str = "alert") -> Message:
    return Message(key, sink, kind, f"Subject {key}", "text", {})


def andon(*words: Any) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["findings", *map(str, words)])
    return result.exit_code, result.output


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """One message each that waits, was given up and was delivered; and a digest of two that was given up."""
    with Casebook(tmp_path) as book:
        book.migrate()
        book.record(messages=[message(key) for key in ("waits", "dead", "told", "one", "two")], clock=DAY)
        ids = {one.dedup_key: one.id for one in book.due(DAY)}
        book.delivered(ids["told"], DAY)
        book.dead(ids["dead"], "no such host", 9 * DAY)
        assert book.fold(message("digest", kind="digest"), [ids["one"], ids["two"]], DAY)
        (digest,) = [one for one in book.messages("queued") if one.kind == "digest"]
        assert book.dead(digest.id, "refused", 9 * DAY) == 3
        book.record(messages=[message("other", sink="noc")], clock=DAY)
        (other,) = book.due(DAY, sink="noc")
        book.dead(other.id, "gone", 9 * DAY)
    return tmp_path


def test_what_waits_and_what_was_given_up_is_listed(store: Path) -> None:
    code, said = andon("outbox", "list", "--store", store, "--format", "json")
    assert code == 0
    listed = {(line["subject"], line["state"]) for line in map(json.loads, said.splitlines())}
    assert listed == {
        ("Subject waits", "queued"), ("Subject dead", "dead"), ("Subject digest", "dead"), ("Subject other", "dead"),
    }  # fmt: skip
    code, said = andon("outbox", "list", "--store", store, "--state", "dead", "--sink", "noc")
    assert code == 0 and "given up" in said and "gone" in said and "Subject dead" not in said


def test_findings_list_says_that_alerts_reached_nobody(store: Path) -> None:
    code, said = andon("list", "--store", store)
    assert code == 0
    assert "messages to noc, soc were given up: `andon findings outbox list`" in said


def test_all_of_a_sink_come_back_once_and_digests_whole(store: Path) -> None:
    assert andon("outbox", "retry", "--sink", "soc", "--store", store) == (0, "4 messages queued again\n")
    with Casebook(store) as book:
        assert book.outbox_counts() == {
            ("soc", "queued"): 3, ("soc", "folded"): 2, ("soc", "delivered"): 1, ("noc", "dead"): 1,
        }  # fmt: skip
        (digest,) = [one for one in book.messages("queued") if one.kind == "digest"]
        assert [one.dedup_key for one in book.members(digest.id)] == ["one", "two"]
        assert {one.dedup_key for one in book.due(10 * DAY, sink="soc")} == {"waits", "dead", "digest"}
        assert book.audit_log()[0].actor == "operator"
    code, said = andon("outbox", "retry", "--sink", "soc", "--store", store)
    assert code == 1 and "0 messages" in said


def test_single_messages_come_back_by_number(store: Path) -> None:
    with Casebook(store) as book:
        ids = {one.dedup_key: one.id for state in ("dead", "queued") for one in book.messages(state)}
    code, said = andon("outbox", "retry", ids["dead"], ids["waits"], 4711, "--store", store)
    assert code == 0 and "1 message queued again" in said
    assert "was not given up: it is queued" in said and "there is no message 4711" in said
    with Casebook(store) as book:
        assert {one.dedup_key for one in book.messages("dead")} == {"digest", "other"}


def test_mistakes_are_said(store: Path, tmp_path: Path) -> None:
    assert andon("outbox", "retry", "--store", store)[0] == 2
    assert andon("outbox", "list", "--state", "lost", "--store", store)[0] == 2
    code, said = andon("outbox", "list", "--store", tmp_path / "nowhere")
    assert code == 1 and "there is no casebook" in said
