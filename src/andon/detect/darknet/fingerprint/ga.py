"""Genetic search for fingerprints: the published baseline, and the last stage on what algebra leaves.

The method follows the published slides on automatic identification of scanner fingerprints (NICT; see also Tanaka,
Han, Takahashi, IEEE Access 2023, and JP 2022-123952, 2022-123955): evolve functions f of header words whose value v
many different sources share, judged by frequency relative to the near-minimum level (``ga_fitness``); keep the best
feature; set the sources that carry it aside; start again on the rest. Population, operators and stopping rules are not
public: those here are textbook genetic programming (``ga_trees``), and ``Guards.none()`` leaves out what we added. So
this is the idea of that search, not a reproduction of its figures.

It sees global relations only: a key that differs from source to source is no common value.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

import numpy as np

from andon.records.expression import (
    Comparison,
    Const,
    Expression,
    ExpressionError,
    Program,
    canonical,
    chance_rate,
    compile_program,
    evaluate,
)
from andon.records.expression.ast import FALSE, TRUE, Value, fields_of
from andon.records.expression.evaluate import execute
from andon.records.expression.fields import FIELDS
from andon.records.expression.keyed import conjuncts
from andon.records.expression.program import compile_value
from andon.records.packet import IPV4, TCP

from . import ga_trees as trees
from .ga_fitness import NOTHING, Feature, Guards, Pool, uniform_columns
from .sample import Family, Sample

_CHANCE_OF_A_FEATURE = 1e-9
_CHANCE_OF_A_SOURCE = (1e-4, 3e-5, 1e-5, 1e-6, 1e-7)
_TRIALS = 200_000
_LEAST_BITS = 8.0  # a relation that one packet in 256 satisfies by chance is none


@dataclass(frozen=True)
class Settings:
    """How long and how widely to search. A round evolves ``population`` trees for at most ``generations`` and ends
    early when the best has been significant and the same for ``patience`` generations; the search ends after
    ``rounds``, or after ``misses`` rounds in a row without a feature. Raises ValueError for sizes below 2."""

    generations: int = 30
    population: int = 200
    rounds: int = 40
    misses: int = 8
    patience: int = 6
    tournament: int = 4
    crossover: float = 0.5
    mutation: float = 0.4
    elite: int = 4
    per_source: int = 8
    rows: int = 60_000
    least_sources: int = 20
    guards: Guards = field(default_factory=Guards)

    def __post_init__(self) -> None:
        for name in ("population", "tournament", "per_source", "rows"):
            if getattr(self, name) < 2:
                raise ValueError(f"{name} must be at least 2, not {getattr(self, name)}")
        if not 0 <= self.elite < self.population:
            raise ValueError(f"elite must be below the population of {self.population}, not {self.elite}")
        if self.crossover < 0 or self.mutation < 0 or self.crossover + self.mutation > 1:
            raise ValueError("crossover and mutation are shares that sum to at most 1")


@dataclass(frozen=True)
class Outcome:
    """``families`` in the order in which they were found, and what it took."""

    families: list[Family]
    rounds: int
    evaluations: int


def search(
    sample: Sample,
    seed: int,
    generations: int = 30,
    population: int = 200,
    rounds: int = 40,
    guards: Guards | None = None,
) -> list[Family]:
    """Families of a sample, by genetic search; the same seed gives the same answer.

    Cost: 0.5 to 1.5 ms of CPU per function tried on up to 60,000 rows; at most ``generations * population`` functions
    a round.

    >>> found = search(sample, seed=1)                                              # doctest: +SKIP
    >>> [(family.relation, len(family.sources)) for family in found]                # doctest: +SKIP
    [('tcp.seq == ip.dst', 735)]
    """
    settings = Settings(
        generations=generations, population=population, rounds=rounds, guards=guards or Guards()
    )
    return evolve(sample, seed, settings).families


def evolve(sample: Sample, seed: int, settings: Settings) -> Outcome:
    """Sequential covering: round after round on the sources that no family has explained."""
    left = np.ones(len(sample.src), bool)
    families: list[Family] = []
    done = evaluations = missed = 0
    barred: set[Value] = set()
    while done < settings.rounds and missed < settings.misses and left.sum() >= settings.least_sources:
        rng = random.Random(f"{seed}/{done}")
        pool = Pool(sample, left, settings.per_source, settings.rows, settings.guards, rng.randrange(2**32))
        tree, feature = _round(pool, settings, rng, barred)
        done += 1
        evaluations += pool.evaluations
        family = _family(sample, tree, feature, settings) if tree is not None else None
        known = {f.relation for f in families}
        if tree is None or family is None or family.relation in known:
            missed += 1
            if tree is not None:
                barred.add(tree)
            continue
        missed = 0
        families.append(family)
        left[family.sources] = False
    return Outcome(families, done, evaluations)


def _round(
    pool: Pool, settings: Settings, rng: random.Random, barred: set[Value]
) -> tuple[Value | None, Feature]:
    """One evolution: its best tree and feature; None if none is significant."""
    known: dict[Value, Feature] = dict.fromkeys(barred, NOTHING)

    def judged(tree: Value) -> Feature:
        if tree not in known:
            known[tree] = pool.feature(tree)
        return known[tree]

    def fitness(tree: Value) -> float:
        # A node costs a bit: of two trees that say the same the shorter one lives.
        return judged(tree).bits - trees.nodes(tree)

    living = trees.first_population(rng, settings.population)
    best, unchanged = living[0], 0
    for _ in range(settings.generations):
        living.sort(key=fitness, reverse=True)
        if living[0] == best:
            unchanged += 1
        else:
            best, unchanged = living[0], 0
        if unchanged >= settings.patience and _significant(judged(best), pool, settings):
            break
        living = _next(living, fitness, settings, rng)
    best = max([best, *living], key=fitness)
    best = _shortened(best, judged)
    return (best, judged(best)) if _significant(judged(best), pool, settings) else (None, NOTHING)


def _next(living: list[Value], fitness, settings: Settings, rng: random.Random) -> list[Value]:  # type: ignore[no-untyped-def]
    """The next generation: the elite, children of tournament winners, and newcomers. Nobody is there twice."""
    made: dict[Value, None] = dict.fromkeys(living[: settings.elite])

    def parent() -> Value:
        return max(rng.choices(living, k=settings.tournament), key=fitness)

    tries = 0
    while len(made) < settings.population and tries < 20 * settings.population:
        tries += 1
        draw = rng.random()
        if draw < settings.crossover:
            child = trees.crossover(rng, parent(), parent())
        elif draw < settings.crossover + settings.mutation:
            child = trees.mutate(rng, parent())
        else:
            child = trees.grow(rng, rng.randint(1, 4), full=False)
        if trees.fits(child):
            made[child] = None
    return list(made)


def _significant(feature: Feature, pool: Pool, settings: Settings) -> bool:
    """Corrected for all values of all functions tried."""
    if feature.sources < settings.least_sources:
        return False
    tried = math.log2(max(pool.evaluations, 1)) + math.log2(max(feature.values, 1))
    return feature.bits > tried - math.log2(_CHANCE_OF_A_FEATURE)


def _shortened(tree: Value, judged) -> Value:  # type: ignore[no-untyped-def]
    """Leave out parts as long as nearly as many sources share a value."""
    while True:
        for shorter in trees.shrink(tree):
            if judged(shorter).bits >= 0.97 * judged(tree).bits and trees.nodes(shorter) < trees.nodes(tree):
                tree = shorter
                break
        else:
            return tree


def _family(sample: Sample, tree: Value, feature: Feature, settings: Settings) -> Family | None:
    """The feature as a relation, held against every packet of the sample; None if it does not stand."""
    try:
        relation = canonical(Comparison(tree, "==", Const(feature.value)))
        program = compile_program(relation)
    except ExpressionError:
        return None
    if relation in (TRUE, FALSE) or not fields_of(relation):
        return None
    bits = _bits(relation, program)
    guarded = settings.guards.defaults
    if guarded and bits < _LEAST_BITS:
        return None
    columns = dict(sample.columns)
    of_row = sample.of_row
    columns["src"] = sample.src[of_row]
    columns["tcp_flags"] = np.full(sample.rows, 2, np.uint8)
    columns["layers"] = np.full(sample.rows, IPV4 | TCP, np.uint8)
    hit = evaluate(program, columns)
    hits = np.bincount(of_row[hit], minlength=len(sample.src))
    carries = _carries(hits, np.diff(sample.starts), bits)
    if settings.guards.minimal:
        carries &= _varied(relation, columns, of_row, hit, hits)
    sources = np.flatnonzero(carries)
    if len(sources) < settings.least_sources:
        return None
    return Family(
        str(relation), "global", sources, bits, "ga", _proven(relation, columns, hit & carries[of_row])
    )


def _bits(relation: Expression, program: Program) -> float:
    """-log2 of the chance rate; by trial where uniform packets satisfy the relation more often than the rate says, as
    they do when a field occurs on both sides."""
    rate = chance_rate(relation)
    columns = uniform_columns(_TRIALS, np.random.default_rng(_TRIALS))
    columns["layers"] = np.full(_TRIALS, IPV4 | TCP, np.uint8)
    hits = int(evaluate(program, columns).sum())
    if hits > 10 and hits > 4 * rate * _TRIALS:
        rate = hits / _TRIALS
    return abs(math.log2(rate))


def _carries(hits: np.ndarray, rows: np.ndarray, bits: float) -> np.ndarray:
    """Sources whose hits are too many for chance; where chance has no say (window constants), half of the packets.

    The limit is as wide as it may be: chance gives it to at most one in 200 of the sources that pass. So a source
    that sent one packet can carry a 16-bit relation when many others do.
    """
    if bits < _LEAST_BITS:
        half: np.ndarray = 2 * hits >= np.maximum(rows, 1)
        return half
    expected = np.maximum(rows, 1) * 2.0**-bits
    # P(at least so many) by Chernoff's bound; for one hit simply the expected number.
    tail = np.exp(hits * (1 + np.log(expected / np.maximum(hits, 1))))
    tail = np.where(hits == 1, expected, np.where(hits > 1, tail, 1.0))
    for limit in _CHANCE_OF_A_SOURCE:
        passed: np.ndarray = tail < limit
        if len(rows) * limit * 200 <= passed.sum():
            break
    return passed


def _varied(
    relation: Expression,
    columns: dict[str, np.ndarray],
    of_row: np.ndarray,
    hit: np.ndarray,
    hits: np.ndarray,
) -> np.ndarray:
    """Sources whose compared field takes several values among several hits, where it is compared with fields."""
    varied = np.ones(len(hits), bool)
    at = of_row[hit]
    for part in conjuncts(relation):
        if isinstance(part, Comparison) and fields_of(part.right):
            values = execute(compile_value(part.left), columns, values=True)[1][hit].astype(np.int64)
            low, high = np.full(len(hits), 2**33), np.full(len(hits), -1)
            np.minimum.at(low, at, values)
            np.maximum.at(high, at, values)
            varied &= (hits < 2) | (low < high)
    return varied


def _proven(relation: Expression, columns: dict[str, np.ndarray], rows: np.ndarray) -> dict[str, int]:
    """For each field the bits that were not the same in all of the rows."""
    proven = {}
    for name in sorted(fields_of(relation)):
        values = columns[FIELDS[name].column][rows]
        proven[name] = int(np.bitwise_or.reduce(values ^ values[0])) if len(values) else 0
    return proven
