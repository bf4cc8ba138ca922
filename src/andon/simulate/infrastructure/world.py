"""The innocent world: owners with their names, hosters, networks for content, parking, registrars, privacy services.

The sizes of shared hosts and the number of names of an owner have heavy tails, as passive DNS shows them.
"""

from __future__ import annotations

import numpy as np

from .facts import DAY, Facts
from .scenario import Scenario

_START = [
    "al",
    "bor",
    "cal",
    "dan",
    "el",
    "far",
    "gar",
    "hel",
    "in",
    "jor",
    "kal",
    "lum",
    "mar",
    "nor",
    "ol",
    "pra",
    "qui",
    "ros",
    "sil",
    "tan",
    "ul",
    "ver",
    "wes",
    "xen",
    "yar",
    "zo",
    "ben",
    "cor",
    "dra",
    "fen",
    "gil",
    "hav",
    "ken",
    "lor",
    "mid",
    "nev",
]
_MIDDLE = ["a", "e", "i", "o", "u", "ar", "en", "il", "on", "ur", "ta", "ri", "no", "ve", "lo", "sa", "mi"]
_END = [
    "ba",
    "ca",
    "da",
    "ga",
    "la",
    "ma",
    "na",
    "pa",
    "ra",
    "sa",
    "ta",
    "va",
    "za",
    "net",
    "soft",
    "tech",
    "media",
    "shop",
    "works",
    "line",
    "point",
    "base",
    "cloud",
]
_TOP = ("com", "net", "org", "info", "biz", "io", "de", "jp", "ru", "xyz", "top", "co.uk")
_MAILERS = ("mail.test", "post.test", "inbox.test", "letter.test")


class World:
    """Pools that both the innocent and the campaigns draw from."""

    def __init__(self, scenario: Scenario, facts: Facts) -> None:
        self.scenario, self.facts, self.rng = scenario, facts, facts.rng
        self.begin = int(scenario.start.timestamp())
        self.end = self.begin + scenario.days * DAY
        self._names: set[str] = set()
        self._next_address = 0
        self.registrars = [f"Registrar {word.title()} Inc" for word in _START[:12]]
        self.default_servers = [[f"ns{i}.{word}-dns.net" for i in (1, 2)] for word in ("reg", *_START[:11])]
        self.privacy = [
            (f"contact@{word}privacy.com", f"{word.title()} Privacy Service") for word in _START[12:16]
        ]
        hosters = max(scenario.owners // 60, 4)
        self.hoster_servers = [[f"ns{i}.host{n}.net" for i in (1, 2)] for n in range(hosters)]
        self.shared = [
            (n % hosters, self.address(64500 + n % hosters, f"Hoster {n % hosters}"))
            for n in range(2 * hosters)
        ]
        weight = 1 / np.arange(1, len(self.shared) + 1) ** 0.9
        self.shared_weight = weight / weight.sum()
        self.content = [self.address(64401, "Content Network") for _ in range(6)]
        self.parking = [self.address(64402, "Parking Company") for _ in range(3)]
        self.sinks = [self.address(64403, "Sinkhole Project") for _ in range(2)]
        self.parents = ["dynhome.net", "freedyn.org", "myhost-dyn.com"]
        self.popular = [self.name("com") for _ in range(20)]

    def name(self, top: str = "") -> str:
        """A registered domain that nobody had before."""
        while True:
            rng = self.rng
            word = str(rng.choice(_START)) + str(rng.choice(_MIDDLE)) + str(rng.choice(_END))
            if rng.random() < 0.6:
                word += ("-" if rng.random() < 0.3 else "") + str(rng.choice(_START)) + str(rng.choice(_END))
            made = f"{word}.{top or rng.choice(_TOP)}"
            if made not in self._names:
                self._names.add(made)
                return made
            made = f"{word}{rng.integers(10, 99_999)}.{top or rng.choice(_TOP)}"
            if made not in self._names:
                self._names.add(made)
                return made

    def address(self, system: int, organisation: str) -> str:
        """An address that nobody had before, of this network."""
        n = self._next_address
        self._next_address += 1
        # A bijection of 24 bits scatters neighbours over three networks that hold nothing of their own.
        mixed = (n * 11_400_71 + 12_345) & 0xFFFFFF
        text = f"{(45, 91, 185, 23)[(n >> 24) & 3]}.{mixed >> 16}.{mixed >> 8 & 255}.{mixed & 255}"
        if self.rng.random() >= self.scenario.missing:
            self.facts.operators[text] = (system, organisation)
        return text

    def email(self) -> tuple[str, str]:
        """(address, person)"""
        person = f"{str(self.rng.choice(_START)).title()} {str(self.rng.choice(_START)).title()}{self.rng.choice(_END)}"
        return (
            f"{person.replace(' ', '.').lower()}{self.rng.integers(1, 10_000)}@{self.rng.choice(_MAILERS)}",
            person,
        )

    def shared_host(self) -> tuple[int, str]:
        return self.shared[int(self.rng.choice(len(self.shared), p=self.shared_weight))]

    def while_of(self, shortest: int, longest: int) -> tuple[int, int]:
        """An interval within the scenario's time."""
        length = int(self.rng.integers(shortest, longest + 1)) * DAY
        at = self.begin + int(self.rng.random() * max(self.end - self.begin - length, DAY))
        return at, min(at + length, self.end)

    def owner(self, lone: str = "", when: tuple[int, int] | None = None) -> str:
        """One innocent owner with one to thirty names, and where they live. ``lone``: an address that the first of the
        names is on, in the time ``when``. Gives that name."""
        rng, facts = self.rng, self.facts
        email, person = self.email()
        hidden = rng.random() < 0.5
        count = min(1 + int(rng.pareto(1.3)), 30)
        registrar = int(rng.integers(len(self.registrars)))
        hoster, host = self.shared_host()
        own = self.address(64600 + int(rng.integers(40)), "Server Renter") if rng.random() < 0.15 else ""
        first_name = ""
        for at in range(count):
            name = self.name()
            first_name = first_name or name
            begin, end = self.while_of(200, self.scenario.days)
            if at == 0 and when is not None:
                begin, end = min(begin, when[0]), max(end, when[1])
            mail, who = self.privacy[int(rng.integers(len(self.privacy)))] if hidden else (email, person)
            servers = self.default_servers[registrar] if rng.random() < 0.6 else self.hoster_servers[hoster]
            facts.registered(name, begin, end + 100 * DAY, self.registrars[registrar], mail, who, servers)
            where = lone if lone and at == 0 else own
            if not where:
                where = str(rng.choice(self.content)) if rng.random() < 0.15 else host
            at_time = when if lone and at == 0 and when is not None else (begin, end)
            facts.resolves(name, where, *at_time)
            if rng.random() < 0.4:
                facts.resolves(f"www.{name}", where, *at_time)
            for server in servers:
                facts.served(name, server, begin, end)
            if rng.random() < 0.5:
                facts.certified([name, f"www.{name}"], facts.digest(), begin, begin + 90 * DAY)
        return first_name

    def parked(self, name: str, first: int) -> None:
        """Somebody who lives on expired names takes this one."""
        rng = self.rng
        number = int(rng.integers(4))
        self.facts.registered(
            name,
            first,
            first + 365 * DAY,
            self.registrars[number],
            f"sales@domainer{number}.com",
            f"Domainer {number}",
            [f"ns1.parked{number}.com"],
        )
        self.facts.resolves(name, str(rng.choice(self.parking)), first, self.end)

    def fill(self) -> None:
        """Everybody who has nothing to do with any campaign."""
        for _ in range(self.scenario.owners):
            self.owner()
        for _ in range(self.scenario.owners // 8):
            self.parked(self.name(), self.while_of(100, 400)[0])
        for name in self.popular:
            self.facts.resolves(name, str(self.rng.choice(self.content)), self.begin, self.end)
        for parent in self.parents:
            for _ in range(self.scenario.owners // 30):
                label = f"{self.rng.choice(_START)}{self.rng.integers(1, 99_999)}.{parent}"
                self.facts.resolves(label, self.address(64700, "Broadband"), *self.while_of(10, 200))
