"""The summary of ``livenet.redirects``: the contacts that may be hops, in one order, in bounded memory.

A hop is a page, a redirection, a download or a tunnel; pictures, styles, fonts and scripts are none and are left out
by their type (by the ending of the path where the log has no types). When more than ``most`` are kept, terminals are
sampled as a whole by a keyed hash (as ``sketch.rows`` samples keys), so the chains of those that stay are whole."""

from __future__ import annotations

from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.sketch.hashing import mix64_array
from andon.sketch.state import StateError, pack, unpack
from andon.sketch.texts import text_keys

_FIELDS: list[pa.Field[Any]] = [
    pa.field("terminal", pa.string()),
    pa.field("ts", pa.int64()),
    pa.field("host", pa.string()),
    pa.field("path", pa.string()),
    pa.field("port", pa.int32()),
    pa.field("tunnel", pa.bool_()),
    pa.field("method", pa.string()),
    pa.field("status", pa.int32()),
    pa.field("refused", pa.bool_()),
    pa.field("bytes_in", pa.int64()),
    pa.field("duration", pa.int64()),
    pa.field("referer", pa.string()),  # "" where it is empty or the log has none
    pa.field("mime", pa.string()),
    pa.field("location", pa.string()),
]
VISITS: Final = pa.schema(_FIELDS)
LONGEST: Final = 1024  # bytes of a path, referer or location
_DULL: Final = (
    r"^(image/|font/|video/|audio/|text/css|text/javascript|application/(x-)?javascript|application/font|"
    r"application/ocsp)"
)
_DULL_ENDING: Final = (
    r"(?i)\.(js|mjs|css|png|jpe?g|gif|svg|webp|ico|woff2?|ttf|eot|mp4|webm|mp3|m4s|ts|json|map|crl)(\?|$)"
)


class Visits:
    """See the module text. ``level``: one terminal in 2^level is kept."""

    def __init__(self, most: int, salt: int) -> None:
        self.most, self.salt, self.level = most, salt, 0
        self.contacts = 0
        self._held: list[pa.Table] = []
        self._rows = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Take in contacts (``records.contact``)."""
        self.contacts += batch.num_rows
        if batch.num_rows:
            self._put(_hops(batch))

    def merge(self, other: Visits) -> None:
        if (self.most, self.salt) != (other.most, other.salt):
            raise ValueError("only summaries of the same bound and hash key can be merged")
        self.contacts += other.contacts
        self._raise(other.level)
        for table in other._held:
            self._put(table)

    def table(self) -> pa.Table:
        """All rows (VISITS), by terminal, time and the rest."""
        whole = pa.concat_tables([VISITS.empty_table(), *self._held]).combine_chunks()
        order = pc.sort_indices(whole, sort_keys=[(name, "ascending") for name in VISITS.names])
        return whole.take(order).combine_chunks()

    def _put(self, table: pa.Table) -> None:
        table = self._sampled(table)
        if table.num_rows:
            self._held.append(table)
            self._rows += table.num_rows
        while self._rows > self.most:
            self._raise(self.level + 1)
        if len(self._held) > 64:
            self._held = [pa.concat_tables(self._held).combine_chunks()]

    def _raise(self, level: int) -> None:
        if level > self.level:
            self.level = level
            self._held = [self._sampled(table) for table in self._held]
            self._rows = sum(table.num_rows for table in self._held)

    def _sampled(self, table: pa.Table) -> pa.Table:
        if not self.level:
            return table
        drawn = mix64_array(text_keys(table["terminal"]), np.uint64(self.salt))
        return table.filter(pa.array(drawn >> np.uint64(64 - min(self.level, 63)) == 0))

    def to_bytes(self) -> bytes:
        table = self.table()
        self._held = [table]
        arrays: dict[str, np.ndarray] = {}
        for field in VISITS:
            column = table[field.name].combine_chunks()
            if pa.types.is_string(field.type):
                texts = [text.encode() for text in column.to_pylist()]
                arrays[field.name] = np.frombuffer(b"".join(texts), np.uint8)
                arrays[f"{field.name} lengths"] = np.array([len(text) for text in texts], np.int32)
            else:
                arrays[field.name] = np.asarray(column.to_numpy(zero_copy_only=False))
        scalars = {"most": self.most, "salt": self.salt, "level": self.level, "contacts": self.contacts}
        return pack("visits", 1, arrays, scalars)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        arrays, scalars = unpack("visits", 1, data)
        made = cls(scalars["most"], scalars["salt"])
        made.level, made.contacts = scalars["level"], scalars["contacts"]
        try:
            columns = [
                _texts(arrays[field.name], arrays[f"{field.name} lengths"])
                if pa.types.is_string(field.type)
                else pa.array(arrays[field.name], field.type)
                for field in VISITS
            ]
            table = pa.table(columns, schema=VISITS)
            table.validate(full=True)
        except (KeyError, pa.ArrowInvalid) as error:
            raise StateError(f"damaged visits: {error}") from error
        made._held, made._rows = [table], table.num_rows
        return made


def _texts(data: np.ndarray, lengths: np.ndarray) -> pa.Array:
    ends = np.concatenate([[0], np.cumsum(lengths.astype(np.int64))])
    if (lengths < 0).any() or ends[-1] != len(data) or ends[-1] > 2**31 - 1:
        raise StateError("texts and their lengths do not fit")
    buffers = [None, pa.py_buffer(ends.astype(np.int32).tobytes()), pa.py_buffer(data.tobytes())]
    return pa.StringArray.from_buffers(len(lengths), buffers[1], buffers[2])


def _hops(batch: pa.RecordBatch) -> pa.Table:
    """The contacts of a batch that may be hops, in the columns of VISITS."""

    def text(name: str) -> pa.Array:
        column = batch.column(name)
        plain = column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column
        return plain.fill_null("")

    via = text("via")
    tunnel = pc.or_(pc.equal(via, "tunnel"), pc.equal(via, "tls"))
    http = pc.equal(via, "http")
    mime, path = pc.ascii_lower(text("mime")), text("path")
    dull = pc.or_(
        pc.match_substring_regex(mime, _DULL),
        pc.and_(pc.equal(mime, ""), pc.match_substring_regex(path, _DULL_ENDING)),
    )
    named = pc.and_(pc.not_equal(text("terminal"), ""), pc.not_equal(text("host"), ""))
    kept = pc.and_(named, pc.or_(tunnel, pc.and_(http, pc.invert(dull))))
    columns = {
        "terminal": text("terminal"),
        "ts": batch.column("ts").view(pa.int64()),
        "host": text("host"),
        "path": pc.binary_slice(path.cast(pa.binary()), 0, LONGEST),
        "port": batch.column("port"),
        "tunnel": tunnel,
        "method": text("method"),
        "status": batch.column("status"),
        "refused": batch.column("refused"),
        "bytes_in": batch.column("bytes_in"),
        "duration": batch.column("duration"),
        "referer": pc.binary_slice(text("referer").cast(pa.binary()), 0, LONGEST),
        "mime": mime,
        "location": pc.binary_slice(text("location").cast(pa.binary()), 0, LONGEST),
    }
    plain = {
        name: _whole(column) if pa.types.is_binary(column.type) else column
        for name, column in columns.items()
    }
    return pa.table([plain[name] for name in VISITS.names], schema=VISITS).filter(kept)


def _whole(column: pa.Array) -> pa.Array:
    """Text of bytes that may have been cut within a character."""
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([each.decode("utf-8", "ignore") for each in column.to_pylist()], pa.string())
