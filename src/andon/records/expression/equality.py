"""Do two expressions say the same on a telescope? Told by trial, on packets that could tell them apart.

Uniform packets hardly ever satisfy a 32-bit relation, so agreeing on them shows nothing. A third of the tuples are
uniform; a third are made to satisfy one expression, a third the other (`solve.py`). Destinations always come from the
telescope's prefixes: what differs only elsewhere is equal here. All tuples have every header that either side names.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, ip_network
from typing import Any

import numpy as np
from numpy.typing import NDArray

from andon.records.packet import IPV4, TCP, UDP

from .ast import And, Comparison, Expression, Or, keys_of, needs_of
from .canonical import canonical
from .evaluate import evaluate, session_key
from .keyed import conjuncts
from .machine import COLUMNS
from .program import Program, compile_program
from .solve import NotSolvable, apply, solve

TUPLES = 1_000_000
_SESSIONS = 1024
_MAX_ALTERNATIVES = 64

Tuples = dict[str, NDArray[Any]]


def equal_on(
    a: Expression, b: Expression, prefixes: Sequence[str | IPv4Network], seed: int, tuples: int = TUPLES
) -> bool:
    """Whether ``a`` and ``b`` agree on ``tuples`` packets sent to the prefixes; the same seed gives the same answer.

    Keyed expressions are equal when each one's key is constant within the sessions of the other. ValueError for
    prefixes that are none.

    >>> from andon.records.expression import parse
    >>> mirai, half = parse("tcp.seq == ip.dst"), parse("tcp.seq == (ip.dst & 0xffff) + 0xc6330000")
    >>> equal_on(mirai, half, ["198.51.0.0/16"], seed=1), equal_on(mirai, half, ["192.0.2.0/24"], seed=1)
    (True, False)
    """
    if canonical(a) == canonical(b):
        return True
    if bool(keys_of(a)) != bool(keys_of(b)):
        return False
    rng = np.random.default_rng(seed)
    drawn = _Draw(_networks(prefixes), IPV4 | ((needs_of(a) | needs_of(b)) & (TCP | UDP)), rng)
    programs = compile_program(a), compile_program(b)
    third = tuples // 3
    if keys_of(a):
        return _equal_keyed((a, b), programs, drawn, third)
    samples = [drawn.uniform(tuples - 2 * third), _satisfying(a, third, drawn), _satisfying(b, third, drawn)]
    return all(np.array_equal(evaluate(programs[0], s), evaluate(programs[1], s)) for s in samples)


def _networks(prefixes: Sequence[str | IPv4Network]) -> list[IPv4Network]:
    networks = []
    for prefix in prefixes:
        network = ip_network(prefix)
        if not isinstance(network, IPv4Network):
            raise ValueError(f"{prefix} is not an IPv4 prefix")
        networks.append(network)
    if not networks:
        raise ValueError("no prefixes: equality is about a telescope")
    return networks


class _Draw:
    """Uniform packets whose destinations lie in the prefixes."""

    def __init__(self, networks: list[IPv4Network], layers: int, rng: np.random.Generator) -> None:
        self.layers, self.rng = layers, rng
        self.first = np.array([int(n.network_address) for n in networks], np.uint64)
        self.ends = np.cumsum([n.num_addresses for n in networks])

    def uniform(self, rows: int) -> Tuples:
        columns: Tuples = {
            name: self.rng.integers(0, np.iinfo(dtype).max, rows, dtype=dtype, endpoint=True)
            for name, dtype in COLUMNS
        }
        at = self.rng.integers(0, int(self.ends[-1]), rows)
        which = np.searchsorted(self.ends, at, side="right")
        before = np.concatenate([[0], self.ends[:-1]])
        columns["dst"] = (self.first[which] + (at - before[which]).astype(np.uint64)).astype(np.uint32)
        columns["layers"] = np.full(rows, self.layers, np.uint8)
        return columns


def _alternatives(expr: Expression) -> list[list[Comparison]]:
    """The ways to satisfy an expression, each a conjunction; only the first 64."""
    if isinstance(expr, Comparison):
        return [[expr]]
    if isinstance(expr, Or):
        return [way for term in expr.terms for way in _alternatives(term)][:_MAX_ALTERNATIVES]
    ways: list[list[Comparison]] = [[]]
    for term in expr.terms:
        ways = [way + more for way in ways for more in _alternatives(term)][:_MAX_ALTERNATIVES]
    return ways


def _assigned(way: list[Comparison], columns: Tuples, keys: NDArray[np.uint32] | None = None) -> Tuples:
    """Make the tuples satisfy as many of the comparisons as assignment can."""
    kept: list[Comparison] = []
    assignments = []
    for part in sorted(way, key=lambda c: c.op == "!="):
        try:
            tried: list[Comparison] = [*kept, part]
            assignments = solve(tried[0] if len(tried) == 1 else And(tuple(tried)), fixed=("ip.dst",))
        except NotSolvable:
            continue
        kept = tried
    return apply(assignments, columns, keys)


def _satisfying(expr: Expression, rows: int, drawn: _Draw) -> Tuples:
    """Up to ``rows`` tuples that satisfy the expression: made by assignment, the rest left out."""
    program = compile_program(expr)
    ways = _alternatives(canonical(expr))
    pieces = []
    for way in ways:
        columns = _assigned(way, drawn.uniform(max(rows // len(ways), 1)))
        hit = evaluate(program, columns)
        pieces.append({name: column[hit] for name, column in columns.items()})
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def _equal_keyed(
    pair: tuple[Expression, Expression], programs: tuple[Program, Program], drawn: _Draw, rows: int
) -> bool:
    uniform = drawn.uniform(rows)
    if not np.array_equal(session_key(programs[0], uniform)[1], session_key(programs[1], uniform)[1]):
        return False
    for expr, mine, other in ((pair[0], *programs), (pair[1], *programs[::-1])):
        session = drawn.rng.integers(0, _SESSIONS, rows)
        keys = drawn.rng.integers(0, 2**mine.key_bits, _SESSIONS, dtype=np.uint64).astype(np.uint32)[session]
        way = [part for part in conjuncts(canonical(expr)) if isinstance(part, Comparison)]
        columns = _assigned(way, drawn.uniform(rows), keys)
        hit = evaluate(mine, columns, keys)
        if not hit.any():
            return False  # no session could be made, so nothing shows that they are equal
        found, valid = session_key(other, {name: column[hit] for name, column in columns.items()})
        group = session[hit]
        low, high = np.full(_SESSIONS, 2**32, np.int64), np.full(_SESSIONS, -1, np.int64)
        np.minimum.at(low, group, found.astype(np.int64))
        np.maximum.at(high, group, found.astype(np.int64))
        if not valid.all() or np.any((high >= 0) & (low != high)):
            return False
    return True
