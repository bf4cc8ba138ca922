"""What observers make of it: sensors that miss flows, clocks that differ, translated addresses, lists that grew old.

Nothing here knows what is an attack.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from .book import Book
from .catalogue import INNER, OUTER, SURICATA, Kind
from .estate import Estate
from .ordinary import at_outer_sensor
from .scenario import Scenario

_STALE_DAYS: Final = (30, 700)
_FRESH_DAYS: Final = (1, 200)


def flows(scenario: Scenario, estate: Estate, links: pa.Table) -> pa.Table:
    """The connections that the flow sensor reports, by time. The same seed misses the same ones, and more where more
    are missed."""
    chance = scenario.rng("missing").random(links.num_rows)
    seen = chance >= scenario.missing
    if not estate.outside:
        seen &= ~links.column("dropped").to_numpy(zero_copy_only=False)
    seen &= links.column("ts").to_numpy() < scenario.length
    held = links.filter(pa.array(seen))
    return held.take(pc.sort_indices(held, [("ts", "ascending")]))


@dataclass(frozen=True)
class Told:
    """An alert as its product writes it. ``ts``: ms since 1970, by the product's clock."""

    ts: int
    src: str
    dst: str
    number: int  # of the alarm in the book


def alerts(scenario: Scenario, estate: Estate, book: Book) -> tuple[list[Told], list[Told]]:
    """(Suricata's, Wazuh's), each in the order of its own clock."""
    rng = scenario.rng("clocks")
    skew = rng.normal(0, scenario.skew * 1000, 2)
    begin = scenario.organisation.begin
    made: tuple[list[Told], list[Told]] = ([], [])
    public = {s.address: s.public for s in estate.servers if s.public}
    has_public = bool(public)
    for number, alarm in enumerate(book.alarms):
        product = 0 if alarm.rule.product == SURICATA else 1
        src, dst = alarm.src, alarm.dst
        if product == 0 and (has_public or estate.branch):
            src, dst = translated(estate, public, src, dst)
        made[product].append(Told(begin + alarm.ts + int(skew[product]), src, dst, number))
    for each in made:
        each.sort(key=lambda told: (told.ts, told.number))
    return made


def translated(estate: Estate, public: dict[str, str], src: str, dst: str) -> tuple[str, str]:
    """Both ends as the outer sensor sees them. ``public``: by the server's own address."""
    if src not in estate.branch and src not in public and dst not in public:
        return src, dst
    return at_outer_sensor(estate, src, dst)


def assets(scenario: Scenario, estate: Estate) -> list[dict[str, Any]]:
    """Rows of the owner's list, one for each port of a server and one for each terminal. A share of the systems is out
    of date: half of these were replaced by something else, half got other software at the same ports."""
    rng = scenario.rng("assets")
    rows: list[dict[str, Any]] = []
    kinds = [*OUTER, *INNER]
    for server in estate.servers:
        stale = rng.random() < scenario.stale
        other, same, age = rng.integers(len(kinds)), rng.random() < 0.5, rng.random()
        days = _STALE_DAYS if stale else _FRESH_DAYS
        since = int(days[0] + age * (days[1] - days[0]))
        kind = server.kind
        if stale:
            kind = _other(kind, kinds, int(other), same)
        for address in filter(None, (server.address, server.public)):
            for port, transport, service in kind.ports:
                rows.append(
                    {
                        "asset": f"S{server.number:04d}", "ip": address, "hostname": server.name, "os": kind.system,
                        "product": kind.product, "version": kind.version, "port": port, "transport": transport,
                        "service": "" if service == "-" else service, "installed": since,
                    }
                )  # fmt: skip
    for n, address in enumerate(estate.pcs):
        rows.append(
            {
                "asset": f"P{n:05d}", "ip": address, "hostname": f"pc-{n:05d}", "os": "Windows 11", "product": "",
                "version": "",
                "port": "", "transport": "", "service": "", "installed": int(rng.integers(1, 1000)),
            }
        )  # fmt: skip
    return rows


def _other(kind: Kind, kinds: list[Kind], number: int, same: bool) -> Kind:
    """What stood there before."""
    if same:
        ports = {p for p, _, _ in kind.ports}
        like = [k for k in kinds if k.name != kind.name and ports & {p for p, _, _ in k.ports}]
        if like:
            before = like[number % len(like)]
            return Kind(
                before.name, before.system, before.product, before.version, kind.ports, kind.exposed, ()
            )
    others = [k for k in kinds if k.name != kind.name]
    return others[number % len(others)]
