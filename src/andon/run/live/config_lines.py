"""Where in ``andon.toml`` something stands, so that a mistake can be told with its line."""

from __future__ import annotations

import re
from collections.abc import Sequence


class Lines:
    """Which line a key stands on; the nearest table header if the key itself is not there."""

    _NAME = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
    _HEADER = re.compile(r"^\s*\[(\[)?\s*([^\]]+?)\s*\]")
    _KEY = re.compile(rf"^\s*({_NAME}(?:\s*\.\s*{_NAME})*)\s*=")

    def __init__(self, text: str) -> None:
        self.at: dict[tuple[str | int, ...], int] = {}
        seen: dict[str, int] = {}
        table: tuple[str | int, ...] = ()
        for number, line in enumerate(text.splitlines(), 1):
            header = self._HEADER.match(line)
            if header is not None:
                parts = self._parts(header[2])
                if header[1]:
                    index = seen.get(header[2], -1) + 1
                    seen[header[2]] = index
                    table = (*parts, index)
                else:
                    table = parts
                self.at.setdefault(table, number)
                continue
            key = self._KEY.match(line)
            if key is not None:
                self.at.setdefault((*table, *self._parts(key[1])), number)

    @staticmethod
    def _parts(text: str) -> tuple[str, ...]:
        return tuple(part.strip("\"'") for part in re.findall(Lines._NAME, text))

    def of(self, place: Sequence[str | int]) -> int:
        for length in range(len(place), 0, -1):
            line = self.at.get(tuple(place[:length]))
            if line is not None:
                return line
        return 1
