"""What a worker runs: one function, a task's text in, its result's text out.

Text is all that passes through a scheduler, whichever it is. Errors that another worker would meet as well are
results too (``error``), so that no scheduler tries them again; what may be mended elsewhere is raised.
"""

from __future__ import annotations

import json
import resource
import socket
import sys
import time
from pathlib import Path
from typing import Any

from andon.run.cluster import counts
from andon.run.cluster.errors import ClusterError
from andon.run.cluster.job import Job, borrowed
from andon.run.cluster.merge import merge
from andon.run.cluster.partition import Partition
from andon.run.cluster.summaries import SummaryDamaged
from andon.run.cluster.summarise import summarise
from andon.store.errors import StoreError


def run_task(text: str) -> str:
    """Run a task: ``{"task": "summarise" | "merge", "job": FOLDER, ...}``. Gives ``{"result": ..., "cpu_seconds",
    "peak_bytes", "host"}``; or ``{"error": TEXT}``, with ``"damaged": PATHS`` where files of the work folder have to
    be made again."""
    began = time.thread_time()
    try:
        task = json.loads(text)
        with borrowed(Path(task["job"])) as job:
            made: dict[str, Any] = {"result": _run(job, task)}
    except SummaryDamaged as error:
        made = {"error": f"{error}", "damaged": [str(path) for path in error.paths]}
    except (ClusterError, StoreError) as error:
        made = {"error": f"{socket.gethostname()}: {error}"}
    made["cpu_seconds"] = round(time.thread_time() - began, 4)
    made["peak_bytes"] = _peak()
    made["host"] = socket.gethostname()
    return json.dumps(made)


def _peak() -> int:
    """Most bytes of this process that were in memory. Where Linux says so itself: what getrusage says of a process
    that was started by a large one begins with that one's."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _run(job: Job, task: dict[str, Any]) -> dict[str, Any]:
    match task["task"]:
        case "summarise":
            return summarise(job, *map(Partition.from_dict, task["partitions"]))
        case "merge":
            return merge(job, [(path, tuple(keys)) for path, keys in task["sources"]])
        case "count":
            partition = Partition.from_dict(task["partition"])
            return counts.count(
                job, task["of"], task["asked"], partition, task["named"], task["times"], task["rows"]
            )
        case "gather":
            return counts.gather(job, task["of"], task["files"])
        case other:
            raise ClusterError(f"no task is called {other!r}")
