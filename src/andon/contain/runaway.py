"""Which regular expressions of others may be run: those that cannot take for ever, whatever they are run on."""

from __future__ import annotations

import re
import warnings as python_warnings
from typing import Any, Final

_PATTERN_CHARACTERS: Final = 512
_LONGEST: Final = 2_000  # characters of what is looked through
_STEPS: Final = 20_000_000


def runaway(text: str) -> str:
    """Why a regular expression is not run; "" if it takes at most some ``_STEPS`` steps, whatever the entry.

    The steps are the product of the ways that each repetition, option and alternative can go, times the places where
    a pattern that is not anchored can begin: an upper bound for a matcher that goes back.

    >>> runaway(r"(a+)+$"), runaway(r"^(foo|bar)\\.example$")
    ('a repetition within a repetition', '')
    """
    if len(text) > _PATTERN_CHARACTERS:
        return f"longer than {_PATTERN_CHARACTERS} characters"
    from re import _parser  # type: ignore[attr-defined]  # Python's own reading of the pattern

    try:
        with python_warnings.catch_warnings():
            python_warnings.simplefilter("error")
            tree = _parser.parse(text)
        if tree.getwidth()[0] == 0:
            return "it matches an empty text, which is in every entry"
        anchored = bool(tree) and str(tree[0]) in ("(AT, AT_BEGINNING)", "(AT, AT_BEGINNING_STRING)")
        steps = _steps(tree, False) * (1 if anchored else _LONGEST)
    except (re.error, RecursionError, OverflowError, Warning) as error:
        return f"not a pattern that can be read ({error})"
    except _Runaway as error:
        return str(error)
    return "it can go too many ways" if steps > _STEPS else ""


class _Runaway(Exception):
    pass


def _steps(tree: Any, repeated: bool) -> int:
    steps = 1
    for operation, argument in tree:
        name = str(operation)
        if name in ("GROUPREF", "GROUPREF_EXISTS", "ASSERT", "ASSERT_NOT"):
            raise _Runaway("back-references and look-around are not run")
        if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            least, most, inner = argument
            if repeated and most > 1:
                raise _Runaway("a repetition within a repetition")
            ways = _steps(inner, repeated or most > 1)
            if ways > 1 and most > 1:
                raise _Runaway("alternatives within a repetition")
            steps *= ways * (min(int(most), _LONGEST) - min(int(least), _LONGEST) + 1)
        elif name == "SUBPATTERN":
            steps *= _steps(argument[3], repeated)
        elif name == "BRANCH":
            steps *= sum(_steps(each, repeated) for each in argument[1])
        elif name == "ATOMIC_GROUP":
            steps *= _steps(argument, repeated)
    return steps
