"""Writers that a test starts: many at once, or one that is killed again and again.

    python casebook_writers.py many PLACE WRITERS ROUNDS
    python casebook_writers.py killed PLACE KILLS SEED

The children are forked before this process has a connection or a thread, so that each begins like a new program
without loading it anew. Prints what was acknowledged, as JSON.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from triage_samples import case, episode_row, episodes, some_alerts

from andon.records.case import BENIGN, TRUE, Verdict
from andon.store.casebook import Casebook, Conflict

BATCH = 40  # alerts in one batch of the killed writer
SHARED = ("case0000", "case0001", "case0002")


def analyst(place: str, name: str, rounds: int) -> dict[str, int]:
    """Count in cases that all others count in too, note, judge, take and give back."""
    chance = random.Random(name)
    done = {"counted": 0, "refused": 0, "notes": 0, "verdicts": 0}
    with Casebook(place, busy_seconds=120) as book:
        for number in range(rounds):
            id = chance.choice(SHARED)
            while True:
                held = book.cases.get(id)
                counted = {**held.judgement, "count": int(held.judgement.get("count", 0)) + 1}
                try:
                    book.cases.update(
                        replace(held, judgement=counted), held.version, actor=name, action="count"
                    )
                except Conflict:
                    done["refused"] += 1
                    continue
                break
            done["counted"] += 1
            book.cases.note(id, f"{name} {number}", actor=name)
            done["notes"] += 1
            book.cases.add_items(chance.choice(SHARED), [("finding", f"f{number}")], actor=name)
            book.cases.assign(id, name, actor=name)
            book.verdicts.add(Verdict(("case", id), chance.choice((TRUE, BENIGN)), name))
            done["verdicts"] += 1
            with book.work(name) as work:
                work.cases.create(case(1000 * (1 + int(name)) + number))
                work.move(f"mine-{name}", number + 1, expected=number)
    return done


def writer(place: str, into: int) -> None:
    """For ever: a batch of alerts, then a case with its episode, verdict and cursor in one transaction."""

    def say(text: str) -> None:
        os.write(into, f"{text}\n".encode())

    with Casebook(place, busy_seconds=120) as book:
        number = book.cursor("writer")
        say("go")
        while True:
            book.alerts.add(some_alerts(BATCH, first=number * BATCH))
            say(f"alerts {number}")
            row = episode_row(number)
            with book.work("writer") as work:
                work.episodes.put(episodes(row))
                work.cases.create(case(number, items=(("episode", row["id"]),)))
                work.verdicts.add(Verdict(("episode", row["id"]), TRUE, "writer"))
                work.move("writer", number + 1, expected=number)
            say(f"case {number}")
            if number:
                book.cases.merge([f"case{number:04d}"], "case0000", actor="writer")
                say(f"merge {number}")
            number += 1


def many(place: str, writers: int, rounds: int) -> None:
    answers = []
    for number in range(writers):
        out, into = os.pipe()
        if os.fork() == 0:
            os.close(out)
            os.write(into, json.dumps(analyst(place, str(number), rounds)).encode())
            os._exit(0)
        os.close(into)
        answers.append(out)
    told = []
    for out in answers:
        with os.fdopen(out) as pipe:
            told.append(json.loads(pipe.read() or "null"))
        os.wait()
    print(json.dumps(told))


def killed(place: str, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    acknowledged: dict[str, list[int]] = {"alerts": [], "case": [], "merge": []}
    for _ in range(kills):
        out, into = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(out)
            writer(place, into)
        os.close(into)
        said = b""
        lines = 2 if acknowledged["case"] else 3
        while (
            said.count(b"\n") < lines
        ):  # it is at work; the first one, until it has done one thing of each kind
            said += os.read(out, 65536)
        end = time.monotonic() + chance.uniform(0.02, 0.6)
        while (left := end - time.monotonic()) > 0:
            if select.select([out], [], [], left)[0]:
                said += os.read(out, 65536)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while rest := os.read(out, 65536):
            said += rest
        os.close(out)
        for line in said.decode().splitlines():
            what, _, number = line.partition(" ")
            if number:
                acknowledged[what].append(int(number))
    print(json.dumps(acknowledged))


if __name__ == "__main__":
    mode, where, first, second = sys.argv[1:]
    (many if mode == "many" else killed)(where, int(first), int(second))
