"""Real captures, alone and spliced into simulated noise with their sources re-addressed.

A capture is spliced twice: *spliced* gives every real source one new address; *dealt* (scans by one host only) deals
the packets of the host to 40 addresses, so that the tool it ran is a family. Destinations stay: relations on them are
what is looked for. Two relations count as equal when they agree on the capture's own destinations.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import numpy as np
from searches import NAMES, Answer, Columns, Search, joined, run_search, simulated, syn_packets

from andon.observe import read
from andon.records.expression import ExpressionError, parse
from andon.simulate.fingerprints import same
from andon.simulate.internet import InternetConfig

HOSTS = 40  # addresses that a dealt scan comes from
FLOOD = ("tcp.seq & 0xffff == 0", "tcp.seq & 0xffff == 0 and tcp.window == 0")
MASSCAN = ("ip.id == lo16(ip.dst ^ tcp.dstport ^ tcp.seq)",)
ZMAP = ("ip.id == 54321", "ip.id == 54321 and tcp.window == 65535")
# (capture, how it is used) -> what must be found, in one of these ways; nothing where it is not listed.
EXPECTED = {
    ("synflood_spoofed.pcap", "alone"): FLOOD,
    ("synflood_spoofed.pcap", "spliced"): FLOOD,
    ("masscan_tcp_0_1000_vlan.pcap", "dealt"): MASSCAN,
    ("zmap_syn80_10k.pcap", "dealt"): ZMAP,
}
DEALT = tuple(name for name, use in EXPECTED if use == "dealt")


def uses(folder: Path) -> list[tuple[str, str]]:
    """(capture, use) pairs of all captures in a folder."""
    names = sorted(path.name for path in folder.iterdir() if path.suffix in (".pcap", ".pcapng"))
    return [(n, u) for n in names for u in ("alone", "spliced", "dealt") if u != "dealt" or n in DEALT]


def real(method: Search, path: Path, use: str, seed: int, packets: int) -> dict[str, Any]:
    """Search one capture and judge: ``missing`` if an expected relation is not there, ``false`` what should not be.

    What a dealt host's own constants give (its window, its port) is listed as ``of_the_host``: forty addresses do share
    them here, by construction.
    """
    columns = syn_packets([*read(path, NAMES)])
    prefixes = destinations(columns)
    if use != "alone":
        config = InternetConfig(seed=20_000 + seed, packets=packets, noise=1.0, families=())
        world = simulated(config)
        columns = readdressed(columns, world, config, HOSTS if use == "dealt" else 0)
        mine = np.unique(columns["src"])
        columns = joined([world, columns])
    else:
        mine = np.unique(columns["src"])
    answer = run_search(method, columns, seed) if len(columns["src"]) else Answer([], 0.0, 0, {})
    expected = EXPECTED.get((path.name, use), ())
    verdicts = [(text, members, named(text, expected, prefixes)) for text, members in answer.found]
    others = [(text, members) for text, members, right in verdicts if not right]
    of_host = [(t, m) for t, m in others if use == "dealt" and np.isin(m, mine).mean() > 0.9]
    return {
        **answer.costs(),
        "syn": len(columns["src"]),
        "expected": expected[0] if expected else "",
        "found": [text for text, _, right in verdicts if right],
        "missing": bool(expected) and not any(right for _, _, right in verdicts),
        "of_the_host": [text for text, _ in of_host],
        "false": [
            {
                "relation": text,
                "sources": len(members),
                "of_the_capture": float(np.isin(members, mine).mean()),
            }
            for text, members in others
            if (text, members) not in of_host
        ],
    }


def named(text: str, expected: tuple[str, ...], prefixes: list[str]) -> bool:
    try:
        return any(same(parse(text), parse(one), prefixes) for one in expected)
    except ExpressionError:
        return False


def destinations(columns: Columns) -> list[str]:
    """Up to 64 of the addresses that the capture's packets went to, as prefixes."""
    found = np.unique(columns["dst"])
    step = max(1, len(found) // 64)
    return [f"{IPv4Address(int(address))}/32" for address in found[::step][:64]]


def readdressed(columns: Columns, world: Columns, config: InternetConfig, hosts: int) -> Columns:
    """The packets with new source addresses that the world does not use, spread over its hour."""
    rng = np.random.default_rng([config.seed, 5])
    real_sources, place = np.unique(columns["src"], return_inverse=True)
    wanted = hosts or len(real_sources)
    fresh = np.setdiff1d(rng.integers(0x0B000000, 0xDF000000, 2 * wanted + 64, np.uint32), world["src"])
    fresh = rng.permutation(fresh)[:wanted]
    new = fresh[rng.integers(0, hosts, len(place)) if hosts else place]
    made = {**columns, "src": new}
    if len(new):
        first, last = int(columns["ts"].min()), int(columns["ts"].max())
        share = (columns["ts"] - first) / max(last - first, 1)
        made["ts"] = config.start_ns + (share * (config.end_ns - config.start_ns - 1)).astype(np.int64)
    return made
