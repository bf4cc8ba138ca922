"""Warning lists: what must not be cut off or put on a list, whoever asks for it (public resolvers, content networks).

Lists of indicators carry 8.8.8.8 again and again, and whoever blocks it has no name resolution. Read are MISP's
warning lists (github.com/MISP/misp-warninglists, ``schema.json``; types cidr, hostname, string, substring, regex) and
plain texts with an address, prefix or name a line. A prefix is caught if it lies in a listed one *or holds one*: MISP
itself once let the listed prefix and those around it pass (MISP issue 3156). Names go both ways too, and addresses in
all their spellings (``contain.spelling``). Prefixes and names that stand in a list of another type are taken for what
they are (misp-warninglists issue 40). Regular expressions are run only if they cannot run away
(``contain.runaway``); what cannot be used is counted and named in ``left_out``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final

from andon.contain.runaway import runaway
from andon.contain.spelling import Span, Unreadable, ascii_name, name, spans, url
from andon.contain.spelling.names import Names
from andon.contain.spelling.ranges import Spans

TYPES: Final = ("cidr", "hostname", "string", "substring", "regex")
_PLAIN: Final = "hostname"  # as a text without a type is taken
LARGEST: Final = 256 << 20  # bytes of a file
MOST: Final = 2_000_000  # entries of a list
_EXAMPLES: Final = 5  # of what was left out, by list
_SUBSTRINGS: Final = 10_000
_SHORTEST: Final = 3  # characters of a substring
_PATTERNS: Final = 1_000
_DELIMITED: Final = re.compile(r"([/#~])(.*)\1[a-zA-Z]*", re.DOTALL)


class WarningListError(ValueError):
    """A file that is no warning list; the text says which and why."""


@dataclass
class WarningList:
    """One list. ``left_out``: how many entries cannot be used; ``examples``: the first of them, with the reason."""

    title: str
    spans: Spans
    names: Names
    substrings: tuple[str, ...] = ()
    patterns: tuple[re.Pattern[str], ...] = ()
    left_out: int = 0
    examples: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, title: str, entries: Iterable[Any], kind: str = _PLAIN) -> WarningList:
        """Of entries of one type."""
        made = _Reading()
        for entry in entries:
            made.take(kind, entry)
        return cls(
            title, Spans(made.ranges), Names(made.names, made.alone), tuple(made.substrings), tuple(made.patterns),
            made.left_out, made.examples,
        )  # fmt: skip

    def __len__(self) -> int:
        return self.spans.count + len(self.names) + len(self.substrings) + len(self.patterns)

    def against(self, text: str) -> bool:
        """Whether an address, prefix, name or URL has something of the list in it.

        >>> WarningList.of("resolvers", ["8.8.8.8"]).against("::ffff:808:808")
        True
        """
        return self.caught(_what(text), text)

    def caught(self, what: tuple[tuple[Span, ...], str, bool], text: str) -> bool:
        ranges, host, whole = what
        if ranges and self.spans.touches(ranges):
            return True
        if host and (self.names.within(host) or (whole and self.names.below(host))):
            return True
        if self.substrings or self.patterns:
            low = text.lower()
            return any(part in low for part in self.substrings) or any(p.search(low) for p in self.patterns)
        return False


class WarningLists:
    """All of a site's, to be asked together.

    >>> WarningLists([WarningList.of("resolvers", ["8.8.8.0/24"])]).against("8.8.0.0/16")
    'resolvers'
    """

    def __init__(self, lists: Iterable[WarningList] = ()) -> None:
        self.lists = tuple(lists)

    def __len__(self) -> int:
        return sum(map(len, self.lists))

    @property
    def counts(self) -> dict[str, int]:
        """Entries in use, by list."""
        made: dict[str, int] = {}
        for one in self.lists:
            made[one.title] = made.get(one.title, 0) + len(one)
        return made

    @property
    def left_out(self) -> list[tuple[str, str]]:
        """(list, what could not be used and why), a few of each list."""
        return [(one.title, said) for one in self.lists for said in one.examples]

    def against(self, text: str) -> str:
        """The first list that has something of an address, prefix, name or URL; "" if none has. What is none of
        these is looked for among substrings and patterns only."""
        what = _what(text)
        return next((one.title for one in self.lists if one.caught(what, text)), "")


def _what(text: str) -> tuple[tuple[Span, ...], str, bool]:
    """(ranges of addresses, host name, whether all below the name is meant too)."""
    try:
        return spans(_masked(text)), "", False
    except Unreadable:
        pass
    try:
        if "/" in text or ":" in text:
            seen = url(text)
            return (spans(seen.host), "", False) if seen.address else ((), seen.host, False)
        return (), name(text), True
    except Unreadable:
        return (), "", False


class _Reading:
    def __init__(self) -> None:
        self.ranges: list[Span] = []
        self.names: list[str] = []
        self.alone: list[str] = []
        self.substrings: list[str] = []
        self.patterns: list[re.Pattern[str]] = []
        self.left_out, self.examples = 0, list[str]()

    def take(self, kind: str, entry: Any) -> None:
        problem = self._take(kind, entry.strip()) if isinstance(entry, str) else "no text"
        if problem:
            self.left_out += 1
            if len(self.examples) < _EXAMPLES:
                self.examples.append(f"{str(entry)[:60]!r}: {problem}")

    def _take(self, kind: str, entry: str) -> str:
        if kind == "regex":
            return self._pattern(entry)
        if kind == "substring":
            if len(entry) < _SHORTEST or len(self.substrings) >= _SUBSTRINGS:
                return f"too short, or more than {_SUBSTRINGS:,} substrings"
            self.substrings.append(entry.lower())
            return ""
        try:
            self.ranges += spans(_masked(entry))
            return ""
        except Unreadable:
            pass
        try:
            (self.alone if kind == "string" else self.names).append(ascii_name(entry.strip(".")))
        except Unreadable:
            return "neither address, prefix nor name"
        return ""

    def _pattern(self, entry: str) -> str:
        delimited = _DELIMITED.fullmatch(entry)
        text = delimited[2] if delimited else entry
        problem = runaway(text)
        if not problem and len(self.patterns) >= _PATTERNS:
            problem = f"more than {_PATTERNS:,} patterns"
        if not problem:
            self.patterns.append(re.compile(text, re.IGNORECASE))
        return problem


def read(paths: Iterable[Path]) -> WarningLists:
    """The lists of these files; a folder stands for every ``*.json`` in and below it and every ``*.txt`` in it. Raises
    WarningListError that names the file: a list that cannot be read protects nobody."""
    return WarningLists([_read(path) for path in files(paths)])


def files(paths: Iterable[Path]) -> list[Path]:
    """The files that are meant. Raises WarningListError for a folder without any."""
    found: list[Path] = []
    for path in paths:
        inside = sorted([*path.rglob("*.json"), *path.glob("*.txt")]) if path.is_dir() else [path]
        if not inside:
            raise WarningListError(f"{path}: no *.json and no *.txt in it")
        found += inside
    return found


def _read(path: Path) -> WarningList:
    try:
        if path.stat().st_size > LARGEST:
            raise WarningListError(f"{path}: larger than {LARGEST >> 20} MiB")
        text = path.read_text("utf-8-sig", errors="replace")
    except OSError as error:
        raise WarningListError(f"{path}: {error.strerror or error}") from error
    if path.suffix == ".json" or text.lstrip()[:1] in ("{", "["):
        made = _misp(path, text)
    else:
        made = WarningList.of(path.stem, _bounded(path, lines(text)))
    if not len(made):
        raise WarningListError(
            f"{path}: nothing in it can be used ({'; '.join(made.examples) or 'it is empty'})"
        )
    return made


def _misp(path: Path, text: str) -> WarningList:
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WarningListError(f"{path}: not readable as JSON ({error})") from error
    return of_document(document, str(path))


def of_document(document: Any, source: str) -> WarningList:
    """A warning list of MISP. Raises WarningListError for what is none."""
    if not isinstance(document, dict) or not isinstance(document.get("list"), list):
        raise WarningListError(f"{source}: not a MISP warning list: it has no array `list`")
    kind = document.get("type", "string")
    if kind not in TYPES:
        raise WarningListError(
            f"{source}: a warning list is of type {', '.join(TYPES)}, not {str(kind)[:40]!r}"
        )
    title = str(document.get("name") or source)[:120]
    return WarningList.of(title, _bounded(source, iter(document["list"])), kind)


def lines(text: str) -> Iterator[str]:
    """Entries of a plain text: one a line, comments behind ``#``."""
    for line in text.splitlines():
        entry = line.partition("#")[0].strip()
        if entry:
            yield entry


def _bounded(source: Any, entries: Iterator[Any]) -> Iterator[Any]:
    for number, entry in enumerate(entries):
        if number >= MOST:
            raise WarningListError(f"{source}: more than {MOST:,} entries")
        yield entry


def _masked(text: str) -> str:
    """A prefix with bits behind its length, as lists often have them: the network is meant."""
    _, slash, length = text.partition("/")
    if not slash or not (length.isascii() and length.isdigit()):
        return text
    try:
        return str(ip_network(text, strict=False))
    except ValueError:
        return text
