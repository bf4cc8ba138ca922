"""Rounds of SIGKILL against ``andon run``, counted, and taken up again where an earlier slice stopped.

A round is one kill. A store is hit until all packets are read, then it runs to its end undisturbed and is compared
with a store that nobody disturbed: packet by packet and finding by finding. When to kill is reckoned in CPU seconds of
the victim, so that a busy machine makes rounds longer and not emptier.
"""

from __future__ import annotations

import json
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from live_runs import findings, finish, killed, make_captures, write_config

from andon.observe import read
from andon.store.history import History

_SAME = ("ts", "src", "dst", "src_port", "dst_port", "tcp_seq", "ip_id")
_PACKETS, _PARTS, _DAYS, _ROWS = 24_000, 24, 2.0, 500
_DONE = "done.json"
# The search for fingerprints takes seconds, whatever the packets: a store in ten has it, the others all but it.
_WITHOUT = '[engine."darknet.fingerprint"]\nmin_sources = 100000\n'
_SEARCHES = 10


@dataclass
class Tally:
    """What came of all rounds so far. Rows and findings are summed over stores."""

    rounds: int = 0
    before_start: int = 0  # of the rounds: killed before it said that it runs
    stores: int = 0
    rows: int = 0
    rows_lost: int = 0
    rows_doubled: int = 0
    half_written: int = 0  # damaged places of histories
    findings: int = 0
    findings_missing: int = 0
    findings_unequal: int = 0
    findings_too_many: int = 0

    @property
    def bad(self) -> int:
        return (
            self.rows_lost + self.rows_doubled + self.half_written + self.findings_missing + self.findings_unequal
            + self.findings_too_many
        )  # fmt: skip

    def __str__(self) -> str:
        return (
            f"{self.rounds} kills ({self.before_start} of them before it ran) over {self.stores} stores, {self.rows:,} "
            f"packets: {self.rows_lost} lost, {self.rows_doubled} doubled, {self.half_written} places half written; "
            f"{self.findings:,} findings: {self.findings_missing} missing, {self.findings_unequal} unequal, "
            f"{self.findings_too_many} too many"
        )


def moments(seed: int, searches: bool) -> Iterator[tuple[float, bool]]:
    """CPU seconds until each kill, and whether they are counted from the start of the process. ``searches``: with the
    search for fingerprints, which takes some seconds at once; without it all takes about one."""
    rng = random.Random(seed)
    while True:
        starting = rng.random() < 0.2
        longest = 16.0 if searches and rng.random() < 0.2 else 0.6
        yield rng.uniform(0.1, 1.5 if starting else longest), starting


def rounds(folder: Path, wanted: int, seconds: float) -> Tally:
    """Go on in ``folder`` until it counts so many rounds, or so many seconds have passed; a store that was begun is
    brought to its end. Give the count of all slices."""
    tally = _read(folder)
    end = time.monotonic() + seconds
    captures = folder / "caps"
    if tally.rounds < wanted and not captures.is_dir():
        make_captures(folder / "begun", _PACKETS, _PARTS, _DAYS)
        (folder / "begun").rename(captures)
    while tally.rounds < wanted and time.monotonic() < end and not tally.bad:
        _store(folder, captures, tally, wanted)
        part = folder / f"{_DONE}.part"
        part.write_text(json.dumps(asdict(tally)))
        part.replace(folder / _DONE)
        print(tally, flush=True)
    return tally


def _read(folder: Path) -> Tally:
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / _DONE
    return Tally(**json.loads(done.read_text())) if done.exists() else Tally()


def _store(folder: Path, captures: Path, tally: Tally, wanted: int) -> None:
    """One store: killed until all is read, then compared."""
    number = tally.stores + 1
    name = f"killed-{number}"
    shutil.rmtree(folder / name, ignore_errors=True)
    settings = "" if number % _SEARCHES == 0 else _WITHOUT
    calm = folder / ("calm" if settings else "calm-search")
    if not calm.is_dir():
        finish(write_config(folder, captures, "begun", settings, _ROWS), 900.0)
        (folder / "begun").rename(calm)
    config = write_config(folder, captures, name, settings, _ROWS)
    when = moments(number, not settings)
    hit = 0
    while tally.rounds < wanted and hit < 40:
        after, starting = next(when)
        if not killed(config, folder / name, after, starting):
            break
        hit += 1
        tally.rounds += 1
        tally.before_start += starting
    finish(config, 900.0)
    tally.stores += 1
    compare(calm, folder / name, captures, tally)
    if not tally.bad:
        shutil.rmtree(folder / name)


def compare(calm: Path, store: Path, captures: Path, tally: Tally) -> None:
    """Count what differs between a store and the captures, and between it and the undisturbed one."""
    there = Counter(_packets(batch for path in sorted(captures.iterdir()) for batch in read(path)))
    history = History(store / "history")
    held = Counter(_packets(history.read(0, 1 << 62, _SAME)))
    tally.rows += there.total()
    tally.rows_lost += (there - held).total()
    tally.rows_doubled += (held - there).total()
    tally.half_written += len(history.verify().problems)
    expected, found = findings(calm), findings(store)
    tally.findings += len(expected)
    tally.findings_missing += len(expected.keys() - found.keys())
    tally.findings_too_many += len(found.keys() - expected.keys())
    tally.findings_unequal += sum(found[name] != expected[name] for name in expected.keys() & found.keys())


def _packets(batches: Any) -> Iterator[tuple[int, ...]]:
    for batch in batches:
        columns = [batch.column(name).cast("int64").to_pylist() for name in _SAME]
        yield from zip(*columns, strict=True)
