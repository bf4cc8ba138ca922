"""The schema's version: looked up without Alembic (its import costs more than a query), changed with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text

from andon.store.casebook.connect import transaction
from andon.store.casebook.records import CasebookError

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "r0004"  # the newest file of migrations/versions; a test holds the two together
_LOCK = 0x616E646F6E  # "andon": PostgreSQL's advisory lock around a migration


def version(engine: Engine, name: str) -> str | None:
    """Revision of the tables that are there; None where there are none."""
    with transaction(engine, name) as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def migrate(engine: Engine, name: str, to: str = "head") -> None:
    """Bring the tables to a revision, up or down ("base" drops them). Two processes may call it at once.

    Raises CasebookError if a newer Andon wrote the casebook."""
    current = version(engine, name)
    if to == "head" and current == HEAD:
        return
    from alembic import command
    from alembic.util.exc import CommandError

    with transaction(engine, name, write=True) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        config = _config(connection)
        try:
            if to != "head" and (to == "base" or to < (current or "")):  # they are numbered: r0001, r0002
                command.downgrade(config, to)
            else:
                command.upgrade(config, to)
        except CommandError as error:
            raise CasebookError(
                f"casebook {name} has schema {current}, which this Andon does not know: use the Andon that wrote it, "
                "or a newer one"
            ) from error


def _config(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config()
    folder = str(Path(__file__).parent / "migrations").replace("%", "%%")
    config.set_main_option("script_location", folder)
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
