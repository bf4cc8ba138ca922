"""The history in parts: files, their times and identity; and tables that are not what they should be."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from received import MIDNIGHT, SECOND, append, numbered

from andon.run.inputs import Inputs
from andon.store.errors import StoreDamaged, StoreError
from andon.store.history import History
from andon.store.history_files import StoredFile
from andon.store.history_parts import parts
from andon.store.journal import Journal
from spent import spent

STEP = 10 * SECOND


def store_of(folder: Path, commits: int) -> History:
    """Ten packets in each commit, a second apart, commit after commit from ten seconds before midnight on."""
    journal, history = Journal(folder / "journal"), History(folder / "history")
    for n in range(commits):
        first = MIDNIGHT + (n - 1) * STEP
        journal.append("a", numbered(range(first, first + STEP, SECOND)), {})
        journal.commit(MIDNIGHT)
        append(journal, history)
    return history


def test_parts_are_the_files_that_hold_packets_of_the_time(tmp_path: Path) -> None:
    store_of(tmp_path, 12)
    every = parts(tmp_path)
    assert [part.rows for part in every] == [10] * 12
    assert [part.first for part in every] == [MIDNIGHT + (n - 1) * STEP for n in range(12)]
    assert all(part.last == part.first + 9 * SECOND + 999 for part in every)  # to the microsecond
    assert all(Path(part.path).stat().st_size == part.size for part in every)
    assert parts(tmp_path, MIDNIGHT, MIDNIGHT + STEP) == [every[1]]
    assert parts(tmp_path, MIDNIGHT + 9 * SECOND, MIDNIGHT + STEP + 1) == every[1:3]
    assert parts(tmp_path, MIDNIGHT + 9 * SECOND + 1000, MIDNIGHT + STEP) == []
    assert parts(tmp_path, end=MIDNIGHT) == [every[0]] and parts(tmp_path, start=MIDNIGHT) == every[1:]


def test_the_digest_is_that_of_the_content(tmp_path: Path) -> None:
    history = store_of(tmp_path, 12)
    before = {part.digest for part in parts(tmp_path)}
    assert len(before) == 12
    store_of(tmp_path / "again", 12)
    assert {part.digest for part in parts(tmp_path / "again")} == before  # under names of their own
    history.compact()
    after = parts(tmp_path)
    assert len(after) == 2 and sum(part.rows for part in after) == 120
    assert len({part.digest for part in after} - before) == 1  # one day's file was alone and stays


def _log(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    """Change every action of the log."""

    def damage(store: Path) -> None:
        for path in (store / "history/packets/_delta_log").glob("*.json"):
            actions = [json.loads(line) for line in path.read_text().splitlines()]
            for action in actions:
                change(action)
            path.write_text("\n".join(map(json.dumps, actions)) + "\n")

    return damage


def _protocol(version: int, features: list[str] | None = None) -> Callable[[Path], None]:
    def change(action: dict[str, Any]) -> None:
        if "protocol" in action:
            said: dict[str, Any] = {"minReaderVersion": version, "minWriterVersion": 7 if features else 2}
            action["protocol"] = said | (
                {"readerFeatures": features, "writerFeatures": features} if features else {}
            )

    return _log(change)


def _no_statistics(action: dict[str, Any]) -> None:
    if "add" in action:
        action["add"].pop("stats", None)


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (_protocol(99), "Unsupported minimum reader version 99"),
        (_protocol(3, ["deletionVectors"]), "asks for version 3 of Delta's reader protocol"),
        (_protocol(3, ["somethingNew"]), "somethingNew"),
        (_log(_no_statistics), "without its statistics"),
        (lambda store: shutil.rmtree(store / "history"), "no packet history in it"),
        (shutil.rmtree, "no such store folder"),
    ],
)
def test_a_table_that_is_not_ours_any_more_is_an_error_in_words(
    tmp_path: Path, damage: Callable[[Path], None], text: str
) -> None:
    store_of(tmp_path / "store", 2)
    damage(tmp_path / "store")
    with pytest.raises((StoreError, StoreDamaged), match=text):
        parts(tmp_path / "store")


def test_a_table_without_files_has_no_parts(tmp_path: Path) -> None:
    History(tmp_path / "history").log.create()
    assert parts(tmp_path) == [] and Inputs().add_history(tmp_path) == 0


def test_planning_opens_no_file_and_takes_twenty_thousand(tmp_path: Path) -> None:
    """Only the log is looked at: the files of this table were never written."""
    history = store_of(tmp_path, 1)
    log = history.log
    day = 86_400 * 10**6
    for month in range(4):
        files = [
            StoredFile(
                f"date=2026-02-01/{n:08x}-{n:08x}.parquet", "2026-02-01", 1, 1, n, n, n * day, n * day + 5
            )
            for n in range(10 + month * 5_000, 10 + (month + 1) * 5_000)
        ]
        log.commit(add=files, transactions={})
    inputs = Inputs()
    with spent() as cost:
        assert inputs.add_history(tmp_path, start=MIDNIGHT - STEP) == 1 + sum(
            n * day * 1000 + 5999 >= MIDNIGHT - STEP for n in range(10, 20_010)
        )
        assert inputs.add_history(tmp_path) == 20_001
    assert cost.seconds < 15
    assert not any(Path(report.path).exists() for report in inputs.captures[-20_000:][:5])


def test_the_files_are_what_other_readers_see(tmp_path: Path) -> None:
    store_of(tmp_path, 3)
    assert sum(pq.read_metadata(part.path).num_rows for part in parts(tmp_path)) == 30
