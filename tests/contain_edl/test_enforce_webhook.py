"""The webhook enforcer against a real receiver, honest and otherwise."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from edl_world import Clock, host, intent
from enforce_receiver import Receiver, receiving

from andon.contain.contract import DEGRADED, DOWN, OK, NotExpressible, Rejected, Unreachable
from andon.contain.enforcers import make_enforcer
from andon.contain.enforcers.webhook import WebhookEnforcer, enforcer
from andon.records.intent import Intent, Party

KEY = "k" * 40


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving(KEY.encode()) as one:
        yield one


def made(folder: Path, url: str, **settings: Any) -> WebhookEnforcer:
    (folder / "key").write_text(KEY + "\n")
    return enforcer("soar", {"url": url, "key_file": "key", "seconds": 20.0, **settings}, folder)


def test_apply_verify_actual_revoke(tmp_path: Path, receiver: Receiver) -> None:
    one = made(tmp_path, receiver.url)
    pair = intent(3, "10.0.0.5", action="block-pair", target=Party("address", "203.0.113.9"))
    plans = [one.plan(each) for each in (intent(1), host(2, "10.0.0.5"), pair)]
    receipts = one.apply(plans)
    assert [receipt.intent for receipt in receipts] == [1, 2, 3]
    assert one.actual() == {receipt.intent: receipt.digest for receipt in receipts}
    assert all(one.verify(receipt) for receipt in receipts)
    sent = receiver.seen[0][1]
    assert sent["schema"] == "andon.enforce/1" and sent["operation"] == "apply"
    assert [Intent.from_dict(each["intent"]) for each in sent["intents"]] == [plan.intent for plan in plans]
    assert sent["intents"][0]["plan"]["commands"]
    one.revoke([2, 77])
    assert set(one.actual()) == {1, 3} and not one.verify(receipts[1])
    one.revoke_all()
    assert one.actual() == {} and one.apply([]) == []
    assert one.health().state == OK


def test_rules_that_the_receiver_lost_are_seen_and_applied_again(tmp_path: Path, receiver: Receiver) -> None:
    one = made(tmp_path, receiver.url)
    plan = one.plan(intent(1))
    receipt = one.apply([plan])[0]
    receiver.held.clear()
    assert one.actual() == {} and not one.verify(receipt)
    one.apply([plan])
    assert one.actual() == {1: receipt.digest} and receiver.acted >= 5


def test_a_request_whose_answer_was_lost_is_acted_on_once(tmp_path: Path, receiver: Receiver) -> None:
    one = made(tmp_path, receiver.url)
    plan = one.plan(intent(1))
    receiver.fault["apply"] = "lost answer"
    with pytest.raises(Unreachable):
        one.apply([plan])
    receiver.fault.clear()
    one.apply([plan])
    one.apply([plan])
    keys = [key for operation, _, key in receiver.seen if operation == "apply"]
    assert keys[0] == keys[1] != keys[2] and receiver.acted == 2


@pytest.mark.parametrize("status", [400, 409, 413, 422, 501, 507])
def test_a_receiver_that_says_no_has_rejected(tmp_path: Path, receiver: Receiver, status: int) -> None:
    one = made(tmp_path, receiver.url)
    receiver.fault["apply"] = f"status {status}"
    with pytest.raises(Rejected, match=str(status)) as raised:
        one.apply([one.plan(intent(1))])
    assert KEY not in str(raised.value) and "***" in str(raised.value)


@pytest.mark.parametrize(
    "fault",
    ["status 500", "status 401", "status 404", "status 429", "redirect", "hang", "drip", "huge", "deep", "cut",
     "", "null", "[]", "not json", '{"receipts": 3}', '{"receipts": [3]}', '{"receipts": [{"intent": 1}]}',
     '{"receipts": [{"intent": "0000000000000001", "digest": "other"}]}',
     '{"receipts": [{"intent": "0000000000000009", "digest": "x"}]}', '{"a": 1, "a": 2}', '{"receipts": NaN}'],
)  # fmt: skip
def test_nothing_is_enforced_on_the_word_of_garbage(tmp_path: Path, receiver: Receiver, fault: str) -> None:
    one = made(tmp_path, receiver.url)
    receiver.fault["apply"] = fault or " "
    begun = time.monotonic()
    with pytest.raises(Unreachable) as raised:
        one.apply([one.plan(intent(1))])
    assert time.monotonic() - begun < 60 and len(str(raised.value)) < 1000 and KEY not in str(raised.value)


def test_a_receiver_that_takes_only_some_has_rejected(tmp_path: Path, receiver: Receiver) -> None:
    one = made(tmp_path, receiver.url)
    receiver.fault["apply"] = '{"receipts": []}'
    with pytest.raises(Rejected, match="0 of 1"):
        one.apply([one.plan(intent(1))])


@pytest.mark.parametrize("said", ['{"held": "true"}', '{"held": 1}', '{"held": []}', "{}"])
def test_held_is_true_and_nothing_like_it(tmp_path: Path, receiver: Receiver, said: str) -> None:
    one = made(tmp_path, receiver.url)
    receipt = one.apply([one.plan(intent(1))])[0]
    receiver.fault["verify"] = said
    with pytest.raises(Unreachable):
        one.verify(receipt)
    receiver.fault["verify"] = '{"held": null}'
    assert one.verify(receipt) is None


@pytest.mark.parametrize(
    "said",
    ['{"intents": []}', '{"intents": {"1": "x"}}', '{"intents": {"000000000000000G": "x"}}',
     '{"intents": {"0000000000000001": 3}}', '{"intents": {"0000000000000001": "' + "x" * 200 + '"}}'],
)  # fmt: skip
def test_actual_is_read_with_care(tmp_path: Path, receiver: Receiver, said: str) -> None:
    one = made(tmp_path, receiver.url)
    receiver.fault["actual"] = said
    with pytest.raises(Unreachable):
        one.actual()


def test_a_liar_is_found_by_what_it_says_elsewhere(tmp_path: Path, receiver: Receiver) -> None:
    one = made(tmp_path, receiver.url)
    receipt = one.apply([one.plan(intent(1))])[0]
    receiver.held.clear()  # it said that it holds the intent, and does not
    assert 1 not in one.actual() and not one.verify(receipt)


def test_health_is_what_the_receiver_says_and_never_raises(tmp_path: Path, receiver: Receiver) -> None:
    one, clock = made(tmp_path, receiver.url), Clock(time.time_ns())
    one.now = clock
    receiver.state = {"state": "degraded", "statement": "table nearly full", "epoch": 7}
    health = one.health()
    assert (health.state, health.statement, health.epoch) == (DEGRADED, "table nearly full", 7)
    one.health()
    assert sum(operation == "health" for operation, _, _ in receiver.seen) == 1
    for fault in ("status 500", '{"state": "fine"}', '{"state": "ok", "epoch": true}', "hang"):
        clock.on(11)
        receiver.fault["health"] = fault
        assert one.health().state == DOWN
    receiver.fault.clear()
    clock.on(11)
    assert one.health().state == DEGRADED
    assert one.tick(clock()) == [] and one.control == ("127.0.0.1",)


def test_nobody_there(tmp_path: Path) -> None:
    one = made(tmp_path, "http://127.0.0.1:9/andon")
    with pytest.raises(Unreachable):
        one.apply([one.plan(intent(1))])
    assert one.health().state == DOWN


def test_a_missing_key_sends_nothing(tmp_path: Path, receiver: Receiver) -> None:
    one = made(tmp_path, receiver.url)
    (tmp_path / "key").unlink()
    with pytest.raises(Unreachable, match="key"):
        one.apply([one.plan(intent(1))])
    assert receiver.seen == []


def test_what_the_receiver_is_not_set_up_for_is_not_asked(tmp_path: Path, receiver: Receiver) -> None:
    one = made(tmp_path, receiver.url, actions=["block"], parties=["address"], open_paths=[])
    assert one.supports == {("block", "address")} and one.plan(intent(1)).open_paths == ()
    with pytest.raises(NotExpressible):
        one.plan(host(2, "10.0.0.5"))
    assert made(tmp_path, receiver.url).plan(intent(1)).open_paths == ("elsewhere",)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "url"),
        ({"url": "ftp://x/"}, "http"),
        ({"url": "http://user:pw@x/"}, "password"),
        ({"url": "http://x/?a=b"}, "no \\?"),
        ({"url": "http://x/", "token_file": "t"}, "https"),
        ({"url": "http://x/", "actions": ["burn"]}, "actions"),
        ({"url": "http://x/", "parties": "host"}, "parties"),
        ({"url": "http://x/", "open_paths": ["wifi"]}, "open_paths"),
        ({"url": "http://x/", "seconds": 0}, "seconds"),
        ({"url": "http://x/", "seconds": True}, "seconds"),
        ({"url": "http://x/", "verify": "no"}, "verify"),
        ({"url": "http://x/", "ca_file": 3}, "ca_file"),
        ({"url": "http://x/", "key": "secret"}, "does not belong"),
        ({"url": "http://x/", "colour": 1}, "no setting"),
    ],
)
def test_a_setting_of_a_webhook_that_cannot_work_is_named(
    tmp_path: Path, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        make_enforcer({"name": "soar", "kind": "webhook", "key_file": "key", **settings}, tmp_path)
    if "url" in settings:
        with pytest.raises(ValueError, match="key_file"):
            make_enforcer({"name": "soar", "kind": "webhook", "url": "http://x/"}, tmp_path)
