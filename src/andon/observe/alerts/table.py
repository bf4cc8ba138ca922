"""The table of the AIT Alert Data Set (Landauer, Skopik, Wurzenberger, CSET 2024): CSV or Parquet, a row an alert.

Columns ``time`` (seconds since 1970), ``name`` ("Wazuh: IDS event."), ``ip`` and ``host`` of the machine, ``short`` (a
code of the rule whose first letter names the product), and where several networks are in one file ``scenario``, which
becomes ``site``. The labels that stand beside are the truth to score against: they are never read, and no line is kept
in ``raw``, since it holds them.

Parquet files with the columns of ``records.alert.ALERT`` are read as what they are.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from andon.observe.alerts.columns import Inside, Words, alerts, either, rewritten
from andon.observe.alerts.shape import SLOTS, Alerts, settled
from andon.observe.logs.clock import plan
from andon.observe.logs.heads import first_lines
from andon.observe.logs.options import Options
from andon.observe.logs.reading import Shape, TextLines
from andon.observe.logs.scan import DOUBLED, fields
from andon.records.alert import ALERT
from andon.records.kinds import ALERT as ALERT_KIND
from andon.records.kinds import marked

if TYPE_CHECKING:
    from andon.observe.jsonlines import Skipped
    from andon.observe.logs import Lines

SOURCE: Final = "ait-ads"
_NEEDED: Final = frozenset({"time", "name", "host", "short"})
_MARKS: Final = frozenset({"time_label", "event_label", "ip"})  # one of these besides
_SLOTS: Final = {
    "time": "time",
    "name": "title",
    "ip": "address",
    "host": "host",
    "short": "rule",
    "scenario": "site",
}
_PRODUCTS: Final = {"W": "wazuh", "S": "suricata", "A": "aminer"}
_ROWS: Final = 65_536
_FAR: Final = 1 << 62
NO_TIME_READ: Final = "no valid time"


def recognise(head: bytes, name: str) -> bool:
    """A heading or a Parquet schema with the columns of the table."""
    if head[:4] == b"PAR1":
        return _is_table(_names(name)) or _is_ours(_names(name))
    return not head.startswith((b"{", b"[", b"#")) and _is_table(_heading(head))


def is_parquet(head: bytes) -> bool:
    return head[:4] == b"PAR1"


def _heading(head: bytes) -> list[str]:
    some = first_lines(head.removeprefix(b"\xef\xbb\xbf"), 1)
    if not some or b"," not in some[0]:
        return []
    try:
        return [cell.strip() for cell in next(csv.reader([some[0].decode("utf-8", "replace")]), [])]
    except csv.Error:
        return []


def _names(path: str) -> list[str]:
    try:
        return list(pq.read_schema(path).names)
    except (OSError, ValueError, pa.ArrowException):
        return []


def _is_table(names: list[str]) -> bool:
    return set(names) >= _NEEDED and bool(_MARKS & set(names))


def _is_ours(names: list[str]) -> bool:
    return set(names) >= set(ALERT.names)


class Table(TextLines):
    """Lines of the CSV file."""

    source = SOURCE
    kinds: tuple[str, ...] = (ALERT_KIND,)

    def __init__(self, head: bytes, options: Options, state: Mapping[str, Any] | None = None) -> None:
        super().__init__(state)
        self._columns = [str(name) for name in (state or {}).get("columns", [])] or _heading(head)
        wanted = {column: SLOTS.index(slot) for column, slot in _SLOTS.items()}
        self._slots = np.array([wanted.get(name, -1) for name in self._columns], np.int32)
        written = np.full(len(SLOTS), DOUBLED, np.uint8)
        clocks = plan("epoch"), plan("epoch")
        self._made = Alerts(
            SOURCE,
            clocks,
            written,
            Inside(options.inside),
            keep=False,
            change=_products,
            line=lambda: self.line,
        )

    def state(self) -> dict[str, Any]:
        return {**super().state(), "columns": self._columns}

    def read(self, data: bytes, skipped: Skipped) -> Iterator[tuple[str, pa.RecordBatch]]:
        """See ``observe.logs.Lines``."""
        if self.line == 1:
            first, _, rest = data.partition(b"\n")
            if _is_table(_heading(first)):
                self.line, self.comments = 2, self.comments + 1
                data = rest
        yield from super().read(data, skipped)

    def _shape(self) -> Shape:
        return self._made

    def _cut(
        self, data: np.ndarray, lines: np.ndarray, stops: np.ndarray, states: np.ndarray,
        begins: np.ndarray, ends: np.ndarray, kinds: np.ndarray,
    ) -> None:  # fmt: skip
        count = len(self._columns)
        fields(data, lines, stops, states, ord(","), self._slots, count, count, begins, ends, kinds)


def _products(columns: dict[str, Any]) -> None:
    """The product out of the code of the rule or the beginning of its name, which is taken off."""
    rows = len(columns["ts"])
    title: Words = columns.get("title") or pa.array([""] * rows).dictionary_encode()
    rule: Words = columns.get("rule") or title
    by_code = rewritten(rule, lambda word: _PRODUCTS.get(word[:1], "") if word[1:2] == "-" else "")
    by_name = rewritten(title, lambda word: word.partition(":")[0] if ": " in word else "other")
    columns["product"] = either(by_code, by_name)
    columns["title"] = rewritten(title, _without_product)


def _without_product(name: str) -> str:
    head, _, rest = name.partition(": ")
    return rest.removeprefix("Alert - ") if head.lower() in _PRODUCTS.values() and rest else name


def lines(head: bytes, options: Options, state: Mapping[str, Any] | None) -> Lines:
    """See ``observe.alerts``."""
    return Table(head, options, state)


def parquet(path: str | Path, options: Options, skipped: Skipped) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Alerts of a Parquet file. Raises OSError, ValueError."""
    names = _names(str(path))
    inside, at = Inside(options.inside), 0
    ours = _is_ours(names)
    if not ours and not _is_table(names):
        raise ValueError(f"{path}: not a table of alerts (docs/alerts.md)")
    wanted = list(ALERT.names) if ours else [name for name in names if name in _SLOTS]
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_ROWS, columns=wanted):
                made = _own(batch) if ours else _row(batch, inside, at, skipped)
                at += batch.num_rows
                if made is not None and made.num_rows:
                    yield ALERT_KIND, made
    except pa.ArrowException as error:
        raise ValueError(f"{path}: {error}") from error


def _own(batch: pa.RecordBatch) -> pa.RecordBatch:
    columns = [_cast(batch.column(field.name), field.type) for field in ALERT]
    if any(column.null_count for column in columns):
        raise ValueError("a table of alerts has no empty cells")
    return marked(pa.RecordBatch.from_arrays(columns, schema=ALERT), ALERT_KIND)


def _cast(column: pa.Array, kind: Any) -> pa.Array:
    if pa.types.is_dictionary(kind):
        return _words(column)
    return column.cast(kind)


def _words(column: pa.Array) -> Words:
    """A column of texts, whatever it is stored as; nulls are empty."""
    texts = column.cast(pa.string()).fill_null("")
    made = texts.dictionary_encode()
    return pa.DictionaryArray.from_arrays(made.indices.cast(pa.int32()), made.dictionary)


def _row(batch: pa.RecordBatch, inside: Inside, at: int, skipped: Skipped) -> pa.RecordBatch | None:
    times = _ns(batch.column("time"))
    good = np.abs(times) < _FAR
    if not good.all():
        skipped.add(at + 1 + int(np.argmin(good)), NO_TIME_READ, int((~good).sum()))
        batch, times = batch.filter(pa.array(good)), times[good]
    if not len(times):
        return None
    columns: dict[str, Any] = {"ts": times}
    for name, slot in _SLOTS.items():
        if name != "time" and name in batch.schema.names:
            columns[slot] = _words(batch.column(name))
    _products(columns)
    settled(columns)
    return alerts(len(times), SOURCE, columns, inside, at + np.flatnonzero(good))[1]


def _ns(column: pa.Array) -> np.ndarray:
    """int64 ns of seconds since 1970 as numbers, or of timestamps; beyond ``_FAR`` where there is none."""
    if pa.types.is_timestamp(column.type):
        return np.asarray(column.cast(pa.timestamp("ns")).view(pa.int64()).fill_null(_FAR))
    seconds = pc.cast(column, pa.float64(), safe=False)
    if pa.types.is_integer(column.type):
        whole = np.asarray(pc.cast(column, pa.int64(), safe=False).fill_null(0))
        bad = np.asarray(pc.or_(pc.is_null(column), pc.greater(pc.abs(seconds), 4e9).fill_null(True)))
        return np.where(bad, _FAR, np.where(bad, 0, whole) * 1_000_000_000)
    floats = np.asarray(seconds.fill_null(np.nan))
    good = np.abs(floats) < 4e9
    return np.where(good, np.rint(np.where(good, floats, 0) * 1e9), _FAR).astype(np.int64)
