"""The catalogue of known tools: data in ``catalogue.toml``, read and checked once when the engine is made.

A tool has one or more signatures. A *global* signature is a relation that holds for each packet by itself; a
*session* signature is a value that stays the same over the packets of one run of the tool, whatever it is
(``VALUE == key16`` or ``== key32``). The file says where each relation was read.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal

from andon.records.expression import (
    Bundle,
    Comparison,
    Expression,
    ExpressionError,
    Key,
    Sum,
    compile_bundle,
    parse,
)
from andon.records.expression.ast import Value

LANES = ("syn", "udp")
LANE_GUARDS = ("tcp.flags & 0x3f == 2", "udp.dstport == udp.dstport")
IDENTITY = {"ip.dst": 1, "tcp.seq": 2, "ip.id": 4, "ports": 8}
PURPOSES = ("attack", "survey", "either")
# A relation at least this rare explains a packet: it is not looked at again for session signatures.
EXPLAINS = 16.0
BITS_PER_SIGNATURE = 3  # in a row's marks: tried, hit, hit with the second property
LANE_BITS = 3  # before them: SYN lane, UDP lane, passes the guard of a guarded session signature


class CatalogueError(ValueError):
    """The catalogue says something that makes no sense; the message names tool and key."""


@dataclass(frozen=True)
class Signature:
    """One way to recognise a tool; fields as explained at the head of ``catalogue.toml``."""

    tool: str
    number: int  # among the signatures of its scope, from 0
    scope: Literal["global", "session"]
    lane: int
    guard: str
    relation: str
    bits: float
    trust: float
    trials: Literal["lane", "guard"] = "lane"
    also: str = ""
    identity: int = 0
    trust_without_also: float = 0.0
    min_ports: int = 0
    trust_by_ports: float = 0.0
    compare: str = ""
    guard_bits: float = 0.0
    ttls: int = 0
    vary: tuple[str, ...] = ()
    specific: tuple[str, ...] = ()

    @property
    def rate(self) -> float:
        """Share of unrelated packets that satisfy the relation by chance."""
        return float(2.0**-self.bits)

    @property
    def explains(self) -> bool:
        return self.scope == "global" and self.bits >= EXPLAINS

    @property
    def check(self) -> str:
        """Guard and relation as one expression (for a session signature with its key unknown)."""
        return f"({self.guard}) and ({self.relation})"

    def with_key(self, key: int) -> str:
        """The session relation with its key as a constant: something tcpdump can count."""
        value, _, _ = self.relation.rpartition(" == ")
        return f"({self.guard}) and ({value} == {key:#x})"

    @property
    def value(self) -> Value | None:
        """What tells runs of the tool apart in a session relation (its left side); in a global one what is 0 when
        it holds (both sides XORed), None where it is more than one comparison."""
        relation = parse(self.relation)
        if not isinstance(relation, Comparison):
            return None
        return relation.left if self.scope == "session" else Sum("^", (relation.left, relation.right))


@dataclass(frozen=True)
class Tool:
    """A tool of the catalogue, with where its relation was read."""

    name: str
    title: str
    sign: str
    purpose: str
    attack: tuple[str, ...]
    valid_from: str
    valid_to: str
    versions: str
    collisions: str
    source: str
    signatures: tuple[Signature, ...]


@dataclass(frozen=True)
class Catalogue:
    """All tools; ``globals`` and ``sessions`` are their signatures in the order of their numbers."""

    date: str
    tools: tuple[Tool, ...]
    globals: tuple[Signature, ...]
    sessions: tuple[Signature, ...]

    def bundle(self) -> Bundle:
        """The expressions behind the marks of a packet: lanes, session guard, then three per global signature."""
        guarded = [s.guard for s in self.sessions if s.guard_bits]
        texts = [*LANE_GUARDS, guarded[0] if guarded else "0 == 1"]
        for s in self.globals:
            tried = s.guard if s.trials == "guard" else "0 == 1"
            also = f"{s.check} and ({s.also})" if s.also else "0 == 1"
            texts += [tried, s.check, also]
        return compile_bundle([parse(text) for text in texts])


def load(text: str | None = None) -> Catalogue:
    """The catalogue shipped with the package, or one given as TOML text. Raises CatalogueError."""
    if text is None:
        text = files(__package__).joinpath("catalogue.toml").read_text("utf-8")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CatalogueError(f"catalogue is not TOML: {error}") from error
    if data.get("schema") != 1:
        raise CatalogueError(f"catalogue schema {data.get('schema')!r}; this version reads schema 1")
    counts = {"global": 0, "session": 0}
    tools = tuple(_tool(entry, counts) for entry in data.get("tool", []))
    names = [tool.name for tool in tools]
    guards = {s.guard for tool in tools for s in tool.signatures if s.guard_bits}
    if len(guards) > 1:
        raise CatalogueError(
            f"guarded session signatures share one sample, so they need one guard, not {guards}"
        )
    if len(set(names)) != len(names) or not names:
        raise CatalogueError(f"tool names must be there and differ: {names}")
    signatures = [s for tool in tools for s in tool.signatures]
    if LANE_BITS + BITS_PER_SIGNATURE * counts["global"] > 32:
        raise CatalogueError(f"{counts['global']} global signatures; one pass takes at most nine")
    return Catalogue(
        date=str(data.get("date", "")),
        tools=tools,
        globals=tuple(s for s in signatures if s.scope == "global"),
        sessions=tuple(s for s in signatures if s.scope == "session"),
    )


def _tool(entry: Mapping[str, Any], counts: dict[str, int]) -> Tool:
    try:
        name, purpose = str(entry["name"]), str(entry["purpose"])
        if purpose not in PURPOSES:
            raise CatalogueError(f"tool {name}: purpose {purpose!r} is none of {', '.join(PURPOSES)}")
        return Tool(
            name=name,
            title=str(entry["title"]),
            sign=str(entry["sign"]),
            purpose=purpose,
            attack=tuple(str(technique) for technique in entry["attack"]),
            valid_from=str(entry["from"]),
            valid_to=str(entry["to"]),
            versions=str(entry["versions"]),
            collisions=str(entry["collisions"]),
            source=str(entry["source"]),
            signatures=tuple(_signature(name, item, counts) for item in entry["signature"]),
        )
    except KeyError as error:
        raise CatalogueError(f"tool {entry.get('name', '?')}: {error} is missing") from error


def _signature(tool: str, item: Mapping[str, Any], counts: dict[str, int]) -> Signature:
    given = dict(item)
    try:
        scope, lane = given.pop("scope"), given.pop("lane")
        if lane not in LANES or scope not in counts:
            raise CatalogueError(
                f"lane {lane!r} must be one of {LANES}, scope {scope!r} one of {tuple(counts)}"
            )
        identity = sum(IDENTITY[field] for field in given.pop("identity", []))
        for key in ("vary", "specific"):
            given[key] = tuple(given.get(key, ()))
        number = counts[scope]
        made = Signature(
            tool=tool, number=number, scope=scope, lane=LANES.index(lane), identity=identity, **given
        )
        for text in (made.guard, made.relation, made.also or "0 == 0", made.compare or "0 == 0"):
            _check_scope(made, parse(text), text == made.relation)
    except (KeyError, TypeError, ValueError, ExpressionError) as error:
        raise CatalogueError(f"tool {tool}: {error}") from error
    counts[scope] += 1
    return made


def _check_scope(made: Signature, relation: Expression, is_relation: bool) -> None:
    keyed = isinstance(relation, Comparison) and isinstance(relation.right, Key)
    if keyed != (is_relation and made.scope == "session"):
        raise CatalogueError(f"a session relation is 'VALUE == key', no other may have a key: {relation}")
    if not 0 < made.trust <= 1 or made.bits <= 0:
        raise CatalogueError("trust must be above 0 and at most 1, bits above 0")
