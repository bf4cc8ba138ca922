"""The runner is killed at random moments: nothing lost, doubled or half written, and the same findings."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from live_runs import findings, finish, killed, make_captures, waits, write_config

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
    config = write_config(tmp_path, folder, "killed")
    kills = sum(killed(config, after) for after in waits(7, ROUNDS))
    finish(config)
    assert kills >= 1
    calm, hurt = findings(tmp_path / "calm"), findings(tmp_path / "killed")
    assert len(calm) > 10
    assert hurt == calm
    for store in ("calm", "killed"):
        report = History(tmp_path / store / "history").verify()
        assert not report.problems
        assert (report.rows, report.next_row) == (rows, rows)
