"""How likely a packet satisfies a relation by chance, for "count expected by chance" and evidence bits of sessions.

The model: fields that a sender draws freely are uniform and independent. A comparison of b bits then holds with
probability 2^-b (``ip.id == 54321``: 2^-16; ``tcp.seq == ip.dst``: 2^-32). What is *not* counted, so that the rate is
rather too high than too low:

* a constant (or a key) in a field that operating systems fill with defaults or that the scanned service fixes:
  tcp.window, tcp.flags, ip.ttl, ip.len, ports; and a zero in ip.id or tcp.ack;
* ``!=``; comparisons that cannot be solved for a field;
* a field that stands on both sides (``ip.id == rotl16(ip.id, 8)`` holds for 2^-8 of the packets, not 2^-16): such a
  comparison is put to uniform packets, all 2^16 if it names one 16-bit field alone;
* bits of a field that another comparison of the same conjunction has used already. A comparison that follows from an
  earlier one counts 1; that is seen by putting the solved field into the later ones.
"""

from __future__ import annotations

from functools import lru_cache
from math import log2
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .ast import Comparison, Expression, Field, Fn, Key, Or, Sum, Value, fields_of, keys_of, needs_of
from .bits import field_demand
from .canonical import PREFERENCE, canonical
from .evaluate import evaluate
from .fields import FIELDS
from .isolate import isolations, sides
from .keyed import conjuncts
from .machine import COLUMNS
from .program import compile_program

_TRIALS = 1 << 18

DEFAULTED = frozenset(
    {
        "tcp.window",
        "tcp.flags",
        "ip.ttl",
        "ip.len",
        "tcp.srcport",
        "tcp.dstport",
        "udp.srcport",
        "udp.dstport",
    }
)
ZERO_BY_DEFAULT = frozenset({"ip.id", "tcp.ack"})


def chance_rate(expr: Expression) -> float:
    """Probability (0 to 1) that a packet with freely drawn fields satisfies the expression; 1 when nothing is random.

    For a keyed expression: that it fits a session whose key is already known.

    >>> from andon.records.expression import parse
    >>> chance_rate(parse("ip.id == 54321 and tcp.window == 65535")) == 2**-16
    True
    """
    return _rate(canonical(expr), {})


def _rate(node: Expression, used: dict[str, int]) -> float:
    """``used`` maps a field to the bits that earlier comparisons of the conjunction have taken; it grows."""
    if isinstance(node, Comparison):
        return float(2.0 ** -_bits(node, used))
    if isinstance(node, Or):
        return min(1.0, sum(_rate(term, dict(used)) for term in node.terms))
    rate = 1.0
    known: dict[str, Value] = {}
    parts = conjuncts(node)
    # Whole fields first, so that they can be put into the others; alternatives last.
    for part in sorted(parts, key=lambda p: (not isinstance(p, Comparison), not _sets_a_field(p))):
        if isinstance(part, Comparison):
            part = Comparison(_put_in(part.left, known), part.op, _put_in(part.right, known))
        bits = _rate(part, used)
        rate *= bits
        if isinstance(part, Comparison) and isinstance(part.left, Field) and _sets_a_field(part) and bits < 1:
            known[part.left.name] = part.right
    return rate


def _sets_a_field(node: Expression) -> bool:
    if not (isinstance(node, Comparison) and node.op == "==" and isinstance(node.left, Field)):
        return False
    return not field_demand(node.right, 0xFFFFFFFF, node.left.name)


def _bits(node: Comparison, used: dict[str, int]) -> float:
    if node.op == "!=":
        return 0
    at = sides(node)
    if at.decided() is not None:
        return 0
    best: tuple[int, int, str, int] | None = None
    circular = False
    for found in isolations(at):
        if isinstance(found.leaf, Key):
            continue
        name = found.leaf.name
        mask = found.mask & found.leaf.info.mask
        right = found.masked_right()
        if field_demand(found.right, mask, name) & mask:
            circular = True
            continue
        constant = not fields_of(right)
        if constant and (name in DEFAULTED or (name in ZERO_BY_DEFAULT and str(right) == "0")):
            continue
        fresh = (mask & ~used.get(name, 0)).bit_count()
        prefer = PREFERENCE.index(name) if name in PREFERENCE else len(PREFERENCE)
        if best is None or (-fresh, prefer, name) < best[:3]:
            best = (-fresh, prefer, name, mask)
    if best is None:
        return _by_trial(node) if circular and not keys_of(node) and not used else 0
    used[best[2]] = used.get(best[2], 0) | best[3]
    return -best[0]


@lru_cache(maxsize=1024)
def _by_trial(node: Comparison) -> float:
    """Bits of a comparison that no field can be taken out of: how many of 2^18 uniform packets satisfy it, and three
    more, since so many may be missed by chance. Fields that are not drawn freely stay zero."""
    names = sorted(fields_of(node) - DEFAULTED)
    if not names:
        return 0.0
    rng = np.random.default_rng(1)
    alone = len(names) == 1 and FIELDS[names[0]].bits == 16
    rows = 1 << 16 if alone else _TRIALS
    columns: dict[str, NDArray[Any]] = {name: np.zeros(rows, dtype) for name, dtype in COLUMNS}
    columns["layers"][:] = needs_of(node)
    for name in names:
        drawn = np.arange(rows) if alone else rng.integers(0, FIELDS[name].mask + 1, rows)
        columns[FIELDS[name].column] = drawn.astype(columns[FIELDS[name].column].dtype)
    hits = int(evaluate(compile_program(node), columns).sum())
    share = max(hits, 1) / rows if alone else min(1.0, (hits + 3) / rows)
    return -log2(share)


def _put_in(node: Value, known: dict[str, Value]) -> Value:
    """The value with solved fields replaced by what they equal."""
    if isinstance(node, Field):
        return known.get(node.name, node)
    if isinstance(node, Fn):
        return Fn(node.name, _put_in(node.argument, known), node.n)
    if isinstance(node, Sum):
        return Sum(node.op, tuple(_put_in(term, known) for term in node.terms))
    return node
