"""One planted campaign: personas that register names, servers rented one after another, samples with configurations.

Every choice is drawn anew for each name: where it lives, who registered it, whether it has a certificate. What belongs
to the campaign alone is owned by it in the truth; what it shares with strangers is not.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .facts import DAY
from .world import World

_TOOLS = ("gharial", "mamba", "tigersnake", "quokka", "ibex", "lamprey", "osprey", "civet", "oryx", "tarpon")
_FILES = ("invoice.exe", "update.dll", "svchost.exe", "document.scr", "setup.exe", "report.docm")


@dataclass
class _Server:
    address: str
    first: int
    last: int
    own: bool  # nobody else is on it during the lease
    mates: list[str] = field(default_factory=list)


def plant(world: World, number: int, size: int, haunts: list[str], tools: list[str]) -> None:
    """Add a campaign of ``size`` names. ``haunts``: addresses of bulletproof hosts; ``tools``: families used so far."""
    rng, facts, scenario = world.rng, world.facts, world.scenario
    facts.ties.clear()
    begin, end = world.while_of(min(200, scenario.days), min(700, scenario.days))
    servers = _rent(world, number, size, begin, end, haunts)
    personas: list[tuple[str, str]] = []
    own_servers: list[str] = []
    registrars = rng.integers(0, len(world.registrars), max(1, size // 20) + 1)
    names: list[tuple[str, int, int]] = []
    for _ in range(size):
        name, first, last = _name(world, number, begin, end, personas, own_servers, registrars)
        names.append((name, first, last))
        _house(world, number, name, first, last, servers)
    _certificates(world, number, names, servers)
    _samples(world, number, names, servers, tools)
    if scenario.attested:
        _attest(world, number, names)


def _rent(world: World, number: int, size: int, begin: int, end: int, haunts: list[str]) -> list[_Server]:
    """Servers so that at any time about one is there for six names; each has other tenants before and after."""
    rng, facts, scenario = world.rng, world.facts, world.scenario
    found: list[_Server] = []
    for _ in range(max(1, size // 6)):
        at = begin
        while at < end:
            length = max(int(rng.exponential(scenario.lease_days)), 7) * DAY
            last = min(at + length, end)
            if rng.random() < scenario.bulletproof and haunts:
                found.append(_Server(str(rng.choice(haunts)), at, last, False))
            else:
                address = world.address(64800 + int(rng.integers(20)), "Server Renter")
                found.append(_Server(address, at, last, True))
                facts.owns(number, "address", address)
                if rng.random() < 0.4 and at - world.begin > 60 * DAY:
                    gap = int(rng.integers(1, 30)) * DAY
                    world.owner(address, (at - 50 * DAY - gap, at - gap))
                if rng.random() < 0.4 and world.end - last > 60 * DAY:
                    gap = int(rng.integers(1, 30)) * DAY
                    world.owner(address, (last + gap, last + gap + 50 * DAY))
                for _ in range(int(rng.poisson(scenario.decoys))):
                    world.owner(address, (at, last))  # an innocent on the same address at the same time
            at = last + DAY
    return found


def _name(
    world: World,
    number: int,
    begin: int,
    end: int,
    personas: list[tuple[str, str]],
    own: list[str],
    registrars: object,
) -> tuple[str, int, int]:
    rng, facts, scenario = world.rng, world.facts, world.scenario
    first = begin + int(rng.random() * 0.8 * (end - begin))
    last = min(first + int(rng.integers(40, 400)) * DAY, end)
    if rng.random() < scenario.dynamic:
        name = f"{world.name('test').split('.')[0]}.{rng.choice(world.parents)}"
        facts.owns(number, "domain", name)
        return name, first, last
    name = world.name()
    facts.owns(number, "domain", name)
    registrar = int(rng.choice(registrars))  # type: ignore[call-overload]
    if rng.random() < scenario.privacy:
        email, person = world.privacy[int(rng.integers(len(world.privacy)))]
    elif personas and rng.random() < scenario.reuse:
        email, person = personas[int(rng.integers(len(personas)))]
    else:
        email, person = world.email()
        personas.append((email, person))
        facts.owns(number, "registrant", email)
        facts.owns(number, "registrant", person.lower())
    served = world.default_servers[registrar]
    if rng.random() < scenario.own_name_server:
        if not own:
            base = world.name()
            facts.owns(number, "domain", base)
            own.extend(f"ns{i}.{base}" for i in (1, 2))
            for server in own:
                facts.owns(number, "name-server", server)
                facts.ties.append((server, base))
        served = own
    taken = rng.random() < scenario.expired
    expires = last + (20 if taken else 200) * DAY
    facts.registered(name, first, expires, world.registrars[registrar], email, person, served)
    for server in served:
        facts.served(name, server, first, last)
    if taken and expires + 30 * DAY < world.end:
        world.parked(name, expires + 30 * DAY)
    return name, first, last


def _house(world: World, number: int, name: str, first: int, last: int, servers: list[_Server]) -> None:
    """Where the name lives through its life."""
    rng, facts, scenario = world.rng, world.facts, world.scenario
    draw = rng.random()
    if draw < scenario.hosting:
        facts.resolves(name, world.shared_host()[1], first, last)
    elif draw < scenario.hosting + scenario.cdn * (1 - scenario.hosting):
        facts.resolves(name, str(rng.choice(world.content)), first, last)
    else:
        line = [server for server in servers if server.last > first and server.first < last]
        for server in (line[int(n)] for n in rng.permutation(len(line))[:3]):
            a, b = max(first, server.first), min(last, server.last)
            facts.resolves(name, server.address, a, b)
            server.mates.append(name)
            if rng.random() < 0.3:
                host = f"{rng.choice(('cdn', 'mail', 'update', 'api', 'login'))}.{name}"
                facts.resolves(host, server.address, a, b)
                facts.owns(number, "domain", host)
                facts.ties.append((host, name))
    if rng.random() < scenario.sinkholed:
        facts.resolves(name, str(rng.choice(world.sinks)), last, world.end)


def _certificates(
    world: World, number: int, names: list[tuple[str, int, int]], servers: list[_Server]
) -> None:
    rng, facts, scenario = world.rng, world.facts, world.scenario
    for name, first, _ in names:
        if rng.random() >= scenario.certificates:
            continue
        serial = facts.digest()
        together = [name]
        if rng.random() < 0.3:
            alive = [other for other, begun, ended in names if begun <= first < ended]
            together += [alive[int(n)] for n in rng.integers(0, len(alive), int(rng.integers(1, 4)))]
        facts.certified(list(dict.fromkeys(together)), serial, first, first + 90 * DAY)
        facts.owns(number, "certificate", serial)
    # One made by the operators themselves and put on every server that they set up.
    if rng.random() < scenario.certificates:
        serial = facts.digest()
        facts.owns(number, "certificate", serial)
        for server in servers:
            if server.own and rng.random() < 0.6:
                facts.handshake(server.first + DAY, server.address, "", serial)


def _samples(
    world: World, number: int, names: list[tuple[str, int, int]], servers: list[_Server], tools: list[str]
) -> None:
    rng, facts, scenario = world.rng, world.facts, world.scenario
    if tools and rng.random() < scenario.shared_tool:
        tool = str(rng.choice(tools))
    else:
        tool = f"{_TOOLS[number % len(_TOOLS)]}{number // len(_TOOLS) or ''}"
        tools.append(tool)
    own = [server.address for server in servers if server.own]
    for _ in range(int(rng.poisson(scenario.samples * len(names)))):
        serial = facts.digest()
        facts.owns(number, "file", serial)
        _, begun, ended = names[int(rng.integers(len(names)))]
        when = begun + int(rng.random() * (ended - begun))
        alive = [name for name, first, last in names if first <= when < last] or [names[0][0]]
        targets = [alive[int(n)] for n in rng.permutation(len(alive))[: int(rng.integers(1, 4))]]
        if own and rng.random() < 0.2:
            targets.append(str(rng.choice(own)))
        facts.ties += [(serial, target) for target in targets]
        kept = [target for target in targets if facts.known()]
        if kept:
            facts.samples.append(
                {"sha256": serial, "family": tool, "detection": f"Win32/{tool.title()}.A", "first_seen": when,
                 "file_name": str(rng.choice(_FILES)), "c2": [f"{target}:443" for target in kept]}
            )  # fmt: skip
        if rng.random() < 0.4:
            contacted = [target for target in targets if facts.known()]
            contacted += [str(rng.choice(world.popular))]
            facts.runs.append({"sha256": serial, "analysis_date": when + DAY, "contacted": contacted})


def _attest(world: World, number: int, names: list[tuple[str, int, int]]) -> None:
    """Samples for what nothing of the campaign's own ties to the rest of it. That is how somebody would have come to
    know that it belongs there: the malware fell back on it, or was sent there next."""
    rng, facts, scenario = world.rng, world.facts, world.scenario
    owned = {value for (_, value), campaign in facts.owned.items() if campaign == number}
    parent: dict[str, str] = {value: value for value in owned}

    def root(value: str) -> str:
        while parent[value] != value:
            parent[value] = parent[parent[value]]
            value = parent[value]
        return value

    for a, b in facts.ties:
        if a in owned and b in owned:
            parent[root(a)] = root(b)
    parts: dict[str, list[tuple[str, int, int]]] = {}
    for row in names:
        parts.setdefault(root(row[0]), []).append(row)
    ordered = sorted(parts.values(), key=lambda part: -len(part))
    for part in ordered[1:]:
        if rng.random() >= scenario.attested:
            continue
        for _ in range(1 + int(rng.poisson(1.0))):
            name, first, last = part[int(rng.integers(len(part)))]
            core = ordered[0]
            alive = [other for other in core if other[1] < last and first < other[2]] or core
            other, begun, ended = alive[int(rng.integers(len(alive)))]
            first, last = max(first, min(begun, last)), min(last, max(ended, first))
            serial = facts.digest()
            facts.owns(number, "file", serial)
            kept = [target for target in (name, other) if facts.known()]
            if kept:
                facts.samples.append(
                    {"sha256": serial, "family": "", "first_seen": first + int(rng.random() * (last - first)),
                     "file_name": str(rng.choice(_FILES)), "c2": [f"{target}:443" for target in kept]}
                )  # fmt: skip
