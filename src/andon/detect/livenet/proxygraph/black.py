"""Contacts to black destinations: which entries of the lists are doubted, which terminals touch black without being
infected, and what proves infection.

**Doubted entries.** Lists hold CDNs and shared hosts by mistake. An entry is doubted if a large share of all terminals
goes there and they have no more other black contacts than the rest; or if many terminals fetched it, nearly all of
them once, which is what an image in an e-mail or on a popular page looks like. A doubted entry proves nothing; it is
judged like a gray destination, with the list as evidence for it.

**Clean terminals.** Vulnerability scanners, mail gateways and analysts touch many black destinations of many families,
once or twice a day each; an infected terminal knows a few, of a family or two. Terminals in any of the operator's lists
are clean too.

**Proof.** ``any``: any contact to a black destination, the plain rule. ``default``: two independent ones (of different
registered domain, server and list family) or one by a fresh entry. A contact that the proxy refused counts: the
terminal asked for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Final

import numpy as np

from andon.detect.livenet.proxygraph.columns import SEPARATOR
from andon.detect.livenet.proxygraph.memory import BLACK, Memory
from andon.records.contract import Site

ANY, DEFAULT = "any", "default"
PLAIN, FRESH, INDEPENDENT = (
    "a contact to black",
    "a contact by a fresh entry",
    "two independent contacts to black",
)
CROWDED, FETCHED = "crowded", "fetched"
_CROWD: Final = 0.05  # share of the terminals that makes an entry doubtful
_CROWD_LEAST: Final = 10
_FETCHED_LEAST: Final = 15
_FETCHED_ONCE: Final = 0.9
_AGAIN: Final = 3600  # s between first and last contact of a terminal that comes back
_BREADTH: Final = 10  # registered domains
_FAMILIES: Final = 5
_TIMES: Final = 2.0  # contacts with each on a day, in the median
_SHARE: Final = 0.2
_PAIRS: Final = 64  # black destinations of one terminal that are compared with one another


@dataclass(frozen=True)
class Black:
    """``edges``: numbers of the edges to black destinations, by terminal. By destination: ``doubted`` "" or why. By
    terminal: ``clean`` why, ``certain``, ``proof`` why, ``contacts`` (black destinations that are not doubted)."""

    edges: np.ndarray
    doubted: dict[int, str]
    clean: dict[int, str]
    certain: np.ndarray
    proof: dict[int, str]
    contacts: np.ndarray


def families(lists: str) -> frozenset[str]:
    """Lists and families of a destination's entries, as far as a family is said.

    >>> sorted(families("maltrail/emotet since 2025-01-02: domain x.example" + SEPARATOR + "own: host x.example"))
    ['maltrail/emotet']
    """
    heads = (text.split(": ")[0].split(" since ")[0].strip() for text in lists.split(SEPARATOR) if text)
    return frozenset(head for head in heads if "/" in head)


def look(memory: Memory, site: Site, proof: str) -> Black:
    edges = memory.edges
    of_black = np.flatnonzero(memory.destinations["colour"][edges.destination] == BLACK)
    of_black = of_black[np.argsort(edges.terminal[of_black], kind="stable")]
    clean = _listed(memory, site) | _behave(memory, of_black)
    counted = of_black[~np.isin(edges.terminal[of_black], list(clean))]
    doubted = _doubted(memory, counted)
    trusted = counted[~np.isin(edges.destination[counted], list(doubted))]
    contacts = np.bincount(edges.terminal[trusted], minlength=len(memory.terminals))
    proven = (
        dict.fromkeys(np.flatnonzero(contacts > 0).tolist(), PLAIN)
        if proof == ANY
        else _proven(memory, trusted)
    )
    certain = np.zeros(len(contacts), np.bool_)
    certain[list(proven)] = True
    return Black(of_black, doubted, clean, certain, proven, contacts)


def _listed(memory: Memory, site: Site) -> dict[int, str]:
    """Terminals that stand in a list of the operator's, by address."""
    networks = []
    for name in sorted(site.lists):
        for text in site.lists[name]["cidr"].to_pylist():
            try:
                networks.append((ip_network(str(text).strip(), strict=False), name))
            except ValueError:
                continue
    if not networks:
        return {}
    exact = {str(net.network_address): name for net, name in networks if net.num_addresses == 1}
    wide = [(net, name) for net, name in networks if net.num_addresses > 1]
    found = {}
    names, addresses = (memory.terminals.texts[column].to_pylist() for column in ("name", "addresses"))
    for number, (name, held) in enumerate(zip(names, addresses, strict=True)):
        for text in {name, *held.split(SEPARATOR)}:
            try:
                address = ip_address(text)
            except ValueError:
                continue
            why = exact.get(str(address)) or next((of for net, of in wide if address in net), None)
            if why:
                found[number] = f"in the list {why}"
    return found


def _behave(memory: Memory, of_black: np.ndarray) -> dict[int, str]:
    edges, places = memory.edges, memory.destinations
    who = edges.terminal[of_black]
    people = len(memory.terminals)
    domain = places["group"][edges.destination[of_black]]
    _, domain_number = np.unique(domain, return_inverse=True)
    pairs = np.unique(who.astype(np.int64) << 32 | domain_number)
    breadth = np.bincount(pairs >> 32, minlength=people)
    degree = np.bincount(edges.terminal, minlength=people)
    named = (memory.terminals["users"] > 0).mean() > 0.5 if people else False
    found = {}
    lists = places.texts["lists"]
    for u in np.flatnonzero(breadth >= _BREADTH).tolist():
        mine = of_black[np.searchsorted(who, u) : np.searchsorted(who, u, "right")]
        days = (edges["last"][mine] - edges["first"][mine]) // 86_400 + 1
        times = float(np.median(edges["count"][mine] / days))
        if times > _TIMES:
            continue
        kinds = set().union(*(families(lists[int(d)].as_py()) for d in edges.destination[mine[:1000]]))
        no_user = named and memory.terminals["users"][u] == 0
        share = len(mine) / max(int(degree[u]), 1)
        # An infected terminal meets one family or two. Lists without families leave breadth: more has to be odd then.
        if len(kinds) >= _FAMILIES or (
            not kinds and breadth[u] >= 2 * _BREADTH and (no_user or share >= _SHARE)
        ):
            found[u] = (
                f"touched {len(mine):,} black destinations of {breadth[u]:,} domains and {len(kinds):,} families, "
                f"{times:.3g} times a day in the median" + (", without a user" if no_user else "")
            )
    return found


def _doubted(memory: Memory, counted: np.ndarray) -> dict[int, str]:
    edges = memory.edges
    people = len(memory.terminals)
    destination, who = edges.destination[counted], edges.terminal[counted]
    others = np.bincount(who, minlength=people)  # black contacts of each terminal
    visitors = np.bincount(destination, minlength=len(memory.destinations))
    found: dict[int, str] = {}
    crowd = max(_CROWD_LEAST, _CROWD * people)
    for d in np.flatnonzero(visitors >= min(crowd, _FETCHED_LEAST)).tolist():
        mine = counted[destination == d]
        of = edges.terminal[mine]
        with_more = float((others[of] > 1).mean())
        elsewhere = (others > 0).sum() - (others[of] == 1).sum()
        usual = max(elsewhere / max(people, 1), 0.02)
        once = float(((edges["last"][mine] - edges["first"][mine]) <= _AGAIN).mean())
        if with_more >= 3 * usual:
            continue
        if visitors[d] >= _FETCHED_LEAST and once >= _FETCHED_ONCE:
            found[d] = FETCHED
        elif visitors[d] >= crowd:
            found[d] = CROWDED
    return found


def _proven(memory: Memory, trusted: np.ndarray) -> dict[int, str]:
    edges, places = memory.edges, memory.destinations
    fresh = np.unique(edges.terminal[trusted[places["fresh"][edges.destination[trusted]]]])
    proven = dict.fromkeys(fresh.tolist(), FRESH)
    who = edges.terminal[trusted]
    counts = np.bincount(who, minlength=len(memory.terminals))
    counts[fresh] = 0
    said: dict[int, tuple[int, frozenset[str], frozenset[str]]] = {}

    def about(d: int) -> tuple[int, frozenset[str], frozenset[str]]:
        if d not in said:
            servers = frozenset(filter(None, places.texts["servers"][d].as_py().split(SEPARATOR)))
            said[d] = int(places["group"][d]), servers, families(places.texts["lists"][d].as_py())
        return said[d]

    for u in np.flatnonzero(counts > 1).tolist():
        begin, end = np.searchsorted(who, u), np.searchsorted(who, u, "right")
        mine = [about(int(d)) for d in edges.destination[trusted[begin : min(end, begin + _PAIRS)]]]
        if any(
            a[0] != b[0] and not a[1] & b[1] and not a[2] & b[2] for i, a in enumerate(mine) for b in mine[:i]
        ):
            proven[u] = INDEPENDENT
    return proven
