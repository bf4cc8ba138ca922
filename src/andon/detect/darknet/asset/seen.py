"""What listed addresses were seen doing: the carry of the engine, bounded, and what was told of it.

A row is one episode of one mark at one address: a fingerprint (or, where there is none, a set of ports) in the darknet,
or one thing a bot showed at a honeypot (token, URL base, payload, family). It is kept for ``days`` whether or not the
mark means anything yet: a link that is found next week tells of the devices of this week.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, Self

import numpy as np

from andon.sketch.hashing import mix64_array
from andon.sketch.state import StateError, pack, unpack

DARKNET, SESSION = 0, 1
_COLUMNS: Final = {
    "address": "<u4", "mark": "<i4", "first": "<i8", "last": "<i8", "packets": "<i8", "port": "<i4", "kind": "|u1",
}  # fmt: skip
_SEPARATOR: Final = "\x1f"


@dataclass(frozen=True)
class Told:
    """Of one series: its subject ("asset" or "ipv4-addr" and value) and aspect, the revision told last, its window's
    start, and what was said then. ``marks`` and ``family`` know the same story under another name: a family may be
    named, or its name may change, after it was first told."""

    subject: str
    aspect: str
    family: str
    marks: tuple[str, ...]
    revision: int
    window: int
    at: int
    packets: int
    sessions: int
    addresses: int
    probability: float

    def row(self) -> list[Any]:
        return [getattr(self, one.name) for one in fields(self)]

    @classmethod
    def of(cls, row: Sequence[Any]) -> Told:
        subject, aspect, family, marks, *numbers = row
        return cls(str(subject), str(aspect), str(family), tuple(marks), *numbers)


@dataclass
class Seen:
    """Columns in the order of ``_COLUMNS``, sorted; ``marks``: "kind\\x1fvalue" by number; times in ns."""

    address: np.ndarray
    mark: np.ndarray
    first: np.ndarray
    last: np.ndarray
    packets: np.ndarray
    port: np.ndarray
    kind: np.ndarray
    marks: list[str] = field(default_factory=list)
    told: dict[str, Told] = field(default_factory=dict)
    level: int = 0  # one address in 2^level is kept
    lost: int = 0  # rows that the sample left out

    @classmethod
    def empty(cls) -> Self:
        return cls._of({name: np.zeros(0, dtype) for name, dtype in _COLUMNS.items()})

    @classmethod
    def _of(cls, columns: Mapping[str, np.ndarray], **others: Any) -> Self:
        found: Any = cls
        made: Self = found(**{name: columns[name] for name in _COLUMNS}, **others)
        return made

    def __len__(self) -> int:
        return len(self.address)

    def columns(self) -> dict[str, np.ndarray]:
        return {name: getattr(self, name) for name in _COLUMNS}

    def after(self, fresh: Sequence[Fresh], since: int, limit: int, key: int) -> Seen:
        """With the rows of a day, without those that ended before ``since``, at most ``limit`` of them: beyond that a
        sample of addresses by keyed hash, one in two, four, ..."""
        names = {text: number for number, text in enumerate(self.marks)}
        marks = list(self.marks)
        parts: dict[str, list[np.ndarray]] = {name: [column] for name, column in self.columns().items()}
        for part in fresh:
            number = np.empty(len(part.texts), np.int32)
            for n, text in enumerate(part.texts):
                if text not in names:
                    names[text] = len(marks)
                    marks.append(text)
                number[n] = names[text]
            made = {**part.columns, "mark": number[part.columns["mark"]]}
            for name, dtype in _COLUMNS.items():
                parts[name].append(made[name].astype(dtype))
        columns = {name: np.concatenate(arrays) for name, arrays in parts.items()}
        columns = {name: column[columns["last"] >= since] for name, column in columns.items()}
        level, lost = self.level, self.lost
        salt = mix64_array(columns["address"].astype(np.uint64), np.uint64(key & 0xFFFFFFFFFFFFFFFF))
        while True:
            kept = salt >> np.uint64(64 - level) == 0 if level else np.ones(len(salt), np.bool_)
            if int(kept.sum()) <= limit or level >= 40:
                break
            level += 1
        lost += int((~kept).sum())
        used = sorted({int(n) for n in np.unique(columns["mark"][kept])}, key=lambda n: marks[n])
        renumber = np.full(max(len(marks), 1), -1, np.int32)
        renumber[used] = np.arange(len(used), dtype=np.int32)
        columns = {name: column[kept] for name, column in columns.items()}
        columns["mark"] = renumber[columns["mark"]]
        order = np.lexsort(
            tuple(columns[name] for name in ("packets", "last", "port", "kind", "first", "mark", "address"))
        )
        return Seen._of(
            {name: column[order] for name, column in columns.items()}, marks=[marks[n] for n in used],
            told=dict(self.told), level=level, lost=lost,
        )  # fmt: skip

    def to_bytes(self) -> bytes:
        told = {series: told.row() for series, told in sorted(self.told.items())}
        text = json.dumps([self.marks, told], ensure_ascii=True, separators=(",", ":")).encode()
        return pack(
            "assets seen", 2, self.columns() | {"text": np.frombuffer(text, np.uint8)},
            {"level": self.level, "lost": self.lost},
        )  # fmt: skip

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        arrays, scalars = unpack("assets seen", 2, data)
        try:
            marks, told = json.loads(arrays.pop("text").tobytes())
            found = {series: Told.of(row) for series, row in told.items()}
            seen = cls._of(arrays, marks=marks, told=found, **scalars)
        except (KeyError, TypeError, ValueError) as error:
            raise StateError(f"damaged memory of assets: {error}") from error
        sizes = {len(column) for column in seen.columns().values()}
        if len(sizes) > 1 or (len(seen) and not 0 <= seen.mark.min() <= seen.mark.max() < len(marks)):
            raise StateError("damaged memory of assets: columns do not fit together")
        return seen


@dataclass(frozen=True)
class Fresh:
    """Rows to add: columns, and the texts that ``mark`` numbers."""

    columns: dict[str, np.ndarray]
    texts: list[str]


def mark(kind: str, value: str) -> str:
    return f"{kind}{_SEPARATOR}{value}"


def unmark(text: str) -> tuple[str, str]:
    kind, _, value = text.partition(_SEPARATOR)
    return kind, value
