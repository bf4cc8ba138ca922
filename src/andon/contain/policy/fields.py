"""Values of one mapping of a policy, each taken with its type and bounds; what nobody took is told with its line."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from difflib import get_close_matches
from typing import Any, Final, TypeVar

from andon.contain.policy.document import Node, PolicyError
from andon.records.contract import duration_ns

_T = TypeVar("_T")
_MOST: Final = 50_000  # entries of one list


class Fields:
    """A mapping of the document at ``path`` ("rules[2].when"). Every method raises PolicyError that names file, line
    and key."""

    def __init__(self, node: Node | None, source: str, path: str) -> None:
        self.source, self.path = source, path
        self.line = node.line if node is not None else 1
        value = node.value if node is not None else None
        if value is not None and not isinstance(value, dict):
            raise self.error("a mapping is expected here (key: value)")
        self._values: dict[str, Node] = dict(value or {})
        self._taken: set[str] = set()

    def error(self, said: str, key: str = "", line: int = 0) -> PolicyError:
        where = ".".join(part for part in (self.path, key) if part)
        return PolicyError(f"{self.source}, line {line or self.line}{', ' + where if where else ''}: {said}")

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def keys(self) -> list[str]:
        """Every key, for mappings whose keys are names; all count as taken."""
        self._taken.update(self._values)
        return list(self._values)

    def node(self, key: str) -> Node | None:
        self._taken.add(key)
        return self._values.get(key)

    def wrong(self, key: str, said: str) -> PolicyError:
        node = self._values.get(key)
        return self.error(said, key, node.line if node is not None else 0)

    def done(self) -> None:
        """Every key has been asked for, or it is one that nobody knows."""
        for key, node in self._values.items():
            if key not in self._taken:
                near = get_close_matches(key, self._taken, 1)
                hint = f"; is {near[0]!r} meant?" if near else ""
                known = ", ".join(sorted(self._taken))
                raise self.error(f"unknown key {key[:60]!r}{hint} (known here: {known})", line=node.line)

    def table(self, key: str) -> Fields:
        return Fields(self.node(key), self.source, ".".join(part for part in (self.path, key) if part))

    def tables(self, key: str) -> Iterator[Fields]:
        for number, node in enumerate(self._list(key)):
            yield Fields(node, self.source, f"{self.path + '.' if self.path else ''}{key}[{number}]")

    def text(self, key: str, default: str = "", longest: int = 500) -> str:
        node = self.node(key)
        if node is None:
            return default
        if not isinstance(node.value, str) or len(node.value) > longest or not _printable(node.value):
            raise self.wrong(key, f"a text of at most {longest} printable characters is expected")
        return " ".join(node.value.split())

    def choice(self, key: str, known: Collection[str], default: str) -> str:
        made = self.text(key, default)
        if made not in known:
            raise self.wrong(key, f"one of {', '.join(known)} is expected, not {made[:60]!r}")
        return made

    def truth(self, key: str, default: bool) -> bool:
        node = self.node(key)
        if node is None:
            return default
        if not isinstance(node.value, bool):
            raise self.wrong(key, f"true or false is expected, not {str(node.value)[:40]!r}")
        return node.value

    def count(self, key: str, default: int, least: int, most: int) -> int:
        node = self.node(key)
        if node is None:
            return default
        if isinstance(node.value, bool) or not isinstance(node.value, int) or not least <= node.value <= most:
            raise self.wrong(key, f"a whole number from {least} to {most} is expected")
        return node.value

    def share(self, key: str, default: float, most: float = 1.0) -> float:
        """A share as 0.02 or "2 %"."""
        node = self.node(key)
        if node is None:
            return default
        value = node.value
        if isinstance(value, str) and value.endswith("%"):
            try:
                value = float(value[:-1]) / 100
            except ValueError:
                value = None
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
            or not 0 <= value <= most
        ):
            raise self.wrong(key, f"a share from 0 to {most:g} is expected (0.02, or 2 %)")
        return float(value)

    def duration(self, key: str, default: int, least: int, most: int) -> int:
        """ns of "24h"."""
        node = self.node(key)
        if node is None:
            return default
        try:
            made = duration_ns(node.value) if isinstance(node.value, str) and len(node.value) < 20 else 0
        except ValueError:
            made = 0
        if not least <= made <= most:
            raise self.wrong(
                key, f"a duration from {spoken(least)} to {spoken(most)} is expected (30s, 10min, 24h, 7d)"
            )
        return made

    def texts(
        self, key: str, read: Callable[[str], _T], default: Sequence[_T] = (), known: Collection[_T] = ()
    ) -> tuple[_T, ...]:
        """A list of texts (one alone may stand without a list), each read by ``read``, which raises ValueError."""
        if key not in self._values:
            self._taken.add(key)
            return tuple(default)
        made = []
        for node in self._list(key, single=True):
            value = node.value
            if isinstance(value, bool) or not isinstance(value, str | int) or len(str(value)) > 500:
                raise self.error("a text is expected", key, node.line)
            try:
                read_value = read(str(value))
            except ValueError as error:
                raise self.error(str(error), key, node.line) from error
            if known and read_value not in known:
                said = ", ".join(map(str, known))
                raise self.error(f"one of {said} is expected, not {str(value)[:60]!r}", key, node.line)
            made.append(read_value)
        return tuple(dict.fromkeys(made))

    def _list(self, key: str, single: bool = False) -> list[Node]:
        node = self.node(key)
        if node is None or node.value is None:
            return []
        value: Any = node.value
        if single and not isinstance(value, list | dict):
            return [node]
        if not isinstance(value, list):
            raise self.wrong(key, "a list is expected")
        if len(value) > _MOST:
            raise self.wrong(key, f"more than {_MOST:,} entries")
        return value


def spoken(ns: int) -> str:
    """A duration in words.

    >>> spoken(86_400_000_000_000), spoken(90_000_000_000), spoken(7_200_000_000_000)
    ('1 d', '90 s', '2 h')
    """
    seconds = ns / 1e9
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{int(seconds // size)} {unit}"
    return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds:g} s"


def _printable(text: str) -> bool:
    return all(c.isprintable() or c.isspace() for c in text)
