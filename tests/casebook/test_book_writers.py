"""Ten analysts at once lose nothing; a writer killed at any moment leaves nothing half done.

``ANDON_KILLS``: how often the writer is killed (5).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from casebook_writers import BATCH, SHARED
from sqlalchemy import text
from triage_samples import case

from andon.records.case import MERGED
from andon.store.casebook import AlertFilter, Casebook, CaseFilter
from andon.store.casebook.connect import locate, open_engine

WRITERS, ROUNDS = 10, 3
KILLS = int(os.environ.get("ANDON_KILLS", "5"))


def run(*arguments: object) -> Any:
    script = Path(__file__).with_name("casebook_writers.py")
    done = subprocess.run(
        [sys.executable, str(script), *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_ten_analysts_at_once_lose_nothing(book: Casebook, place: str) -> None:
    with book.work("casework") as work:
        for number in range(len(SHARED)):
            work.cases.create(case(number, judgement={}))
    told = run("many", place, WRITERS, ROUNDS)
    assert len(told) == WRITERS and all(told)
    shared = [book.cases.get(id) for id in SHARED]
    counted = sum(int(one.judgement.get("count", 0)) for one in shared)
    assert counted == sum(one["counted"] for one in told) == WRITERS * ROUNDS
    notes: list[str] = []
    for one in shared:
        line = book.cases.timeline(one.id)
        assert [event.version for event in line] == list(range(1, one.version + 1))
        notes += [event.detail["text"] for event in line if event.action == "note"]
        assert line[-1].time == one.updated
    assert sorted(notes) == sorted(f"{who} {number}" for who in range(WRITERS) for number in range(ROUNDS))
    verdicts = list(book.verdicts.all())
    assert len(verdicts) == WRITERS * ROUNDS and len({one.id for one in verdicts}) == len(verdicts)
    items = [item for one in shared for item in one.items if item[0] == "finding"]
    assert sorted(items) == [("finding", f"f{number}") for number in range(ROUNDS)]  # each in one case alone
    assert all(book.cursor(f"mine-{who}") == ROUNDS for who in range(WRITERS))
    assert len(book.cases.page(CaseFilter(), limit=1000)) == len(SHARED) + WRITERS * ROUNDS


def test_a_writer_killed_at_random_leaves_nothing_half_done(book: Casebook, place: str) -> None:
    acknowledged = run("killed", place, KILLS, 4)
    settle(book)
    cases = book.cases.page(CaseFilter(state=""), limit=100_000)
    number = len(cases)
    assert number > max(acknowledged["case"])
    assert book.cursor("writer") == number == book.episodes.count() == book.verdicts.count()
    total = book.alerts.count()
    assert total % BATCH == 0 and total // BATCH in (number, number + 1)
    assert total // BATCH > max(acknowledged["alerts"])
    hosts = [f"host{at}" for at in range(6)]
    assert sum(book.alerts.count(AlertFilter(host=host)) for host in hosts) == total
    assert sum(len(all_of(book, AlertFilter(host=host))) for host in hosts) == total
    merged = [one for one in cases if one.state == MERGED]
    assert {one.id for one in merged} >= {f"case{at:04d}" for at in acknowledged["merge"]}
    target = book.cases.get("case0000")
    assert len(target.items) == 1 + len(merged)
    assert sum(len(one.items) for one in cases) == number
    for one in cases:
        line = book.cases.timeline(one.id)
        assert [event.version for event in line] == list(range(1, one.version + 1))
    engine = open_engine(locate(place))
    with engine.connect() as connection:
        told = connection.execute(text("SELECT count(*) FROM case_events")).scalar_one()
        audited = connection.execute(
            text("SELECT count(*) FROM audit WHERE action LIKE 'case-%'")
        ).scalar_one()
        assert told == audited
        if engine.dialect.name == "sqlite":
            assert connection.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
            assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
    engine.dispose()


def settle(book: Casebook) -> None:
    """Wait until the server has noticed that the writer is gone: what it was told to commit is committed or not."""
    for _ in range(100):
        before = (book.cursor("writer"), book.alerts.count())
        time.sleep(0.05)
        with book.work("settle"):
            pass
        if before == (book.cursor("writer"), book.alerts.count()):
            return


def all_of(book: Casebook, wanted: AlertFilter) -> list[int]:
    table = book.alerts.page(wanted, 100_000)
    ids: list[int] = table["id"].to_pylist()
    assert len(set(ids)) == len(ids)
    return ids
