"""``andon cluster``: a Dask cluster without YAML, what it is doing, and keeping the work folder small."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from andon.cli.runner import bytes_of
from andon.cli.terminal import Format, console, fail, note, safe

if TYPE_CHECKING:
    from andon.run.cluster.executors.choose import Tls

app = typer.Typer(
    help="Run analyses on a Dask cluster (docs/cluster.md).\n\nExample: andon cluster status --cluster tls://192.0.2.7:8786",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_CA = typer.Option(
    None, "--tls-ca", envvar="ANDON_TLS_CA", help="Certificate of the cluster's own authority (PEM)."
)
_CERT = typer.Option(None, "--tls-cert", envvar="ANDON_TLS_CERT", help="Our certificate (PEM).")
_KEY = typer.Option(None, "--tls-key", envvar="ANDON_TLS_KEY", help="Its key (PEM).")
_CLUSTER = typer.Option(
    ..., "--cluster", envvar="ANDON_CLUSTER", help="Of the scheduler: tls://HOST:8786, or tcp:// on loopback."
)
_WORK = typer.Option(
    None, "--work", envvar="ANDON_WORK", help="The work folder of analyses; checked to be writable."
)
_FORMAT = typer.Option(Format.table, "--format", help="table or json.")
_DAYS = {"d": 1, "w": 7, "y": 365}


@app.command("scheduler")
def scheduler_command(
    host: str = typer.Option(
        "127.0.0.1", "--host", help="Address to listen on; others than loopback need TLS."
    ),
    port: int = typer.Option(8786, "--port", min=0, max=65535, help="0: any that is free."),
    dashboard: int | None = typer.Option(
        None, "--dashboard", min=0, max=65535, help="Serve Dask's dashboard on this port of 127.0.0.1."
    ),
    failures: int | None = typer.Option(
        None,
        "--allowed-failures",
        min=0,
        help="Workers that may die with a task waiting there before it is suspect.",
    ),
    ca: Path | None = _CA,
    cert: Path | None = _CERT,
    key: Path | None = _KEY,
) -> None:
    """Run a Dask scheduler until SIGTERM. It keeps nothing: kill it and start it again as you like.

    Example: andon cluster scheduler --host 192.0.2.7 --tls-ca ca.pem --tls-cert node.pem --tls-key node.key
    """
    from andon.run.cluster.executors.dask_library import ALLOWED_FAILURES
    from andon.run.cluster.executors.dask_serve import SchedulerPlace, serve_scheduler

    allowed = ALLOWED_FAILURES if failures is None else failures
    _serve(serve_scheduler(SchedulerPlace(host, port, _tls(ca, cert, key), dashboard, allowed), _told))


@app.command("worker")
def worker_command(
    cluster: str = _CLUSTER,
    processes: int = typer.Option(0, "--processes", min=0, max=1024, help="Worker processes; 0: one a core."),
    threads: int = typer.Option(1, "--threads", min=1, max=256, help="Tasks at once in each process."),
    memory: str = typer.Option(
        "", "--memory", help="Limit of each process, e.g. 2G or 2GiB; else its part of the machine's memory."
    ),
    name: str = typer.Option("", "--name", help="Of the workers; else the host's name and a number."),
    host: str = typer.Option("", "--host", help="Our address, if not the one that leads to the scheduler."),
    work: Path | None = _WORK,
    scratch: Path | None = typer.Option(None, "--scratch", help="Folder for Dask's own temporary files."),
    grace: float = typer.Option(60.0, "--grace", min=0, help="Seconds that tasks have to end after SIGTERM."),
    ca: Path | None = _CA,
    cert: Path | None = _CERT,
    key: Path | None = _KEY,
) -> None:
    """Run Dask workers until SIGTERM; they wait for a scheduler that is not there, and come back to one that is again.

    Example: andon cluster worker --cluster tls://192.0.2.7:8786 --memory 2G --work /srv/andon/work --tls-ca ca.pem --tls-cert node.pem --tls-key node.key
    """  # noqa: E501
    from andon.run.cluster.executors.dask_serve import WorkerPlace, serve_workers

    limit = _size(memory)
    place = WorkerPlace(
        cluster,
        _tls(ca, cert, key),
        processes or _cores(),
        threads,
        limit,
        name,
        host,
        work,
        scratch,
        grace,
    )
    _serve(serve_workers(place, _told))


@app.command("status")
def status_command(
    cluster: str = _CLUSTER,
    format: Format = _FORMAT,
    ca: Path | None = _CA,
    cert: Path | None = _CERT,
    key: Path | None = _KEY,
) -> None:
    """Workers with memory, versions and tasks. Exit 1 if the scheduler does not answer or no worker is there.

    Example: andon cluster status --cluster tls://192.0.2.7:8786 --format json
    """
    from andon.run.cluster.errors import ClusterError
    from andon.run.cluster.executors.dask_status import cluster_status

    try:
        said = cluster_status(cluster, _tls(ca, cert, key))
    except ClusterError as error:
        fail(safe(str(error)), 1)
    if format is Format.json:
        print(json.dumps(said))
    else:
        _show(said)
    if not said["workers"]:
        raise typer.Exit(1)


@app.command("clean")
def clean_command(
    work: Path = typer.Option(..., "--work", envvar="ANDON_WORK", help="The work folder of analyses."),
    keep: str = typer.Option("30d", "--keep", help="What was used within this time stays: 36h, 30d, 8w, 1y."),
    dry: bool = typer.Option(False, "--dry-run", help="Only say what would be removed."),
    format: Format = _FORMAT,
) -> None:
    """Remove results that no analysis has used for a while. May run while analyses do.

    Example: andon cluster clean --work /srv/andon/work --keep 30d
    """
    from andon.run.cluster.clean import clean
    from andon.run.cluster.errors import ClusterError

    try:
        done = clean(work, _seconds(keep), dry=dry)
    except ClusterError as error:
        fail(str(error), 2)
    if format is Format.json:
        said = {"removed": done.files, "bytes": done.size, "kept": done.kept, "kept_bytes": done.kept_size}
        print(json.dumps({**said, "dry": dry}))
        return
    would = "would be removed" if dry else "removed"
    print(
        f"{done.files:,} files ({done.size / 1e6:,.1f} MB) {would}; {done.kept:,} ({done.kept_size / 1e6:,.1f} MB) kept"
    )


def _serve(server: Coroutine[Any, Any, None]) -> None:
    from andon.run.cluster.errors import ClusterError

    try:
        asyncio.run(server)
    except ClusterError as error:
        fail(safe(str(error)), 2)


def _told(text: str) -> None:
    note(f"andon: {text}")


def _tls(ca: Path | None, cert: Path | None, key: Path | None) -> Tls:
    from andon.run.cluster.executors.choose import Tls

    return Tls(ca, cert, key)


def _cores() -> int:
    """Of the machine, or those that this process may use."""
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _size(text: str) -> int:
    """Bytes of ``2G``, ``500MiB``; 0 for nothing."""
    try:
        size = bytes_of(text)
    except ValueError:
        size = 0
    if text and not size:
        fail(f"--memory {text}: write a size such as 2G or 2GiB", 2)
    return size


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d{1,6})\s*([hdwy])", text.strip())
    if match is None:
        fail(f"--keep {text}: write a time such as 36h, 30d, 8w or 1y", 2)
    return int(match[1]) * (3600.0 if match[2] == "h" else 86_400.0 * _DAYS[match[2]])


def _show(said: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    columns = (
        "worker",
        "address",
        "state",
        "threads",
        "memory",
        "limit",
        "running",
        "waiting",
        "andon",
        "python",
    )
    for at, column in enumerate(columns):
        table.add_column(column, justify="right" if 2 < at < 8 else "left")
    for one in said["workers"]:
        limit = f"{one['memory_limit'] / 1e9:.1f} GB" if one["memory_limit"] else "none"
        cells = [one["name"], one["address"].partition("://")[2], one["state"], one["threads"]]
        cells += [f"{one['memory'] / 1e9:.2f} GB", limit, one["running"], one["waiting"]]
        cells += [one["versions"].get("andon") or "?", one["versions"].get("python") or "?"]
        table.add_row(*(Text(safe(str(cell))) for cell in cells))
    if said["workers"]:
        console().print(table)
    threads = sum(one["threads"] for one in said["workers"])
    tasks = ", ".join(f"{count} {kind}" for kind, count in said["tasks"].items()) or "none"
    address = said["scheduler"]["address"]
    print(safe(f"{address}: {len(said['workers'])} workers, {threads} threads; tasks at workers: {tasks}"))
    mine = said["andon"]["andon"]
    if others := {one["versions"].get("andon") for one in said["workers"]} - {mine}:
        note(
            f"andon: workers have andon {', '.join(sorted(map(str, others)))}, this is {mine}: jobs are refused there"
        )
