"""Setting a damaged log aside, under a new name, and beginning a new one that names its end.

Nothing is thrown away and nothing is made to look whole: the old files stay as they are in ``damaged-TIME``, and the
first line of the new log says where they are, how they ended, what was wrong with them, and on whose word this was
done. It carries over what the proven lines of the old one say is in force or waits. A line that was lost may have
ended one of these, so whoever repairs gets the list of them, or takes none along (``carry=False``).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from andon.records.intent import WAITING, WANTED
from andon.store.durable import sync_path, write_durable
from andon.store.errors import StoreError, explained
from andon.store.intents.head import NAME, Head, create_head
from andon.store.intents.known import Known, header_body
from andon.store.intents.line import FIRST, encode
from andon.store.intents.loading import load
from andon.store.intents.segment import Damage, file_name, first_of, segments_in
from andon.store.intents.state import State
from andon.store.intents.uptime import boot_id, uptime


@dataclass(frozen=True)
class Repaired:
    """Where the old log is now, what was wrong with it, and which intents the new one goes on with."""

    set_aside: Path
    damage: tuple[Damage, ...]
    carried: tuple[State, ...]
    head: Head


def repair(
    folder: Path, actor: str, reason: str, now: int, key: bytes | None = None, carry: bool = True
) -> Repaired:
    """``now`` in ns. With ``key`` the new log is signed, whether the old one was or not. A kill at any point leaves the
    old log or the new one, never neither. Raises StoreError, also where the log is whole and would stay as it is."""
    with explained(folder / "lock", "locking the intent log"):
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        with explained(folder / "lock", "locking the intent log"):
            fcntl.flock(lock, fcntl.LOCK_EX)
        found = load(folder, key)
        if not found.damage and found.signed == bool(key):
            raise StoreError(f"{folder}: this intent log is whole: there is nothing to repair")
        old = segments_in(folder)
        aside = (
            folder / f"damaged-{datetime.fromtimestamp(now / 1e9, UTC):%Y%m%dT%H%M%S}-{found.chain.number}"
        )
        with explained(aside, "setting the damaged log aside"):
            aside.mkdir(exist_ok=True)
            for path in [*old, folder / NAME]:
                if path.exists() and not (aside / path.name).exists():
                    os.link(path, aside / path.name)
            sync_path(aside)
            sync_path(folder)
        known = _carried(found.known, carry)
        last = max(
            [found.chain.number, *(first_of(path) for path in old), found.head.number if found.head else 0]
        )
        ended = found.head or Head(found.chain.number, found.chain.hash or FIRST, 0)
        after = {
            "set_aside": aside.name, "n": ended.number, "hash": ended.hash, "actor": actor, "reason": reason,
            "damage": [str(one.why) for one in found.damage[:20]],
        }  # fmt: skip
        body = header_body(last + 1, ended.hash, known, now, uptime(), boot_id(), after)
        text, digest = encode(body, key)
        write_durable(folder / file_name(last + 1), [text])  # from here on the new log counts
        head = Head(last + 1, digest, last + 1)
        create_head(folder, head, key)
        with explained(folder, "setting the damaged log aside"):
            for path in old:
                path.unlink(missing_ok=True)
            sync_path(folder)
        return Repaired(aside, tuple(found.damage), tuple(known.live.values()), head)
    finally:
        os.close(lock)


def _carried(found: Known, carry: bool) -> Known:
    known = Known()
    known.hold, known.latest = found.hold, found.latest
    known.ended, known.rested = found.ended, found.rested
    if carry:
        known.live = {
            name: state
            for name, state in found.live.items()
            if state.state in WANTED or state.state == WAITING
        }
    return known


def carried_names(states: Sequence[State]) -> list[str]:
    """For a person: what goes on, one line each."""
    return [
        f"{one.intent.id:016x} {one.intent.action} {one.intent.subject.value} ({one.state})" for one in states
    ]
