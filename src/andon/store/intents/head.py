"""The head file: how far the log goes, so that a tail that was cut off is seen.

Two slots of 512 bytes, each a line of JSON padded with blanks; append ``n`` writes slot ``n % 2`` in place, so that a
torn write spoils one slot at most, and 512 bytes are a sector. It is written after the line is on disk and synced a
little later: after a power cut it may lag, it never leads. Whoever can write the folder can cut the log and write a
head to match; with a key he can only put back an old log together with its old head. Against that, keep a head
somewhere else now and then (``andon contain status`` prints it).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from andon.store.durable import write_durable
from andon.store.errors import explained

NAME: Final = "head"
_SLOT: Final = 512


@dataclass(frozen=True)
class Head:
    """The last line: its number, its hash, and the number of the first line of the segment it is in."""

    number: int
    hash: str
    segment: int

    def _text(self) -> str:
        return f"{self.number} {self.hash} {self.segment}"

    def encode(self, key: bytes | None) -> bytes:
        check = (
            hmac.new(key, self._text().encode(), hashlib.sha256).hexdigest()
            if key
            else hashlib.sha256(self._text().encode()).hexdigest()
        )
        body = {
            "n": self.number,
            "hash": self.hash,
            "segment": self.segment,
            "mac" if key else "check": check,
        }
        return json.dumps(body).encode().ljust(_SLOT - 1) + b"\n"


def _slot(data: bytes, key: bytes | None) -> tuple[Head | None, bool]:
    """(head, whether it proved itself). A signed head that cannot be checked for want of a key counts as proved."""
    try:
        body = json.loads(data)
        head = Head(int(body["n"]), str(body["hash"]), int(body["segment"]))
        if "mac" in body and key is None:
            return head, True
        return head, hmac.compare_digest(head.encode(key).rstrip(), data.rstrip())
    except (ValueError, KeyError, TypeError, RecursionError):
        return None, False


def read_head(folder: Path, key: bytes | None) -> Head | None:
    """The newest proven head; None where there is no file or no slot proves itself. Raises StoreError."""
    path = folder / NAME
    with explained(path, "reading the head of the intent log"):
        if not path.exists():
            return None
        data = path.read_bytes()[: 2 * _SLOT]
    slots = [_slot(data[at : at + _SLOT], key) for at in (0, _SLOT)]
    proven = [head for head, right in slots if head is not None and right]
    return max(proven, key=lambda head: head.number, default=None)


def create_head(folder: Path, head: Head, key: bytes | None) -> None:
    """A new head file, synced, both slots the same. Raises StoreError."""
    write_durable(folder / NAME, [head.encode(key) * 2])


def write_head(fd: int, head: Head, key: bytes | None) -> None:
    """Into its slot of the open file; not synced. Raises OSError."""
    os.pwrite(fd, head.encode(key), head.number % 2 * _SLOT)
