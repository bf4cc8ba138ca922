"""JSON objects of a text, one at a time: lines, an array over many lines, one with a trailing comma (masscan)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from andon.observe.assets.source import Source
from andon.observe.jsonlines import Skipped

LONGEST: Final = 16 << 20  # characters of one object
WRAPPERS: Final = ("hits", "matches", "results", "assets", "data", "hosts")
_BETWEEN: Final = " \t\r\n,[]﻿\x1e"
_NEAR: Final = 64  # characters before the end, where a mistake may be one of a text that goes on
_DECODER: Final = json.JSONDecoder()


def objects(source: Source, skipped: Skipped) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place in words, object). What is broken is skipped to the end of its line and counted."""
    pieces = source.texts(source.encoding())
    held, at, line, ended = "", 0, 1, False
    while True:
        while at < len(held) and held[at] in _BETWEEN:
            line += held[at] == "\n"
            at += 1
        if at >= len(held):
            piece = next(pieces, None)
            if piece is None:
                return
            held, at = piece, 0
            continue
        found, end, more = _next(held, at, ended)
        if more and len(held) - at < LONGEST:
            # As much again, so that a long object is not parsed once for each piece of it.
            held, at, wanted = held[at:], 0, 2 * (len(held) - at)
            while len(held) < wanted and not ended:
                piece = next(pieces, None)
                ended = piece is None
                held += piece or ""
            continue
        if found is None:
            skipped.add(line, "line cut short" if ended and more else "not a JSON object")
            end = held.find("\n", at)
            while end < 0:
                piece = next(pieces, None)
                if piece is None:
                    return
                held, at = piece, 0
                end = held.find("\n")
            line += 1
            at = end + 1
            continue
        where = f"line {line}"
        line += held.count("\n", at, end)
        at = end
        for inner in _unwrapped(found):
            yield where, inner


def _next(text: str, at: int, ended: bool) -> tuple[dict[str, Any] | None, int, bool]:
    """(object, its end, whether more text may make one)."""
    try:
        found, end = _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        cut = error.pos >= len(text) - _NEAR or error.msg.startswith("Unterminated string")
        return None, at, cut and not ended
    except (ValueError, RecursionError):
        return None, at, False
    return (found, end, False) if isinstance(found, dict) else (None, at, False)


def _unwrapped(found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    inner = found.get("result") if isinstance(found.get("result"), dict) else found
    for name in WRAPPERS:
        items = inner.get(name) if isinstance(inner, dict) else None
        if (
            isinstance(items, list)
            and items
            and all(isinstance(item, dict) for item in items)
            and "ip" not in found
        ):
            yield from items
            return
    yield found


def some(head: bytes, most: int = 20) -> list[dict[str, Any]]:
    """The first objects of a beginning, for recognising it."""
    from andon.observe.assets.source import encoding_of

    text = head.decode(encoding_of(head) or "utf-8", "replace")
    found: list[dict[str, Any]] = []
    at = 0
    while len(found) < most:
        while at < len(text) and text[at] in _BETWEEN:
            at += 1
        if at >= len(text) or text[at] != "{":
            break
        one, end, _ = _next(text, at, True)
        if one is None:
            break
        found += list(_unwrapped(one))[:most]
        at = end
    return found


def dig(found: Any, *names: str) -> Any:
    """``found[a][b]...``; None where there is none."""
    for name in names:
        if not isinstance(found, dict):
            return None
        found = found.get(name)
    return found


def items(found: Any) -> list[Any]:
    """A list as it is, None as none, anything else as a list of one; at most 4,096."""
    if found is None:
        return []
    return found[:4096] if isinstance(found, list) else [found]


def number(value: Any) -> int:
    """A whole number, -1 for what is none."""
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return -1
