"""One fingerprint of Recog: a pattern, and what a banner that matches it tells.

The patterns are written for Ruby (Recog's first implementation), where ``^`` and ``$`` stand at every line and both
``REG_MULTILINE`` and ``REG_DOT_NEWLINE`` let a dot match the end of a line (recog/lib/recog/fingerprint/
regexp_factory.rb); the flags here say the same to Python. Compiling all patterns takes seconds, so each is compiled
when a banner first holds the text that it cannot match without.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from andon.observe.recog.linear import as_re2, groups, may_take_long, repetitions

_FLAGS: Final = {
    "REG_ICASE": re.IGNORECASE,
    "REG_DOT_NEWLINE": re.DOTALL,
    "REG_MULTILINE": re.DOTALL,
    "REG_LINE_ANY_CRLF": re.NOFLAG,
}
_INLINE: Final = re.compile(r"^(\^?)\(\?([imsx]+)\)")
_NAMED: Final = re.compile(r"\{([^{}\s]+)\}")
_QUANTIFIERS: Final = "?*+{"
_TEMPORARY: Final = "_tmp."


class BadFingerprint(ValueError):
    """A fingerprint that cannot be used; the text says why."""


@dataclass(frozen=True)
class Param:
    """``value`` is a constant where ``position`` is 0, else the group of that number is the value."""

    position: int
    name: str
    value: str


@dataclass(frozen=True)
class Example:
    """A banner and what it has to give. ``text`` is None where it lies in a file that is not there."""

    text: str | None
    expected: Mapping[str, str]


@dataclass(frozen=True)
class Fingerprint:
    """``certainty`` is Recog's own word, 0 to 1 (0.85 where it says none)."""

    pattern: str
    flags: tuple[str, ...]
    description: str
    params: tuple[Param, ...]
    certainty: float = 0.85
    examples: tuple[Example, ...] = field(default=(), compare=False)

    @cached_property
    def literals(self) -> tuple[str, ...]:
        """Texts in lower case that every matching banner has in it, the longest first; () if none is plain to see."""
        return literals(self.pattern)

    def may_match(self, lower: str) -> bool:
        """Whether the banner (in lower case) has them all: most patterns are out of the question without a search."""
        return all(text in lower for text in self.literals)

    @cached_property
    def regex(self) -> re.Pattern[str]:
        """Raises BadFingerprint for what is no pattern, an unknown flag or a group that does not exist."""
        flags = re.MULTILINE
        for name in self.flags:
            if name not in _FLAGS:
                raise BadFingerprint(f"{self.description!r}: unknown flag {name!r}")
            flags |= _FLAGS[name]
        # Python wants flags inside a pattern at its very beginning.
        text = _INLINE.sub(r"(?\2)\1", self.pattern)
        try:
            made = re.compile(text, flags)
        except (re.error, RecursionError, OverflowError) as error:
            raise BadFingerprint(f"{self.description!r}: {error}") from error
        for param in self.params:
            if param.position > made.groups:
                raise BadFingerprint(f"{self.description!r}: no group {param.position} for {param.name}")
        return made

    @cached_property
    def _repetitions(self) -> tuple[int, bool]:
        return repetitions(self.pattern)

    @cached_property
    def _re2(self) -> str:
        return as_re2(_INLINE.sub(r"(?\2)\1", self.pattern), re.RegexFlag(self.regex.flags))

    def match(self, banner: str) -> dict[str, str] | None:
        """Field -> value ("" of a group that matched nothing), or None where the banner does not match.

        Raises BadFingerprint as ``regex`` does, and where the pattern could take for ever on this banner and cannot
        be matched in another way."""
        found = self._groups(banner)
        if found is None:
            return None
        values: dict[str, str] = {}
        for param in self.params:
            value = param.value if param.position == 0 else found[param.position]
            if value is not None:
                values[param.name] = value
        for name, value in values.items():
            if "{" in value:
                values[name] = _filled(name, value, values)
        return {name: value for name, value in values.items() if not name.startswith(_TEMPORARY)}

    def _groups(self, banner: str) -> Sequence[str | None] | None:
        count, nested = self._repetitions
        regex = self.regex
        if not may_take_long(self.pattern, banner, count, nested):
            found = regex.search(banner)
            return None if found is None else (found[0], *found.groups())
        try:
            return groups(self._re2, banner)
        except ValueError as error:
            raise BadFingerprint(f"{self.description!r}: may take for ever ({error})") from error


def _filled(name: str, value: str, values: Mapping[str, str]) -> str:
    """``{field}`` replaced by that field. What is missing is "-" (not applicable) in a CPE, and nothing elsewhere."""

    def put(found: re.Match[str]) -> str:
        given = values.get(found[1], "")
        if not name.endswith(".cpe23"):
            return given
        return given.lower().replace(" ", "_").replace(":", "\\:") or "-"

    return _NAMED.sub(put, value)


def literals(pattern: str) -> tuple[str, ...]:
    """The runs of plain characters outside groups, sets and choices, in lower case, the longest first.

    >>> literals(r"^Server: (?:big|small) camera\\/([\\d.]+)$")
    (' camera/', 'server: ')
    """
    runs: list[str] = []
    run = ""
    at, size = 0, len(pattern)
    while at < size:
        char = pattern[at]
        plain = ""
        step = 1
        if char == "|":
            return ()
        if char == "\\" and at + 1 < size:
            step = 2
            follows = pattern[at + 1]
            plain = follows if not follows.isalnum() else ""
            if follows in "xuUN0123456789":
                break  # the digits that come must not be taken for text
        elif char == "(":
            step = _group(pattern, at) - at
        elif char == "[":
            step = _set(pattern, at) - at
        elif char == "{":
            step = pattern.find("}", at) + 1 - at if "}" in pattern[at:] else 1
        elif char not in "^$.?*+)]}":
            plain = char
        at += step
        # A character with a quantifier may be missing, or come more than once.
        if not plain or (at < size and pattern[at] in _QUANTIFIERS):
            runs.append(run)
            run = ""
        else:
            run += plain
    runs.append(run)
    # Where a letter has another lower case (İ, ſ, K), matching without regard to case is not the same thing.
    found = dict.fromkeys(text.lower() for text in runs if text.isascii() and text)
    return tuple(sorted(found, key=lambda text: (-len(text), text)))


def _set(pattern: str, at: int) -> int:
    """The place behind the set that begins at ``at``."""
    end = at + 1
    if pattern[end : end + 1] == "^":
        end += 1
    if pattern[end : end + 1] == "]":
        end += 1
    while end < len(pattern) and pattern[end] != "]":
        end += 2 if pattern[end] == "\\" else 1
    return min(end + 1, len(pattern))


def _group(pattern: str, at: int) -> int:
    """The place behind the group that begins at ``at``."""
    depth = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            at += 2
            continue
        if char == "[":
            at = _set(pattern, at)
            continue
        depth += (char == "(") - (char == ")")
        at += 1
        if depth == 0:
            break
    return at
