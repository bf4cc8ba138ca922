"""Which reports speak of a family, and why: shared items weighed by how rare they are, against shuffled reports.

An item that a family and a report share counts -log2 of the share of other reports that mention it. Since few reports
are at hand at first, ten imagined ones stand behind them in which common things are common (``_PRIOR``,
``_PORTS``; judgement). An item that several families have counts no more than the share of families allows.
Ports count as a set: the sum over the common ports, times the Jaccard index, from one half on; a single 23 or 80
says nothing. Where nothing direct (hash, URL, address, token, name) is in common, two sorts of things have to be, or
the very same ports; another token or other ports speak against it.

Chance: 200 reports are put together from the items of the other reports of the same month, as many of each type, and
scored as well. A report written before the family was first seen counts for its vulnerability and its devices alone,
since the rest cannot be of this family. Where two families score alike, and nothing direct tells them apart, neither
gets the report.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import log2
from typing import Any, Final

from andon.detect.intel.profile.families import Family, whole_set
from andon.detect.intel.profile.items import FINGERPRINT, HOST, item, ports_of, short, written
from andon.detect.intel.profile.memory import Memory
from andon.detect.intel.profile.summary import STANDS_ALONE
from andon.records import joint
from andon.records import report as R

DAY: Final = 86_400_000_000_000
NEEDED: Final = 6.0  # bits
CHANCE: Final = 0.05
_SLACK: Final = (
    3  # days by which the first day is known too late where others have the same marks (docs/profiles.md)
)
_SHUFFLES: Final = 200
_IMAGINED: Final = 10.0  # reports
_MARGIN: Final = 1.5  # bits to the next family
_PRIOR: Final = {
    R.HASH: 0.001, R.URL: 0.001, R.ADDRESS: 0.003, R.TOKEN: 0.005, R.CREDENTIAL: 0.02, R.CVE: 0.03, R.DEVICE: 0.03,
    R.REQUEST: 0.02, R.RELATION: 0.02, R.MALWARE: 0.01, R.DOMAIN: 0.003,
}  # fmt: skip
_PORTS: Final = {
    "23": 0.6, "80": 0.5, "443": 0.35, "22": 0.4, "2323": 0.4, "8080": 0.4, "445": 0.25, "3389": 0.2,
    "5555": 0.15, "81": 0.15,
    "8081": 0.1, "88": 0.08, "8443": 0.08, "37215": 0.12, "52869": 0.1, "7547": 0.1, "60001": 0.05, "2222": 0.1,
    "21": 0.15,
    "3306": 0.08, "1433": 0.1, "6379": 0.1, "5900": 0.08,
}  # fmt: skip
_PORT: Final = 0.02
_OTHER_TOKEN, _OTHER_PORTS = 4.0, 3.0  # bits against; judgement
_EARLY: Final = frozenset((R.CVE, R.DEVICE))
DIRECT: Final = frozenset((R.HASH, R.URL, R.ADDRESS, R.TOKEN))
_COMMON_NAMES: Final = frozenset(("mirai", "gafgyt", "bashlite", "tsunami", "xmrig", "mozi", "hajime"))
_LEAST_SOURCES: Final = 10  # source-days behind a family that a report gives rise to
_ALIKE: Final = 2 / 3  # Jaccard index of its ports and those of the report


@dataclass(frozen=True)
class Found:
    """A report that speaks of a family. ``chance``: share of shuffled reports that do as well."""

    report: str
    published: int
    dated: bool
    title: str
    score: float
    chance: float
    direct: bool
    early: bool
    why: tuple[str, ...]
    names: tuple[str, ...]
    items: Mapping[str, list[str]]


class Background:
    """How common things are in reports and among families."""

    def __init__(
        self, reports: Mapping[str, dict[str, Any]], families: Iterable[Family], memory: Memory
    ) -> None:
        self.reports = reports
        self._count: Counter[tuple[str, str]] = Counter()
        for body in reports.values():
            for kind, values in body["items"].items():
                self._count.update((kind, folded(kind, value)) for value in set(values))
        self.items = {id(family): _items(family, memory) for family in families}
        self._shared: Counter[tuple[str, str]] = Counter()
        for mine in self.items.values():
            self._shared.update(mine)

    def bits(self, kind: str, value: str, own: bool = True) -> float:
        """-log2 of the share of reports that mention it, not counting one (``own``) that does."""
        prior = _PORTS.get(value, _PORT) if kind == R.PORT else _PRIOR.get(kind, 0.05)
        others = max(self._count[kind, value] - own, 0)
        share = (others + prior * _IMAGINED) / (max(len(self.reports) - own, 0) + _IMAGINED)
        several = self._shared[kind, value] - 1
        if several > 0:
            share = max(share, several / len(self.items))
        return -log2(min(share, 1.0))

    def own(self, kind: str, value: str) -> bool:
        """Whether one family alone has it."""
        return self._shared[kind, folded(kind, value)] <= 1


def folded(kind: str, value: str) -> str:
    """A value as it is compared."""
    return value.casefold() if kind in (R.TOKEN, R.MALWARE, R.DEVICE) else value


def _items(family: Family, memory: Memory) -> set[tuple[str, str]]:
    """What a report may mention of a family."""
    found: set[tuple[str, str]] = set()
    found |= {
        (R.TOKEN, value.casefold()) for value in family.values(joint.TOKEN) if not value.startswith("<")
    }
    found |= {(R.HASH, value) for value in family.values(joint.PAYLOAD)}
    found |= {(R.ADDRESS, value) for value in family.values(HOST)}
    found |= {(R.URL, value) for value in family.values(joint.URL)}
    found |= {(R.CREDENTIAL, value.replace(":", "/", 1)) for value in family.values(joint.CREDENTIAL)}
    found |= {(R.CVE, value) for value in family.values(joint.EXPLOIT) if value.startswith("CVE-")}
    found |= {(R.RELATION, value) for value in family.values(FINGERPRINT)}
    for value in family.values(joint.EXPLOIT):
        for target in memory.targets.get(item(joint.EXPLOIT, value), []):
            vendor, product, *_ = [*target.split("|"), ""]
            if vendor and product:
                found.add((R.DEVICE, f"{vendor} {product}".casefold()))
    names = [*family.values("name"), *(v for v in family.values(joint.TOKEN) if not v.startswith("<"))]
    found |= {(R.MALWARE, name.casefold()) for name in names if name.casefold() not in _COMMON_NAMES}
    return found


def score(
    items: Mapping[str, list[str]],
    mine: set[tuple[str, str]],
    ports: frozenset[str],
    background: Background,
    early: bool,
) -> tuple[float, bool, list[str]]:
    """(bits, whether something direct is among them, what it is)."""
    total, direct, why = 0.0, False, []
    best: dict[str, float] = defaultdict(float)
    for kind, values in items.items():
        if kind in (R.PORT, R.PORT_SET, STANDS_ALONE, R.VENDOR) or (early and kind not in _EARLY):
            continue
        for value in values:
            if (kind, folded(kind, value)) in mine:
                bits = background.bits(kind, folded(kind, value))
                # Further items of one kind are not independent of the first: half as much each.
                bits = bits if not best[kind] else bits / 2
                best[kind] += bits
                direct |= kind in DIRECT and background.own(kind, value)
                why.append(f"{kind} {value} ({bits:.1f} bits)")
    # A device follows from its vulnerability, a host from its URL.
    best[R.DEVICE] = min(best[R.DEVICE], 2.0) if best[R.CVE] else best[R.DEVICE]
    best[R.ADDRESS] = 0.0 if best[R.URL] else best[R.ADDRESS]
    bits, text, alike = _of_ports(items, ports, background)
    if early:
        bits = 0.0
    if bits > 0:
        why.append(f"{text} ({bits:.1f} bits)")
    total = sum(best.values()) + bits
    if not direct and not best[R.MALWARE] and not _enough(best, bits, alike):
        return 0.0, False, why
    total -= _against(items, mine, ports, alike) if not direct else 0.0
    return max(total, 0.0), direct, why


def _enough(best: Mapping[str, float], ports: float, alike: float) -> bool:
    """Whether what is not direct says whom the report means: things of two sorts, or the very same set of ports. A
    vulnerability with its device says more than either; a vulnerability alone says what is attacked and not by whom."""
    hole = best.get(R.CVE, 0.0) + best.get(R.DEVICE, 0.0)
    sorts = sum(bits > 0 for bits in (hole, best.get(R.CREDENTIAL, 0.0), best.get(R.RELATION, 0.0), ports))
    both = best.get(R.CVE, 0.0) > 0 and best.get(R.DEVICE, 0.0) > 0
    return sorts > 1 or both or (ports > 0 and alike == 1.0)


def _against(
    items: Mapping[str, list[str]], mine: set[tuple[str, str]], ports: frozenset[str], alike: float
) -> float:
    """Bits against: the report names another token than the family's, or other ports."""
    against = 0.0
    theirs = {folded(R.TOKEN, value) for value in items.get(R.TOKEN, [])}
    own = {value for kind, value in mine if kind == R.TOKEN}
    if theirs and own and not theirs & own:
        against += _OTHER_TOKEN
    if ports and items.get(R.PORT_SET) and alike < 0.5:
        against += _OTHER_PORTS
    return against


def _of_ports(
    items: Mapping[str, list[str]], ports: frozenset[str], background: Background
) -> tuple[float, str, float]:
    """(bits, what is in common, Jaccard index) of the best of the report's sets of ports."""
    sets = [ports_of(text) for text in items.get(R.PORT_SET, [])] or [frozenset(items.get(R.PORT, []))]
    best, text, most = 0.0, "", 0.0
    for theirs in sets if ports else ():
        common = theirs & ports
        alike = len(common) / max(len(theirs | ports), 1)
        bits = alike * sum(background.bits(R.PORT, port) for port in sorted(common)) if alike >= 0.5 else 0.0
        if (bits, alike) > (best, most):
            best, text, most = bits, f"ports {written(common)} of {written(theirs | ports)}", alike
    return best, text, most


def match(memory: Memory, families: list[Family], first_seen: Mapping[int, int]) -> None:
    """Give each family the reports that speak of it. ``first_seen``: id of the family -> ns."""
    background = Background(memory.reports, families, memory)
    scored: dict[str, list[tuple[float, int, bool, bool, list[str]]]] = defaultdict(list)
    for number, body in sorted(memory.reports.items()):
        for place, family in enumerate(families):
            early = body["published"] + _SLACK * DAY < first_seen.get(id(family), 0)
            ports = ports_of(family.ports[0]) if family.ports else frozenset()
            total, direct, why = score(body["items"], background.items[id(family)], ports, background, early)
            if total >= NEEDED:
                scored[number].append((total, place, direct, early, why))
    for number, found in scored.items():
        body = memory.reports[number]
        found.sort(key=lambda one: (-one[0], one[1]))
        for rank, (total, place, direct, early, why) in enumerate(found):
            rival = max((one[0] for n, one in enumerate(found) if n != rank), default=0.0)
            # Two families with the same vulnerability or ports: it is not known which of them is meant.
            if total < rival + _MARGIN and not direct:
                continue
            family = families[place]
            chance = _by_chance(memory, family, number, total, early, background, scored, place)
            if chance <= CHANCE:
                names = tuple(
                    name for name in body["items"].get(R.MALWARE, []) if name.casefold() not in _COMMON_NAMES
                )
                family.reports.append(
                    Found(number, body["published"], body["dated"], body["title"], round(total, 2),
                    round(chance, 4), direct,
                          early, tuple(why), names, body["items"])
                )  # fmt: skip


def join_by_reports(families: list[Family]) -> list[Family]:
    """A fingerprint that no honeypot has met, and a behaviour that nobody has seen scan: one family if a report has
    something of the behaviour's own and the fingerprint's ports, and neither has another counterpart."""
    by_report: dict[str, list[Family]] = defaultdict(list)
    for family in families:
        for found in family.reports:
            by_report[found.report].append(family)
    gone: set[int] = set()
    for number, mine in sorted(by_report.items()):
        seen = [
            f for f in mine if f.anchored and not f.values(FINGERPRINT) and not f.ports and id(f) not in gone
        ]
        scans = [f for f in mine if not f.anchored and id(f) not in gone]
        if len(seen) != 1 or len(scans) != 1:
            continue
        (one,), (other,) = seen, scans
        said = next(found for found in one.reports if found.report == number)
        # A report that has other servers and payloads than these shares a copied token with them, no more.
        theirs = {*said.items.get(R.ADDRESS, []), *said.items.get(R.HASH, [])}
        if not said.direct or (theirs and not theirs & {*one.values(HOST), *one.values(joint.PAYLOAD)}):
            continue
        gone.add(id(other))
        one.core |= other.core
        one.shared |= other.shared
        one.links += other.links
        one.ports, one.port_basis, one.joined = other.ports, other.port_basis, number
        held = {found.report for found in one.reports}
        one.reports += [found for found in other.reports if found.report not in held]
    return [family for family in families if id(family) not in gone]


def _namesakes(memory: Memory, number: str) -> set[str]:
    """Reports that speak of malware of the same name: they are about the same thing, not about anything."""
    mine = {name.casefold() for name in memory.reports[number]["items"].get(R.MALWARE, [])} - _COMMON_NAMES
    return {
        n for n, body in memory.reports.items()
        if mine & {name.casefold() for name in body["items"].get(R.MALWARE, [])}
    }  # fmt: skip


def _month(published: int) -> str:
    return f"{datetime.fromtimestamp(published // 1_000_000_000, UTC):%Y-%m}"


def _pools(memory: Memory, number: str, without: set[str]) -> dict[str, list[str]]:
    """Items of the other reports of the same month, of all if there are fewer than five."""
    month = _month(memory.reports[number]["published"])
    others = [n for n in sorted(memory.reports) if n != number and n not in without]
    same = [n for n in others if _month(memory.reports[n]["published"]) == month]
    pools: dict[str, list[str]] = defaultdict(list)
    for other in same if len(same) >= 5 else others:
        for kind, values in memory.reports[other]["items"].items():
            pools[kind] += values
    return pools


def _by_chance(
    memory: Memory, family: Family, number: str, total: float, early: bool, background: Background,
    scored: Mapping[str, list[tuple[float, int, bool, bool, list[str]]]], place: int,
) -> float:  # fmt: skip
    """Share of shuffled reports that score as much; reports that have something direct of the family are no strangers
    and are not shuffled in."""
    known = {n for n, found in scored.items() if any(one[1] == place and one[2] for one in found)}
    known |= _namesakes(memory, number)
    pools = _pools(memory, number, known)
    items = memory.reports[number]["items"]
    draw = random.Random(f"{number} {family.identity}")
    ports = ports_of(family.ports[0]) if family.ports else frozenset()
    mine = background.items[id(family)]
    hits = 0
    for _ in range(_SHUFFLES):
        drawn = {
            kind: draw.sample(pools[kind], min(len(values), len(pools[kind])))
            for kind, values in items.items() if pools.get(kind)
        }  # fmt: skip
        hits += score(drawn, mine, ports, background, early)[0] >= total
    return (1 + hits) / (1 + _SHUFFLES)


def born_of_reports(memory: Memory, families: list[Family], most: int) -> list[Family]:
    """Families that reports name and that show in the darknet by a set of ports alone: sources without a
    fingerprint whose ports are the report's, its rarest port among them."""
    said = {found.report for family in families for found in family.reports}
    counts = memory.sets.get("", {})
    if not counts:
        return []
    taken = {frozenset(ports_of(f.ports[0])) for f in families if f.ports}
    background = Background(memory.reports, families, memory)
    every = {n: _sets_of(body) for n, body in sorted(memory.reports.items())}
    made: dict[frozenset[str], Family] = {}
    for number, body in sorted(memory.reports.items()):
        names = [n for n in body["items"].get(R.MALWARE, []) if n.casefold() not in _COMMON_NAMES]
        if number in said or not names or len(made) >= most:
            continue
        same = _namesakes(memory, number)
        strangers = [sets for n, sets in every.items() if n not in same]
        for wanted in every[number]:
            shown = _shown(counts, wanted, background)
            if shown is None or shown[0] in taken:
                continue
            draw = random.Random(f"{number} {written(wanted)}")
            pool = [port for sets in strangers for one in sets for port in sorted(one)]
            hits = sum(
                _shown(counts, frozenset(draw.sample(pool, min(len(wanted), len(pool)))), background)
                is not None
                for _ in range(_SHUFFLES)
            )
            chance = (1 + hits) / (1 + _SHUFFLES)
            if chance > CHANCE:
                continue
            ports, sources, bits = shown
            family = made.setdefault(
                ports, Family(frozenset((item(joint.MARK_PORT_SET, written(ports)),)), ports=(written(ports),),
                              port_basis=sources, born=number)
            )  # fmt: skip
            why = f"ports {written(ports)} of {sources:,} source-days ({bits:.1f} bits)"
            family.reports.append(
                Found(number, body["published"], body["dated"], body["title"], round(bits, 2), round(chance, 4),
                False, False,
                      (why,), tuple(names), body["items"])
            )  # fmt: skip
            break
    return list(made.values())


def _sets_of(body: Mapping[str, Any]) -> list[frozenset[str]]:
    sets = [ports_of(text) for text in body["items"].get(R.PORT_SET, [])]
    ports = frozenset(body["items"].get(R.PORT, []))
    if not sets and ports:
        sets = [ports]
    return [found for found in sets if len(found) <= 16]


def _shown(
    counts: Mapping[str, int], wanted: frozenset[str], background: Background
) -> tuple[frozenset[str], int, float] | None:
    """(ports, source-days, bits) of the sources that ask for the rarest of these ports, if they ask for the
    others too."""
    if len(wanted) < 2:
        return None
    bits = sum(background.bits(R.PORT, port) for port in sorted(wanted))
    rarest = max(sorted(wanted), key=lambda port: background.bits(R.PORT, port))
    if bits < NEEDED or background.bits(R.PORT, rarest) < 3:
        return None
    mine = {ports: n for ports, n in counts.items() if rarest in ports_of(ports)}
    inside = {ports: n for ports, n in mine.items() if ports_of(ports) <= wanted}
    sources = sum(inside.values())
    if sources < _LEAST_SOURCES or 2 * sources < sum(mine.values()):
        return None
    whole = whole_set(mine)
    return (wanted, sources, bits) if len(whole & wanted) >= _ALIKE * len(whole | wanted) else None


def name_of(family: Family) -> str:
    """The name that the best of its reports gives it, "" if none names it."""
    for found in sorted(family.reports, key=lambda one: (one.early, -one.score, one.report)):
        if found.names:
            return str(found.names[0])
    return ""


def key_of(family: Family) -> str:
    return short(family.identity, 6)
