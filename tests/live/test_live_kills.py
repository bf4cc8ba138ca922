"""The runner is killed at random moments: nothing lost, doubled or half written, and the same findings.

``ANDON_KILLS``: rounds (5). ``ANDON_KILLS_STATE``: a folder; rounds of earlier slices in it count, and a slice stops
after ``ANDON_KILLS_MINUTES`` (50). Remove the folder to begin anew.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from live_kills import Tally, compare, rounds

from andon.store.history import History

ROUNDS = int(os.environ.get("ANDON_KILLS", "5"))
MINUTES = float(os.environ.get("ANDON_KILLS_MINUTES", "50"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    state = os.environ.get("ANDON_KILLS_STATE")
    return Path(state) if state else tmp_path_factory.mktemp("kills")


def test_a_runner_killed_at_random_moments_ends_where_an_undisturbed_one_does(folder: Path) -> None:
    tally = rounds(folder, ROUNDS, 60 * MINUTES)
    print(tally)
    assert not tally.bad, str(tally)
    assert tally.findings >= 5 * tally.stores
    assert tally.rounds >= min(ROUNDS, 1)
    if tally.rounds < ROUNDS:
        print(f"{ROUNDS - tally.rounds} rounds are left for the next slice")


def test_a_slice_goes_on_where_the_last_one_stopped(folder: Path) -> None:
    before = rounds(folder, ROUNDS, 0.0)
    assert rounds(folder, before.rounds, 60.0) == before
    assert before.rounds


def test_the_comparison_sees_what_is_lost_doubled_and_changed(folder: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(folder / "calm", tmp_path / "hurt")
    hurt = tmp_path / "hurt"
    with sqlite3.connect(hurt / "casebook.db") as book:
        ids = [row[0] for row in book.execute("SELECT id FROM findings WHERE engine NOT LIKE 'run.%'")]
        book.execute("DELETE FROM findings WHERE id = ?", (ids[0],))
        book.execute("UPDATE findings SET document = '{}' WHERE id = ?", (ids[1],))
    whole = Tally()
    compare(folder / "calm", folder / "calm", folder / "caps", whole)
    assert not whole.bad and whole.rows > 20_000
    next(iter(History(hurt / "history").files()))
    found = sorted((hurt / "history").rglob("*.parquet"))
    assert found
    tally = Tally()
    compare(folder / "calm", hurt, folder / "caps", tally)
    assert (tally.findings_missing, tally.findings_unequal, tally.findings_too_many) == (1, 1, 0)
    more = folder / "caps" / "part-000.pcap"
    extra = tmp_path / "caps"
    shutil.copytree(folder / "caps", extra)
    (extra / "twice.pcap").write_bytes(more.read_bytes())
    (extra / "part-001.pcap").unlink()
    tally = Tally()
    compare(folder / "calm", folder / "calm", extra, tally)
    assert tally.rows_lost > 0 and tally.rows_doubled > 0
