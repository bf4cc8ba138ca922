"""A policy file as a tree of values that know their line. YAML 1.2's core types alone, read with PyYAML's parser.

Taken are mappings, lists, texts, whole numbers, decimals, ``true``, ``false`` and ``null``. Not taken, because a policy
has no use for them and an attacker has: anchors and aliases (which can stand for billions of values), tags, keys that
come twice, more than one document. ``yes``, ``on`` or ``1:30`` are texts here, not booleans and numbers as in YAML 1.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

LARGEST: Final = 1 << 20  # bytes
DEEPEST: Final = 12
MOST: Final = 100_000  # values
_WHOLE: Final = re.compile(r"[-+]?[0-9]{1,18}")
_DECIMAL: Final = re.compile(r"[-+]?(?:[0-9]{1,18}\.[0-9]{0,18}|\.[0-9]{1,18})(?:[eE][-+]?[0-9]{1,3})?")
_WORDS: Final = {"true": True, "false": False, "null": None, "~": None, "": None}


class PolicyError(ValueError):
    """A policy that cannot be used: file, line, key, and what was expected."""


@dataclass(frozen=True)
class Node:
    """``value``: dict of texts to nodes, list of nodes, or a plain value. ``line`` counts from 1."""

    value: Any
    line: int


def parse(data: bytes, source: str) -> Node:
    """The tree of a document. Raises PolicyError."""
    import yaml

    if len(data) > LARGEST:
        raise PolicyError(f"{source}: larger than {LARGEST >> 20} MiB; that is no policy")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise PolicyError(f"{source}, line {line}: not UTF-8") from error
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _Builder(source, yaml).document(iter(yaml.parse(text, Loader=loader)))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        said = " ".join(str(getattr(error, "problem", None) or "no YAML").split())
        raise PolicyError(f"{source}{where}: not readable as YAML: {said[:200]}") from error


class _Builder:
    def __init__(self, source: str, yaml: Any) -> None:
        self._source, self._yaml, self._count = source, yaml, 0

    def document(self, events: Iterator[Any]) -> Node:
        made: Node | None = None
        for event in events:
            if isinstance(event, self._yaml.DocumentStartEvent):
                if made is not None:
                    raise self._error(event, "a second document; one file is one policy")
                made = self._node(next(events), events, 0)
        return made if made is not None else Node(None, 1)

    def _node(self, event: Any, events: Iterator[Any], depth: int) -> Node:
        self._count += 1
        if self._count > MOST:
            raise self._error(event, f"more than {MOST:,} values")
        if depth > DEEPEST:
            raise self._error(event, f"nested deeper than {DEEPEST} levels")
        if isinstance(event, self._yaml.AliasEvent) or event.anchor is not None:
            raise self._error(event, "anchors and aliases (& and *) are not taken; write the value out")
        # "!" alone only says that a text is a text.
        if event.tag not in (None, "!"):
            raise self._error(event, f"tags ({str(event.tag)[:60]}) are not taken")
        line = event.start_mark.line + 1
        if isinstance(event, self._yaml.ScalarEvent):
            return Node(_scalar(event.value) if not event.style and event.tag is None else event.value, line)
        if isinstance(event, self._yaml.SequenceStartEvent):
            items: list[Node] = []
            while not isinstance(following := next(events), self._yaml.SequenceEndEvent):
                items.append(self._node(following, events, depth + 1))
            return Node(items, line)
        table: dict[str, Node] = {}
        while not isinstance(following := next(events), self._yaml.MappingEndEvent):
            if not isinstance(following, self._yaml.ScalarEvent):
                raise self._error(following, "a key is a plain text")
            key = self._node(following, events, depth + 1)
            word = str(following.value)
            if word in table:
                raise PolicyError(f"{self._source}, line {key.line}: {word[:60]!r} stands here twice")
            table[word] = self._node(next(events), events, depth + 1)
        return Node(table, line)

    def _error(self, event: Any, said: str) -> PolicyError:
        return PolicyError(f"{self._source}, line {event.start_mark.line + 1}: {said}")


def _scalar(text: str) -> Any:
    """
    >>> _scalar("24"), _scalar("0.05"), _scalar("true"), _scalar("no"), _scalar("24h")
    (24, 0.05, True, 'no', '24h')
    """
    if text.lower() in _WORDS and (text.islower() or not text or text == "~"):
        return _WORDS[text.lower()]
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else text
