"""Alerts as rows and back: Arrow columns to values, the hash that tells an alert from all others, and its series.

What is the same for all alerts of a series is kept with the series; of an alert's other texts only those that are not
empty are kept, as JSON.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.records.alert import ALERT
from andon.store.casebook.schema_cases import ADDRESS, HOST, PRODUCT, RULE, SITE, USER

IDENTITY: Final = ("site", "host", "address", "product", "rule")  # with severity: what makes a series
LIKENED: Final = ("title", "category", "source")  # kept with the series unless an alert differs
BODY: Final = ("uid", "name", "path", "digest", "command", "attack", "cve", "raw")
LENGTHS: Final = {"site": SITE, "host": HOST, "address": ADDRESS, "product": PRODUCT, "rule": RULE}
STORED_ALERTS: Final = ALERT.append(pa.field("id", pa.int64()))
COLUMNS: Final = (
    "id",
    "ts",
    "key",
    "series",
    "src",
    "src_port",
    "dst",
    "dst_port",
    "user",
    "protocol",
    "disposition",
    "count",
    "position",
    "body",
)
_encode = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode


@dataclass(frozen=True)
class Series:
    """What a casebook knows of a series. ``title``, ``category``, ``source``: of its first alert."""

    id: int
    title: str
    category: str
    source: str


@dataclass(frozen=True)
class Wanted:
    """A series that a batch has alerts of; ``row``: its first."""

    digest: str
    identity: tuple[str, ...]
    severity: int
    row: int


class Columns:
    """A batch of ALERT as lists of values, NUL replaced. Raises ValueError for other columns."""

    def __init__(self, batch: pa.RecordBatch | pa.Table) -> None:
        missing = [name for name in ALERT.names if name not in batch.schema.names]
        if missing:
            raise ValueError(f"not alerts: there is no column {', '.join(missing)}")
        self.rows = batch.num_rows
        self.texts: dict[str, list[str]] = {}
        self.numbers: dict[str, list[int]] = {}
        self._codes: dict[str, np.ndarray] = {}
        self._words: dict[str, list[str]] = {}
        for field in ALERT:
            column = batch.column(field.name)
            if isinstance(column, pa.ChunkedArray):
                column = column.combine_chunks()
            if column.null_count:
                raise ValueError(f"alerts with an empty {field.name}: the schema has no empty values")
            if pa.types.is_timestamp(field.type):
                nanoseconds = column.cast(pa.timestamp("ns", tz="UTC")).cast(pa.int64())
                self.numbers[field.name] = nanoseconds.to_pylist()
            elif pa.types.is_integer(field.type):
                self.numbers[field.name] = column.to_pylist()
            elif field.name in IDENTITY:
                self._split(field.name, column)
            else:
                self.texts[field.name] = _texts(column)

    def _split(self, name: str, column: pa.Array) -> None:
        encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        words = _texts(encoded.dictionary)
        codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        self._words[name], self._codes[name] = words, codes
        self.texts[name] = [words[code] for code in codes.tolist()]

    def series(self) -> tuple[list[Wanted], np.ndarray]:
        """The distinct series of the batch, and for each alert which of them it is of."""
        code = np.asarray(self.numbers["severity"], np.int64)
        for name in IDENTITY:
            # Numbered anew at each step, so that the products stay small whatever the dictionaries hold.
            _, code = np.unique(code, return_inverse=True)
            code = code.astype(np.int64) * (len(self._words[name]) + 1) + self._codes[name]
        _, first, code = np.unique(code, return_index=True, return_inverse=True)
        wanted = []
        for row in first.tolist():
            identity = tuple(self.texts[name][row] for name in IDENTITY)
            severity = int(self.numbers["severity"][row])
            text = "\x1f".join((*identity, str(severity)))
            digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()
            wanted.append(Wanted(digest, identity, severity, row))
        return wanted, code

    def keys(self, wanted: list[Wanted], of: np.ndarray) -> list[int]:
        """For each alert a 64-bit hash of what tells it apart: the product's own uid where there is one, else source,
        position and all that it says; with the series, and beside it the time."""
        t, n = self.texts, self.numbers
        told = zip(
            of.tolist(),
            t["uid"],
            t["source"],
            t["title"],
            t["src"],
            t["dst"],
            t["user"],
            t["protocol"],
            t["name"],
            t["path"],
            t["digest"],
            t["command"],
            t["raw"],
            n["position"],
            n["src_port"],
            n["dst_port"],
            strict=True,
        )
        blake2b, to_int = hashlib.blake2b, int.from_bytes
        digests = [one.digest for one in wanted]
        keys = []
        for series, uid, *rest in told:
            text = (
                f"{digests[series]}\x1f{uid}" if uid else "\x1f".join((digests[series], "", *map(str, rest)))
            )
            made = blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()
            keys.append(to_int(made, "little", signed=True))
        return keys

    def values(
        self, first: int, keys: list[int], held: list[Series], of: np.ndarray
    ) -> list[tuple[Any, ...]]:
        """Rows of ``alerts``, numbered from ``first``, in the order of COLUMNS."""
        n, t = self.numbers, self.texts
        bodies = self._bodies(held, of)
        ids = [one.id for one in held]
        return list(
            zip(
                range(first, first + self.rows),
                n["ts"],
                keys,
                [ids[at] for at in of.tolist()],
                [text[:ADDRESS] or None for text in t["src"]],
                n["src_port"],
                [text[:ADDRESS] or None for text in t["dst"]],
                n["dst_port"],
                [text[:USER] or None for text in t["user"]],
                [text[:32] for text in t["protocol"]],
                n["disposition"],
                n["count"],
                n["position"],
                bodies,
                strict=True,
            )
        )

    def _bodies(self, held: list[Series], of: np.ndarray) -> list[str]:
        told: list[dict[str, str]] = [{} for _ in range(self.rows)]
        for name in BODY:
            for at, text in enumerate(self.texts[name]):
                if text:
                    told[at][name] = text
        for name in LIKENED:
            usual = [getattr(one, name) for one in held]
            for at, (series, text) in enumerate(zip(of.tolist(), self.texts[name], strict=True)):
                if text != usual[series]:
                    told[at][name] = text
        return [_encode(body) if body else "" for body in told]


def _texts(column: pa.Array) -> list[str]:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if len(column) and pc.any(pc.match_substring(column, "\x00")).as_py():
        column = pc.replace_substring(column, "\x00", "�")
    texts: list[str] = column.to_numpy(zero_copy_only=False).tolist()
    return texts


def table(rows: list[Any]) -> pa.Table:
    """Rows of alerts joined with their series, as ALERT with ``id``."""
    bodies = [json.loads(row.body) if row.body else {} for row in rows]
    columns: list[pa.Array] = []
    for field in STORED_ALERTS:
        name = field.name
        values: list[Any]
        if name in BODY:
            values = [body.get(name, "") for body in bodies]
        elif name in LIKENED:
            values = [body.get(name, getattr(row, name)) for row, body in zip(rows, bodies, strict=True)]
        elif name in ("src", "dst", "user"):
            values = [getattr(row, name) or "" for row in rows]
        else:
            values = [getattr(row, name) for row in rows]
        if pa.types.is_dictionary(field.type):
            columns.append(pa.array(values, pa.string()).dictionary_encode())
        else:
            columns.append(pa.array(values, field.type))
    return pa.Table.from_arrays(columns, schema=STORED_ALERTS)
