"""SIGKILL of worker processes while they run tasks."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from andon.run.cluster.executors.dask import Dask


@dataclass
class Killer:
    """Kills ``wanted`` workers of an executor's own cluster, one after another, each while it is at a task.

    ``landed``: process ids of those that died with a task; a kill that came when its worker had just finished does
    not count. It stops when told, or when all have landed.
    """

    executor: Dask
    wanted: int
    seed: int = 1
    longest: float = 0.3  # seconds into a task: most of the first, which loads what all need, takes longer
    late: float = 0.0  # share of kills that come up to five times as late: among the tasks after it
    landed: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Killer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def _run(self) -> None:
        rng = random.Random(self.seed)
        while len(self.landed) < self.wanted and not self._stop.is_set():
            busy = self._busy()
            if not busy:
                time.sleep(0.005)
                continue
            address, pid = rng.choice(busy)
            time.sleep(rng.uniform(0.0, self.longest * (5 if rng.random() < self.late else 1)))
            # Stopped first, so that what it is at is known and cannot end between the look and the kill.
            with contextlib.suppress(ProcessLookupError, KeyError):
                os.kill(pid, signal.SIGSTOP)
                time.sleep(0.05)
                at_a_task = bool(self._scheduler().workers[address].processing)
                os.kill(pid, signal.SIGKILL if at_a_task else signal.SIGCONT)
                if at_a_task:
                    self.landed.append(pid)

    def _scheduler(self) -> Any:
        local = self.executor._local
        assert local is not None
        return local.scheduler

    def _busy(self) -> list[tuple[str, int]]:
        """(address, process id) of workers with tasks that were not killed yet."""
        local = self.executor._local
        if local is None:
            return []
        found = []
        for nanny in list(local.workers.values()):
            state = local.scheduler.workers.get(nanny.worker_address)
            if state is not None and state.processing and nanny.pid and nanny.pid not in self.landed:
                found.append((nanny.worker_address, nanny.pid))
        return found
