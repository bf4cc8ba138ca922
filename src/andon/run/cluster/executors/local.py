"""Tasks in threads of this process: what the others are measured against, and for work that cannot be sent away."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import Self

from andon.run.cluster.work import run_task


class Local:
    """Runs tasks in ``workers`` threads; the engines' kernels release the GIL."""

    name = "local"

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(self.workers, "andon-task")

    def run(self, tasks: Sequence[str]) -> Iterator[tuple[int, str]]:
        """See ``Executor.run``."""
        waiting: dict[Future[str], int] = {
            self._pool.submit(run_task, text): number for number, text in enumerate(tasks)
        }
        try:
            for done in as_completed(waiting):
                yield waiting[done], done.result()
        finally:
            for one in waiting:
                one.cancel()

    def close(self) -> None:
        """Wait for the tasks that are running."""
        self._pool.shutdown(cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
