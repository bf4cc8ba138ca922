"""Tables of darknet sources (``records.sighting.SIGHTING``): what operators of telescopes give one another.

Parquet, or CSV with a heading, plain or compressed. Columns by name, in any order; others are passed over:

* ``ts`` or ``first``, and ``last`` (else the same): a time, seconds (milliseconds, ...) since 1970, ISO 8601 text;
* ``src``: an IPv4 address as text or as a number;
* ``dst_port``; ``protocol`` (number); ``fingerprint`` (text); ``packets``: 0, 0, "" and 1 where they are not.

Rows without a time or an IPv4 source, or with a port that cannot be, are counted as skipped.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from andon.observe.compressed import Broken, compression, decompressor
from andon.records.sighting import SIGHTING

if TYPE_CHECKING:
    from andon.observe.jsonlines import Skipped

_ROWS: Final = 65_536
_BLOCK: Final = 4 << 20
_NO_TIME: Final = np.iinfo(np.int64).min
_LAST: Final = 9_200_000_000_000_000_000  # ns, in 2261
_TIMES, _OTHERS = ("ts", "first"), ("last", "src", "dst_port", "protocol", "fingerprint", "packets")
NO_TIME_READ: Final = "no time"
NO_SOURCE: Final = "no IPv4 source"
NO_PORT: Final = "no port"
NO_COUNT: Final = "packets is no whole number from 1"
NO_ROW: Final = "another number of cells than the heading"
NO_PROTOCOL: Final = "protocol is no number below 256"


class NoTable(ValueError):
    """Not a table of darknet sources."""


def recognise(head: bytes, name: str) -> bool:
    """Is it a Parquet or CSV file with the columns of such a table?"""
    try:
        names = _parquet_names(name) if head[:4] == b"PAR1" else _heading(head)
    except (OSError, pa.ArrowException):
        return False
    return _chosen(names) is not None


def sightings(path: str | Path, skipped: Skipped) -> Iterator[pa.RecordBatch]:
    """Batches of ``SIGHTING`` in the order of the file. Raises NoTable, OSError."""
    with Path(path).open("rb") as raw:
        if raw.peek(4)[:4] == b"PAR1":
            yield from _of_parquet(path, skipped)
            return
        kind = compression(raw.peek(4)[:4])
        text = io.BufferedReader(_Text(decompressor(raw, kind) if kind else raw, skipped), _BLOCK)
        yield from _of_csv(text, path, skipped)


def _chosen(names: Sequence[str]) -> dict[str, str] | None:
    """Column of the table -> its name in the file; None if one that must be there is not."""
    there = {name.strip().lower(): name for name in names}
    first = next((there[name] for name in _TIMES if name in there), None)
    if first is None or "src" not in there or "dst_port" not in there:
        return None
    return {"first": first} | {name: there[name] for name in _OTHERS if name in there}


def _parquet_names(name: str | Path) -> list[str]:
    return [str(one) for one in pq.read_schema(name).names]


def _heading(head: bytes) -> list[str]:
    line = head.split(b"\n", 1)[0]
    if b"," not in line or b"\0" in line or len(line) > 4096:
        return []
    return next(csv.reader([line.decode("utf-8-sig", "replace").strip("\r")]), [])


def _of_parquet(path: str | Path, skipped: Skipped) -> Iterator[pa.RecordBatch]:
    try:
        with pq.ParquetFile(path) as file:
            chosen = _chosen(_parquet_names(path))
            if chosen is None:
                raise NoTable(f"{path}: a table of darknet sources has ts (or first), src and dst_port")
            row = 1
            for batch in file.iter_batches(_ROWS, columns=[*dict.fromkeys(chosen.values())]):
                columns = {
                    name: batch.column(batch.schema.get_field_index(at)) for name, at in chosen.items()
                }
                yield from _made(columns, row, skipped)
                row += batch.num_rows
    except pa.ArrowException as error:
        raise NoTable(f"{path}: {error}") from error


def _of_csv(text: Any, path: str | Path, skipped: Skipped) -> Iterator[pa.RecordBatch]:
    from pyarrow import csv as arrow_csv

    line = text.readline(8192)
    names = _heading(line)
    chosen = _chosen(names)
    if chosen is None:
        raise NoTable(f"{path}: a table of darknet sources has ts (or first), src and dst_port")

    def uneven(row: Any) -> str:
        skipped.add(int(row.number or 0), NO_ROW)
        return "skip"

    reader = arrow_csv.open_csv(
        pa.PythonFile(text, "r"),
        read_options=arrow_csv.ReadOptions(column_names=names, block_size=_BLOCK, use_threads=False),
        parse_options=arrow_csv.ParseOptions(invalid_row_handler=uneven),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(chosen.values(), pa.string()),
            include_columns=[*dict.fromkeys(chosen.values())], strings_can_be_null=False,
        ),
    )  # fmt: skip
    row = 2
    try:
        for batch in reader:
            columns = {name: batch.column(batch.schema.get_field_index(at)) for name, at in chosen.items()}
            yield from _made(columns, row, skipped)
            row += batch.num_rows
    except pa.ArrowException as error:
        skipped.add(row, f"reading stopped: {error}")


def _made(columns: dict[str, Any], row: int, skipped: Skipped) -> Iterator[pa.RecordBatch]:
    """Rows of the table; ``row``: number of the first in the file."""
    count = len(columns["first"])
    if not count:
        return
    first = _times(columns["first"])
    last = _times(columns["last"]) if "last" in columns else first
    last = np.where(last == _NO_TIME, first, np.maximum(first, last))
    src = _addresses(columns["src"])
    port = _numbers(columns["dst_port"], 0)
    protocol = _numbers(columns["protocol"], 0) if "protocol" in columns else np.zeros(count, np.int64)
    packets = _numbers(columns["packets"], 1) if "packets" in columns else np.ones(count, np.int64)
    good = np.ones(count, np.bool_)
    for reason, wrong in (
        (NO_TIME_READ, first == _NO_TIME),
        (NO_SOURCE, src < 0),
        (NO_PORT, (port < 0) | (port > 0xFFFF)),
        (NO_PROTOCOL, (protocol < 0) | (protocol > 0xFF)),
        (NO_COUNT, packets < 1),
    ):
        if (wrong & good).any():
            rows = np.flatnonzero(wrong & good)
            skipped.add(row + int(rows[0]), reason, len(rows))
            good &= ~wrong
    mark = _texts(columns["fingerprint"]) if "fingerprint" in columns else pa.array([""] * count)
    made = [
        pa.array(first[good]).cast(SIGHTING.field("first").type),
        pa.array(last[good]).cast(SIGHTING.field("last").type),
        pa.array(src[good].astype(np.uint32)), pa.array(port[good].astype(np.uint16)),
        pa.array(protocol[good].astype(np.uint8)),
        mark if good.all() else mark.filter(pa.array(good)), pa.array(packets[good]),
    ]  # fmt: skip
    if good.any():
        yield pa.RecordBatch.from_arrays(made, schema=SIGHTING)


def _texts(values: Any) -> pa.StringArray:
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    return pc.fill_null(values.cast(pa.string()), "")


def _numbers(values: Any, missing: int) -> np.ndarray:
    """int64; ``missing`` where there is nothing, -1 where there is something else than a whole number."""
    if pa.types.is_integer(values.type):
        numbers = pc.fill_null(values.cast(pa.int64(), safe=False), missing)
        return np.asarray(numbers.to_numpy(zero_copy_only=False), np.int64)
    if pa.types.is_floating(values.type):
        held = np.asarray(values.cast(pa.float64()).to_numpy(zero_copy_only=False))
        whole = np.where(np.abs(held) < 2.0**53, held, -1.0)
        whole = np.where(np.isnan(held), missing, np.where(whole == np.floor(whole), whole, -1.0))
        return whole.astype(np.int64)
    data, begins, ends, kinds = _places(_texts(values))
    from andon.observe.jsonlines import values as kernels

    found: np.ndarray = kernels.integers(data, begins, ends, kinds, -1)
    return np.where(ends == begins, missing, found)


def _addresses(values: Any) -> np.ndarray:
    """int64: IPv4 addresses, -1 where there is none."""
    if pa.types.is_integer(values.type):
        numbers = _numbers(values, -1)
        return np.where((numbers < 0) | (numbers > 0xFFFFFFFF), -1, numbers)
    if pa.types.is_floating(values.type):
        return np.full(len(values), -1, np.int64)
    from andon.observe.jsonlines import values as kernels

    data, begins, ends, kinds = _places(_texts(values))
    found: np.ndarray = kernels.addresses(data, begins, ends, kinds)
    numbers = kernels.integers(data, begins, ends, kinds, -1)  # CSV has no types
    return np.where(found >= 0, found, np.where(numbers <= 0xFFFFFFFF, numbers, -1))


def _times(values: Any) -> np.ndarray:
    """int64 ns since 1970; ``_NO_TIME`` where there is none."""
    if pa.types.is_timestamp(values.type):
        if values.type.tz is None:
            values = values.cast(pa.timestamp(values.type.unit, tz="UTC"))
        made = pc.cast(values, pa.timestamp("ns", tz="UTC"), safe=False).cast(pa.int64())
        return np.asarray(pc.fill_null(made, _NO_TIME).to_numpy(zero_copy_only=False))
    if pa.types.is_integer(values.type):
        numbers = _numbers(values, -1)
        scale = 1_000_000_000 // 1000 ** np.searchsorted([10**11, 10**14, 10**17], numbers, side="right")
        good = (numbers >= 0) & (numbers <= _LAST // scale)
        return np.where(good, np.where(good, numbers, 0) * scale, _NO_TIME)
    if pa.types.is_floating(values.type):
        held = np.nan_to_num(values.cast(pa.float64()).to_numpy(zero_copy_only=False), nan=-1.0)
        held = np.where(held >= 1e11, held / 1e3, held)
        good = (held >= 0) & (held < _LAST / 1e9)
        # A double holds such times to about a quarter of a microsecond.
        return np.where(good, np.rint(np.where(good, held, 0) * 1e6).astype(np.int64) * 1000, _NO_TIME)
    from andon.observe.jsonlines import values as kernels

    found: np.ndarray = kernels.times(*_places(_texts(values)))
    return found


def _places(texts: pa.StringArray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The texts as the kernels of ``jsonlines`` want them: bytes, where each begins and ends, what it is."""
    from andon.observe.jsonlines.kernel import TEXT

    texts = pc.utf8_trim_whitespace(texts)
    buffers = texts.buffers()
    offsets = np.frombuffer(buffers[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
    data = np.frombuffer(buffers[2] if buffers[2] is not None and buffers[2].size else b"\0", np.uint8)
    # Strided as a column of a block is, so that the same compiled kernels serve.
    places, kinds = np.empty((len(texts), 2), np.int32), np.full((len(texts), 2), TEXT, np.uint8)
    ends = np.empty((len(texts), 2), np.int32)
    places[:, 0], ends[:, 0] = offsets[:-1], offsets[1:]
    return data, places[:, 0], ends[:, 0], kinds[:, 0]


class _Text(io.RawIOBase):
    """Bytes that are UTF-8 for sure: what is not is replaced. Where compression breaks the text ends, and that is
    counted."""

    def __init__(self, stream: Any, skipped: Skipped) -> None:
        import codecs

        self._stream, self._skipped = stream, skipped
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._left = b""
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, view: Any) -> int:
        room = bytearray(max(len(view), 1 << 16))
        while not self._left and not self._ended:
            try:
                got = self._stream.readinto(memoryview(room)) or 0
            except Broken as error:
                self._skipped.add(0, str(error))
                got = 0
            self._ended = got == 0
            text = self._decoder.decode(bytes(room[:got]), final=self._ended)
            self._left = text.encode()
        count = min(len(view), len(self._left))
        view[:count] = self._left[:count]
        self._left = self._left[count:]
        return count
