"""Chromosomes of the genetic search: value trees of the expression language, and what breeding does to them.

A chromosome is a function of header words, the left side of a feature (function, value). The words and operations are
those that the published slides on automatic fingerprint identification show or name (XOR, OR, "lower 2 bytes") with
their obvious companions: AND, sums and differences, halves, byte swaps, shifts. Breeding is that of genetic
programming (Koza 1992): subtree crossover; subtree, point, hoist and growth mutation; half of the first trees full,
half grown.
"""

from __future__ import annotations

import random

from andon.records.expression.ast import Const, Field, Fn, Sum, Value, walk

WORDS = ("ip.src", "ip.dst", "ip.id", "tcp.srcport", "tcp.dstport", "tcp.seq", "tcp.ack", "tcp.window")
_BINARY = ("^", "^", "^", "^", "+", "-", "|", "&")  # as often as they stand here
_UNARY = ("lo16", "lo16", "hi16", "bswap16", "bswap32", "<<", ">>", "&", "|")
_SHIFTS = (1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 24)
_MASKS = (0xFF, 0xFF00, 0xFFFF, 0xFF0000, 0xFFFF0000, 0xFF000000, 0xFFF, 0xF0F0F0F0, 0x00FFFFFF)
LARGEST = 15  # nodes
DEEPEST = 6


def leaf(rng: random.Random) -> Value:
    """A random header word."""
    return Field(rng.choice(WORDS))


def unary(rng: random.Random, argument: Value) -> Value:
    """A random function of one value, or a shift or mask by a random constant."""
    name = rng.choice(_UNARY)
    if name in ("<<", ">>"):
        return Sum(name, (argument, Const(rng.choice(_SHIFTS))))
    if name in ("&", "|"):
        return Sum(name, (argument, Const(rng.choice(_MASKS))))
    return Fn(name, argument)


def binary(rng: random.Random, left: Value, right: Value) -> Value:
    """A random operation on two values."""
    return Sum(rng.choice(_BINARY), (left, right))


def grow(rng: random.Random, depth: int, full: bool) -> Value:
    """A random tree of at most ``depth`` operations from root to leaf; ``full``: of exactly so many."""
    if depth <= 0 or (not full and rng.random() < 0.25):
        return leaf(rng)
    if rng.random() < 0.3:
        return unary(rng, grow(rng, depth - 1, full))
    return binary(rng, grow(rng, depth - 1, full), grow(rng, depth - 1, full))


def first_population(rng: random.Random, size: int) -> list[Value]:
    """Ramped half-and-half: depths 1 to 4, half of the trees full; the bare words come first."""
    made: list[Value] = []
    made.extend(Field(word) for word in WORDS[:size])
    while len(made) < size:
        tree = grow(rng, 1 + len(made) % 4, full=len(made) % 2 == 0)
        if fits(tree):
            made.append(tree)
    return made


def crossover(rng: random.Random, mother: Value, father: Value) -> Value:
    """The mother with one of her subtrees replaced by one of the father's; the mother if that grows too large."""
    child = _replaced(mother, rng.randrange(nodes(mother)), rng.choice(subtrees(father)))
    return child if fits(child) else mother


def mutate(rng: random.Random, tree: Value) -> Value:
    """One random change; the tree itself if the change would make it too large."""
    draw = rng.random()
    at = rng.randrange(nodes(tree))
    chosen = subtrees(tree)[at]
    if draw < 0.25:  # another subtree
        child = _replaced(tree, at, grow(rng, 2, full=False))
    elif draw < 0.5:  # another operation or word
        child = _replaced(tree, at, _point(rng, chosen))
    elif draw < 0.65:  # a part becomes the whole
        child = chosen
    elif draw < 0.8:
        child = _replaced(tree, at, unary(rng, chosen))
    else:
        pair = (chosen, leaf(rng))
        child = _replaced(tree, at, binary(rng, *(pair if rng.random() < 0.5 else pair[::-1])))
    return child if fits(child) else tree


def shrink(tree: Value) -> list[Value]:
    """Every tree with one node fewer or more: a part instead of the whole, here or further down."""
    smaller: list[Value] = []
    for at, part in enumerate(subtrees(tree)):
        smaller.extend(_replaced(tree, at, child) for child in _parts(part))
    return sorted(set(smaller), key=lambda t: (nodes(t), str(t)))


def subtrees(tree: Value) -> list[Value]:
    """Every subtree that is a function of the packet, parents first."""
    return [node for node in walk(tree) if isinstance(node, (Field, Fn, Sum))]


def nodes(tree: Value) -> int:
    """How many subtrees there are."""
    return len(subtrees(tree))


def fits(tree: Value) -> bool:
    """Whether a tree may live: not too large, not too deep."""
    return nodes(tree) <= LARGEST and _depth(tree) <= DEEPEST


def _parts(node: Value) -> tuple[Value, ...]:
    if isinstance(node, Fn):
        return (node.argument,)
    if isinstance(node, Sum):
        return tuple(term for term in node.terms if not isinstance(term, Const))
    return ()


def _depth(tree: Value) -> int:
    return max((1 + _depth(part) for part in _parts(tree)), default=0)


def _point(rng: random.Random, node: Value) -> Value:
    if isinstance(node, Fn):
        return unary(rng, node.argument)
    if isinstance(node, Sum):
        left, right = node.terms[0], node.terms[1]
        return unary(rng, left) if isinstance(right, Const) else binary(rng, left, right)
    return leaf(rng)


def _replaced(tree: Value, at: int, new: Value) -> Value:
    """The tree with its subtree number ``at`` (order of ``subtrees``) replaced."""
    made, _ = _walked(tree, at, new)
    return made


def _walked(node: Value, at: int, new: Value) -> tuple[Value, int]:
    """(the node with the replacement made, what is left of ``at``); a count below 0 means it is done."""
    if isinstance(node, Const):
        return node, at
    if at == 0:
        return new, -1
    at -= 1
    if isinstance(node, Fn):
        argument, at = _walked(node.argument, at, new)
        return Fn(node.name, argument, node.n), at
    if isinstance(node, Sum):
        terms = []
        for term in node.terms:
            made, at = _walked(term, at, new) if at >= 0 else (term, at)
            terms.append(made)
        return Sum(node.op, tuple(terms)), at
    return node, at
