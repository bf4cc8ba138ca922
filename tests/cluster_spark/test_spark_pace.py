"""How tasks are put into queries: nothing is lost, long tasks are alone, and no worker is left with a heap."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.run.cluster.executors.spark_pace import Pace


def taken(pace: Pace, waiting: deque[tuple[int, str]]) -> list[tuple[int, int]]:
    """(tasks, partitions) of all queries until nothing waits."""
    made = []
    expected = 0
    while waiting:
        rows, partitions = pace.take(waiting)
        assert [number for number, _ in rows] == list(range(expected, expected + len(rows)))
        assert 1 <= partitions <= len(rows)
        expected += len(rows)
        made.append((len(rows), partitions))
    return made


@settings(max_examples=60)
@given(
    count=st.integers(1, 800),
    workers=st.integers(1, 200),
    queues=st.booleans(),
    seconds=st.floats(0, 1000),
    size=st.sampled_from([1, 500, 20_000, 600_000]),
)
def test_every_task_is_in_one_query(
    count: int, workers: int, queues: bool, seconds: float, size: int
) -> None:
    pace = Pace(workers, queues)
    for _ in range(30):
        pace.heard(seconds)
    text = "x" * size
    waiting = deque((number, text) for number in range(count))
    made = taken(pace, waiting)
    assert sum(tasks for tasks, _ in made) == count
    assert all(tasks == 1 or tasks * size <= 512 << 10 for tasks, _ in made)
    if not queues:
        assert all(partitions == 1 for _, partitions in made)


def test_at_first_and_when_they_are_long_tasks_are_alone() -> None:
    for queues in (False, True):
        pace = Pace(4, queues)
        for _ in range(2):
            rows, partitions = pace.take(deque((number, "x") for number in range(1000)))
            assert len(rows) == partitions
            pace.heard(60.0)


def test_short_tasks_share_a_query_and_less_of_it_towards_the_end() -> None:
    pace = Pace(4, False)
    for _ in range(60):
        pace.heard(0.005)
    sizes = [tasks for tasks, _ in taken(pace, deque((number, "x") for number in range(20_000)))]
    assert sizes[0] > 200
    assert sizes == sorted(sizes, reverse=True) and sizes[-12:] == [1] * 12
    assert len(sizes) < 300


@pytest.mark.parametrize(("workers", "wave"), [(1, 16), (64, 256), (1000, 1024)])
def test_an_engine_that_queues_gets_partitions_for_its_workers_and_some_that_wait(
    workers: int, wave: int
) -> None:
    pace = Pace(workers, True)
    rows, partitions = pace.take(deque((number, "x") for number in range(50_000)))
    assert len(rows) == partitions == wave
    assert pace.streams == 2
