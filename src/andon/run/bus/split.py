"""A journal segment as messages that a broker takes: of one kind of record each, and none too large."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from andon.records.kinds import PACKET, kind_of
from andon.run.bus.message import EVENTS, MOST_EVENTS, Message, Part, Rows, encode
from andon.run.live.records import Kept, told
from andon.store.journal_segment import Segment

ROWS: Final = 65_536  # of a part, at most
RAW: Final = 8 << 20  # bytes of a part before it is compressed, about


@dataclass(frozen=True)
class Sent:
    """A message, how many rows it holds, and how many were too large to send."""

    message: Message
    rows: int
    left_out: int = 0


def messages(
    segment: Segment,
    records: Sequence[Kept],
    sensor: str,
    epoch: str,
    sources: Mapping[str, tuple[str, ...]],
    limit: int,
) -> Iterator[Sent]:
    """The messages of a segment, in order; ``records``: of other kinds, that came with it; ``limit``: bytes of a value.
    A single record that is larger than that is left out, and its place says so."""
    known = {**sources}
    chunks = list(_chunks(_items(segment, records, known)))
    events = _events(segment.events, known)
    base = Part(sensor, epoch, segment.number, 0, 0, False, segment.first_row, segment.clock, sources=known)
    first = 0
    for number, (kind, held) in enumerate(chunks):
        rows = sum(one.batch.num_rows for one in held)
        last = number == len(chunks) - 1
        part = replace(
            base, first=first, count=rows, kind=kind, held=tuple(held), end=last, events=events if last else (),
            row=segment.first_row + min(first, segment.rows),
        )  # fmt: skip
        yield from _fitting(part, limit, segment)
        first += rows
    if not chunks:
        yield Sent(encode(replace(base, end=True, events=events)), 0)


def _items(
    segment: Segment, records: Sequence[Kept], known: dict[str, tuple[str, ...]]
) -> Iterator[tuple[str, Rows]]:
    """(kind, rows), in the order of a segment's rows. Sources that are not configured any more are known all the
    same."""
    for source, batch in segment.batches():
        known.setdefault(source, (PACKET,))
        yield PACKET, Rows(source, batch)
    for event, (source, forgeable, batch) in zip(told(segment.events), records, strict=True):
        kind, promise = kind_of(batch), event.get("promise")
        if kind not in known.setdefault(source, (kind,)):
            known[source] = (*known[source], kind)
        yield kind, Rows(source, batch.replace_schema_metadata(None), promise, forgeable)


def _chunks(items: Iterator[tuple[str, Rows]]) -> Iterator[tuple[str, list[Rows]]]:
    """Neighbours of one kind together, none over ``ROWS`` and ``RAW``."""
    kind, held, rows, size = "", list[Rows](), 0, 0
    for of, one in items:
        for piece in _sliced(one):
            many, much = piece.batch.num_rows, piece.batch.nbytes
            if held and (of != kind or rows + many > ROWS or size + much > RAW):
                yield kind, held
                held, rows, size = [], 0, 0
            kind = of
            held.append(piece)
            rows, size = rows + many, size + much
    if held:
        yield kind, held


def _sliced(one: Rows) -> Iterator[Rows]:
    """Pieces of a batch of which each is small enough; the promise holds after the last."""
    rows = one.batch.num_rows
    step = max(1, min(ROWS, rows * RAW // max(1, one.batch.nbytes)))
    for at in range(0, rows, step):
        batch = one.batch.slice(at, step)
        yield replace(one, batch=batch, promise=one.promise if at + step >= rows else None)


def _fitting(part: Part, limit: int, segment: Segment) -> Iterator[Sent]:
    """The part, in halves of halves if it is too large."""
    message = encode(part)
    if len(message.value) <= limit:
        yield Sent(message, part.rows)
        return
    if part.rows <= 1:
        kept = part.events if len(message.value) - limit < part.held[0].batch.nbytes else ()
        yield Sent(encode(replace(part, held=(), events=kept)), 0, part.rows)
        return
    half = part.rows // 2
    low, high = _cut(part.held, half)
    yield from _fitting(replace(part, count=half, held=low, end=False, events=()), limit, segment)
    rest = replace(
        part, first=part.first + half, count=part.count - half, held=high,
        row=segment.first_row + min(part.first + half, segment.rows),
    )  # fmt: skip
    yield from _fitting(rest, limit, segment)


def _cut(held: Sequence[Rows], rows: int) -> tuple[tuple[Rows, ...], tuple[Rows, ...]]:
    low, high = list[Rows](), list[Rows]()
    for one in held:
        many = one.batch.num_rows
        if rows >= many:
            low.append(one)
        elif rows <= 0:
            high.append(one)
        else:
            low.append(replace(one, batch=one.batch.slice(0, rows), promise=None))
            high.append(replace(one, batch=one.batch.slice(rows)))
        rows -= many
    return tuple(low), tuple(high)


def _events(events: Sequence[Mapping[str, Any]], known: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """What analysers need to know of what happened. A flood of it is cut short, and that is said."""
    wanted = [dict(one) for one in events if one.get("type") in EVENTS]
    most = MOST_EVENTS // 8
    if len(wanted) <= most:
        return tuple(wanted)
    time = [one for one in wanted if one["type"] in ("heartbeat", "finished", "idle")][-most // 2 :]
    rest = [one for one in wanted if one["type"] not in ("heartbeat", "finished", "idle")]
    left = len(wanted) - len(time) - len(rest[: most // 2])
    said = {"type": "damage", "source": next(iter(known), ""), "file": "events", "places": left,
            "what": f"{left:,} more notices of this second were not sent"}  # fmt: skip
    return (*rest[: most // 2], said, *time)
