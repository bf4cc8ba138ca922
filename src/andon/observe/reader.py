"""``read``: captures as batches of the packet record."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from andon.observe import framing as F
from andon.observe.batch import Arena
from andon.observe.capture import Capture, Damage
from andon.observe.columns import transports
from andon.observe.sources import open_source
from andon.observe.walk import walk
from andon.records import packet


@dataclass(frozen=True)
class Counts:
    """``packets`` met in the input, ``rows`` made of them, and why the others gave none."""

    packets: int
    rows: int
    skipped: dict[str, int]


class Reader:
    """An iterable of ``pyarrow.RecordBatch`` over one capture. Made by ``read``; can be run through once.

    While and after iterating:

    - ``counts``: packets met, rows made, ``skipped`` as reason -> packets;
    - ``damage``: at most 1,000 ``Damage`` entries; ``damage_total`` counts all;
    - ``link_types``: LINKTYPE numbers of the input, in order of appearance;
    - ``first_ts``, ``last_ts``: nanoseconds since 1970 of the first and last packet in file order, None before;
    - ``bad_fractions``: timestamps whose fraction was a second or more (taken as they stand);
    - ``offset``: bytes of the uncompressed input dealt with; ``stopped``: why reading ended, "" before that.
    """

    def __init__(self, capture: Capture, columns: tuple[str, ...], reuse: bool) -> None:
        self._capture = capture
        self.schema = pa.schema([packet.SCHEMA.field(name) for name in columns])
        self._arena = Arena(columns, reuse)
        self._transports = transports()
        capture.state[F.FULL] = self._arena.full
        capture.state[F.TRANSPORTS] = self._transports.ctypes.data
        self._rows = 0
        self._batches = self._run()

    @property
    def counts(self) -> Counts:
        skipped = self._capture.reasons()
        rows = self._rows + int(self._capture.state[F.ROW])
        return Counts(rows + sum(skipped.values()), rows, skipped)

    @property
    def damage(self) -> list[Damage]:
        return self._capture.damage

    @property
    def damage_total(self) -> int:
        return self._capture.damage_total

    @property
    def link_types(self) -> list[int]:
        return self._capture.link_types

    @property
    def first_ts(self) -> int | None:
        return self._capture.first_ts

    @property
    def last_ts(self) -> int | None:
        return self._capture.last_ts

    @property
    def bad_fractions(self) -> int:
        return int(self._capture.state[F.BAD_FRACTION])

    @property
    def offset(self) -> int:
        return self._capture.offset

    @property
    def stopped(self) -> str:
        return self._capture.stopped

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self

    def __next__(self) -> pa.RecordBatch:
        return next(self._batches)

    def close(self) -> None:
        """Let go of the input before its end."""
        self._batches.close()
        self._capture.close()

    def _run(self) -> Generator[pa.RecordBatch, None, None]:
        state = self._capture.state
        try:
            status = F.BATCH_FULL
            while status != F.ENDED:
                status = self._capture.advance(self._walk)
                rows, v6_rows = int(state[F.ROW]), int(state[F.V6_ROWS])
                if rows:
                    self._rows += rows
                    state[F.ROW] = state[F.V6_ROWS] = 0
                    yield self._arena.batch(rows, v6_rows)
                    if v6_rows:
                        self._arena.clear_v6()
        finally:
            self._capture.close()

    def _walk(
        self, address: int, length: int, state: NDArray[np.int64], interfaces: NDArray[np.int64]
    ) -> int:
        arena, capture = self._arena, self._capture
        return int(
            walk(
                address,
                length,
                state,
                interfaces,
                arena.address,
                arena.v6_address,
                capture.skipped,
                capture.unknown,
            )
        )


def read(
    path_or_stream: str | os.PathLike[str] | BinaryIO,
    columns: Sequence[str] | None = None,
    reuse: bool = False,
    eager: bool = False,
) -> Reader:
    """Read a capture: pcap or pcapng, plain or gz/zst/lz4, from a path or a binary stream.

    Gives batches of up to 65,536 rows with the columns of ``andon.records.packet.SCHEMA`` (all, or those named
    in ``columns``, in that order). Asking for none but the thirteen core columns is about twice as fast.
    With ``reuse=True`` a batch is lent until the next one is asked for; otherwise it is the caller's.
    With ``eager=True`` what a pipe holds is given at once rather than when a batch is full.
    A plain file is mapped into memory: it must not be cut short by others while it is read.

    Raises ``NotACapture`` when the bytes are no capture, ``OSError`` when the path cannot be read, ``KeyError``
    for a column that does not exist. Damage inside a capture raises nothing: see ``Reader``.

    >>> reader = read("scan.pcap", columns=["src", "dst_port"])         # doctest: +SKIP
    >>> sum(batch.num_rows for batch in reader), reader.counts.skipped   # doctest: +SKIP
    (10043, {'arp': 12})
    """
    names = tuple(columns) if columns is not None else packet.COLUMNS
    for name in names:
        if name not in packet.COLUMNS:
            raise KeyError(f"no column {name!r} in the packet record; it has: {', '.join(packet.COLUMNS)}")
    return Reader(Capture(open_source(path_or_stream, eager), eager), names, reuse)
