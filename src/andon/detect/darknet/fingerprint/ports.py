"""Whether the constant of a relation is made of the port: what senders that ask one port show of a richer relation.

With the port fixed, ``ip.id == lo16(ip.dst ^ tcp.dstport ^ tcp.seq)`` is ``ip.id == lo16(ip.dst ^ tcp.seq ^ 0x1bb)``,
exactly, and the layers that read single sources find the shorter form first, once for every port. The port's part is
told from a constant by other senders: with a word of the port in place of the constant, the relation predicts what is
to be seen at all the other ports. Packets there which the constant does not explain, from as many sources as make a
family, are the proof; chance does not give one such source in 2^24.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from .candidate import FULL, Candidate, values
from .verify import Rows, Verified, with_constants
from .words import DPORT, NAMES, word_values, words_of

ONE_PORT = 0.98
_MOST_COST = 3.0
_PORTS = np.arange(65536, dtype=np.uint32)


def of_the_port(rows: Rows, found: Verified, least: int, free: np.ndarray) -> Iterator[Verified]:
    """Relations with a word of the destination port of which ``found`` is the part at one port; best first.

    ``free`` (bool per row): the rows that count. Each has ``least`` sources that show it where ``found`` does not
    hold; as many as ``found`` itself if that has no constant, since a word of the port may just vanish at a port,
    and ``tcp.seq == ip.dst`` is what it is.
    """
    c, port = found.candidate, rows.columns["dst_port"]
    if found.scope != "global" or c.keep != FULL or NAMES[DPORT] in f"{c.left} {c.right}":
        return
    own, counts = np.unique(port[found.rows], return_counts=True)
    if not len(own) or counts.max() < ONE_PORT * counts.sum():
        return
    mine = int(own[counts.argmax()])
    needed = least if found.constant else max(least, len(found.sources))
    elsewhere = free & ~found.rows & (port != mine)
    at = np.flatnonzero(elsewhere)
    left = values(c.residue, {name: column[at] for name, column in rows.columns.items()})
    made: list[Verified] = []
    for word in words_of(DPORT):
        if word.cost > _MOST_COST:
            continue
        predicted = word_values(word, _PORTS)
        if c.op == "^":
            predicted, sign = predicted ^ np.uint32(found.constant) ^ predicted[mine], "^"
        else:
            predicted, sign = predicted + np.uint32(found.constant) - predicted[mine], "+"
        predicted &= np.uint32(c.mask)
        if np.count_nonzero(left == predicted[port[at]]) < needed:
            continue
        right = f"({c.right}) {sign} {word}" if c.right else str(word)
        richer = replace(c, right=right, cost=c.cost + word.cost)
        constant = _without_port(richer, found, mine, int(word_values(word, _PORTS)[mine]))
        seen = with_constants(rows, richer, [constant], needed, elsewhere)
        made += with_constants(rows, richer, [constant], needed, free) if seen else []
    yield from sorted(made, key=lambda one: (-one.strength, one.candidate.cost))


def _without_port(richer: Candidate, found: Verified, port: int, word: int) -> int:
    """The constant that is left when ``word``, the word's value at ``port``, is taken out of that of ``found``."""
    rest = found.constant ^ word if richer.op == "^" else found.constant - word
    return rest & richer.mask
