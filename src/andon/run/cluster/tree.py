"""The levels of a job: all partitions (small ones in ``bundles``), then merges until one file is left for each day.

``FAN_IN`` files become one at each node, so 20,000 partitions of a day are four levels, no task reads more than a few
files, and the driver reads one file a day whatever the number of partitions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, TypeVar

from andon.run.cluster.bundles import bundled
from andon.run.cluster.errors import ClusterError
from andon.run.cluster.executors import Executor
from andon.run.cluster.job import Job
from andon.run.cluster.merge import Source
from andon.run.cluster.partition import Partition
from andon.run.cluster.summaries import SummaryDamaged
from andon.run.cluster.work_folder import take_away

FAN_IN: Final = 16
_TRIES: Final = 3  # of a step in which files of the work folder turned out to be damaged


class Damaged(Exception):
    """Files of the work folder that have been taken away because they are not what was written."""


T = TypeVar("T")


def groups_of(items: Sequence[T], most: int = FAN_IN) -> list[list[T]]:
    """Neighbours in as few groups of at most ``most`` as there can be, as equal as they can be: so the nodes of a level
    take equally long.

    >>> [len(group) for group in groups_of(range(20))]
    [10, 10]
    """
    number = -(-len(items) // most)
    edges = [len(items) * n // number for n in range(number + 1)] if number else [0]
    return [list(items[start:end]) for start, end in pairwise(edges)]


def mended(once: Callable[[], T]) -> T:
    """What ``once`` gives. Files of the work folder that turn out to be damaged are taken away, and it is called again,
    so that they are made again. Raises ClusterError if that does not end."""
    for _ in range(_TRIES):
        try:
            return once()
        except Damaged as error:
            last: Exception = error
        except SummaryDamaged as error:
            for path in error.paths:
                take_away(path)
            last = error
    raise ClusterError(f"files of the work folder are damaged again and again: {last}") from last


@dataclass
class Costs:
    """What tasks took on their workers: ``tasks`` in all and ``made`` of them that did anything, CPU seconds, largest
    memory (bytes)."""

    tasks: int = 0
    made: int = 0
    cpu_seconds: float = 0.0
    peak_bytes: int = 0


@dataclass
class Summarised:
    """``results`` by bundle (``summarise.summarise``); ``reports`` by partition (``FileReport`` as JSON values);
    ``again``: partitions that had been done before; ``days``: the merged file of each day, below the work folder, with
    keys, alone in its list."""

    results: list[dict[str, Any]]
    reports: list[dict[str, Any]]
    again: int
    days: dict[int, list[Source]]


@dataclass
class Levels:
    """``told(stage, done, of, result)`` hears of every task that is done."""

    job: Job
    executor: Executor
    told: Callable[[str, int, int, dict[str, Any]], None] = lambda stage, done, of, result: None
    costs: dict[str, Costs] = field(default_factory=dict)

    def summarise(self, partitions: Sequence[Partition]) -> Summarised:
        """Everything up to one file a day. Raises ClusterError."""
        return mended(lambda: self._summarise(partitions))

    def _summarise(self, partitions: Sequence[Partition]) -> Summarised:
        bundles = bundled(partitions)
        tasks = [{"partitions": [partitions[number].to_dict() for number in bundle]} for bundle in bundles]
        results = self.run("summarise", tasks)
        reports = [report for result in results for report in result["reports"]]
        again = sum(len(result["reports"]) for result in results if not result["made"])
        days: dict[int, list[Source]] = {}
        for result in results:
            for day, path, keys in result["files"]:
                days.setdefault(day, []).append((path, tuple(keys)))
        while any(len(files) > 1 for files in days.values()):
            groups = [
                (day, group)
                for day, files in sorted(days.items())
                if len(files) > 1
                for group in groups_of(files)
            ]
            merged = self.run("merge", [{"sources": files} for _, files in groups])
            days = {day: files for day, files in days.items() if len(files) == 1}
            for (day, files), made in zip(groups, merged, strict=True):
                keys = tuple(sorted({key for _, theirs in files for key in theirs}))
                days.setdefault(day, []).append((made["file"], keys))
        return Summarised(results, reports, again, days)

    def run(self, stage: str, tasks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Results of tasks of one stage, in their order. Raises ClusterError and Damaged."""
        texts = [json.dumps({"task": stage, "job": str(self.job.folder), **task}) for task in tasks]
        results: list[dict[str, Any] | None] = [None] * len(texts)
        damaged: list[str] = []
        cost = self.costs.setdefault(stage, Costs())
        done = 0
        for number, text in self._answers(texts):
            said = json.loads(text)
            cost.tasks += 1
            cost.cpu_seconds += said["cpu_seconds"]
            cost.peak_bytes = max(cost.peak_bytes, said["peak_bytes"])
            if "damaged" in said:
                damaged += said["damaged"]
                continue
            if "error" in said:
                raise ClusterError(said["error"])
            results[number] = said["result"]
            done += 1
            cost.made += bool(said["result"].get("made", True))
            self.told(stage, done, len(texts), said["result"])
        if damaged:
            for path in damaged:
                take_away(Path(path))
            raise Damaged(", ".join(sorted(set(damaged))))
        if lost := [number for number, result in enumerate(results) if result is None]:
            raise ClusterError(
                f"the {self.executor.name} runner gave no answer to {len(lost)} of {len(texts)} tasks"
            )
        return [result for result in results if result is not None]

    def _answers(self, texts: Sequence[str]) -> Iterator[tuple[int, str]]:
        if texts:
            yield from self.executor.run(texts)
