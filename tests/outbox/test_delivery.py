"""The queue's promises, with sinks that do as they are told: order, waiting, digests, nothing lost, nothing twice."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from andon.share.outbox import Delivery, FileSink, Message, Parcel, Patience, Refused, Unreachable, deliver
from andon.share.outbox.deliver import back_off
from andon.store.casebook import Casebook, Queued

HOUR = 3600.0


class Told:
    """A sink that keeps what it takes and fails as it is told."""

    def __init__(self, name: str = "soc", digest_after: int = 0) -> None:
        self.name = name
        self.digest_after = digest_after
        self.taken: list[Parcel] = []
        self.attempts = 0
        self.fail: Callable[[Parcel], Exception | None] = lambda parcel: None

    def send(self, parcel: Parcel, now: int, seconds: float) -> str:
        self.attempts += 1
        error = self.fail(parcel)
        if error is not None:
            raise error
        self.taken.append(parcel)
        return ""

    @property
    def subjects(self) -> list[str]:
        return [parcel.subject for parcel in self.taken]


def put(book: Casebook, clock: Any, *numbers: int, sink: str = "soc") -> None:
    messages = [
        Message(f"alert-{number}", sink, "alert", f"Alert {number}", "Text", {"number": number})
        for number in numbers
    ]
    book.record(messages=messages, clock=clock())


def carried(sink: Told) -> list[int]:
    """Numbers of all alerts a sink has, those in digests too, in order of arrival."""
    numbers: list[int] = []
    for parcel in sink.taken:
        if parcel.is_digest:
            numbers += [json.loads(line)["body"]["number"] for line in parcel.lines.splitlines()]
        else:
            numbers.append(parcel.data()["number"])
    return numbers


def test_messages_arrive_in_order_and_once(book: Casebook, clock: Any) -> None:
    sink = Told()
    put(book, clock, *range(120))
    for _ in range(5):
        deliver(book, [sink], clock)
    assert carried(sink) == list(range(120))
    assert book.outbox_counts() == {("soc", "delivered"): 120}


def test_a_sink_that_is_away_is_asked_less_and_less_often(book: Casebook, clock: Any) -> None:
    sink = Told()
    sink.fail = lambda parcel: Unreachable("down")
    put(book, clock, 1, 2, 3)
    for _ in range(24 * 60):
        deliver(book, [sink], clock)
        clock.turn(60)
    assert 80 < sink.attempts < 140  # a day at a quarter of an hour, and the doubling before that
    sink.fail = lambda parcel: None
    clock.turn(2000)
    deliver(book, [sink], clock)
    assert carried(sink) == [1, 2, 3]


def test_waiting_doubles_to_a_cap_and_is_the_same_in_every_run() -> None:
    def wait(attempts: int, key: str = "k") -> float:
        return back_off(Queued(1, key, "soc", "alert", "s", "t", "{}", 0, attempts), Patience())

    assert 3.7 < wait(0) < 6.3
    assert all(wait(n + 1) > wait(n) for n in range(5))
    assert 675 <= wait(30) <= 1125 and 675 <= wait(10**6) <= 1125
    assert wait(3) == wait(3) != wait(3, "other")


def test_a_refused_message_steps_aside_and_is_not_forgotten(book: Casebook, clock: Any) -> None:
    sink = Told()
    sink.fail = lambda parcel: Refused("too big") if parcel.data()["number"] == 1 else None
    put(book, clock, 1, 2, 3)
    deliver(book, [sink], clock)
    assert carried(sink) == [2, 3]
    sink.fail = lambda parcel: None
    clock.turn(60)
    deliver(book, [sink], clock)
    assert carried(sink) == [2, 3, 1]


def test_a_sink_that_refuses_everything_is_not_hammered(book: Casebook, clock: Any) -> None:
    sink = Told()
    sink.fail = lambda parcel: Refused("no")
    put(book, clock, *range(100))
    for _ in range(10):
        deliver(book, [sink], clock)
    assert sink.attempts == 3


def test_a_sink_that_hangs_stops_nobody_else(book: Casebook, clock: Any) -> None:
    hanging, other = Told("hanging"), Told("other")
    free = threading.Event()

    def hang(parcel: Parcel) -> None:
        free.wait(120)

    hanging.fail = hang
    put(book, clock, 1, 2, sink="hanging")
    put(book, clock, *range(60), sink="other")
    delivery = Delivery(book, [hanging, other], clock)
    begun = time.monotonic()
    while len(other.taken) < 60 and time.monotonic() - begun < 60:
        delivery.step(patience=0.05)
    assert carried(other) == list(range(60))
    assert "hanging" in delivery.busy and hanging.taken == []
    free.set()
    delivery.close(wait=True)
    assert carried(hanging) == [1, 2]
    assert book.outbox_counts() == {("hanging", "delivered"): 2, ("other", "delivered"): 60}


def test_a_sink_that_breaks_in_its_own_way_is_one_that_is_away(book: Casebook, clock: Any) -> None:
    sink = Told()
    sink.fail = lambda parcel: ZeroDivisionError("oops")
    put(book, clock, 1)
    report = deliver(book, [sink], clock)
    assert report.failed == 1 and "oops" in report.errors["soc"]
    assert [key[1] for key in book.outbox_counts()] == ["queued"]


def test_a_message_is_given_up_after_its_days_and_that_is_written_down(book: Casebook, clock: Any) -> None:
    sink = Told()
    sink.fail = lambda parcel: Unreachable("gone for good")
    put(book, clock, 1)
    dead = 0
    for _ in range(8 * 24):
        dead += deliver(book, [sink], clock).dead
        clock.turn(HOUR)
    assert dead == 1
    assert book.outbox_counts() == {("soc", "dead"): 1}
    (entry,) = book.audit_log()
    assert (entry.action, entry.detail["error"]) == ("dead-letter", "gone for good")
    sink.fail = lambda parcel: None
    assert book.revive("soc", clock()) == 1
    deliver(book, [sink], clock)
    assert carried(sink) == [1]


def test_a_clock_that_jumps_ahead_kills_nothing(book: Casebook, clock: Any) -> None:
    sink = Told()
    sink.fail = lambda parcel: Unreachable("down")
    put(book, clock, 1)
    clock.turn(10 * 365 * 24 * HOUR)
    assert deliver(book, [sink], clock).dead == 0
    sink.fail = lambda parcel: None
    clock.turn(HOUR)
    deliver(book, [sink], clock)
    assert carried(sink) == [1]


def test_a_clock_that_jumps_back_holds_nothing_up(book: Casebook, clock: Any) -> None:
    sink = Told(digest_after=20)
    put(book, clock, 1)
    clock.turn(-30 * 24 * HOUR)
    deliver(book, [sink], clock)
    assert carried(sink) == [1]
    sink.fail = lambda parcel: Unreachable("down")
    put(book, clock, 2)
    deliver(book, [sink], clock)
    clock.turn(-30 * 24 * HOUR)
    sink.fail = lambda parcel: None
    deliver(book, [sink], clock)
    assert carried(sink) == [1, 2]


def test_a_flood_becomes_a_few_single_messages_and_one_digest(book: Casebook, clock: Any) -> None:
    sink = Told(digest_after=20)
    put(book, clock, *range(1000))
    for _ in range(50):
        deliver(book, [sink], clock)
        clock.turn(60)
    assert len(sink.taken) == 20  # the rest waits for the hour to end
    for _ in range(20):
        deliver(book, [sink], clock)
        clock.turn(60)
    assert len(sink.taken) == 21
    digest = sink.taken[-1]
    assert digest.is_digest and digest.data()["count"] == 980
    assert "980 messages" in digest.subject and "Alert 20" in digest.text and "960 more" in digest.text
    assert carried(sink) == list(range(1000))
    assert book.outbox_counts() == {("soc", "delivered"): 1001}


def test_what_piled_up_while_a_sink_was_away_comes_as_digests(book: Casebook, clock: Any) -> None:
    sink = Told(digest_after=20)
    sink.fail = lambda parcel: Unreachable("down")
    for hour in range(5):
        put(book, clock, *range(hour * 10, hour * 10 + 10))
        deliver(book, [sink], clock)
        clock.turn(HOUR)
    sink.fail = lambda parcel: None
    for _ in range(60):
        deliver(book, [sink], clock)
        clock.turn(60)
    assert sorted(carried(sink)) == list(range(50))
    assert len(carried(sink)) == 50
    assert len(sink.taken) == 12  # two digests, and the ten of the running hour


def test_a_few_messages_are_never_a_digest(book: Casebook, clock: Any) -> None:
    sink = Told(digest_after=20)
    for number in range(100):
        put(book, clock, number)
        clock.turn(HOUR / 10)
        deliver(book, [sink], clock)
    assert carried(sink) == list(range(100))
    assert not any(parcel.is_digest for parcel in sink.taken)


def test_a_digest_is_bounded_and_followed_by_another(book: Casebook, clock: Any) -> None:
    sink = Told(digest_after=1)
    messages = [
        Message(f"big-{number}", "soc", "alert", "Big", "x" * 50_000, {"number": number})
        for number in range(300)
    ]
    book.record(messages=messages, clock=clock())
    clock.turn(HOUR)
    for _ in range(5):
        deliver(book, [sink], clock)
    assert sorted(carried(sink)) == list(range(300))
    assert all(len(parcel.lines) < 5_000_000 for parcel in sink.taken)
    assert 3 < len(sink.taken) < 8


def test_replaying_what_a_digest_carried_sends_nothing(book: Casebook, clock: Any) -> None:
    sink = Told(digest_after=2)
    put(book, clock, *range(50))
    clock.turn(HOUR)
    deliver(book, [sink], clock)
    before = len(sink.taken)
    put(book, clock, *range(50))
    for _ in range(3):
        clock.turn(HOUR)
        deliver(book, [sink], clock)
    assert len(sink.taken) == before
    assert sorted(carried(sink)) == list(range(50))


def test_messages_for_a_sink_that_is_not_configured_wait_and_are_named(book: Casebook, clock: Any) -> None:
    put(book, clock, 1, sink="later")
    assert deliver(book, [Told()], clock).unknown == ("later",)
    later = Told("later")
    deliver(book, [later], clock)
    assert carried(later) == [1]


def test_a_sink_that_asks_for_time_gets_it(book: Casebook, clock: Any) -> None:
    sink = Told()
    sink.fail = lambda parcel: Unreachable("busy", retry_after=1000)
    put(book, clock, 1)
    deliver(book, [sink], clock)
    sink.fail = lambda parcel: None
    clock.turn(900)
    deliver(book, [sink], clock)
    assert sink.taken == []
    clock.turn(200)
    deliver(book, [sink], clock)
    assert carried(sink) == [1]


def test_what_a_sink_took_is_not_sent_again_when_the_casebook_could_not_note_it(
    book: Casebook, clock: Any, tmp_path: Path
) -> None:
    import sqlite3

    with Casebook(tmp_path / "casebook.db", busy_seconds=0.1) as impatient:
        sink = Told()
        put(book, clock, 1)
        other = sqlite3.connect(tmp_path / "casebook.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        delivery = Delivery(impatient, [sink], clock)
        assert "locked" in delivery.step(patience=60).errors["soc"]
        assert delivery.step(patience=60).delivered == 0
        other.execute("ROLLBACK")
        other.close()
        assert delivery.step(patience=60).delivered == 1
        delivery.close(wait=True)
    assert sink.attempts == 1
    assert book.outbox_counts() == {("soc", "delivered"): 1}


def test_a_file_takes_each_message_once_even_after_a_kill_in_between(
    book: Casebook, clock: Any, tmp_path: Path
) -> None:
    path = tmp_path / "alerts.ndjson"
    sink = FileSink("soc", path)
    put(book, clock, 1, 2)
    (first, _) = book.due(clock())
    from andon.share.outbox.parcel import parcel

    sink.send(parcel(first), clock(), 5)  # written, and killed before the casebook knew
    with path.open("ab") as out:
        out.write(b'{"schema": "andon.message/1", "id": "half a li')
    deliver(book, [sink], clock)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["body"]["number"] for line in lines] == [1, 2]


def test_a_file_of_somebody_else_keeps_its_last_line(book: Casebook, clock: Any, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("a note without an end")
    put(book, clock, 1)
    deliver(book, [FileSink("soc", path)], clock)
    first, second = path.read_text().splitlines()
    assert first == "a note without an end" and json.loads(second)["body"] == {"number": 1}
