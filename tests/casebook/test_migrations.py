"""The schema: migrations and the tables in the code say the same, up and down, on both databases."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from casebook_samples import conclusion, finding
from sqlalchemy import inspect, text
from triage_samples import case, episode_row, episodes, some_alerts

from andon.records.case import TRUE, Suppression, Verdict
from andon.store.casebook import Casebook, CasebookError
from andon.store.casebook import migrate as module
from andon.store.casebook.connect import locate, open_engine, transaction
from andon.store.casebook.schema import metadata


def differences(place: str) -> list[object]:
    engine = open_engine(locate(place))
    with engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection), metadata)
    engine.dispose()
    return found


def tables(place: str) -> set[str]:
    engine = open_engine(locate(place))
    found = set(inspect(engine).get_table_names())
    engine.dispose()
    return found


def test_up_down_up_gives_the_tables_of_the_code(place: str) -> None:
    with Casebook(place) as book:
        book.migrate()
        assert differences(place) == []
        book.migrate("base")
        assert tables(place) <= {"alembic_version"}
        book.migrate()
        assert differences(place) == []
        book.record((finding(1),))
        assert book.last_seq() == 1


def fill(book: Casebook) -> None:
    """Something in every table of triage."""
    row = episode_row(1)
    book.alerts.add(some_alerts(20))
    with book.work("casework", 5) as work:
        work.episodes.put(episodes(row))
        for number in (1, 2):
            work.cases.create(case(number, items=(("episode", row["id"]),)))
        work.cases.merge(["case0001"], "case0002")
        work.verdicts.add(Verdict(("case", "case0002"), TRUE, "mori"))
        work.suppressions.add(Suppression("mori", "noise", 6, host="host1"))
        work.models.add("screening", "d", {})
        work.move("x", 1)


def test_a_casebook_of_before_gains_the_tables_of_triage_and_keeps_what_it_had(place: str) -> None:
    with Casebook(place) as book:
        book.migrate("r0002")
        assert "cases" not in tables(place)
        book.conclude(conclusion(3))
        book.migrate()
        assert differences(place) == []
        assert [one.id for one in book.findings()] == [finding(3).id]
        fill(book)
        assert book.cases.get("case0002").items and book.alerts.count() == 20


def test_the_tables_of_triage_go_and_come_with_data_in_them(place: str) -> None:
    with Casebook(place) as book:
        book.migrate()
        book.conclude(conclusion(3))
        fill(book)
        audited = len(book.audit_log())
        book.migrate("r0002")
        assert "cases" not in tables(place)
        assert [one.id for one in book.findings()] == [finding(3).id]
        assert len(book.audit_log()) == audited > 5
        engine = open_engine(locate(place))
        with transaction(engine, "it", write=True) as connection:
            connection.execute(text("DELETE FROM audit"))  # nothing holds it any more
        engine.dispose()
        book.migrate()
        assert differences(place) == []
        assert book.alerts.count() == 0 and book.cases.counts() == {}
        fill(book)
        with pytest.raises(CasebookError, match="only added to"):
            engine = open_engine(locate(place))
            with transaction(engine, "it", write=True) as connection:
                connection.execute(text("DELETE FROM verdicts"))


def test_the_newest_migration_is_the_one_that_is_looked_for() -> None:
    folder = Path(module.__file__).parent / "migrations"
    assert ScriptDirectory(str(folder)).get_current_head() == module.HEAD


def test_a_casebook_of_a_newer_andon_is_left_alone(place: str) -> None:
    with Casebook(place) as book:
        book.migrate()
        engine = open_engine(locate(place))
        with engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = 'r9999'"))
        engine.dispose()
        with pytest.raises(CasebookError, match="newer"):
            book.migrate()


def test_two_processes_may_migrate_at_once(place: str) -> None:
    code = "import sys; from andon.store.casebook import Casebook; Casebook(sys.argv[1]).migrate()"
    started = [
        subprocess.Popen([sys.executable, "-c", code, place], stderr=subprocess.PIPE, env=os.environ)
        for _ in range(3)
    ]
    for process in started:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said.decode()
    assert differences(place) == []
