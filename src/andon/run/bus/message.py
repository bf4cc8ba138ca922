"""One message of the bus: a part of a journal segment, whole and checked, or refused for a named reason.

The value is one Arrow IPC stream of one kind of record, compressed as a whole (one zstd frame, its unpacked size
in front: the reader knows what it will cost before it pays). What the reader needs to decide whether it wants the
message at all stands in the headers: version, sensor, epoch, segment, which rows of it, checksum. What belongs to the
segment rather than to its rows (which sources the sensor has, what happened) is JSON in the metadata of the schema.

Rows of a segment are numbered from 0: packets in the order of the journal, then records of other kinds. A part covers
``first`` to ``first + count``; the part that closes the segment (``end``) carries its events. So a segment can be cut
in any way, and cut in another way when it is sent again: a reader knows which rows it has.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import zstandard
from isal import isal_zlib

from andon.records.kinds import KINDS, PACKET

VERSION: Final = "andon.bus/1"
MOST_VALUE: Final = 32 << 20  # bytes of a value
MOST_RAW: Final = 64 << 20  # ... unpacked
MOST_ROWS: Final = 1 << 18
MOST_BATCHES: Final = 4096
MOST_ABOUT: Final = 1 << 20  # bytes of JSON
MOST_EVENTS: Final = 4096
MOST_SOURCES: Final = 64
LEVEL: Final = 1  # zstd

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_EPOCH: Final = re.compile(r"[0-9a-f]{32}")
_NUMBER: Final = re.compile(r"[0-9]{1,19}")
_NUMBERS: Final = ("segment", "first", "count", "rows", "row", "clock", "end", "crc")
_TEXTS: Final = ("schema", "sensor", "epoch", "kind")
_KEY: Final = b"andon.bus"
_SOURCE: Final = b"source"
_PROMISE: Final = b"promise"
_FORGEABLE: Final = b"forgeable"

# What may be told of a sensor, and which of it is a number.
EVENTS: Final = ("heartbeat", "finished", "idle", "gap", "lost", "shed", "damage")
_INTEGERS: Final = ("time", "from", "to", "rows", "places", "one_in")
_WORDS: Final = ("source", "file", "why", "what", "noun")


class Refused(ValueError):
    """A message that cannot be used; the text is one of a few dozen reasons, never something from the message."""


@dataclass(frozen=True)
class Rows:
    """Records of one source of the sensor. ``promise``: ns before which the source gives none of the kind any more;
    ``forgeable``: anybody who reached its port could have sent them."""

    source: str
    batch: pa.RecordBatch
    promise: int | None = None
    forgeable: bool = False


@dataclass(frozen=True)
class Part:
    """``row``: packets of the sensor in all time before this part; ``count``: rows of the segment it covers, which is
    more than it holds where one was too large to send; ``sources``: kinds of record by source of the sensor."""

    sensor: str
    epoch: str
    segment: int
    first: int
    count: int
    end: bool
    row: int
    clock: int
    kind: str = PACKET
    held: tuple[Rows, ...] = ()
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    events: tuple[Mapping[str, Any], ...] = ()

    @property
    def rows(self) -> int:
        return sum(one.batch.num_rows for one in self.held)


@dataclass(frozen=True)
class Message:
    """As the broker sees it."""

    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


def encode(part: Part) -> Message:
    """The part as a message."""
    about = {
        "sources": {name: list(kinds) for name, kinds in part.sources.items()},
        "events": list(part.events),
    }
    metadata = {_KEY: json.dumps(about, separators=(",", ":")).encode()}
    bare = KINDS[part.kind].schema if part.held else pa.schema([])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, bare.with_metadata(metadata)) as writer:
        for one in part.held:
            said = {_SOURCE: one.source.encode()}
            if one.promise is not None:
                said[_PROMISE] = str(one.promise).encode()
            if one.forgeable:
                said[_FORGEABLE] = b"1"
            writer.write_batch(one.batch.replace_schema_metadata(metadata), custom_metadata=said)
    value = zstandard.ZstdCompressor(level=LEVEL).compress(sink.getvalue())
    headers = {
        "schema": VERSION, "sensor": part.sensor, "epoch": part.epoch, "kind": part.kind, "segment": part.segment,
        "first": part.first, "count": part.count, "rows": part.rows, "row": part.row, "clock": part.clock,
        "end": int(part.end), "crc": isal_zlib.crc32(value),
    }  # fmt: skip
    return Message(
        part.sensor.encode(), value, tuple((f"andon.{k}", str(v).encode()) for k, v in headers.items())
    )


def decode(
    key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]] | None
) -> Part:
    """The part of a message; what is wrong with it costs no more than ``MOST_RAW`` bytes. Raises Refused."""
    said = read_headers(key, headers)
    return unpack(said, value)


@dataclass(frozen=True)
class Headers:
    """What is said of a message before it is unpacked."""

    sensor: str
    epoch: str
    kind: str
    segment: int
    first: int
    count: int
    rows: int
    row: int
    clock: int
    end: bool
    crc: int


def read_headers(key: bytes | None, headers: Sequence[tuple[str, bytes | None]] | None) -> Headers:
    """Raises Refused."""
    if not headers or len(headers) > 64:
        raise Refused("it has no headers of the bus")
    found: dict[str, str] = {}
    for name, data in headers:
        if name.startswith("andon.") and data is not None and len(data) <= 64:
            found[name.removeprefix("andon.")] = data.decode("ascii", "replace")
    if "schema" not in found:
        raise Refused("it has no headers of the bus")
    if found["schema"] != VERSION:
        raise Refused("it is of another version of the bus")
    if any(name not in found for name in (*_TEXTS, *_NUMBERS)):
        raise Refused("a header is missing")
    if not _NAME.fullmatch(found["sensor"]) or not _EPOCH.fullmatch(found["epoch"]):
        raise Refused("a header is no name")
    if key is None or key != found["sensor"].encode():
        raise Refused("its key is not its sensor")
    if found["kind"] not in KINDS:
        raise Refused("its kind of record is not known")
    if any(not _NUMBER.fullmatch(found[name]) for name in _NUMBERS):
        raise Refused("a header is no number")
    n = {name: int(found[name]) for name in _NUMBERS}
    if max(n.values()) >= 1 << 63:
        raise Refused("a header is no number")
    if n["rows"] > MOST_ROWS or n["count"] > MOST_ROWS:
        raise Refused("it has too many rows")
    if n["rows"] not in (0, n["count"]) or n["segment"] < 1 or n["end"] > 1 or not (n["count"] or n["end"]):
        raise Refused("its headers contradict each other")
    return Headers(
        found["sensor"], found["epoch"], found["kind"], n["segment"], n["first"], n["count"], n["rows"], n["row"],
        n["clock"], bool(n["end"]), n["crc"],
    )  # fmt: skip


def unpack(said: Headers, value: bytes | None) -> Part:
    """Raises Refused."""
    if not value or len(value) > MOST_VALUE:
        raise Refused("its value is empty or too large")
    if isal_zlib.crc32(value) != said.crc:
        raise Refused("its checksum is wrong")
    try:
        size = zstandard.frame_content_size(value)
        if not 0 < size <= MOST_RAW:
            raise Refused("it is too large unpacked")
        raw = zstandard.ZstdDecompressor().decompress(value, max_output_size=size)
    except zstandard.ZstdError as error:
        raise Refused("it is not compressed with zstd") from error
    try:
        held, about = _read(raw, said)
    except (
        pa.ArrowException,
        ValueError,
        TypeError,
        KeyError,
        OSError,
        MemoryError,
        RecursionError,
    ) as error:
        if isinstance(error, Refused):
            raise
        raise Refused("its Arrow stream is damaged") from error
    sources = _sources(about.get("sources"))
    if any(one.source not in sources for one in held):
        raise Refused("its rows are of a source that it does not name")
    return Part(
        said.sensor, said.epoch, said.segment, said.first, said.count, said.end, said.row, said.clock, said.kind,
        tuple(held), sources, _events(about.get("events"), sources) if said.end else (),
    )  # fmt: skip


def _read(raw: bytes, said: Headers) -> tuple[list[Rows], Mapping[str, Any]]:
    held: list[Rows] = []
    rows = 0
    with pa.ipc.open_stream(pa.py_buffer(raw)) as reader:
        text = (reader.schema.metadata or {}).get(_KEY, b"")
        if not text or len(text) > MOST_ABOUT:
            raise Refused("it does not say what it is about")
        about = json.loads(text)
        if not isinstance(about, dict):
            raise Refused("it does not say what it is about")
        schema = KINDS[said.kind].schema if said.rows else pa.schema([])
        if not reader.schema.equals(schema):
            raise Refused("its columns are not those of its kind")
        for _ in range(MOST_BATCHES + 1):
            try:
                batch, custom = reader.read_next_batch_with_custom_metadata()
            except StopIteration:
                break
            rows += batch.num_rows
            if rows > said.rows:
                raise Refused("it has other rows than its headers say")
            held.append(_checked(batch, dict(custom or {})))
        else:
            raise Refused("it has too many batches")
    if rows != said.rows:
        raise Refused("it has other rows than its headers say")
    return [one for one in held if one.batch.num_rows], about


def _checked(batch: pa.RecordBatch, custom: Mapping[bytes, bytes]) -> Rows:
    batch.validate(full=True)
    for column, wanted in zip(batch.columns, batch.schema, strict=True):
        if not wanted.nullable and column.null_count:
            raise Refused("a column has nulls that may have none")
    source = custom.get(_SOURCE, b"").decode("ascii", "replace")
    if not _NAME.fullmatch(source):
        raise Refused("a batch does not name its source")
    promise = custom.get(_PROMISE)
    if promise is not None and not re.fullmatch(rb"-?[0-9]{1,18}|[0-9]{19}", promise):
        raise Refused("a batch promises no time")
    return Rows(
        source,
        batch.replace_schema_metadata(None),
        None if promise is None else min(int(promise), (1 << 63) - 1),
        _FORGEABLE in custom,
    )


def _sources(given: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(given, dict) or len(given) > MOST_SOURCES:
        raise Refused("its sources are not a list of names")
    for name, kinds in given.items():
        if not _NAME.fullmatch(name) or not isinstance(kinds, list) or len(kinds) > len(KINDS):
            raise Refused("its sources are not a list of names")
        if any(not isinstance(kind, str) or kind not in KINDS for kind in kinds):
            raise Refused("its sources are not a list of names")
    return {name: tuple(kinds) for name, kinds in given.items()}


def _events(given: Any, sources: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """Events of known types with known fields, of sources of the sensor; what else there is is left out."""
    if not isinstance(given, list) or len(given) > MOST_EVENTS:
        raise Refused("its events are not a list")
    return tuple(made for one in given if (made := _event(one, sources)) is not None)


def _event(one: Any, sources: Mapping[str, Any]) -> dict[str, Any] | None:
    if not isinstance(one, dict) or one.get("type") not in EVENTS:
        return None
    made: dict[str, Any] = {"type": one["type"]}
    for name in _WORDS:
        if isinstance(one.get(name), str):
            made[name] = one[name][:300]
    for name in _INTEGERS:
        number = one.get(name)
        if isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 1 << 62:
            made[name] = number
    about = made["type"]
    if about in ("heartbeat", "finished", "idle") and made.get("source") not in sources:
        return None
    return None if about == "heartbeat" and "time" not in made else made
