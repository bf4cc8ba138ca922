"""Digests instead of floods: what goes beyond so many messages an hour is put together into one.

The hour is one of the clock (UTC). In it a sink gets its first ``digest_after`` messages one by one; the rest waits
for the hour to end and then goes out as one message with counts, first lines and all of them attached as JSON lines.
The same happens to what piled up while a sink was away. Nothing is left out: a digest that would grow beyond 4 MiB is
followed by another.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

from andon.records.finding import timestamp
from andon.share.outbox.parcel import DIGEST, one_line
from andon.store.casebook import Casebook, Message, Queued

HOUR = 3_600_000_000_000
_BYTES = 4 * 1024 * 1024
_MESSAGES = 5_000  # in one digest
_FIRST = 20  # of which the text gives the first line


def fold(book: Casebook, sink: str, digest_after: int, now: int) -> tuple[int, int]:
    """Fold what has to be folded; (how many may still go one by one in this hour, how many were folded)."""
    hour = now // HOUR * HOUR
    left = max(0, digest_after - book.delivered_between(sink, hour, hour + HOUR, but=DIGEST))
    folded = 0
    while True:
        old = book.foldable(sink, hour, left, DIGEST, _MESSAGES)
        if len(old) < 2:
            return left, folded
        batch = _batch(old)
        if not book.fold(digest_message(batch), [message.id for message in batch], now):
            return left, folded
        folded += len(batch)


def digest_message(messages: Sequence[Queued]) -> Message:
    """The message that carries these: equal for equal messages."""
    kinds = Counter(message.kind for message in messages)
    counted = ", ".join(f"{count:,} of kind {kind}" for kind, count in kinds.most_common())
    first = timestamp(min(message.created for message in messages))
    last = timestamp(max(message.created for message in messages))
    lines = [
        f"{timestamp(message.created)}  {one_line(message.subject, 120)}" for message in messages[:_FIRST]
    ]
    more = len(messages) - len(lines)
    text = f"{len(messages):,} messages from {first} to {last}: {counted}. All of them are attached as JSON lines.\n\n"
    text += "\n".join(lines) + (f"\n... and {more:,} more\n" if more else "\n")
    key = hashlib.sha256("\x1f".join(message.wire_id for message in messages).encode()).hexdigest()
    return Message(
        dedup_key=f"digest:{key}",
        sink=messages[0].sink,
        kind=DIGEST,
        subject=f"{len(messages):,} messages: {counted}",
        text=text,
        body={
            "schema": "andon.digest/1",
            "count": len(messages),
            "first": first,
            "last": last,
            "kinds": dict(sorted(kinds.items())),
        },
    )


def _batch(messages: Sequence[Queued]) -> list[Queued]:
    taken: list[Queued] = []
    size = 0
    for message in messages:
        size += len(message.body) + len(message.text) + len(message.subject) + 500
        if taken and size > _BYTES:
            break
        taken.append(message)
    return taken
