"""Reading captures: bytes in, batches of the packet record out.

``read`` is the door. Behind it: ``sources`` gives windows on the input, ``headers`` understands file and
section headers, the compiled ``walk`` does the packets, ``resync`` finds the way back after damage.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final

import numpy as np
import pyarrow as pa

from andon.observe import framing as F
from andon.observe import reasons, resync
from andon.observe.batch import Arena
from andon.observe.columns import transports
from andon.observe.headers import Section, file_header, interface_block, section_block
from andon.observe.sources import NotACapture, Source, open_source
from andon.observe.walk import walk
from andon.records import packet

_MOST_DAMAGE: Final = 1000


@dataclass(frozen=True)
class Damage:
    """A place where the input is not what it should be. ``skipped`` bytes were passed over there."""

    offset: int
    what: str
    skipped: int


@dataclass
class Counts:
    """``packets`` in the input, ``rows`` given, and why the others gave none."""

    packets: int
    rows: int
    skipped: dict[str, int]


class Reader:
    """An iterable of ``pyarrow.RecordBatch`` over one capture. Made by ``read``; can be run through once.

    While and after iterating:

    - ``counts``: packets seen, rows given, ``skipped`` as reason -> packets;
    - ``damage``: at most 1,000 ``Damage`` entries; ``damage_total`` counts all;
    - ``link_types``: LINKTYPE numbers seen, in order; ``first_ts``, ``last_ts``: nanoseconds since 1970 of the
      first and last packet in file order, None before the first;
    - ``bad_fractions``: timestamps whose fraction was a second or more (taken as they stand);
    - ``stopped``: why reading ended, "" while it goes on; ``bytes_read``: of the uncompressed input.
    """

    def __init__(self, source: Source, columns: tuple[str, ...], reuse: bool) -> None:
        self._source = source
        self.schema = pa.schema([packet.SCHEMA.field(name) for name in columns])
        self._arena = Arena(columns, reuse)
        self._skipped = np.zeros(len(reasons.NAMES), dtype=np.int64)
        self._unknown = np.zeros(65536, dtype=np.int64)
        self._state = np.zeros(F.STATE_SIZE, dtype=np.int64)
        self._state[F.FULL] = self._arena.full
        self._transports = transports()
        self._state[F.TRANSPORTS] = self._transports.ctypes.data
        self._rows = 0
        self.damage: list[Damage] = []
        self.damage_total = 0
        self.link_types: list[int] = []
        self.stopped = ""
        try:
            self._section = file_header(source)
        except BaseException:
            source.close()
            raise
        self._enter(self._section)
        self._state[F.POS] = 0 if self._section.ng else 24
        self._batches = self._run()

    def _enter(self, section: Section) -> None:
        self._section = section
        s = self._state
        s[F.SWAPPED], s[F.NG] = section.swapped, section.ng
        s[F.MULTIPLY], s[F.FRACTION_LIMIT] = section.multiply, section.fraction_limit
        s[F.LINK], s[F.MAX_CAPTURED] = section.link, section.max_captured
        self._interfaces = section.table()
        if not section.ng:
            self._saw_link(section.link)

    def _saw_link(self, link: int) -> None:
        if link not in self.link_types:
            self.link_types.append(link)

    @property
    def counts(self) -> Counts:
        skipped = {name: int(n) for name, n in zip(reasons.NAMES, self._skipped, strict=True) if n}
        for link in np.flatnonzero(self._unknown):
            skipped[f"unknown link type {link}"] = int(self._unknown[link])
        return Counts(self._rows + int(self._state[F.ROW]) + sum(skipped.values()), self._rows, skipped)

    @property
    def first_ts(self) -> int | None:
        return int(self._state[F.FIRST_TS]) if self._state[F.BEGUN] else None

    @property
    def last_ts(self) -> int | None:
        return int(self._state[F.LAST_TS]) if self._state[F.BEGUN] else None

    @property
    def bad_fractions(self) -> int:
        return int(self._state[F.BAD_FRACTION])

    @property
    def bytes_read(self) -> int:
        return self._source.origin + int(self._state[F.POS])

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self

    def __next__(self) -> pa.RecordBatch:
        return next(self._batches)

    def _run(self) -> Iterator[pa.RecordBatch]:
        try:
            more = True
            while more:
                more = self._fill()
                rows = int(self._state[F.ROW])
                if rows:
                    self._rows += rows
                    v6_rows = int(self._state[F.V6_ROWS])
                    self._state[F.ROW] = 0
                    self._state[F.V6_ROWS] = 0
                    yield self._arena.batch(rows, v6_rows)
                    if v6_rows:
                        self._arena.clear_v6()
        finally:
            self._source.close()

    def _fill(self) -> bool:
        """Fill the arena; False when the input has ended."""
        while True:
            status = walk(
                self._source.address,
                self._source.length,
                self._state,
                self._interfaces,
                self._arena.address,
                self._arena.v6_address,
                self._skipped,
                self._unknown,
            )
            if status == F.BATCH_FULL:
                return True
            if status == F.NEED:
                if self._source.last:
                    return self._end()
                self._advance()
            elif status == F.HEADER_BLOCK:
                if not self._header_block():
                    return False
            elif not self._recover():
                return False

    def _advance(self) -> None:
        self._source.advance(int(self._state[F.POS]))
        self._state[F.POS] = 0

    def _note(self, what: str, skipped: int) -> None:
        self.damage_total += 1
        if len(self.damage) < _MOST_DAMAGE:
            self.damage.append(Damage(self.bytes_read, what, skipped))

    def _end(self) -> bool:
        rest = self._source.length - int(self._state[F.POS])
        if self._source.trouble:
            self._note(self._source.trouble, 0)
        if rest:
            self._note("the input ends inside a record", rest)
            self._state[F.POS] += rest
        if self._source.trouble:
            self.stopped = self._source.trouble
        else:
            self.stopped = "end of input inside a record" if rest else "end of input"
        return False

    def _header_block(self) -> bool:
        pos = int(self._state[F.POS])
        found = section_block(self._source, pos, self._section)
        if found is None:
            found = interface_block(self._source, pos, self._section)
            if found is not None:
                self._saw_link(found.interfaces[-1].link)
        if found is None:
            return self._recover()
        if found.need:
            if self._source.last:
                return self._end()
            self._advance()
            return True
        self._enter(found)
        self._state[F.POS] = pos + found.size
        return True

    def _recover(self) -> bool:
        """Find the next plausible record after damage; False when there is none."""
        state, source = self._state, self._source
        begin = source.origin + int(state[F.POS])
        state[F.POS] += 1
        while True:
            pos = int(state[F.POS])
            if self._section.ng:
                what, at = resync.next_block(
                    source.address, pos, source.length, source.last, self._section.swapped
                )
            else:
                seconds = int(state[F.LAST_TS]) // 1_000_000_000 if state[F.BEGUN] else -1
                what, at = resync.next_record(
                    source.address,
                    pos,
                    source.length,
                    source.last,
                    self._section.swapped,
                    self._section.max_captured,
                    self._section.fraction_limit,
                    seconds,
                )
            state[F.POS] = at
            if what != resync.UNDECIDED:
                break
            self._advance()
        if what == resync.NOT_FOUND:
            state[F.POS] = source.length
        here = source.origin + int(state[F.POS])
        self.damage_total += 1
        if len(self.damage) < _MOST_DAMAGE:
            self.damage.append(Damage(begin, "not a record header", here - begin))
        if what == resync.NOT_FOUND:
            self.stopped = "damage with no plausible record behind it"
            return False
        return True


def read(
    path_or_stream: str | os.PathLike[str] | BinaryIO,
    columns: Sequence[str] | None = None,
    reuse: bool = False,
) -> Reader:
    """Read a capture: pcap or pcapng, plain or gz/zst/lz4, from a path or a binary stream.

    Gives batches of up to 65,536 rows with the columns of ``andon.records.packet.SCHEMA`` (all, or those named
    in ``columns``, in that order). Asking for none but the thirteen core columns is about twice as fast.
    With ``reuse=True`` a batch is lent until the next one is asked for; otherwise it is the caller's.

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
    return Reader(open_source(path_or_stream), names, reuse)


__all__ = ["Counts", "Damage", "NotACapture", "Reader", "read"]
