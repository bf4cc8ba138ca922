"""Relations that nobody chose: drawn from the grammar, planted, searched for, judged by the scorer.

A list of kinds written by whoever wrote the search shows what its author thought of. Here trees are drawn: fields,
operators, functions, shifts, constants and keys at random, one to four operations each (counted in the canonical
form), some on half of a field or under a mask, some joined by ``and``. What cannot be sent or hardly varies is drawn
again. The figures say by number of operations and by class where the search ends.

Seeds below 100 are for development; figures are reported from seeds of 1,000 and above.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from searches import Search, run_search, simulated

from andon.records.expression import (
    Expression,
    ExpressionError,
    NotSolvable,
    apply,
    canonical,
    chance_rate,
    evaluate,
    parse,
)
from andon.records.expression.ast import Comparison, Const, Fn, Sum, children, fields_of, keys_of, walk
from andon.records.expression.evaluate import execute
from andon.records.expression.keyed import conjuncts
from andon.records.expression.program import compile_program, compile_value
from andon.simulate.fingerprints import SCANNED_PORTS, score
from andon.simulate.internet import DEFAULT_TELESCOPE, Family, InternetConfig, truth
from andon.simulate.internet.solve import assignments

FORMULAS: Final = 16
LEAST_BITS: Final = 12.0
LEAST_VALUES: Final = 200  # of the compared field in 4,096 packets
_WIDE: Final = {"ip.dst": 32, "tcp.seq": 32}
# Target -> how often, and which fields it is made of how often.
_TARGETS: Final = {
    "tcp.seq": (0.62, {"ip.dst": 6, "tcp.srcport": 2.2, "tcp.dstport": 1.3, "ip.id": 0.4}),
    "ip.id": (0.24, {"ip.dst": 4, "tcp.seq": 3, "tcp.srcport": 2, "tcp.dstport": 1.3}),
    "tcp.window": (0.07, {"ip.id": 4, "ip.dst": 2, "tcp.seq": 2, "tcp.srcport": 1}),
    "tcp.srcport": (0.07, {"ip.dst": 5, "tcp.seq": 2, "tcp.dstport": 1}),
}


@dataclass(frozen=True)
class Formula:
    """A drawn relation: its text, operations in canonical form, class."""

    text: str
    operations: int
    kind: str


class Writer:
    """Draws values of the language as text. Everything comes from ``rng``."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def one(self, of: dict[str, float]) -> str:
        weights = np.array([*of.values()])
        return [*of][int(self.rng.choice(len(weights), p=weights / weights.sum()))]

    def number(self, bits: int) -> str:
        return hex(int(self.rng.integers(1, 2**bits)))

    def mask(self, bits: int) -> str:
        """A run of bits, a byte pattern, or any bits: three quarters of them at least half of the width."""
        if self.rng.random() < 0.5:
            low = int(self.rng.integers(0, bits // 2))
            high = int(self.rng.integers(low + bits // 3, bits + 1))
            return hex(((1 << high) - 1) & ~((1 << low) - 1) & ((1 << bits) - 1))
        count = int(self.rng.integers(bits // 2, bits))
        return hex(sum(1 << int(b) for b in self.rng.choice(bits, count, replace=False)))

    def few_bits(self, bits: int) -> str:
        chosen = self.rng.choice(bits, int(self.rng.integers(1, bits // 3)), replace=False)
        return hex(sum(1 << int(b) for b in chosen))

    def value(self, operations: int, wide: bool, of: dict[str, float]) -> str:
        """A value of so many operations; ``wide``: 32 bits, else 16."""
        if operations == 0:
            return self.leaf(wide, of)
        bits = 32 if wide else 16
        kind = self.one({"function": 0.24, "shift": 0.14, "constant": 0.34, "two": 0.28})
        if kind == "function":
            if wide:
                x = self.value(operations - 1, True, of)
                return self.one({f"bswap32({x})": 1, f"rotl32({x}, {self.rng.integers(1, 32)})": 2})
            if self.rng.random() < 0.5:
                x = self.value(operations - 1, True, of)
                return self.one({f"lo16({x})": 1, f"hi16({x})": 1})
            x = self.value(operations - 1, False, of)
            return self.one({f"bswap16({x})": 1, f"rotl16({x}, {self.rng.integers(1, 16)})": 1})
        if kind == "shift":
            most = 17 if wide else 9
            x = self.value(operations - 1, wide, of)
            return f"({x} {self.one({'<<': 1, '>>': 1})} {self.rng.integers(1, most)})"
        if kind == "constant":
            x = self.value(operations - 1, wide, of)
            op = self.one({"^": 4, "+": 2.5, "-": 0.5, "*": 2, "&": 1, "|": 1})
            number = {"*": hex(int(self.rng.integers(1, 2 ** (bits - 1))) * 2 + 1), "&": self.mask(bits)}
            return f"({x} {op} {number.get(op, self.few_bits(bits) if op == '|' else self.number(bits))})"
        left = int(self.rng.integers(0, operations))
        a = self.value(left, wide, of)
        b = self.value(operations - 1 - left, wide, of)
        return f"({a} {self.one({'^': 4.5, '+': 2.5, '-': 1, '&': 0.7, '|': 0.6, '*': 0.7})} {b})"

    def leaf(self, wide: bool, of: dict[str, float]) -> str:
        """A field; a wide one is halved for a narrow value (which costs nothing: nobody can do without)."""
        name = self.one(of)
        if wide or name not in _WIDE:
            return name
        return self.one({f"lo16({name})": 2, f"hi16({name})": 1})

    def comparison(self, operations: int, target: str, keyed: bool) -> str:
        of = _TARGETS[target][1]
        wide = target in _WIDE
        left = target
        if wide and self.rng.random() < 0.15:
            wide = False
            left = self.one({f"lo16({target})": 1, f"hi16({target})": 1})
            of = {**of, "ip.dst": 3}
        right = self.value(operations - int(keyed), wide, of)
        if keyed:
            right = f"({right} {self.one({'^': 3, '+': 1})} key{32 if wide else 16})"
        if not wide:
            right = f"lo16({right})"
        return f"{left} == {right}"


def draw(seed: int, count: int = FORMULAS) -> list[Formula]:
    """``count`` relations, as many of one, two, three and four operations; the same for the same seed."""
    rng = np.random.default_rng([seed, 3141])
    writer = Writer(rng)
    made: list[Formula] = []
    while len(made) < count:
        wanted = 1 + len(made) * 4 // count
        one = _try(writer, wanted, (rng.random() < 0.12, rng.random() < 0.15))
        if one is not None and all(one.text != other.text for other in made):
            made.append(one)
    return made


def _try(writer: Writer, wanted: int, joined_keyed: tuple[bool, bool]) -> Formula | None:
    joined, keyed = joined_keyed
    target = writer.one({name: share for name, (share, _) in _TARGETS.items()})
    if joined and wanted > 1:
        first = int(writer.rng.integers(1, wanted))
        other = writer.one({name: share for name, (share, _) in _TARGETS.items() if name != target})
        text = (
            f"{writer.comparison(first, target, keyed)} and {writer.comparison(wanted - first, other, False)}"
        )
    else:
        text = writer.comparison(wanted, target, keyed)
    expression = canonical(parse(text))
    if operations(expression) != wanted or chance_rate(expression) > 2.0**-LEAST_BITS or not sendable(text):
        return None
    return Formula(text, wanted, kind_of(expression))


def operations(expression: Expression) -> int:
    """Operators and functions of the right sides, those that only cut to sixteen bits left out."""
    total = 0
    for part in conjuncts(expression):
        assert isinstance(part, Comparison)
        right = part.right
        if isinstance(right, Fn) and right.name == "lo16":
            right = right.argument
        for node in walk(right):
            if isinstance(node, Sum):
                total += len(node.terms) - 1
            elif isinstance(node, Fn) and not (node.name in ("lo16", "hi16") and not children(node.argument)):
                total += 1
    return total


def kind_of(expression: Expression) -> str:
    """Class: what kind of mathematics would find it."""
    parts = conjuncts(expression)
    if len(parts) > 1:
        return "joined"
    nodes = [*walk(expression)]
    if any(
        isinstance(n, Sum) and n.op in "&|*<<>>" and sum(bool(fields_of(t)) for t in n.terms) > 1
        for n in nodes
    ):
        return "two fields & | *"
    arithmetic = any(isinstance(n, Sum) and n.op in "+-*" for n in nodes)
    bitwise = any(
        (isinstance(n, Sum) and n.op in "^|&>>") or (isinstance(n, Fn) and n.name != "lo16") for n in nodes
    )
    name = "mixed" if arithmetic and bitwise else "arithmetic" if arithmetic else "bits"
    return f"{name}, key" if keys_of(expression) else name


def sendable(text: str) -> bool:
    """Whether packets can be made to satisfy it, and the compared fields then vary."""
    try:
        made = assignments(text)
        program = compile_program(canonical(parse(text)))
    except (NotSolvable, ExpressionError):
        return False
    rng = np.random.default_rng(1)
    rows = 4096
    columns: dict[str, Any] = {
        name: rng.integers(0, 2**bits, rows).astype(f"uint{bits}")
        for name, bits in (
            ("src", 32), ("dst", 32), ("tcp_seq", 32), ("tcp_ack", 32), ("ip_id", 16), ("ip_len", 16),
            ("src_port", 16), ("tcp_window", 16), ("ttl", 8),
        )
    }  # fmt: skip
    columns["dst_port"] = rng.choice(np.array(SCANNED_PORTS, np.uint16), rows)
    columns["tcp_flags"], columns["layers"] = np.full(rows, 2, np.uint8), np.full(rows, 5, np.uint8)
    keys = np.full(rows, 0x1234_5678, np.uint32)
    if any(a.field in ("tcp.dstport", "ip.dst") for a in made):
        return False
    sent = apply(made, columns, keys)
    expression = canonical(parse(text))
    if not evaluate(program, sent, keys if keys_of(expression) else None).all():
        return False
    for part in conjuncts(expression):
        assert isinstance(part, Comparison)
        if isinstance(part.right, Const):
            continue
        left = execute(compile_value(part.left), sent, values=True)[1]
        if len(np.unique(left)) < LEAST_VALUES:
            return False
    return True


def families_of(formulas: Sequence[Formula], seed: int, packets: int) -> tuple[Family, ...]:
    """Rows for the simulator, of sizes as in ``benchmark_families``."""
    rng = np.random.default_rng([seed, 62])
    rows = []
    for number, formula in enumerate(formulas):
        sources = max(40, round(math.exp(rng.uniform(math.log(80), math.log(1500))) * packets / 1_000_000))
        chosen = rng.choice(np.array(SCANNED_PORTS), int(rng.integers(3, 9)), replace=False)
        rows.append(
            Family(
                name=f"f{number}", tool="raw", kind="botnet", purpose="attack", sources=sources,
                weight=float(sources) ** 0.7, spread=1.3, relation=formula.text,
                ports=tuple((int(port), int(rng.integers(1, 6))) for port in chosen),
            )
        )  # fmt: skip
    return tuple(rows)


def blind(method: Search, seed: int, packets: int, contamination: float) -> dict[str, Any]:
    """Sixteen drawn relations at once, half of all sources noise."""
    formulas = draw(seed)
    families = families_of(formulas, seed, packets)
    config = InternetConfig(
        seed=seed, packets=packets, noise=0.5, contamination=contamination, families=families,
        noise_sources=sum(f.sources for f in families), telescope=DEFAULT_TELESCOPE,
    )  # fmt: skip
    columns = simulated(config)
    answer = run_search(method, columns, seed)
    report = score(answer.found, truth(config)[0], config.telescope, columns).to_dict()
    by_name = {f"f{number}": formula for number, formula in enumerate(formulas)}
    for family in report["families"]:
        formula = by_name[family["name"]]
        family |= {"text": formula.text, "operations": formula.operations, "kind": formula.kind}
    return {**answer.costs(), "syn": len(columns["src"]), **report}
