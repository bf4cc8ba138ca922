"""Tasks under way at a Dask scheduler: a bounded number at a time, each followed to its end.

A *flight* lasts as long as one connection to a scheduler. It raises ``Lost`` when that is gone; what has no answer
by then goes with the next flight, under new keys.

A task whose workers die is not to blame for sure: Dask counts the deaths of a worker against all tasks that waited
there. So such tasks become *suspects*: nothing else is sent until what is under way has ended, and then they run one
by one with the cluster to themselves. One that was only near the fault ends well; one that needs much memory may
too, having the worker for itself; and one whose workers die then as well is what kills them.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final

from andon.run.cluster.errors import ClusterError
from andon.run.cluster.executors.dask_library import Patience

if TYPE_CHECKING:
    from distributed import Client, Future

_BATCH: Final = 256  # results fetched at once
_LEAST: Final = 32  # tasks under way, however few the workers: they are sent and fetched together
_NOT_YET: Final = 10.0  # seconds without a worker that are no news: one is being started again
# Whatever the library raises when its connection is gone: errors of sockets, time-outs, cancellations of two kinds.
_GONE: Final = (Exception, asyncio.CancelledError)
_ODD = re.compile(r"[^A-Za-z0-9._]+")


class Lost(Exception):
    """The scheduler is gone, or has forgotten us."""


@dataclass
class Work:
    """Tasks of a level, over all flights: ``tasks``; ``waiting``, their numbers without an answer, in order;
    ``suspects`` of them; ``answered``, how many got one."""

    tasks: Sequence[str]
    waiting: dict[int, None]
    suspects: dict[int, None] = field(default_factory=dict)
    answered: int = 0

    @classmethod
    def of(cls, tasks: Sequence[str]) -> Work:
        """Nothing is done yet."""
        return cls(tasks, dict.fromkeys(range(len(tasks))))


@dataclass
class Flight:
    """``function`` runs on workers, by reference; ``run``: a name for keys, never used before; ``ours``: a cluster
    that is started anew when it has no worker for a while."""

    client: Client
    function: Callable[[str], str]
    work: Work
    run: str
    patience: Patience
    note: Callable[[str], None]
    ours: bool = False

    def __post_init__(self) -> None:
        self._out: dict[str, tuple[int, Future]] = {}
        self._ended: SimpleQueue[str] = SimpleQueue()
        self._again: set[str] = set()  # keys whose results were lost with their worker; Dask runs them again
        self._ahead = deque(number for number in self.work.waiting if number not in self.work.suspects)
        self._threads = 0
        self._alone: int | None = None  # the suspect that is being tried
        self._sent = 0
        self._misses = self._unfetched = 0
        self._looked = -float("inf")
        self._empty_since: float | None = None
        self._empty_said = False
        self._last_result = time.monotonic()

    def results(self) -> Iterator[tuple[int, str]]:
        """Answers as they come, until there is one for each task. Raises Lost and ClusterError."""
        try:
            while self.work.waiting:
                if time.monotonic() - self._looked >= self.patience.look:
                    self._look()
                self._send()
                yield from self._fetched(self._take())
        finally:
            self._abandon()

    def _send(self) -> None:
        """Fill up what is under way; suspects only when nothing else is, and one at a time."""
        if self.work.suspects:
            if not self._out and self._threads:
                self._alone = next(iter(self.work.suspects))
                self._submit([self._alone])
            return
        most = max(self.patience.ahead * self._threads, _LEAST) if self._threads else 0
        room = most - len(self._out)
        # Not one by one: half of what is ahead keeps workers busy while the next are sent, at half the cost.
        if self._ahead and room * 2 >= most:
            self._submit([self._ahead.popleft() for _ in range(min(room, len(self._ahead)))])

    def _submit(self, numbers: Sequence[int]) -> None:
        texts = [self.work.tasks[number] for number in numbers]
        keys = []
        for number, text in zip(numbers, texts, strict=True):
            self._sent += 1
            keys.append(f"{named(text)}-{number:06d}-{self.run}-{self._sent}")
        try:
            futures = self.client.map(
                self.function, texts, key=keys, pure=False, retries=self.patience.retries
            )
        except _GONE as error:
            raise Lost(f"{error}") from error
        for number, key, future in zip(numbers, keys, futures, strict=True):
            self._out[key] = number, future
            future.add_done_callback(self._noted)

    def _noted(self, future: Future) -> None:
        self._ended.put(future.key)

    def _take(self) -> list[str]:
        """Keys of tasks that have ended; none after a while."""
        # Dask calls back at once, over and over, for a result that was lost, so these are looked at instead.
        ended = [key for key in self._again if key in self._out and self._out[key][1].status != "lost"]
        self._again.difference_update(ended)
        try:
            ended.append(self._ended.get(timeout=max(0.05, min(self.patience.look, 1.0))))
            while len(ended) < _BATCH:
                ended.append(self._ended.get_nowait())
        except Empty:
            pass
        return [key for key in dict.fromkeys(ended) if key in self._out]

    def _fetched(self, ended: Sequence[str]) -> Iterator[tuple[int, str]]:
        good = []
        for key in ended:
            number, future = self._out[key]
            status = future.status
            if status == "finished":
                good.append(key)
            elif status == "error":
                self._failed(key, number, self._error(future))
            elif status == "pending":  # it runs again
                future.add_done_callback(self._noted)
            elif status == "lost":
                self._again.add(key)
            else:
                raise Lost(f"tasks were {status}")
        for key, text in zip(good, self._texts(good), strict=True):
            if text is None:
                self._out[key][1].add_done_callback(self._noted)
                continue
            number, future = self._out.pop(key)
            future.release()
            del self.work.waiting[number]
            self.work.suspects.pop(number, None)
            self.work.answered += 1
            self._alone = None
            self._last_result = time.monotonic()
            yield number, text

    def _texts(self, keys: Sequence[str]) -> list[str | None]:
        """Results of tasks that have ended, None for one that has to be waited for again."""
        if not keys:
            return []
        futures = [self._out[key][1] for key in keys]

        async def gathered() -> list[str]:
            texts: list[str] = await self.client.gather(futures, asynchronous=True)
            return texts

        try:
            texts = list(self.client.sync(gathered, callback_timeout=self.patience.connect))
            self._unfetched = 0
            return list(texts)
        except _GONE:  # one of them, or the scheduler: the next look and the callbacks tell which
            if self.client.status != "running":
                raise Lost("the connection broke while results were fetched") from None
            self._unfetched += 1
            if self._unfetched >= 5:
                raise Lost("results cannot be fetched") from None
            self._looked = -float("inf")
            return [None] * len(futures)

    def _error(self, future: Future) -> BaseException | None:
        try:
            error: BaseException | None = future.exception(timeout=self.patience.connect)
            return error
        except _GONE as gone:
            raise Lost(f"the connection broke while an error was fetched ({type(gone).__name__})") from gone

    def _failed(self, key: str, number: int, error: BaseException | None) -> None:
        """A task that ended in an error. Raises ClusterError if that is final."""
        from distributed.scheduler import KilledWorker

        _, future = self._out.pop(key)
        future.release()
        text = self.work.tasks[number]
        if isinstance(error, KilledWorker):
            if number == self._alone:
                raise ClusterError(_killer(text, error)) from error
            self.note(f"{described(text)}: {error.allowed_failures + 1} workers died; it is tried alone")
            self.work.suspects[number] = None
            return
        if isinstance(error, ImportError):
            raise ClusterError(
                f"a worker cannot run andon ({error}): install the same andon in the environment of every worker"
            ) from error
        raise ClusterError(f"{described(text)}: {type(error).__name__}: {error}") from error

    def _look(self) -> None:
        """How many threads are there to work? Raises Lost and ClusterError."""
        now = self._looked = time.monotonic()
        if self.client.status != "running":
            raise Lost("the connection is closed")
        try:
            running, there = self.client.sync(self._cores, callback_timeout=self.patience.connect)
        except _GONE as error:
            self._misses += 1
            if self._misses >= 3 or self.client.status != "running":
                raise Lost(f"it does not answer ({type(error).__name__})") from error
            return
        self._misses = 0
        self._threads = sum(running.values())
        if self._threads:
            if self._empty_said:
                self.note(f"{len(running)} workers are there")
            self._empty_since, self._empty_said = None, False
        else:
            self._none(now, len(there))
        if now - self._last_result > self.patience.quiet and self._out:
            self._last_result = now
            self.note(
                f"no result for {self.patience.quiet:.0f} s; {len(self._out)} tasks at {len(running)} workers, "
                f"{described(self.work.tasks[next(iter(self._out.values()))[0]])} among them"
            )

    async def _cores(self) -> tuple[dict[str, int], dict[str, int]]:
        """Threads by worker: of those that take tasks, and of all."""
        scheduler: Any = self.client.scheduler
        there = await scheduler.ncores()
        return await scheduler.ncores_running(), there

    def _none(self, now: float, there: int) -> None:
        why = (
            f"all {there} workers are paused: they are near their memory limit"
            if there
            else "no worker is there"
        )
        self._empty_since = now if self._empty_since is None else self._empty_since
        empty = now - self._empty_since
        if self.ours and empty > self.patience.restart:
            raise Lost(why)
        if empty > self.patience.workers:
            raise ClusterError(
                f"{why}, for {empty:.0f} s: start workers (andon cluster worker) or give them more memory. What is "
                "finished is kept: the same command does the rest"
            )
        if empty > _NOT_YET and not self._empty_said:
            self._empty_said = True
            self.note(f"{why}; waiting for up to {self.patience.workers:.0f} s")

    def _abandon(self) -> None:
        """Nobody wants what is still under way."""
        futures = [future for _, future in self._out.values()]
        self._out.clear()
        if futures and self.client.status == "running":
            try:
                self.client.cancel(futures, asynchronous=False)
            except _GONE:  # best effort: the scheduler forgets them when the client is closed
                return


def named(text: str) -> str:
    """The first part of a key: the task and what it is about, for whoever looks at the dashboard."""
    what, paths, _ = _about(text)
    name = _ODD.sub("_", PurePath(paths[0]).name)[-40:] if paths else ""
    return f"{_ODD.sub('_', what)}-{name}" if name else _ODD.sub("_", what)


def described(text: str) -> str:
    """A task in an error message."""
    what, paths, files = _about(text)
    if paths:
        return f"task {what} of {paths[0]}" + (f" and {len(paths) - 1} more" if len(paths) > 1 else "")
    return f"task {what} of {files} files" if files else f"task {what}"


def _about(text: str) -> tuple[str, list[str], int]:
    """(task, paths of its partitions, how many files it merges) as far as the text says."""
    try:
        task = json.loads(text)
        said = [task["partition"]] if "partition" in task else list(task.get("partitions", ()))
        return str(task["task"]), [str(one["path"]) for one in said], len(task.get("sources", ()))
    except (ValueError, KeyError, TypeError, AttributeError):
        return "task", [], 0


def _killer(text: str, error: Any) -> str:
    limit = getattr(error.last_worker, "memory_limit", 0)
    memory = f" (memory limit of the last: {limit / 1e9:.1f} GB)" if limit else ""
    return (
        f"{described(text)} kills its worker: {error.allowed_failures + 1} died at it while it was the only task"
        f"{memory}. If they ran out of memory, start workers with more of it, or fewer processes and threads on each "
        "machine; else their logs say what happened. What is finished is kept: the same command does the rest"
    )
