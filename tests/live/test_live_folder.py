"""A folder of captures: every packet once, whatever is done to the files."""

from __future__ import annotations

import gzip
import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from live_files import HEADER, SECOND, capture, record, seconds

from andon.observe.live.folder import FolderSource
from andon.observe.live.folder_files import RECENT
from andon.observe.live.source import SourceError
from andon.records.columns import column

T = 1_800_000_000  # s


class Watched:
    """A folder source with a clock of its own, and what it gave: times in seconds, events, the last position."""

    def __init__(self, folder: Path, position: Any = None, **settings: Any) -> None:
        self.now = 0.0
        self.source = FolderSource(
            "sensor", folder, now=lambda: self.now, clock=lambda: int((T + self.now) * SECOND), **settings
        )
        self.source.open(position)
        self.times: list[int] = []
        self.events: list[dict[str, Any]] = []
        self.position: Any = position

    def go(self, rounds: int = 40, seconds: float = 1.0) -> Watched:
        for _ in range(rounds):
            self.now += seconds
            for piece in self.source.poll(0.0):
                self.times += (column(piece.batch, "ts") // SECOND - T).tolist()
                self.position = piece.position
            self.events += self.source.events()
        return self

    def again(self, **settings: Any) -> Watched:
        """As after a restart."""
        return Watched(self.source.folder, self.position, **settings)

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]


def rotated(folder: Path, starts: Iterable[int], number: int = 3) -> None:
    for start in starts:
        (folder / f"{start:06}.pcap").write_bytes(capture(seconds(T + start, number)))


def test_files_are_read_in_the_order_of_their_first_packets(tmp_path: Path) -> None:
    (tmp_path / "z.pcap").write_bytes(capture(seconds(T, 2)))
    (tmp_path / "a.pcap.gz").write_bytes(gzip.compress(capture(seconds(T + 10, 2))))
    assert Watched(tmp_path).go().times == [0, 1, 10, 11]


def test_a_file_that_grows_after_it_was_read_is_read_on(tmp_path: Path) -> None:
    path = tmp_path / "slow.pcap"
    path.write_bytes(capture(seconds(T, 3)))
    watched = Watched(tmp_path).go()
    assert watched.times == [0, 1, 2]
    with path.open("ab") as file:
        file.write(record((T + 50) * SECOND))
    assert watched.go().times == [0, 1, 2, 50]
    with path.open("ab") as file:
        file.write(record((T + 60) * SECOND))
    after = watched.again().go()
    assert after.times == [60]
    assert not watched.events
    assert not after.events


def test_a_record_that_is_cut_in_two_while_the_file_grows_is_no_damage(tmp_path: Path) -> None:
    path, whole = tmp_path / "buffered.pcap", capture(seconds(T, 4))
    path.write_bytes(whole[:-20])
    watched = Watched(tmp_path).go()
    path.write_bytes(whole)
    assert watched.go().times == [0, 1, 2, 3]
    assert not watched.told("damage")


def test_a_record_that_stays_cut_in_two_is_told(tmp_path: Path) -> None:
    (tmp_path / "cut.pcap").write_bytes(capture(seconds(T, 4))[:-20])
    (damage,) = Watched(tmp_path).go(400).told("damage")
    assert "ends inside a record" in damage["what"]


@pytest.mark.parametrize("change", ["compressed", "renamed", "linked"])
def test_a_file_that_gets_another_name_after_it_was_read_is_not_read_twice(
    tmp_path: Path, change: str
) -> None:
    path = tmp_path / "one.pcap"
    path.write_bytes(capture(seconds(T, 3)))
    watched = Watched(tmp_path).go()
    if change == "compressed":
        (tmp_path / "one.pcap.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    elif change == "renamed":
        path.rename(tmp_path / "one.pcap.1")
    else:
        (tmp_path / "latest.pcap").symlink_to(path)
    assert watched.go().times == [0, 1, 2]
    assert watched.again().go().times == []


def test_a_name_that_is_used_again_for_other_packets_is_another_file(tmp_path: Path) -> None:
    path = tmp_path / "ring0.pcap"
    path.write_bytes(capture(seconds(T, 3)))
    watched = Watched(tmp_path).go()
    path.write_bytes(capture(seconds(T + 100, 2)))
    assert watched.go().times == [0, 1, 2, 100, 101]


def test_a_restart_goes_on_at_the_row_even_if_the_file_was_compressed_since(tmp_path: Path) -> None:
    path = tmp_path / "long.pcap"
    path.write_bytes(HEADER + b"".join(record(T * SECOND + n) for n in range(100_000)))
    first = Watched(tmp_path)
    while not first.times:
        first.go(1)
    assert 0 < len(first.times) < 100_000
    (tmp_path / "long.pcap.gz").write_bytes(gzip.compress(path.read_bytes(), 1))
    path.unlink()
    second = first.again().go()
    assert len(first.times) + len(second.times) == 100_000


def test_a_restart_waits_for_the_half_read_file_before_it_begins_another(tmp_path: Path) -> None:
    path = tmp_path / "long.pcap"
    path.write_bytes(HEADER + b"".join(record((T + 5) * SECOND + n) for n in range(100_000)))
    first = Watched(tmp_path)
    while not first.times:
        first.go(1)
    (tmp_path / "late.pcap").write_bytes(capture(seconds(T, 2)))
    os.utime(tmp_path / "late.pcap", (T - 9999, T - 9999))  # whole at once; the half read one has to settle
    os.utime(path)
    second = first.again().go()
    assert len(first.times) + len(second.times) == 100_002
    assert second.times[-2:] == [0, 1]


def test_a_half_read_file_that_went_away_is_a_gap(tmp_path: Path) -> None:
    path = tmp_path / "long.pcap"
    path.write_bytes(HEADER + b"".join(record(T * SECOND + n) for n in range(100_000)))
    first = Watched(tmp_path)
    while not first.times:
        first.go(1)
    path.unlink()
    rotated(tmp_path, [50])
    second = first.again().go()
    assert second.times == [50, 51, 52]
    assert "long.pcap" in second.told("gap")[0]["why"]


def test_a_file_that_is_cut_short_while_it_is_read_harms_nobody(tmp_path: Path) -> None:
    path = tmp_path / "cut.pcap"
    path.write_bytes(HEADER + b"".join(record(T * SECOND + n) for n in range(400_000)))
    rotated(tmp_path, [50])
    watched = Watched(tmp_path)
    while not watched.times:
        watched.go(1)
    os.truncate(path, 1000)
    watched.go()
    assert watched.times[-3:] == [50, 51, 52]


def test_two_files_that_grow_side_by_side_are_left_alone(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    for n in range(20):
        for name in ("left.pcap", "right.pcap"):
            with (tmp_path / name).open("ab") as file:
                file.write((b"" if n else HEADER) + record((T + n) * SECOND))
        watched.go(1)
    assert not watched.times
    assert len(watched.go().times) == 40


def test_a_file_that_grows_for_ever_is_spoken_of(tmp_path: Path) -> None:
    watched = Watched(tmp_path, idle=60.0)
    (tmp_path / "endless.pcap").write_bytes(HEADER)
    for n in range(80):
        with (tmp_path / "endless.pcap").open("ab") as file:
            file.write(record((T + n) * SECOND))
        watched.go(1)
    assert "endless.pcap grows and grows" in watched.source.trouble


def test_a_file_that_comes_too_late_to_be_told_from_old_ones_is_not_passed_over_in_silence(
    tmp_path: Path,
) -> None:
    rotated(tmp_path, range(100, 100 + 10 * (RECENT + 20), 10), number=1)
    watched = Watched(tmp_path).go(400)
    assert len(watched.times) == RECENT + 20
    rotated(tmp_path, [0])
    watched.go()
    assert "not read" in watched.told("damage")[0]["what"]
    after = watched.again().go()
    assert after.times == []
    assert not after.events


def test_empty_files_say_nothing_and_other_files_say_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "new.pcap").write_bytes(b"")
    (tmp_path / "header.pcap").write_bytes(HEADER)
    (tmp_path / "photo.pcap").write_bytes(b"\xff\xd8\xff\xe0 no capture")
    watched = Watched(tmp_path).go()
    assert [event["file"] for event in watched.told("damage")] == ["photo.pcap"]
    (tmp_path / "new.pcap").write_bytes(capture(seconds(T, 1)))
    assert watched.go().times == [0]


def test_names_with_odd_characters_are_read_and_shown_safely(tmp_path: Path) -> None:
    names = [b"new\nline.pcap", b"\x1b[2J.pcap", b"bytes\xff.pcap", "日本.pcap".encode(), b"a 'b\".pcap"]
    for n, name in enumerate(names):
        Path(os.fsdecode(bytes(tmp_path) + b"/" + name)).write_bytes(capture(seconds(T + 10 * n, 1)))
    Path(os.fsdecode(bytes(tmp_path) + b"/bad\x1b\xff.pcap")).write_bytes(b"nonsense")
    watched = Watched(tmp_path).go()
    assert watched.times == [0, 10, 20, 30, 40]
    (damage,) = watched.told("damage")
    assert damage["file"].isprintable()
    damage["file"].encode()
    assert watched.again().go().times == []


def test_pipes_links_in_circles_and_hidden_files_are_left_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pcap")
    (tmp_path / "circle.pcap").symlink_to(tmp_path / "circle.pcap")
    (tmp_path / ".hidden.pcap").write_bytes(capture(seconds(T, 1)))
    (tmp_path / "folder.pcap").mkdir()
    rotated(tmp_path, [5])
    assert Watched(tmp_path).go().times == [5, 6, 7]


def test_a_folder_that_goes_away_is_waited_for(tmp_path: Path) -> None:
    folder = tmp_path / "caps"
    folder.mkdir()
    rotated(folder, [0])
    watched = Watched(folder).go()
    shutil.move(folder, tmp_path / "elsewhere")
    watched.now += 10
    with pytest.raises(SourceError, match="cannot be listed") as failed:
        watched.go()
    assert failed.value.passing
    assert watched.source.trouble
    shutil.move(tmp_path / "elsewhere", folder)
    rotated(folder, [10])
    assert watched.go().times == [0, 1, 2, 10, 11, 12]
    assert not watched.source.trouble


def test_a_file_that_is_deleted_before_its_turn_is_a_gap(tmp_path: Path) -> None:
    rotated(tmp_path, [0, 10])
    watched = Watched(tmp_path)
    while not watched.times:
        watched.go(1, 0.5)
    (tmp_path / "000010.pcap").unlink()
    watched.go(4, 0.01)
    assert "000010.pcap" in watched.told("gap")[0]["why"]


def test_a_silent_folder_says_that_nobody_need_wait_for_it(tmp_path: Path) -> None:
    rotated(tmp_path, [0])
    watched = Watched(tmp_path, idle=100.0).go(50)
    assert not watched.told("idle")
    assert watched.source.quiet() is None
    watched.go(100)
    assert len(watched.told("idle")) == 1
    assert watched.source.quiet() == int((T + watched.now - 100) * SECOND)
    rotated(tmp_path, [200])
    watched.go(20)
    assert watched.source.quiet() is None
    assert len(watched.go(150).told("idle")) == 2


def test_ten_thousand_files_cost_little_and_stopping_does_not_wait_for_them(tmp_path: Path) -> None:
    for n in range(10_000):
        (tmp_path / f"{n:05}.pcap").write_bytes(capture([(T + n) * SECOND]))
    source = FolderSource("sensor", tmp_path, settle=0.01)
    source.open(None)
    longest, polls, rows, begin = 0.0, 0, 0, time.process_time()
    while rows < 300 and polls < 5000:
        before = time.thread_time()
        rows += sum(piece.batch.num_rows for piece in source.poll(0.0))
        longest, polls = max(longest, time.thread_time() - before), polls + 1
    assert rows == 300
    assert longest < 4.0  # one listing of all the files, where a file is slow to look at
    assert time.process_time() - begin < 60.0
    looks, begin = source.listing.looks, time.process_time()
    for _ in range(100):
        source.poll(0.0)
        time.sleep(0.005)
    assert source.listing.looks - looks <= 2  # a long listing is made rarely
