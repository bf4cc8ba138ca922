"""Who runs the tasks. An executor is all that knows of a scheduler's library; it is chosen by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, Self


class Executor(Protocol):
    """``name``: "local", "dask", "spark"; ``workers``: how many tasks it runs at once, as far as it knows."""

    name: str
    workers: int

    def run(self, tasks: Sequence[str]) -> Iterator[tuple[int, str]]:
        """(number of the task, what ``work.run_task`` gave), in any order, each task once. A task whose worker is
        lost is run again elsewhere. Raises ClusterError when the scheduler cannot be reached or gives up."""

    def close(self) -> None:
        """Let go of the scheduler, and stop what was started for this job."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...
