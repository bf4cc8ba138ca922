"""Messages of any format, one after another, as listeners get them: each is looked at by itself.

A message is CEF or LEEF, or a document, perhaps behind the heading of a syslog message (``<13>1 ... {"rule": ...}``).
Documents are told apart by the members that they have, a block of them at once. What a shipper wraps is unwrapped:
``_source`` (a hit), ``event`` (Splunk's collector), ``message``, ``log`` and the like (a line as text). Messages of one
format go together to the reader of that format; ``position`` is that of the message.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from andon.observe.alerts.cef import Carried
from andon.observe.alerts.documents import Documents, Laid
from andon.observe.jsonlines import Block, Paths, Skipped, blocks
from andon.observe.jsonlines.kernel import ABSENT, ESCAPED, RAW, TEXT
from andon.observe.logs.options import Options
from andon.records.kinds import ALERT, CONTACT, FLOW

if TYPE_CHECKING:
    from andon.observe.logs import Lines

NO_ALERT: Final = "messages of no known format"
ACTIONS: Final = "lines of a bulk request that say what to do"
LONGEST: Final = 1 << 20
_CARRIED: Final = re.compile(rb"(?:^|[^A-Za-z0-9_.-])(?:CEF:\d|LEEF:[12])")
_ROUNDS: Final = 3  # wrappings
# Members by which a document is known; the order matters. All of a group must be there. None lies inside of another
# that is wanted: the scanner notes an object only where nothing in it is wanted.
_MARKS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("eve", ("event_type", "timestamp")),
    ("wazuh", ("rule.level", "rule.id")),
    ("aminer", ("AnalysisComponent",)),
    ("ocsf", ("class_uid",)),
    ("zircolite", ("matches", "rule_level")),
    ("sigma", ("RuleTitle", "Timestamp")),
    ("sigma", ("name", "document")),
    ("zeek", ("ts", "note")),
    ("ecs", ("kibana\\.alert\\.rule\\.name",)),
    ("ecs", ("kibana.alert",)),
    ("ecs", ("kibana\\.alert\\.rule\\.rule_id",)),
    ("ecs", ("signal.rule",)),
    ("ecs", ("@timestamp", "rule.name")),
    ("ecs", ("@timestamp", "rule.id")),
    ("ecs", ("@timestamp", "rule\\.name")),
    ("ecs", ("@timestamp", "event")),
    ("ecs", ("@timestamp", "event\\.kind")),
)
_LINES: Final = (
    "message",
    "log",
    "MESSAGE",
    "msg",
    "_raw",
    "raw",
    "line",
    "event",
)  # texts that may be a line
_OBJECTS: Final = ("_source", "event", "result", "fields", "log", "message")  # documents inside
_ACTIONS: Final = ("index", "create", "update", "delete")
_PATHS: Final = Paths(
    list(dict.fromkeys([
        *(path for _, group in _MARKS for path in group), *_LINES, *_OBJECTS, *_ACTIONS,
    ]))
)  # fmt: skip


class Mixed:
    """A reader of messages (``observe.logs.Lines``). ``clock``: ns, for dates without a year."""

    source = "mixed"
    kinds: tuple[str, ...] = (ALERT, CONTACT, FLOW)

    def __init__(
        self, options: Options, clock: Callable[[], int], state: Mapping[str, Any] | None = None
    ) -> None:
        self._options, self._clock = options, clock
        self._next = int((state or {}).get("next", 0))
        self._readers: dict[str, Lines] = {}

    def state(self) -> Mapping[str, Any]:
        return {"next": self._next}

    def read(self, data: bytes, skipped: Skipped) -> Iterator[tuple[str, pa.RecordBatch]]:
        yield from self.messages(data.split(b"\n"), skipped)

    def messages(self, given: Sequence[bytes], skipped: Skipped) -> Iterator[tuple[str, pa.RecordBatch]]:
        """(kind, records) of messages without line feeds in them."""
        first, self._next = self._next, self._next + len(given)
        numbered = [(first + n, message) for n, message in enumerate(given)]
        for depth in range(_ROUNDS):
            groups: dict[str, list[tuple[int, bytes]]] = {}
            inner = self._sorted(numbered, groups, skipped, depth)
            for name, group in groups.items():
                yield from self._read(name, group, skipped)
            numbered = inner
            if not numbered:
                return
        skipped.leave(NO_ALERT, len(numbered))

    def _sorted(
        self, numbered: Sequence[tuple[int, bytes]], groups: dict[str, list[tuple[int, bytes]]], skipped: Skipped,
        depth: int,
    ) -> list[tuple[int, bytes]]:  # fmt: skip
        """Messages into ``groups`` by their format; gives those that were unwrapped, to be sorted once more."""
        documents = []
        for number, message in numbered:
            message = message.strip(b" \t\r\0\n")
            if not message:
                continue
            if len(message) > LONGEST:
                skipped.add(number + 1, "message longer than 1 MiB")
                continue
            start = message.find(b"{", 0, 1024)
            if start == 0 or (start > 0 and message.endswith(b"}") and not _CARRIED.search(message[:start])):
                documents.append((number, message[start:]))
            elif _CARRIED.search(message[:1100]):
                groups.setdefault("cef", []).append((number, message))
            else:
                skipped.leave(NO_ALERT)
        inner: list[tuple[int, bytes]] = []
        if documents:
            data = b"\n".join(message for _, message in documents) + b"\n"
            for block in blocks(io.BytesIO(data), _PATHS, skipped):
                self._documents(block, documents, groups, inner, skipped)
        return inner

    def _documents(
        self, block: Block, documents: Sequence[tuple[int, bytes]], groups: dict[str, list[tuple[int, bytes]]],
        inner: list[tuple[int, bytes]], skipped: Skipped,
    ) -> None:  # fmt: skip
        which = (block.line - 1).tolist()
        left = np.ones(len(block), np.bool_)
        for name, group in _MARKS:
            rows = left.copy()
            for path in group:
                rows &= block.kinds(path) != ABSENT
            if rows.any():
                left &= ~rows
                groups.setdefault(name, []).extend(documents[which[row]] for row in np.flatnonzero(rows))
        for row in np.flatnonzero(left).tolist():
            number, message = documents[which[row]]
            found = _unwrapped(block, row, message)
            if found is not None:
                inner.append((number, found))
            elif any(block.kinds(action)[row] == RAW for action in _ACTIONS):
                skipped.leave(ACTIONS)
            else:
                skipped.leave(NO_ALERT)

    def _read(
        self, name: str, group: Sequence[tuple[int, bytes]], skipped: Skipped
    ) -> Iterator[tuple[str, pa.RecordBatch]]:
        numbers = np.array([number for number, _ in group])
        data = b"\n".join(message for _, message in group) + b"\n"
        for kind, batch in self._reader(name, data).read(data, skipped):
            if kind == ALERT:
                at = batch.schema.get_field_index("position")
                inside = np.minimum(np.asarray(batch.column(at)), len(numbers) - 1)
                batch = batch.set_column(at, batch.schema.field(at), pa.array(numbers[inside], pa.int64()))
            yield kind, batch

    def _reader(self, name: str, data: bytes) -> Lines:
        """A reader that begins to count anew."""
        if name == "cef":
            made = Carried(self._options)
            made.reference = self._clock()
            return made
        if name == "eve":
            from andon.observe.logs.eve import Events

            held = self._readers.get(name)  # which events count depends on those before
            self._readers[name] = made_of_events = Events(
                {**held.state(), "line": 1} if held else None, self._options
            )
            return made_of_events
        if name == "zeek":
            from andon.observe.logs.zeek import Json

            return Json(data[:4096], None, self._options)
        return Documents(Laid(name, "", -1), self._options)


def _unwrapped(block: Block, row: int, message: bytes) -> bytes | None:
    """What is inside of a document that is none itself."""
    for path in _OBJECTS:
        if block.kinds(path)[row] == RAW:
            data, begins, ends, _ = block.places(path)
            text = data[begins[row] : ends[row]].tobytes()
            if text.startswith(b"{"):
                return bytes(text)
    for path in _LINES:
        if block.kinds(path)[row] in (TEXT, ESCAPED):
            made = block.json(path, np.array([row]))[0]
            text = b"" if made is None else str(made).encode("utf-8", "replace").replace(b"\n", b" ")
            if b"{" in text or _CARRIED.search(text):
                return text
    return None


def items(message: bytes) -> str | None:
    """The action that a line of a bulk request asks for; None if it is a document."""
    if len(message) > 4096:
        return None
    try:
        made = json.loads(message)
    except (ValueError, RecursionError):
        return None
    if isinstance(made, dict) and len(made) == 1:
        name, value = next(iter(made.items()))
        if name in _ACTIONS and isinstance(value, dict):
            return str(name)
    return None
