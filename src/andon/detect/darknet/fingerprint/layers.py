"""The layers of the search, from plain to far-fetched, as functions of its state.

Whole-field relations of every layer come before relations of some bits only, because the low bits of a sum are a
relation of some bits too, and taking them would hide the sum.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable

import numpy as np

from .affine import explain
from .again import L5
from .candidate import FULL, Candidate, values
from .constants import halves, masked_fields, whole_fields
from .high import LEAST_ROWS as HIGH_ROWS
from .high import high_candidates
from .lift import lift_shapes, lift_units, lift_words
from .linear import linear_candidates, linear_text
from .meet import meet_candidates, turns_of
from .pooled import pooled_candidates
from .search import Search
from .slow import pooled_units
from .span import span, tree
from .triangular import LEAST_ROWS, TARGETS, solved
from .units import Units
from .words import (
    BITS,
    DPORT,
    DST,
    ID,
    PAIRS,
    PLAIN,
    SEQ,
    SEQ_HIGH,
    SEQ_LOW,
    SPORT,
    WINDOW,
    Word,
    with_pairs,
)  # fmt: skip

MOST_POOLED = 90_000
MOST_SUMS = 60
MOST_DETERMINED = 300
_TARGETS = (SEQ, ID, WINDOW)
# Target and the fields that it may depend on.
_AFFINE = (
    (SEQ, [DST, SPORT, DPORT, ID, WINDOW]),
    (SEQ_LOW, [SEQ_HIGH, DST, SPORT, DPORT, ID]),
    (WINDOW, [ID, DST, SPORT, DPORT]),
    (ID, [DST, SPORT, DPORT, SEQ, WINDOW]),
    (SPORT, [DST, DPORT]),
)


def _whole(field: int) -> int:
    return FULL if BITS[field] == 32 else 0xFFFF


def constants(search: Search) -> None:
    """L0: whole fields."""
    for candidate in whole_fields():
        while search.consider([candidate]):
            pass


def masks(search: Search) -> None:
    """L0: halves of the sequence number, and any bits that stay while the others change."""
    found = masked_fields(search.fields, search.units, search.some(10, 20_000), search.budget.votes)
    for candidate in (*found[:40], *halves()):
        while search.consider([candidate]):
            pass


def affine(search: Search, partial: bool = False) -> None:
    """L3: exclusive-or sums of bits; of all bits of the target that vary, or with ``partial`` of some."""
    for target, others in _AFFINE:
        if target in search.skip:
            continue
        depth, added, sets = tree(others, 3)
        which = search.some(12, 8000)
        bits = np.zeros((len(which), len(depth)), np.uint32)
        ranks = np.zeros((len(which), len(depth)), np.int32)
        varying = np.zeros(len(which), np.uint32)
        units = search.units
        span(search.fields, units.starts, units.rows, which, target, depth, added, bits, ranks, varying)
        slack = units.sizes[which][:, None] - 1 - ranks
        count = np.bitwise_count(bits).astype(np.int64)
        score: np.ndarray = np.where(
            (ranks > 0) & (count >= 4) & (slack >= 3), count * np.minimum(slack, 20), 0
        )
        score = np.where(score >= 60, score - np.array([len(s) for s in sets]), 0)
        if target == SEQ_LOW:  # without the high half it is a relation of some bits of tcp.seq
            high = np.array([SEQ_HIGH in s for s in sets])
            alone: np.ndarray = np.any(score[:, ~high] > 0, axis=1)
            score = np.where(high & ~alone[:, None], score, 0)
        if not partial:
            score = np.where(np.equal(bits, varying[:, None]), score, 0)
        best, top = score.argmax(axis=1), score.max(axis=1)
        failed: dict[tuple[int, int], int] = defaultdict(int)
        for i in np.argsort(-top, kind="stable").tolist():
            if top[i] <= 0 or sum(failed.values()) > 200:
                break
            rows, node = search.unit(int(which[i])), int(best[i])
            key = (node, int(bits[i, node]))
            if failed[key] >= 4 or search.open[rows].mean() <= 0.8:
                continue
            made = explain(search.fields, rows, target, sets[node], int(bits[i, node]), "L3")
            alike = which[(bits[:, node] == bits[i, node]) & (best == node)]
            voters = np.unique(units.source[alike])[:400]
            if not search.consider([c for c in made if partial or c.mask == _whole(target)], voters):
                failed[key] += 1


def linear(search: Search, partial: bool = False) -> None:
    """L4: sums with coefficients modulo the target's width; with ``partial``, of the low half of tcp.seq."""
    plain = [Word(f, PLAIN, 0, 1.0) for f in (DST, SPORT, DPORT, ID, WINDOW, SEQ)]
    for target in _TARGETS:
        if target in search.skip or (partial and BITS[target] == 16):
            continue
        words = [w for w in plain if w.field != target]
        sets = sorted(tree(list(range(len(words))), 3)[2], key=len)
        table = np.array([[*s, *([-1] * (3 - len(s)))] for s in sets], np.int64)
        width = 16 if partial else BITS[target]
        which = search.some(5, 20_000)
        made = linear_candidates(
            search.fields,
            search.units,
            which,
            Word(target, PLAIN, 0, 1.0),
            words,
            table,
            search.budget.votes,
            width,
        )
        for candidate, members in made[:60]:
            search.consider([candidate], np.unique(search.units.source[members]))


def lift(search: Search) -> None:
    """L5: arithmetic and exclusive-or mixed."""
    for target in _TARGETS:
        if target not in search.skip:
            words = lift_words(target)
            _lift(
                search, search.fields, search.units, search.some(10, 600), target, words, lift_shapes(words)
            )


def mixed(search: Search) -> None:
    """L4 and L5 on the exclusive-or of two fields, and sums of which a rotation is sent."""
    which = search.some(8, 600)
    few = search.units.chosen(which)
    fields = with_pairs(search.fields[:, few.rows])
    few = Units(few.source, few.starts, np.arange(len(few.rows)))
    every = np.arange(len(few.source))
    for target in _TARGETS:
        if target in search.skip or not len(every):
            continue
        plain = [Word(f, PLAIN, 0, 1.0) for f in (DST, SPORT, DPORT)]
        sums = np.array([[0, -1, -1], [0, 1, -1], [0, 2, -1], [1, 2, -1]], np.int64)
        pairs = [
            Word(f, PLAIN, 0, 3.0)
            for f in PAIRS
            if not ((f == PAIRS[4] and target == SEQ) or (f == PAIRS[5] and target == ID))
        ]
        single = np.array([[i, -1, -1] for i in range(len(pairs))], np.int64)
        for turn in turns_of(target):
            for words, sets in ((pairs, single), (plain, sums))[: 2 if turn.op != PLAIN else 1]:
                made = linear_candidates(fields, few, every, turn, words, sets, search.budget.votes)
                for candidate, members in made[:20]:
                    search.consider([candidate], np.unique(few.source[members]))
        shapes = np.array([(inner, 1, i, -1, -1) for inner in (0, 1) for i in range(len(pairs))], np.int64)
        _lift(search, fields, few, every, target, pairs, shapes)


def _lift(
    search: Search, fields: np.ndarray, units: Units, which: np.ndarray, target: int, words: list[Word],
    shapes: np.ndarray,
) -> None:  # fmt: skip
    turns = turns_of(target)
    shape, turn = np.full(len(which), -1, np.int32), np.zeros(len(which), np.int32)
    got = np.zeros((len(which), 4), np.uint32)
    lift_units(
        fields, units.starts, units.rows, which, target, np.array([(w.op, w.n) for w in turns]), BITS[target],
        np.array([(w.field, w.op, w.n) for w in words]), shapes, shape, turn, got,
    )  # fmt: skip
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for i in np.flatnonzero(shape >= 0).tolist():
        groups[(int(shape[i]), int(turn[i]), *got[i, :3].tolist())].append(int(which[i]))
    for (s, t, *factors), members in sorted(groups.items(), key=lambda g: -len(g[1])):
        if len(np.unique(units.source[members])) >= search.budget.votes:
            made = _lifted(search, words, shapes[s], turns[t], factors, members)
            search.consider(made, np.unique(units.source[members]))


def _lifted(
    search: Search, words: list[Word], shape: np.ndarray, turn: Word,
    factors: list[int], members: list[int],
) -> list[Candidate]:  # fmt: skip
    """Candidates of one lifted form; ``shape``: inner, linear words, words."""
    inner, count = bool(shape[0]), int(shape[1])
    width, mask = BITS[turn.field], _whole(turn.field)
    terms = [(words[w], a) for w, a in zip(shape[2 : 2 + count].tolist(), factors, strict=False)]
    cost = 3.0 * count
    if inner:
        left = str(turn) if count == 1 else f"({turn} - {linear_text(terms[1:], width)})"
        whole = f"{left} * {pow(factors[0], -1, 1 << width)}"
        return [Candidate(whole, "^", str(terms[0][0]), mask, FULL, "L5", cost, str(turn))]
    right = linear_text(terms, width)
    free = [words[w].field for w in shape[2 + count :].tolist() if w >= 0]
    if not free:
        return [Candidate(str(turn), "^", right, mask, FULL, "L5", cost, str(turn))]
    left = f"({turn} ^ {right})"
    for u in members[:3]:
        rows = search.unit(
            u
        )  # only words of single fields are multiplied beside a free one: units are the search's
        rest = values(f"{left} & {mask}", {name: c[rows] for name, c in search.rows.columns.items()})
        small = np.concatenate([search.fields[:, rows], rest[None, :]])
        made = explain(
            small, np.arange(len(rows)), len(small) - 1, tuple(free), mask, "L5", left, width, str(turn)
        )
        if made:
            return made
    return []


def meet(search: Search) -> None:
    """L5: two fields under a non-linear operation."""
    for target in _TARGETS:
        if target not in search.skip:
            which = search.budget.turn.mine(search.some(8, 400), L5, 2)
            made = meet_candidates(search.fields, search.units, which, target, search.budget.votes)
            for candidate, voters in made[:40]:
                search.consider([candidate], voters)


def high(search: Search) -> None:
    """L5: the upper half of a product."""
    inside = search.within is not None
    for target in (ID, WINDOW, SPORT, SEQ_HIGH, SEQ):
        if target in search.skip or (target == SEQ_HIGH and SEQ in search.skip):
            continue
        which = search.some(HIGH_ROWS, 3 if inside else MOST_DETERMINED)
        for u in (which[:3] if inside else search.budget.turn.mine(which, L5, 2)).tolist():
            rows = search.unit(u)
            if search.late():
                return
            if search.open[rows].mean() <= 0.8 or len(np.unique(search.fields[target][rows])) * 2 < len(rows):
                continue
            for candidate in high_candidates(search.fields[:, rows], target):
                search.consider([candidate])


def triangular(search: Search) -> None:
    """L5: whatever a few words determine from the lowest bit upward."""
    inside = search.within is not None
    failed: Counter[tuple[int, ...]] = Counter()
    for target in TARGETS:
        if target in search.skip or (target == SEQ_HIGH and SEQ in search.skip):
            continue
        column = search.fields[target]
        which = search.some(LEAST_ROWS, 2 if inside else MOST_DETERMINED)
        which = which[np.argsort(-search.units.sizes[which], kind="stable")]
        for u in (which[:2] if inside else search.budget.turn.mine(which, L5, 2)).tolist():
            rows = search.unit(u)
            if search.late():
                return
            if search.open[rows].mean() <= 0.8 or len(np.unique(column[rows])) * 3 < len(rows):
                continue
            made, hidden = solved(search.fields[:, rows], target, failed)
            taken = any(search.consider(candidates) for candidates in made)
            search.looked(target, int(search.units.source[u]), 0 if taken else hidden)


def pooled(search: Search) -> None:
    """L1: short sums over up to three rows of every source."""
    at = np.flatnonzero(search.open)
    if not len(at):
        return
    source = search.rows.source[at]
    starts = np.flatnonzero(np.r_[True, source[1:] != source[:-1]])
    rank = np.arange(len(at)) - np.repeat(starts, np.diff(np.r_[starts, len(at)]))
    # A zero ip.id is what some systems always send: with a constant window it is a relation of nothing.
    rows = at[(rank < 3) & (search.fields[ID][at] != 0)]
    if len(rows) > MOST_POOLED:
        search.left_out.append(
            f"L1 looked at {MOST_POOLED:,} of {len(rows):,} rows of sources without a relation"
        )
        rows = rows[np.linspace(0, len(rows) - 1, MOST_POOLED).astype(np.int64)]
    tried = 0
    for candidate in pooled_candidates(search.fields, rows, search.budget.min_sources, lambda: search.open):
        if candidate.residue in search.refused:
            continue
        if tried >= MOST_SUMS:
            search.left_out.append(f"L1 verified the {MOST_SUMS} sums that stood out most")
            break
        tried += 1
        search.consider([candidate])


def slow(search: Search) -> None:
    """L2: the exact layers on rows of many slow sources that obey the same parities."""
    for units in pooled_units(search):
        search.units = units
        for layer in (affine, linear, lift, affine_parts):
            layer(search)
    search.refresh()


def affine_parts(search: Search) -> None:
    """L3 on some bits."""
    affine(search, partial=True)


def linear_halves(search: Search) -> None:
    """L4 on the low half."""
    linear(search, partial=True)


LAYERS: tuple[tuple[str, Callable[[Search], None]], ...] = (
    ("L0", constants),
    ("L3", affine),
    ("L4", linear),
    ("L5 lift", lift),
    ("L5 mixed", mixed),
    ("L5 meet", meet),
    ("L5 high", high),
    ("L5 triangular", triangular),
    ("L1", pooled),
    ("L2", slow),
    ("L0 masks", masks),
    ("L3 masks", affine_parts),
    ("L4 halves", linear_halves),
)
SECOND: tuple[Callable[[Search], None], ...] = (constants, affine, linear, lift, meet, high, triangular)
