"""Families that are a part of another one: what its senders show as long as one of its fields stays the same.

Where a field of a relation does not vary, a shorter relation with a constant in its place holds in the same packets.
The search leaves out those that it can tell (``fragments``, ``ports``), but the richer relation may come later: in the
next span, from other sources, or from the catalogue. So families are compared once more by the packets that carry them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from andon.detect.darknet.fingerprint.judged import kind_of
from andon.detect.darknet.fingerprint.measure import Packets, recognise
from andon.detect.darknet.fingerprint.sample import Family
from andon.records.expression import compile_program, evaluate, parse
from andon.records.expression.ast import Comparison, Const, Sum, fields_of, keys_of, walk

ALL = 0.98  # share of a part's packets that carry the other relation
_CATALOGUE = "catalogue"  # layer
_LOOK = 1000
_TRIED = 8


def without_parts(
    packets: Packets, families: Sequence[Family], least: int, catalogue: Iterable[str] = ()
) -> list[Family]:
    """The families that are no part of another; the other has their sources then, as far as these prove it.

    A family is a part of another relation (of a family, or of ``catalogue``) that names all of its fields and more and
    says as many bits, if nearly all packets of its sources which carry the one carry the other, and the other is shown
    by enough sources in packets without the first: ``least`` where the first has a constant, which the other predicts,
    else as many as the first has. So no conjunction takes a family (it holds nowhere else), no weaker relation does,
    and ``tcp.seq == ip.dst`` stays beside what happens to say the same at some port. Relations with a key are left
    as they are: a free key fits too much.
    """
    kept = {family.relation: family for family in families}
    richer = dict(kept)
    fields = {text: fields_of(parse(text)) for text, family in kept.items() if _compared(family)}
    for relation in catalogue:
        tool = parse(relation)
        named = fields_of(tool)
        if relation in kept or keys_of(tool) or not any(mine < named for mine in fields.values()):
            continue
        made = recognise(packets, relation, "global", least)
        if made is not None:
            richer[relation], fields[relation] = replace(made[0], layer=_CATALOGUE), named
    for text in sorted((text for text in kept if text in fields), key=lambda text: (len(fields[text]), text)):
        part = kept[text]
        able = [
            richer[other]
            for other in fields
            if fields[text] < fields[other] and richer[other].bits >= part.bits - 1
        ]
        whole = _whole(packets, part, able, least)
        if whole is None:
            continue
        again = recognise(packets, whole.relation, "global", 1)
        proved = again[0].sources if again is not None else np.empty(0, np.int64)
        theirs = part.sources[np.isin(part.sources, proved)]
        whole = replace(whole, sources=np.union1d(whole.sources, theirs).astype(np.int64))
        richer[whole.relation] = kept[whole.relation] = whole
        del kept[text], fields[text], richer[text]
    return list(kept.values())


def _compared(family: Family) -> bool:
    return family.scope == "global" and kind_of(family) == "scanner-fingerprint"


def _whole(packets: Packets, part: Family, able: Sequence[Family], least: int) -> Family | None:
    """The relation with most sources of those that ``part`` is a part of."""
    if not able:
        return None
    holds = evaluate(compile_program(parse(part.relation)), packets.columns)
    mine = np.zeros(len(packets.sample.src), np.bool_)
    mine[part.sources] = True
    rows = np.flatnonzero(holds & mine[packets.of_row])
    if not len(rows):
        return None
    look = rows[np.linspace(0, len(rows) - 1, min(len(rows), _LOOK)).astype(np.int64)]
    few = {name: column[look] for name, column in packets.columns.items()}
    every = {name: column[rows] for name, column in packets.columns.items()}
    tried = 0
    for other in sorted(able, key=_first):
        program = compile_program(parse(other.relation))
        if evaluate(program, few).mean() < ALL - 0.02 or evaluate(program, every).mean() < ALL:
            continue
        needed = max(least, 0 if _predicts(other, part) else len(part.sources))
        if recognise(packets, other.relation, "global", needed, ~holds) is not None:
            return other
        tried += 1
        if tried == _TRIED:
            break
    return None


def _first(family: Family) -> tuple[bool, int, str]:
    """Order in which the others are tried: the search may have found a tool's relation under another text."""
    return family.layer == _CATALOGUE, -len(family.sources), family.relation


def _predicts(other: Family, part: Family) -> bool:
    """Whether ``part`` has a constant that the other does not need."""
    return 0 < _constants(part.relation) >= _constants(other.relation)


def _constants(relation: str) -> int:
    """Constants that are added or compared with (no factors, masks, or shifts).

    >>> _constants("tcp.seq == ip.dst ^ (tcp.dstport << 0x10) ^ 0x1bb"), _constants("ip.id == 54321")
    (1, 1)
    """
    count = 0
    for node in walk(parse(relation)):
        if isinstance(node, Sum) and node.op in ("^", "+", "-"):
            count += sum(isinstance(term, Const) for term in node.terms)
        elif isinstance(node, Comparison):
            count += isinstance(node.right, Const)
    return count
