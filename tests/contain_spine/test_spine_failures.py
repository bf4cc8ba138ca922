"""Everything that goes wrong ends in a known state and an alarm."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from spine_toys import HASTY, Bell, Clocks, FileToy, Verdicts, controller, intent, wait_for
from test_spine_controller import CASE, Site, site  # noqa: F401

from andon.contain.contract import Plan
from andon.records.intent import APPLIED, EXPIRED, FAILED, REVOKED, VERIFIED
from andon.store.errors import StoreDamaged
from andon.store.intents import IntentLog, repair
from andon.store.intents.segment import segments_in

# ruff: noqa: F811


def test_rules_that_were_flushed_by_hand_are_there_again(site) -> None:
    here = site()
    here.consider(*(intent(number) for number in range(1, 6)))
    for number in range(1, 6):
        here.comes_to(number, VERIFIED)
    toy = here.toys[0]
    before = toy.rules()
    for path in toy.folder.glob("*.rule"):
        path.unlink()
    wait_for(lambda: toy.rules() == before)
    wait_for(lambda: here.bell.of("rules-lost"))
    here.comes_to(3, VERIFIED)
    assert APPLIED in here.history(3)


def test_a_rule_that_was_changed_by_hand_is_made_right(site) -> None:
    here = site()
    here.consider(intent(1))
    here.comes_to(1, VERIFIED)
    toy = here.toys[0]
    before = toy.rules()
    real = toy.apply
    toy.apply = lambda plans: (toy.path(1).unlink(missing_ok=True), real(plans))[1]
    toy.path(1).write_bytes(b"allow everything")
    wait_for(lambda: toy.rules() == before)


def test_rules_that_are_nobody_s_are_taken_away_and_said(site) -> None:
    here = site()
    here.consider(intent(1))
    here.comes_to(1, VERIFIED)
    here.toys[0].path(99).write_bytes(b"somebody's test")
    wait_for(lambda: list(here.toys[0].rules()) == [1])
    wait_for(lambda: here.bell.of("stray-rules"))
    assert f"{99:016x}" in here.bell.of("stray-rules")[0]


def test_a_new_epoch_is_looked_at_at_once(tmp_path: Path) -> None:
    """The switch restarted and lost all: not a matter of the interval, which is an hour here."""
    from andon.contain.controller import Settings

    toy, verdicts, bell = FileToy(tmp_path / "toy"), Verdicts(), Bell()
    settings = Settings(tick=0.01, reconcile_every=3600)
    spine = controller(tmp_path / "contain", [toy], verdicts, bell=bell, settings=settings)
    verdicts.wishes = [intent(1), intent(2)]
    spine.consider(CASE)
    wait_for(lambda: len(toy.rules()) == 2)
    wait_for(spine.idle)
    for path in toy.folder.glob("*.rule"):
        path.unlink()
    toy.epoch += 1
    wait_for(lambda: len(toy.rules()) == 2)
    assert "toy restarted" in bell.of("enforcer-restarted")[0] and bell.of("rules-lost")
    spine.close()


def test_an_enforcer_that_cannot_be_reached_is_told_what_is_wanted_when_it_is_back(site) -> None:
    here = site(toys=2)
    here.toys[0].down = "no route"
    here.consider(intent(1, success="all"), intent(2), intent(3))
    here.comes_to(1, FAILED)
    here.comes_to(2, VERIFIED)
    assert "toy0 is not to be reached: no route" in here.bell.of("enforcer")[0]
    here.controller.revoke([3], "ana", "changed my mind")
    here.toys[0].down = ""
    here.comes_to(1, VERIFIED)
    wait_for(lambda: set(here.toys[0].rules()) == {1, 2})
    wait_for(lambda: any(text.startswith("over") for text in here.bell.of("enforcer")))
    assert len(here.bell.of("enforcer")) == 2, "said once, and once that it is over"


def test_one_that_hangs_delays_no_other_and_is_said(site) -> None:
    here = site(toys=2, settings=HASTY)
    here.toys[0].hang.clear()
    started = time.monotonic()
    here.consider(intent(1), intent(2, success="all"))
    here.comes_to(1, VERIFIED)
    assert time.monotonic() - started < 30
    here.comes_to(2, FAILED)
    assert "has not come back from" in here.bell.of("enforcer-hangs")[0]
    started = time.monotonic()
    here.controller.kill_switch("ana", "now")
    wait_for(lambda: not here.toys[1].rules())
    assert time.monotonic() - started < 30
    here.toys[0].hang.set()
    wait_for(
        lambda: not here.toys[0].rules() and "revoke_all" in here.toys[0].calls, step=here.controller.step
    )
    wait_for(
        lambda: any(text.startswith("over") for text in here.bell.of("enforcer-hangs")),
        step=here.controller.step,
    )


def test_one_that_lies_is_found_out_by_reading_back(site) -> None:
    here = site()
    here.toys[0].lies = True
    here.consider(intent(1))
    here.comes_to(1, FAILED)
    assert "not there when read back" in here.controller.log.get(1).reasons[0]
    assert VERIFIED not in here.history(1)
    here.toys[0].lies = False
    here.comes_to(1, VERIFIED)


def test_one_that_cannot_say_yet_leaves_it_applied(site) -> None:
    """A list that no firewall has fetched: it is there, and nobody knows whether it is in force."""
    here = site()
    toy = here.toys[0]
    toy.silent, toy.reads_back = True, False
    here.start_over()
    here.consider(*(intent(number) for number in range(1, 40)))  # more than are verified one by one elsewhere
    for number in range(1, 40):
        here.comes_to(number, APPLIED)
    applied = toy.calls.count("apply")  # one; more where its thread was awake before all were told
    asked = toy.calls.count("actual") + 3
    wait_for(lambda: toy.calls.count("actual") > asked, step=here.controller.step)
    here.start_over()
    asked = toy.calls.count("actual") + 3
    wait_for(lambda: toy.calls.count("actual") > asked, step=here.controller.step)
    assert {here.state(number) for number in range(1, 40)} == {APPLIED}
    assert toy.calls.count("apply") == applied
    toy.silent = False
    for number in range(1, 40):
        here.comes_to(number, VERIFIED)


def test_one_that_breaks_its_contract_is_told_apart(site) -> None:
    here = site()
    here.toys[0].wrong_receipts = True
    here.consider(intent(1))
    here.comes_to(1, FAILED)
    assert "error of this enforcer" in here.controller.log.get(1).reasons[0]
    here.toys[0].wrong_receipts = False

    def broken(plans: list[Plan]) -> None:
        raise KeyError("third party")

    here.comes_to(1, VERIFIED)
    here.toys[0].apply = broken
    here.consider(intent(2))
    here.comes_to(2, FAILED)
    assert "KeyError" in here.controller.log.get(2).reasons[0]


def test_a_rule_that_keeps_vanishing_is_not_fought_for_ten_times_a_second(site) -> None:
    here = site()
    toy = here.toys[0]
    here.consider(intent(1))
    here.comes_to(1, VERIFIED)
    begun, removed, in_a_second = time.monotonic(), 0, 0
    # A second; where nothing is put back in it because the machine is busy, longer.
    while (passed := time.monotonic() - begun) < 1.0 or (removed < 2 and passed < 60):
        if toy.path(1).exists():
            toy.path(1).unlink()
            removed += 1
            in_a_second += passed < 1.0
        here.controller.step()
        time.sleep(0.002)
    assert removed >= 2 and in_a_second <= 8, (removed, in_a_second)
    state = here.controller.log.get(1)
    assert state.state != FAILED or "keeps vanishing" in state.reasons[0]


def test_what_is_in_force_stays_when_the_controller_is_closed_and_is_taken_up_again(site) -> None:
    here = site()
    here.consider(intent(1), intent(2))
    here.comes_to(2, VERIFIED)
    here.controller.close()
    assert len(here.toys[0].rules()) == 2
    written = {number: here.toys[0].path(number).stat().st_mtime_ns for number in (1, 2)}
    here.toys[0].calls.clear()
    number = here.controller.log.head.number
    here.start()
    wait_for(lambda: "actual" in here.toys[0].calls)
    wait_for(here.controller.idle, step=here.controller.step)
    time.sleep(0.1)
    assert "apply" not in here.toys[0].calls, "it is there as it was acknowledged: nothing is pushed again"
    assert written == {n: here.toys[0].path(n).stat().st_mtime_ns for n in (1, 2)}
    events = here.controller.log.since(number)
    assert [one.event.state for one in events] == ["note"], (
        "and nothing is written but that somebody took over"
    )


def test_after_a_controller_that_died_it_is_said_how_long_nobody_was_in_control(site, tmp_path: Path) -> None:
    here = site()
    here.controller.close()
    here.start()
    here.controller.close()
    assert not here.bell.of("uncontrolled"), "both left in order"
    lock = tmp_path / "contain" / "controller.lock"
    lock.write_text(lock.read_text().replace("true", "false"))  # as one leaves it that was killed
    here.start()
    assert "nobody was in control from 2026-01-01T00:" in here.bell.of("uncontrolled")[0]


def test_the_second_controller_takes_over_when_the_first_is_gone(site, tmp_path: Path) -> None:
    here = site()
    here.consider(intent(1))
    here.comes_to(1, VERIFIED)
    bell = Bell()
    second = controller(tmp_path / "contain", here.toys, here.verdicts, bell=bell)
    for _ in range(20):
        second.step()
    assert not second.active and len(bell.of("standby")) == 1
    here.verdicts.wishes = [intent(2)]
    second.consider(CASE)  # it still takes cases, for the one at work
    here.comes_to(2, VERIFIED)
    here.controller.close()
    wait_for(lambda: second.active, step=second.step)
    assert bell.of("standby")[-1].startswith("over")
    here.toys[0].path(1).unlink()
    wait_for(lambda: len(here.toys[0].rules()) == 2, step=second.step)
    second.close()


def test_the_kill_switch_does_not_wait_for_a_log_that_another_process_holds(site, tmp_path: Path) -> None:
    here = site()
    here.consider(intent(1), intent(2))
    here.comes_to(2, VERIFIED)
    with (tmp_path / "contain" / "lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # somebody stopped in the middle of an append
        blocked = threading.Thread(target=here.consider, args=(intent(3),), daemon=True)
        blocked.start()
        time.sleep(0.1)
        pulled = threading.Thread(target=here.controller.kill_switch, args=("ana", "now"), daemon=True)
        started = time.monotonic()
        pulled.start()
        wait_for(lambda: not here.toys[0].rules())
        assert time.monotonic() - started < 15 and blocked.is_alive(), "the lock is still waited for"
    blocked.join(60)
    pulled.join(60)
    wait_for(lambda: here.controller.log.hold is not None, step=here.controller.step)
    assert not list(here.controller.log.live()) and not here.toys[0].rules()


# ---------------------------------------------------------------------- a damaged log


def damaged(folder: Path) -> bytes:
    """The second line: that a controller took over. So all intents are still known."""
    path = segments_in(folder)[-1]
    data = bytearray(path.read_bytes())
    data[data.index(b"\n") + 100] ^= 1
    path.write_bytes(data)
    return bytes(data)


def test_with_a_damaged_log_nothing_new_is_enforced_and_what_is_in_force_ends_by_its_time(
    site, tmp_path: Path
) -> None:
    clocks = Clocks()
    here = site(clocks=clocks)
    here.consider(intent(1, ttl=60), intent(2, ttl=120), intent(3, ttl=120))
    for number in (1, 2, 3):
        here.comes_to(number, VERIFIED)
    here.controller.close()
    data = damaged(tmp_path / "contain")
    toy = here.toys[0]
    toy.path(77).write_bytes(b"of an intent whose line may be the lost one")
    here.start()
    assert "damaged" in here.bell.of("store")[0] and "audit repair" in here.bell.of("store")[0]
    with pytest.raises(StoreDamaged):
        here.consider(intent(9))
    assert {one.intent.id for one in here.controller.log.live()} == {1, 2, 3}, "the proven lines say so"
    wait_for(lambda: here.bell.of("stray-rules"), step=here.controller.step)
    assert 77 in toy.rules() and "left alone" in here.bell.of("stray-rules")[0]
    toy.path(2).unlink()
    time.sleep(0.2)
    here.controller.step()
    assert 2 not in toy.rules(), "a line that was lost may have ended it: it is not pushed again"
    clocks.pass_(61)
    here.controller.step()
    wait_for(lambda: 1 not in toy.rules(), step=here.controller.step)
    assert segments_in(tmp_path / "contain")[-1].read_bytes() == data, "nothing is written into a damaged log"
    # A person revokes; the kill switch works.
    here.controller.revoke([3], "ana", "now")
    wait_for(lambda: 3 not in toy.rules())
    here.controller.kill_switch("ana", "to be sure")
    wait_for(lambda: not toy.rules())
    assert (tmp_path / "contain" / "kill").exists(), "so that the next one knows of it"
    # Set aside and begun anew: what ended is not taken up again, and the kill switch is in the log.
    repair(tmp_path / "contain", "ana", "bit rot", clocks.now())
    wait_for(
        lambda: here.controller.log.hold is not None and not here.controller.log.damage,
        step=here.controller.step,
    )
    clocks.pass_(2)
    here.controller.step()
    assert not toy.rules() and not (tmp_path / "contain" / "kill").exists()
    assert not here.controller.log.live()
    assert (here.state(1), here.state(2), here.state(3)) == (EXPIRED, REVOKED, REVOKED)
    assert any(text.startswith("over") for text in here.bell.of("store"))
    assert IntentLog(tmp_path / "contain", read_only=True).verify().whole


def test_damage_of_an_older_segment_is_said_and_stops_nothing(tmp_path: Path) -> None:
    folder, toy, verdicts, bell = tmp_path / "contain", FileToy(tmp_path / "toy"), Verdicts(), Bell()
    log = IntentLog(folder, segment_bytes=3000)
    spine = controller(folder, [toy], verdicts, log=log)
    verdicts.wishes = [intent(number) for number in range(1, 4)]
    spine.consider(CASE)
    for number in range(10, 20):
        verdicts.wishes = [intent(number)]
        spine.consider(CASE)
    wait_for(spine.idle, step=spine.step)
    spine.close()
    log.close()
    assert len(segments_in(folder)) > 1
    path = segments_in(folder)[0]
    path.write_bytes(path.read_bytes().replace(b"ws-1", b"ws-9", 1))
    spine = controller(folder, [toy], verdicts, bell=bell)
    wait_for(lambda: bell.of("store"), step=spine.step)
    assert "an older part" in bell.of("store")[0] and path.name in bell.of("store")[0]
    verdicts.wishes = [intent(99)]
    spine.consider(CASE)
    wait_for(lambda: 99 in toy.rules(), step=spine.step)
    spine.close()


# ---------------------------------------------------------------------- a full disk

_PRELUDE = f"""
import os, sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from spine_toys import *
from andon.store.errors import StoreFull
from andon.store.intents import IntentLog
from andon.records.intent import *
disk, outside = Path(sys.argv[1]), Path(sys.argv[2])
def fill(room=0):
    with (disk / "ballast").open("ab") as file:
        file.write(bytes(max(0, os.statvfs(disk).f_bavail * 4096 - room)))
"""


def on_a_small_disk(tmp_path: Path, script: str) -> None:
    disk, outside = tmp_path / "disk", tmp_path / "outside"
    disk.mkdir()
    outside.mkdir()
    ways = [["unshare", "-m"], ["unshare", "-Urm"]]
    works = [
        way for way in ways
        if shutil.which("unshare")
        and not subprocess.run([*way, "mount", "-t", "tmpfs", "x", disk], capture_output=True, check=False).returncode
    ]  # fmt: skip
    if not works:
        pytest.skip("this machine lets nobody mount a file system")
    mounted = 'mount -t tmpfs -o size=2m tmpfs "$1" && exec "$3" -c "$4" "$1" "$2"'
    done = subprocess.run(
        [*works[0], "sh", "-c", mounted, "sh", disk, outside, sys.executable, _PRELUDE + textwrap.dedent(script)],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("done\n"), done.stdout


def test_a_full_disk_takes_nothing_half_and_keeps_room_for_endings(tmp_path: Path) -> None:
    on_a_small_disk(
        tmp_path,
        """
        log = IntentLog(disk / "contain")
        for number in range(1, 101):
            log.append([IntentEvent(number, "proposed", "a", NOW), IntentEvent(number, "accepted", "a", NOW)],
                       {number: intent(number)})
        fill()
        refused = 0
        for number in range(1000, 1100):
            before, size = log.head, log._path.stat().st_size
            try:
                log.append([IntentEvent(number, "proposed", "a", NOW, ("x" * 3000,))], {number: intent(number)})
            except StoreFull as error:
                refused += 1
                assert "no room left" in str(error)
                assert log.head == before and log._path.stat().st_size == size and log.get(number) is None
        assert refused > 95, refused
        for number in range(1, 101):
            log.append([IntentEvent(number, "revoked", "ana", NOW)], {})
        assert not [one for one in log.live() if one.intent.id < 1000]
        assert log.verify().whole
        try:
            log.append([IntentEvent(2000, "proposed", "a", NOW)], {2000: intent(2000)})
        except StoreFull as error:
            assert "more than endings" in str(error)
        else:
            sys.exit("the room of the reserve was given to something new")
        (disk / "ballast").unlink()
        log.append([IntentEvent(2000, "proposed", "a", NOW)], {2000: intent(2000)})
        again = IntentLog(disk / "contain")
        assert again.verify().whole and again.get(50).state == "revoked" and again.get(2000).state == "proposed"
        print("done")
        """,
    )


def test_nothing_unrecorded_is_applied_and_what_cannot_be_recorded_is_taken_away_all_the_same(
    tmp_path: Path,
) -> None:
    on_a_small_disk(
        tmp_path,
        """
        toy, bell, verdicts, clocks = FileToy(outside / "toy"), Bell(), Verdicts(), Clocks()
        spine = controller(disk / "contain", [toy], verdicts, bell=bell, clocks=clocks)
        verdicts.wishes = [intent(number, ttl=60 if number < 3 else 3600) for number in range(1, 9)]
        case = SimpleNamespace(id="c")
        spine.consider(case)
        wait_for(spine.idle, step=spine.step)
        assert len(toy.rules()) == 8
        fill()
        verdicts.wishes = [intent(number) for number in range(10, 2000)]
        try:
            spine.consider(case)
        except StoreFull:
            pass
        else:
            sys.exit("there was room")
        time.sleep(0.1)
        assert len(toy.rules()) == 8 and spine.log.get(10) is None
        clocks.pass_(2)
        (disk / "contain" / "reserve").unlink()
        fill()
        for _ in range(3):
            clocks.pass_(2)
            spine.step()
        assert sum("nothing new is enforced" in text for text in bell.of("store")) == 1, bell.heard
        try:
            while True:  # and the rest of the last page
                spine.log.append([IntentEvent(0, "note", "a", NOW)], {})
        except StoreFull:
            pass
        clocks.pass_(61)
        spine.step()
        wait_for(lambda: set(toy.rules()) == set(range(3, 9)), step=spine.step)
        assert any("endings cannot be recorded" in text for text in bell.of("store")), bell.heard
        spine.revoke([3], "ana", "now")
        wait_for(lambda: set(toy.rules()) == set(range(4, 9)), step=spine.step)
        spine.kill_switch("ana", "all of it")
        wait_for(lambda: not toy.rules(), step=spine.step)
        assert any("cannot be recorded" in text for text in bell.of("store"))
        verdicts.wishes = [intent(5000)]
        (disk / "ballast").unlink()
        for _ in range(3):
            clocks.pass_(2)
            spine.step()
        assert not spine.log.live() and spine.log.get(1).state == "expired" and spine.log.get(3).state == "revoked"
        assert spine.log.get(3).actor == "ana" and spine.hold is not None
        assert any(text.startswith("over") for text in bell.of("store"))
        assert spine.log.hold is not None and not (disk / "contain" / "kill").exists(), spine.status()
        assert spine.log.verify().whole and not toy.rules()
        spine.close()
        print("done")
        """,
    )
