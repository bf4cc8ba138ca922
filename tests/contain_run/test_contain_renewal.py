"""What is known of the site is read again without holding up a case, counted in parts, and kept for an hour."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_known_places import NOW, filled, published
from test_live_contain import HOST, live, written

from andon.records.livenet import EDGES
from andon.run.containment import known
from andon.run.containment.build import FOLDER, USED
from andon.run.containment.known import DAY, used_by, used_lately
from andon.run.live import contain
from andon.store.casebook import Casebook


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Casebook]:
    (tmp_path / "store").mkdir()
    with Casebook(tmp_path / "store") as opened:
        opened.migrate()
        yield opened


def edges(book: Casebook, folder: Path, rng: random.Random, start: int) -> set[tuple[str, str]]:
    """Published edges of one day."""
    pairs = {(f"u{rng.randint(1, 9)}", f"d{rng.randint(1, 40)}.example") for _ in range(60)}
    rows: list[dict[str, object]] = [{"terminal": user, "destination": name} for user, name in sorted(pairs)]
    published(book, folder, "livenet.edges:edges", filled(EDGES, rows), start, start + DAY)
    return pairs


def test_users_counted_in_parts_are_all_users(
    tmp_path: Path, book: Casebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(3)
    pairs = set[tuple[str, str]]().union(*(edges(book, tmp_path, rng, NOW - n * DAY) for n in (5, 4, 3)))
    wanted: dict[str, int] = {}
    for _, name in pairs:
        wanted[name] = wanted.get(name, 0) + 1
    wanted = {name: hosts for name, hosts in wanted.items() if hosts > 1}
    assert len(wanted) > 20
    assert used_by(book, tmp_path, NOW) == wanted
    monkeypatch.setattr(known, "_PAIRS", 20)
    assert used_by(book, tmp_path, NOW) == wanted
    monkeypatch.setattr(known, "_MOST", 5)
    most = used_by(book, tmp_path, NOW)
    assert len(most) == 5 and sorted(most.values()) == sorted(wanted.values())[-5:]


def test_what_does_not_fit_into_memory_is_counted_in_more_parts(
    tmp_path: Path, book: Casebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    import duckdb

    edges(book, tmp_path, random.Random(3), NOW - 2 * DAY)
    whole, asked = used_by(book, tmp_path, NOW), list[str]()
    query = known._query

    def tight(sql: str, files: list[str]) -> object:
        if not files:
            return ()
        asked.append(sql)
        if "% 16 =" not in sql:
            raise duckdb.OutOfMemoryException("no room")
        return query(sql, files)

    monkeypatch.setattr(known, "_query", tight)
    assert used_by(book, tmp_path, NOW) == whole
    assert len(asked) == 1 + 1 + 16


def test_a_count_holds_for_an_hour_and_one_that_does_not_read_is_none(tmp_path: Path, book: Casebook) -> None:
    rng, kept = random.Random(3), tmp_path / "contain" / "used-by.parquet"
    edges(book, tmp_path, rng, NOW - 3 * DAY)
    first = used_lately(book, tmp_path, kept, NOW)
    assert first and not kept.exists()  # whether there is containment is told by its folder: not made here
    kept.parent.mkdir()
    assert used_lately(book, tmp_path, kept, NOW) == first and kept.exists()
    edges(book, tmp_path, rng, NOW - 2 * DAY)
    assert used_lately(book, tmp_path, kept, NOW + 3_599 * 10**9) == first
    for later in (3_600 * 10**9, -(10**9)):  # an hour on, and a clock that was set back
        second = used_lately(book, tmp_path, kept, NOW + later)
        assert second != first and second == used_by(book, tmp_path, NOW)
    for damaged in (b"", b"PAR1" + bytes(100), kept.read_bytes()[:-20]):
        kept.write_bytes(damaged)
        assert used_lately(book, tmp_path, kept, NOW) == second
    assert [file.name for file in kept.parent.iterdir()] == [kept.name]


def test_reading_for_long_what_is_known_holds_up_no_case(
    tmp_path: Path, book: Casebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contain, "_RENEW", 0.0)
    made = live(tmp_path, book)
    listed, reading, goes_on = tmp_path / "lists" / "host-ip.txt", threading.Event(), threading.Event()
    renew, renewed = made.made.renew, threading.Event()

    def slow(book: Casebook | None, now: int) -> None:
        reading.set()
        goes_on.wait(120)
        renew(book, now)
        renewed.set()

    monkeypatch.setattr(made.made, "renew", slow)
    running = threading.Thread(target=made.run)
    running.start()
    try:
        assert reading.wait(60)
        written(book, time.time_ns())
        made.bell.set()
        end = time.monotonic() + 60
        while not (listed.exists() and HOST in listed.read_text()) and time.monotonic() < end:
            time.sleep(0.02)
        assert HOST in listed.read_text() and not goes_on.is_set()
        goes_on.set()
        assert renewed.wait(60)
        assert not [text for text in made.troubles.texts() if "again" in text]
    finally:
        goes_on.set()
        made.stopping.set()
        running.join(120)
    assert not running.is_alive()
    assert (tmp_path / "store" / FOLDER / USED).exists()
