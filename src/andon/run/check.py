"""Running the checks of a finding: what it should give, what it gives, and the command that says so.

Over the history a check's relation is translated to SQL here and answered by DuckDB; over files tcpdump counts. What
stands in a finding as text for a tool is never run as SQL, and goes to tcpdump behind ``--`` as one argument, never
through a shell: a finding may come from somebody else.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from andon.records.expression import NotExpressible, count_sql, parse, session_sql
from andon.records.expression.ast import keys_of
from andon.store.history import History

_SECONDS = 600
_COUNT = re.compile(r"^\s*(\d+) packets?\b")


@dataclass(frozen=True)
class Checked:
    """One check. ``got`` is None where it could not be run; ``note`` says why, or what to know of it."""

    statement: str
    relation: str
    expected: int | None
    by_chance: float
    got: int | None
    command: str
    note: str = ""

    @property
    def agrees(self) -> bool | None:
        """Whether it gave what the finding says; None where one of the two is not there."""
        return None if self.got is None or self.expected is None else self.got == self.expected


def over_history(
    finding: Mapping[str, Any], window: tuple[int, int], history: History, telescope: Sequence[str] = ()
) -> Iterator[Checked]:
    """Every check of a finding, counted over the history in its window (ns). ``telescope``: only packets to these
    prefixes. Raises StoreError."""
    for statement, check in _checks(finding):
        if not check.get("relation"):
            yield _by_hand(statement, check)
            continue
        try:
            sql = window_sql(str(check["relation"]), window, telescope)
        except (NotExpressible, ValueError) as error:
            yield _checked(statement, check, None, "", f"not expressible in SQL: {error}")
            continue
        with history.query(sql) as answer:
            table = answer.read_all()
        got = table.column(0)[0].as_py() if table.num_rows else None
        yield _checked(statement, check, got, sql)


def window_sql(relation: str, window: tuple[int, int], telescope: Sequence[str] = ()) -> str:
    """The query that counts a relation's packets (its sessions, if it has a key) in a window.

    >>> window_sql("ip.id == 54321", (0, 10**9))[:54]
    'WITH chosen AS (SELECT * FROM packets WHERE ts >= make'
    """
    expression = parse(relation)
    start, end = (f"make_timestamptz({-(-moment // 1000)})" for moment in window)
    chosen = f"SELECT * FROM packets WHERE ts >= {start} AND ts < {end}"
    if telescope:
        for prefix in telescope:
            if not re.fullmatch(r"[0-9.]{7,15}/[0-9]{1,2}", prefix):
                raise ValueError(f"telescope prefix {prefix!r} is not IPv4 CIDR")
        inside = " OR ".join(f"in_prefix(dst, '{prefix}')" for prefix in telescope)
        chosen += f" AND ({inside})"
    keyed = bool(keys_of(expression))
    counted = session_sql(expression, "chosen") if keyed else count_sql(expression, "chosen")
    return f"WITH chosen AS ({chosen}) {counted}"


def over_files(finding: Mapping[str, Any], folder: Path, tcpdump: str | None = None) -> Iterator[Checked]:
    """Every tcpdump check of a finding, run on the files it names (relative to the working folder, else to
    ``folder``)."""
    program = tcpdump or shutil.which("tcpdump")
    for statement, check in _checks(finding):
        text = str(check.get("expression") or "")
        if check.get("tool") != "tcpdump" or not text:
            yield _by_hand(statement, check)
            continue
        if program is None:
            yield _checked(statement, check, None, "", "tcpdump is not installed")
            continue
        files = [_place(str(name), folder) for name in check.get("input") or ()]
        command = " ".join(f"-r {name}" for name in files)
        command = f"tcpdump -n -O --count {command} -- '{text}'"
        try:
            got = sum(_tcpdump(program, name, text) for name in files)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            yield _checked(statement, check, None, command, str(error))
            continue
        note = "" if files else "the check names no file"
        if got != check.get("expected"):
            note = "if a file reaches beyond the finding's window, cut it with editcap -A START -B END"
        yield _checked(statement, check, got if files else None, command, note)


def _tcpdump(program: str, path: Path, expression: str) -> int:
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    done = subprocess.run(
        [program, "-n", "-O", "--count", "-r", str(path.resolve()), "--", expression],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_SECONDS,
        check=False,
    )
    for line in (done.stdout + b"\n" + done.stderr).decode("utf-8", "replace").splitlines():
        found = _COUNT.match(line)
        if found and done.returncode == 0:
            return int(found[1])
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    raise ValueError(f"tcpdump: {said[-1][:300] if said else f'exit code {done.returncode}'}")


def _by_hand(statement: str, check: Mapping[str, Any]) -> Checked:
    """A check that is not run here: text for SQL or a shell may come from somebody else."""
    tool, text = str(check.get("tool") or ""), str(check.get("expression") or "")
    if tool == "tcpdump":
        return _checked(statement, check, None, "", "tcpdump cannot say this relation")
    command = f"duckdb -c {shlex.quote(text)}" if tool == "sql" else text
    where = "in the folder of the results, " if tool == "sql" else ""
    return _checked(
        statement, check, None, command, f"for {tool}: read it, then run it by hand {where}".rstrip(", ")
    )


def _place(name: str, folder: Path) -> Path:
    path = Path(name)
    return path if path.is_file() or path.is_absolute() else folder / path


def _checks(finding: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for item in finding.get("evidence") or ():
        check = item.get("check") if isinstance(item, Mapping) else None
        if isinstance(check, Mapping) and (check.get("relation") or check.get("expression")):
            yield str(item.get("statement", "")), check


def _checked(
    statement: str, check: Mapping[str, Any], got: int | None, command: str, note: str = ""
) -> Checked:
    expected, chance = check.get("expected"), check.get("by_chance")
    return Checked(
        statement=statement,
        relation=str(check.get("relation") or ""),
        expected=expected if isinstance(expected, int) else None,
        by_chance=float(chance) if isinstance(chance, int | float) else 0.0,
        got=got,
        command=command,
        note=note,
    )
