"""Old tables of engines are deleted, and a crash in between leaves no name without a file and no file for ever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from andon.run.live.past import Past
from andon.run.live.tables import SpanTables
from andon.run.live.trouble import Troubles
from andon.run.live.upkeep import Upkeep
from andon.store.casebook import Casebook, Conclusion
from andon.store.errors import StoreDamaged, StoreReadOnly
from andon.store.history import History
from andon.store.journal import Journal

DAY = 86_400 * 10**9
ENGINE, NAME = "darknet.tools", "darknet.tools:sources"


class Store:
    """A casebook with a table for every one of ten days, and what looks after it."""

    def __init__(self, folder: Path) -> None:
        self.book = Casebook(folder)
        self.book.migrate()
        self.tables = SpanTables(folder / "tables")
        self.troubles = Troubles()
        past = Past(Journal(folder / "journal"), History(folder / "history"), None)
        self.upkeep = Upkeep(
            past, self.book, self.tables, lambda: 10 * DAY, 30 * DAY, 0, 3600.0, lambda: 0, 5 * DAY, self.troubles
        )  # fmt: skip

    def fill(self) -> None:
        for day in range(10):
            made = self.tables.write("1d", day * DAY, {NAME: pa.table({"n": [day]})}, (), ENGINE)
            self.book.conclude(Conclusion(ENGINE, 1, "1d", day * DAY, (day + 1) * DAY, day + 1, tables=made))

    def named(self) -> set[str]:
        found = (self.book.table(NAME, "1d", day * DAY) for day in range(10))
        return {str(self.tables.folder / table.path) for table in found if table is not None}

    def there(self) -> set[str]:
        return {str(path) for path in self.tables.folder.rglob("*.parquet")}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path)
    made.fill()
    assert made.named() == made.there() and len(made.there()) == 10
    return made


def test_tables_older_than_asked_for_are_deleted(store: Store) -> None:
    store.upkeep.once()
    assert store.named() == store.there() and len(store.there()) == 6
    assert store.book.doomed() == []


@pytest.mark.parametrize("killed_in", ["remove", "deleted"])
def test_a_crash_between_row_and_file_is_made_good_by_the_next_run(
    store: Store, tmp_path: Path, killed_in: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(store.tables if killed_in == "remove" else store.book, killed_in, dies)
    with pytest.raises(KeyboardInterrupt):
        store.upkeep.once()
    assert store.named() <= store.there()  # no name without a file
    assert len(store.named()) == 6
    store.book.close()
    after = Store(tmp_path)
    assert len(after.book.doomed()) == 4
    after.upkeep.once()
    assert after.named() == after.there() and len(after.there()) == 6
    assert after.book.doomed() == []


def test_a_folder_that_cannot_be_written_is_trouble_and_tried_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = store.tables.remove

    def refuses(paths: Any) -> None:
        raise StoreReadOnly("the folder is read-only")

    monkeypatch.setattr(store.tables, "remove", refuses)
    store.upkeep.once()
    assert store.troubles.texts() == ("the folder is read-only",)
    assert len(store.book.doomed()) == 4
    monkeypatch.setattr(store.tables, "remove", remove)
    store.upkeep._expired = -1e9
    store.upkeep.once()
    assert store.troubles.texts() == () and store.named() == store.there()


def test_nothing_outside_of_the_folder_is_ever_deleted(store: Store, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("stays")
    for path in ("../precious", "../../precious", str(tmp_path / "precious"), "a/b/../../../precious"):
        with pytest.raises(StoreDamaged):
            store.tables.remove([path])
    assert (tmp_path / "precious").exists()
