"""Published tables at rest: one Parquet file per table and span, and all entities of a conclusion's findings."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from andon.records.finding import Finding
from andon.store.durable import make_folder, sync_path
from andon.store.errors import StoreDamaged, explained
from andon.store.parquet import write_table

_INLINE = 100


class SpanTables:
    """``folder/ENGINE.TABLE/SPAN-START.parquet``; written and synced before the casebook names them.

    ``write`` raises StoreFull, StoreReadOnly, StoreError; it may be called again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        make_folder(folder)

    def write(
        self, span: str, start: int, tables: Mapping[str, pa.Table], findings: Sequence[Finding], engine: str
    ) -> tuple[tuple[str, str, str, int], ...]:
        """(name, path below the folder, digest, rows) of every table that has rows."""
        made = dict(tables)
        entities = _entities(findings)
        if entities is not None:
            made[f"{engine}:entities"] = entities
        return tuple(self._write(name, span, start, table) for name, table in made.items() if table.num_rows)

    def remove(self, paths: Sequence[str]) -> None:
        """Delete tables, by their paths below the folder; what is gone already is fine. Durable when it returns.
        Raises StoreReadOnly, StoreError."""
        folders = set()
        for path in paths:
            place = self.folder / path
            if place.resolve().parent.parent != self.folder.resolve():
                raise StoreDamaged(
                    f"{path!r} is no table below {self.folder}: the casebook is of another store"
                )
            with explained(place, "deleting an old table"):
                place.unlink(missing_ok=True)
            folders.add(place.parent)
        for folder in sorted(folders):
            if folder.is_dir():
                with explained(folder, "deleting old tables"):
                    sync_path(folder)

    def _write(self, name: str, span: str, start: int, table: pa.Table) -> tuple[str, str, str, int]:
        path = Path(name.replace(":", ".")) / f"{span}-{start}.parquet"
        final = self.folder / path
        make_folder(final.parent)
        with explained(final, "writing a table"):
            write_table([table], final)
            sync_path(final.parent)
            digest = hashlib.sha256(final.read_bytes()).hexdigest()
        return name, str(path), digest, table.num_rows


def _entities(findings: Sequence[Finding]) -> pa.Table | None:
    """All entities of findings that have more than the JSON form shows."""
    rows = [
        (finding.id, entity.type, entity.value, entity.packets)
        for finding in findings
        if len(finding.entities) > _INLINE
        for entity in finding.entities
    ]
    if not rows:
        return None
    names = ("finding_id", "type", "value", "packets")
    return pa.table({name: list(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)})
