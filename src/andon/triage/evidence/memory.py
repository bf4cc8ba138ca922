"""What our addresses were seen to answer on, over the days: the carry of ``triage.evidence``.

A service is (address, port, protocol) of an inside address that answered at least once. It is forgotten when it has not
answered for some days; of more than a bound the ones that answered last stay.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.records.inside import Inside
from andon.records.triage import SERVICES
from andon.sketch.state import StateError, pack, unpack

Key = tuple[str, int, str]
_TIMES: Final = ("first", "last")
_NUMBERS: Final = ("first", "last", "flows", "clients")


class Memory:
    """``told``: number of the day (UTC) of which everything was published last; ``forgotten``: services that the bound
    left no room for."""

    def __init__(self, told: int = 0) -> None:
        self.told = told
        self.forgotten = 0
        self._rows: dict[Key, tuple[str, int, int, int, int]] = {}  # service, first, last, flows, clients

    def copy(self) -> Memory:
        made = Memory(self.told)
        made.forgotten = self.forgotten
        made._rows = dict(self._rows)
        return made

    def learn(self, conversations: pa.Table, inside: Inside) -> list[Key]:
        """Take in the conversations of a span; the services that answered in it, in order."""
        answered = pc.greater(
            conversations.column("flows"),
            pc.add(conversations.column("failed"), conversations.column("unknown")),
        )
        held = conversations.filter(answered)
        if not held.num_rows:
            return []
        words = held.column("dst").combine_chunks().dictionary_encode()
        ours = inside.find(words.dictionary)[words.indices.to_numpy()]
        held = held.filter(pa.array(ours))
        good = pc.subtract(held.column("flows"), pc.add(held.column("failed"), held.column("unknown")))
        held = held.set_column(held.schema.get_field_index("flows"), "flows", good)
        folded = held.group_by(["dst", "port", "protocol"], use_threads=False).aggregate(
            [
                ("first", "min"),
                ("last", "max"),
                ("flows", "sum"),
                ("src", "count_distinct"),
                ("service", "max"),
            ]
        )
        folded = folded.sort_by([(name, "ascending") for name in ("dst", "port", "protocol")])
        keys: list[Key] = []
        for row in folded.cast(_PLAIN).to_pylist():
            key = (row["dst"], row["port"], row["protocol"])
            service, first, last, flows, clients = self._rows.get(key, ("", row["first_min"], 0, 0, 0))
            self._rows[key] = (
                row["service_max"] or service,
                min(first, row["first_min"]),
                max(last, row["last_max"]),
                flows + row["flows_sum"],
                max(clients, row["src_count_distinct"]),
            )
            keys.append(key)
        return keys

    def forget(self, before: int, most: int) -> None:
        """What did not answer since ``before`` (ns), and what is over the bound."""
        if any(row[2] < before for row in self._rows.values()):
            self._rows = {key: row for key, row in self._rows.items() if row[2] >= before}
        if len(self._rows) > most:
            ordered = sorted(self._rows.items(), key=lambda item: (-item[1][2], item[0]))
            self.forgotten += len(ordered) - most
            self._rows = dict(ordered[:most])

    def every(self) -> pa.Table:
        """All of them, by address."""
        return self.some(sorted(self._rows))

    def some(self, keys: list[Key]) -> pa.Table:
        keys = [key for key in keys if key in self._rows]
        rows = [self._rows[key] for key in keys]
        columns: dict[str, Any] = {
            "address": pa.array([key[0] for key in keys], pa.string()),
            "port": pa.array([key[1] for key in keys], pa.int32()),
            "protocol": pa.array([key[2] for key in keys], pa.string()),
            "service": pa.array([row[0] for row in rows], pa.string()),
        }
        for n, name in enumerate(_NUMBERS, 1):
            values = pa.array([row[n] for row in rows], pa.int64())
            columns[name] = values.cast(SERVICES.field(name).type) if name in _TIMES else values
        return pa.table(columns, SERVICES)

    def to_bytes(self) -> bytes:
        table = self.every()
        arrays: dict[str, np.ndarray] = {"port": table.column("port").to_numpy()}
        for name in ("address", "protocol", "service"):
            texts = [text.encode() for text in table.column(name).to_pylist()]
            arrays[f"{name}.ends"] = np.cumsum([0, *map(len, texts)]).astype(np.int64)
            arrays[f"{name}.letters"] = np.frombuffer(b"".join(texts), np.uint8)
        for name in _NUMBERS:
            arrays[name] = table.column(name).cast(pa.int64()).to_numpy()
        return pack("services", 1, arrays, {"told": self.told, "forgotten": self.forgotten})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        arrays, scalars = unpack("services", 1, data)
        try:
            texts = []
            for name in ("address", "protocol", "service"):
                ends, letters = arrays[f"{name}.ends"].tolist(), arrays[f"{name}.letters"].tobytes()
                texts.append([letters[a:b].decode() for a, b in pairwise(ends)])
            made = cls(scalars["told"])
            made.forgotten = scalars["forgotten"]
            numbers = [arrays[name].tolist() for name in _NUMBERS]
            rows = zip(texts[0], arrays["port"].tolist(), texts[1], texts[2], *numbers, strict=True)
            made._rows = {(row[0], row[1], row[2]): (row[3], *row[4:]) for row in rows}
        except (KeyError, ValueError, TypeError) as error:
            raise StateError(f"services: parts do not fit together: {error}") from error
        return made


_PLAIN: Final = pa.schema(
    [
        ("dst", pa.string()),
        ("port", pa.int32()),
        ("protocol", pa.string()),
        ("first_min", pa.int64()),
        ("last_max", pa.int64()),
        ("flows_sum", pa.int64()),
        ("src_count_distinct", pa.int64()),
        ("service_max", pa.string()),
    ]
)
