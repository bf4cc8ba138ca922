"""What of a part is new: however segments are cut, sent again and shuffled, each row is taken once."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from andon.run.bus.track import Track


@dataclass(frozen=True)
class Cut:
    segment: int
    first: int
    count: int
    end: bool
    row: int
    epoch: str = "a"
    clock: int = 0
    kind: str = "packet"


def cuts(sizes: list[int], at: list[int]) -> list[Cut]:
    """Segments of those sizes, each cut in two where ``at`` says."""
    made, row = [], 0
    for number, (size, where) in enumerate(zip(sizes, at, strict=True), 1):
        middle = min(where, size)
        if middle > 0:
            made.append(Cut(number, 0, middle, False, row))
        made.append(Cut(number, middle, size - middle, True, row + middle))
        row += size
    return made


def taken(track: Track, part: Cut) -> tuple[list[tuple[int, int]], bool]:
    fresh = track.take(part)
    rows = [(part.segment, part.first + n) for start, stop in fresh.ranges for n in range(start, stop)]
    return rows, fresh.events


sizes = st.lists(st.integers(0, 9), min_size=1, max_size=8)


@given(st.data(), sizes)
def test_each_row_and_each_segments_events_are_taken_once(data: st.DataObject, of: list[int]) -> None:
    one = cuts(of, data.draw(st.lists(st.integers(0, 9), min_size=len(of), max_size=len(of))))
    other = cuts(of, data.draw(st.lists(st.integers(0, 9), min_size=len(of), max_size=len(of))))
    shuffled = data.draw(st.permutations(one + other))
    # It begins where the first part says; everything before that was there before it came.
    track = Track.before(Cut(1, 0, 0, False, 0))
    rows, ends = [], []
    for part in shuffled:
        found, events = taken(track, part)
        rows += found
        ends += [part.segment] if events else []
        track = Track.from_json(track.to_json())
    assert sorted(rows) == [(number, n) for number, size in enumerate(of, 1) for n in range(size)]
    assert sorted(ends) == list(range(1, len(of) + 1))
    assert not track.missing


@given(st.data(), st.lists(st.integers(1, 9), min_size=3, max_size=8))
def test_what_is_lost_is_counted_to_the_packet(data: st.DataObject, of: list[int]) -> None:
    parts = cuts(of, [0] * len(of))
    gone = data.draw(st.sets(st.integers(1, len(of) - 2)))  # neither the first nor the last
    track, lost, gaps = Track.before(parts[0]), 0, 0
    for n, part in enumerate(parts):
        if n not in gone:
            fresh = track.take(part)
            lost += fresh.lost
            gaps += fresh.gap
    assert lost == sum(of[n] for n in gone)
    assert gaps == len([n for n in gone if n - 1 not in gone])


def test_a_jump_that_somebody_made_up_hides_nothing() -> None:
    parts = cuts([5, 5, 5], [0, 0, 0])
    track = Track.before(parts[0])
    track.take(parts[0])
    assert track.take(Cut(10**17, 0, 1, True, 10**17)).gap
    assert [taken(track, part)[0] for part in parts[1:]] == [
        [(2, n) for n in range(5)],
        [(3, n) for n in range(5)],
    ]


def test_a_new_store_begins_anew_and_the_old_one_is_over() -> None:
    old, new = Cut(7, 0, 5, True, 60, "a"), Cut(1, 0, 5, True, 0, "b")
    track = Track.before(old)
    track.take(old)
    fresh = track.take(new)
    assert fresh.renewed and fresh.ranges == ((0, 5),) and not fresh.gap
    assert track.take(Cut(8, 0, 5, True, 65, "a")).older
    assert track.take(Cut(2, 0, 5, True, 5, "b")).ranges == ((0, 5),)


def test_where_another_analyser_read_a_jump_is_no_gap() -> None:
    track = Track("a", (3, 0), 30, loose=True)
    fresh = track.take(Cut(9, 0, 5, True, 90))
    assert fresh.ranges == ((0, 5),) and not fresh.gap
    assert track.take(Cut(11, 0, 5, True, 100)).gap


def test_what_is_remembered_as_missing_is_bounded() -> None:
    track = Track.before(Cut(1, 0, 1, True, 0))
    for number in range(1, 2000, 2):
        track.take(Cut(number, 0, 1, True, number))
    assert len(track.missing) == 64
