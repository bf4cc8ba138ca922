"""A small enforcer that really keeps its rules outside, in files; and what else the tests of the spine share."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from andon.contain.contract import (
    DOWN,
    OK,
    Health,
    Limits,
    NotExpressible,
    Plan,
    Receipt,
    Rejected,
    Unreachable,
)  # fmt: skip
from andon.contain.controller import Controller, Judges, Settings
from andon.contain.ids import new_id
from andon.records.intent import (
    ADDRESS,
    BLOCK_PAIR,
    HOST,
    QUARANTINE,
    Ground,
    Intent,
    Party,
)  # fmt: skip
from andon.store.intents import IntentLog, uptime

SECOND = 1_000_000_000
_STARTED = uptime()
NOW = 1_767_225_600 * SECOND
# A call hangs only after longer than a busy machine lets a thread wait; where one is to hang, HASTY says so soon.
QUICK = Settings(
    tick=0.01, reconcile_every=0.05, hangs=60.0, retry_first=0.02, retry_cap=0.1, refused_first=0.05
)
HASTY = replace(QUICK, hangs=0.3)


def intent(number: int = 0, *, now: int = NOW, ttl: float = 3600, **changes: Any) -> Intent:
    """Host n towards its C2."""
    made = Intent(
        id=number or new_id(now),
        action=BLOCK_PAIR,
        subject=Party(HOST, f"ws-{number}", (f"192.0.2.{number % 250 + 1}", f"2001:db8::{number:x}")),
        target=Party(ADDRESS, "198.51.100.7", ("198.51.100.7",)),
        ttl=int(ttl * SECOND),
        reason="beacon to a known C2",
        requested_by="andon",
        created=now,
        grounds=(Ground("finding", "f1", "livenet"), Ground("finding", "f2", "intel")),
        case=f"case-{number}",
        level="high",
    )
    return made.with_(**changes) if changes else made


class FileToy:
    """Rules are the files of ``folder``, one for each intent; ``applied`` counts, also outside, how often a rule was
    written anew (not: confirmed). Everything that can go wrong can be made to."""

    def __init__(
        self, folder: Path, name: str = "toy", open_paths: Sequence[str] = (), rules: int = 1000
    ) -> None:
        self.folder, self._name, self.open_paths = folder, name, tuple(open_paths)
        folder.mkdir(parents=True, exist_ok=True)
        self.limits = Limits(rules)
        self.down = ""
        self.refuses: set[str] = set()  # hosts
        self.unfit: set[str] = set()
        self.lies = False
        self.silent, self.reads_back = False, True  # cannot say yet whether it is in force
        self.wrong_receipts = False
        self.hang = threading.Event()
        self.hang.set()
        self.epoch = 1
        self.calls: list[str] = []
        self.at: dict[int, int] = {}  # time at which apply was called, perf_counter_ns
        self.threads: set[int] = set()

    @property
    def name(self) -> str:
        return self._name

    @property
    def supports(self) -> frozenset[tuple[str, str]]:
        return frozenset(((BLOCK_PAIR, HOST), (QUARANTINE, HOST)))

    def plan(self, intent: Intent) -> Plan:
        if intent.subject.value in self.unfit:
            raise NotExpressible(f"{intent.subject.value} has no place here")
        return Plan(intent, self._name, (f"write {intent.id:016x}",), (f"remove {intent.id:016x}",), (),
                    self.open_paths if intent.action == BLOCK_PAIR else ())  # fmt: skip

    def _called(self, what: str) -> None:
        self.threads.add(threading.get_ident())
        self.calls.append(what)
        self.hang.wait()
        if self.down:
            raise Unreachable(self.down)

    def _rule(self, intent: Intent) -> bytes:
        target = intent.target.value if intent.target else ""
        return json.dumps(
            [intent.action, intent.subject.value, list(intent.subject.addresses), target]
        ).encode()

    def apply(self, plans: Sequence[Plan]) -> Sequence[Receipt]:
        for plan in plans:
            self.at[plan.intent.id] = time.perf_counter_ns()
        self._called("apply")
        for plan in plans:
            if plan.intent.subject.value in self.refuses:
                raise Rejected("table full")
        receipts = []
        for plan in plans:
            rule, path = self._rule(plan.intent), self.path(plan.intent.id)
            if not self.lies and not path.exists():
                partial = path.with_suffix(".new")
                partial.write_bytes(rule)
                partial.rename(path)
            receipts.append(Receipt(plan.intent.id, self._name, _digest(rule), 0.0001))
        return receipts[1:] if self.wrong_receipts else receipts

    def path(self, intent: int) -> Path:
        return self.folder / f"{intent:016x}.rule"

    def revoke(self, intents: Sequence[int]) -> None:
        self._called("revoke")
        for one in intents:
            self.path(one).unlink(missing_ok=True)

    def revoke_all(self) -> None:
        self._called("revoke_all")
        for path in self.folder.glob("*.rule"):
            path.unlink(missing_ok=True)

    def verify(self, receipt: Receipt) -> bool | None:
        self._called("verify")
        if self.silent:
            return None
        return self.rules().get(receipt.intent) == receipt.digest

    def actual(self) -> Mapping[int, str]:
        self._called("actual")
        return self.rules()

    def rules(self) -> dict[int, str]:
        """What is really there."""
        found = {}
        for path in self.folder.glob("*.rule"):
            with suppress(FileNotFoundError):  # taken away by the enforcer's thread just now
                found[int(path.stem, 16)] = _digest(path.read_bytes())
        return found

    def health(self) -> Health:
        if self.down:
            return Health(DOWN, self.down, self.epoch)
        return Health(OK, "", self.epoch, len(self.rules()))

    def tick(self, now: int) -> Sequence[int]:
        return ()

    def close(self) -> None:
        self.calls.append("close")


def _digest(rule: bytes) -> str:
    return hashlib.sha256(rule).hexdigest()[:16]


@dataclass
class Clocks:
    """Two clocks that stand still unless they are moved: the time of day, and the one since boot."""

    wall: int = NOW
    since_boot: int = 1000 * SECOND

    def now(self) -> int:
        return self.wall

    def up(self) -> int:
        return self.since_boot

    def pass_(self, seconds: float) -> None:
        self.wall += int(seconds * SECOND)
        self.since_boot += int(seconds * SECOND)


@dataclass
class Bell:
    """Hears alarms."""

    heard: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, kind: str, text: str) -> None:
        self.heard.append((kind, text))

    def of(self, kind: str) -> list[str]:
        return [text for k, text in self.heard if k == kind]


@dataclass
class Verdicts:
    """Judges whose word is set by the test; what they were asked is kept."""

    decision: str = "allow"
    wishes: list[Intent] = field(default_factory=list)
    harder: bool = False
    asked: list[tuple[str, list[Any]]] = field(default_factory=list)
    by_action: dict[str, str] = field(default_factory=dict)
    moved: dict[str, tuple[str, ...]] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)  # host: who has its address now

    def judges(self) -> Judges:
        return Judges(self._guard, self._held, lambda *given: list(self.wishes), self._escalate, self._renew,
                      lambda intent, *given: self.others.get(intent.subject.value, ""))  # fmt: skip

    def _guard(self, intent: Intent, terrain: Any, held: list[Any], now: int) -> Any:
        self.asked.append((f"{intent.id:016x}", held))
        decision = self.by_action.get(intent.action, self.decision)
        if decision == "error":
            raise RuntimeError("broken")
        return SimpleNamespace(decision=decision, reasons=("because",))

    def _held(self, intent: Intent, state: str, since: int, automatic: bool) -> Any:
        return SimpleNamespace(intent=intent, state=state, since=since, automatic=automatic)

    def _renew(self, intent: Intent, resolver: Any, now: int, fresh: int) -> Intent | None:
        addresses = self.moved.get(intent.subject.value)
        if addresses is None or addresses == intent.subject.addresses:
            return None
        return intent.with_(id=fresh, subject=replace(intent.subject, addresses=addresses), created=now,
                            ttl=intent.until - now, replaces=intent.id)  # fmt: skip

    def _escalate(
        self,
        intent: Intent,
        paths: Sequence[str],
        now: int,
        fresh: Callable[[], int],
        policy: Any,
        terrain: Any,
    ) -> Intent | None:
        if not self.harder:
            return None
        return intent.with_(id=fresh(), action=QUARANTINE, target=None, escalated=f"open: {', '.join(paths)}",
                            replaces=intent.id)  # fmt: skip


def controller(
    folder: Path, toys: Sequence[Any], verdicts: Verdicts | None = None, *, mode: Any = "auto",
    bell: Bell | None = None, clocks: Clocks | None = None, log: IntentLog | None = None,
    settings: Settings = QUICK,
) -> Controller:  # fmt: skip
    """A controller on real clocks, or on those of the test."""
    log = log or IntentLog(folder, **({"up": clocks.up, "boot": "test"} if clocks else {}))
    timed = {"now": clocks.now, "up": clocks.up} if clocks else {"now": lambda: NOW + uptime() - _STARTED}
    return Controller(
        log, None, None, None, {toy.name: toy for toy in toys}, mode, alarm=bell or Bell(),
        settings=settings, judges=(verdicts or Verdicts()).judges(), **timed,
    )  # fmt: skip


def wait_for(
    condition: Callable[[], Any], seconds: float = 60.0, step: Callable[[], Any] | None = None
) -> None:
    """Until it is so; fails after ``seconds``."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise AssertionError("it did not come to that")
        if step is not None:
            step()
        time.sleep(0.005)
