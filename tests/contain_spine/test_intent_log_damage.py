"""A log that somebody, a disk or a power cut has changed: what is mended, what is named, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spine_toys import NOW, intent

from andon.records.intent import ACCEPTED, APPLIED, EXPIRED, PROPOSED, IntentEvent
from andon.store.errors import StoreDamaged, StoreError
from andon.store.intents import IntentLog, repair
from andon.store.intents.line import encode
from andon.store.intents.segment import segments_in


def made(folder: Path, count: int = 10, key: bytes | None = None, segment_bytes: int = 1 << 20) -> IntentLog:
    log = IntentLog(folder, key=key, segment_bytes=segment_bytes)
    for number in range(1, count + 1):
        log.append(
            [IntentEvent(number, PROPOSED, "a", NOW), IntentEvent(number, ACCEPTED, "a", NOW)],
            {number: intent(number)},
        )
        if number > 3:
            log.append([IntentEvent(number - 3, EXPIRED, "a", NOW)], {})
    return log


def whole_after_opening(folder: Path) -> IntentLog:
    log = IntentLog(folder)
    assert not log.damage and log.verify().whole
    return log


@pytest.mark.parametrize("kept", [1, 100, 500, -1])
def test_a_torn_append_is_cut_off_and_said(tmp_path: Path, kept: int) -> None:
    log = made(tmp_path)
    head, states = log.head, log.intents()
    log.close()
    path = segments_in(tmp_path)[-1]
    whole = path.read_bytes()
    body = {"kind": "event", "n": head.number + 1, "prev": head.hash, "reasons": ["x" * 2000]}
    torn = encode(body, None)[0][:kept]
    path.write_bytes(whole + torn)
    reader = IntentLog(tmp_path, read_only=True)
    assert reader.head == head and not reader.damage, "who only reads leaves it and is not disturbed"
    again = whole_after_opening(tmp_path)
    assert f"{len(torn)} bytes" in again.repaired
    assert again.intents() == states
    note = again.since(head.number)[0]
    assert note.number == head.number + 1 and note.event.detail == {"torn": len(torn)}, "it is in the log too"
    assert not IntentLog(tmp_path).repaired


def test_zeros_after_a_power_cut_are_a_torn_append_too(tmp_path: Path) -> None:
    made(tmp_path).close()
    path = segments_in(tmp_path)[-1]
    with path.open("ab") as file:
        file.write(bytes(3000) + b"\n" + bytes(500))
    assert "3501 bytes" in whole_after_opening(tmp_path).repaired


def test_a_line_that_was_written_but_whose_head_was_not_stays(tmp_path: Path) -> None:
    log = made(tmp_path)
    head = (tmp_path / "head").read_bytes()
    log.append([IntentEvent(10, APPLIED, "a", NOW)], {})
    log.close()
    (tmp_path / "head").write_bytes(head)
    again = whole_after_opening(tmp_path)
    assert again.get(10).state == APPLIED and not again.repaired


def test_a_torn_slot_of_the_head_leaves_the_other(tmp_path: Path) -> None:
    log = made(tmp_path)
    log.close()
    head = bytearray((tmp_path / "head").read_bytes())
    slot = log.head.number % 2 * 512
    head[slot : slot + 300] = bytes(300)
    (tmp_path / "head").write_bytes(head)
    assert whole_after_opening(tmp_path).head == log.head


def test_one_byte_anywhere_is_found_and_the_line_is_named(tmp_path: Path) -> None:
    made(tmp_path / "log", 6).close()
    path = segments_in(tmp_path / "log")[0]
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    starts = [sum(len(line) for line in lines[:n]) for n in range(len(lines))]
    for number, start in enumerate(starts):
        for at in (start + 12, start + len(lines[number]) // 2, start + len(lines[number]) - 10):
            changed = bytearray(whole)
            changed[at] ^= 1
            path.write_bytes(changed)
            found = IntentLog(tmp_path / "log", read_only=True).verify()
            assert found.damage[0].line == number + 1, (number, at, found.damage)
            log = IntentLog(tmp_path / "log")
            assert log.damage, (number, at)
            with pytest.raises(StoreDamaged, match="Nothing new is enforced"):
                log.append([IntentEvent(6, APPLIED, "a", NOW)], {})
            assert path.read_bytes() == changed, "nothing was cut off or written"
            log.close()
    path.write_bytes(whole)
    assert whole_after_opening(tmp_path / "log").get(6).state == ACCEPTED


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_change_of_committed_bytes_goes_unseen(tmp_path: Path, data: st.DataObject) -> None:
    origin, copy = tmp_path / "origin", tmp_path / "copy"
    if not origin.exists():
        made(origin, 8, segment_bytes=4000).close()
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(origin, copy)
    path = data.draw(st.sampled_from(segments_in(copy)))
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    length = data.draw(st.integers(0, 40))
    put = data.draw(st.binary(max_size=40))
    changed = whole[:at] + put + whole[at + length :]
    if changed == whole:
        return
    path.write_bytes(changed)
    assert not IntentLog(copy, read_only=True).verify().whole
    log = IntentLog(copy)
    if path == segments_in(copy)[-1]:
        assert log.damage and path.read_bytes() == changed
    log.close()


def _rewritten(lines: list[bytes], key: bytes | None) -> bytes:
    """The log as somebody would write it anew who does not like line 4."""
    prev, out = "0" * 64, []
    for number, line in enumerate(lines):
        body = json.loads(line)["body"]
        body["prev"] = prev
        if number == 3:
            body["actor"] = "mallory"
        text, prev = encode(body, key)
        out.append(text)
    return b"".join(out)


def test_a_log_that_was_written_anew_is_seen_by_its_head(tmp_path: Path) -> None:
    made(tmp_path).close()
    path = segments_in(tmp_path)[0]
    path.write_bytes(_rewritten(path.read_bytes().splitlines(), None))
    log = IntentLog(tmp_path)
    assert "written anew" in log.trouble()
    assert "written anew" in str(log.verify().damage)


def test_with_a_key_writing_log_and_head_anew_does_not_help(tmp_path: Path) -> None:
    made(tmp_path, key=b"secret").close()
    path = segments_in(tmp_path)[0]
    path.write_bytes(_rewritten(path.read_bytes().splitlines(), b"guessed"))
    for remove in (False, True):
        if remove:
            (tmp_path / "head").unlink()
        log = IntentLog(tmp_path, key=b"secret")
        assert log.damage
        assert not log.verify().whole
        log.close()


def test_a_tail_that_was_cut_off_is_seen(tmp_path: Path) -> None:
    log = made(tmp_path)
    last = log.head.number
    log.close()
    path = segments_in(tmp_path)[-1]
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-3]))
    again = IntentLog(tmp_path)
    assert f"lines {last - 2} to {last} were there and are cut off" in again.trouble()
    assert not again.verify().whole
    with pytest.raises(StoreDamaged):
        again.append([IntentEvent(10, APPLIED, "a", NOW)], {})


def test_lines_taken_out_put_in_or_swapped_are_named(tmp_path: Path) -> None:
    made(tmp_path).close()
    path = segments_in(tmp_path)[0]
    lines = path.read_bytes().splitlines(keepends=True)
    for changed, line in (
        (lines[:4] + lines[5:], 5),
        ([*lines[:4], lines[2], *lines[4:]], 5),
        ([*lines[:4], lines[5], lines[4], *lines[6:]], 5),
    ):
        path.write_bytes(b"".join(changed))
        assert IntentLog(tmp_path, read_only=True).verify().damage[0].line == line


def test_segments_that_are_gone_are_missed(tmp_path: Path) -> None:
    made(tmp_path / "log", 30, segment_bytes=4000).close()
    for gone in range(len(segments_in(tmp_path / "log"))):
        copy = tmp_path / f"copy{gone}"
        shutil.copytree(tmp_path / "log", copy)
        segments_in(copy)[gone].unlink()
        assert not IntentLog(copy, read_only=True).verify().whole, gone
    for path in [*segments_in(tmp_path / "log")]:
        path.unlink()
    log = IntentLog(tmp_path / "log")
    assert "taken away" in log.trouble() and not log.verify().whole
    with pytest.raises(StoreDamaged):
        log.append([IntentEvent(10, APPLIED, "a", NOW)], {})


def test_a_missing_head_is_damage(tmp_path: Path) -> None:
    made(tmp_path).close()
    (tmp_path / "head").unlink()
    log = IntentLog(tmp_path)
    assert "missing" in log.trouble() and not log.verify().whole


def test_a_running_writer_notices_damage_behind_its_back(tmp_path: Path) -> None:
    log = made(tmp_path)
    path = segments_in(tmp_path)[0]
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 10)
    with pytest.raises(StoreDamaged):
        log.append([IntentEvent(10, APPLIED, "a", NOW)], {})
    assert log.damage


def test_repair_sets_aside_carries_over_and_names_the_old_end(tmp_path: Path) -> None:
    log = made(tmp_path)
    last = log.head
    log.close()
    path = segments_in(tmp_path)[0]
    changed = bytearray(path.read_bytes())
    changed[len(changed) // 2] ^= 1
    path.write_bytes(changed)
    follower = IntentLog(tmp_path, read_only=True)
    done = repair(tmp_path, "ana", "bit rot", NOW)
    assert (done.set_aside / path.name).read_bytes() == changed
    assert {one.intent.id for one in done.carried} == {8, 9, 10}
    again = whole_after_opening(tmp_path)
    assert again.get(9).state == ACCEPTED
    body = json.loads(segments_in(tmp_path)[0].read_bytes().splitlines()[0])["body"]
    assert body["prev"] == last.hash == body["after"]["hash"]
    assert body["after"]["set_aside"] == done.set_aside.name and body["after"]["actor"] == "ana"
    assert body["n"] == last.number + 1 == again.head.number
    again.append([IntentEvent(9, APPLIED, "a", NOW)], {})
    generation = follower.generation
    follower.refresh()
    assert follower.generation > generation and follower.get(9).state == APPLIED and not follower.damage
    assert again.verify().set_aside == done.set_aside.name
    with pytest.raises(StoreError, match="whole"):
        repair(tmp_path, "ana", "again", NOW)


def test_repair_without_taking_anything_along(tmp_path: Path) -> None:
    made(tmp_path).close()
    (tmp_path / "head").unlink()
    assert repair(tmp_path, "ana", "unsure", NOW, carry=False).carried == ()
    assert not whole_after_opening(tmp_path).live()


def test_repair_of_a_lost_first_line_uses_what_is_left(tmp_path: Path) -> None:
    made(tmp_path, 30, segment_bytes=4000).close()
    path = segments_in(tmp_path)[-1]
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"x" + b"".join(lines))
    done = repair(tmp_path, "ana", "first line of the last segment is gone", NOW)
    assert {28, 29, 30} <= {one.intent.id for one in done.carried}
    whole_after_opening(tmp_path)


def test_a_key_can_be_begun_with_by_repair_alone(tmp_path: Path) -> None:
    made(tmp_path).close()
    repair(tmp_path, "ana", "signed from now on", NOW, key=b"key")
    log = IntentLog(tmp_path, key=b"key")
    assert log.get(9).state == ACCEPTED and log.verify().whole and log.verify().signed == 1


@pytest.mark.parametrize("killed_after", ["link", "write", "head"])
def test_a_repair_that_dies_leaves_the_old_or_the_new(
    tmp_path: Path, killed_after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path).close()
    path = segments_in(tmp_path)[0]
    changed = bytearray(path.read_bytes())
    changed[len(changed) // 2] ^= 1
    path.write_bytes(changed)

    class Killed(BaseException):
        pass

    def die(*given: object, **more: object) -> None:
        raise Killed

    place = "andon.store.intents.repairing."
    if killed_after == "link":
        monkeypatch.setattr(place + "header_body", die)
    elif killed_after == "write":
        monkeypatch.setattr(place + "create_head", die)
    else:
        monkeypatch.setattr(
            place + "sync_path", lambda path, calls=[]: calls.append(path) or (len(calls) > 2 and die())
        )
    with pytest.raises(Killed):
        repair(tmp_path, "ana", "bit rot", NOW)
    monkeypatch.undo()
    log = IntentLog(tmp_path)
    if killed_after == "link":
        assert log.damage and path.read_bytes() == changed
        repair(tmp_path, "ana", "bit rot", NOW)
    assert whole_after_opening(tmp_path).get(9).state == ACCEPTED
    assert list(next(tmp_path.glob("damaged-*")).iterdir())
