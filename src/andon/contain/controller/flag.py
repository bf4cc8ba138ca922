"""The kill switch for when nothing else works: a file.

``touch STORE/contain/kill`` pulls it, from any process and by hand: the controller looks for the file at every step. It
is also how the switch is pulled when the log cannot be written (full disk, damage). Releasing removes it.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from andon.store.errors import explained

NAME = "kill"


def raise_flag(folder: Path, actor: str, reason: str) -> bool:
    """Whether it is there now, with the words in it if there was room for them. Not synced: the kill switch does not
    wait for a disk, and what it guards against until the log has it is the death of this process."""
    try:
        (folder / NAME).touch()
    except OSError:
        return False
    with suppress(OSError):
        (folder / NAME).write_text(json.dumps({"actor": actor, "reason": reason}), encoding="ascii")
    return True


def flag(folder: Path) -> tuple[str, str] | None:
    """(who, why) if it is there."""
    path = folder / NAME
    try:
        data = path.read_bytes()[:10_000]
    except FileNotFoundError:
        return None
    except OSError:
        return "somebody", f"the file {NAME} is there"
    try:
        said = json.loads(data)
        return str(said["actor"]), str(said["reason"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return "somebody", f"the file {NAME} is there"


def lower_flag(folder: Path) -> None:
    """Raises StoreError."""
    with explained(folder / NAME, "releasing the kill switch"):
        (folder / NAME).unlink(missing_ok=True)
