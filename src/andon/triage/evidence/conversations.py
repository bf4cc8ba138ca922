"""Flows folded over source ports: the summary of ``triage.evidence``.

Rows are kept by (source, target, port, protocol, service) with whole-number sums and extremes, so that any cut of
the input gives the same table. If there are more than ``limit``, the pairs of addresses whose keyed hash lies below
2^-level stay (adaptive sampling: Wegman, in Flajolet, Computing 43, 1990): all that two addresses had to do with
each other stays or goes together, what stays is exact, and what went is counted by its flows."""

from __future__ import annotations

from typing import Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.records.flow import failed
from andon.records.triage import CONVERSATIONS
from andon.sketch.hashing import mix64_array
from andon.sketch.state import StateError, pack, unpack
from andon.sketch.texts import text_keys

_PENDING: Final = 100_000
_KEYS: Final = ("src", "dst", "port", "protocol", "service")
_SUMS: Final = ("flows", "failed", "unknown", "bytes_out", "bytes_in")
_LEAST: Final = ("first",)
_MOST: Final = ("last", "largest_out", "largest_in", "longest")
_FOLD: Final = [(n, "sum") for n in _SUMS] + [(n, "min") for n in _LEAST] + [(n, "max") for n in _MOST]
_ORDER: Final = [(name, "ascending") for name in _KEYS]
_SHAPE: Final = pa.schema(
    [(name, pa.int32() if name == "port" else pa.string()) for name in _KEYS]
    + [(name, pa.int64()) for name, _ in _FOLD]
)


class Conversations:
    """``limit``: most rows; ``flows``: how many flows were added, kept or not."""

    def __init__(self, limit: int, salt: int) -> None:
        self.limit = limit
        self.salt = salt
        self.level = 0
        self.flows = 0
        self._held = _SHAPE.empty_table()
        self._pending: list[pa.Table] = []
        self._waiting = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """A batch of kind flow."""
        if not batch.num_rows:
            return
        self.flows += batch.num_rows
        words = {name: batch.column(name) for name in ("src", "dst", "protocol", "service")}
        bad = failed(batch)
        told = batch.column("answered").is_valid().to_numpy(zero_copy_only=False)
        ts = batch.column("ts").view(pa.int64())
        out, back = batch.column("bytes_out").to_numpy(), batch.column("bytes_in").to_numpy()
        # By the codes of the dictionaries first: the texts of many flows are then touched once.
        codes = {name: word.indices for name, word in words.items()}
        whole = pa.table(
            codes
            | {
                "port": batch.column("dst_port"),
                "flows": np.ones(batch.num_rows, np.int64),
                "failed": bad.astype(np.int64),
                "unknown": (~told & ~bad).astype(np.int64),
                "bytes_out": np.maximum(out, 0),
                "bytes_in": np.maximum(back, 0),
                "first": ts,
                "last": ts,
                "largest_out": out,
                "largest_in": back,
                "longest": batch.column("duration"),
            }
        )
        small = _folded(whole)
        texts = {
            name: word.dictionary.take(small.column(name).combine_chunks()).cast(pa.string())
            for name, word in words.items()
        }
        columns = {name: texts.get(name, small.column(name)) for name in _SHAPE.names}
        self._wait(pa.table(columns, _SHAPE))

    def merge(self, other: Self) -> None:
        if (self.limit, self.salt) != (other.limit, other.salt):
            raise ValueError("only conversations of the same limit and hash key can be merged")
        held = other.rows()
        self.level = max(self.level, other.level)
        self.flows += other.flows
        self._wait(held)
        self._settle()

    def _wait(self, table: pa.Table) -> None:
        self._pending.append(table)
        self._waiting += table.num_rows
        if self._waiting > max(_PENDING, self._held.num_rows):
            self._settle()

    def rows(self) -> pa.Table:
        """What is held, in the order of its keys."""
        self._settle()
        return self._held

    def _settle(self) -> None:
        if not self._pending:
            return
        whole = self._sampled(pa.concat_tables([self._held, *self._pending]))
        self._pending, self._waiting = [], 0
        held = _folded(whole)
        while held.num_rows > self.limit:
            self.level += 1
            held = self._sampled(held)
        self._held = held.sort_by(_ORDER).combine_chunks()

    def _sampled(self, table: pa.Table) -> pa.Table:
        if not self.level:
            return table
        pair = text_keys(table.column("src")) ^ text_keys(table.column("dst"))  # the same in both directions
        keep = mix64_array(pair, np.uint64(self.salt)) >> np.uint64(64 - self.level) == 0
        return table.filter(pa.array(keep))

    def conversations(self) -> pa.Table:
        """As published: one row for each source, target, port and protocol, under the service of most flows."""
        rows = self.rows()
        key = [name for name in _KEYS if name != "service"]
        if not rows.num_rows:
            return CONVERSATIONS.empty_table()
        # Of the services of one conversation the one recognised in most flows; "" only if none was recognised.
        named = pc.not_equal(rows.column("service"), "")
        rank = rows.append_column("named", pc.cast(named, pa.int8()))
        rank = rank.sort_by([(k, "ascending") for k in key] + [("named", "descending"), ("flows", "descending"),
                                                               ("service", "ascending")])  # fmt: skip
        begins = _begins(rank, key)
        first = np.flatnonzero(begins)
        columns = {name: rank.column(name).take(pa.array(first)) for name in _KEYS}
        for names, fold in ((_SUMS, np.add), (_LEAST, np.minimum), (_MOST, np.maximum)):
            for name in names:
                columns[name] = pa.array(fold.reduceat(rank.column(name).to_numpy(), first))
        for name in ("first", "last"):
            columns[name] = columns[name].cast(CONVERSATIONS.field(name).type)
        return pa.table({name: columns[name] for name in CONVERSATIONS.names}, CONVERSATIONS)

    def to_bytes(self) -> bytes:
        held = self.rows()
        arrays: dict[str, np.ndarray] = {}
        for name in _SHAPE.names:
            column = held.column(name).combine_chunks()
            if pa.types.is_string(column.type):
                words = column.dictionary_encode()  # in the order of the rows, which is canonical
                texts = [text.encode() for text in words.dictionary.to_pylist()]
                arrays[f"{name}.codes"] = words.indices.to_numpy().astype(np.int32)
                arrays[f"{name}.ends"] = np.cumsum([0, *map(len, texts)]).astype(np.int64)
                arrays[f"{name}.letters"] = np.frombuffer(b"".join(texts), np.uint8)
            else:
                arrays[name] = column.to_numpy()
        scalars = {"limit": self.limit, "salt": self.salt, "level": self.level, "flows": self.flows}
        return pack("conversations", 1, arrays, scalars)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        arrays, scalars = unpack("conversations", 1, data)
        try:
            made = cls(scalars["limit"], scalars["salt"])
            made.level, made.flows = scalars["level"], scalars["flows"]
            columns = [
                _texts(arrays, field.name) if pa.types.is_string(field.type) else pa.array(arrays[field.name])
                for field in _SHAPE
            ]
            made._held = pa.table(columns, schema=_SHAPE)
        except (KeyError, ValueError, pa.ArrowException) as error:
            raise StateError(f"conversations: parts do not fit together: {error}") from error
        return made


def _texts(arrays: dict[str, np.ndarray], name: str) -> pa.Array:
    ends, letters = arrays[f"{name}.ends"], arrays[f"{name}.letters"].tobytes()
    texts = [letters[a:b].decode() for a, b in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)]
    return pa.array(texts, pa.string()).take(pa.array(arrays[f"{name}.codes"]))


def _folded(table: pa.Table) -> pa.Table:
    """Sums and extremes by the keys; columns in the order of ``_SHAPE``, rows in any."""
    made = table.group_by(list(_KEYS), use_threads=False).aggregate(_FOLD)
    return made.rename_columns(
        {f"{name}_{how}": name for name, how in _FOLD} | {name: name for name in _KEYS}
    ).select(_SHAPE.names)


def _begins(table: pa.Table, key: list[str]) -> np.ndarray:
    """Which rows differ from the one before in a column of the key."""
    made = np.zeros(table.num_rows, np.bool_)
    made[:1] = True
    for name in key:
        column = table.column(name).combine_chunks()
        made[1:] |= pc.not_equal(column[1:], column[:-1]).to_numpy(zero_copy_only=False)
    return made
