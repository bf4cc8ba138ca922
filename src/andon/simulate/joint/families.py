"""Bot families drawn from a seed: fingerprint, ports, token, credentials, exploit, payloads, loaders, growth.

A family is what the joint analysis has to put together again. Some have no fingerprint, some never touch Telnet, two
carry the same token (adversaries copy source code with its token in it), and now and then two share a scanner, thus a
fingerprint.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from andon.simulate.internet.solve import assignments

from . import catalogue as c
from .catalogue import EXPLOITS, PRODUCTS, Exploit, Product
from .scenario import DAY, Scenario

_SYLLABLES: Final = (
    "ka", "sa", "te", "ro", "mi", "zu", "no", "pha", "le", "ri", "ku", "va", "do", "xe", "ti", "mo", "shi", "ge",
    "lu", "wa", "bo", "fe", "nu", "ya",
)  # fmt: skip
# What a family goes for. PORTS: something that no honeypot plays; only the telescope and reports know of it.
TELNET, SSH, WEB, PORTS, ADB, OTHER = "telnet", "ssh", "web", "ports", "adb", "other"
_ALWAYS: Final = (TELNET, WEB, PORTS, TELNET, WEB, TELNET, SSH)  # the first ones; then any
_LATER: Final = (TELNET, TELNET, WEB, WEB, PORTS, SSH, ADB, OTHER)
_BARE: Final = 0.2  # share of families without a fingerprint
_POPULAR: Final = 0.15  # chance that an exploit is one that another family has as well


@dataclass(frozen=True)
class Family:
    """One family. ``services``: the honeypots it is met at; empty: only at the telescope and in reports."""

    number: int
    name: str
    kind: str
    fingerprint: str  # "F03", or "" if it has none
    expression: str
    ports: tuple[int, ...]
    port_weights: tuple[float, ...]
    services: tuple[str, ...]
    token: str
    creds: tuple[tuple[str, str], ...]
    exploit: Exploit | None
    loaders: tuple[str, ...]
    controllers: tuple[str, ...]  # host:port
    url_base: str
    payloads: tuple[str, ...]  # SHA-256, one an architecture
    size: float  # weight among the families
    birth: int  # ns
    half: int
    efold: float  # ns
    stays: float  # mean ns that a device stays infected
    focus: float  # share of its devices that are of its target's product
    probes: float  # probes a day at the telescope, median of its devices
    visits: float  # visits a day at one honeypot host
    style: int  # of its shell commands

    @property
    def target(self) -> Product | None:
        return PRODUCTS[self.exploit.product] if self.exploit else None

    def url(self, loader: str, architecture: str) -> str:
        return f"http://{loader}{self.url_base}{architecture}"

    def to_dict(self) -> dict[str, Any]:
        """As ``truth/families.json`` holds it; infections and reports are added by ``truth``."""
        target = self.target
        return {
            "family": self.name,
            "fingerprint": self.fingerprint or None,
            "expression": self.expression or None,
            "ports": list(self.ports),
            "token": self.token,
            "creds": [list(pair) for pair in self.creds],
            "cve": [self.exploit.cve] if self.exploit else [],
            "device": [[target.device, target.vendor, target.product]] if target else [],
            "loaders": list(self.loaders),
            "controllers": list(self.controllers),
            "sha256": list(self.payloads),
            "url_base": self.url_base,
            "kind": self.kind,
            "services": list(self.services),
        }


def families(scenario: Scenario, name: str = "families") -> tuple[Family, ...]:
    """The families of a scenario; another ``name`` draws others, that a report may speak of and nobody has seen."""
    rng = scenario.rng(name)
    names = _names(rng, scenario.families)
    tokens = _tokens(rng, scenario.families)
    relations = _relations(rng, scenario.families)
    made: list[Family] = []
    taken: set[tuple[int, ...]] = set()
    exploits = rng.permutation(len(EXPLOITS)).tolist()
    numbered = 0
    kinds = [*_ALWAYS, *rng.choice(_LATER, max(0, scenario.families - len(_ALWAYS))).tolist()][
        : scenario.families
    ]
    bare = _bare(rng, kinds)
    for i, kind in enumerate(kinds):
        exploit = _exploit(rng, kind, exploits, made)
        ports = _ports(rng, kind, exploit, taken)
        fingerprint, expression = "", ""
        if i not in bare:
            numbered += 1
            fingerprint, expression = f"F{numbered:02d}", relations[i]
        made.append(
            _family(scenario, rng, i, kind, names[i], tokens[i], fingerprint, expression, ports, exploit)
        )
    return tuple(_copies(rng, made))


def _names(rng: np.random.Generator, count: int) -> list[str]:
    found: list[str] = []
    while len(found) < count:
        parts = rng.choice(len(_SYLLABLES), int(rng.integers(2, 5)))
        name = "".join(_SYLLABLES[p] for p in parts)
        # No name begins another: a text search for one may not find the other.
        if name not in c.REAL_NAMES and not any(name.startswith(f) or f.startswith(name) for f in found):
            found.append(name)
    return [name.capitalize() for name in found]


def _tokens(rng: np.random.Generator, count: int) -> list[str]:
    found: set[str] = set()
    order: list[str] = []
    while len(order) < count:
        letters = rng.choice(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), int(rng.integers(5, 9)))
        token = "".join(letters.tolist())
        if rng.random() < 0.15:
            token = token.lower()
        if token not in found:
            found.add(token)
            order.append(token)
    return order


def _relations(rng: np.random.Generator, count: int) -> list[str]:
    """Expressions that a packet can be made to satisfy, no two alike."""

    def word(bits: int) -> str:
        return hex(int(rng.integers(1, 2**bits)))

    found: list[str] = []
    while len(found) < count:
        kinds = (
            "tcp.seq == ip.dst",
            f"tcp.seq == (ip.dst + {word(32)})",
            f"tcp.seq == (ip.dst ^ {word(32)})",
            f"(tcp.seq ^ ip.dst) == rotl32(ip.dst, {int(rng.integers(1, 32))})",
            f"tcp.window == {word(16)}",
            f"lo16(tcp.seq) == {word(16)}",
            f"tcp.srcport == (ip.id ^ {word(16)})",
            f"ip.id == (lo16(ip.dst) ^ {word(16)})",
            f"ip.id == lo16(tcp.srcport + tcp.dstport + {word(16)})",
            f"tcp.seq == bswap32(ip.dst ^ {word(32)})",
            f"tcp.seq == ip.dst and tcp.window == {word(16)}",
        )
        text = kinds[int(rng.integers(len(kinds)))]
        if text not in found:
            assignments(text)
            found.append(text)
    return found


def _bare(rng: np.random.Generator, kinds: list[str]) -> set[int]:
    """Which families have no fingerprint: one in five, among those of Telnet and of the web."""
    places = [i for i, kind in enumerate(kinds) if kind in (TELNET, WEB)]
    return {int(i) for i in rng.permutation(places)[: round(_BARE * len(kinds))]}


def _exploit(rng: np.random.Generator, kind: str, left: list[int], made: list[Family]) -> Exploit | None:
    if rng.random() >= {TELNET: 0.5, WEB: 1.0, PORTS: 0.15}.get(kind, 0.0):
        return None
    known = [f.exploit for f in made if f.exploit]
    if known and (rng.random() < _POPULAR or not left):
        return known[int(rng.integers(len(known)))]
    return EXPLOITS[left.pop()]


def _ports(
    rng: np.random.Generator, kind: str, exploit: Exploit | None, taken: set[tuple[int, ...]]
) -> tuple[int, ...]:
    """A set of ports that no other family has."""
    while True:
        if kind == TELNET:
            ports = [23, *rng.choice(c.TELNET_PORTS, int(rng.integers(0, 4)), replace=False).tolist()]
        elif kind == SSH:
            ports = [
                22,
                *rng.choice((2222, 222, 2022, 22222), int(rng.integers(0, 3)), replace=False).tolist(),
            ]
        elif kind == WEB:
            first = list(exploit.ports) if exploit else []
            own = rng.choice(first, 1).tolist() if first else []
            more = rng.choice(c.WEB_PORTS, int(rng.integers(1, 4)), replace=False).tolist()
            ports = [*own, *more]
        elif kind == ADB:
            ports = [
                5555,
                *rng.choice((4444, 5556, 5037, 5554), int(rng.integers(0, 3)), replace=False).tolist(),
            ]
        elif kind == OTHER:
            ports = rng.choice(
                (5900, 5901, 1883, 8883, 5800), int(rng.integers(2, 4)), replace=False
            ).tolist()
        else:
            ports = rng.choice(c.ODD_PORTS, int(rng.integers(1, 4)), replace=False).tolist()
        found = tuple(dict.fromkeys(int(p) for p in ports))
        if tuple(sorted(found)) not in taken:
            taken.add(tuple(sorted(found)))
            return found


def _services(
    rng: np.random.Generator, kind: str, exploit: Exploit | None, ports: tuple[int, ...]
) -> tuple[str, ...]:
    base = {TELNET: (c.COWRIE_TELNET,), SSH: (c.COWRIE_SSH,), ADB: (c.ADBHONEY,)}.get(kind, ())
    if kind == OTHER:
        base = (c.HERALDING,) if 5900 in ports or 5901 in ports else (c.DIONAEA,)
    return (*base, c.TANNER) if exploit else base


def _family(
    scenario: Scenario, rng: np.random.Generator, number: int, kind: str, name: str, token: str, fingerprint: str,
    expression: str, ports: tuple[int, ...], exploit: Exploit | None,
) -> Family:  # fmt: skip
    pairs = {(c.USERS[int(u)], c.PASSWORDS[int(p)] + str(s)) for u, p, s in zip(
        rng.integers(len(c.USERS), size=14), rng.integers(len(c.PASSWORDS), size=14),
        rng.choice(["", "1", "!", "", "321"], 14), strict=True,
    )}  # fmt: skip
    creds = tuple(sorted(pairs))[: int(rng.integers(7, 13))]
    length = scenario.end - scenario.begin
    birth = scenario.begin + int(rng.uniform(0.02, 0.45) * length)
    efold = float(rng.uniform(0.02, 0.08) * length)
    own = rng.random() < 0.7
    base = str(rng.choice(c.URL_BASES if own else c.GENERIC_BASES)).replace("{n}", name.lower())
    weights = rng.dirichlet(np.full(len(ports), 6.0))
    return Family(
        number=number, name=name, kind=kind, fingerprint=fingerprint, expression=expression, ports=ports,
        port_weights=tuple(weights.tolist()), services=_services(rng, kind, exploit, ports), token=token, creds=creds,
        exploit=exploit, loaders=tuple(_servers(rng, int(rng.integers(1, 4)))),
        controllers=tuple(f"{host}:{int(rng.integers(1024, 60000))}" for host in _servers(rng, 1)), url_base=base,
        payloads=tuple(
            hashlib.sha256(f"{scenario.seed} {name} {architecture}".encode()).hexdigest()
            for architecture in c.ARCHITECTURES
        ),
        size=float(np.exp(rng.normal(0.0, 0.9))), birth=birth,
        half=birth + int(efold * rng.uniform(3.0, 5.0)), efold=efold, stays=float(rng.uniform(1.5, 7.0) * DAY),
        focus=float(rng.uniform(0.6, 0.92)) if exploit else 0.0, probes=float(rng.uniform(3.0, 9.0)),
        visits=float(np.exp(rng.uniform(np.log(0.03), np.log(0.25)))), style=int(rng.integers(0, 4)),
    )  # fmt: skip


def _servers(rng: np.random.Generator, count: int) -> list[str]:
    return [
        f"198.18.{a}.{b}"
        for a, b in zip(rng.integers(0, 256, count), rng.integers(1, 255, count), strict=True)
    ]


def _copies(rng: np.random.Generator, made: list[Family]) -> list[Family]:
    """One token in two families that log in; in every fourth scenario one scanner in two families."""
    logging_in = [f.number for f in made if f.kind in (TELNET, SSH)]
    if len(logging_in) >= 4:
        origin, copy = rng.choice(logging_in, 2, replace=False).tolist()
        made[copy] = replace(made[copy], token=made[origin].token)
    marked = [f.number for f in made if f.fingerprint]
    if len(marked) >= 6 and rng.random() < 0.25:
        origin, copy = rng.choice(marked, 2, replace=False).tolist()
        made[copy] = replace(
            made[copy], fingerprint=made[origin].fingerprint, expression=made[origin].expression
        )
    return made
