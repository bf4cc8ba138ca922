"""Keeping the history quick and within its space: joining small files, dropping the oldest rows.

Rows keep their order and their numbers, whatever is joined or dropped. Readers go on meanwhile: files that are no
longer part of the table stay on disk for the grace period, so that whoever has opened the table before can finish.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from andon.store.history_files import FileWriter, StoredFile, read_stored
from andon.store.history_log import EXPIRED
from andon.store.history_schema import STORED

if TYPE_CHECKING:
    from andon.store.history import History

SMALL = 8 << 20  # files of this size are left alone: rewriting them costs more than it gives
TARGET = 64 << 20
FEW = 8  # fewer small neighbours than this wait for more, so that a row is rewritten rarely
_EVER = (-(2**63), 2**63 - 1)


@dataclass(frozen=True)
class Compacted:
    """What a compaction did: files and bytes it replaced and made; ``removed`` old files gone from the disk."""

    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int
    rows: int
    removed: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Expired:
    """What retention dropped; ``removed`` files are gone from the disk already, the rest after the grace period."""

    files: int
    rows: int
    bytes: int
    removed: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def compact(history: History, grace_hours: int) -> Compacted:
    """Joins neighbouring small files of a date, one commit for each new file.

    Needs the memory of one row group; may run beside ``append`` and ``read``, not beside ``expire``. What
    was interrupted is done by the next call."""
    old: list[StoredFile] = []
    new: list[StoredFile] = []
    for group in _groups(history.files()):
        writer = FileWriter(history.log.root, group[0].date, history.level)
        try:
            for batch in read_stored(history.log.root, group, STORED.names, *_EVER):
                writer.write(batch)
            file = writer.close()
        except BaseException:
            writer.abandon()
            raise
        history.log.commit(add=[file], remove=group, transactions={}, data_change=False)
        old.extend(group)
        new.append(file)
    removed = history.vacuum(grace_hours)
    return Compacted(
        len(old),
        len(new),
        sum(file.size for file in old),
        sum(file.size for file in new),
        sum(file.rows for file in new),
        removed,
    )


def _groups(files: Sequence[StoredFile]) -> Iterator[list[StoredFile]]:
    """Runs of small files of one date that are worth joining, each no larger than ``TARGET`` when joined."""
    dates = sorted(files, key=lambda file: (file.date or "", file.row_min))
    for _, of_date in groupby(dates, key=lambda file: file.date):
        run: list[StoredFile] = []
        for file in of_date:
            if file.size >= SMALL or sum(one.size for one in run) + file.size > TARGET:
                if len(run) >= FEW:
                    yield run
                run = []
            if file.size < SMALL:
                run.append(file)
        if len(run) >= FEW:
            yield run


def expire(history: History, *, before_ns: int | None, keep_bytes: int | None, grace_hours: int) -> Expired:
    """Drops whole files: those whose packets are all older than ``before_ns``, and the oldest ones (by ``row``) until
    at most ``keep_bytes`` are left. Both may be given. What a reader may still need stays for ``grace_hours``."""
    files = history.files()
    drop = [file for file in files if before_ns is not None and file.ts_max * 1000 + 999 < before_ns]
    if keep_bytes is not None:
        dropped = {file.path for file in drop}
        left = [file for file in files if file.path not in dropped]
        size = sum(file.size for file in left)
        for file in left:
            if size <= keep_bytes:
                break
            drop.append(file)
            size -= file.size
    if drop:
        below = max(history.log.transaction(EXPIRED) or 0, *(file.row_max + 1 for file in drop))
        history.log.commit(remove=drop, transactions={EXPIRED: below})
    removed = history.vacuum(grace_hours)
    return Expired(len(drop), sum(f.rows for f in drop), sum(f.size for f in drop), removed)
