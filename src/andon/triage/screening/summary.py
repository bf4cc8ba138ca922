"""What screening keeps of the alerts of a tile: the alerts in order, and what they said, folded.

Four tables, all mergeable in any order:

* ``rows``: one for each alert: time, source, position, pair (site, host, product, rule). The counters run over them in
  strict order of (time, source, position).
* ``cells``: one for each pair and 300 s of UTC: sums and extremes. Two alerts of one pair in one cell are less than
  300 s apart, so a cell lies within one episode, and an episode is a run of cells.
* ``values``: how often a cell's alerts named a source, target, user, file... Of each kind those with the lowest hashes
  are kept, which gives the same values and counts however the input was cut.
* ``pairs`` and ``texts``: what the keys stand for.

Bounds: ``PER_CELL`` alerts of a cell feed the counters, the earliest ones (a flood of one rule then says nothing new,
and still counts in ``cells``); ``VALUES`` values of a kind in a cell; ``most`` pairs, those with the lowest hashes.
What the last one leaves out is counted in ``left_out``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.records.columns import column
from andon.sketch.hashing import mix64_array
from andon.sketch.state import StateError, pack, unpack
from andon.sketch.texts import text_keys

CELL: Final = 300 * 1_000_000_000  # ns
PER_CELL: Final = 4096
VALUES: Final = 32
LONGEST: Final = 1024  # characters of a value that are kept
_VERSION: Final = 1
_PENDING: Final = 1 << 18  # alerts that wait before they are folded
_SALT: Final = 0x51C3
_NOTHING: Final = text_keys(pa.array([""]), _SALT)[0]

# Kinds of values. Those of ALWAYS are kept for a pair, not for each cell (slot 0).
ADDRESS, TITLE, CATEGORY, SRC, TARGET, USER, NAME, PATH, DIGEST, COMMAND, ATTACK, CVE = range(12)
ALWAYS: Final = (ADDRESS, TITLE, CATEGORY)
_COLUMNS: Final = {
    ADDRESS: "address", TITLE: "title", CATEGORY: "category", SRC: "src", USER: "user", NAME: "name",
    PATH: "path", DIGEST: "digest", COMMAND: "command", ATTACK: "attack", CVE: "cve",
}  # fmt: skip
BLOCKED: Final = 2

ROWS: Final = ("ts", "source", "position", "pair")
CELLS: Final = ("pair", "slot", "alerts", "first", "last", "severity", "open")
VALUE: Final = ("pair", "slot", "kind", "value", "count")
PAIRS: Final = ("pair", "site", "host", "product", "rule")
_UNSIGNED: Final = frozenset({"source", "pair", "value", "site", "host", "product", "rule"})
Table = dict[str, np.ndarray]


def _empty(names: Sequence[str]) -> Table:
    return {name: np.zeros(0, np.uint64 if name in _UNSIGNED else np.int64) for name in names}


def joined(parts: Sequence[Table]) -> Table:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def take(table: Table, which: np.ndarray) -> Table:
    return {name: values[which] for name, values in table.items()}


def starts_of(sorted_columns: Sequence[np.ndarray]) -> np.ndarray:
    """Where a new group begins, in columns sorted together."""
    if not len(sorted_columns[0]):
        return np.zeros(0, np.int64)
    new = np.zeros(len(sorted_columns[0]), bool)
    new[0] = True
    for values in sorted_columns:
        new[1:] |= values[1:] != values[:-1]
    return np.flatnonzero(new)


def within(starts: np.ndarray, n: int) -> np.ndarray:
    """Number of each row within its group."""
    return np.asarray(np.arange(n) - np.repeat(starts, np.diff(np.r_[starts, n])))


class Summary:
    """See the module text. ``most``: pairs that are kept; 0: all."""

    def __init__(self, most: int = 0) -> None:
        self.most = most
        self.left_out = 0
        self.texts: dict[int, str] = {}
        self._rows, self._cells, self._values, self._pairs = (
            [_empty(names)] for names in (ROWS, CELLS, VALUE, PAIRS)
        )
        self._waiting = 0

    # Reading: every table folded and in its order.
    @property
    def rows(self) -> Table:
        self._fold()
        return self._rows[0]

    @property
    def cells(self) -> Table:
        self._fold()
        return self._cells[0]

    @property
    def values(self) -> Table:
        self._fold()
        return self._values[0]

    @property
    def pairs(self) -> Table:
        self._fold()
        return self._pairs[0]

    def add(self, batch: pa.RecordBatch) -> None:
        """Take in a batch of alerts (records.alert)."""
        n = batch.num_rows
        if not n:
            return
        ts = column(batch, "ts")
        keys = {name: self._keys(batch, name) for name in ("site", "host", "product", "rule", "source")}
        pair = np.full(n, _SALT, np.uint64)
        for name in ("site", "host", "product", "rule"):
            pair = mix64_array(pair + keys[name], np.uint64(0xA5A5))
        slot = ts // CELL
        self._rows.append(
            {
                "ts": ts.copy(),
                "source": keys["source"],
                "position": column(batch, "position").copy(),
                "pair": pair,
            }
        )
        self._pairs.append(_unique({"pair": pair} | {name: keys[name] for name in PAIRS[1:]}))
        self._cells.append(
            _cells(
                {
                    "pair": pair,
                    "slot": slot,
                    "alerts": np.maximum(column(batch, "count"), 1),
                    "first": ts,
                    "last": ts,
                    "severity": column(batch, "severity").astype(np.int64),
                    "open": (column(batch, "disposition") != BLOCKED).astype(np.int64),
                }
            )
        )
        for kind in (*_COLUMNS, TARGET):
            self._values.append(self._said(batch, kind, pair, slot))
        self._waiting += n
        if self._waiting > _PENDING:
            self._fold()

    def _keys(self, batch: pa.RecordBatch, name: str) -> np.ndarray:
        """Keys of a column of words; their texts are noted."""
        array = batch.column(name)
        if not pa.types.is_dictionary(array.type):
            array = array.dictionary_encode()
        keys = text_keys(array.dictionary, _SALT)
        used = np.unique(array.indices.to_numpy(zero_copy_only=False))
        words = array.dictionary.take(pa.array(used)).to_pylist()
        self.texts.update(zip(keys[used].tolist(), words, strict=True))
        return np.asarray(keys[array.indices.to_numpy(zero_copy_only=False)])

    def _said(self, batch: pa.RecordBatch, kind: int, pair: np.ndarray, slot: np.ndarray) -> Table:
        if kind == TARGET:
            return self._targets(batch, pair, slot)
        array = batch.column(_COLUMNS[kind])
        words = array.dictionary if pa.types.is_dictionary(array.type) else array
        if _says_nothing(words):
            return _empty(VALUE)
        cut = pc.utf8_slice_codeunits(words, 0, LONGEST)
        keys = text_keys(cut, _SALT)
        if pa.types.is_dictionary(array.type):
            at = array.indices.to_numpy(zero_copy_only=False)
        else:
            at = np.arange(len(array))
        value = keys[at]
        there = np.flatnonzero(value != _NOTHING)
        found = _values(
            {
                "pair": pair[there],
                "slot": slot[there] * (kind not in ALWAYS),
                "kind": np.full(len(there), kind, np.int64),
                "value": value[there],
                "count": np.ones(len(there), np.int64),
            }
        )
        self._note(found["value"], value, lambda rows: cut.take(pa.array(at[rows])).to_pylist())
        return found

    def _targets(self, batch: pa.RecordBatch, pair: np.ndarray, slot: np.ndarray) -> Table:
        """dst:port/protocol."""
        if _says_nothing(batch.column("dst").dictionary):
            return _empty(VALUE)
        dst, protocol = self._column(batch, "dst"), self._column(batch, "protocol")
        port = column(batch, "dst_port").astype(np.int64)
        key = mix64_array(
            dst[0] + mix64_array(protocol[0] + port.astype(np.uint64), np.uint64(1)), np.uint64(2)
        )
        key &= np.uint64(0x7FFFFFFFFFFFFFFF)
        there = np.flatnonzero(dst[0] != _NOTHING)
        found = _values(
            {
                "pair": pair[there],
                "slot": slot[there],
                "kind": np.full(len(there), TARGET, np.int64),
                "value": key[there],
                "count": np.ones(len(there), np.int64),
            }
        )

        def words(rows: np.ndarray) -> list[str]:
            to, over = (each[1].take(pa.array(rows)).to_pylist() for each in (dst, protocol))
            return [target_text(a, b, c) for a, b, c in zip(to, port[rows].tolist(), over, strict=True)]

        self._note(found["value"], key, words)
        return found

    def _column(self, batch: pa.RecordBatch, name: str) -> tuple[np.ndarray, pa.Array]:
        array = batch.column(name)
        return text_keys(array, _SALT), array

    def _note(self, kept: np.ndarray, all_keys: np.ndarray, words: Any) -> None:
        """Note the texts of the values that were kept and are not known yet."""
        new = [key for key in np.unique(kept).tolist() if key not in self.texts]
        if not new:
            return
        order = np.argsort(all_keys, kind="stable")
        rows = order[np.searchsorted(all_keys[order], np.array(new, np.uint64))]
        self.texts.update(zip(new, words(rows), strict=True))

    def merge(self, other: Summary) -> None:
        """Take in another summary, which stays as it is (but for being folded)."""
        other._fold()
        for mine, theirs in (
            (self._rows, other._rows),
            (self._cells, other._cells),
            (self._values, other._values),
            (self._pairs, other._pairs),
        ):
            mine += theirs
        self.texts.update(other.texts)
        self.left_out += other.left_out
        self._waiting += len(other._rows[0]["ts"])
        if self._waiting > _PENDING:
            self._fold()

    def _fold(self) -> None:
        if len(self._rows) == 1:
            return
        rows, cells, values, pairs = map(joined, (self._rows, self._cells, self._values, self._pairs))
        pairs = _unique(pairs)
        if self.most and len(pairs["pair"]) > self.most:
            edge = pairs["pair"][self.most]
            self.left_out += int(cells["alerts"][cells["pair"] >= edge].sum())
            rows, cells, values, pairs = (
                take(table, table["pair"] < edge) for table in (rows, cells, values, pairs)
            )
        self._rows = [_rows(rows)]
        self._cells, self._values, self._pairs = [_cells(cells)], [_values(values)], [pairs]
        self._waiting = 0
        self._prune()

    def _prune(self) -> None:
        if len(self.texts) > 4096:
            self.texts = {key: self.texts[key] for key in self._used().tolist()}

    def _used(self) -> np.ndarray:
        """Keys of the texts that are referred to."""
        return np.unique(
            np.concatenate([self._values[0]["value"], *(self._pairs[0][name] for name in PAIRS[1:])])
        )

    def to_bytes(self) -> bytes:
        self._fold()
        used = self._used()
        texts, offsets = packed_texts([self.texts[key] for key in used.tolist()])
        arrays = {
            f"{name}.{key}": table[0][key]
            for name, table in (("rows", self._rows), ("cells", self._cells), ("values", self._values),
                                ("pairs", self._pairs))
            for key in table[0]
        }  # fmt: skip
        arrays |= {"text keys": used, "texts": texts, "offsets": offsets}
        return pack("screening", _VERSION, arrays, {"left_out": self.left_out, "most": self.most})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        arrays, scalars = unpack("screening", _VERSION, data)
        made = cls(scalars["most"])
        made.left_out = scalars["left_out"]
        try:
            tables = [
                [{key: arrays[f"{name}.{key}"] for key in keys}]
                for name, keys in (("rows", ROWS), ("cells", CELLS), ("values", VALUE), ("pairs", PAIRS))
            ]
        except KeyError as error:
            raise StateError(f"a table of the summary is missing: {error}") from error
        made._rows, made._cells, made._values, made._pairs = tables
        words = unpacked_texts(arrays["texts"], arrays["offsets"])
        made.texts = dict(zip(arrays["text keys"].tolist(), words, strict=True))
        return made


def _says_nothing(words: pa.Array) -> bool:
    """Are they all ""? A column that a product does not fill is often so."""
    data = words.buffers()[2]
    return data is None or not data.size or (len(words) <= 1 and not any(words.to_pylist()))


def target_text(dst: str, port: int, protocol: str) -> str:
    """``dst:port/protocol``, of which port and protocol may be missing; an IPv6 address in brackets.

    >>> target_text("192.0.2.1", 443, "tcp"), target_text("2001:db8::1", 53, "udp"), target_text("192.0.2.1", -1, "")
    ('192.0.2.1:443/tcp', '[2001:db8::1]:53/udp', '192.0.2.1')
    """
    host = f"[{dst}]" if ":" in dst and port >= 0 else dst
    return host + (f":{port}" if port >= 0 else "") + (f"/{protocol}" if protocol else "")


def packed_texts(words: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """(UTF-8 bytes, where each text begins and the last ends)."""
    made = [word.encode("utf-8", "surrogatepass") for word in words]
    ends = np.cumsum([0, *(len(each) for each in made)], dtype=np.int64)
    return np.frombuffer(b"".join(made), np.uint8), ends


def unpacked_texts(data: np.ndarray, offsets: np.ndarray) -> list[str]:
    held, ends = data.tobytes(), offsets.tolist()
    return [held[a:b].decode("utf-8", "surrogatepass") for a, b in pairwise(ends)]


def _unique(pairs: Table) -> Table:
    _, first = np.unique(pairs["pair"], return_index=True)
    return take(pairs, first)


def _rows(rows: Table) -> Table:
    """In order, at most PER_CELL of a cell."""
    order = np.lexsort((rows["pair"], rows["position"], rows["source"], rows["ts"]))
    rows = take(rows, order)
    slot = rows["ts"] // CELL
    by_cell = np.lexsort((slot, rows["pair"]))
    starts = starts_of((rows["pair"][by_cell], slot[by_cell]))
    if len(starts) and int(np.diff(np.r_[starts, len(order)]).max()) > PER_CELL:
        kept = by_cell[within(starts, len(order)) < PER_CELL]
        rows = take(rows, np.sort(kept))
    return rows


def _cells(cells: Table) -> Table:
    order = np.lexsort((cells["slot"], cells["pair"]))
    cells = take(cells, order)
    starts = starts_of((cells["pair"], cells["slot"]))
    if not len(starts):
        return cells
    return {
        "pair": cells["pair"][starts],
        "slot": cells["slot"][starts],
        "alerts": np.add.reduceat(cells["alerts"], starts),
        "first": np.minimum.reduceat(cells["first"], starts),
        "last": np.maximum.reduceat(cells["last"], starts),
        "severity": np.maximum.reduceat(cells["severity"], starts),
        "open": np.maximum.reduceat(cells["open"], starts),
    }


def _values(values: Table) -> Table:
    """Counts added up; of each kind in a cell those with the lowest hashes."""
    order = np.lexsort((values["value"], values["kind"], values["slot"], values["pair"]))
    values = take(values, order)
    starts = starts_of([values[name] for name in VALUE[:4]])
    if not len(starts):
        return values
    made = take(values, starts) | {"count": np.add.reduceat(values["count"], starts)}
    kinds = starts_of([made[name] for name in VALUE[:3]])
    number = within(kinds, len(starts))
    room = np.where(np.isin(made["kind"], ALWAYS), 1, VALUES)
    return take(made, number < room)
