"""Where an analysis runs: options of ``analyze`` and ``fingerprints discover``, and the runner that they choose."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import typer

from andon.cli.terminal import fail, note

if TYPE_CHECKING:
    from andon.records.contract import Site
    from andon.run.batch import Analysis, Progress
    from andon.run.cluster.analysis import Told
    from andon.run.conclusions import Witness
    from andon.run.digests import DigestFile
    from andon.run.engines import AnyEngine

RUNNER = typer.Option(
    "threads",
    "--runner",
    help="threads (this machine), dask or spark: workers open the files themselves (docs/cluster.md).",
)
CLUSTER = typer.Option(
    "",
    "--cluster",
    envvar="ANDON_CLUSTER",
    help="Address of the scheduler (tls://host:8786) or Spark Connect server (sc://host:15002/;use_ssl=true); "
    "started on this machine for the job if not given.",
)
WORK = typer.Option(
    None,
    "--work",
    envvar="ANDON_WORK",
    help="Folder that all machines see under the same path; what is finished is kept there, so that the same job goes "
    "on where it was.",
)
WORKERS = typer.Option(
    "",
    "--workers",
    metavar="N[:MEMORY]",
    help="Without --cluster: how many worker processes to start, with how much memory each, e.g. 4:2GB.",
)
TLS_CA = typer.Option(
    None,
    "--tls-ca",
    envvar="ANDON_TLS_CA",
    help="PEM file of the CA whose certificates are believed; needed with the next two for a scheduler that is not on "
    "this machine.",
)
TLS_CERT = typer.Option(
    None, "--tls-cert", envvar="ANDON_TLS_CERT", help="PEM file of this side's certificate."
)
TLS_KEY = typer.Option(None, "--tls-key", envvar="ANDON_TLS_KEY", help="PEM file of its key.")
_SIZES = {f"{unit}{more}": (1024 if more else 1000) ** power
          for power, unit in enumerate(("", "K", "M", "G", "T")) for more in ("", "I") if unit or not more}  # fmt: skip
_LEAST = 200_000_000  # bytes: an idle worker has up to 180 MB; with less it is killed and started without end

DIGESTS = typer.Option(
    None,
    "--digests",
    metavar="FILE",
    help="Digests of what every engine summarised and concluded, JSON lines: to compare two runs with diff.",
)


class Analyze(Protocol):
    """What ``run.batch.analyze`` takes, on whichever runner."""

    def __call__(
        self,
        inputs: Any,
        site: Site | None,
        engines: Sequence[AnyEngine] | None,
        progress: Progress | None,
        /,
        *,
        witness: Witness | None = None,
    ) -> Analysis: ...


@contextmanager
def digested(path: Path | None) -> Iterator[DigestFile | None]:
    """The file of ``--digests``, if it was asked for. Raises OSError."""
    if path is None:
        yield None
        return
    from andon.run.digests import DigestFile

    with DigestFile(path) as witness:
        yield witness


@contextmanager
def chosen(
    runner: str,
    cluster: str,
    work: Path | None,
    workers: str,
    tls: tuple[Path | None, Path | None, Path | None],
    files: Sequence[str],
    options: dict[str, Any] | None = None,
) -> Iterator[Analyze]:
    """The analysis on the runner asked for. ``tls``: CA, certificate, key; ``files``: as they stand on the command
    line; ``options``: how logs are read (``run.cluster.job``). Ends the program, saying why, where the runner cannot
    be had or gives up."""
    from andon.run.batch import analyze

    if runner == "threads":
        given = {"ANDON_CLUSTER": cluster, "ANDON_WORK": str(work or ""), "": workers}
        if any(value and value != os.environ.get(name) for name, value in given.items()):
            fail("--cluster, --work and --workers go with --runner dask or spark", 2)
        yield analyze
        return
    from andon.run.cluster.analysis import Told, analyze_on
    from andon.run.cluster.errors import ClusterError
    from andon.run.cluster.executors.choose import RUNNERS, Cluster, Tls, executor

    if runner not in RUNNERS:
        fail(f"--runner {runner}: it is {', '.join(RUNNERS)}", 2)
    if work is None:
        fail(f"--runner {runner} needs --work DIR, a folder that all machines see under the same path", 2)
    if cluster and any(name == "-" or Path(name).is_fifo() for name in files):
        fail("a pipe cannot be opened by workers on other machines: write it to a file first", 2)
    number, memory = _workers(workers)
    if files and not any(name == "-" or Path(name).exists() for name in files):
        yield analyze  # says that none of them is there; nothing to start a cluster for
        return
    if cluster and sys.stderr.isatty():
        note(f"reaching {cluster}, for 30 seconds at most")
    told = Told()
    try:
        with _stages() as stage, executor(Cluster(runner, cluster, Tls(*tls), number, memory)) as on:

            def run(
                inputs: Any,
                site: Site | None,
                engines: Sequence[AnyEngine] | None,
                progress: Progress | None,
                /,
                *,
                witness: Witness | None = None,
            ) -> Analysis:
                return analyze_on(on, work, inputs, site, engines, progress, options, stage, told, witness)

            yield run
    except ClusterError as error:
        fail(f"{error}", 1)
    note(_summary(told, runner))


def _workers(text: str) -> tuple[int, int]:
    """(workers, bytes each) of ``N[:MEMORY]``; 0 where nothing is said."""
    number, _, memory = text.partition(":")
    try:
        count, limit = int(number or 0), bytes_of(memory)
    except ValueError:
        fail(f"--workers {text}: write N or N:MEMORY, for example 4:2GB", 2)
    if count < 0:
        fail(f"--workers {text}: there cannot be fewer than none; write N or N:MEMORY, for example 4:2GB", 2)
    if memory and limit < _LEAST:
        fail(f"--workers {text}: a worker needs {_LEAST // 10**6} MB to start, and 1 to 2 GB to work", 2)
    return count, limit


def bytes_of(text: str) -> int:
    """Bytes of ``2G``, ``1.5GB``, ``500MiB``; 0 for nothing. Raises ValueError.

    >>> bytes_of("1.5GB"), bytes_of("2KiB")
    (1500000000, 2048)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*((?:[KMGT]I?)?)B?", text.strip().upper())
    if text and match is None:
        raise ValueError(f"{text!r} is not a size: write one such as 2G or 2GiB")
    return int(float(match[1]) * _SIZES[match[2]]) if match else 0


def _summary(told: Told, runner: str) -> str:
    cpu = sum(cost.cpu_seconds for cost in told.costs.values())
    peak = max((cost.peak_bytes for cost in told.costs.values()), default=0)
    again = f", {told.again:,} of them finished before" if told.again else ""
    return (
        f"{told.partitions:,} partition{'s' * (told.partitions != 1)}{again} on {runner}: {cpu:,.1f} CPU seconds on "
        f"the workers, at most {peak / 1e6:,.0f} MB each"
    )


@contextmanager
def _stages() -> Iterator[Callable[[str, int, int], None]]:
    """On a terminal, how many tasks of a stage are done; nothing in pipes."""
    if not sys.stderr.isatty():
        yield lambda name, done, of: None
        return
    try:
        yield lambda name, done, of: print(
            f"\r\x1b[2K{name}: {done:,} of {of:,}", end="", file=sys.stderr, flush=True
        )
    finally:
        print("\r\x1b[2K", end="", file=sys.stderr, flush=True)
