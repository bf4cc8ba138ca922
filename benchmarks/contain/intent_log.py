"""The intent log and the controller's own part of the time from decision to enforced.

    python benchmarks/contain/intent_log.py [--folder DIR] [--events 100000] [--tries 200]

Printed with the machine's load: appends a second (one process, one fsync each; and against a bare write + fdatasync of
the same bytes, the floor of this disk), opening and proving a log of many events, the state in memory, and from
``consider`` to the call of the enforcer's ``apply``, with the share of the append that comes before it.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from andon.contain.contract import Plan, Receipt
from andon.contain.controller import Controller, Judges
from andon.contain.enforcers.dryrun import DryRun
from andon.contain.ids import new_id
from andon.records.intent import BLOCK_PAIR, HOST, Ground, Intent, IntentEvent, Party
from andon.store.intents import IntentLog
from andon.store.intents.segment import segments_in


def intent(number: int) -> Intent:
    now = time.time_ns()
    host = Party(
        HOST,
        f"ws-{number}.example",
        ("192.0.2.9", "2001:db8::9"),
        "02:00:00:00:00:09",
        "sw1",
        7,
        "workstation",
    )
    grounds = (
        Ground("finding", f"f{number}", "livenet", "beacon"),
        Ground("finding", "g", "intel", "known C2"),
    )
    return Intent(new_id(now), BLOCK_PAIR, host, Party("address", "198.51.100.7", ("198.51.100.7",)), 3600 * 10**9,
                  "beacon to a known C2", "andon", now, grounds, f"case-{number}", "high", (), "known C2")  # fmt: skip


def percentiles(values: Sequence[float]) -> str:
    ordered = sorted(values)
    at = [ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.5, 0.95)]
    return f"p50 {at[0]:7.3f}  p95 {at[1]:7.3f}  max {ordered[-1]:7.3f} ms  (n = {len(ordered)})"


def load() -> str:
    return "load " + " ".join(f"{one:.2f}" for one in os.getloadavg())


def appends(folder: Path, tries: int) -> None:
    print(f"\nappend: two events (proposed with the intent, accepted), one fdatasync; {load()}")
    size = 0
    for name, key in (("unsigned", None), ("signed", b"k" * 32)):
        log, took = IntentLog(folder / name, key=key), []
        cpu = time.process_time()
        for number in range(tries):
            one = intent(number)
            events = [
                IntentEvent(one.id, "proposed", "andon", one.created),
                IntentEvent(one.id, "accepted", "andon", one.created),
            ]
            start = time.perf_counter()
            log.append(events, {one.id: one})
            took.append((time.perf_counter() - start) * 1e3)
        cpu = time.process_time() - cpu
        size = segments_in(folder / name)[-1].stat().st_size // tries
        print(
            f"  {name:<10} {percentiles(took)}  {tries / sum(took) * 1e3:8.0f} appends/s  "
            f"{cpu / tries * 1e3:.3f} CPU ms each"
        )
        log.close()
    file, took = os.open(folder / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND), []
    for _ in range(tries):
        start = time.perf_counter()
        os.write(file, bytes(size))
        os.fdatasync(file)
        took.append((time.perf_counter() - start) * 1e3)
    os.close(file)
    print(
        f"  {'bare write':<10} {percentiles(took)}  {tries / sum(took) * 1e3:8.0f} appends/s  "
        f"({size:,} bytes, the disk's floor)"
    )


def opening(folder: Path, events: int) -> None:
    print(f"\na log of {events:,} events, {load()}")
    log, live, count = IntentLog(folder), [], 0
    while count < events:
        batch: list[IntentEvent] = []
        documents = {}
        for number in range(20):
            one = intent(count + number)
            documents[one.id] = one
            live.append(one.id)
            batch += [
                IntentEvent(one.id, state, "andon", one.created)
                for state in ("proposed", "accepted", "applied", "verified")
            ]
        batch += [IntentEvent(one, "expired", "andon", time.time_ns()) for one in live[:-200]]
        del live[:-200]
        log.append(batch, documents)
        count += len(batch)
    log.close()
    total = sum(path.stat().st_size for path in segments_in(folder))
    print(f"  {len(segments_in(folder))} segments, {total / 1e6:.0f} MB, {total / count:.0f} bytes an event")
    for what in ("open", "open again"):
        start, cpu = time.perf_counter(), time.process_time()
        log = IntentLog(folder)
        print(
            f"  {what:<12} {time.perf_counter() - start:7.3f} s  {time.process_time() - cpu:7.3f} CPU s  "
            f"({len(log.live())} in force)"
        )
        log.close()
    start, cpu = time.perf_counter(), time.process_time()
    found = log.verify()
    cost = time.process_time() - cpu
    print(
        f"  {'verify all':<12} {time.perf_counter() - start:7.3f} s  {cost:7.3f} CPU s  "
        f"({found.lines / cost:,.0f} lines a CPU second, whole: {found.whole})"
    )
    start = time.perf_counter()
    entries = log.since(0, 10_000_000)
    print(f"  {'read all':<12} {time.perf_counter() - start:7.3f} s  ({len(entries):,} events)")
    print(
        f"  peak memory of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB "
        "(reading all of them holds them)"
    )


class Timed(DryRun):
    """Notes when apply is called."""

    at: dict[int, int]

    def apply(self, plans: Sequence[Plan]) -> Sequence[Receipt]:
        now = time.perf_counter_ns()
        for plan in plans:
            self.at[plan.intent.id] = now
        return super().apply(plans)


def handing_over(folder: Path, tries: int) -> None:
    enforcer, took, whole, logged = Timed("timed"), [], [], []
    enforcer.at = {}
    mine: list[float] = []
    wishes: list[Intent] = []
    judges = Judges(
        lambda *given: SimpleNamespace(decision="allow", reasons=("yes",)),
        lambda *given: given, lambda *given: list(wishes), lambda *given: None, lambda *given: None, lambda *given: "",
    )  # fmt: skip
    log = IntentLog(folder)
    append = log.append

    def timed(events: Any, intents: Any) -> int:
        start = time.perf_counter_ns()
        number = append(events, intents)
        if intents:
            logged.append((time.perf_counter_ns() - start) / 1e6)
        return number

    sync, synced, here = os.fdatasync, [], threading.get_ident()

    def fdatasync(file: int) -> None:
        start = time.perf_counter_ns()
        sync(file)
        if threading.get_ident() == here:
            synced.append((time.perf_counter_ns() - start) / 1e6)

    os.fdatasync = fdatasync
    log.append = timed  # type: ignore[method-assign]
    spine = Controller(log, None, None, None, {"timed": enforcer}, "auto", judges=judges)
    for number in range(tries):
        wishes[:] = [intent(number)]
        start = time.perf_counter_ns()
        spine.consider(SimpleNamespace(id=f"case-{number}"))
        done = time.perf_counter_ns()
        until = time.monotonic() + 10
        while wishes[0].id not in enforcer.at and time.monotonic() < until:
            time.sleep(0.0002)
        took.append((enforcer.at[wishes[0].id] - start) / 1e6)
        whole.append((done - start) / 1e6)
        mine.append(synced[0] if synced else 0.0)
        spine.step()
        time.sleep(0.03)
        synced.clear()
    print(
        f"\nfrom consider() to the enforcer's apply(), {tries} decisions, {tries} in force at the end; {load()}"
    )
    print(f"  until apply is called  {percentiles(took)}")
    print(f"  of it the append       {percentiles(logged)}  ({sum(logged) / sum(took):.0%} of the time)")
    print(f"  consider() returned    {percentiles(whole)}")
    print(f"  of that its fdatasync  {percentiles(mine)}  ({sum(mine) / sum(took):.0%} of the time)")
    os.fdatasync = sync
    spine.close()
    log.close()


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--folder", type=Path, help="on the disk to be measured (default: a temporary one)")
    given.add_argument("--events", type=int, default=100_000)
    given.add_argument("--tries", type=int, default=200)
    options = given.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        appends(Path(folder) / "appends", options.tries * 10)
        opening(Path(folder) / "large", options.events)
        handing_over(Path(folder) / "controller", options.tries)


if __name__ == "__main__":
    main()
