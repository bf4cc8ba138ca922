"""Documents from others, as JSON that is known to be small, shallow and unambiguous before anything looks at it."""

from __future__ import annotations

import json
from typing import Any, Final

MOST_BYTES: Final = 4 << 20
MOST_DEPTH: Final = 40
MOST_VALUES: Final = 200_000
MOST_TEXT: Final = 20_000  # characters of one text


class DocumentError(ValueError):
    """What was given is not what it should be; the text names the place and the fault."""


def parsed(given: str | bytes, most: int = MOST_BYTES) -> Any:
    """A JSON text as a value. Refuses what is too large or too deep, names given twice, and NaN. Raises DocumentError.

    >>> parsed('{"a": 1, "a": 2}')
    Traceback (most recent call last):
    ...
    andon.contain.languages.document.DocumentError: 'a' is given twice in one object
    """
    data = given.encode("utf-8", "surrogatepass") if isinstance(given, str) else given
    if len(data) > most:
        raise DocumentError(f"larger than {most:,} bytes")
    if _depth(data) > MOST_DEPTH:
        raise DocumentError(f"nested deeper than {MOST_DEPTH} levels")
    try:
        value = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_once, parse_constant=_constant)
    except DocumentError:
        raise
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"not JSON: {error}") from error
    return bounded(value)


def bounded(value: Any) -> Any:
    """A value that was parsed elsewhere, with the same bounds. Raises DocumentError."""
    left = MOST_VALUES
    stack: list[tuple[Any, int]] = [(value, 0)]
    while stack:
        one, depth = stack.pop()
        left -= 1
        if left < 0:
            raise DocumentError(f"more than {MOST_VALUES:,} values")
        if depth > MOST_DEPTH:
            raise DocumentError(f"nested deeper than {MOST_DEPTH} levels")
        if isinstance(one, dict):
            if not all(isinstance(key, str) for key in one):
                raise DocumentError("a name that is no text")
            stack += [(inner, depth + 1) for inner in one.values()]
        elif isinstance(one, list):
            stack += [(inner, depth + 1) for inner in one]
    return value


def _depth(data: bytes) -> int:
    """How deep brackets go outside of texts. One pass, without recursion."""
    deepest = depth = 0
    inside = escaped = False
    for byte in data:
        if inside:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                inside = False
        elif byte == 0x22:
            inside = True
        elif byte in (0x5B, 0x7B):
            depth += 1
            deepest = max(deepest, depth)
        elif byte in (0x5D, 0x7D):
            depth -= 1
    return deepest


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in pairs:
        if name in made:
            raise DocumentError(f"{name[:60]!r} is given twice in one object")
        made[name] = value
    return made


def _constant(text: str) -> Any:
    raise DocumentError(f"{text} is no JSON")


def an_object(value: Any, where: str) -> dict[str, Any]:
    """Raises DocumentError for anything else."""
    if not isinstance(value, dict):
        raise DocumentError(f"{where}: an object was expected")
    return value


def a_text(value: Any, where: str, most: int = MOST_TEXT) -> str:
    """Raises DocumentError for anything else."""
    if not isinstance(value, str) or len(value) > most:
        raise DocumentError(f"{where}: a text of at most {most:,} characters was expected")
    return value


def a_number(value: Any, where: str, least: int = 0, most: int = (1 << 63) - 1) -> int:
    """A whole number. Raises DocumentError for anything else; true and false are none."""
    if type(value) is not int or not least <= value <= most:
        raise DocumentError(f"{where}: a whole number from {least} to {most} was expected")
    return value


def shown(text: str, most: int = 200) -> str:
    """A text from outside as one printable line."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    return plain if len(plain) <= most else plain[: most - 1] + "…"
