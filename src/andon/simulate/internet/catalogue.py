"""The default families: what a telescope of five /18 hears in an hour, as rows to be changed at will.

Port sets of bots are public (Mirai's scanner.c; reports on its variants, on Hajime and on Mozi). Numbers of
sources, weights and times are chosen so that every kind of behaviour is there; they are not measurements.
Sources scale with the number of packets, so that packets per source stay what they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from .family import Always, Bursts, Change, Churn, Family, Growth, InStep, Ports, Repeat

if TYPE_CHECKING:
    from .config import InternetConfig

REFERENCE_PACKETS: Final = 10_800_000
DAY: Final = 86400.0

TELNET: Final[Ports] = ((23, 9), (2323, 1))
IOT: Final[Ports] = ((23, 4), (2323, 2), (5555, 1), (7547, 1), (37215, 1), (52869, 1))
HAJIME: Final[Ports] = ((23, 5), (5358, 3), (7547, 1), (5555, 1), (81, 1))
MOZI: Final[Ports] = tuple(
    (p, 1) for p in (23, 2323, 80, 81, 8080, 8443, 5555, 7574, 37215, 49152, 52869, 60001)
)
SCANNED: Final[Ports] = tuple(
    (p, 40 // (i + 1) + 1)
    for i, p in enumerate(
        (
            22,
            443,
            80,
            3389,
            8080,
            6379,
            445,
            21,
            5900,
            3306,
            8443,
            1433,
            9200,
            27017,
            2375,
            5432,
            25,
            8888,
            11211,
            502,
        )
    )
)
SERVICES: Final[Ports] = ((80, 5), (443, 5), (22, 1), (53, 1), (25565, 2), (3074, 1))


def _many(count: int, seed: int) -> Ports:
    """A survey's list of ports: the well-known ones first, then others."""
    rest = np.random.default_rng(seed).choice(np.arange(1, 65536), count, replace=False)
    return tuple((p, 1) for p in dict.fromkeys([*(p for p, _ in SCANNED), *rest.tolist()]))[:count]


def _daily(duration: float, share: float, lasts: float) -> Repeat:
    """Once a day where the capture has days; else three times, so that a short capture shows a schedule."""
    every = DAY if duration >= 2 * DAY else duration / 3
    return Repeat(every, every * lasts, every * share)


def default_families(config: InternetConfig) -> tuple[Family, ...]:
    """The table for a configuration: times follow its duration, sources its number of packets."""
    t = config.duration
    factor = min(config.packets / REFERENCE_PACKETS, 10.0)
    rows = (*_bots(t), *_tools(t), *_surveys(t), *_datagrams(), *_victims(t))
    return tuple(
        f
        if f.one_block or f.kind == "flood"
        else f.with_sources(max(round(f.sources * factor), min(f.sources, 4)))
        for f in rows
    )


def _bots(t: float) -> tuple[Family, ...]:
    attack = "attack"
    return (
        Family("mirai", "mirai", "botnet", attack, 2400, 10.0, TELNET, nat=0.06),
        Family("mirai-iot", "mirai", "botnet", attack, 1200, 5.0, IOT, Churn(t / 2), shares_hosts_with=("mirai", 0.1)),
        Family(
            "mirai-evolving", "mirai", "botnet", attack, 600, 3.0, ((23, 1),),
            changes=(Change(t / 3, TELNET), Change(2 * t / 3, ((23, 6), (2323, 2), (5555, 2)))),
        ),
        Family(
            "mirai-turned", "mirai", "botnet", attack, 300, 1.5, ((80, 1), (8080, 1), (37215, 2)),
            changes=(Change(t / 2, tool="mirai-random-seq"),),
        ),
        Family("hajime-like", "hajime", "botnet", attack, 900, 3.0, HAJIME, nat=0.04),
        Family("mozi-like", "mozi", "botnet", attack, 1500, 3.0, MOZI, shares_hosts_with=("mirai", 0.08), nat=0.04),
        Family(
            "in-step-router", "mirai-random-seq", "botnet", attack, 500, 3.0, ((8291, 1), (8728, 1)),
            InStep(0.4 * t, 0.6 * t), spread=0.2,
        ),
        Family(
            "in-step-database", "connect", "botnet", attack, 240, 1.0, ((6379, 3), (1433, 1)),
            InStep(0.72 * t, 0.8 * t), spread=0.3,
        ),
        Family(
            "worm-smb", "windows-7", "worm", attack, 2500, 3.0, ((445, 1),), Growth(0.55 * t, 0.07 * t), spread=0.5
        ),
    )  # fmt: skip


def _tools(t: float) -> tuple[Family, ...]:
    attack = "attack"
    return (
        Family("masscan", "masscan", "tool", attack, 120, 7.0, SCANNED, Churn(t / 2), ports_each=3),
        Family("masscan-old", "masscan-old", "tool", attack, 60, 3.0, SCANNED, Churn(t), ports_each=2),
        Family("zmap-old", "zmap-old", "tool", attack, 40, 4.0, SCANNED, Churn(t), ports_each=1),
        Family("zmap", "zmap", "tool", attack, 60, 5.0, SCANNED, Churn(t), ports_each=1),
        Family(
            "zmap-blocklist", "zmap", "tool", attack, 30, 2.0, SCANNED, Churn(t), ports_each=1, blocklist=True
        ),
        Family("unicornscan", "unicornscan", "tool", attack, 12, 0.5, SCANNED),
        Family("nmap", "nmap", "tool", attack, 80, 0.8, _many(1000, 1), Churn(t / 3), ports_each=100),
        Family("nmap-old", "nmap-old", "tool", attack, 30, 0.3, _many(1000, 2), Churn(t / 3), ports_each=50),
    )


def _surveys(t: float) -> tuple[Family, ...]:
    survey = "survey"
    return (
        Family(
            "survey-daily", "zmap", survey, survey, 16, 5.0, SCANNED, _daily(t, 0.1, 0.4), spread=0.05,
            one_block=True, organisation="Daily Census Project", ports_each=1, sharded=True,
        ),
        Family(
            "survey-all-ports", "masscan", survey, survey, 32, 7.0, _many(2000, 3), spread=0.1, one_block=True,
            organisation="All Ports Observatory",
        ),
        Family(
            "survey-steady", "connect", survey, survey, 64, 4.0, _many(400, 4), Always(), spread=0.1, one_block=True,
            organisation="Steady Search Engine",
        ),
        Family(
            "survey-slow", "linux-5", survey, survey, 40, 0.4, _many(120, 5), Always(), spread=0.2, one_block=True,
            organisation="Slow University Study",
        ),
        Family(
            "survey-udp", "udp", survey, survey, 24, 1.0, tuple((p, 1) for p in (53, 123, 161, 389, 1900, 5353, 11211)),
            _daily(t, 0.3, 0.3), spread=0.1, one_block=True, organisation="Open Resolver Watch",
        ),
    )  # fmt: skip


def _datagrams() -> tuple[Family, ...]:
    attack = "attack"
    reflectors = {
        "dns": 53,
        "ntp": 123,
        "ssdp": 1900,
        "sip": 5060,
        "memcached": 11211,
        "snmp": 161,
        "ldap": 389,
    }
    scans = tuple(
        Family(f"udp-{name}", "udp", "tool", attack, 30, 0.5, ((p, 1),)) for name, p in reflectors.items()
    )
    return (*scans, Family("echo-sweep", "echo", "tool", attack, 60, 1.0))


def _victims(t: float) -> tuple[Family, ...]:
    kind, on_off = "backscatter", Bursts(max(t / 12, 90), t / 4)
    return (
        Family("backscatter-synack", "synack", kind, kind, 60, 3.0, SERVICES, on_off, ports_each=1),
        Family("backscatter-rst", "rst", kind, kind, 30, 1.5, SERVICES, on_off, ports_each=1),
        Family("backscatter-icmp", "unreachable", kind, kind, 25, 0.7, SERVICES, on_off, ports_each=1),
        Family("flood-on-one", "flood", "flood", "attack", 1, 1.5, ((80, 1),), InStep(0.3 * t, 0.36 * t)),
    )
