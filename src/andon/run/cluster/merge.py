"""The task that makes one file of summaries of many: a node of the tree.

Summaries of the same engine, span and start become one; those that only one file has are copied as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from andon.run.cluster.clean import touch
from andon.run.cluster.errors import ClusterError
from andon.run.cluster.job import Job
from andon.run.cluster.summaries import Key, Place, SummaryDamaged, SummaryFile, SummaryWriter, by_key, opened
from andon.run.cluster.work_folder import ensure, sweep

# A file below the work folder, and keys of the engines whose summaries count.
Source = tuple[str, tuple[str, ...]]


def merge(job: Job, sources: Sequence[Source]) -> dict[str, Any]:
    """JSON values: ``file``, the merged one, below the work folder; ``made``: whether it was made now. Raises
    SummaryDamaged, ClusterError."""
    # The engines' keys are part of the name: of a file that several jobs share, each takes its own. The names of the
    # files say what is in them, so this one says what it was made of.
    said = sorted([path, *sorted(keys)] for path, keys in sources)
    name = hashlib.sha256(json.dumps(said).encode()).hexdigest()[:40]
    place = job.work / "merged" / name[:2]
    for path in sorted(place.glob(f"{name}-*.arrow")):
        touch(path)
        return {"file": str(path.relative_to(job.work)), "made": False}
    ensure(place)
    touch(place)
    sweep(place)
    with ExitStack() as stack:
        files = opened([job.work / source for source, _ in sources], stack)
        with SummaryWriter(place, name) as out:
            for key, places in by_key(files, [keys for _, keys in sources]):
                if len(places) == 1:
                    number, batch, row = places[0]
                    out.add_packed(key, files[number].packed(batch, row))
                else:
                    out.add(key, _merged(job, key, files, places))
    return {"file": str(out.path.relative_to(job.work)), "made": True}


def _merged(job: Job, key: Key, files: Sequence[SummaryFile], places: Sequence[Place]) -> bytes:
    engine = job.engines.get(key.engine)
    if engine is None:
        raise ClusterError(f"a summary of an engine that is not in the job ({key.engine})")
    kind = type(engine.empty())
    summary = None
    for number, batch, row in places:
        try:
            part = kind.from_bytes(files[number].unpacked(batch, row))
        except SummaryDamaged:
            raise
        except ValueError as error:
            raise SummaryDamaged(files[number].path, error) from error
        summary = part if summary is None else engine.merge(summary, part)
    data: bytes = summary.to_bytes()  # type: ignore[union-attr]
    return data
