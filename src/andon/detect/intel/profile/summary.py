"""The reports of a span, each as the distinct things it mentions: merged by id, bounded, the same in any order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa

from andon.records import report as R
from andon.sketch.state import StateError, pack, unpack

MOST_ITEMS: Final = 400  # distinct mentions of one report that are kept
_MOST_CHARACTERS: Final = 8_000  # of all of them
_LONGEST: Final = 512  # characters of a value that is kept
_KEPT: Final = (
    R.MALWARE, R.CVE, R.PORT, R.PORT_SET, R.URL, R.DOMAIN, R.ADDRESS, R.HASH, R.TOKEN, R.CREDENTIAL, R.DEVICE, R.VENDOR,
    R.REQUEST, R.RELATION,
)  # fmt: skip
STANDS_ALONE: Final = (
    "alone"  # an address or a domain that is not only part of a URL: a controller, it may be
)


class Reports:
    """``held``: id -> the report as JSON. Of reports with one id the first in the order of bytes stays; of more than
    ``limit`` those with the lowest hash."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held: dict[str, bytes] = {}
        self.left_out = 0

    def add(self, batch: pa.RecordBatch) -> None:
        for row in batch.to_pylist():
            self._keep(str(row["id"]), compact(row))
        self._shrink()

    def merge(self, other: Reports) -> None:
        for number, data in other.held.items():
            self._keep(number, data)
        self._shrink()

    def _keep(self, number: str, data: bytes) -> None:
        before = self.held.get(number)
        if before is None or data < before:
            self.held[number] = data

    def _shrink(self) -> None:
        if len(self.held) > self.limit:
            order = sorted(self.held, key=lambda n: (hashlib.blake2b(n.encode(), digest_size=8).digest(), n))
            self.held = {number: self.held[number] for number in order[: self.limit]}

    def rows(self) -> dict[str, dict[str, Any]]:
        """id -> {title, published (ns), dated, items: {type: [values]}}, in order of id."""
        return {number: json.loads(self.held[number]) for number in sorted(self.held)}

    def to_bytes(self) -> bytes:
        names = sorted(self.held)
        pieces = [piece for name in names for piece in (name.encode(), self.held[name])]
        arrays: dict[str, np.ndarray] = {
            "length": np.array([len(piece) for piece in pieces], np.int64),
            "text": np.frombuffer(b"".join(pieces), np.uint8),
        }
        return pack("reports", 1, arrays, {"limit": self.limit})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        arrays, scalars = unpack("reports", 1, data)
        try:
            made = cls(scalars["limit"])
            length, text = arrays["length"], arrays["text"].tobytes()
            if length.min(initial=0) < 0 or length.sum() != len(text) or len(length) % 2:
                raise StateError("damaged state of reports: lengths do not add up")
            ends = np.cumsum(length).tolist()
            begins = [0, *ends[:-1]]
            pieces = [text[a:b] for a, b in zip(begins, ends, strict=False)]
            made.held = {name.decode(): body for name, body in zip(pieces[::2], pieces[1::2], strict=True)}
        except (KeyError, UnicodeDecodeError) as error:
            raise StateError(f"damaged state of reports: {error}") from error
        return made


def compact(row: Mapping[str, Any]) -> bytes:
    """What is kept of a report: its distinct mentions by type, in the order of the text, as JSON."""
    items: dict[str, dict[str, None]] = {}
    spans = [(m["at"], m["at"] + len(m["text"])) for m in row["mentions"] if m["type"] == R.URL]
    count = characters = 0
    for mention in row["mentions"]:
        kind, value = mention["type"], str(mention["value"])[:_LONGEST]
        if kind not in _KEPT or count >= MOST_ITEMS or characters + len(value) > _MOST_CHARACTERS:
            continue
        known = items.setdefault(kind, {})
        if value not in known:
            count, characters = count + 1, characters + len(value)
        known[value] = None
        if kind in (R.ADDRESS, R.DOMAIN) and not any(a <= mention["at"] < b for a, b in spans):
            items.setdefault(STANDS_ALONE, {})[value] = None
    published = row["published"]
    # Rows of Arrow are pandas' where it is installed, else Python's.
    at = published.value if hasattr(published, "value") else round(published.timestamp() * 1000) * 1_000_000
    body = {
        "title": str(row["title"])[:300],
        "published": int(at),
        "dated": bool(row["dated"]),
        "items": {kind: list(values) for kind, values in items.items()},
    }  # fmt: skip
    return json.dumps(body, ensure_ascii=False, sort_keys=True).encode("utf-8", "replace")
