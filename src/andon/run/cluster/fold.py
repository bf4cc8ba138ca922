"""Conclusions in time order from the files of summaries of each day, one as a rule.

The driver takes the summaries of a day in the order of their starts and concludes every ten minutes of it, so it
holds those of the whole day (one for each engine) and of ten minutes. A span is concluded when all that can hold its
rows is in, so nothing is late; the watermark goes no further than the input did, so that what is cut off at its end
is concluded as partial, as it is everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from andon.run.cluster.job import Job
from andon.run.cluster.merge import Source
from andon.run.cluster.summaries import Key, Place, SummaryDamaged, SummaryFile, by_key, opened
from andon.run.conclusions import Conclusions
from andon.run.windows import EngineWindows

_DAY: Final = 86_400_000_000_000
_STEP: Final = 600_000_000_000


def fold(
    job: Job,
    days: Mapping[int, Sequence[Source]],
    conclusions: Conclusions,
    final: int | None,
    told: Callable[[int, int], None] = lambda done, of: None,
) -> None:
    """Conclude every day. ``days``: its files, below the work folder or under a path from the root; ``final``: the
    watermark that the input reached (ns); ``told`` hears how many days are done. Raises SummaryDamaged."""
    windows = {one.engine.name: one for one in conclusions.windows}
    names = {key: engine.name for key, engine in job.engines.items()}
    _check(job, days)
    for done, day in enumerate(sorted(days), 1):
        with ExitStack() as stack:
            files = opened([job.work / path for path, _ in days[day]], stack)
            passed = None
            for key, places in by_key(files, [keys for _, keys in days[day]]):
                step = key.start // _STEP * _STEP
                if final is not None and passed is not None and step > passed:
                    conclusions.until(min(step, final))
                passed = step
                _take(key, files, places, windows[names[key.engine]])
        if final is not None:
            conclusions.until(min((day + 1) * _DAY, final))
        told(done, len(days))
    conclusions.until(None)


def _check(job: Job, days: Mapping[int, Sequence[Source]]) -> None:
    """Look at every file before the first day is concluded: what is damaged is found at once, and not after hours."""
    damaged: list[Path] = []
    for sources in days.values():
        try:
            with ExitStack() as stack:
                opened([job.work / path for path, _ in sources], stack)
        except SummaryDamaged as error:
            damaged += error.paths
    if damaged:
        raise SummaryDamaged(damaged[0], "damaged", damaged[1:])


def _take(key: Key, files: Sequence[SummaryFile], places: Sequence[Place], windows: EngineWindows) -> None:
    engine = windows.engine
    for number, batch, row in places:
        try:
            summary = type(engine.empty()).from_bytes(files[number].unpacked(batch, row))
        except SummaryDamaged:
            raise
        except ValueError as error:
            raise SummaryDamaged(files[number].path, error) from error
        held = windows.open[key.span].get(key.start)
        windows.open[key.span][key.start] = summary if held is None else engine.merge(held, summary)
