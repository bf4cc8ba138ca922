"""Laws of the object store: once per id and version, rising times, durable commits."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import uuid
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from taxii_made import NOW, made

from andon.share.outbox import Parcel, Unreachable
from andon.share.outbox.taxii import TaxiiLocalSink
from andon.share.taxii.objects import FILE, ObjectStore, Query
from andon.share.taxii.wire import LEVELS, NotStix, stix
from andon.store.errors import StoreDamaged, StoreError

_EVERYTHING = Query(tlp=len(LEVELS), versions=("all",))


@given(st.lists(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4)), max_size=6), max_size=6), st.data())
def test_whatever_the_order_each_version_is_held_once_and_the_newest_is_known(
    commits: list[list[tuple[int, int]]], data: st.DataObject
) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        store = ObjectStore(Path(folder))
        for at, commit in enumerate(commits):
            clock = NOW + data.draw(st.integers(-5, 5)) * 10**9  # a clock that jumps back loses nothing
            store.add([stix(made(n, f"2026-0{m}-01T00:00:00.000Z")) for n, m in commit], clock + at)
        rows, more = store.page(_EVERYTHING, 1000, 1 << 30)
        wanted = {(n, m) for commit in commits for n, m in commit}
        assert not more and len(rows) == len(wanted) == len({(row.id, row.version_text) for row in rows})
        assert all(a.added < b.added for a, b in pairwise(rows))
        last, _ = store.page(Query(tlp=len(LEVELS)), 1000, 1 << 30)
        newest = {made(n)["id"]: max(m for k, m in wanted if k == n) for n, _ in wanted}
        assert {row.id: int(row.version_text[5:7]) for row in last} == newest
        store.close()


WORKER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from taxii_made import made
from andon.share.taxii.objects import ObjectStore
from andon.share.taxii.wire import stix
store = ObjectStore(Path(sys.argv[1]))
for n in range(100000):
    store.add([stix(made(3 * n + k)) for k in range(3)], n)
    print(n, flush=True)
"""


def test_a_commit_that_was_told_survives_a_kill_and_none_is_half_there(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WORKER, str(tmp_path), str(Path(__file__).parent)]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)
    assert worker.stdout is not None
    told = -1
    for line in worker.stdout:
        told = int(line)
        if told == 40:
            worker.send_signal(signal.SIGKILL)
            break
    rest = worker.stdout.read().split()
    worker.wait()
    worker.stdout.close()
    told = int(rest[-1]) if rest and rest[-1].isdigit() else told
    store = ObjectStore(tmp_path)
    assert store.count() >= 3 * (told + 1) and store.count() % 3 == 0
    assert store.add([stix(made(n)) for n in range(3)], NOW) == 0
    store.close()


def test_a_file_that_is_damaged_or_of_another_version_is_said(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / FILE).write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreDamaged):
        ObjectStore(tmp_path / "a")
    ObjectStore(tmp_path / "b").close()
    connection = sqlite3.connect(tmp_path / "b" / FILE)
    connection.execute("PRAGMA user_version=99")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match="version 99"):
        ObjectStore(tmp_path / "b")


@pytest.mark.parametrize(
    "change",
    [
        {"id": "indicator--1"}, {"id": 5}, {"type": "malware"}, {"type": None}, {"modified": "yesterday"},
        {"modified": "2026-13-01T00:00:00Z"}, {"modified": 5}, {"name": "\ud800"}, {"score": float("nan")},
        {"description": "x" * (1 << 20)}, {"id": f"bundle--{uuid.uuid4()}"},
        {"id": f"indicator--{uuid.uuid4()}".upper()},
    ],
)  # fmt: skip
def test_what_is_no_object_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(NotStix):
        stix({**made(1), **change})
    with pytest.raises(NotStix):
        stix(["not", "an", "object"])


def test_a_full_disk_is_said_loses_nothing_and_is_tried_again(tmp_path: Path) -> None:
    sink = TaxiiLocalSink("own", tmp_path)
    body = json.dumps({"objects": [made(n, description="x" * 2000) for n in range(200)]})
    parcel = Parcel("a" * 32, "own", "k", "S", "T", body, NOW)
    small = json.dumps({"objects": [made(900)]})
    assert sink.send(Parcel("b" * 32, "own", "k", "S", "T", small, NOW), NOW, 5) == "1 of 1 objects were new"
    with sink._store._store.write() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages + 5}")
    with pytest.raises(Unreachable, match="no room left"):
        sink.send(parcel, NOW, 5)
    assert sink._store.count() == 1
    sink._store.close()  # the limit goes with the connection, as a full disk with the files that were deleted
    assert sink.send(parcel, NOW, 5) == "200 of 200 objects were new"
    sink._store.close()


def test_a_folder_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unreachable):
        parcel = Parcel("a" * 32, "own", "k", "S", "T", json.dumps({"objects": [made(1)]}), NOW)
        TaxiiLocalSink("own", tmp_path / "file").send(parcel, NOW, 5)
