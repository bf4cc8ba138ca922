"""Patterns that take too long, matched in time proportional to the text.

Python's ``re`` goes back and tries again. With a few open repetitions in a row that takes the square, the cube or more
of the length, with a repetition inside a repetition two to the power of it: ``(.+)* http``, which is one of Recog's,
does not end within seconds on 128 characters that somebody chose. RE2 (Cox 2007-2010, "Regular Expression Matching Can
Be Simple And Fast") walks all ways at once, but has to be made anew for each call through Arrow, a millisecond each. So
it is used where it matters: always for repetitions inside repetitions, and for long texts where there are many.
Both give the same groups: leftmost match, first choice first.
"""

from __future__ import annotations

import re
from typing import Final

SHORT: Final = 128  # characters: 94 % of Recog's own examples are shorter
MOST_STEPS: Final = 10_000_000  # of one search, a fifth of a second
_TOKEN: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{\d+,(\d*)\}|[*+|()]", re.DOTALL)
_CAPTURE: Final = re.compile(r"(\\.|\[\^?\]?(?:\\.|[^\]\\])*\])|\((?!\?)", re.DOTALL)
_OPEN: Final = 32  # repetitions from which on they count as open


def repetitions(pattern: str) -> tuple[int, bool]:
    """How many open repetitions there are, and whether one is over something that has another one or a choice in it.

    >>> repetitions(r"^(.+)* http"), repetitions(r"a+[*+]b{1,512}"), repetitions("(?:a|b)?c")
    ((2, True), (2, False), (0, False))
    """
    # Two characters that exclude each other are no choice that could be made in two ways.
    pattern = pattern.replace(r"(?:\r|\n)", r"[\r\n]")
    count, nested = 0, False
    inside: list[bool] = [False]  # of each open group: has it a choice or an open repetition?
    closed = False
    for token in _TOKEN.finditer(pattern):
        text = token[0]
        follows = token.start() and pattern[token.start() - 1] == ")"
        if text == "(":
            inside.append(False)
        elif text == ")":
            closed = inside.pop() if len(inside) > 1 else False
            inside[-1] = inside[-1] or closed
        elif text == "|":
            inside[-1] = True
        elif text in "*+" or text[0] == "{":
            if text[0] == "{" and token[1] and int(token[1]) < _OPEN:
                continue
            if pattern[token.start() - 1 : token.start()] in ("*", "+", "?", "}"):
                continue  # lazy or possessive, not a repetition of its own
            count += 1
            nested = nested or bool(follows and closed)
            inside[-1] = True
    return count, nested


def may_take_long(pattern: str, text: str, count: int, nested: bool) -> bool:
    """Whether a search with ``re`` may need more than ``MOST_STEPS``: the places where a match may begin, times the
    length to the power of the open repetitions. Short texts are let through, as measured: 0.05 s at most."""
    if nested:
        return True
    size = len(text)
    if count < 2 or size <= SHORT:
        return False
    begins = text.count("\n") + 1 if pattern.startswith("^") else size
    return bool(begins * float(size) ** min(count, 8) > MOST_STEPS)


def as_re2(pattern: str, flags: re.RegexFlag) -> str:
    """The pattern for RE2, its groups named g1, g2, ..., the whole g0."""
    number = 0

    def put(found: re.Match[str]) -> str:
        nonlocal number
        if found[1]:
            return found[1]
        number += 1
        return f"(?P<g{number}>"

    letters = "".join(
        letter
        for letter, flag in (("i", re.IGNORECASE), ("m", re.MULTILINE), ("s", re.DOTALL))
        if flags & flag
    )
    return f"(?{letters}:(?P<g0>{_CAPTURE.sub(put, pattern)}))"


def groups(re2: str, text: str) -> list[str] | None:
    """Groups 0, 1, ... of the leftmost match ("" of one that took no part), or None. Raises ValueError for a pattern
    that RE2 does not know (look-ahead, back-references)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    clean = text.encode("utf-8", "replace").decode()
    found = pc.extract_regex(pa.array([clean]), pattern=re2)[0].as_py()
    return None if found is None else list(found.values())
