"""The runner is killed at random moments: nothing lost, doubled or half written, and the same findings."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from live_runs import findings, finish, killed, make_captures, moments, write_config

from andon.store.history import History

ROUNDS = int(os.environ.get("ANDON_KILLS", "5"))


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    folder = tmp_path_factory.mktemp("captures") / "caps"
    return folder, make_captures(folder)


def test_a_runner_killed_at_random_moments_ends_where_an_undisturbed_one_does(
    captures: tuple[Path, int], tmp_path: Path
) -> None:
    folder, rows = captures
    finish(write_config(tmp_path, folder, "calm"))
    calm = findings(tmp_path / "calm")
    assert len(calm) > 10
    when, kills, stores = moments(7), 0, 0
    while kills < ROUNDS:  # a store is hit until all is read, then another one
        stores += 1
        name = f"killed-{stores}"
        config = write_config(tmp_path, folder, name)
        while kills < ROUNDS and killed(config, tmp_path / name, *next(when)):
            kills += 1
        finish(config)
        assert findings(tmp_path / name) == calm
        report = History(tmp_path / name / "history").verify()
        assert not report.problems
        assert (report.rows, report.next_row) == (rows, rows)
        shutil.rmtree(tmp_path / name)
    print(f"{kills} kills, {stores} stores of {rows:,} packets: nothing lost, doubled or changed")
