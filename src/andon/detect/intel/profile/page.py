"""One page a family: what is known of it, put together from its items, links, reports, life and targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from andon.detect.intel.profile.families import Family
from andon.detect.intel.profile.items import (
    CONTROLLER,
    FINGERPRINT,
    HOST,
    NAME,
    SEPARATOR,
    STEP,
    TECHNIQUE,
    host_of,
    is_address,
    item,
    parts,
)
from andon.detect.intel.profile.life import Life
from andon.detect.intel.profile.matching import Found, key_of, name_of
from andon.detect.intel.profile.memory import Memory
from andon.detect.intel.profile.summary import STANDS_ALONE
from andon.detect.intel.profile.targets import Enriched
from andon.records import joint
from andon.records import report as R

DAY: Final = 86_400_000_000_000
MOST: Final = 50  # values of one field
STEPS: Final = ("scan", "login", "download", "delivery", "execution", "command-and-control")
_BY_SESSIONS: Final = 0.9  # probability of a page that honeypots alone hold together; judgement
_LEAST_SESSIONS, _LEAST_SOURCES = 3, 3
_BUSY: Final = 10  # sessions of a loader whose bots nobody has met


@dataclass(frozen=True)
class Page:
    """See ``records.joint.PROFILES``; times are ns, 0 for never. ``basis``: CVE or target -> where it is known from."""

    number: str  # stays with the family
    family: str
    aliases: tuple[str, ...]
    fingerprints: tuple[str, ...]
    shared_fingerprints: tuple[str, ...]
    port_sets: tuple[str, ...]
    tokens: tuple[str, ...]
    copied_tokens: tuple[str, ...]
    credentials: tuple[str, ...]
    cves: tuple[str, ...]
    targets: tuple[str, ...]
    url_bases: tuple[str, ...]
    payloads: tuple[str, ...]
    loaders: tuple[str, ...]
    controllers: tuple[str, ...]
    steps: Mapping[str, int]
    techniques: tuple[str, ...]
    reports: tuple[Found, ...]
    enriched: tuple[Enriched, ...]
    life: Life
    first: Mapping[str, int]  # "darknet", "honeypot", "report"
    probability: float
    links: tuple[tuple[str, str, Mapping[str, Any]], ...]
    basis: Mapping[str, tuple[str, ...]]
    core: frozenset[str]
    joined: str = ""
    born: str = ""
    left_out: int = 0
    known: Mapping[str, Any] = field(default_factory=dict)  # what was told before

    @property
    def delays(self) -> dict[str, int | None]:
        """Days from the darknet to the honeypot, from there to the first report, and from the darknet to the report;
        negative where the later one was first, None where one of the two is missing."""

        def between(a: str, b: str) -> int | None:
            if not self.first[a] or not self.first[b]:
                return None
            return round((self.first[b] // DAY * DAY - self.first[a] // DAY * DAY) / DAY)

        return {
            "darknet_to_honeypot": between("darknet", "honeypot"),
            "honeypot_to_report": between("honeypot", "report"),
            "darknet_to_report": between("darknet", "report"),
        }


def pages(
    memory: Memory, families: list[Family], lives: list[Life], classes: Mapping[int, list[Enriched]]
) -> list[Page]:
    """The families that are worth a page, those with most sources first. A fingerprint by itself is a tool and no
    malware; a token of one or two addresses is a word."""
    made = []
    owner = {one: family for family in families for one in family.core}
    for place, (family, life) in enumerate(zip(families, lives, strict=True)):
        sources = max((len(memory.stays.get(one, {})) for one in family.core), default=0)
        sessions = max((memory.items.get(one, [0])[0] for one in family.core), default=0)
        late = [found for found in family.reports if not found.early]
        exploits = any(parts(one)[0] == joint.EXPLOIT for _, one, _ in family.links)
        loads = sessions >= _BUSY and any(one.startswith(joint.PAYLOAD + SEPARATOR) for one in family.core)
        worth = sources >= _LEAST_SOURCES or loads or family.links or late
        shown = family.anchored and sessions >= _LEAST_SESSIONS and worth
        if shown or exploits or late:
            made.append(_page(memory, family, life, tuple(classes.get(place, ())), owner))
    return sorted(made, key=lambda page: (-page.life.peak, page.number))


def _page(
    memory: Memory, family: Family, life: Life, classes: tuple[Enriched, ...], owner: Mapping[str, Family]
) -> Page:
    own = name_of(family)
    said = [*family.values(NAME), *_named_tokens(family)]
    name = own or (said[0] if said else f"family {key_of(family)}")
    others = [n for found in family.reports for n in found.names] + said
    seen = [c for c in family.values(joint.EXPLOIT) if c.startswith("CVE-")]
    told = list(dict.fromkeys(cve for found in family.reports for cve in found.items.get(R.CVE, [])))
    basis: dict[str, tuple[str, ...]] = {}
    for cve in dict.fromkeys([*seen, *told]):
        basis[cve] = tuple(["honeypot"] * (cve in seen) + ["report"] * (cve in told))
    for kind, of in ((R.TOKEN, joint.TOKEN), (R.HASH, joint.PAYLOAD)):
        basis |= {v: ("report",) for v in _reported(family, kind) if v not in family.values(of)}
    targets = _targets(memory, family, basis)
    left_out = sum(
        max(0, len(family.values(kind)) - MOST) for kind in (joint.CREDENTIAL, joint.PAYLOAD, joint.URL_BASE)
    )
    dark, pot = life.first_of("darknet", memory.begin), life.first_of("honeypot")
    if pot is None:
        pot = life.first_of("loaders")
    published = [found.published for found in family.reports]
    core = sorted(family.core)
    return Page(
        number=key_of(family),
        family=name,
        aliases=tuple(dict.fromkeys(one for one in others if one.casefold() != name.casefold()))[:MOST],
        fingerprints=tuple(parts(one)[1] for one in core if one.startswith(FINGERPRINT)),
        shared_fingerprints=tuple(
            v for v in family.values(FINGERPRINT) if item(FINGERPRINT, v) not in family.core
        ),
        port_sets=family.ports[:MOST],
        tokens=tuple(
            dict.fromkeys(
                [
                    *_named_tokens(family),
                    *(v for v in _reported(family, R.TOKEN) if v not in family.values(joint.TOKEN)),
                ]
            )
        )[:MOST],
        copied_tokens=tuple(v for v in family.values(joint.TOKEN) if item(joint.TOKEN, v) not in family.core)[
            :MOST
        ],
        credentials=tuple(
            dict.fromkeys(
                [
                    *family.values(joint.CREDENTIAL),
                    *(v.replace("/", ":", 1) for v in _reported(family, R.CREDENTIAL)),
                ]
            )
        )[:MOST],
        cves=tuple(dict.fromkeys([*seen, *told]))[:MOST],
        targets=tuple(targets)[:MOST],
        url_bases=tuple(family.values(joint.URL_BASE))[:MOST],
        payloads=tuple(dict.fromkeys([*family.values(joint.PAYLOAD), *_reported(family, R.HASH)]))[:MOST],
        loaders=tuple(_loaders(memory, family, owner))[:MOST],
        controllers=tuple(_controllers(family))[:MOST],
        steps=_steps(memory, family),
        techniques=tuple(sorted(family.values(TECHNIQUE)))[:MOST],
        reports=tuple(sorted(family.reports, key=lambda found: (-found.score, found.report)))[:MOST],
        enriched=classes,
        life=life,
        first={
            "darknet": 0 if dark is None else dark * DAY,
            "honeypot": 0 if pot is None else pot * DAY,
            "report": min(published, default=0),
        },
        probability=_probability(family),
        links=tuple(family.links),
        basis=basis | targets,
        core=family.core,
        joined=family.joined,
        born=family.born,
        left_out=left_out,
    )


def _named_tokens(family: Family) -> list[str]:
    return [v for v in family.values(joint.TOKEN) if item(joint.TOKEN, v) in family.core]


def _targets(
    memory: Memory, family: Family, basis: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """
    "vendor|product|device" -> how it is known: what its exploits are for, what reports say."""
    found: dict[str, tuple[str, ...]] = {}
    for cve in basis:
        for target in memory.targets.get(item(joint.EXPLOIT, cve), []):
            found[target] = tuple(dict.fromkeys([*found.get(target, ()), "exploit"]))
    known = {" ".join(target.split("|")[:2]).casefold(): target for target in found}
    for report in family.reports:
        for device in report.items.get(R.DEVICE, []):
            vendor, _, product = _split(device, report.items.get(R.VENDOR, []))
            name = device.casefold()
            target = known.get(name, f"{vendor}|{product}|")
            # A report's "Vigor2960" is the signature's "Vigor".
            wider = [one for one in known if name.startswith(one) and len(one.split(" ", 1)[-1]) > 3]
            if target not in found and wider:
                before = known[wider[0]]
                target = f"{vendor}|{product}|{before.split('|')[2]}"
                found[target] = found.pop(before, ())
                known[name] = target
            found[target] = tuple(dict.fromkeys([*found.get(target, ()), "report"]))
    return found


def _reported(family: Family, kind: str) -> list[str]:
    """What reports say of it that was not written before it was seen."""
    return [value for found in family.reports if not found.early for value in found.items.get(kind, [])]


def _split(device: str, vendors: list[str]) -> tuple[str, str, str]:
    vendor = max(
        (v for v in vendors if device.startswith(v + " ")), key=len, default=device.partition(" ")[0]
    )
    return vendor, " ", device[len(vendor) + 1 :]


def _loaders(memory: Memory, family: Family, owner: Mapping[str, Family]) -> list[str]:
    """Where its payloads come from, and who comes with its bots' passwords a little later."""
    own = [v for v in family.values(HOST) if item(HOST, v) in family.core]
    credentials = set(family.values(joint.CREDENTIAL))
    told = [
        address for address, used in sorted(memory.loaders.items())
        if owner.get(item(HOST, address)) is None and sum(n for c,
        n in used.items() if c in credentials) > sum(used.values()) / 2
        and _belongs(memory, family, address)
    ]  # fmt: skip
    reported = [host for url in _reported(family, R.URL) if is_address(host := host_of(url))]
    return list(dict.fromkeys([*own, *told, *reported]))


def _belongs(memory: Memory, family: Family, address: str) -> bool:
    """A loader that shares passwords with a family is its own only if it has shown a token or a payload of it."""
    return any(
        memory.pairs.get((item(HOST, address), one), 0)
        for one in family.core
        if parts(one)[0] in (joint.TOKEN, joint.PAYLOAD)
    )


def _controllers(family: Family) -> list[str]:
    """As honeypots that run a program saw it, then as reports say: their addresses and domains outside of URLs."""
    hosts = set(family.values(HOST))
    found = [server for server in family.values(CONTROLLER) if not server.startswith(("<", "-"))]
    for report in family.reports:
        if not report.early:
            alone = report.items.get(STANDS_ALONE, [])
            found += [one for one in alone if one not in hosts and (is_address(one) or "." in one)]
    kept: dict[str, None] = {}
    for one in found:
        if not any(other.split(":")[0] == one for other in kept):
            kept[one] = None
    return list(kept)


def _steps(memory: Memory, family: Family) -> dict[str, int]:
    """Sessions that show each step of the attack, of the sessions with its busiest item."""
    best: dict[str, int] = {}
    for anchor in family.core:
        for step in STEPS:
            best[step] = max(best.get(step, 0), memory.pairs.get((anchor, item(STEP, step)), 0))
    return {step: best.get(step, 0) for step in STEPS if best.get(step, 0)}


def _probability(family: Family) -> float:
    """The least of what holds the page together: for each mark its best link, else its best report."""
    held: list[float] = []
    by_mark: dict[str, float] = {}
    for mark, _, row in family.links:
        if mark in family.core:
            by_mark[mark] = max(by_mark.get(mark, 0.0), row["probability"])
    held += by_mark.values()
    report = max((1 - found.chance for found in family.reports if not found.early), default=0.0)
    if family.joined or (not family.anchored and not held):
        held.append(report)
    elif not held:
        held.append(_BY_SESSIONS)
    return min(held)


def renumbered(found: list[Page], before: list[dict[str, Any]]) -> list[Page]:
    """Each page with the number of the one that had most of its items the last time."""
    free = {one["number"]: one for one in before}
    made, used = [], set()
    scored = sorted(
        (
            (len(page.core & set(one["core"])), one["number"], place)
            for place, page in enumerate(found)
            for one in before
        ),
        key=lambda entry: (-entry[0], entry[1], entry[2]),
    )
    given: dict[int, str] = {}
    for common, number, place in scored:
        if common and place not in given and number in free:
            given[place] = number
            made.append(free.pop(number))
    known = {one["number"]: one for one in before}
    result = []
    for place, page in enumerate(found):
        number = given.get(place, page.number)
        while number in used or (place not in given and number in known):
            number += "x"
        used.add(number)
        name = f"family {number}" if page.family.startswith("family ") else page.family
        result.append(replace(page, number=number, family=name, known=known.get(number, {})))
    return result
