"""The text of a report in plain form, each character of which knows where it came from.

Extractors work on a form in which full-width letters are ASCII (NFKC, character by character), invisible characters
are gone, and defanged indicators are whole again (``hxxp[:]//192[.]0[.]2[.]1`` is ``http://192.0.2.1``). What they
find is shown as the author wrote it, so every replacement is recorded with its place. Boundaries are those of
ASCII: Japanese has no blanks between words.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

_LONGEST_FORM: Final = 4  # characters that one character may become; U+FDFA would become 18
# Soft hyphen, zero-width characters, controls of writing direction, byte order mark: they only hide things.
_INVISIBLE: Final = "\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
_ODD = re.compile(f"(?P<gone>[{_INVISIBLE}]+)|(?P<kana>[\uff61-\uff9f]+)|(?P<one>[^\x00-\x7f])")
_HOLD: Final = re.compile(r"[^\x00-\x7f]")

# One pass over all ways to defang that are seen in reports; the bracketed ones are unmistakable.
_DEFANGED = re.compile(
    r"(?P<colon>[\[({]\s?(?::|colon)\s?[\])}])"
    r"|(?P<slashes>[\[({]\s?(?P<sl>:?//?|slash)\s?[\])}])"
    r"|(?P<dot>\s?[\[({<]\s?(?:\.|dot|d0t|punto|。)\s?[\])}>]\s?(?=[A-Za-z0-9])|\[\.|(?<=[A-Za-z0-9])\.\](?=[A-Za-z0-9])"
    r"|(?<=[A-Za-z0-9])\\\.(?=[A-Za-z0-9]))"
    r"|(?P<at>\s?[\[({]\s?(?:@|at)\s?[\])}]\s?)"
    r"|(?P<scheme>\b(?:h(?:xx|XX|\*\*|--|__|ss)ps?|hxtps?|htxps?|meows?|fxps?|fxp|txtp)(?=(?:\[?:\]?|\[?://\]?|\[:\]|\(:\))))",
    re.ASCII | re.IGNORECASE,
)


@lru_cache(maxsize=4096)
def _form(character: str) -> str:
    if character in ("ー", "〜"):
        return character
    form = unicodedata.normalize("NFKC", character)
    return form if len(form) <= _LONGEST_FORM else character


@dataclass
class _Places:
    """Where replaced pieces are: position in the new text, end there, position and end in the old one."""

    new: list[int] = field(default_factory=list)
    new_end: list[int] = field(default_factory=list)
    old: list[int] = field(default_factory=list)
    old_end: list[int] = field(default_factory=list)

    def begin(self, position: int) -> int:
        at = bisect_right(self.new, position) - 1
        if at < 0:
            return position
        if position < self.new_end[at]:
            return self.old[at]
        return self.old_end[at] + position - self.new_end[at]

    def end(self, position: int) -> int:
        """Old end of a piece that ends before ``position`` of the new text."""
        at = bisect_left(self.new, position) - 1
        if at < 0:
            return position
        if position <= self.new_end[at]:
            return self.old_end[at]
        return self.old_end[at] + position - self.new_end[at]


def _replace(
    text: str, pattern: re.Pattern[str], form: Callable[[re.Match[str]], str | None]
) -> tuple[str, _Places]:
    places = _Places()
    pieces: list[str] = []
    done = length = 0
    for match in pattern.finditer(text):
        new = form(match)
        if new is None:
            continue
        start, end = match.span()
        pieces.append(text[done:start])
        length += start - done
        places.new.append(length)
        length += len(new)
        places.new_end.append(length)
        places.old.append(start)
        places.old_end.append(end)
        pieces.append(new)
        done = end
    pieces.append(text[done:])
    return "".join(pieces), places


def _wide(match: re.Match[str]) -> str | None:
    kind, found = match.lastgroup, match.group()
    if kind == "gone":
        return ""
    form = unicodedata.normalize("NFKC", found) if kind == "kana" and len(found) < 64 else _form(found[0])
    if kind == "kana" and len(found) >= 64:
        return None
    return None if form == found else form


def _whole(match: re.Match[str]) -> str | None:
    kind, found = match.lastgroup, match.group()
    if kind == "colon":
        return ":"
    if kind in ("slashes", "sl"):
        return "/" if match.group("sl") == "slash" else match.group("sl")
    if kind == "dot":
        return "."
    if kind == "at":
        return "@"
    lowered = found.lower()
    secure = "s" if lowered.endswith("ps") or lowered == "meows" else ""
    return ("ftp" if lowered.startswith("f") else "tftp" if lowered == "txtp" else "http") + secure


class Plain:
    """The plain form of a text.

    >>> plain = Plain("見よ：ｈｘｘｐ[:]//192[.]0[.]2[.]1/ａ")
    >>> plain.text
    '見よ:http://192.0.2.1/a'
    >>> plain.shown(3, 21)
    (3, 'ｈｘｘｐ[:]//192[.]0[.]2[.]1/ａ')
    """

    def __init__(self, original: str) -> None:
        self.original = original
        wide, self._first = (
            _replace(original, _ODD, _wide) if _HOLD.search(original) else (original, _Places())
        )
        self.text, self._second = _replace(wide, _DEFANGED, _whole)

    def shown(self, start: int, end: int) -> tuple[int, str]:
        """(place in the report, as it stands there) of a piece of the plain text."""
        begin = self._first.begin(self._second.begin(start))
        finish = self._first.end(self._second.end(end))
        return begin, self.original[begin:finish]

    def defanged(self, start: int, end: int) -> bool:
        """Whether something in the piece was defanged: its author says that it is bad."""
        at = bisect_left(self._second.new, start)
        return at < len(self._second.new) and self._second.new[at] < end
