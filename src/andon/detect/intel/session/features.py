"""Features of a statement among its neighbours, hashed to columns of a weight table.

Three blocks, each scaled to length one and weighted, so that a long statement does not drown its context: the
statement's own characters and words; commands, words and techniques of its neighbours; where it stands and what else
the session does. No feature is kept as text: a column is a CRC-32 (of kind and value) modulo the width of the table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from math import log, sqrt
from typing import Final
from zlib import crc32

from andon.detect.intel.session import techniques, words

WIDTH: Final = 1 << 15
_WEIGHTS: Final = (1.0, 1.5, 0.5)
_LONGEST: Final = 160  # characters of a statement that are looked at
_WORD: Final = re.compile(r"<\w+>|\w+|[^\w\s]")
_NEAR: Final = 12  # words of a neighbour
Block = tuple[tuple[int, float], ...]


def _block(features: Iterable[str], weight: float) -> Block:
    """(column, value) of a block: 1 + log of the count, the whole scaled to ``weight``."""
    counts: dict[int, int] = {}
    for one in features:
        column = crc32(one.encode("utf-8", "replace")) % WIDTH
        counts[column] = counts.get(column, 0) + 1
    values = {column: 1 + log(count) for column, count in counts.items()}
    scale = weight / sqrt(sum(value * value for value in values.values()) or 1.0)
    return tuple((column, value * scale) for column, value in sorted(values.items()))


@lru_cache(maxsize=16_384)
def own(statement: str) -> Block:
    """The block of a statement's own characters (2 to 5 in a row), words and pairs of words."""
    text = f"^{statement[:_LONGEST]}$"
    found = [f"c{text[at : at + n]}" for n in (2, 3, 4, 5) for at in range(len(text) - n + 1)]
    tokens = _tokens(statement)
    found += [f"w{one}" for one in tokens]
    found += [f"b{one} {two}" for one, two in pairwise(tokens)]
    return _block(found, _WEIGHTS[0])


@lru_cache(maxsize=16_384)
def _tokens(statement: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(statement[:_LONGEST]))


@lru_cache(maxsize=16_384)
def _techniques(statement: str) -> tuple[str, ...]:
    return techniques.techniques((statement,))


def around(statements: Sequence[str]) -> list[tuple[Block, Block]]:
    """(block of the neighbours, block of the session) of each statement."""
    size = len(statements)
    verbs = [words.verb(one) or "." for one in statements]
    shown = [_techniques(one) for one in statements]
    session = [f"V{one}" for one in sorted(set(verbs))] + [
        f"T{one}" for one in sorted({t for one in shown for t in one})
    ]
    session.append(f"L{min(size.bit_length(), 7)}")

    def near(at: int) -> str:
        return verbs[at] if 0 <= at < size else "^" if at < 0 else "$"

    made = []
    for at, statement in enumerate(statements):
        before, after = near(at - 1), near(at + 1)
        found = [f"0{verbs[at]}", f"={statement[:60]}", f"-{before}", f"+{after}",
                 f"--{near(at - 2)}", f"++{near(at + 2)}",
                 f"-0{before} {verbs[at]}", f"0+{verbs[at]} {after}", f"-0+{before} {verbs[at]} {after}"]  # fmt: skip
        found += [f"t{one}" for one in shown[at]]
        if at:
            found += [f"-t{one}" for one in shown[at - 1]] + [
                f"-w{one}" for one in _tokens(statements[at - 1])[:_NEAR]
            ]
        if at + 1 < size:
            found += [f"+t{one}" for one in shown[at + 1]] + [
                f"+w{one}" for one in _tokens(statements[at + 1])[:_NEAR]
            ]
        place = [*session, f"P{min(at, 3)}", f"E{min(size - 1 - at, 3)}"]
        made.append((_block(found, _WEIGHTS[1]), _block(place, _WEIGHTS[2])))
    return made
