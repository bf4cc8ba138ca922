"""Tasks on Spark: any server of Spark Connect, or a Sail server of our own for the length of the job.

Only what Apache Spark 4 and Sail both have is used: a table of tasks, ``repartition``, ``mapInArrow``, answers as they
come. A session, or a server, that is lost costs the answers that were on their way: what has none is handed in again,
to a new session, and workers find in the work folder what was finished.
"""

from __future__ import annotations

import logging
import queue
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Self

import pyarrow as pa

from andon import __version__
from andon.run.cluster.errors import ClusterError, Missing
from andon.run.cluster.executors import spark_task
from andon.run.cluster.executors.choose import Cluster
from andon.run.cluster.executors.spark_pace import Pace, Rows
from andon.run.cluster.executors.spark_server import Server, hopeless, readable
from andon.run.cluster.work import run_task

_LOSSES = 5  # of a session, one after the other with no answer between them
_FAILURES = 3  # of one task, by an error of its own
_UNFINISHED = 10  # of one task: the queries that ended without its answer
_WAIT = 0.5  # seconds until a lost session is renewed, doubled each time
_QUIET = 600.0  # seconds without an answer before that is said
_HELD = 256  # answers that are here and have not been asked for

_log = logging.getLogger("andon.cluster")
_Heard = tuple[int, str] | BaseException


class Spark:
    """An ``Executor`` on ``cluster.address``, or on a Sail server that it starts. ``function`` is what workers call, by
    reference, so they must be able to import it. Raises Missing and ClusterError.

    Example: ``with Spark(Cluster("spark", workers=2)) as executor: analyze_on(executor, Path("/srv/work"), paths)``
    """

    name = "spark"

    def __init__(self, cluster: Cluster, function: Callable[[str], str] = run_task) -> None:
        try:
            import pyspark.sql.connect.session  # noqa: F401
        except ImportError as error:
            raise Missing("Spark Connect's client", "spark") from error
        except SystemExit:  # that client takes `python -c` for a test of its own, and ends the process
            raise ClusterError("Spark Connect's client cannot be used from python -c: write a file") from None
        # Of the client, which says by a warning what it raises as well, and speaks of parts that are not used here.
        warnings.filterwarnings("ignore", r"\[RETRIES_EXCEEDED\]")
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas")
        self._rows = partial(spark_task.run_rows, function=function)
        self._server = Server(cluster)
        try:
            self.workers, self.queues = self._greeted(cluster)
        except BaseException:
            self._server.close()
            raise

    def _greeted(self, cluster: Cluster) -> tuple[int, bool]:
        """(workers, whether partitions queue); and workers are what they should be."""
        session, _ = self._server.session()
        try:
            # As many partitions as the engine thinks good: on Spark, as it has cores now.
            rows = session.range(0, 1 << 16).mapInArrow(spark_task.hello, _hello_type()).collect()
            # Spark's name for what runs on its scheduler. A server that does not say it gets less at once.
            queues = bool(session.conf.get("spark.app.id", "") or "")
        except Exception as error:
            raise ClusterError(readable(error, self._server)) from None  # it may hold what must not be shown
        for row in rows:
            if row.andon != __version__:
                raise ClusterError(
                    f"the driver is andon {__version__}, worker {row.host} {row.andon}: install the same on all "
                    "machines"
                )
        return cluster.workers or (self._server.slots if self._server.own else max(len(rows), 2)), queues

    @property
    def address(self) -> str:
        """Of the server."""
        return self._server.address

    @property
    def server_pid(self) -> int | None:
        """Of the server, if it is ours."""
        return self._server.pid

    def run(self, tasks: Sequence[str]) -> Iterator[tuple[int, str]]:
        """See ``Executor.run``."""
        if not tasks:
            return
        job = _Job(self._server, tasks, self._rows, Pace(self.workers, self.queues))
        try:
            yield from job.answers()
        finally:
            job.stop()

    def close(self) -> None:
        """End the session, and the server if it is ours."""
        self._server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Job:
    """Tasks on their way: some threads that hand in queries and hear their answers."""

    def __init__(self, server: Server, tasks: Sequence[str], rows: Callable[..., Any], pace: Pace) -> None:
        self.server, self.tasks, self.rows, self.pace = server, tasks, rows, pace
        self.waiting: deque[tuple[int, str]] = deque(enumerate(tasks))
        self.open = len(tasks)
        self.answered = bytearray(len(tasks))
        self.failures: dict[int, int] = {}
        self.unfinished: dict[int, int] = {}
        self.losses = 0  # since the last answer
        self.state = threading.Condition()
        self.ended = False
        self.heard: queue.Queue[_Heard] = queue.Queue(_HELD)
        self.threads = [
            threading.Thread(target=self._stream, name="andon-spark", daemon=True)
            for _ in range(min(pace.streams, len(tasks)))
        ]

    def answers(self) -> Iterator[tuple[int, str]]:
        """Of all tasks, each once."""
        for thread in self.threads:
            thread.start()
        for _ in range(len(self.tasks)):
            heard = self._hear()
            if isinstance(heard, BaseException):
                raise heard
            yield heard

    def _hear(self) -> _Heard:
        while True:
            try:
                return self.heard.get(timeout=_QUIET)
            except queue.Empty:
                _log.warning(
                    "andon: cluster: no answer from %s for %d minutes; %d of %d tasks are open",
                    *(self.server.where, _QUIET // 60, self.open, len(self.tasks)),
                )

    def stop(self) -> None:
        """Take back what has not been answered."""
        with self.state:
            cut = self.open > 0
            self.ended = True
            self.state.notify_all()
        if cut:
            self.server.interrupt()
        for thread in self.threads:
            if thread.is_alive():
                thread.join(10.0)

    def _stream(self) -> None:
        """A thread: one query after the other."""
        try:
            while (taken := self._next()) is not None:
                self._query(*taken)
        except BaseException as error:  # the job's own thread raises it
            self._tell(error)

    def _next(self) -> tuple[Rows, int] | None:
        """The next query; None when everything is answered."""
        with self.state:
            while not self.waiting and self.open and not self.ended:
                self.state.wait()  # tasks of others may come back
            if self.ended or not self.open:
                return None
            return self.pace.take(self.waiting)

    def _query(self, rows: Rows, partitions: int) -> None:
        left = dict(rows)
        lost: Exception | None = None
        number_of_session = -1
        try:
            session, number_of_session = self.server.session()
            table = pa.table(
                [pa.array(list(left), pa.int64()), pa.array(list(left.values()), pa.string())],
                names=["number", "task"],
            )
            made = session.createDataFrame(table).repartition(partitions)
            for row in made.mapInArrow(self.rows, _answer_type()).toLocalIterator():
                if self.ended:
                    return
                if row.number not in left:
                    continue  # it was heard before: an engine may run a partition twice
                text = left.pop(row.number)
                if row.error is None:
                    self._answer(row.number, row.answer, row.seconds)
                else:
                    self._failed(row.number, text, row.error)
        except ClusterError:
            raise
        except Exception as error:
            lost = error
        if left and not self.ended:
            self._unfinished(left, lost, number_of_session)

    def _answer(self, number: int, answer: str, seconds: float) -> None:
        with self.state:
            self.losses = 0
            self.pace.heard(seconds)
            if self.answered[number]:
                return
            self.answered[number] = 1
            self.open -= 1
            if not self.open:
                self.state.notify_all()
        self._tell((number, answer))

    def _failed(self, number: int, text: str, error: str) -> None:
        """A task raised an error: again, some times."""
        with self.state:
            self.losses = 0
            self.failures[number] = self.failures.get(number, 0) + 1
            if self.failures[number] >= _FAILURES:
                raise ClusterError(f"a task failed {_FAILURES} times, last on {error}")
            self.waiting.append((number, text))
            self.state.notify()

    def _unfinished(self, left: dict[int, str], lost: Exception | None, session: int) -> None:
        """A query ended before all its tasks were answered."""
        if lost is not None and hopeless(lost):
            raise ClusterError(readable(lost, self.server)) from None
        why = "answers are missing" if lost is None else readable(lost, self.server)
        with self.state:
            for number in left:
                self.unfinished[number] = self.unfinished.get(number, 0) + 1
                if self.unfinished[number] >= _UNFINISHED:
                    raise ClusterError(f"a task was given up after {_UNFINISHED} tries: {why}")
            # The first of the streams that lost this session says so; the others find a new one.
            first = self.server.lost(session)
            self.losses += first
            wait = _WAIT * 2**self.losses
            if self.losses > _LOSSES:
                raise ClusterError(f"the Spark server was lost {self.losses} times in a row: {why}")
            if first:
                _log.warning("andon: cluster: %s; %d tasks are handed in again", why, len(left))
                self.state.wait_for(lambda: self.ended, wait)
            self.waiting.extendleft(reversed(left.items()))
            self.state.notify_all()

    def _tell(self, heard: _Heard) -> None:
        """To whoever asks; not at all if nobody will."""
        while not self.ended:
            with suppress(queue.Full):
                self.heard.put(heard, timeout=1.0)
                return


def _answer_type() -> Any:
    from pyspark.sql.types import DoubleType, LongType, StringType, StructField, StructType

    types = {"number": LongType(), "answer": StringType(), "error": StringType(), "seconds": DoubleType()}
    return StructType([StructField(name, kind) for name, kind in types.items()])


def _hello_type() -> Any:
    from pyspark.sql.types import StringType, StructField, StructType

    return StructType([StructField(name, StringType()) for name in spark_task.HELLOS.names])
