"""Intents of every kind, many of them made by somebody who wants us to cut off the wrong thing. Seeded and quick:
parties are made once in many spellings, cases are drawn from them."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network
from random import Random
from typing import NamedTuple

import guard_oracle as oracle
import guard_site as site

from andon.contain.guard import Held
from andon.records.intent import ACTIONS, STATES, Ground, Intent, Party

FIELDS = (
    "darknet",
    "livenet",
    "intel",
    "malware",
    "alerts:suricata",
    "alerts:wazuh",
    "Darknet ",
    "alerts:",
    "",
    "stars",
    "alerts:zeek",
    "flows",
)
PEOPLE = ("andon", "alice", "Andon", " ANDON\u200b", "", "bob", "ａndon")
_PREFIXES = (
    "::/0", "0.0.0.0/0", "0.0.0.0/1", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b::/64", "2002::/16", "2002:a00::/24",
    "2001::/32", "2001:0:a00:1::/64", "64:ff9b:1::/64", "64:ff9b:1::/48", "2001:db8:64::/64", "10.0.0.0/255.255.0.0",
    "2002:a00:100::/40", "2002:c000:200::/40", "::/64", "10.0.0.1/32", "192.0.0.0/16", "2001:db8:bad::/63",
)  # fmt: skip
_MACS = (
    "02:00:00:00:00:01", "02-00-00-00-00-01", "0200.0000.0001", "020000000001", "02:00:00:00:03:05",
    "01:00:5e:00:00:01", "00:00:00:00:00:00", "00:00:5e:00:01:0a", "ff:ff:ff:ff:ff:ff", "02:00:00:00:00:0G",
    "33:33:00:00:00:01",
)  # fmt: skip
ACTION_WEIGHTS = (4, 8, 8, 30, 6, 22, 22)


class Case(NamedTuple):
    intent: Intent
    held: tuple[Held, ...]
    now: int


def spellings(address: str, draw: Random) -> list[str]:
    """Texts that somebody may take for an address."""
    made = [str(form) for form in oracle.forms(address)]
    made += [ip_address(one).exploded for one in made if ":" in one]
    made += [one.upper() for one in made if ":" in one]
    if ":" not in address:
        number = int(ip_address(address))
        a, b, c, d = address.split(".")
        made += [
            str(number), hex(number), f"0x{int(a):x}.{b}.{c}.{d}", f"{a}.{int(b) << 16 | int(c) << 8 | int(d)}",
            f"0{int(a):o}.{b}.{c}.{d}", f"{a}.{b}.{c}.{d}.", f" {address}", f"{address}%eth0",
            address.translate(str.maketrans("0123456789", "０１２３４５６７８９")), address.replace(".", "。"),
            f"{a}.{b}.{int(c) << 8 | int(d)}", f"::ffff:{a}.{b}.{c}.{d}%3", f"[::ffff:{address}]",
        ]  # fmt: skip
    else:
        made += [f"{address}%eth0", f"[{address}]", ip_address(address).exploded.upper()]
    return made


def name_spellings(name: str) -> list[str]:
    head, _, rest = name.partition(".")
    return [
        name, name.upper(), name + ".", "*." + name, "a." + name, f"x.y.{name}", rest, rest.partition(".")[2] or rest,
        name.replace(".", "。"), name.replace("e", "ｅ"), f" {name}", name + "..", head, name.replace("e", "%65"),
        name.replace(".", "\u200b."), f"http://{name}", f"evil-{name}", f"{head}x.{rest}",
    ]  # fmt: skip


def urls(host: str) -> list[str]:
    at = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return [
        f"http://{at}/", f"http://{at}", f"https://{at}:8443/x", f"http://{at}/a?b=c", f"//{at}/q", f"{at}/path",
        f"http://good.example@{at}/", f"http://{at}\\@good.example/", f"http:\\\\{at}\\x", f"http://{at}./x",
        f"HTTP://{at.upper()}/%2e", f"http://{at}%2f@good.example/", f"http://{at}#@good.example", f"ftp://{at}/f",
    ]  # fmt: skip


class Parties:
    """``good``: hosts of ours that may be cut, ``outside``: others that may be, ``bad``: everything else."""

    def __init__(self, seed: int) -> None:
        self.draw = draw = Random(seed)
        self.good = [self._host(n) for n in range(20, 240)] + [
            Party("address", f"10.0.1.{n}", (f"10.0.1.{n}",), basis="list", resolved=site.NOW)
            for n in range(20, 60)
        ]
        self.good += [Party("prefix", f"10.0.{n}.0/24", basis="given", resolved=site.NOW) for n in (4, 5, 6)]
        self.outside = [
            Party("address", f"192.0.2.{n}", (f"192.0.2.{n}",), basis="given") for n in range(1, 120)
        ]
        self.outside += [Party("address", f"2001:db8:bad::{n:x}", basis="given") for n in range(1, 90)]
        names = [f"evil{n}.example.net" for n in range(60)] + [
            *site.USERS,
            "wide.example.net",
            "cdn.example.net",
        ]
        self.outside += [
            Party("domain", one, (f"192.0.2.{draw.randrange(100, 200)}",) if draw.random() < 0.5 else ())
            for one in names
            if not one[0].isdigit() and ":" not in one
        ]
        self.outside += [Party("url", f"http://evil{n}.example.net/x{n}") for n in range(30)]
        self.outside += [Party("prefix", f"192.0.2.{n}/{w}") for n, w in ((0, 24), (64, 26), (128, 25))]
        self.bad = self._bad()

    def _host(self, n: int) -> Party:
        switch = ("sw1", n) if n in (20, 21, 22, 23) else ("", 0)
        six = (f"2001:db8:10:1::{n:x}",) if n % 3 == 0 else ()
        return Party(
            "host", f"pc{n}.corp.example", (f"10.0.1.{n}", *six), f"02:00:00:00:01:{n:02x}" if n % 2 else "",
            *switch, "workstation", "list", site.NOW,
        )  # fmt: skip

    def _bad(self) -> list[Party]:
        draw, made = self.draw, list[Party]()
        kinds = self.kinds = list[list[Party]]()
        for address in oracle.ADDRESSES:
            for text in spellings(address, draw):
                made.append(Party("address", text))
                made.append(Party("domain", text))
                made.append(replace(draw.choice(self.good[:200]), addresses=("10.0.1.77", text)))
                made.append(Party("domain", "evil7.example.net", (text,)))
                made.append(Party("url", draw.choice(urls(text))))
                made.append(Party("url", "http://cdn.example/evil", (text,)))
            first = ip_address(address)
            for wide in (
                (8, 16, 20, 23, 24, 25, 30, 31)
                if first.version == 4
                else (0, 16, 32, 48, 63, 64, 96, 120, 127)
            ):
                made.append(Party("prefix", str(ip_network(f"{address}/{wide}", strict=False))))
                made.append(Party("prefix", f"{address}/{wide}"))
        kinds.append(made)
        made = []
        for one in _PREFIXES:
            made.append(Party("prefix", one))
            made.append(replace(self.good[0], addresses=(one,)))
        kinds.append(made)
        made = []
        for name in [
            *oracle.OWN_NAMES,
            *oracle.SHARED_NAMES,
            *oracle.EXACT_NAMES,
            "plc1.corp.example",
            "dc01.corp.example",
        ]:
            for text in name_spellings(name):
                made.append(Party("domain", text))
                made.append(Party("host", text, ("10.0.1.78",), basis="list", resolved=site.NOW))
                made += [Party("url", one) for one in urls(text)[:: draw.randrange(1, 4)]]
        kinds += [made, [Party("domain", one) for one in oracle.SUFFIXES]]
        made = []
        for mac in _MACS:
            made.append(replace(self.good[3], mac=mac))
            made.append(Party("host", "pc9", (), mac.upper()))
        kinds.append(made)
        made = []
        for place in (
            ("sw1", 1),
            ("sw1", 2),
            ("sw1", 7),
            ("sw2", 9),
            ("sw1", -1),
            ("sw1", 0xFFFFFFFB),
            ("", 5),
            ("sw1", 22),
        ):
            made.append(replace(self.good[1], switch=place[0], port=place[1]))
            made.append(Party("host", "pc9", (), "", *place, basis="list", resolved=site.NOW))
        host = self.good[5]
        kinds.append(made)
        made = [
            Party("host", "nobody"), Party("host", "10.0.0.1"), Party("host", "::ffff:10.0.9.3"), Party("host", ""),
            replace(host, basis="lease (doubtful: its lease has ended)"), replace(host, resolved=site.NOW - site.HOUR),
            replace(host, resolved=0), replace(host, addresses=tuple(f"10.0.4.{n}" for n in range(40))),
            replace(host, addresses=("192.0.2.7",)), replace(host, addresses=("10.0.1.9", "192.0.2.7")),
            replace(host, resolved=site.NOW + site.HOUR), replace(host, asset_class="critical"),
            replace(host, value="DC07.branch.example"), replace(host, value="east-scada-2"),
            Party("domain", "evil9.example.net", ("10.0.1.99",)),
            Party("domain", "evil9.example.net", ("2001:db8:10:1::99",)),
        ]  # fmt: skip
        kinds.append(made)
        kinds.append(
            [Party("address", one) for one in ("10.0.255.2", "10.0.255.3", "10.0.255.9", "2002:aff:ff02::1")]
        )
        return [one for each in kinds for one in each]


class Cases:
    """``next(cases)`` is one more; the same for the same seed."""

    def __init__(self, seed: int, parties: Parties | None = None) -> None:
        self._draw = Random(seed)
        self._parties = parties or Parties(7)
        self._scenes = [self._scene() for _ in range(120)]

    def __iter__(self) -> Cases:
        return self

    def __next__(self) -> Case:
        draw = self._draw
        # Half of the cases are good but for one thing: only then does one rule alone decide.
        wild = draw.random() < 0.5
        held = draw.choice(self._scenes) if draw.random() < 0.4 else ()
        return Case(self._intent(draw.choices(ACTIONS, ACTION_WEIGHTS)[0], wild), held, site.NOW)

    def _party(self, wild: bool, ours: bool) -> Party:
        draw, pools = self._draw, self._parties
        if draw.random() < (0.5 if wild else 0.15):
            return draw.choice(
                pools.kinds[draw.choices(range(len(pools.kinds)), (10, 3, 4, 1, 1, 1, 2, 1))[0]]
            )
        if wild and draw.random() < 0.2:
            ours = not ours
        return draw.choice(pools.good if ours else pools.outside)

    def _intent(self, action: str, wild: bool) -> Intent:
        draw = self._draw
        subject = self._party(wild, action != "block" or draw.random() < 0.3)
        target = None
        if action == "block-pair" or (
            action in ("mirror", "allow", "proxy", "block", "sinkhole") and draw.random() < 0.2
        ):
            target = self._party(wild, draw.random() < 0.15)
            if draw.random() < 0.02:
                target = subject
        grounds = self._grounds(wild)
        ttl = draw.choice(
            (site.SECOND, site.HOUR, 24 * site.HOUR, 7 * 24 * site.HOUR)
            if wild
            else (site.HOUR, 24 * site.HOUR)
        )
        created = site.NOW
        if draw.random() < 0.03:
            created += draw.choice((-8 * 24, -25, -2, 1, 24)) * site.HOUR
        return Intent(
            draw.randrange(1, 1 << 63), action, subject, target, ttl, "why",
            draw.choice(PEOPLE) if wild else draw.choice(PEOPLE[:2]), created, grounds, "case",
            draw.choice(("", "low", "high", "critical")) if wild else "high", (), "rule",
            draw.choice((0, 0, 0, 0, 1, 2)) if wild else 0,
        )  # fmt: skip

    def _grounds(self, wild: bool) -> tuple[Ground, ...]:
        draw = self._draw
        if draw.random() < 0.15:  # what was seen in flows, beside one other thing or alone
            others = draw.sample(
                ("darknet", "livenet", "alerts:suricata", "alerts:zeek", "alerts:Zeek 6", ""), 1
            )
            flows = Ground(draw.choice(("check", "check", "check", "finding")), "behaviour", "flows")
            return (flows, *(Ground("finding", "g", field) for field in others))
        kinds = ("finding", "episode", "analyst")
        made = tuple(
            Ground(draw.choice(kinds), f"g{n}", draw.choice(FIELDS if wild else FIELDS[:6]))
            for n in range(draw.randrange(5) if wild else 3)
        )
        if draw.random() < 0.2:  # some of it came through a port that is open to everybody
            share = draw.choice((0.5, 1.0))
            made = tuple(
                replace(one, forgeable=draw.choice(("udp", "udp, tcp"))) if draw.random() < share else one
                for one in made
            )
        return made

    def _scene(self) -> tuple[Held, ...]:
        draw = self._draw
        made = []
        few = draw.random() < 0.5
        for _ in range(draw.randrange(1, 6) if few else draw.randrange(6, 30)):
            action = draw.choice(ACTIONS) if draw.random() < 0.5 else "quarantine"
            intent = self._intent(action, False)
            if action == "allow" and draw.random() < 0.8:
                intent = intent.with_(subject=draw.choice(self._parties.good[:200]))
            intent = intent.with_(created=site.NOW - draw.choice((0, 1, 30, 59, 61, 600, 5000)) * site.SECOND)
            state = draw.choice(STATES) if draw.random() < 0.3 else "verified"
            made.append(Held(intent, state, intent.created, draw.random() < 0.7))
        return tuple(made)
