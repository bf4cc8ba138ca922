"""``andon run`` makes cases of alerts: those that an analysis of the same logs makes, whatever kills it meanwhile."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
from collections import Counter
from pathlib import Path

import live_cases as live
import pytest
from live_runs import start, wait_until

from andon.records.case import UNSURE, Verdict
from andon.run.live.status import read_status
from andon.store.casebook import Casebook
from andon.store.errors import StoreError

KILLS = int(os.environ.get("ANDON_KILLS", "3"))


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("day")
    live.make_day(folder)
    return folder


@pytest.fixture(scope="module")
def undisturbed(day: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on logs that grow, stopped when all is done; its folder."""
    folder = tmp_path_factory.mktemp("undisturbed")
    logs = folder / "logs"
    logs.mkdir()
    process = None
    for part in live.parts(day, 3):
        before = live.cursors(folder / "store").get("casework.alerts", 0)
        append(logs, part)
        if process is None:
            process = start(
                live.write_config(folder, logs, day / "assets.csv"), (folder / "said").open("wb"), False
            )

        def further(before: int = before) -> bool:
            return live.cursors(folder / "store").get("casework.alerts", 0) > before

        if not wait_until(further, 180):
            process.kill()
            pytest.fail(said(folder))
    assert process is not None
    finish(process, folder)
    return folder


def append(logs: Path, part: dict[str, bytes]) -> None:
    for name, data in part.items():
        with (logs / name).open("ab") as file:
            file.write(data)


def said(folder: Path) -> str:
    return (folder / "said").read_text()[-3000:]


def finish(process: subprocess.Popen[bytes], folder: Path) -> None:
    if not wait_until(lambda: process.poll() is not None or live.settled(folder / "store"), 240):
        process.kill()
        pytest.fail(said(folder))
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 0, said(folder)


def test_the_runner_makes_the_cases_of_an_analysis(day: Path, undisturbed: Path, tmp_path: Path) -> None:
    store = undisturbed / "store"
    live.analysed(day, tmp_path / "soc")
    assert live.alerts(store) == live.alerts(tmp_path / "soc") and len(live.alerts(store)) > 1500
    # Of the day that is over every episode; the next one is still going on.
    here, there = (
        {row[0] for row in live.episodes(at) if row[4] < live.NEXT_DAY} for at in (store, tmp_path / "soc")
    )
    assert here == there and len(here) > 800
    # The runner asks after ten minutes whether an episode is among the first hundred of the day so far, the analysis
    # among those of the whole day: so the runner has more cases, begun by other episodes. What has a case in the
    # analysis has one in the runner, and who has to be helped there has to be helped here.
    mine, batch = live.cases(store), live.cases(tmp_path / "soc")
    of = {item: tier for tier, items in mine.values() for item in items}
    wanted = [item for _, items in batch.values() for item in items]
    assert len(batch) > 20 and sum(item in of for item in wanted) >= 0.95 * len(wanted)
    grave = [item for tier, items in batch.values() if tier == "act" for item in items]
    assert len(grave) > 10 and all(of.get(item) in ("act", "inspect") for item in grave)
    assert sum(of[item] == "act" for item in grave) >= 0.9 * len(grave)
    query = "SELECT DISTINCT host FROM cases WHERE tier = 'act'"
    hosts = set(live.rows(tmp_path / "soc", query))
    assert len(hosts) > 5 and hosts <= set(live.rows(store, query))
    status = read_status(store)
    assert status is not None and status["state"] == "stopped" and not status["trouble"]
    assert status["cases"] == len(mine) and status["unread"] == 0


def test_who_is_to_act_is_told_once(undisturbed: Path) -> None:
    named = Counter(text.split()[-1] for one in live.told(undisturbed) for text in [one["text"].strip()])
    act = {id for id, (tier, _) in live.cases(undisturbed / "store").items() if tier == "act"}
    high = dict(live.rows(undisturbed / "store", "SELECT id, level FROM cases"))
    assert {id for id in act if high[id] >= 2} <= set(named)  # from medium on
    assert named and set(named.values()) == {1}


def taken(store: Path) -> int:
    """Spans of which casework has the episodes."""
    done = live.cursors(store).get("casework.tables.10min", 0)
    query = "SELECT count(*) FROM engine_tables WHERE name = 'triage.screening:episodes' AND span = '10min'"
    found = live.rows(store, f'{query} AND "end" <= {done}')
    return int(found[0][0]) if found else 0


class Analyst(threading.Thread):
    """Notes, takes and judges cases as they come, beside the runner; what it was told is done it remembers."""

    def __init__(self, store: Path) -> None:
        super().__init__(daemon=True)
        self.store, self.over = store, threading.Event()
        self.notes: list[tuple[str, str]] = []
        self.verdicts: list[str] = []
        self.taken: set[str] = set()

    def run(self) -> None:
        number = 0
        while not self.over.wait(0.05):
            seen = sorted(live.cases(self.store))
            if not seen:
                continue
            id, number = seen[number % len(seen)], number + 1
            try:
                with Casebook(self.store) as book:
                    book.cases.note(id, f"note {number}", actor="mori")
                    self.notes.append((id, f"note {number}"))
                    book.cases.assign(id, "mori", actor="mori")
                    self.taken.add(id)
                    book.verdicts.add(Verdict(("case", id), UNSURE, "mori", note=f"verdict {number}"))
                    self.verdicts.append(f"verdict {number}")
            except StoreError:
                continue  # nobody was told that it is done


def test_kills_lose_and_double_nothing(day: Path, undisturbed: Path, tmp_path: Path) -> None:
    logs, store, rng = tmp_path / "logs", tmp_path / "store", random.Random(11)
    logs.mkdir()
    config = live.write_config(tmp_path, logs, day / "assets.csv")
    analyst = Analyst(store)
    analyst.start()
    for part in live.parts(day, KILLS):
        append(logs, part)
        spans = taken(store) + rng.randrange(1, max(2, 30 // KILLS))
        with (tmp_path / "said").open("ab") as file:
            process = start(config, file, False)

            def on_the_way(spans: int = spans, process: subprocess.Popen[bytes] = process) -> bool:
                assert process.poll() is None, said(tmp_path)
                return taken(store) >= spans

            wait_until(on_the_way, 15, 0.002)  # there may be no more than that in this part
            process.kill()
            process.wait()
    with (tmp_path / "said").open("ab") as file:
        process = start(config, file, False)
        assert wait_until(lambda: live.settled(store), 240), said(tmp_path)
        analyst.over.set()
        analyst.join()
        finish(process, tmp_path)
    assert live.alerts(store) == live.alerts(undisturbed / "store")
    assert live.episodes(store) == live.episodes(undisturbed / "store")
    mine, other = live.cases(store), live.cases(undisturbed / "store")
    assert {id: items for id, (_, items) in mine.items()} == {id: items for id, (_, items) in other.items()}
    # Flows may be known earlier or later when a case is judged, since they come from another log: so few tiers differ.
    assert sum(mine[id][0] == other[id][0] for id in mine) >= 0.8 * len(mine)
    names = [text["text"].strip().split()[-1] for text in live.told(tmp_path)]
    assert names and len(names) == len(set(names)) and set(names) <= set(mine)
    assert len(analyst.notes) > 3 and len(analyst.verdicts) > 3
    with Casebook(store) as book:
        kept = {id: [str(event.detail) for event in book.cases.timeline(id)] for id, _ in analyst.notes}
        assert all(any(f"'{text}'" in event for event in kept[id]) for id, text in analyst.notes)
        assert {verdict.note for verdict in book.verdicts.all()} >= set(analyst.verdicts)
        assert all(book.cases.get(id).assignee == "mori" for id in analyst.taken)
    items = live.rows(store, "SELECT kind, item, count(*) FROM case_items GROUP BY 1, 2 HAVING count(*) > 1")
    assert not items, "an item in two cases"
