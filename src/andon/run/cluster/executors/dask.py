"""Tasks on a Dask cluster: one that runs somewhere, or one of processes of this machine for the length of the job.

What passes through Dask is a reference to ``work.run_task`` and short texts. Nothing that is worth keeping is in
Dask: summaries are files in the work folder. So when the scheduler is lost, the tasks without an answer are simply
sent to the next one at the same address, and workers find there what the last ones finished.

The cluster of this machine is TLS too, with a key that lives in memory: other users of the machine reach its ports.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

from andon.run.cluster.errors import ClusterError
from andon.run.cluster.executors.addresses import dask_address
from andon.run.cluster.executors.choose import Cluster
from andon.run.cluster.executors.dask_flight import Flight, Lost, Work
from andon.run.cluster.executors.dask_library import (
    ALLOWED_FAILURES,
    NOWHERE,
    Patience,
    library,
    our_settings,
    quiet_library,
    security,
    silenced,
)
from andon.run.cluster.executors.dask_reach import reach
from andon.run.cluster.executors.dask_versions import check_versions
from andon.run.cluster.work import run_task

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

_STARTS = 2  # of a cluster of this machine in a row, without a result between them
_log = logging.getLogger("andon.cluster")


def _said(text: str) -> None:
    """Warnings go to stderr where no logging is set up."""
    _log.warning("andon: cluster: %s", text)


class Dask:
    """An ``Executor``. ``note`` hears what an operator wants to know while a job runs: the scheduler is away, no
    worker is there, versions differ. ``function`` is what workers call, by reference, so they must be able to import
    it. Raises Missing and ClusterError.

    Example: ``with Dask(Cluster("dask", "tls://192.0.2.7:8786", tls)) as executor: analyze_on(executor, ...)``
    """

    name = "dask"

    def __init__(
        self,
        cluster: Cluster,
        note: Callable[[str], None] = _said,
        patience: Patience | None = None,
        allowed_failures: int = ALLOWED_FAILURES,
        function: Callable[[str], str] = run_task,
    ) -> None:
        self._library = library()
        self._cluster, self._note, self._function = cluster, note, function
        self._patience = patience or Patience()
        self._allowed_failures = allowed_failures
        self.address = dask_address(cluster.address, cluster.tls) if cluster.address else ""
        self._security: Any = security(cluster.tls) if self.address else None
        self._local: LocalCluster | None = None
        self._client: Client | None = None
        self._while_open = ExitStack()
        self._while_open.enter_context(quiet_library())
        self._while_open.enter_context(our_settings())
        self.workers = cluster.workers or os.cpu_count() or 1
        try:
            self._connect(self._patience.connect)
            self._checked()
        except BaseException:
            self.close()
            raise

    def run(self, tasks: Sequence[str]) -> Iterator[tuple[int, str]]:
        """See ``Executor.run``. Raises ClusterError."""
        work = Work.of(tasks)
        losses = answered = 0
        while work.waiting:
            try:
                client = self._connected()
                run, ours = uuid4().hex[:8], not self.address
                flight = Flight(client, self._function, work, run, self._patience, self._note, ours)
                yield from flight.results()
            except Lost as error:
                losses = losses + 1 if work.answered == answered else 1
                answered = work.answered
                if losses > (self._patience.losses if self.address else _STARTS):
                    raise ClusterError(self._given_up(losses, error)) from error
                self._return(error, len(work.waiting))

    def _given_up(self, losses: int, error: Lost) -> str:
        if self.address:
            return f"the scheduler{self._at()} was lost {losses} times without a result in between ({error})"
        return (
            f"worker processes of this machine do not stay ({error}): have they enough memory? What is finished is "
            "kept: the same command does the rest"
        )

    def _at(self) -> str:
        return f" at {self.address}" if self.address else ""

    def _connected(self) -> Client:
        if self._client is None:
            raise Lost("it was closed")
        return self._client

    def _connect(self, timeout: float) -> None:
        """Raises ClusterError if there is no scheduler within so many seconds."""
        if self.address:
            try:
                reach(self.address, self._security, timeout)
            except OSError as error:
                raise ClusterError(self._unreachable(error)) from error
        else:
            self._local = self._start()
        try:
            self._client = self._library.Client(
                self._local or self.address,
                security=self._local.security if self._local else self._security,
                timeout=timeout,
                set_as_default=False,
                direct_to_workers=False,
                name="andon",
            )
        except Exception as error:  # OSError, TimeoutError, ssl errors and assertions of the handshake
            raise ClusterError(self._unreachable(error)) from error

    def _start(self) -> LocalCluster:
        from distributed.security import Security

        try:
            return self._library.LocalCluster(
                n_workers=self._cluster.workers or None,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                protocol="tls",
                security=Security.temporary(),
                memory_limit=self._cluster.memory or "auto",
                dashboard_address=None,
                worker_dashboard_address=None,
                silence_logs=silenced(),
                scheduler_kwargs={
                    "allowed_failures": self._allowed_failures,
                    "dashboard": False,
                    "dashboard_address": NOWHERE,
                },
            )
        except Exception as error:
            raise ClusterError(f"no Dask cluster could be started on this machine: {error}") from error

    def _unreachable(self, error: BaseException) -> str:
        reason = str(error).strip() or type(error).__name__
        if cause := error.__cause__:
            reason += f" ({str(cause).strip() or type(cause).__name__})"
        advice = (
            "is `andon cluster scheduler` (or `dask scheduler`) running there, and may this machine reach it?"
        )
        if self._security is not None:
            advice += " Does it speak TLS, with certificates of the same authority?"
        return f"no Dask scheduler{self._at()}: {reason}. {advice}"

    def _checked(self) -> None:
        """Versions of the workers that are there. Those that come later are refused by their first task."""
        client = self._connected()
        threads = client.sync(client.scheduler.ncores, callback_timeout=self._patience.connect)
        self.workers = sum(threads.values()) or self.workers
        for line in check_versions(client, self._patience.connect):
            self._note(line)

    def _return(self, error: Lost, waiting: int) -> None:
        """Wait for the scheduler to be back. Raises ClusterError."""
        self._let_go()
        patience = self._patience.lost
        self._note(
            f"the scheduler{self._at()} is lost ({error}); {waiting} tasks have no answer yet and are sent again; "
            f"waiting for up to {patience:.0f} s"
        )
        deadline = time.monotonic() + patience
        while True:
            left = deadline - time.monotonic()
            try:
                self._connect(max(1.0, min(self._patience.connect, left)))
                break
            except ClusterError as again:
                if time.monotonic() >= deadline:
                    raise ClusterError(
                        f"the scheduler{self._at()} was lost and did not come back within {patience:.0f} s. What is "
                        f"finished is kept in the work folder: the same command does the rest ({again})"
                    ) from again
                self._let_go()
                time.sleep(min(1.0, max(0.0, deadline - time.monotonic())))
        self._note(f"the scheduler{self._at()} is back")

    def _let_go(self) -> None:
        if self._client is not None:
            try:
                self._client.close(timeout=2)
            except (
                Exception
            ):  # what is gone need not be told; nor does the library have to try again at the end
                self._client.status = "closed"
        self._client = None
        with suppress(Exception):
            if self._local is not None:
                self._local.close(timeout=20)
        self._local = None

    def close(self) -> None:
        """See ``Executor.close``."""
        self._let_go()
        self._while_open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
