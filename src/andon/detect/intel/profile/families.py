"""Which items are one family: strong evidence joins, shared things do not.

Two anchors of one session, or a mark and an anchor that ``darknet.link`` has linked, are tied with the larger of
the two shares "of the sources with this one, how many have that one". Ties are taken strongest first (single
linkage) under conditions that cut the bridges which make botnets one: two tokens stay apart unless most sources
of each show both, two fingerprints stay apart, two port sets join only if one is part of the other or they
mostly agree. What is then left between families (a fingerprint of many forks, a payload that two of them carry,
credentials, exploits) is told of each of them and joins none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from andon.detect.intel.profile.items import (
    ANCHORS,
    FINGERPRINT,
    HOST,
    NAME,
    PORT_SET,
    SEPARATOR,
    joins,
    parts,
    ports_of,
    short,
    written,
)
from andon.detect.intel.profile.memory import Memory
from andon.records import joint

_TIE: Final = 0.6  # share from which a tie joins
_LEAST: Final = 2  # sessions that show both
_PROBABLE: Final = 0.5  # of a link
_TOLD: Final = 0.2  # share from which a mark or an anchor of another family is told of this one as well
_OF_ALL: Final = 0.6  # ... and of the share that this port has among all sources
_NOTHING: Final[Mapping[str, float]] = MappingProxyType({})
_OF_PORTS: Final = 0.08  # share of a fingerprint's sources that ask for a port which is one of its ports
_SIGNS: Final = (joint.CREDENTIAL, joint.URL_BASE, joint.PAYLOAD)
_ENOUGH: Final = 3  # things known of each side before a lack of common ones says something
_COPIED: Final = 0.2  # share of things in common below which a common token is a copy
_FEW: Final = 4  # sources of a fingerprint below which its ports are not told


@dataclass
class Family:
    """``core``: items that only it has; ``shared``: items it has in common with others. ``links``: rows of the links
    that hold it together, with their marks and behaviours."""

    core: frozenset[str]
    shared: set[str] = field(default_factory=set)
    links: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    ports: tuple[str, ...] = ()  # sets, the whole one first
    port_basis: int = 0  # sources that they were counted over
    born: str = ""  # report that gave rise to it; "" if observed by itself
    joined: str = ""  # report through which a fingerprint and a behaviour were joined
    reports: list[Any] = field(default_factory=list)

    def values(self, kind: str) -> list[str]:
        """Values of a kind, its own first."""
        own = sorted(parts(one)[1] for one in self.core if one.startswith(kind + SEPARATOR))
        return own + sorted(parts(one)[1] for one in self.shared if one.startswith(kind + SEPARATOR))

    @property
    def anchored(self) -> bool:
        """Somebody at a honeypot has shown what it is."""
        return any(parts(one)[0] in ANCHORS for one in self.core)

    @property
    def identity(self) -> str:
        """The item that names it: token, host, payload, URL base, name, fingerprint, ports, in this order."""
        order = (joint.TOKEN, NAME, joint.URL_BASE, HOST, joint.PAYLOAD, FINGERPRINT, PORT_SET)
        return min(self.core, key=lambda one: (order.index(parts(one)[0]), one))


@dataclass(frozen=True)
class _Tie:
    strength: float
    mutual: float  # geometric mean of the two shares
    weight: int  # sources or sessions
    a: str
    b: str


def find(memory: Memory) -> list[Family]:
    """All families that the behaviours, links and fingerprints of the memory show, in order of their items."""
    ties = sorted(
        [*_of_sessions(memory), *_of_links(memory)],
        key=lambda t: (-round(t.strength, 6), -round(t.mutual, 6), -t.weight, t.a, t.b),
    )
    signs, servers = _signs(memory), _servers(memory)
    group: dict[str, frozenset[str]] = {}
    strength = {(t.a, t.b): t.strength for t in ties}
    for tie in ties:
        if tie.strength < _TIE:
            break
        a, b = group.get(tie.a, frozenset((tie.a,))), group.get(tie.b, frozenset((tie.b,)))
        if a is b or not _may_join(a, b, strength) or _copies(a, b, signs) or _others_servers(a, b, servers):
            continue
        for one in a | b:
            group[one] = a | b
    for key, (count, _, _) in memory.items.items():
        if joins(key) and key not in group and count >= _LEAST and parts(key)[0] in (joint.TOKEN, NAME):
            group[key] = frozenset((key,))
    cores = sorted({tuple(sorted(core)) for core in group.values()})
    # A mark that only other families' behaviours go with is no family of its own.
    families = [Family(frozenset(core)) for core in cores if any(parts(one)[0] in ANCHORS for one in core)]
    taken = {one for family in families for one in family.core}
    for name in sorted(memory.sets):
        mark = FINGERPRINT + SEPARATOR + name
        if name and mark not in taken and sum(memory.sets[name].values()) >= _FEW:
            families.append(Family(frozenset((mark,))))
    _share(memory, families)
    for family in families:
        _ports(memory, family)
    families += [other for family in families for other in _others_with_its_scanner(memory, family)]
    return [family for family in families if not _only_a_mark_of_others(family, families)]


def _of_sessions(memory: Memory) -> list[_Tie]:
    """Ties of two anchors of the same sessions."""
    with_kind: dict[tuple[str, str], int] = defaultdict(
        int
    )  # (anchor, kind of the other) -> sessions with both
    for (a, b), count in memory.pairs.items():
        with_kind[a, parts(b)[0]] += count
    found = []
    for (a, b), count in memory.pairs.items():
        if a < b and count >= _LEAST and joins(b) and (b, a) in memory.pairs:
            of_a, of_b = count / with_kind[a, parts(b)[0]], count / with_kind[b, parts(a)[0]]
            found.append(_Tie(min(max(of_a, of_b), 1.0), (of_a * of_b) ** 0.5, count, a, b))
    return found


def _of_links(memory: Memory) -> list[_Tie]:
    """Ties of a mark and an anchor that are linked."""
    sums: dict[tuple[str, str], int] = defaultdict(int)
    most: dict[str, int] = defaultdict(int)
    good = {
        (mark, one): row
        for (mark, one), row in memory.links.items()
        if row["probability"] >= _PROBABLE and joins(mark) and joins(one)
    }
    for (mark, one), row in good.items():
        sums[mark, parts(one)[0]] += row["sources"]
        sums[one, parts(mark)[0]] += row["sources"]
        # Where most of those who show it have a set of ports and no fingerprint, a fingerprint that few of them have
        # is not theirs.
        most[one] = max(most[one], row["sources"])
    found = []
    for (mark, one), row in good.items():
        n = row["sources"]
        of_mark, of_one = n / sums[mark, parts(one)[0]], n / max(sums[one, parts(mark)[0]], most[one])
        # A port set is what many have: it has to go with this one and this one with it.
        mutual = (of_mark * of_one) ** 0.5
        share = max(of_mark, of_one) if parts(mark)[0] == FINGERPRINT else mutual
        found.append(_Tie(share * row["probability"], mutual, n, mark, one))
    return found


def _may_join(a: frozenset[str], b: frozenset[str], strength: dict[tuple[str, str], float]) -> bool:
    for kind in (joint.TOKEN, FINGERPRINT, NAME):
        mine = {parts(one)[1].casefold() for one in a if one.startswith(kind + SEPARATOR)}
        other = {parts(one)[1].casefold() for one in b if one.startswith(kind + SEPARATOR)}
        if not mine or not other or mine & other:
            continue
        if kind != joint.TOKEN:
            return False
        both = [
            strength.get((min(x, y), max(x, y)), 0.0)
            for x in a for y in b if x.startswith(kind + SEPARATOR) and y.startswith(kind + SEPARATOR)
        ]  # fmt: skip
        if max(both, default=0.0) < 0.8:
            return False
    mine_sets = [ports_of(parts(one)[1]) for one in a if one.startswith(PORT_SET + SEPARATOR)]
    other_sets = [ports_of(parts(one)[1]) for one in b if one.startswith(PORT_SET + SEPARATOR)]
    return all(any(_alike(x, y) for x in mine_sets) for y in other_sets) if mine_sets else True


def _signs(memory: Memory) -> dict[str, set[str]]:
    """What goes with each host, payload and named URL: its credentials, URL bases and payloads."""
    found: dict[str, set[str]] = defaultdict(set)
    for (anchor, other), count in memory.pairs.items():
        if parts(anchor)[0] in (HOST, joint.PAYLOAD) and count and parts(other)[0] in _SIGNS:
            found[anchor].add(other)
    return found


def _copies(a: frozenset[str], b: frozenset[str], signs: dict[str, set[str]]) -> bool:
    """Whether one token ties two that have nothing else in common: source code is copied with its token in it."""
    if not any(one.startswith(joint.TOKEN + SEPARATOR) for one in a | b):
        return False
    mine = set().union(*(signs.get(one, set()) | {one} & signs.keys() for one in a))
    other = set().union(*(signs.get(one, set()) | {one} & signs.keys() for one in b))
    least = min(len(mine), len(other))
    return least >= _ENOUGH and len(mine & other) < _COPIED * least


def _servers(memory: Memory) -> dict[str, set[str]]:
    """The hosts that each mark's sources fetch payloads from."""
    found: dict[str, set[str]] = defaultdict(set)
    for (mark, one), row in memory.links.items():
        if one.startswith(HOST + SEPARATOR) and row["probability"] >= _PROBABLE and joins(one):
            found[mark].add(one)
    return found


def _others_servers(a: frozenset[str], b: frozenset[str], servers: dict[str, set[str]]) -> bool:
    """Whether the marks of one side go with servers, and with none that the other side has: then what they have
    in common is a copied token."""
    for x, y in ((a, b), (b, a)):
        mine = set().union(*(servers.get(one, set()) for one in x if one.startswith(FINGERPRINT)))
        other = {one for one in y if one.startswith(HOST + SEPARATOR)}
        if mine and other and not mine & other:
            return True
    return False


def _alike(x: frozenset[str], y: frozenset[str]) -> bool:
    return x <= y or y <= x or 2 * len(x & y) >= len(x | y)


def _share(memory: Memory, families: list[Family]) -> None:
    """Marks and behaviours that a family has in common with others, and the links that hold it together."""
    of = {one: family for family in families for one in family.core}
    seen: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))  # family -> item -> sessions
    for (anchor, other), count in memory.pairs.items():
        if anchor in of and other not in of[anchor].core:
            mine = seen[id(of[anchor])]
            mine[other] = max(mine[other], count)
    marks: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for (mark, one), row in sorted(memory.links.items()):
        if row["probability"] < _PROBABLE:
            continue
        for family in {id(f): f for f in (of.get(mark), of.get(one)) if f is not None}.values():
            if mark in family.core and (one in family.core or not joins(one)):
                family.links.append((mark, one, row))
                if not joins(one):
                    seen[id(family)][one] = max(seen[id(family)][one], row["sources"])
            elif one in family.core:
                marks[id(family)][mark] = max(marks[id(family)][mark], row["sources"])
                family.links.append((mark, one, row))
    for family in families:
        mine = seen[id(family)]
        most: dict[str, int] = defaultdict(int)
        for one, count in mine.items():
            most[parts(one)[0]] = max(most[parts(one)[0]], count)
        for one, count in mine.items():
            kind = parts(one)[0]
            # Where two families have a token in common, the servers and payloads behind it are still of one of them.
            if one in of and kind != joint.TOKEN:
                continue
            if count >= _LEAST and (kind not in ANCHORS or count >= _TOLD * most[kind]):
                family.shared.add(one)
        held = marks[id(family)]
        for kind in (FINGERPRINT, PORT_SET):
            whole = sum(count for mark, count in held.items() if mark.startswith(kind + SEPARATOR))
            whole += sum(
                row["sources"] for mark, one, row in family.links
                if mark in family.core and mark.startswith(kind + SEPARATOR) and one in family.core
            )  # fmt: skip
            for mark, count in held.items():
                if mark.startswith(kind + SEPARATOR) and count >= _TOLD * whole:
                    family.shared.add(mark)


def _ports(memory: Memory, family: Family) -> None:
    """The ports that the family asks for. A source seen with few packets shows a part of them only, so the whole set is
    that of the ports which a good share of the sources ask for."""
    counts: dict[str, int] = defaultdict(int)
    for mark in family.values(FINGERPRINT):
        if FINGERPRINT + SEPARATOR + mark in family.core or not family.values(PORT_SET):
            for ports, count in memory.sets.get(mark, {}).items():
                counts[ports] += count
    if not counts:
        for mark, _, row in family.links:
            if mark.startswith(PORT_SET + SEPARATOR):
                ports = parts(mark)[1]
                counts[ports] = max(counts[ports], row["sources"])
    total = sum(counts.values())
    if total < _FEW:
        family.ports = tuple(sorted(counts, key=lambda p: (-counts[p], p))[:1])
        family.port_basis = total
        return
    general = {port: count / max(memory.sources, 1) for port, count in memory.ports.items()}
    whole = whole_set(counts, general)
    often = [ports for ports, count in counts.items() if count >= _TOLD * total]
    others = sorted((p for p in often if not ports_of(p) <= whole), key=lambda p: (-counts[p], p))
    family.ports = tuple(dict.fromkeys([written(whole), *others]))[:8] if whole else tuple(others[:8])
    family.port_basis = total


def _others_with_its_scanner(memory: Memory, family: Family) -> list[Family]:
    """Two families with one scanner have one fingerprint, and its sources fall apart into those that ask for the
    ports of the one and those that ask for the ports of the other. The family keeps the part that its links or most
    of the sources speak for; the others are families to be, if a report knows them."""
    own = [mark for mark in family.values(FINGERPRINT) if FINGERPRINT + SEPARATOR + mark in family.core]
    if len(own) != 1 or not family.ports:
        return []
    counts = memory.sets.get(own[0], {})
    pieces = separate(ports_of(family.ports[0]), counts)
    if len(pieces) < 2:
        return []
    linked: set[str] = set()
    for mark, _, _ in family.links:
        if mark.startswith(PORT_SET + SEPARATOR):
            linked |= ports_of(parts(mark)[1])
    size = {piece: sum(n for ports, n in counts.items() if ports_of(ports) & piece) for piece in pieces}
    pieces.sort(key=lambda piece: (-len(piece & linked), -size[piece], written(piece)))
    family.ports = tuple(dict.fromkeys([written(pieces[0]), *family.ports[1:]]))
    made = []
    for piece in pieces[1:]:
        other = Family(frozenset((PORT_SET + SEPARATOR + written(piece),)), ports=(written(piece),))
        other.shared.add(FINGERPRINT + SEPARATOR + own[0])
        other.port_basis = size[piece]
        family.shared.add(FINGERPRINT + SEPARATOR + own[0])
        made.append(other)
    return made


def separate(whole: frozenset[str], counts: Mapping[str, int]) -> list[frozenset[str]]:
    """Ports that sources ask for together, apart from those that they do not: parts of the graph in which two ports are
    joined if a fifth of the sources that ask for several ports, the rarer one among them, ask for the other as well.

    >>> [sorted(piece) for piece in separate(frozenset(("1", "2", "8", "9")), {"1,2": 30, "8,9": 20, "1": 5, "2,8": 1})]
    [['1', '2'], ['8', '9']]
    """
    several: dict[str, int] = defaultdict(int)
    both: dict[tuple[str, str], int] = defaultdict(int)
    for ports, count in counts.items():
        found = sorted(ports_of(ports) & whole)
        if len(found) > 1:
            for n, a in enumerate(found):
                several[a] += count
                for b in found[n + 1 :]:
                    both[a, b] += count
    # Where hardly anybody shows two ports, nothing can be said.
    if any(several[port] < 2 * _FEW for port in whole):
        return [whole]
    piece_of = {port: frozenset((port,)) for port in whole}
    for (a, b), count in sorted(both.items()):
        if count >= _TOLD * min(several[a], several[b]) and piece_of[a] is not piece_of[b]:
            joined = piece_of[a] | piece_of[b]
            for port in joined:
                piece_of[port] = joined
    return sorted(set(piece_of.values()), key=written)


def whole_set(counts: Mapping[str, int], general: Mapping[str, float] = _NOTHING) -> frozenset[str]:
    """The ports that a good share of the sources ask for; of a port that everybody asks for (``general``: its share of
    all sources) more is asked, since devices are infected twice and fingerprints are met by chance.

    >>> sorted(whole_set({"23": 40, "23,2323": 30, "2323": 25, "80": 1}))
    ['23', '2323']
    """
    total = sum(counts.values())
    by_port: dict[str, int] = defaultdict(int)
    for ports, count in counts.items():
        for port in ports_of(ports):
            by_port[port] += count
    return frozenset(
        port
        for port, count in by_port.items()
        if count >= max(_OF_PORTS, min(_OF_ALL * general.get(port, 0.0), 0.25)) * total
    )


def _only_a_mark_of_others(family: Family, families: list[Family]) -> bool:
    """A fingerprint by itself that a family with behaviours has as well."""
    return not family.anchored and any(
        other is not family and other.anchored and family.core <= other.shared for other in families
    )


def identity_name(family: Family) -> str:
    return f"family {short(family.identity)}"
