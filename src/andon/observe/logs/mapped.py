"""The reader of lines that a mapping describes (``mapping``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from andon.observe.jsonlines import Paths
from andon.observe.jsonlines import kernel as json
from andon.observe.logs import contacts, encode, flows
from andon.observe.logs.clock import plan
from andon.observe.logs.heads import first_lines
from andon.observe.logs.mapping import LogMap
from andon.observe.logs.reading import Shape, TextLines
from andon.observe.logs.scan import BACKSLASH, DOUBLED, GOOD, JSON, UNFIT, fields, pairs
from andon.records.kinds import ALERT

if TYPE_CHECKING:
    from andon.observe.jsonlines import Skipped

_WRITTEN: Final = {"csv": DOUBLED, "pairs": BACKSLASH, "json": JSON}
_MANY: Final = 1 << 20


def header_of(head: bytes) -> bytes:
    """The first line of a file, which names its fields."""
    some = first_lines(head.removeprefix(b"\xef\xbb\xbf"), 1)
    return some[0] if some else b""


def named(line: bytes, separator: str) -> list[str]:
    """Names in the header of a CSV file.

    >>> named(b'"a b",c', ",")
    ['a b', 'c']
    """
    import csv

    text = line.decode("utf-8", "backslashreplace")
    try:
        row = next(csv.reader([text], delimiter=separator), [])
    except csv.Error:
        return []
    return [name.strip() for name in row][:1024]


class MappedLines(TextLines):
    """``head``: the beginning of the file, for the names of its fields. Raises ValueError where they are not there."""

    def __init__(
        self, mapping: LogMap, head: bytes, state: Mapping[str, Any] | None = None, inside: Sequence[str] = ()
    ) -> None:
        super().__init__(state)
        self.mapping, self.source, self.kinds = mapping, mapping.source, (mapping.kind,)
        self._header = b""
        self._columns: list[str] = []
        slots = _slots(mapping.kind)
        self._prefixes = tuple(inside)
        self._slot = {field: slots.index(slot) for slot, field in mapping.fields.items()}
        if mapping.format == "csv":
            self._columns = self._named(head, state)
            self._slots = np.array([self._slot.get(name, -1) for name in self._columns], np.int32)
        elif mapping.format == "pairs":
            keys = [field.encode() for field in self._slot]
            self._keys = np.frombuffer(b"".join(keys) + b"\0", np.uint8).copy()
            self._offsets = np.cumsum([0, *map(len, keys)]).astype(np.int32)
            self._slots = np.array(list(self._slot.values()), np.int32)
        else:
            self._paths = Paths(list(self._slot))
            self._slots = np.array(list(self._slot.values()), np.int64)
        self._made = self._shaped(len(slots))

    def _named(self, head: bytes, state: Mapping[str, Any] | None) -> list[str]:
        if not self.mapping.header:
            return [str(number) for number in range(1, max(map(int, self._slot)) + 1)]
        if state is not None and state.get("columns"):
            columns = [str(name) for name in state["columns"]]
        else:
            self._header = header_of(head)
            columns = named(self._header, self.mapping.separator)
        if missing := [field for field in self._slot if field not in columns]:
            raise ValueError(f"the header of the log has no field {missing[0]!r}")
        return columns

    def state(self) -> dict[str, Any]:
        return {**super().state(), "columns": self._columns}

    def read(self, data: bytes, skipped: Skipped) -> Iterator[tuple[str, pa.RecordBatch]]:
        """See ``observe.logs.Lines``."""
        if self.line == 1 and self._header:
            first, _, rest = data.partition(b"\n")
            if first.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r") == self._header:
                self.line, self.comments = 2, self.comments + 1
                data = rest
        for kind, batch in super().read(data, skipped):
            yield kind, batch if kind == ALERT else self._given(batch)

    def _shape(self) -> Shape:
        return self._made

    def _shaped(self, slots: int) -> Shape:
        mapping = self.mapping
        clocks = [plan(mapping.clocks[0], mapping.zone), plan((*mapping.clocks, "epoch")[1])]
        written = np.full(slots, _WRITTEN[mapping.format], np.uint8)
        has = frozenset(mapping.fields)
        if mapping.kind == ALERT:
            from andon.observe.alerts.columns import Inside
            from andon.observe.alerts.shape import Alerts

            return Alerts(
                mapping.source, (clocks[0], clocks[1]), written, Inside(self._prefixes), mapping.values, mapping.maps,
                line=lambda: self.line,
            )  # fmt: skip
        if mapping.kind == "flow":
            return flows.Flows(
                mapping.source, has, (clocks[0], clocks[1]), written, mapping.unit, mapping.at_end
            )
        return contacts.Contacts(
            mapping.source, has, (clocks[0], clocks[1]), written, (mapping.unit, mapping.unit), mapping.at_end,
            refusals=mapping.refusals,
        )  # fmt: skip

    def _given(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch with words that the mapping gives or replaces."""
        for name, text in self.mapping.values.items():
            batch = _with(batch, name, encode.constant(text, batch.num_rows))
        for name, words in self.mapping.maps.items():
            column = batch.column(name)
            texts = [words.get(word, word) for word in column.dictionary.to_pylist()]
            batch = _with(batch, name, flows.joined(column, texts))
        return batch

    def _cut(
        self, data: np.ndarray, lines: np.ndarray, stops: np.ndarray, states: np.ndarray,
        begins: np.ndarray, ends: np.ndarray, kinds: np.ndarray,
    ) -> None:  # fmt: skip
        mapping = self.mapping
        separator = ord(mapping.separator)
        if mapping.format == "csv":
            count = len(self._columns)
            most = count if mapping.header else _MANY
            fields(data, lines, stops, states, separator, self._slots, count, most, begins, ends, kinds)
        elif mapping.format == "pairs":
            pairs(
                data, lines, stops, states, separator, self._keys, self._offsets, self._slots, begins, ends, kinds
            )  # fmt: skip
        else:
            self._cut_json(data, lines, stops, states, begins, ends, kinds)

    def _cut_json(
        self, data: np.ndarray, lines: np.ndarray, stops: np.ndarray, states: np.ndarray,
        begins: np.ndarray, ends: np.ndarray, kinds: np.ndarray,
    ) -> None:  # fmt: skip
        stop = int(stops[-1])
        while data[stop] != 0x0A:  # carriage returns
            stop += 1
        rows, paths = len(lines), self._paths
        shape = (rows, len(paths))
        first, last = np.empty(shape, np.int32), np.empty(shape, np.int32)
        what, good = np.zeros(shape, np.uint8), np.empty(rows, np.uint8)
        at, numbers = np.empty(rows, np.int64), np.empty(rows, np.int64)
        found, _, _ = json.scan(
            data, int(lines[0]), stop + 1, paths.hashes, paths.slots, paths.columns, paths.inner, first, last,
            what, at, numbers, good, 1,
        )  # fmt: skip
        # Blank lines have no row there; a row's number says which line it is.
        row = numbers[:found] - 1
        broken = np.ones(rows, np.bool_)
        broken[row] = good[:found] != json.GOOD
        states[broken & (states == GOOD)] = UNFIT
        first, last, what = first[:found], last[:found], what[:found]
        null = (
            (what == json.WORD) & (last - first == 4) & (data[np.where(what == json.WORD, first, 0)] == 0x6E)
        )
        plain = np.where(null, json.ABSENT, np.where(what > json.ESCAPED, json.TEXT, what))
        where = row[:, None], self._slots[None, :]
        begins[where], ends[where], kinds[where] = first, last, plain


def _slots(kind: str) -> tuple[str, ...]:
    if kind == ALERT:
        from andon.observe.alerts.shape import SLOTS

        return SLOTS
    return contacts.SLOTS if kind == "contact" else flows.SLOTS


def _with(batch: pa.RecordBatch, name: str, column: pa.Array) -> pa.RecordBatch:
    position = batch.schema.get_field_index(name)
    return batch.set_column(position, batch.schema.field(position), column)
