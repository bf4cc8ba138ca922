"""The Delta log of the history: which files are the table, and up to where the journal is in it.

delta-rs reads and writes the log. What it does not do is done here: every entry is synced before anyone relies on it, a
last entry that a power cut left empty is taken back when the table is opened (its rows are still in the journal), and a
commit on top of somebody else's is refused.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from andon.store.durable import make_folder, sync_path
from andon.store.errors import StoreDamaged, StoreLocked, StoreReadOnly, explained, translated
from andon.store.history_files import StoredFile
from andon.store.history_schema import DATE, TABLE

if TYPE_CHECKING:
    from deltalake import DeltaTable

APP = "journal"  # transaction whose version is the number of the last segment
ROWS = "rows"  # ... the number of the next row
EXPIRED = "expired"  # ... the row below which rows may be missing, because retention dropped some
_CHECKPOINT = 50  # commits between two checkpoints of the log
_UNSYNCED = 4  # entries that one call of delta-rs may write: a vacuum writes two
_ENTRY = re.compile(r"^(\d{20})\.json$")
_SETTINGS = {
    "delta.logRetentionDuration": "interval 1 days",
    "delta.deletedFileRetentionDuration": "interval 1 hours",
    "delta.checkpointInterval": str(_CHECKPOINT),
}


class HistoryLog:
    """The log of the Delta table in ``root``; the table may not exist yet."""

    def __init__(self, root: Path, clock: Callable[[], int]) -> None:
        self.root = root
        self._clock = clock
        self._lock = threading.RLock()  # delta-rs's handle is not for two threads at once
        self._table: DeltaTable | None = None
        self.refresh()

    @property
    def exists(self) -> bool:
        return self._table is not None

    @property
    def version(self) -> int:
        """Version of the table as seen; -1 without one."""
        return -1 if self._table is None else self._table.version()

    @property
    def table(self) -> DeltaTable | None:
        return self._table

    def refresh(self) -> None:
        """Sees the newest version."""
        with self._lock:
            self._refresh()

    def _refresh(self) -> None:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        log = self.root / "_delta_log"
        try:
            if self._table is not None:
                self._table.update_incremental()
            elif log.is_dir() and self._entries():
                self._take_back()
                self._table = DeltaTable(self.root)
                with suppress(StoreReadOnly):
                    self._sync()  # a writer that was killed may not have; what is seen is relied on
        except DeltaError as error:
            raise StoreDamaged(
                f"{log}: the log of the history does not read ({error}): put back a copy of the folder, or move "
                "history/ away to begin a new one"
            ) from error
        except OSError as error:
            raise translated(error, log, "opening the history") from error

    def _entries(self) -> list[Path]:
        return sorted(path for path in (self.root / "_delta_log").iterdir() if _ENTRY.match(path.name))

    def _take_back(self) -> None:
        """Removes what a power cut has left unwritten: newest entries that are not whole, and a checkpoint. Nobody
        relies on them: an append is acknowledged, and a checkpoint replaces entries, only after a sync."""
        log = self.root / "_delta_log"
        with explained(log, "opening the history"):
            newest = self._entries()[-_UNSYNCED:]
            torn = next((n for n, path in enumerate(newest) if not _whole(path)), len(newest))
            for path in reversed(newest[torn:]):
                path.unlink()
            for path in sorted(log.glob("*.checkpoint*.parquet"))[-1:]:
                if path.read_bytes()[-4:] != b"PAR1":
                    (log / "_last_checkpoint").unlink(missing_ok=True)
                    path.unlink()
            if torn < len(newest):
                sync_path(log)

    def create(self) -> None:
        """The empty table, if there is none."""
        if self._table is not None:
            return
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        make_folder(self.root)
        try:
            self._table = DeltaTable.create(
                self.root, TABLE, mode="error", partition_by=[DATE], name="packets", configuration=_SETTINGS
            )
        except (DeltaError, OSError) as error:
            raise translated(OSError(str(error)), self.root, "creating the history") from error
        self._sync()

    def transaction(self, name: str) -> int | None:
        """The value that the newest commit holds under this name."""
        with self._lock:
            return None if self._table is None else self._table.transaction_version(name)

    def files(self) -> list[StoredFile]:
        """The files of the version as seen, in order of their rows. Raises StoreDamaged."""
        if self._table is None:
            return []
        import pyarrow as pa

        found = []
        with self._lock:
            actions = pa.table(self._table.get_add_actions(flatten=True)).to_pydict()
        for n, path in enumerate(actions["path"]):
            try:
                date = actions[f"partition.{DATE}"][n]
                found.append(
                    StoredFile(
                        path=path,
                        date=None if date is None else str(date),
                        size=actions["size_bytes"][n],
                        rows=actions["num_records"][n],
                        row_min=actions["min.row"][n],
                        row_max=actions["max.row"][n],
                        ts_min=_micros(actions["min.ts"][n]),
                        ts_max=_micros(actions["max.ts"][n]),
                    )
                )
            except (KeyError, TypeError) as error:
                raise StoreDamaged(
                    f"{self.root / path}: this file is in the history's log without its statistics: something "
                    "other than andon has written to the table"
                ) from error
        return sorted(found, key=lambda file: file.row_min)

    def commit(
        self,
        *,
        add: Sequence[StoredFile] = (),
        remove: Sequence[StoredFile] = (),
        transactions: Mapping[str, int],
        data_change: bool = True,
    ) -> None:
        """One entry of the log, on disk when this returns. Files to add are synced already.

        Raises StoreLocked if the table has moved on since it was seen; the files to add are then removed."""
        with self._lock:
            self._commit(add, remove, transactions, data_change)

    def _commit(
        self,
        add: Sequence[StoredFile],
        remove: Sequence[StoredFile],
        transactions: Mapping[str, int],
        data_change: bool,
    ) -> None:
        from deltalake import CommitProperties, PostCommitHookProperties, Transaction
        from deltalake.exceptions import DeltaError
        from deltalake.transaction import AddAction, RemoveAction

        table = self._table
        assert table is not None
        now = self._clock() // 10**6
        actions: list[Any] = [
            AddAction(file.path, file.size, {DATE: file.date}, now, data_change, file.stats()) for file in add
        ]
        actions += [
            RemoveAction(file.path, data_change, now, file.size, {DATE: file.date}) for file in remove
        ]
        before = table.version()
        try:
            table.create_write_transaction(
                actions,
                mode="append",
                schema=TABLE,
                partition_by=[DATE],
                commit_properties=CommitProperties(
                    max_commit_retries=0,
                    app_transactions=[Transaction(name, value) for name, value in transactions.items()],
                ),
                post_commithook_properties=PostCommitHookProperties(
                    create_checkpoint=False, cleanup_expired_logs=False
                ),
            )
        except (DeltaError, OSError) as error:
            self._failed(error, before, add, transactions)
        table.update_incremental()
        self._sync()
        if table.version() // _CHECKPOINT > before // _CHECKPOINT:
            self.checkpoint()

    def _failed(
        self, error: Exception, before: int, add: Sequence[StoredFile], transactions: Mapping[str, int]
    ) -> None:
        self.refresh()
        if self.version > before and all(self.transaction(k) == v for k, v in transactions.items()):
            names = {file.path for file in self.files()}
            if all(file.path in names for file in add):
                return  # it did get through
        for file in add:
            (self.root / file.path).unlink(missing_ok=True)
        if self.version > before:
            raise StoreLocked(
                f"{self.root}: another writer has committed to the history in the meantime; nothing was "
                "written. Only one runner may own a store folder: stop the other one"
            ) from error
        raise translated(
            error if isinstance(error, OSError) else OSError(str(error)),
            self.root,
            "committing to the history",
        ) from error

    def checkpoint(self) -> None:
        """Sums the log up in one file and removes entries that are no longer needed."""
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        if self._table is None:
            return
        try:
            with self._lock:
                self._table.create_checkpoint()
                self._sync(everything=True)
                self._table.cleanup_metadata()
                # A handle that has followed n commits needs time in proportion to n for the next one.
                self._table = DeltaTable(self.root)
        except (DeltaError, OSError) as error:
            raise translated(OSError(str(error)), self.root, "summing up the history's log") from error

    def vacuum(self, grace_hours: int) -> int:
        """Removes files from the disk that are not in the table for longer than that; gives their number."""
        from deltalake.exceptions import DeltaError

        if self._table is None:
            return 0
        try:
            with self._lock:
                options: dict[str, Any] = {"enforce_retention_duration": False, "full": True}
                listed = self._table.vacuum(grace_hours, dry_run=True, **options)
                gone = [path for path in listed if (self.root / path).exists()]
                if gone:
                    self._table.vacuum(grace_hours, dry_run=False, **options)
                self._refresh()
                self._sync()
        except (DeltaError, OSError) as error:
            raise translated(OSError(str(error)), self.root, "removing old files of the history") from error
        for folder in self.root.glob(f"{DATE}=*"):
            with suppress(OSError):  # not empty
                folder.rmdir()
        return len(gone)

    def _sync(self, everything: bool = False) -> None:
        """Entries that this process, or one that was killed, may have left unsynced; or the checkpoints too."""
        log = self.root / "_delta_log"
        with explained(log, "syncing the history's log"):
            if everything:
                for path in log.iterdir():
                    if path.suffix == ".parquet" or path.name == "_last_checkpoint":
                        sync_path(path)
            for path in self._entries()[-_UNSYNCED:]:
                sync_path(path)
            sync_path(log)
            sync_path(self.root)


def _whole(entry: Path) -> bool:
    lines = entry.read_bytes().splitlines()
    try:
        return bool(lines) and all(isinstance(json.loads(line), dict) for line in lines)
    except ValueError:
        return False


def _micros(when: Any) -> int:
    """Microseconds since 1970 of an aware datetime, without the rounding of floats."""
    import datetime

    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return int((when - epoch) // datetime.timedelta(microseconds=1))
