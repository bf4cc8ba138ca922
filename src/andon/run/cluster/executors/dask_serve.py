"""The two servers of a Dask cluster, with the settings that our jobs want: nothing to write into YAML files.

Both run until they are told to stop. Dask's workers leave when their scheduler does; these start again and wait for
it, so that restarting a scheduler is all there is to do after it was lost.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from andon.run.cluster.errors import ClusterError
from andon.run.cluster.executors.addresses import (
    PORT,
    dask_address,
    is_loopback,
    joined,
    split_host,
    tls_files,
)
from andon.run.cluster.executors.choose import Tls
from andon.run.cluster.executors.dask_library import (
    ALLOWED_FAILURES,
    NOWHERE,
    library,
    our_settings,
    quiet_library,
    security,
    silenced,
)

if TYPE_CHECKING:
    from distributed import Nanny

Told = Callable[[str], None]
_NO_TLS: Final = Tls()
_WAIT: Final = 30.0  # seconds, at most, between two tries to reach a scheduler
_START: Final = 180.0  # seconds for a worker process to be there


@dataclass(frozen=True)
class SchedulerPlace:
    """``host``: the address to listen on; ``port``: 0 for any; ``dashboard``: a port on loopback, or None."""

    host: str = "127.0.0.1"
    port: int = PORT
    tls: Tls = _NO_TLS
    dashboard: int | None = None
    allowed_failures: int = ALLOWED_FAILURES


@dataclass(frozen=True)
class WorkerPlace:
    """``processes`` of ``threads`` each, of ``memory`` bytes each (0: their part of the machine's); ``name``: of the
    first, others get a number; ``host``: the address that others reach them at ("": the one that leads to the
    scheduler); ``grace``: seconds that tasks have to end when the workers are stopped; ``work``: a folder that has
    to be writable."""

    address: str
    tls: Tls = _NO_TLS
    processes: int = 1
    threads: int = 1
    memory: int = 0
    name: str = ""
    host: str = ""
    work: Path | None = None
    scratch: Path | None = None
    grace: float = 60.0


def checked_scheduler(place: SchedulerPlace) -> None:
    """Raises ClusterError for a place that others reach without TLS."""
    library()
    if place.tls.given or not is_loopback(place.host):
        tls_files(
            place.tls,
            f"a scheduler on {place.host}, which is not loopback," if not place.tls.given else "TLS",
        )
    security(place.tls)


def checked_worker(place: WorkerPlace) -> str:
    """The scheduler's whole address. Raises ClusterError, also if the work folder cannot be written to."""
    library()
    address = dask_address(place.address, place.tls)
    security(place.tls)
    if place.host and not place.tls.given and not is_loopback(place.host):
        raise ClusterError(f"a worker on {place.host} needs TLS: give --tls-ca, --tls-cert and --tls-key")
    if place.work is not None:
        writable(place.work)
    return address


def writable(work: Path) -> None:
    """Can this machine write into the work folder? Raises ClusterError."""
    probe = work / f".probe.{socket.gethostname()}.{uuid4().hex}.tmp"
    try:
        probe.write_bytes(b"andon")
        read = probe.read_bytes()
        probe.unlink()
    except OSError as error:
        raise ClusterError(
            f"the work folder {work} cannot be written to here ({error.strerror or error}): make it if it is not "
            "there; it has to be the same shared folder on every machine, writable for the user that workers run as"
        ) from error
    if read != b"andon":
        raise ClusterError(f"the work folder {work} does not give back what was written")


async def serve_scheduler(place: SchedulerPlace, told: Told) -> None:
    """Run a scheduler until SIGTERM or SIGINT. ``told`` hears its address. Raises ClusterError."""
    checked_scheduler(place)
    from distributed import Scheduler

    scheme = "tls" if place.tls.given else "tcp"
    with our_settings(), quiet_library(logging.WARNING):
        async with _until_signal() as stop:
            try:
                scheduler = await Scheduler(
                    host=place.host,
                    port=place.port,
                    protocol=scheme,
                    security=security(place.tls),
                    allowed_failures=place.allowed_failures,
                    dashboard=place.dashboard is not None,
                    dashboard_address=f"127.0.0.1:{place.dashboard}"
                    if place.dashboard is not None
                    else NOWHERE,
                )
            except OSError as error:
                raise ClusterError(
                    f"no scheduler can listen on {joined(scheme, place.host, place.port)}: {error.strerror or error}"
                ) from error
            told(f"scheduler at {scheduler.address}")
            try:
                await _first(stop.wait(), scheduler.finished())
            finally:
                await scheduler.close(reason="stopped")


async def serve_workers(place: WorkerPlace, told: Told) -> None:
    """Run workers until SIGTERM or SIGINT; start them again when they are lost, and when the scheduler was. ``told``
    hears what happens. Raises ClusterError."""
    address = checked_worker(place)
    with our_settings(), quiet_library(logging.WARNING):
        async with _until_signal() as stop:
            base = place.name or f"{socket.gethostname()}-{os.getpid()}"
            names = [
                base if place.processes == 1 else f"{base}-{number}" for number in range(place.processes)
            ]
            await asyncio.gather(*(_Slot(place, address, name, stop, told).serve() for name in names))


@dataclass
class _Slot:
    """One worker process, and the next one in its place."""

    place: WorkerPlace
    address: str
    name: str
    stop: asyncio.Event
    told: Told

    async def serve(self) -> None:
        pause = 1.0
        away = False
        while not self.stop.is_set():
            try:
                nanny = await self._started()
            except Exception as error:  # no scheduler, no process, a name that is still taken: all may pass
                if not away:
                    self.told(
                        f"worker {self.name}: no scheduler at {self.address} yet ({_reason(error)}); waiting"
                    )
                away = True
                await _first(self.stop.wait(), asyncio.sleep(pause))
                pause = min(pause * 2, _WAIT)
                continue
            if nanny is None:
                return
            self.told(f"worker {self.name} at {nanny.worker_address}")
            pause, away = 1.0, False
            try:
                await _first(self.stop.wait(), nanny.finished(), self._gone(nanny))
                if self.stop.is_set():
                    await self._retire(nanny)
            finally:
                with suppress(Exception):
                    await nanny.close(timeout=10, reason="stopped")
            if not self.stop.is_set():
                self.told(f"worker {self.name} has lost its scheduler or cannot start; trying again")
                await _first(self.stop.wait(), asyncio.sleep(pause))

    async def _started(self) -> Nanny | None:
        """A worker that is registered; None if it is not wanted any more."""
        from distributed import Nanny

        place = self.place
        nanny = Nanny(
            self.address,
            nthreads=place.threads,
            name=self.name,
            memory_limit=place.memory or _part(place.processes),
            security=security(place.tls),
            # Said always: Dask's own choice is every interface of the machine.
            host=place.host or _towards(self.address),
            silence_logs=silenced(logging.WARNING),
            local_directory=str(place.scratch) if place.scratch else None,
            dashboard=False,
            dashboard_address=NOWHERE,
        )
        starting = asyncio.ensure_future(nanny.start())
        try:
            await asyncio.wait_for(_first(starting, self.stop.wait()), _START)
            if self.stop.is_set():
                return None
            await starting
            return nanny
        finally:
            failed = not starting.done() or starting.cancelled() or starting.exception() is not None
            if failed or self.stop.is_set():
                starting.cancel()
                with suppress(Exception, asyncio.CancelledError):
                    await starting
                with suppress(Exception):
                    await nanny.close(timeout=5, reason="not started")

    async def _gone(self, nanny: Nanny) -> None:
        """Returns when there has been no worker process for a while: Dask's nanny gives up quietly when it cannot
        start one again."""
        misses = 0
        while misses < 12:
            await asyncio.sleep(5)
            there = nanny.process is not None and nanny.process.is_alive()
            misses = 0 if there else misses + 1

    async def _retire(self, nanny: Nanny) -> None:
        """Take no more tasks, let those that run end, hand results over."""
        worker = nanny.worker_address
        if not worker:
            return
        with suppress(Exception):  # the scheduler may be gone already; then there is nobody to tell
            async with asyncio.timeout(self.place.grace):
                await nanny.scheduler.retire_workers(workers=[worker], close_workers=False, remove=False)
                while await self._running(nanny, worker):
                    await asyncio.sleep(0.5)

    async def _running(self, nanny: Nanny, worker: str) -> int:
        return len(await nanny.rpc(worker).call_stack())  # one for each thread that is at a task


def _towards(address: str) -> str:
    """Our address on the way to a scheduler. Raises OSError if its name is not known."""
    host, port = split_host(address.partition("://")[2])
    family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect(place)  # sends nothing
        return str(probe.getsockname()[0])


def _part(processes: int) -> int:
    """Bytes for each process: what the machine, or the container, has, in equal parts."""
    from distributed.system import MEMORY_LIMIT

    return int(MEMORY_LIMIT) // processes


def _reason(error: BaseException) -> str:
    return str(error).strip().split("\n")[0][:200] or type(error).__name__


async def _first(*waits: Any) -> None:
    """Returns, or raises, with the first that ends; the others are cancelled, but for futures that were given."""
    tasks = [asyncio.ensure_future(one) for one in waits]
    given = {one for one in waits if isinstance(one, asyncio.Future)}
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in tasks:
            if one not in given:
                one.cancel()
        await asyncio.gather(*(one for one in tasks if one not in given), return_exceptions=True)
    for one in done:
        if one not in given and not one.cancelled():
            one.result()


@asynccontextmanager
async def _until_signal() -> AsyncIterator[asyncio.Event]:
    """An event that SIGTERM and SIGINT set."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    caught = (signal.SIGTERM, signal.SIGINT)
    for one in caught:
        loop.add_signal_handler(one, stop.set)
    try:
        yield stop
    finally:
        for one in caught:
            loop.remove_signal_handler(one)
