"""The history in parts that are read on their own: the files of the table at one version, with what is known of each.

Nothing is opened but the log, so tens of thousands of files are listed in a second. What a compaction replaces in the
meantime stays on the disk for its grace period (``andon history compact --grace-hours``).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from andon.store.errors import StoreDamaged, StoreError
from andon.store.history import History
from andon.store.history_files import StoredFile, checksum_said, overlaps

TABLE_FOLDER = Path("history/packets")  # below a store folder
_EVER = (-(2**63), 2**63 - 1)
_READER = 1  # version of Delta's reader protocol that is understood: no deletion vectors, no mapped columns


@dataclass(frozen=True)
class Part:
    """A file of the history. ``path``: absolute if the store's was; ``first`` and ``last``: ns, no row is outside;
    ``rows`` and ``size`` (bytes) as the log says; ``digest``: of the content, the same for as long as it does not
    change, from what the log and the file's name say (its checksum is in it)."""

    path: str
    first: int
    last: int
    rows: int
    size: int
    digest: str


def parts(store: Path, start: int | None = None, end: int | None = None) -> list[Part]:
    """Files with packets of start <= ts < end (ns; None: no bound), by the time of their first packet.

    ``store`` is the folder of ``andon run``. Empty if there are none. Raises StoreError, StoreDamaged.

    >>> parts(Path("/var/lib/andon"), end=1_767_225_600_000_000_000)         # doctest: +SKIP
    [Part(path='/var/lib/andon/history/packets/date=2025-12-31/...', ...)]
    """
    root = store / TABLE_FOLDER
    if not store.is_dir():
        raise StoreError(f"{store}: no such store folder")
    if not (root / "_delta_log").is_dir():
        raise StoreError(
            f"{store}: there is no packet history in it ({TABLE_FOLDER}): is it the store of `andon run`?"
        )
    history = History(store / "history")
    _understood(history)
    low, high = _EVER[0] if start is None else start, _EVER[1] if end is None else end
    try:
        found = [_part(root, file) for file in history.files() if overlaps(file, low, high)]
    except TypeError as error:  # None where there should be a number
        raise StoreDamaged(
            f"{root}: a file is in the history's log without its statistics: something other than andon has written "
            "to the table"
        ) from error
    return sorted(found, key=lambda part: (part.first, part.path))


def _understood(history: History) -> None:
    """Raises StoreDamaged for a table that says that its files alone are not what it holds."""
    from deltalake.exceptions import DeltaError

    table = history.log.table
    if table is None:
        return
    try:
        needed = table.protocol().min_reader_version
    except DeltaError as error:
        raise StoreDamaged(f"{history.log.root}: its log does not read ({error})") from error
    if needed > _READER:
        raise StoreDamaged(
            f"{history.log.root}: the table asks for version {needed} of Delta's reader protocol, andon understands "
            f"{_READER}: another program has changed its settings"
        )


def _part(root: Path, file: StoredFile) -> Part:
    crc = checksum_said(file.path)
    content = file.path if crc is None else f"{crc:08x}"  # Delta never writes a path again
    said = ("packets", content, file.size, file.rows, file.row_min, file.row_max, file.ts_min, file.ts_max)
    digest = hashlib.sha256(repr(said).encode()).hexdigest()[:32]
    return Part(
        str(root / file.path), file.ts_min * 1000, file.ts_max * 1000 + 999, file.rows, file.size, digest
    )
