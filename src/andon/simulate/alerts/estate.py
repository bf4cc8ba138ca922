"""The servers of the organisation as they are, who may reach them, and the addresses of the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from andon.simulate.organisation.build import World
from andon.simulate.organisation.people import SCANNER, WORKER

from .catalogue import EXPLOITS, INNER, INSIDE_EXPLOITS, OUTER, Kind
from .scenario import Scenario

MONITOR: Final = "10.10.0.60"
BACKUP: Final = "10.10.0.50"
RESOLVERS: Final = ("10.10.0.10", "10.10.0.11")
UNPATCHED: Final = 0.07  # share of what could be exploited that can be


@dataclass(frozen=True)
class Server:
    """``public``: address outside where the firewall translates it, else ""; ``weak``: exploits (numbers of rules) that
    work; ``agent``: a Wazuh runs on it."""

    number: int
    name: str
    address: str
    public: str
    kind: Kind
    weak: frozenset[str]
    agent: bool

    @property
    def ports(self) -> dict[int, tuple[str, str]]:
        return {port: (transport, service) for port, transport, service in self.kind.ports}

    @property
    def login(self) -> int:
        """Port by which one logs in; 0 if there is none."""
        return 22 if 22 in self.ports else 3389 if 3389 in self.ports else 0


@dataclass(frozen=True)
class Estate:
    """``pcs``: addresses of workers' terminals, ``users`` of the same; ``admins``: terminals (of ``pcs``) of
    administrators; ``scanner``: addresses that may scan; ``branch``: terminals behind one address at the outer sensor;
    ``regulars``: by server, terminals whose users log in there; ``outside``: the flow sensor sees what the firewall
    drops; ``dropping``: rules that an inline product drops."""

    servers: tuple[Server, ...]
    pcs: tuple[str, ...]
    users: tuple[str, ...]
    admins: tuple[int, ...]
    scanner: tuple[str, ...]
    branch: frozenset[str]
    regulars: tuple[tuple[int, ...], ...]
    outside: bool
    dropping: frozenset[str]

    @property
    def exposed(self) -> list[Server]:
        return [s for s in self.servers if s.kind.exposed]

    @property
    def inner(self) -> list[Server]:
        return [s for s in self.servers if not s.kind.exposed]


NAT: Final = "10.99.0.1"  # of the branch


def estate(scenario: Scenario, world: World) -> Estate:
    rng = scenario.rng("estate")
    servers: list[Server] = []
    for net, kinds in (("10.11.0", OUTER), ("10.12.0", INNER)):
        for kind in kinds:
            for n in range(kind.many):
                number = len(servers)
                known = [r.number for r in EXPLOITS + INSIDE_EXPLOITS if r.exploits in kind.software]
                weak = frozenset(r for r in known if rng.random() < UNPATCHED)
                public = f"203.0.113.{10 + number}" if kind.exposed and rng.random() < 0.2 else ""
                agent = kind.system != "FortiOS" and rng.random() < 0.8
                name = f"{kind.name}{n + 1:02d}"
                servers.append(Server(number, name, f"{net}.{10 + number}", public, kind, weak, agent))
    addresses = world.who.addresses(0)
    workers = world.who.of_role(WORKER).tolist()
    pcs = tuple(addresses[i] for i in workers)
    users = tuple(world.who.users[i] for i in workers)
    admins = tuple(sorted(rng.choice(len(pcs), max(2, len(pcs) // 60), replace=False).tolist()))
    cut = rng.choice(len(pcs), len(pcs) // 20, replace=False)
    inline = [r.number for r in EXPLOITS if r.cve]
    dropping = frozenset(r for r in inline if rng.random() < 0.5) if rng.random() < 0.5 else frozenset()
    outside = bool(rng.random() < 0.7) if scenario.outside is None else scenario.outside
    scanner = tuple(addresses[i] for i in world.who.of_role(SCANNER).tolist())
    regulars = tuple(tuple(rng.choice(len(pcs), 3, replace=False).tolist()) for _ in servers)
    branch = frozenset(pcs[i] for i in cut.tolist())
    return Estate(tuple(servers), pcs, users, admins, scanner, branch, regulars, outside, dropping)


def stranger(rng: np.random.Generator) -> str:
    """An address of the Internet that nobody here has used before."""
    first = int(rng.choice([5, 23, 37, 45, 61, 77, 91, 103, 138, 146, 159, 176, 185, 193, 212]))
    return f"{first}.{rng.integers(0, 256)}.{rng.integers(0, 256)}.{rng.integers(1, 255)}"
