"""Which segments the broker has: a small file in the store, written after the broker's answer and synced.

It also holds the store's *epoch*, a random name. Segment numbers start again when a store is made anew; readers tell
the new numbers from the old ones by it. A journal that ends before what was sent already is another journal, and gets
another epoch.
"""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from andon.store.durable import make_folder, write_durable
from andon.store.errors import StoreDamaged, explained

_NAME: Final = "position.json"


@dataclass(frozen=True)
class Place:
    """``through``: number of the last segment that the broker acknowledged with all before it."""

    epoch: str
    through: int = 0


class PlaceFile:
    """In ``folder``; ``last``: number of the journal's last segment now. Raises StoreError."""

    def __init__(self, folder: Path, last: int) -> None:
        make_folder(folder)
        self._path = folder / _NAME
        with explained(self._path, "reading where the bus stands"):
            text = self._path.read_text("utf-8") if self._path.exists() else ""
        self.place = self._read(text) if text else Place(uuid.uuid4().hex)
        self.renewed = bool(text) and self.place.through > last
        if self.renewed:
            self.place = Place(uuid.uuid4().hex)
        if not text or self.renewed:
            self.write(self.place.through)

    def write(self, through: int) -> None:
        """Durable when it returns. Raises StoreFull, StoreReadOnly, StoreError."""
        place = replace(self.place, through=through)
        data = {"epoch": place.epoch, "through": place.through}
        write_durable(self._path, [json.dumps(data).encode()])
        self.place = place

    def _read(self, text: str) -> Place:
        try:
            data = json.loads(text)
            place = Place(data["epoch"], data["through"])
            if not re.fullmatch(r"[0-9a-f]{32}", place.epoch) or place.through < 0:
                raise ValueError("not an epoch or no number")
        except (ValueError, KeyError, TypeError) as error:
            raise StoreDamaged(
                f"{self._path}: this does not say where the bus stands ({error}): put back a good copy, or delete it: "
                "the journal is then sent again as that of a new store, and analysers have what it still holds twice"
            ) from error
        return place
