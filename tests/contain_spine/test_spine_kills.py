"""Killed at any moment and at every place: no intent lost, none applied twice, no rule that is nobody's."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from spine_child import PLACES, KeptToy
from spine_toys import Bell, Verdicts, wait_for

from andon.contain.controller import Controller, Settings
from andon.records.intent import REVOKED, WANTED
from andon.store.intents import IntentLog

KILLS = int(os.environ.get("ANDON_KILLS", "5"))
CHILD = Path(__file__).with_name("spine_child.py")


class Life:
    """Many short lives of one controller over one folder, and what they had acknowledged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cut: set[int] = set()
        self.back: set[int] = set()

    def live(self, seed: int, where: str = "", lines: int = 0, seconds: float = 0.0) -> None:
        """Killed by itself at ``where``, or from here ``seconds`` after it has acknowledged so much."""
        command = [sys.executable, str(CHILD), str(self.folder), str(seed), *([where] if where else [])]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
            assert child.stdout is not None and child.stderr is not None
            first = b"".join(child.stdout.readline() for _ in range(max(lines, 1)))
            if not where:
                time.sleep(seconds)
                child.kill()
            said = first + child.stdout.read()
            trouble = child.stderr.read()
            child.wait(60)
        assert child.returncode == -signal.SIGKILL, (child.returncode, trouble.decode()[-2000:], where)
        for line in said.decode().splitlines():
            what, name, *_ = line.split()
            (self.cut if what == "cut" else self.back).add(int(name, 16))

    def check(self) -> None:
        """Once more, until all is as it is to be; then look."""
        bell = Bell()
        toys = {name: KeptToy(self.folder / name, name) for name in ("one", "two")}
        log = IntentLog(self.folder / "contain")
        assert not log.damage, log.trouble()
        settings = Settings(tick=0.005, reconcile_every=0.03)
        spine = Controller(
            log, None, None, None, toys, "auto", alarm=bell, settings=settings, judges=Verdicts().judges()
        )

        def wanted() -> set[int]:
            return {state.intent.id for state in log.live() if state.state in WANTED}

        try:
            wait_for(
                lambda: all(set(toy.rules()) == wanted() for toy in toys.values()) and spine.idle(),
                60,
                spine.step,
            )
            wait_for(lambda: all(state.state == "verified" for state in log.live()), 60, spine.step)
        finally:
            spine.close()
        found = log.verify()
        assert found.whole, found.damage
        known = {entry.event.intent for entry in log.since(0)}
        assert self.cut <= known, "an intent that was acknowledged is lost"
        ends = {entry.event.intent: entry.event.state for entry in log.since(0) if entry.event.intent}
        assert all(ends[name] == REVOKED or name not in wanted() for name in self.back), (
            "what was taken back is back"
        )
        for toy in toys.values():
            made = Counter((toy.folder / "made").read_text().split())
            assert set(made.values()) <= {1}, "a rule was made twice"
            assert {int(name, 16) for name in made} <= known, "a rule was made that is not in the log"
        log.close()


def test_killed_at_any_moment(tmp_path: Path) -> None:
    life, chance = Life(tmp_path), random.Random(KILLS)
    for number in range(KILLS):
        life.live(number, lines=chance.randrange(1, 60), seconds=chance.random() * 0.05)
        if number % 5 == 4:
            life.check()
    life.check()
    assert len(life.cut) > KILLS


@pytest.mark.parametrize("place", PLACES)
def test_killed_at_every_place(tmp_path: Path, place: str) -> None:
    """At each place twice: early, and after some time; what is there must not depend on it."""
    life, chance = Life(tmp_path), random.Random(place)
    for number in range(max(2, KILLS // 10)):
        count = chance.randrange(1, 4) if place in ("rename",) else chance.randrange(2, 60)
        life.live(number, where=f"{place}:{count}")
    life.check()
