"""The reader of W3C extended log files (``elff``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from andon.observe.logs.clock import NO_TIME, plan, times
from andon.observe.logs.contacts import SLOTS, Contacts
from andon.observe.logs.elff import CLOCKS, columns, field_names
from andon.observe.logs.reading import TextLines
from andon.observe.logs.scan import DOUBLED, fields


class ElffLines(TextLines):
    """Lines below the ``#Fields:`` that stands last before them; ``head`` gives those at the beginning of the file."""

    source = "elff"

    def __init__(self, head: bytes, state: Mapping[str, Any] | None = None) -> None:
        super().__init__(state)
        self.names: list[str] = []
        self._contacts: Contacts | None = None
        self._slots = np.empty(0, np.int32)
        self._day = 0
        self.changed = bool((state or {}).get("changed", False))  # the fields, below records
        if state is not None:
            self._day = int(state.get("day", 0))
            self._named([str(name) for name in state.get("fields", [])])
            return
        for line in head.removeprefix(b"\xef\xbb\xbf").split(b"\n", 64)[:64]:
            if not line.startswith(b"#"):
                break
            self._directive(line)

    def state(self) -> dict[str, Any]:
        return {**super().state(), "fields": self.names, "day": self._day, "changed": self.changed}

    def _shape(self) -> Contacts | None:
        return self._contacts

    def _cut(
        self, data: np.ndarray, lines: np.ndarray, stops: np.ndarray, states: np.ndarray,
        begins: np.ndarray, ends: np.ndarray, kinds: np.ndarray,
    ) -> None:  # fmt: skip
        count = len(self.names)
        fields(data, lines, stops, states, 0x20, self._slots, count, count, begins, ends, kinds)

    def _changes(self, line: bytes) -> bool:
        if line[:8].lower() == b"#fields:":
            return field_names(line) != self.names
        return line[:6].lower() == b"#date:"

    def _directive(self, line: bytes) -> None:
        line = line.strip()
        if line[:8].lower() == b"#fields:":
            self._named(field_names(line))
        elif line[:6].lower() == b"#date:":
            day = times(line[6:].strip()[:10], "%Y-%m-%d")
            if day != NO_TIME:
                self._day = day
                if self._contacts is not None and self._alone:
                    self._contacts.day = day

    def _named(self, names: list[str]) -> None:
        self.changed = self.changed or (bool(self.names) and names != self.names)
        self.names = names
        found = columns(names)
        if not found:
            self._contacts = None
            return
        self._slots = np.full(len(names), -1, np.int32)
        for slot, number in found.items():
            self._slots[number] = SLOTS.index(slot)
        first = names[found["time"]].lower()
        self._alone = first == "time"  # of its day only #Date tells
        lowered = [name.lower() for name in names]
        self._contacts = Contacts(
            source="iis" if "s-ip" in lowered and found.get("host") == lowered.index("s-ip") else "elff",
            has=frozenset(found),
            clocks=(
                plan("%Y-%m-%d" if first == "date" else CLOCKS.get(first, "epoch")),
                plan(CLOCKS["time"]),
            ),
            written=np.full(len(SLOTS), DOUBLED, np.uint8),
            day=self._day if self._alone else 0,
        )
