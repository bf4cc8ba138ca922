"""Sixteen planted fingerprints with drawn constants, and a judge of what a search says about them.

The judge goes by the truth, never by names. What is *eligible* to be found: a source with 40 bits of evidence for its
family's relation, n * r for a global one and (n - 1) * r for a session-keyed one, where r is -log2 of the relation's
chance rate and n the number of its own packets in which the involved fields vary; a family with 20 such sources.
Two relations are the same when they agree on the telescope (``records.expression.equal_on``). A *false family* is a
found relation that is equal to no planted one, however close.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from andon.records.expression import (
    Comparison,
    Expression,
    ExpressionError,
    canonical,
    chance_rate,
    compile_program,
    equal_on,
    evaluate,
    parse,
    session_key,
)
from andon.records.expression.ast import fields_of, keys_of
from andon.records.expression.evaluate import execute
from andon.records.expression.keyed import conjuncts
from andon.records.expression.program import compile_value

from .internet import Family, InternetConfig

EVIDENCE_BITS: Final = 40.0
LEAST_SOURCES: Final = 20
# Equality by trial is settled on few tuples when two relations differ; only agreement needs them all.
_FEW: Final = 3000
Columns = Mapping[str, np.ndarray]


# --- the planted families ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """One of the sixteen: ``tool`` of the simulator, and for tool "raw" the ``relation`` it keeps."""

    name: str
    tool: str
    relation: str = ""
    ports_each: int = 0


def benchmark_kinds(seed: int) -> tuple[Kind, ...]:
    """The sixteen with the constants of this seed: rotations, masks, odd factors, xor words.

    Three public tools, two rotations, a byte swap, xor of halves, masked bits, ports summed into ip.id, a product
    modulo 2^32, two session keys, an OR-mask, the window made of bits of ip.id (so that both vary), and two that are
    linear in no ring: a product that is rotated and then xored, and the bitwise AND of two fields.
    """
    rng = np.random.default_rng([seed, 1616])

    def word(bits: int) -> str:
        return hex(int(rng.integers(1, 2**bits)))

    def mask(bits: int, low: int, high: int) -> str:
        chosen = rng.choice(bits, int(rng.integers(low, high + 1)), replace=False)
        return hex(sum(1 << int(b) for b in chosen))

    def turn(bits: int) -> int:
        return int(rng.integers(1, bits))

    def odd() -> str:
        return hex(int(rng.integers(2**23, 2**31)) * 2 + 1)

    masked = mask(32, 20, 28)
    return (
        Kind("mirai", "mirai"),
        Kind("masscan", "masscan", ports_each=3),
        Kind("zmap", "zmap-old", ports_each=1),
        Kind(
            "rotated-seq", "raw", f"tcp.seq == rotl32(ip.dst, {turn(32)}) ^ (tcp.srcport << 16) ^ {word(32)}"
        ),
        Kind("rotated-id", "raw", f"ip.id == rotl16(lo16(ip.dst) ^ tcp.srcport, {turn(16)}) ^ {word(16)}"),
        Kind("swapped", "raw", f"tcp.seq == bswap32(ip.dst ^ {word(32)})"),
        Kind("halves", "raw", f"ip.id == hi16(tcp.seq) ^ lo16(tcp.seq) ^ {word(16)}"),
        Kind("masked", "raw", f"tcp.seq & {masked} == (ip.dst ^ {word(32)}) & {masked}"),
        Kind("port-sum", "raw", f"ip.id == lo16(tcp.srcport + tcp.dstport + {word(16)})"),
        Kind("product", "raw", f"tcp.seq == (ip.dst * {odd()}) + tcp.dstport"),
        Kind("unicornscan", "unicornscan"),
        Kind("keyed-halves", "raw", "hi16(tcp.seq) ^ lo16(tcp.seq) == key16"),
        Kind("or-mask", "raw", f"ip.id == lo16(ip.dst ^ tcp.srcport) | {mask(16, 3, 6)}"),
        Kind("window", "raw", f"tcp.window == (ip.id & {mask(16, 11, 14)}) ^ {word(16)}"),
        Kind("mixed", "raw", f"tcp.seq == rotl32(ip.dst * {odd()}, {turn(32)}) ^ {word(32)}"),
        Kind("and-fields", "raw", f"ip.id == lo16(tcp.seq) ^ (lo16(ip.dst) & tcp.srcport) ^ {word(16)}"),
    )


def benchmark_families(seed: int, packets: int = 1_000_000) -> tuple[Family, ...]:
    """The sixteen as rows for the simulator: 80 to 1,500 sources each at a million packets (at least 40), heavy-tailed
    packets per source (log-normal, sigma 1.3), one to eight ports.

    >>> len(benchmark_families(seed=1))
    16
    """
    rng = np.random.default_rng([seed, 61])
    scale = packets / 1_000_000
    rows = []
    for kind in benchmark_kinds(seed):
        sources = max(40, round(float(np.exp(rng.uniform(math.log(80), math.log(1500)))) * scale))
        chosen = rng.choice(np.array(SCANNED_PORTS), int(rng.integers(3, 9)), replace=False)
        ports = tuple((int(port), int(rng.integers(1, 6))) for port in chosen)
        rows.append(
            Family(
                name=kind.name, tool=kind.tool, kind="botnet", purpose="attack", sources=sources,
                weight=float(sources) ** 0.7, ports=ports, spread=1.3, relation=kind.relation,
                ports_each=min(kind.ports_each, len(ports)),
            )
        )  # fmt: skip
    return tuple(rows)


SCANNED_PORTS: Final = (
    21,
    22,
    23,
    80,
    81,
    443,
    445,
    1433,
    2323,
    3306,
    3389,
    5555,
    5900,
    6379,
    7547,
    8080,
    8443,
    37215,
)


def benchmark_config(seed: int, packets: int = 1_000_000, contamination: float = 0.0) -> InternetConfig:
    """All sixteen at once in the simulator; half of the packets and half of the sources are noise."""
    families = benchmark_families(seed, packets)
    return InternetConfig(
        seed=seed, packets=packets, noise=0.5, contamination=contamination, families=families,
        noise_sources=sum(f.sources for f in families),
    )  # fmt: skip


# --- the judge ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Planted:
    """A relation in the truth: ``names`` of the families that keep it, ``sources`` (uint32, ascending) that carry it,
    ``eligible`` those of them with enough evidence, ``bits`` = r."""

    names: tuple[str, ...]
    expression: Expression
    bits: float
    sources: np.ndarray
    eligible: np.ndarray

    @property
    def counts(self) -> bool:
        """Whether the family as a whole is eligible."""
        return len(self.eligible) >= LEAST_SOURCES


@dataclass(frozen=True)
class FamilyScore:
    """One planted relation: how many sources carry it, how many are eligible, what was found of them.

    ``found`` is the relation text that was found to be equal, "" if none; ``exact`` whether its canonical text is that
    of the planted one, ``short`` whether it is no longer than that; ``given`` sources in all, ``right`` of the true
    ones, ``right_eligible`` of the eligible.
    """

    name: str
    relation: str
    eligible: bool
    sources: int
    eligible_sources: int
    found: str
    exact: bool
    short: bool
    given: int
    right: int
    right_eligible: int


@dataclass(frozen=True)
class FalseFamily:
    """A found relation that is equal to no planted one. ``nearest`` is the planted family that owns most of the
    sources it was given to ("" if none does) and ``share`` how many of them."""

    relation: str
    sources: int
    nearest: str
    share: float


@dataclass(frozen=True)
class Report:
    """The verdict. Shares are None where there is nothing to divide by.

    ``repeated`` counts found relations that are equal to one found before them; they are not false."""

    families: tuple[FamilyScore, ...]
    false: tuple[FalseFamily, ...]
    repeated: int

    @property
    def found_families(self) -> int:
        return sum(bool(f.found) for f in self.families)

    @property
    def family_recall(self) -> float | None:
        """Share of eligible families that were found."""
        return _share(
            sum(bool(f.found) for f in self.families if f.eligible), sum(f.eligible for f in self.families)
        )

    @property
    def source_recall(self) -> float | None:
        """Share of (eligible source, eligible family) pairs that were found."""
        mine = [f for f in self.families if f.eligible]
        return _share(sum(f.right_eligible for f in mine), sum(f.eligible_sources for f in mine))

    @property
    def all_source_recall(self) -> float | None:
        """Share of all (source, family) pairs of the truth, however few packets they sent."""
        return _share(sum(f.right for f in self.families), sum(f.sources for f in self.families))

    @property
    def family_precision(self) -> float | None:
        """Share of the relations found that are equal to a planted one."""
        return _share(self.found_families, self.found_families + len(self.false))

    @property
    def source_precision(self) -> float | None:
        """Share of the (source, family) pairs given that are true; pairs of false families are wrong."""
        given = sum(f.given for f in self.families) + sum(f.sources for f in self.false)
        return _share(sum(f.right for f in self.families), given)

    @property
    def exact_share(self) -> float | None:
        """Share of the families found whose canonical text is that of the planted relation."""
        return _share(sum(f.exact for f in self.families), self.found_families)

    @property
    def short_share(self) -> float | None:
        """Share of the families found whose canonical text is no longer than that of the planted relation."""
        return _share(sum(f.short for f in self.families), self.found_families)

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {
            "family_recall": self.family_recall,
            "source_recall": self.source_recall,
            "all_source_recall": self.all_source_recall,
            "family_precision": self.family_precision,
            "source_precision": self.source_precision,
            "exact_share": self.exact_share,
            "short_share": self.short_share,
            "repeated": self.repeated,
            "families": [asdict(f) for f in self.families],
            "false": [asdict(f) for f in self.false],
        }


def score(
    found: Sequence[tuple[str, Collection[int] | np.ndarray]],
    truth: pa.Table,
    prefixes: Sequence[str],
    columns: Columns,
    seed: int = 1,
) -> Report:
    """Judge what was found: (relation text, addresses it was given to) pairs.

    ``truth``: the simulator's truth table. ``prefixes``: the telescope. ``columns``: the packets that were searched,
    packet-record columns in wire types with ``src`` and ``layers``. A text that is no expression is a false family.
    A planted and a found relation cost one trial of 10^6 tuples (``equal_on``) where they agree, 3,000 where not.
    """
    planted = plant(truth, columns, prefixes, seed)
    given: list[list[np.ndarray]] = [[] for _ in planted]
    texts: list[list[str]] = [[] for _ in planted]
    false: list[FalseFamily] = []
    for text, members in found:
        sources = np.unique(np.fromiter(members, np.uint32, len(members)))
        at = _match(text, planted, prefixes, seed)
        if at is None:
            false.append(_false(text, sources, planted))
        else:
            given[at].append(sources)
            texts[at].append(text)
    families = tuple(_scored(p, t, g) for p, t, g in zip(planted, texts, given, strict=True))
    return Report(families, tuple(false), sum(max(len(t) - 1, 0) for t in texts))


def plant(truth: pa.Table, columns: Columns, prefixes: Sequence[str], seed: int = 1) -> list[Planted]:
    """The relations of a truth table with their sources; families whose relations are equal count as one."""
    names = np.array(truth["family"].to_pylist(), object)
    texts = np.array(truth["expression"].to_pylist(), object)
    src = truth["src"].to_numpy()
    packets = truth["packets"].to_numpy()
    groups: list[tuple[Expression, list[str], np.ndarray]] = []
    for text in dict.fromkeys(texts[texts != ""].tolist()):
        expression = canonical(parse(text))
        mine = texts == text
        for number, (other, known, rows) in enumerate(groups):
            if same(expression, other, prefixes, seed):
                groups[number] = (other, known, rows | mine)
                break
        else:
            groups.append((expression, [], mine))
    planted = []
    for expression, _, rows in groups:
        sources, inverse = np.unique(src[rows], return_inverse=True)
        own = np.bincount(inverse, packets[rows]).astype(np.int64)
        bits = -math.log2(chance_rate(expression))
        enough = sources[evidence(expression, columns, sources, own) >= EVIDENCE_BITS]
        planted.append(Planted(tuple(dict.fromkeys(names[rows].tolist())), expression, bits, sources, enough))
    return planted


def evidence(expression: Expression, columns: Columns, sources: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Bits of evidence that each of ``sources`` (ascending) shows for a relation: float64.

    n counts packets that satisfy it, those with equal values of the compared field once, unless the relation compares
    with constants alone; it is never more than ``own``, the packets the source sent of that family. For a keyed
    relation it is the largest session.
    """
    if not len(sources):
        return np.zeros(0)
    place = np.minimum(np.searchsorted(sources, columns["src"]), len(sources) - 1)
    rows = np.flatnonzero(sources[place] == columns["src"])
    part = {name: column[rows] for name, column in columns.items()}
    program = compile_program(expression)
    keyed = bool(keys_of(expression))
    if keyed:
        key, hit = session_key(program, part)
    else:
        hit, key = evaluate(program, part), np.zeros(len(rows), np.uint32)
    group = place[rows][hit].astype(np.uint64) << np.uint64(32) | key[hit].astype(np.uint64)
    shown = _varying(expression, {name: column[hit] for name, column in part.items()})
    if shown:
        order = np.lexsort((*shown, group))
        new = np.r_[True, np.zeros(max(len(order) - 1, 0), bool)][: len(order)]
        for values in (group, *shown):
            ordered = values[order]
            new[1:] |= ordered[1:] != ordered[:-1]
        group = group[order][new]
    sessions, n = np.unique(group, return_counts=True)
    most = np.zeros(len(sources), np.int64)
    np.maximum.at(most, (sessions >> np.uint64(32)).astype(np.int64), n)
    counted = np.minimum(most, own) - int(keyed)
    bits: np.ndarray = np.maximum(counted, 0) * -math.log2(chance_rate(expression))
    return bits


def _varying(expression: Expression, columns: Columns) -> list[np.ndarray]:
    """Values of the compared fields of those comparisons that are with more than constants."""
    return [
        execute(compile_value(part.left), columns, values=True)[1]
        for part in conjuncts(expression)
        if isinstance(part, Comparison) and (fields_of(part.right) or keys_of(part.right))
    ]


def same(a: Expression, b: Expression, prefixes: Sequence[str], seed: int = 1) -> bool:
    """``equal_on``, tried on few tuples first."""
    return equal_on(a, b, prefixes, seed, tuples=_FEW) and equal_on(a, b, prefixes, seed)


def _match(text: str, planted: Sequence[Planted], prefixes: Sequence[str], seed: int) -> int | None:
    try:
        expression = parse(text)
        compile_program(expression)
    except ExpressionError:
        return None
    for number, one in enumerate(planted):
        if same(expression, one.expression, prefixes, seed):
            return number
    return None


def _false(text: str, sources: np.ndarray, planted: Sequence[Planted]) -> FalseFamily:
    shares = [len(np.intersect1d(sources, p.sources)) / max(len(sources), 1) for p in planted]
    best = int(np.argmax(shares)) if shares else -1
    if best < 0 or shares[best] == 0:
        return FalseFamily(text, len(sources), "", 0.0)
    return FalseFamily(text, len(sources), planted[best].names[0], shares[best])


def _scored(planted: Planted, texts: list[str], given: list[np.ndarray]) -> FamilyScore:
    members = np.unique(np.concatenate(given)) if given else np.zeros(0, np.uint32)
    forms = [str(canonical(parse(text))) for text in texts]
    relation = str(planted.expression)
    return FamilyScore(
        name=planted.names[0],
        relation=relation,
        eligible=planted.counts,
        sources=len(planted.sources),
        eligible_sources=len(planted.eligible),
        found=texts[0] if texts else "",
        exact=relation in forms,
        short=any(len(form) <= len(relation) for form in forms),
        given=len(members),
        right=len(np.intersect1d(members, planted.sources)),
        right_eligible=len(np.intersect1d(members, planted.eligible)),
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
