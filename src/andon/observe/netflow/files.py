"""Files of export packets: one behind the other, or in a capture of the wire.

IPFIX messages say how long they are, and a file of them is the format of RFC 5655. Packets of version 5 say how many
records follow. Those of version 9 do not say their length; sets do, and none has the number 9, by which the next
packet begins. Damage is skipped to the next place that begins like a packet.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from andon.observe.compressed import compression, decompressor
from andon.observe.netflow.decoder import Decoder

if TYPE_CHECKING:
    from andon.observe.jsonlines import Skipped

_CHUNK: Final = 4 << 20
_TAKE: Final = 4 << 20  # bytes of records that are decoded at once
_EARLIEST, _LATEST = 631_152_000, 4_102_444_800  # s: 1990, 2100
_DAMAGED: Final = "bytes between export packets that are none"


def recognise(head: bytes) -> bool:
    """Does it begin with an export packet, and go on with another (or end)? Must not raise."""
    version = int.from_bytes(head[:2], "big")
    if version not in (5, 9, 10) or len(head) < 24:
        return False
    size = length_of(head, 0, len(head))
    if size is None:
        return False
    if version == 9 and size == 0:  # one packet, or a long one: it must begin as exporters do, with templates
        count, number, length = (int.from_bytes(head[at : at + 2], "big") for at in (2, 20, 22))
        return 0 < count <= 2000 and number <= 1 and length % 4 == 0
    if size == 0 or size >= len(head):
        return True
    return head[size : size + 2] == head[:2]


def length_of(data: bytes, at: int, stop: int) -> int | None:
    """Bytes of the export packet at a place; 0 if it goes on behind ``stop``, None if there is none."""
    if stop - at < 16:
        return 0 if stop - at < 2 or data[at : at + 2] in (b"\0\5", b"\0\x09", b"\0\x0a") else None
    version, second = struct.unpack_from(">HH", data, at)
    if version == 10:
        (seconds,) = struct.unpack_from(">I", data, at + 4)
        if second < 16 or not _EARLIEST <= seconds < _LATEST:
            return None
        if stop - at >= 20 and second >= 20:
            number, length = struct.unpack_from(">HH", data, at + 16)
            if not (number in (2, 3) or number >= 256) or length < 4 or length > second - 16:
                return None
        return second if at + second <= stop else 0
    (seconds,) = struct.unpack_from(">I", data, at + 8)
    if version not in (5, 9) or not _EARLIEST <= seconds < _LATEST:
        return None
    if version == 5:
        if second > 100:
            return None
        size = 24 + 48 * second
        return size if at + size <= stop else 0
    end = at + 20
    while end + 4 <= stop:
        number, length = struct.unpack_from(">HH", data, end)
        if number == 9 and end > at + 20:
            return end - at
        if (number > 1 and number < 256) or length < 4:
            return None if end == at + 20 else end - at
        end += length
    return 0 if end + 4 > stop else end - at


def packets(data: bytes, last: bool) -> tuple[list[bytes], int, int]:
    """(export packets, bytes that were none, place reached): of whole packets; with ``last`` to the end."""
    found, at, strange = [], 0, 0
    while at < len(data):
        size = length_of(data, at, len(data))
        if size == 0:
            if not last and len(data) - at < (1 << 17):
                break
            size = len(data) - at if last else None
        if size is None:
            places = [data.find(mark, at + 1) for mark in (b"\0\5", b"\0\x09", b"\0\x0a")]
            next_at = min((place for place in places if place >= 0), default=len(data))
            if next_at == len(data) and not last:
                next_at = max(at + 1, len(data) - 1)
            strange += next_at - at
            at = next_at
            if at >= len(data) - 1 and not last:
                break
            continue
        found.append(data[at : at + size])
        at += size
    return found, strange, at


def records(path: str | Path, skipped: Skipped) -> Iterator[pa.RecordBatch]:
    """Flows of a file, compressed or not. Raises OSError, ValueError for a file that holds no export packets."""
    decoder, first = Decoder(), True
    for data, last in _blocks(path):
        if first and not recognise(bytes(data[:65_536])):
            raise ValueError(f"{path}: no export packets of NetFlow 5, 9 or IPFIX")
        first = False
        found, strange, reached = packets(bytes(data), last)
        if strange:
            decoder.skipped.add(0, _DAMAGED, strange)
        del data[:reached]
        for packet in found:
            decoder.add(packet)
            if decoder.size >= _TAKE:
                yield from decoder.take()
    yield from decoder.finish()
    tell(decoder, skipped)


def tell(decoder: Decoder, skipped: Skipped) -> None:
    """What the decoder counted, among what was skipped of a file."""
    for line, reason in decoder.skipped.examples:
        count = decoder.skipped.reasons.pop(reason, 0)
        if count:
            skipped.add(line, reason, count)
    for reason, count in decoder.skipped.reasons.items():
        skipped.add(0, reason, count)
    for what, count in decoder.skipped.passed.items():
        skipped.leave(what, count)
    lost = sum(decoder.lost.values())
    if lost:
        skipped.add(0, "records or packets that sequence numbers skip: lost before they came here", lost)
    if decoder.sampled:
        skipped.leave("flows of sampled packets, counters multiplied", decoder.sampled)


def _blocks(path: str | Path) -> Iterator[tuple[bytearray, bool]]:
    """(what is held, no more will come); the user takes bytes from its front."""
    held, room = bytearray(), bytearray(_CHUNK)
    with Path(path).open("rb") as raw:
        kind = compression(raw.peek(4)[:4])
        stream: Any = decompressor(raw, kind) if kind else raw
        while True:
            got, want = 0, len(room)
            while got < want:
                n = stream.readinto(memoryview(room)[got:])
                if not n:
                    break
                got += n
            held += room[:got]
            yield held, got < want
            if got < want:
                return
