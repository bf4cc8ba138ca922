"""MISP events to a MISP server: added, and by the same uuid changed when there is news.

The API answers ``POST /events/add`` with 404 and "already exists" for a uuid that it has; ``POST /events/edit/UUID``
takes the event if its ``timestamp`` is later than that of the server's copy, and otherwise says that it is "not newer",
which after a repetition means that it is there. A uuid that was deleted on the server is on its block list: refused.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from andon.share.outbox.dial import Deadline
from andon.share.outbox.http import Answer, Endpoint
from andon.share.outbox.parcel import Parcel, Refused, Unreachable, one_line
from andon.share.outbox.secret import Secret

if TYPE_CHECKING:
    from andon.share.policy import Gate

_NAMESPACE = uuid.UUID(
    "1b0f5a4e-44a6-5b6b-8a58-6a3f1f4f0c2d"
)  # ours, for events that have no uuid of their own
_MOST = 1 << 16
_LARGEST = 64 << 20


@dataclass(frozen=True)
class MispSink:
    """``url``: of the server, without /events. ``key``: the automation key of a user who may add events.

    Raises ValueError for settings that cannot work."""

    name: str
    url: str
    key: Secret = field(repr=False)
    ca_file: Path | None = None
    verify: bool = True
    digest_after: int = 0
    gate: Gate | None = None

    def __post_init__(self) -> None:
        endpoint = self._endpoint
        if not endpoint.secure and endpoint.host not in ("localhost", "127.0.0.1", "::1"):
            raise ValueError("a key is not sent over plain http: use https")

    @cached_property
    def _endpoint(self) -> Endpoint:
        return Endpoint(self.url, self.ca_file, self.verify, "MISP server")

    def send(self, parcel: Parcel, now: int, seconds: float) -> str:
        """Add the events of a parcel or bring them up to date. Raises Unreachable, Refused, Withheld."""
        from andon.share.taxii.content import events_of

        found, remark = events_of(parcel, self.gate)
        events = [_event(event, parcel, at) for at, event in enumerate(found)]
        with Deadline(seconds) as deadline:
            said = [self._one(event, deadline) for event in events]
        return remark or ", ".join(dict.fromkeys(said))

    def _one(self, event: dict[str, Any], deadline: Deadline) -> str:
        body = json.dumps({"Event": event}, ensure_ascii=True, allow_nan=False).encode()
        if len(body) > _LARGEST:
            raise Refused(f"an event of {len(body):,} bytes")
        answer, said = self._post("events/add", body, deadline)
        if answer.good:
            return "added"
        if not (answer.status in (404, 409) and "already exists" in said):
            raise self._trouble(answer, said)
        answer, said = self._post(f"events/edit/{event['uuid']}", body, deadline)
        if answer.good:
            return "changed"
        if answer.status < 500 and "not newer" in said:
            return "was there"
        raise self._trouble(answer, said)

    def _post(self, path: str, body: bytes, deadline: Deadline) -> tuple[Answer, str]:
        headers = {
            "Authorization": self.key.read(),
            "Accept": "application/json",
            "Content-Type": "application/json",
            "User-Agent": "andon",
        }
        target = self._endpoint.within(self.url.rstrip("/") + "/" + path)
        try:
            answer = self._endpoint.request("POST", deadline, headers, body, _MOST, target)
        except Unreachable as error:
            raise Unreachable(self.key.hide(str(error)), error.retry_after) from error
        return answer, one_line(self.key.hide(answer.text(_MOST)), 1000)

    def _trouble(self, answer: Answer, said: str) -> Exception:
        host = self._endpoint.host
        text = f"{host} answered {answer.status}: {said[:200]}"
        if 300 <= answer.status < 400:
            return Unreachable(f"{host} answered {answer.status}: not logged in, or give the final URL")
        # 403 is both a key that is wrong and an event that is not valid; only the latter says "saved": false.
        if answer.status in (400, 413, 422) or (answer.status in (403, 405) and '"saved"' in said):
            return Refused(text)
        return Unreachable(text, answer.retry_after)


def _event(given: dict[str, Any], parcel: Parcel, at: int) -> dict[str, Any]:
    """The event with uuid and timestamp that are the same in every attempt."""
    event = dict(given)
    if not isinstance(event.get("info"), str) or not event["info"]:
        raise Refused("an event needs an info")
    if "uuid" not in event:
        event["uuid"] = str(uuid.uuid5(_NAMESPACE, f"{parcel.id} {at}"))
    try:
        event["uuid"] = str(uuid.UUID(str(event["uuid"])))
    except ValueError as error:
        raise Refused("the event's uuid is none") from error
    event.setdefault("timestamp", str(parcel.created // 1_000_000_000))
    return event
