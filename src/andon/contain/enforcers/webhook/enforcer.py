"""The enforcer that asks others: intents and plans as JSON, by POST, to whatever automation a site has.

Operations, each ``POST URL/NAME`` with ``{"schema": "andon.enforce/1", "operation": NAME, "enforcer": ..., ...}``:

    apply    {"intents": [{"intent": andon.intent/1, "plan": {...}, "digest": HEX}]}
             -> {"receipts": [{"intent": HEX16, "digest": HEX, "detail": {...}}]}    one each, the digest as it was sent
    revoke   {"intents": [HEX16]}  or  {"all": true}   -> {"revoked": N}
    verify   {"intent": HEX16, "digest": HEX}          -> {"held": true, false or null (held, cannot say yet)}
    actual   {}                                        -> {"intents": {HEX16: DIGEST}}
    health   {}                                        -> {"state": "ok", "statement": "", "epoch": 0}

A receiver keeps the digest with the rules and gives it back from ``actual`` only while all of them are there. An answer
that is not of this form is as good as none: nothing is taken for enforced on the word of garbage.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from andon.contain.contract import (
    DEGRADED,
    DOWN,
    ELSEWHERE,
    OK,
    Health,
    Limits,
    NotExpressible,
    Plan,
    Receipt,
    Rejected,
    Unreachable,
)
from andon.contain.enforcers.webhook.client import Receiver
from andon.records.finding import timestamp
from andon.records.intent import ACTIONS, ALLOW, PARTIES, Intent
from andon.share.outbox.parcel import one_line

SCHEMA: Final = "andon.enforce/1"
T = TypeVar("T")
_SMALL: Final = 1 << 20  # bytes of an answer
_LARGE: Final = 16 << 20  # bytes of what ``actual`` answers
_DETAIL: Final = 4096  # characters of what a receipt says besides
_WAITING: Final = 1024  # requests without an answer that are remembered
_HEALTH: Final = 10 * 1_000_000_000  # ns for which an answer about health holds


@dataclass(frozen=True)
class Settings:
    """``actions``, ``parties``: what the receiver can do. ``open_paths``: what it leaves open, as the operator knows
    it; unless told otherwise, that there may be a way around. ``seconds``: for one call. ``most``: intents it holds."""

    receiver: Receiver
    actions: tuple[str, ...] = tuple(action for action in ACTIONS if action != ALLOW)
    parties: tuple[str, ...] = PARTIES
    open_paths: tuple[str, ...] = (ELSEWHERE,)
    seconds: float = 5.0
    most: int = 10_000


class WebhookEnforcer:
    """See the module."""

    def __init__(self, name: str, settings: Settings, now: Callable[[], int] = time.time_ns) -> None:
        self.name, self.settings, self.now = name, settings, now
        self.supports = frozenset((action, kind) for action in settings.actions for kind in settings.parties)
        self.limits = Limits(rules=settings.most)
        self._keys: OrderedDict[str, str] = OrderedDict()
        self._health = Health(DEGRADED, "the receiver has not been asked yet")
        self._asked = 0

    @property
    def control(self) -> tuple[str, ...]:
        """The receiver's address, where its URL has one; a name has to be protected by the policy."""
        host = urlsplit(self.settings.receiver.url).hostname or ""
        try:
            return (str(ip_address(host)),)
        except ValueError:
            return ()

    def plan(self, intent: Intent) -> Plan:
        """See the contract."""
        if (intent.action, intent.subject.kind) not in self.supports:
            raise NotExpressible(
                f"the receiver of {self.name!r} is not set up for {intent.action} of a {intent.subject.kind}"
            )
        towards = f" towards {intent.target.value}" if intent.target is not None else ""
        told = f"{intent.action} {intent.subject.value}{towards} until {timestamp(intent.until)}"
        number = f"{intent.id:016x}"
        receiver = self.settings.receiver
        return Plan(
            intent, self.name,
            commands=(f"POST {receiver.where('apply')} intent {number}: {told}",),
            inverse=(f"POST {receiver.where('revoke')} intent {number}",),
            touched=(f"whatever {receiver.url} does with it",),
            open_paths=self.settings.open_paths,
        )  # fmt: skip

    def apply(self, plans: Sequence[Plan]) -> Sequence[Receipt]:
        """See the contract. One request for all of them."""
        if not plans:
            return []
        begun = time.perf_counter()
        digests = {plan.intent.id: digest_of(plan.intent) for plan in plans}
        asked = [
            {"intent": p.intent.to_dict(), "plan": p.to_dict(), "digest": digests[p.intent.id]} for p in plans
        ]
        details = self._call("apply", {"intents": asked}, lambda answer: self._receipts(answer, digests))
        seconds = time.perf_counter() - begun
        return [
            Receipt(p.intent.id, self.name, digests[p.intent.id], seconds, details[p.intent.id])
            for p in plans
        ]

    def _receipts(
        self, answer: Mapping[str, Any], digests: Mapping[int, str]
    ) -> dict[int, Mapping[str, Any]]:
        given = answer.get("receipts")
        if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
            raise self._garbage("apply", "no array `receipts` of objects")
        made: dict[int, Mapping[str, Any]] = {}
        for one in given:
            number = _number(one.get("intent"))
            if number is None or number not in digests or number in made:
                said = one_line(repr(one.get("intent")), 40)
                raise self._garbage(
                    "apply", f"a receipt for {said}, which was not asked for or is there twice"
                )
            if one.get("digest") != digests[number]:
                raise self._garbage("apply", f"another digest for {number:016x} than was sent")
            detail = one.get("detail", {})
            if not isinstance(detail, dict) or len(json.dumps(detail)) > _DETAIL:
                raise self._garbage(
                    "apply", f"a detail of {number:016x} that is no object of at most {_DETAIL} bytes"
                )
            made[number] = detail
        if len(made) < len(digests):
            raise Rejected(
                f"{self.name!r}: the receiver took {len(made)} of {len(digests)} intents and did not say why"
            )
        return made

    def revoke(self, intents: Sequence[int]) -> None:
        """See the contract."""
        if intents:
            self._call("revoke", {"intents": [f"{intent:016x}" for intent in intents]}, self._revoked)

    def revoke_all(self) -> None:
        """See the contract."""
        self._call("revoke", {"all": True}, self._revoked)

    def _revoked(self, answer: Mapping[str, Any]) -> None:
        count = answer.get("revoked")
        if type(count) is not int or count < 0:
            raise self._garbage("revoke", "no number `revoked`")

    def verify(self, receipt: Receipt) -> bool | None:
        """Whether the receiver says so, with the word `true` and nothing that is like it; `null` is that it holds the
        intent and cannot say yet whether it is in force."""
        asked = {"intent": f"{receipt.intent:016x}", "digest": receipt.digest}
        return self._call("verify", asked, self._held)

    def _held(self, answer: Mapping[str, Any]) -> bool | None:
        held = answer.get("held", "")
        if held is not None and not isinstance(held, bool):
            raise self._garbage("verify", "no `held` that is true, false or null")
        return held

    def actual(self) -> Mapping[int, str]:
        """See the contract."""
        return self._call("actual", {}, self._digests, _LARGE)

    def _digests(self, answer: Mapping[str, Any]) -> Mapping[int, str]:
        given = answer.get("intents")
        if not isinstance(given, dict):
            raise self._garbage("actual", "no object `intents`")
        made: dict[int, str] = {}
        for key, digest in given.items():
            number = _number(key)
            if number is None or not isinstance(digest, str) or len(digest) > 128:
                raise self._garbage("actual", f"{one_line(key, 40)!r}, which is no intent with a digest")
            made[number] = digest
        return made

    def health(self) -> Health:
        """What the receiver said, asked anew after ten seconds."""
        now = self.now()
        if self._asked and abs(now - self._asked) < _HEALTH:
            return self._health
        self._asked = now
        try:
            self._health = self._call("health", {}, self._state)
        except (Unreachable, Rejected) as error:
            self._health = Health(DOWN, str(error))
        return self._health

    def _state(self, answer: Mapping[str, Any]) -> Health:
        state, statement, epoch = answer.get("state"), answer.get("statement", ""), answer.get("epoch", 0)
        if state not in (OK, DEGRADED, DOWN) or not isinstance(statement, str) or type(epoch) is not int:
            raise self._garbage("health", "no `state` that is ok, degraded or down")
        return Health(str(state), one_line(statement), epoch=epoch)

    def tick(self, now: int) -> Sequence[int]:
        """Nothing: receivers have a clock of their own, and whoever forgets is seen in ``actual``."""
        return []

    def close(self) -> None:
        """Nothing is open between two calls."""

    def _call(
        self,
        operation: str,
        payload: Mapping[str, Any],
        read: Callable[[Mapping[str, Any]], T],
        limit: int = _SMALL,
    ) -> T:
        body = {"schema": SCHEMA, "operation": operation, "enforcer": self.name, **payload}
        identity = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        # The same key until there is an answer that can be read, so that a request which has to be repeated is acted on
        # once; then another, so that rules which the receiver lost can be applied again.
        key = self._keys.setdefault(identity, uuid.uuid4().hex)
        while len(self._keys) > _WAITING:
            self._keys.popitem(last=False)
        settings, now = self.settings, self.now()
        try:
            body["sent"] = timestamp(now)
            made = read(settings.receiver.call(operation, body, key, now, settings.seconds, limit))
        except Rejected:
            self._keys.pop(identity, None)
            raise
        self._keys.pop(identity, None)
        return made

    def _garbage(self, operation: str, what: str) -> Unreachable:
        return Unreachable(f"{self.name!r}: the receiver's answer to {operation} has {what}")


def digest_of(intent: Intent) -> str:
    """Of what an intent asks for."""
    text = json.dumps(intent.to_dict(), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _number(value: object) -> int | None:
    """An intent's id as 16 hexadecimal digits."""
    if not isinstance(value, str) or len(value) != 16 or not all(c in "0123456789abcdef" for c in value):
        return None
    return int(value, 16)
