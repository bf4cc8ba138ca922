"""CPU and memory of a command with all processes that it starts.

The tree is looked at five times a second (``/proc``, Linux): of every process its user and system time as last seen and
the high-water mark of its resident memory. Processes are told apart by what they run, so that a table can say what the
scheduler, the workers, their nannies and the driver took. What a process does in its last fifth of a second is in the
sum for the whole tree, which is taken from ``wait4`` where it says more.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Seen:
    """One process: ``what`` it runs, CPU seconds of itself, peak of its resident memory (bytes)."""

    what: str
    cpu: float = 0.0
    peak: int = 0


@dataclass
class Run:
    """``result``: the JSON value on the last line that the command wrote to stdout; ``load``: at its begin and end."""

    cpu: float
    wall: float
    result: Any
    processes: list[Seen] = field(default_factory=list)
    load: tuple[float, float] = (0.0, 0.0)

    @property
    def peak(self) -> int:
        """Of the largest process, bytes."""
        return max((one.peak for one in self.processes), default=0)

    @property
    def peaks(self) -> int:
        """Sum of the peaks of all processes, which need not be at the same time."""
        return sum(one.peak for one in self.processes)


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Run:
    """Run to the end. Raises subprocess.CalledProcessError with what was written to stderr."""
    load = os.getloadavg()[0]
    began = time.monotonic()
    before = os.times()
    seen: dict[tuple[int, str], Seen] = {}
    child = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **(environment or {})},
        start_new_session=True,
    )
    over = threading.Event()
    looking = threading.Thread(target=_look, args=(child.pid, seen, over), daemon=True)
    looking.start()
    out, error = child.communicate()
    over.set()
    looking.join()
    after = os.times()
    if child.returncode:
        sys.stderr.buffer.write(error[-4000:])
        raise subprocess.CalledProcessError(child.returncode, command, out, error)
    waited = after.children_user + after.children_system - before.children_user - before.children_system
    lines = out.decode().strip().splitlines()
    return Run(
        max(waited, sum(one.cpu for one in seen.values())),
        time.monotonic() - began,
        json.loads(lines[-1]) if lines else None,
        sorted(seen.values(), key=lambda one: -one.cpu),
        (load, os.getloadavg()[0]),
    )


def _look(root: int, seen: dict[tuple[int, str], Seen], over: threading.Event) -> None:
    while True:
        for pid, start, cpu in _tree(root):
            one = seen.setdefault((pid, start), Seen("?"))
            one.cpu = max(one.cpu, cpu)
            one.what, one.peak = _named(pid, one)
        if over.wait(0.2):
            return


def _tree(root: int) -> list[tuple[int, str, float]]:
    """(pid, start time, CPU seconds of itself) of a process and all below it, or in its session."""
    rows: dict[int, tuple[int, int, str, float]] = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            text = Path(entry.path, "stat").read_text()
        except OSError:
            continue
        parts = text[text.rindex(")") + 2 :].split()
        rows[int(entry.name)] = (
            int(parts[1]),
            int(parts[3]),
            parts[19],
            (int(parts[11]) + int(parts[12])) / _TICK,
        )
    inside = {root}
    grew = True
    while grew:
        more = {
            pid for pid, row in rows.items() if pid not in inside and (row[0] in inside or row[1] == root)
        }
        grew = bool(more)
        inside |= more
    return [(pid, rows[pid][2], rows[pid][3]) for pid in inside if pid in rows]


def _named(pid: int, known: Seen) -> tuple[str, int]:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return known.what, known.peak
    high = [int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM")]
    return _short(words) or known.what, max([known.peak, *high])


def _short(words: Sequence[str]) -> str:
    """What a command line is: enough to tell processes apart in a table."""
    text = " ".join(words)
    for sign, name in (
        ("multiprocessing.resource_tracker", "resource tracker"),
        ("multiprocessing.forkserver", "fork server"),
        ("spawn_main", "spawned process"),
        ("dask worker", "worker"),
        ("distributed.cli.dask_worker", "worker"),
        ("dask scheduler", "scheduler"),
        ("distributed.cli.dask_scheduler", "scheduler"),
        ("sail", "Sail server"),
    ):
        if sign in text:
            return name
    return " ".join(Path(word).name for word in words[:2] if word)
