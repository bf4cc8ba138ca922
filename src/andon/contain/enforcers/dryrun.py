"""An enforcer that enforces nothing: it keeps what it was told, and says what it would have done.

For ``mode = "auto"`` without consequences (a rehearsal: policy, approvals, expiry and the log run as in earnest), and
beside a real enforcer as a second opinion. It forgets everything when the process ends.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from andon.contain.contract import (
    DEGRADED,
    PATHS,
    Enforcer,
    Health,
    Limits,
    NotExpressible,
    Plan,
    Receipt,
    Rejected,
)
from andon.records.finding import timestamp
from andon.records.intent import ACTIONS, PARTIES, Intent, Party


class DryRun:
    """``open_paths``: what its plans say that they leave open, to try out the policy's escalation. ``rules``: most
    intents it takes.

    Example: ``DryRun("rehearsal").plan(intent).commands``"""

    def __init__(self, name: str, open_paths: Sequence[str] = (), rules: int = 100_000) -> None:
        self._name = name
        self._open = tuple(open_paths)
        self._limits = Limits(rules)
        self._held: dict[int, str] = {}
        self._until: dict[int, int] = {}
        self._mutex = threading.Lock()

    @property
    def name(self) -> str:
        return self._name

    @property
    def supports(self) -> frozenset[tuple[str, str]]:
        return frozenset((action, kind) for action in ACTIONS for kind in PARTIES)

    @property
    def limits(self) -> Limits:
        return self._limits

    def plan(self, intent: Intent) -> Plan:
        who = _whom(intent.subject)
        if not who:
            raise NotExpressible(f"nobody knows an address, a name or a port of {intent.subject.value!r}")
        towards = f" towards {_whom(intent.target)}" if intent.target is not None else ""
        what = f"{intent.action} {who}{towards}"
        return Plan(
            intent=intent,
            enforcer=self._name,
            commands=(f"would {what} until {timestamp(intent.until)}",),
            inverse=(f"would no longer {what}",),
            touched=(f"all traffic of {who}{towards}",),
            open_paths=self._open,
        )

    def apply(self, plans: Sequence[Plan]) -> Sequence[Receipt]:
        with self._mutex:
            new = {plan.intent.id for plan in plans} - self._held.keys()
            if len(self._held) + len(new) > self._limits.rules:
                raise Rejected(f"it takes {self._limits.rules} intents and has {len(self._held)}")
            receipts = []
            for plan in plans:
                digest = hashlib.sha256("\n".join(plan.commands).encode()).hexdigest()[:16]
                self._held[plan.intent.id] = digest
                self._until[plan.intent.id] = plan.intent.until
                receipts.append(Receipt(plan.intent.id, self._name, digest, 0.0))
            return receipts

    def revoke(self, intents: Sequence[int]) -> None:
        with self._mutex:
            for name in intents:
                self._held.pop(name, None)
                self._until.pop(name, None)

    def revoke_all(self) -> None:
        with self._mutex:
            self._held.clear()
            self._until.clear()

    def verify(self, receipt: Receipt) -> bool:
        with self._mutex:
            return self._held.get(receipt.intent) == receipt.digest

    def actual(self) -> Mapping[int, str]:
        with self._mutex:
            return dict(self._held)

    def health(self) -> Health:
        with self._mutex:
            return Health(DEGRADED, "it enforces nothing: it is there for rehearsals", 1, len(self._held))

    def tick(self, now: int) -> Sequence[int]:
        with self._mutex:
            gone = [name for name, until in self._until.items() if until <= now]
            for name in gone:
                del self._held[name], self._until[name]
        return gone

    def close(self) -> None:
        self.revoke_all()


def _whom(party: Party) -> str:
    told = [
        *party.addresses,
        *([f"port {party.port} of {party.switch}"] if party.switch and party.port else []),
    ]
    if party.kind == "host":
        return f"{party.value} ({', '.join(told)})" if told else ""
    return party.value if not told or told == [party.value] else f"{party.value} ({', '.join(told)})"


def enforcer(name: str, settings: Mapping[str, Any], base: Path) -> Enforcer:
    """Settings: ``open_paths`` (a list of paths), ``rules`` (a number). Raises ValueError."""
    del base
    unknown = sorted(settings.keys() - {"open_paths", "rules"})
    if unknown:
        raise ValueError(f"there is no setting {unknown[0]!r}; there are open_paths and rules")
    paths = settings.get("open_paths", [])
    if not isinstance(paths, list) or not all(isinstance(one, str) and one in PATHS for one in paths):
        raise ValueError(f"open_paths is a list of {', '.join(PATHS)}")
    rules = settings.get("rules", 100_000)
    if not isinstance(rules, int) or isinstance(rules, bool) or not 0 < rules <= 10_000_000:
        raise ValueError("rules is a number from 1 to 10,000,000")
    return DryRun(name, paths, rules)
