"""A job on worker processes that are killed: findings and tables are those of one process, to the bit."""

from __future__ import annotations

from pathlib import Path

from dask_clusters import SITE, Case, digest, engines
from dask_kills import Killer

from andon.run.cluster.analysis import Told, analyze_on
from andon.run.cluster.executors.dask import Dask


def test_three_workers_killed_in_a_job_change_nothing(executor: Dask, case: Case, tmp_path: Path) -> None:
    again = Told()
    with Killer(executor, wanted=3, longest=0.2) as killer:
        for attempt in range(10):  # a job may be over before the killer got its turn three times
            work = tmp_path / str(attempt)
            work.mkdir()
            assert digest(analyze_on(executor, work, case.paths, SITE, engines())) == case.alone
            if len(killer.landed) >= 3:
                break
    assert len(set(killer.landed)) == 3
    second = analyze_on(executor, work, case.paths, SITE, engines(), told=again)
    assert digest(second) == case.alone
    assert (again.partitions, again.again) == (6, 6)
    assert [again.costs[stage].made for stage in ("summarise", "merge", "count")] == [0, 0, 0]
