"""Who fetched which version of which list, and when: the only sign that a polled list is in force anywhere.

A fetch counts when a whole list was sent (200) or when the reader named the version that it has and it is the newest
(304); a HEAD tells a reader something but gives it nothing. Readers are known by their token; without tokens, by
their address. Kept in ``access.json`` so that a restart does not forget them; bounded.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from andon.store.durable import write_durable

NAME: Final = "access.json"
_SCHEMA: Final = "andon.edl-access/1"
_STRANGERS: Final = 256  # readers known by address, and places that failed to log in


@dataclass(frozen=True)
class Fetch:
    """What one reader did with one list. Times are ns. ``version``: the newest that it has; 0: none of this epoch."""

    version: int = 0
    first: int = 0
    last: int = 0
    whole: int = 0
    unchanged: int = 0
    address: str = ""


@dataclass
class Access:
    """Any thread may call."""

    path: Path
    epoch: str
    fetches: OrderedDict[tuple[str, str], Fetch] = field(default_factory=OrderedDict)  # (reader, list)
    failures: OrderedDict[str, tuple[int, int]] = field(
        default_factory=OrderedDict
    )  # who -> (how often, last)
    changed: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def load(self) -> None:
        """What was saved. A file that cannot be read is as good as none: readers come back."""
        self.changed = not self.path.exists()
        try:
            document = json.loads(self.path.read_bytes())
            assert document["schema"] == _SCHEMA
            same = document["epoch"] == self.epoch
            for one in document["fetches"]:
                reader, name = str(one["reader"]), str(one["list"])
                numbers = {key: int(one[key]) for key in ("version", "first", "last", "whole", "unchanged")}
                made = Fetch(**numbers, address=str(one["address"]))
                self.fetches[reader, name] = made if same else replace(made, version=0)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, AssertionError, RecursionError):
            self.fetches.clear()

    def served(self, reader: str, name: str, version: int, whole: bool, address: str, now: int) -> None:
        """A reader has this version now."""
        with self._lock:
            known = self.fetches.get((reader, name), Fetch(first=now))
            self.fetches[reader, name] = Fetch(
                version, known.first, now, known.whole + whole, known.unchanged + (not whole), address
            )
            self.fetches.move_to_end((reader, name))
            while len(self.fetches) > 8 * _STRANGERS:
                self.fetches.popitem(last=False)
            self.changed = True

    def failed(self, who: str, now: int) -> None:
        """Somebody was not let in. ``who``: the name that was given, if there is such a reader, else an address."""
        with self._lock:
            times, _ = self.failures.pop(who, (0, 0))
            self.failures[who] = (times + 1, now)
            while len(self.failures) > _STRANGERS:
                self.failures.popitem(last=False)

    def readers(self) -> Mapping[str, Mapping[str, Fetch]]:
        """A copy: reader -> list -> what it did."""
        with self._lock:
            made: dict[str, dict[str, Fetch]] = {}
            for (reader, name), one in self.fetches.items():
                made.setdefault(reader, {})[name] = one
            return made

    def refused(self) -> Mapping[str, tuple[int, int]]:
        """A copy of the failures."""
        with self._lock:
            return dict(self.failures)

    def forget(self, reader: str, name: str = "") -> None:
        """A reader that will not come back, or a list that it does not use any more."""
        with self._lock:
            for key in [key for key in self.fetches if key[0] == reader and name in ("", key[1])]:
                del self.fetches[key]
            self.changed = True

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        fetches = [
            {"reader": reader, "list": name, **asdict(one)}
            for reader, lists in self.readers().items()
            for name, one in lists.items()
        ]
        return {"schema": _SCHEMA, "epoch": self.epoch, "fetches": fetches}

    def save(self) -> None:
        """Write what changed. Raises StoreError."""
        if self.changed:
            self.changed = False
            write_durable(self.path, [json.dumps(self.to_dict()).encode()])
