"""Zeek's logs, as text with headings or as JSON lines: http, dns and ssl give contacts, conn gives
flows, notice gives alerts.

Which log a file is, its heading says (``#path``), or ``_path``, or the fields that its lines have; one file may hold
several. Other logs of Zeek (x509, files, weird, ...) are recognised, and their lines are counted as not of use here.
Text logs may begin anew in the middle of a file, with other columns, as ``cat`` makes them.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from andon.observe.logs.options import Options
from andon.records.kinds import ALERT, CONTACT, FLOW

if TYPE_CHECKING:
    from andon.observe.jsonlines import Block, Skipped
    from andon.observe.logs import Lines

_HEADINGS: Final = (b"#separator ", b"#fields\t", b"#path\t", b"#set_separator\t")
_LOOK: Final = 20  # lines
_NOT_OURS: Final = re.compile(rb'"event_type"\s*:')  # Suricata's
_SPELLED: Final = ("id.orig_h", "id_orig_h")  # of the ends of a connection; else an object "id"
_ENDS: Final = ("orig_h", "orig_p", "resp_h", "resp_p")


def recognise(head: bytes, name: str) -> bool:
    """A heading of Zeek's among the first lines, or JSON lines with what its logs have."""
    lines = head.split(b"\n", _LOOK)[:_LOOK]
    if any(line.startswith(_HEADINGS) for line in lines):
        return not any(line.lower().startswith((b"#software:", b"#fields:")) for line in lines)
    first = next((line.strip() for line in lines if line.strip()), b"")
    if not first.startswith(b"{") or _NOT_OURS.search(first):
        return False
    spelled = any(mark in first for mark in (b'"id.orig_h"', b'"id_orig_h"', b'"id.resp_h"'))
    nested = b'"id"' in first and b'"orig_h"' in first
    other = b'"note"' in first and b'"actions"' in first
    other |= b'"_path"' in first or (b'"fuid"' in first or b'"certificate.version"' in first)
    return b'"ts"' in first and (spelled or nested or other)


def lines(head: bytes, options: Options, state: Mapping[str, Any] | None) -> Lines:
    if any(line.startswith(b"#") for line in head.split(b"\n", _LOOK)[:_LOOK]):
        return Text(state, options)
    return Json(head, state, options)


class Text:
    """Logs with headings."""

    source = "zeek"

    def __init__(self, state: Mapping[str, Any] | None, options: Options | None = None) -> None:
        from andon.observe.logs.zeek_records import FIELDS, Reader, paths_of
        from andon.observe.logs.zeek_scan import Heading

        self.kinds: tuple[str, ...] = (CONTACT, FLOW, ALERT)
        self._heading = Heading.of(state["heading"]) if state else Heading()
        self._line = int(state["line"]) if state else 1
        self._wanted = {log: paths_of(log) for log in FIELDS}
        self._reader = Reader(inside=options.inside if options is not None else ())

    def read(self, data: bytes, skipped: Skipped) -> Iterator[tuple[str, pa.RecordBatch]]:
        from andon.observe.logs.zeek_records import log_of
        from andon.observe.logs.zeek_scan import segments

        heading = self._heading
        for log, block in segments(data, heading, log_of, self._wanted, skipped, self._line):
            self._reader.has, self._reader.separator = heading.fields, heading.set_separator
            yield from self._reader.read(log, block, skipped)
        self._line += data.count(b"\n")

    def state(self) -> Mapping[str, Any]:
        return {"heading": self._heading.state(), "line": self._line}


class Json:
    """JSON lines; times as numbers of seconds or ISO 8601."""

    source = "zeek"

    def __init__(self, head: bytes, state: Mapping[str, Any] | None, options: Options | None = None) -> None:
        from andon.observe.jsonlines import Paths, Words
        from andon.observe.logs.zeek_records import FIELDS, MARKS, Reader

        self.kinds: tuple[str, ...] = (CONTACT, FLOW, ALERT)
        self._line = int(state["line"]) if state else 1
        self._spelled = str(state["spelled"]) if state else _spelling(head)
        self._bad = bool(state["bad"]) if state else False  # there were lines that are no JSON
        self._reader = Reader(self._name, inside=options.inside if options is not None else ())
        fields = dict.fromkeys(name for log in FIELDS.values() for name in log)
        fields.update(dict.fromkeys(field for _, field in MARKS))
        self._paths = Paths(["_path", *dict.fromkeys(self._name(field) for field in fields)])
        self._logs = Words(tuple(FIELDS))

    def _name(self, field: str) -> str:
        end = field.removeprefix("id.")
        return self._spelled + end if end in _ENDS else field.replace(".", "\\.")

    def read(self, data: bytes, skipped: Skipped) -> Iterator[tuple[str, pa.RecordBatch]]:
        from andon.observe.jsonlines import blocks

        first, self._line = self._line, self._line + data.count(b"\n")
        before = skipped.lines
        for block in blocks(io.BytesIO(data), self._paths, skipped, first):
            self._bad |= skipped.lines > before
            yield from self._records(block, skipped)
        self._bad |= skipped.lines > before

    def _records(self, block: Block, skipped: Skipped) -> Iterator[tuple[str, pa.RecordBatch]]:
        from andon.observe.logs.zeek_records import FIELDS, MARKS

        logs = list(FIELDS)
        said = block.codes("_path", self._logs)
        which = said.copy()
        for log, field in MARKS:
            is_log = (which < 0) & (block.kinds(self._name(field)) > 0)
            which[is_log] = logs.index(log) if log in FIELDS else len(logs)
        which[which < 0] = len(logs)
        skipped.leave("another log of Zeek: not of use here", int(np.sum(which == len(logs))))
        for number, log in enumerate(logs):
            rows = which == number
            if rows.any():
                part = block if rows.all() else block.of(rows)
                yield from self._reader.read(log, part, skipped)

    def state(self) -> Mapping[str, Any]:
        return {"line": self._line, "spelled": self._spelled, "bad": self._bad}


def _spelling(head: bytes) -> str:
    """How paths to the ends of a connection begin."""
    for spelled in _SPELLED:
        if f'"{spelled}"'.encode() in head:
            return spelled.removesuffix("orig_h").replace(".", "\\.")
    return "id." if b'"orig_h"' in head else "id\\."


def shows(where: Any, state: Mapping[str, Any]) -> tuple[str, str] | None:
    """See ``zeek_shows``."""
    from andon.observe.logs.zeek_shows import shows as made

    return made(where, state)
