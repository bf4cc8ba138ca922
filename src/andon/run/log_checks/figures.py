"""What was counted in log files of what checks ask for: it merges, and travels as bytes.

A file is counted by one reader from its first line to its last, so figures of different files only stand beside one
another, under their path. What a command for the file needs to know (how it is packed, its format, what its heading
says) stands with them; the command is written by whoever has all of them (``writing``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from andon.observe.logs import FORMATS
from andon.sketch.state import StateError, pack, unpack

FIELDS: Final = ("address", "user", "nobody")  # how a terminal may stand in a log, the plainest first
READ: Final = {"gzip": "gzip -dc", "zstd": "zstd -dcq --long=27", "lz4": "lz4 -dcq"}
_KIND: Final = "log-figures"
_VERSION: Final = 1


@dataclass
class Answer:
    """Records of one file, and those that each way of naming the terminal in the log would find or miss wrongly."""

    rows: int = 0
    wrong: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FIELDS, 0))
    via: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class LogFile:
    """A log that has something of what is asked for. ``packed``: how it is compressed, "" if it is not; ``format``:
    name of its module in ``observe.logs``; ``state``: what its reader knew at its end, as JSON; ``broken``: it ends in
    an error (what a tool unpacks of it before that may be more or less); ``answers``: by number of the question."""

    packed: str
    format: str
    state: str
    broken: bool
    answers: Mapping[int, Answer]


@dataclass
class LogFigures:
    """``questions``: digest of what was asked; ``files``: by path, those that have something of it."""

    questions: str
    files: dict[str, LogFile] = field(default_factory=dict)

    def take(self, other: LogFigures) -> None:
        """Take in what was counted in other files. Raises ValueError if something else was asked there, or if a file
        was counted twice and not with the same result."""
        if other.questions != self.questions:
            raise ValueError(
                f"figures of other questions cannot be merged: {other.questions}, {self.questions}"
            )
        for path, file in other.files.items():
            if self.files.setdefault(path, file) != file:
                raise ValueError(
                    f"{path} was counted twice with different results: it has changed in between"
                )

    def to_bytes(self) -> bytes:
        """Equal bytes for equal content, whatever the order of merging."""
        files = {path: _said(file) for path, file in self.files.items()}
        text = json.dumps(
            {"questions": self.questions, "files": files}, sort_keys=True, separators=(",", ":")
        )
        return pack(_KIND, _VERSION, {"text": np.frombuffer(text.encode("ascii"), np.uint8)})

    @classmethod
    def from_bytes(cls, data: bytes) -> LogFigures:
        """What ``to_bytes`` gave. Raises StateError for anything else."""
        try:
            arrays, _ = unpack(_KIND, _VERSION, data)
            said = json.loads(arrays["text"].tobytes().decode("ascii"))
            made = cls(_text(said["questions"]), {path: _file(one) for path, one in said["files"].items()})
        except StateError:
            raise
        except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise StateError(f"damaged figures of logs: {error}") from error
        if made.to_bytes() != data:
            raise StateError("damaged figures of logs: they are not as they would be written")
        return made


def merge(*parts: LogFigures) -> LogFigures:
    """The figures of all parts together, which stay as they are. The same bytes in any order and grouping.

    Raises ValueError for none, for parts of different questions, and for a file that was counted twice differently."""
    if not parts:
        raise ValueError("there are no figures to merge")
    made = LogFigures(parts[0].questions)
    for part in parts:
        made.take(part)
    return made


def _said(file: LogFile) -> list[Any]:
    answers = [
        [n, one.rows, [one.wrong[name] for name in FIELDS], sorted(one.via)]
        for n, one in sorted(file.answers.items())
    ]
    return [file.packed, file.format, file.state, file.broken, answers]


def _file(said: Any) -> LogFile:
    packed, name, state, broken, answers = said
    if packed not in ("", *READ) or name not in FORMATS or not isinstance(broken, bool):
        raise StateError("damaged figures of logs: no way to read a log")
    if not isinstance(json.loads(_text(state)), dict):
        raise StateError("damaged figures of logs: what a reader knows is an object")
    return LogFile(packed, name, state, broken, {_count(n): _answer(*rest) for n, *rest in answers})


def _answer(rows: Any, wrong: Any, via: Any) -> Answer:
    counts = dict(zip(FIELDS, map(_count, wrong), strict=True))
    return Answer(_count(rows), counts, {_text(one) for one in via})


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise StateError(f"damaged figures of logs: {str(value)[:40]} is no count")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise StateError(f"damaged figures of logs: {str(value)[:40]} is no text")
    return value
