"""Where a casebook may be: SQLite in a folder, and a private PostgreSQL that lives as long as the tests."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from andon.store.casebook.migrate import HEAD


def _binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a private server: an unprivileged user, a temporary folder, no network, only a socket."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt install postgresql)")
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    user = None
    if os.getuid() == 0:
        try:
            user = pwd.getpwnam("postgres").pw_name
        except KeyError:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp") as folder:
        data = Path(folder) / "data"
        if user is not None:
            shutil.chown(folder, user)

        def run(*command: str | Path) -> None:
            done = subprocess.run(command, user=user, cwd=folder, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr

        run(binaries / "initdb", "-D", data, "-U", "andon", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c max_connections=30"
        start = (
            binaries / "pg_ctl",
            "-D",
            data,
            "-w",
            "-t",
            "60",
            "-l",
            f"{folder}/log",
            "-o",
            options,
            "start",
        )
        run(*start)
        try:
            yield f"postgresql://andon@/postgres?host={quote(folder)}"
        finally:
            run(binaries / "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a fresh casebook goes: a folder, or a PostgreSQL URL."""
    if request.param == "sqlite":
        return str(tmp_path)
    url: str = request.getfixturevalue("postgres")
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        if "book" not in request.fixturenames or not _emptied(connection):
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
    return url


def _emptied(connection: Any) -> bool:
    """Take everything out of the tables if they are those of today: making them costs more than a small test."""
    query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    names = {str(name) for (name,) in connection.execute(query)}
    if "alembic_version" not in names:
        return False
    (held,) = connection.execute("SELECT min(version_num) FROM alembic_version").fetchone()
    if held != HEAD:
        return False
    emptied = ", ".join(sorted(names - {"alembic_version", "meta"}))
    connection.execute(f"TRUNCATE {emptied} RESTART IDENTITY")
    return True
