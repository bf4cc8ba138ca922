"""What a sink is: something that takes one parcel, or says why not.

Two ways to fail. *Unreachable*: nothing can be delivered there now (down, slow, wrong password, disk full); the queue
of that sink waits and keeps its order. *Refused*: the sink is there and rejects this one message for what it is;
it is tried again later and those behind it go first. Something else is a message that is *withheld*: it may not leave
by this sink (its TLP, ``share.policy``); it is taken off the queue with that remark in the audit log, and counted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from andon.records.finding import timestamp
from andon.share.policy import Withheld
from andon.store.casebook import Queued

__all__ = [
    "DIGEST", "MESSAGE_SCHEMA", "Parcel", "Refused", "Sink", "Unreachable", "Withheld", "body_text", "one_line",
    "parcel",
]  # fmt: skip

MESSAGE_SCHEMA = "andon.message/1"
DIGEST = "digest"  # the kind of a message that carries others


class Unreachable(Exception):
    """Nothing can be delivered to this sink now. ``retry_after``: the sink asked for so many seconds."""

    def __init__(self, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class Refused(Exception):
    """The sink does not take this message."""


@dataclass(frozen=True)
class Parcel:
    """A message on its way. ``id`` (32 hex digits) is the same in every attempt: receivers can drop repetitions.

    ``body`` is JSON text; ``lines``: of a digest, the messages it carries as JSON lines."""

    id: str
    sink: str
    kind: str
    subject: str
    text: str
    body: str
    created: int  # ns
    lines: str = ""

    @property
    def is_digest(self) -> bool:
        return self.kind == DIGEST

    def data(self) -> Any:
        """The body as a value."""
        return json.loads(self.body)

    def envelope(self) -> str:
        """The whole message as one JSON object (``andon.message/1``), without a line break."""
        head = {
            "schema": MESSAGE_SCHEMA,
            "id": self.id,
            "kind": self.kind,
            "created": timestamp(self.created),
            "subject": self.subject,
            "text": self.text,
        }
        text = json.dumps(head, ensure_ascii=True)[:-1] + f', "body": {self.body}'
        if self.lines:
            text += f', "messages": [{", ".join(self.lines.splitlines())}]'
        return text + "}"


class Sink(Protocol):
    """Where parcels go. ``name`` is that of ``[[sink]]``; ``digest_after``: how many messages an hour are sent one
    by one before the rest is put together (0: always one by one)."""

    @property
    def name(self) -> str: ...
    @property
    def digest_after(self) -> int: ...

    def send(self, parcel: Parcel, now: int, seconds: float) -> str:
        """Deliver, within about ``seconds``; ``now`` is the time in ns. Gives a remark to write down ("" for none).
        Raises Unreachable or Refused, and Withheld for what must not leave by it."""


def parcel(message: Queued, members: Sequence[Queued] = ()) -> Parcel:
    """What goes out for a queued message."""
    lines = "\n".join(parcel(member).envelope() for member in members)
    return Parcel(
        id=message.wire_id,
        sink=message.sink,
        kind=message.kind,
        subject=message.subject,
        text=message.text,
        body=message.body,
        created=message.created,
        lines=lines,
    )


def one_line(text: str, limit: int = 200) -> str:
    """Text from outside as one printable line of at most ``limit`` characters.

    >>> one_line("Alert\\r\\nBcc: everybody@example.org")
    'Alert  Bcc: everybody@example.org'
    """
    plain = "".join(c if c.isprintable() else " " for c in text)
    return plain if len(plain) <= limit else plain[: limit - 1] + "…"


def body_text(text: str) -> str:
    """Text from outside with line breaks but no other control characters."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text.replace("\r\n", "\n"))
