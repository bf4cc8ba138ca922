"""Alarms, ids, the flag file, the steady clock: each for itself."""

from __future__ import annotations

import threading
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from spine_toys import NOW, SECOND, Bell, Clocks, intent

from andon.contain.alarms import REMIND, Alarms
from andon.contain.clock import SteadyClock, ends
from andon.contain.controller.flag import flag, lower_flag, raise_flag
from andon.contain.controller.lock import ControllerLock
from andon.contain.ids import new_id
from andon.records.intent import EXPIRED, PROPOSED, REFUSED, IntentEvent
from andon.store.intents import IntentLog, State


def test_an_alarm_is_said_once_again_every_hour_and_once_when_it_is_over() -> None:
    bell, clocks = Bell(), Clocks()
    alarms = Alarms(bell, clocks.up)
    for _ in range(100):
        alarms.on("store", "disk full", "a")
    alarms.on("store", "disk full", "b")
    assert bell.of("store") == ["disk full", "disk full"], "one for each thing it is about"
    clocks.since_boot += REMIND
    alarms.on("store", "disk still full", "a")
    assert bell.of("store")[2:] == ["disk still full"]
    assert sorted(alarms.active()) == [("store", "disk full"), ("store", "disk still full")]
    alarms.over("store", "room again", "a")
    alarms.over("store", "room again", "a")
    alarms.over("store", about="never on")
    assert bell.of("store")[3:] == ["over: room again"]


def test_who_hears_alarms_cannot_stop_what_they_are_about() -> None:
    def deaf(kind: str, text: str) -> None:
        raise RuntimeError("pager is down")

    alarms = Alarms(deaf, Clocks().up)
    for number in range(3000):
        alarms.on("x", "y", str(number))
    assert len(alarms.active()) == 1000 and alarms.unheard == 3000


def test_ids_grow_never_repeat_and_fit_into_63_bits() -> None:
    made: list[int] = []
    orders: list[bool] = []
    mutex = threading.Lock()

    def make() -> None:
        mine = [new_id() for _ in range(2000)]
        with mutex:
            made.extend(mine)
            orders.append(mine == sorted(mine))

    threads = [threading.Thread(target=make) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(set(made)) == 8000 and orders == [True] * 4
    assert all(0 < new_id(moment) < 1 << 63 for moment in (0, 1, NOW, (1 << 63) - 1, -5))


def test_the_flag_survives_everything_but_being_lowered(tmp_path: Path) -> None:
    assert flag(tmp_path) is None
    assert raise_flag(tmp_path, "ana", 'why "so"') and flag(tmp_path) == ("ana", 'why "so"')
    for data in (b"", b"{", b"[1]", b"\xff" * 100_000, b'{"actor": 1}'):
        (tmp_path / "kill").write_bytes(data)
        assert flag(tmp_path) is not None and flag(tmp_path)[0] in ("somebody", "1")
    lower_flag(tmp_path)
    lower_flag(tmp_path)
    assert flag(tmp_path) is None
    assert not raise_flag(tmp_path / "not there", "ana", "")


def test_whatever_is_in_the_lock_file_it_is_only_words(tmp_path: Path) -> None:
    for data in (b"", b"{", b"[]", b'{"pid": "x", "alive": []}', b'{"pid": 1, "since": 1e400}', b"\xff\xfe"):
        (tmp_path / "controller.lock").write_bytes(data)
        first, second = ControllerLock(tmp_path), ControllerLock(tmp_path)
        assert first.take(NOW) and not second.take(NOW)
        first.gap(NOW)
        second.holder()
        first.release(NOW)
        assert second.take(NOW) and not second.gap(NOW)
        second.release(NOW)


@given(
    st.integers(1, 7 * 86_400),
    st.integers(-(10**6), 10**6),
    st.integers(-(10**7), 10**7),
    st.booleans(),
    st.integers(0, 10**6),
)
def test_nothing_holds_for_longer_than_it_was_given(
    ttl: int, waited: int, jump: int, same_boot: bool, passed: int
) -> None:
    """Whatever the clocks were when it was proposed, and are now."""
    clocks = Clocks(NOW + jump * SECOND, 10**7 * SECOND + passed * SECOND)
    made = intent(1, now=NOW, ttl=ttl)
    state = State(
        made, "accepted", NOW, "andon", 2, NOW + waited * SECOND, 10**10, "boot" if same_boot else "other"
    )
    end = ends(state, SteadyClock(clocks.now, clocks.up), "boot", NOW)
    assert end <= clocks.up() + made.ttl
    if same_boot:
        assert end <= (10**7 + ttl) * SECOND, "by the clock since boot, from when it was proposed"
    else:
        assert end <= clocks.up() + max(0, made.until - NOW)


def test_what_rests_is_known_after_a_new_segment_and_a_restart(tmp_path: Path) -> None:
    log = IntentLog(tmp_path, segment_bytes=1000)
    log.append([IntentEvent(1, PROPOSED, "a", NOW), IntentEvent(1, REFUSED, "a", NOW)], {1: intent(1)})
    for number in range(2, 10):
        states = [IntentEvent(number, state, "a", NOW) for state in (PROPOSED, EXPIRED)]
        log.append(states, {number: intent(number)})
    again = IntentLog(tmp_path)
    assert [one.intent.id for one in again.rested("case-1")] == [1]
    assert again.get(2) is None and not again.rested("case-2"), "the others were left behind"
