"""The summary of a span: rows of sessions, bounded, the same however the input was cut.

Two bounds, both hash thresholds on the content alone (see ``sketch.rows`` for the idea). *Sources*: only addresses
whose keyed hash lies below 2^-level stay; level is the least at which what they cost together fits ``limit``. *A
single source* may fill a 16th of that: of one that would need more, only sessions whose own keyed hash lies below
2^-l stay. A source is charged for all its sessions, up to its share, whether they were kept or not; so the charge
never falls when sessions come in, and neither do levels, whatever the order. What the bounds left out is counted.

The texts of patterns are kept apart, once each, under a bound of their own.
"""

from __future__ import annotations

from typing import Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.detect.intel.session.digest import ROWS, STEPS
from andon.sketch.state import StateError, pack, unpack

SHARE: Final = 16  # a single source may fill one in so many
PATTERNS: Final = 16 << 20  # bytes of the texts of patterns
_PIECE: Final = 1 << 16  # rows that are gathered before the bounds are looked at
_WORD: Final = 64
_FRAME: Final = 16  # bytes of a pattern without its text


class Sessions:
    """``limit``: bytes of rows. ``seen``: sessions that were offered, kept or not."""

    def __init__(self, limit: int, salt: int) -> None:
        self.limit, self.salt = limit, salt
        self.level = 0
        self.seen = 0
        self.pattern_level = 0
        # Of all sessions, kept or not: how many show each step, and how often it was seen.
        self.steps = np.zeros((2, len(STEPS)), np.int64)
        self.patterns: dict[int, str] = {}
        self._pattern_bytes = 0
        # Sources that filled their share: hash -> (level of their sessions, bytes and sessions left out).
        self.heavy: dict[int, tuple[int, int, int]] = {}
        self._settled = ROWS.empty_table()
        self._fresh: list[pa.Table] = []
        self._pending = 0

    def add(self, rows: pa.Table, patterns: dict[int, str]) -> None:
        """Take in rows and the patterns that they name."""
        self.seen += rows.num_rows
        for number in range(len(STEPS)):
            times = rows.column(f"step{number}").to_numpy()
            self.steps[:, number] += (int((times > 0).sum()), int(times.sum()))
        self._fresh.append(rows)
        self._pending += rows.num_rows
        self._patterns(patterns)
        if self._pending >= max(_PIECE, self._settled.num_rows):
            self._settle()

    def merge(self, other: Sessions) -> None:
        if (self.limit, self.salt) != (other.limit, other.salt):
            raise ValueError("only summaries of the same limit and hash key can be merged")
        self.seen += other.seen
        self.steps += other.steps
        self.level = max(self.level, other.level)
        self.pattern_level = max(self.pattern_level, other.pattern_level)
        self._keep_patterns()
        for source, (level, cost, left) in other.heavy.items():
            mine = self.heavy.get(source, (0, 0, 0))
            self.heavy[source] = (max(mine[0], level), mine[1] + cost, mine[2] + left)
        self._fresh += [other._settled, *other._fresh]
        self._patterns(other.patterns)
        self._settle()

    def rows(self) -> pa.Table:
        """What was kept, in an order of its own that depends on the content alone."""
        self._settle()
        order = pc.sort_indices(self._settled, sort_keys=[("start", "ascending"), ("row", "ascending")])
        return self._settled.take(order).combine_chunks()

    @property
    def left_out(self) -> int:
        """Sessions that were seen and not kept."""
        self._settle()
        return self.seen - int(self._settled.num_rows)

    def _settle(self) -> None:
        if not self._fresh and self._within():
            return
        table = pa.concat_tables([self._settled, *self._fresh])
        self._fresh, self._pending = [], 0
        source, row, cost = (table.column(name).to_numpy() for name in ("source", "row", "cost"))
        kept = np.flatnonzero(_below(source, self.level))
        self.heavy = {one: what for one, what in self.heavy.items() if _is_below(one, self.level)}
        while True:
            sources, place = np.unique(source[kept], return_inverse=True)
            charge = np.bincount(place, cost[kept], len(sources)).astype(np.int64)
            full = charge.copy()
            for one, (_, more, _) in self.heavy.items():
                at = int(np.searchsorted(sources, np.uint64(one)))
                if at < len(sources) and sources[at] == one:
                    full[at] += more
            share = self.limit // SHARE
            lost = sum(min(what[1], share) for one, what in self.heavy.items() if not _held(sources, one))
            if int(np.minimum(full, share).sum()) + lost <= self.limit or self.level >= _WORD - 1:
                break
            self.level += 1
            kept = kept[_below(source[kept], self.level)]
            self.heavy = {one: what for one, what in self.heavy.items() if _is_below(one, self.level)}
        over = np.flatnonzero(full > share)
        if len(over):
            kept = self._trimmed(kept, place, sources, over, row, cost)
        self._settled = (
            table.take(pa.array(kept)).combine_chunks()
            if len(kept) < table.num_rows
            else table.combine_chunks()
        )

    def _trimmed(
        self,
        kept: np.ndarray,
        place: np.ndarray,
        sources: np.ndarray,
        over: np.ndarray,
        row: np.ndarray,
        cost: np.ndarray,
    ) -> np.ndarray:
        """Without the sessions of full sources that are beyond their share."""
        gone = np.zeros(len(kept), np.bool_)
        order = np.argsort(place, kind="stable")
        begin = np.searchsorted(place[order], np.arange(len(sources) + 1))
        for at in over.tolist():
            mine = order[begin[at] : begin[at + 1]]
            source = int(sources[at])
            level, bytes_out, left_out = self.heavy.get(source, (0, 0, 0))
            while True:
                stay = _below(row[kept[mine]], level)
                if int(cost[kept[mine[stay]]].sum()) <= self.limit // SHARE or level >= _WORD - 1:
                    break
                level += 1
            out = mine[~stay]
            gone[out] = True
            self.heavy[source] = (level, bytes_out + int(cost[kept[out]].sum()), left_out + len(out))
        return kept[~gone]

    def _within(self) -> bool:
        source = self._settled.column("source").to_numpy()
        return bool(_below(source, self.level).all()) if len(source) else True

    def _patterns(self, more: dict[int, str]) -> None:
        for number, text in more.items():
            if number not in self.patterns and self._pattern_kept(number):
                self.patterns[number] = text
                self._pattern_bytes += _FRAME + len(text)
        while self._pattern_bytes > PATTERNS:
            self.pattern_level += 1
            self._keep_patterns()

    def _keep_patterns(self) -> None:
        self.patterns = {number: text for number, text in self.patterns.items() if self._pattern_kept(number)}
        self._pattern_bytes = sum(_FRAME + len(text) for text in self.patterns.values())

    def _pattern_kept(self, number: int) -> bool:
        # Numbers of patterns are hashes of their own.
        return self.pattern_level == 0 or number >> (63 - self.pattern_level) == 0

    def to_bytes(self) -> bytes:
        table = self.rows()
        arrays: dict[str, np.ndarray] = {}
        for field in ROWS:
            column = table.column(field.name)
            if field.type == pa.string():
                arrays |= _texts(field.name, column)
            elif pa.types.is_list(field.type):
                arrays[f"{field.name}.count"] = pc.list_value_length(column).to_numpy().astype("<i4")
                arrays |= _texts(field.name, pc.list_flatten(column))
            else:
                arrays[field.name] = column.to_numpy().astype(np.dtype(str(field.type)).newbyteorder("<"))
        numbers = sorted(self.patterns)
        arrays["pattern.number"] = np.array(numbers, "<i8")
        arrays |= _texts(
            "pattern.text", pa.chunked_array([pa.array([self.patterns[one] for one in numbers], pa.string())])
        )
        arrays["steps"] = self.steps.astype("<i8")
        heavy = sorted(self.heavy.items())
        arrays["heavy.source"] = np.array([one for one, _ in heavy], "<u8")
        arrays["heavy"] = np.array([what for _, what in heavy], "<i8").reshape(-1, 3)
        scalars = {
            "limit": self.limit,
            "salt": self.salt,
            "level": self.level,
            "seen": self.seen,
            "patterns": self.pattern_level,
        }
        return pack("sessions", 1, arrays, scalars)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        arrays, scalars = unpack("sessions", 1, data)
        made = cls(scalars["limit"], scalars["salt"])
        made.level, made.seen, made.pattern_level = scalars["level"], scalars["seen"], scalars["patterns"]
        try:
            columns = []
            for field in ROWS:
                if field.type == pa.string():
                    columns.append(_from_texts(field.name, arrays))
                elif pa.types.is_list(field.type):
                    offsets = np.concatenate(([0], np.cumsum(arrays[f"{field.name}.count"]))).astype(np.int32)
                    columns.append(
                        pa.ListArray.from_arrays(pa.array(offsets), _from_texts(field.name, arrays))
                    )
                else:
                    columns.append(pa.array(arrays[field.name]).cast(field.type))
            made._settled = pa.Table.from_arrays(columns, schema=ROWS)
            texts = _from_texts("pattern.text", arrays).to_pylist()
            made.patterns = dict(zip(arrays["pattern.number"].tolist(), texts, strict=True))
            made.steps = arrays["steps"].reshape(2, len(STEPS))
            made._keep_patterns()
            made.heavy = {
                one: (level, cost, left)
                for one, (level, cost, left) in zip(
                    arrays["heavy.source"].tolist(), arrays["heavy"].tolist(), strict=True
                )
            }
        except (KeyError, pa.ArrowInvalid, ValueError, UnicodeDecodeError) as error:
            raise StateError(f"damaged sessions: {error}") from error
        return made


def _below(hashed: np.ndarray, level: int) -> np.ndarray:
    if level == 0:
        return np.ones(len(hashed), np.bool_)
    return np.asarray((hashed.astype(np.uint64) >> np.uint64(_WORD - level)) == 0)


def _is_below(hashed: int, level: int) -> bool:
    return level == 0 or hashed >> (_WORD - level) == 0


def _held(sources: np.ndarray, one: int) -> bool:
    at = int(np.searchsorted(sources, np.uint64(one)))
    return at < len(sources) and int(sources[at]) == one


def _texts(name: str, column: pa.ChunkedArray | pa.Array) -> dict[str, np.ndarray]:
    """Strings as their lengths and bytes."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    lengths = pc.binary_length(array).to_numpy(zero_copy_only=False).astype("<i4")
    joined = "".join(array.to_pylist()).encode()
    return {f"{name}.length": lengths, f"{name}.bytes": np.frombuffer(joined, np.uint8)}


def _from_texts(name: str, arrays: dict[str, np.ndarray]) -> pa.StringArray:
    lengths, data = arrays[f"{name}.length"], arrays[f"{name}.bytes"]
    offsets = np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))
    if (lengths < 0).any() or offsets[-1] != len(data) or offsets[-1] > np.iinfo(np.int32).max:
        raise StateError(f"damaged sessions: the texts of {name} have not the bytes they should")
    made = pa.StringArray.from_buffers(
        len(lengths), pa.py_buffer(offsets.astype(np.int32).tobytes()), pa.py_buffer(data.tobytes())
    )
    made.validate(full=True)
    return made
