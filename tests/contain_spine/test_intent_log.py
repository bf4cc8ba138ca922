"""The log of intents: what it takes, what it refuses, and that it says the same to everybody who reads it."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
from spine_toys import NOW, SECOND, intent

from andon.records.intent import (
    ACCEPTED,
    APPLIED,
    EXPIRED,
    FAILED,
    PROPOSED,
    REVOKED,
    STATES,
    VERIFIED,
    WAITING,
    Intent,
    IntentEvent,
    may_follow,
)  # fmt: skip
from andon.store.errors import StoreError, StoreReadOnly
from andon.store.intents import HELD, RELEASED, SITE, Conflict, IntentLog
from andon.store.intents.segment import segments_in


def event(number: int, state: str, actor: str = "andon", time: int = NOW, **detail: object) -> IntentEvent:
    return IntentEvent(number, state, actor, time, ("why",), detail)


def proposed(log: IntentLog, number: int, *states: str, made: Intent | None = None) -> None:
    made = made or intent(number)
    log.append([event(number, state) for state in (PROPOSED, *states)], {number: made})


def test_what_was_appended_is_there_after_opening_again(tmp_path: Path) -> None:
    log = IntentLog(tmp_path)
    proposed(log, 1, ACCEPTED)
    receipt = {"enforcer": "sw1", "digest": "d", "seconds": 0.001, "detail": {}}
    log.append([event(1, APPLIED, receipts=[receipt]), event(1, VERIFIED)], {})
    proposed(log, 2, ACCEPTED, REVOKED)
    before, head = log.intents(), log.head
    log.close()
    again = IntentLog(tmp_path)
    assert again.intents() == before
    assert again.head == head
    assert again.get(1).state == VERIFIED
    assert again.get(1).receipts == {"sw1": receipt}
    assert again.get(1).intent == intent(1)
    assert again.get(2).ended and again.get(3) is None
    assert [entry.number for entry in again.since(0)] == list(
        range(2, head.number + 1)
    )  # 1 begins the segment
    assert again.since(2)[0].event.state == ACCEPTED
    assert again.verify().whole


@pytest.mark.parametrize(("after", "state"), list(product(STATES, STATES)))
def test_only_what_may_follow_does(tmp_path: Path, after: str, state: str) -> None:
    ways = {PROPOSED: (), WAITING: (WAITING,), ACCEPTED: (ACCEPTED,), APPLIED: (ACCEPTED, APPLIED),
            VERIFIED: (ACCEPTED, APPLIED, VERIFIED), FAILED: (ACCEPTED, FAILED)}  # fmt: skip
    log = IntentLog(tmp_path)
    proposed(log, 7, *ways.get(after, (after,)))
    number = log.head.number
    if may_follow(state, after):
        log.append([event(7, state)], {7: intent(7)})
        assert log.get(7).state == state
    else:
        with pytest.raises(Conflict, match=f"is {after} since"):
            log.append([event(7, state)], {7: intent(7)})
        assert log.head.number == number
        assert IntentLog(tmp_path).get(7).state == after


def test_all_events_of_one_append_or_none(tmp_path: Path) -> None:
    log = IntentLog(tmp_path)
    with pytest.raises(Conflict):
        log.append([event(1, PROPOSED), event(1, ACCEPTED), event(2, REVOKED)], {1: intent(1)})
    assert not log.intents()
    assert IntentLog(tmp_path).head == log.head


def test_an_event_that_adds_something_changes_no_state_and_comes_too_late_after_the_end(
    tmp_path: Path,
) -> None:
    log = IntentLog(tmp_path)
    proposed(log, 1, WAITING)
    log.append([event(1, WAITING, "bea", note="approval", approval=True)], {})
    assert log.get(1).approvals == ("bea",) and log.get(1).actor == "andon"
    with pytest.raises(Conflict):
        log.append([event(1, WAITING, "cem")], {})
    log.append([event(1, REVOKED, "cem")], {})
    with pytest.raises(Conflict):
        log.append([event(1, REVOKED, "dan", note="late")], {})


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        (IntentEvent(SITE, PROPOSED, "a", NOW), "happens to a site"),
        (IntentEvent(5, PROPOSED, "a", NOW), "does not come with it"),
        (IntentEvent(1, ACCEPTED, "a", NOW, (), {"x": float("nan")}), "JSON"),
        (IntentEvent(1, ACCEPTED, "a", NOW, (), {"x": object()}), "JSON"),
        (IntentEvent(1, ACCEPTED, "a", NOW, ("x" * 2_000_000,)), "the most that the log takes"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(tmp_path: Path, bad: IntentEvent, what: str) -> None:
    log = IntentLog(tmp_path)
    proposed(log, 1)
    with pytest.raises(ValueError, match=what):
        log.append([bad], {})
    assert log.get(1).state == PROPOSED and log.verify().whole


def test_text_of_attackers_stays_text(tmp_path: Path) -> None:
    nasty = 'x"}\n{"body":\x00\x1b[2J \u202e\ud800 日本'
    log = IntentLog(tmp_path)
    proposed(log, 1, made=intent(1, reason=nasty))
    again = IntentLog(tmp_path)
    assert again.get(1).intent.reason == nasty
    assert again.verify().whole
    assert segments_in(tmp_path)[0].read_bytes().count(b"\n") == 2


def test_readers_follow_a_writer_over_segments(tmp_path: Path) -> None:
    writer = IntentLog(tmp_path, segment_bytes=4000)
    reader, other = IntentLog(tmp_path, read_only=True), IntentLog(tmp_path, segment_bytes=4000)
    seen: list[int] = []
    at = 0
    for number in range(1, 40):
        proposed(writer if number % 2 else other, number, ACCEPTED)
        if number > 5:
            writer.append([event(number - 5, EXPIRED)], {})
        assert reader.refresh()
        for entry in reader.since(at):
            seen.append(entry.number)
            at = entry.number
    assert not reader.refresh()
    other.refresh()
    live = {one.intent.id for one in writer.live()}
    assert (
        live
        == {35, 36, 37, 38, 39}
        == {one.intent.id for one in reader.live()}
        == {one.intent.id for one in other.live()}
    )
    assert len(segments_in(tmp_path)) > 3
    found = reader.verify()
    assert found.whole and found.lines == found.last
    numbers = [entry.number for entry in IntentLog(tmp_path).since(0)]
    assert numbers == seen, "what was followed is what is there"
    assert [entry.number for entry in reader.since(numbers[10], limit=3)] == numbers[11:14]
    with pytest.raises(StoreReadOnly):
        reader.append([event(39, REVOKED)], {})


def test_a_segment_tells_where_everything_stood_so_older_ones_can_go(tmp_path: Path) -> None:
    log = IntentLog(tmp_path, segment_bytes=2000)
    proposed(log, 1, ACCEPTED)
    log.append([IntentEvent(SITE, HELD, "ana", NOW, ("drill",))], {})
    proposed(log, 2, WAITING, REVOKED)
    for number in range(10, 30):
        made = intent(number, now=NOW + number * SECOND)
        log.append(
            [event(number, PROPOSED, time=made.created), event(number, EXPIRED, time=made.created)],
            {number: made},
        )
    paths = segments_in(tmp_path)
    assert log.retire(NOW + 25 * SECOND, now=NOW + 30 * SECOND) >= 2
    assert segments_in(tmp_path)[0] > paths[1]
    again = IntentLog(tmp_path)
    assert again.get(1).state == ACCEPTED and again.hold.reason == "drill"
    found = again.verify()
    assert found.whole and found.first > 1 and found.retired == found.first - 1, found
    again.append([IntentEvent(SITE, RELEASED, "ana", NOW)], {})
    assert again.hold is None
    segments_in(tmp_path)[0].unlink()  # nothing in the log says that this one was to go
    found = IntentLog(tmp_path).verify()
    assert not found.whole and "older lines were removed" in found.damage[0].why


def test_ended_intents_leave_memory_but_not_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("andon.store.intents.known.ENDED_KEPT", 50)
    log = IntentLog(tmp_path)
    for number in range(1, 201):
        log.append([event(number, PROPOSED), event(number, EXPIRED)], {number: intent(number)})
    assert len(log.intents()) == 50
    assert log.get(1) is None
    with pytest.raises(Conflict, match="ended a while ago"):
        log.append([event(1, REVOKED)], {})
    assert len(log.since(0)) == 400


def test_a_signed_log_needs_its_key(tmp_path: Path) -> None:
    log = IntentLog(tmp_path, key=b"k" * 32)
    proposed(log, 1, ACCEPTED)
    found = log.verify()
    assert found.whole and found.signed == found.lines == 3 and not found.unchecked
    log.close()
    without = IntentLog(tmp_path, read_only=True)
    assert without.get(1).state == ACCEPTED and without.verify().unchecked == 3
    with pytest.raises(StoreError, match="give its key"):
        IntentLog(tmp_path)
    wrong = IntentLog(tmp_path, key=b"x" * 32)
    assert "not signed with this key" in wrong.trouble()
    plain = tmp_path / "plain"
    IntentLog(plain).close()
    replaced = IntentLog(plain, key=b"k" * 32)
    assert "not signed, and a key is given" in replaced.trouble()


def test_anybody_can_check_the_chain_with_sha256_and_json_alone(tmp_path: Path) -> None:
    log = IntentLog(tmp_path, key=b"k", segment_bytes=3000)
    for number in range(1, 20):
        proposed(log, number, ACCEPTED)
    prev, count = "0" * 64, 0
    for path in sorted(tmp_path.glob("intents-*.ndjson")):
        for line in path.read_bytes().splitlines():
            body = line[len(b'{"body":') : line.rindex(b',"hash":"')]
            whole = json.loads(line)
            assert hashlib.sha256(body).hexdigest() == whole["hash"]
            assert json.loads(body)["prev"] == prev == whole["body"]["prev"]
            prev, count = whole["hash"], count + 1
    assert (count, prev) == (log.head.number, log.head.hash)


def test_the_recipe_of_the_manual_proves_the_chain_and_names_what_was_changed(tmp_path: Path) -> None:
    if not shutil.which("jq") or not shutil.which("bash"):
        pytest.skip("bash and jq are not installed")
    manual = (Path(__file__).parents[2] / "docs/containment-states.md").read_text()
    recipe = manual.split("one segment after the other:")[1].split("```")[1]
    log = IntentLog(tmp_path, segment_bytes=3000)
    for number in range(1, 8):
        proposed(log, number, ACCEPTED, made=intent(number, reason='said "no\\" 日本 $(id)'))

    def said() -> list[str]:
        command = ["bash", "-c", recipe.replace("STORE/contain", str(tmp_path))]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    head = log.head
    assert said()[0] == head.hash and f"{head.number} {head.hash}" in said()[1:] and len(said()) == 3
    path = segments_in(tmp_path)[-1]
    path.write_bytes(path.read_bytes().replace(b'"accepted"', b'"Accepted"', 1))
    assert said()[0].startswith("changed: ")


def test_reserved_room_and_lock_are_no_segments(tmp_path: Path) -> None:
    log = IntentLog(tmp_path)
    (tmp_path / "intents-notes.ndjson").write_text("not ours")
    (tmp_path / "intents-000.ndjson.tmp").write_text("half written")
    proposed(log, 1)
    assert IntentLog(tmp_path).verify().whole


_WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from spine_toys import NOW, intent
from andon.records.intent import IntentEvent
from andon.store.intents import Conflict, IntentLog
log = IntentLog(Path(sys.argv[1]), segment_bytes=20000)
who, won = int(sys.argv[3]), 0
for number in range(1, 61):
    own = who * 1000 + number
    log.append([IntentEvent(own, "proposed", "a", NOW), IntentEvent(own, "accepted", "a", NOW)], {own: intent(own)})
    try:  # all of them want to be the one who ends number + 1
        log.append([IntentEvent(1_000_000 + number, "revoked", str(who), NOW)], {})
        won += 1
    except Conflict:
        pass
print(won)
"""


def test_several_processes_write_one_chain_and_one_of_them_wins(tmp_path: Path) -> None:
    log = IntentLog(tmp_path)
    for number in range(1, 61):
        proposed(log, 1_000_000 + number, ACCEPTED)
    running = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, tmp_path, Path(__file__).parent, str(who)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for who in range(1, 4)
    ]
    won = [int(one.communicate(timeout=60)[0]) for one in running]
    assert sum(won) == 60, "each was ended exactly once"
    log.refresh()
    assert len(log.live()) == 3 * 60
    found = log.verify()
    assert found.whole and found.segments > 1
    assert len(log.since(0)) == 60 * 2 + 3 * 60 * 2 + 60
