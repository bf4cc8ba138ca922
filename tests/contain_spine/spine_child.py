"""A controller at work until it is killed: ``python spine_child.py FOLDER SEED [WHERE]``.

WHERE is a place to die at, "write:7" for the seventh call of it; without one it works until somebody kills it. On
stdout, unbuffered, one line for each thing that was acknowledged to the caller: "cut ID", "back ID".
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from spine_toys import SECOND, FileToy, Verdicts, intent

from andon.contain.controller import Controller, Settings
from andon.contain.ids import new_id
from andon.store.intents import IntentLog

PLACES = ("write", "half", "fdatasync", "pwrite", "rename", "apply", "applied", "revoke", "revoked", "unlink")


class KeptToy(FileToy):
    """Writes down outside how often each rule was really made."""

    def apply(self, plans: Any) -> Any:
        there = {plan.intent.id for plan in plans if self.path(plan.intent.id).exists()}
        _at("apply")
        receipts = super().apply(plans)
        with (self.folder / "made").open("a") as file:
            for plan in plans:
                if plan.intent.id not in there:
                    file.write(f"{plan.intent.id:016x}\n")
        _at("applied")
        return receipts

    def revoke(self, intents: Any) -> None:
        _at("revoke")
        super().revoke(intents)
        _at("revoked")


_countdown: dict[str, int] = {}


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _at(place: str) -> None:
    if place in _countdown:
        _countdown[place] -= 1
        if _countdown[place] == 0:
            _die()


def _mine(place: str, real: Any, before: bool = True) -> Any:
    def called(*given: Any, **more: Any) -> Any:
        if before:
            _at(place)
        found = real(*given, **more)
        if not before:
            _at(place)
        return found

    return called


def _half(real: Any) -> Any:
    def written(fd: int, data: Any) -> int:
        if _countdown.get("half", 0) == 1 and len(data) > 100:
            real(fd, bytes(data)[: len(data) // 2])
            os.fsync(fd)
            _die()
        if len(data) > 100 and "half" in _countdown:
            _countdown["half"] -= 1
        return int(real(fd, data))

    return written


def _dying(where: str) -> None:
    place, _, count = where.partition(":")
    _countdown[place] = int(count)
    os.write = _half(_mine("write", os.write))
    os.fdatasync = _mine("fdatasync", os.fdatasync)
    os.pwrite = _mine("pwrite", os.pwrite)
    os.unlink = _mine("unlink", os.unlink)
    Path.rename = _mine("rename", Path.rename)  # type: ignore[method-assign]


def main() -> None:
    folder, seed = Path(sys.argv[1]), int(sys.argv[2])
    chance = random.Random(seed)
    out = sys.stdout.fileno()
    real_write = os.write
    if len(sys.argv) > 3:
        _dying(sys.argv[3])
    toys = {name: KeptToy(folder / name, name) for name in ("one", "two")}
    verdicts = Verdicts()
    log = IntentLog(folder / "contain", segment_bytes=30_000)
    settings = Settings(tick=0.005, reconcile_every=0.03)
    spine = Controller(log, None, None, None, toys, "auto", settings=settings, judges=verdicts.judges())
    live = [state.intent.id for state in log.live()]
    until = time.monotonic() + 150  # it does not outlive the test by much
    while time.monotonic() < until:
        now = time.time_ns()
        made = intent(chance.randrange(1, 30_000), now=now, ttl=chance.choice((1.5, 60, 3600)))
        made = made.with_(id=new_id(now), case=f"{now}", success=chance.choice(("any", "all")))
        verdicts.wishes = [made]
        if spine.consider(SimpleNamespace(id=made.case)):
            real_write(out, f"cut {made.id:016x} {(made.ttl < 60 * SECOND)!r:1}\n".encode())
            live.append(made.id)
        if len(live) > 10:
            [gone] = spine.revoke([live.pop(chance.randrange(len(live)))], "ana", "test") or [0]
            if gone:
                real_write(out, f"back {gone:016x}\n".encode())
        spine.step()
        time.sleep(chance.random() * 0.004)


if __name__ == "__main__":
    main()
