"""When answers from one address are an attack on it: the published rule, scaled to the telescope, with floors.

The rule is that of Moore et al. (USENIX Security 2001) with the values of CAIDA's corsaro ``dos`` plugin, set for a
/8: at least 25 packets, 60 s, and 30 packets in some 60-second window that slides by 10 s; an attack ends with 300 s
of silence. A telescope of N addresses sees N/2^24 of that, so packets and rate scale with N.

For any telescope smaller than about a /10 the scaled values fall below what stray answers do by themselves, so
floors take over: 10 packets, and 5 *distinct dark addresses* in one minute. Addresses, not packets: a victim repeats
an unanswered SYN-ACK up to five times within 31 s, so that one stray answer can look like six packets.

False-alarm reasoning for the floors. Let a source send m stray answers a day, at random times to random addresses
(answers to mistyped or decoy packets). An episode of 10 packets needs nine gaps of at most 300 s in a row:
about m (1 - exp(-m/288))^9 a day, and one minute of it must hold 5 addresses: 8,640 windows a day with Poisson mean
m/1440. For m = 24 these are 3e-9 and 9e-8: with 100,000 such sources, 2.4 million stray answers a day, fewer than
0.01 windows and a millionth of an episode are expected.

On a small telescope a long attack may never show five addresses in one minute. 25 packets of one episode, four in
five of them to distinct addresses, are then enough at any rate: m (1 - exp(-m/288))^24 a day by chance, which is 1e-25
for m = 24 and 1e-11 for m = 100. ``benchmarks/backscatter/run.py`` measures it.
"""

from __future__ import annotations

from dataclasses import dataclass

from andon.records.contract import SECOND, Site

ENGINE = "darknet.backscatter"
SLASH_8 = 1 << 24

# name -> (default, meaning); all are settings "darknet.backscatter.NAME"
SETTINGS: dict[str, tuple[float, str]] = {
    "packets": (25, "packets of an attack as a /8 sees it"),
    "rate": (30, "most packets in 60 s as a /8 sees it"),
    "seconds": (60, "shortest attack"),
    "silence": (300, "seconds of silence that end an attack"),
    "floor_packets": (10, "fewest packets, however small the telescope"),
    "floor_addresses": (5, "fewest distinct dark addresses in the busiest minute"),
    "floor_slow": (25, "packets that need no rate, if four in five go to distinct dark addresses"),
    "reflectors": (50, "fewest senders of answers to one address within 60 s"),
    "flood_sources": (300, "fewest new sources to one address within 60 s"),
    "times_others": (20, "how far one address must stand above the other dark addresses"),
    "most_findings": (50, "victims that get a finding of their own"),
}


@dataclass(frozen=True)
class Thresholds:
    """What one telescope asks for. Times in ns."""

    packets: int
    rate: int  # packets in the busiest 60 s
    addresses: int  # distinct dark addresses in the busiest 60 s
    slow: int  # packets of one episode that are enough at any rate; 0: a /8 sees enough to ask for the rate
    seconds: int
    silence: int
    reflectors: int
    flood_sources: int
    times_others: float
    most_findings: int
    scaled_packets: float  # before the floors, for the reader
    scaled_rate: float


def thresholds(site: Site, dark: int) -> Thresholds:
    """Thresholds for a telescope of ``dark`` addresses (0: unknown).

    >>> t = thresholds(Site(), 5 << 14)
    >>> t.packets, t.rate, t.addresses
    (10, 5, 5)
    >>> thresholds(Site(), 1 << 24).packets
    25
    """
    value = {name: float(site.setting(ENGINE, name, default)) for name, (default, _) in SETTINGS.items()}
    share = dark / SLASH_8
    # With fewer than ten dark addresses five of them in a minute are too many to ask for.
    addresses = max(2, min(int(value["floor_addresses"]), (dark + 1) // 2 if dark else 1 << 32))
    floored = value["rate"] * share < addresses
    return Thresholds(
        packets=max(int(value["floor_packets"]), round(value["packets"] * share)),
        rate=max(addresses, round(value["rate"] * share)),
        addresses=addresses,
        slow=int(value["floor_slow"]) if floored else 0,
        seconds=int(value["seconds"] * SECOND),
        silence=int(value["silence"] * SECOND),
        reflectors=int(value["reflectors"]),
        flood_sources=int(value["flood_sources"]),
        times_others=value["times_others"],
        most_findings=int(value["most_findings"]),
        scaled_packets=value["packets"] * share,
        scaled_rate=value["rate"] * share,
    )
