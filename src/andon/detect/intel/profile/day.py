"""One day's tables into the memory: sessions, behaviours, links, sightings, assets."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Any, Final

import numpy as np
import pyarrow as pa

from andon.detect.intel.profile.items import (
    CONTROLLER,
    FINGERPRINT,
    HOST,
    NAME,
    PORT_SET,
    SEPARATOR,
    STEP,
    TECHNIQUE,
    hashed,
    host_of,
    is_address,
    is_tool,
    item,
    joins,
    parts,
)
from andon.detect.intel.profile.memory import KMV, SAMPLE, Memory
from andon.records import joint

SESSIONS: Final = "intel.session:sessions"
BEHAVIOURS: Final = "intel.session:behaviours"
CONTROLLERS: Final = "intel.session:controllers"
LINKS, MATCHES, DELIVERIES = "darknet.link:links", "darknet.link:matches", "darknet.link:loaders"
SOURCES, PORT_SETS = "darknet.sightings:sources", "darknet.sightings:portsets"
_KINDS: Final = frozenset(
    (
        joint.TOKEN,
        joint.CREDENTIAL,
        joint.URL_BASE,
        joint.URL,
        joint.PAYLOAD,
        joint.EXPLOIT,
        joint.CLUSTER,
        joint.HASSH,
    )
)
_MOST_BEHAVIOURS: Final = 64  # of one session that are paired
_DAILY_MARKS: Final = 200  # fingerprints of one day whose sources are remembered
_DAILY_SETS: Final = 40  # and sets of ports that no link speaks of
_LEAST_SOURCES: Final = 2  # of a set of ports that is remembered by itself
Tables = Mapping[str, pa.Table]


def take(memory: Memory, tables: Tables, day: int, key: int) -> None:
    """Enter a day (number since 1970) into the memory. ``key`` is that of the hashes."""
    _sessions(memory, tables, day, key)
    _links(memory, tables)
    _darknet(memory, tables, day, key)


def _rows(table: pa.Table | None, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
    if table is None or not table.num_rows:
        return []
    return list(zip(*(table[name].to_pylist() for name in columns), strict=True))


def _sessions(memory: Memory, tables: Tables, day: int, key: int) -> None:
    of: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for session, kind, value in _rows(tables.get(BEHAVIOURS), ("session", "kind", "value")):
        if kind in _KINDS and len(of[session]) < 4 * _MOST_BEHAVIOURS:
            of[session].append((kind, value))
    for session, server in _rows(tables.get(CONTROLLERS), ("session", "server")):
        if len(of[session]) < 4 * _MOST_BEHAVIOURS:
            of[session].append((CONTROLLER, server))
    sources: dict[str, set[int]] = defaultdict(set)
    sessions: Counter[str] = Counter()
    loading: dict[str, set[int]] = defaultdict(set)
    about = (
        "session",
        "address",
        "role",
        "family",
        "family_confidence",
        "cves",
        "targets",
        "steps",
        "techniques",
    )
    for session, address, role, name, sure, cves, targets, steps, techniques in _rows(
        tables.get(SESSIONS), about
    ):
        if role in (joint.SURVEY, joint.RELAY):
            continue
        own = str(IPv4Address(address)) if address >= 0 else ""
        loads = role == joint.LOADER
        # A bot that gives its own address carries itself; a loader that does is its own web server.
        found = _items(of.get(session, []), "" if loads else own)
        # How a script is written is no name where the session has a token of its own.
        if name and sure >= 0.5 and not any(one.startswith(joint.TOKEN + SEPARATOR) for one in found):
            found.append(item(NAME, name))
        anchors = [one for one in found if joins(one)]
        if len(cves) == 1 and targets:
            known = memory.targets.setdefault(item(joint.EXPLOIT, cves[0]), [])
            known += [target for target in targets if target not in known][: max(0, 8 - len(known))]
        if anchors:
            found += [item(STEP, step) for step in steps] + [item(TECHNIQUE, one) for one in techniques]
        for one in found:
            held = memory.items.setdefault(one, [0, day, day])
            held[0] += 1
            held[2] = day
        for anchor in anchors:
            for other in found:
                if other != anchor:
                    memory.pairs[anchor, other] = memory.pairs.get((anchor, other), 0) + 1
        tracked = anchors + [one for one in found if one.startswith(joint.EXPLOIT + SEPARATOR)]
        for one in tracked:
            sessions[one] += 1
            if loads:
                loading[one].add(address)
            elif address >= 0:
                sources[one].add(address)
    for one in sorted(sessions):
        _daily(
            memory, one, day, np.array(sorted(sources[one]), np.int64), key, sessions[one], len(loading[one])
        )


def _items(behaviours: list[tuple[str, str]], own: str) -> list[str]:
    """The items of a session; hosts of its URLs, unless a bot carries its own copy."""
    found: dict[str, None] = {}
    for kind, value in sorted(behaviours)[:_MOST_BEHAVIOURS]:
        if kind == joint.URL:
            host = host_of(value)
            if host and host != own:
                found[item(HOST, host)] = None
        else:
            found[item(kind, value)] = None
    return list(found)


def _links(memory: Memory, tables: Tables) -> None:
    columns = ("mark_kind", "mark", "kind", "value", "sources", "networks_24", "decoys", "fdr", "effect", "probability",
               "series")  # fmt: skip
    table = tables.get(LINKS)
    if table is None:
        return
    times = {name: table[name].cast(pa.int64()).to_pylist() for name in ("first", "last", "lag_median")}
    hosts: dict[tuple[str, str], dict[str, Any]] = {}
    for number, row in enumerate(_rows(table, columns)):
        mark_kind, mark, kind, value, sources, networks, decoys, fdr, effect, probability, series = row
        told = {
            "sources": sources, "networks": networks, "decoys": round(decoys, 3), "fdr": round(fdr, 6),
            "effect": round(effect, 3), "probability": round(probability, 6), "series": series,
            **{name: values[number] for name, values in times.items()},
        }  # fmt: skip
        place = (item(mark_kind, mark), item(kind, value))
        memory.links[place] = told
        host = host_of(value) if kind == joint.URL else ""
        if host and is_address(host):
            best = hosts.get((place[0], item(HOST, host)))
            if best is None or (sources, probability) > (best["sources"], best["probability"]):
                hosts[place[0], item(HOST, host)] = told
    memory.links |= hosts
    # Every span's table holds the days before as well, so that its counts are not added up.
    delivered = Counter(_rows(tables.get(DELIVERIES), ("address", "credential")))
    for (address, credential), count in sorted(delivered.items()):
        if address >= 0:
            held = memory.loaders.setdefault(str(IPv4Address(address)), {})
            held[credential] = max(held.get(credential, 0), count)


def _darknet(memory: Memory, tables: Tables, day: int, key: int) -> None:
    table, marked_source, marked_code = tables.get(SOURCES), _NONE, _NONE
    names: list[str] = []
    if table is not None and table.num_rows:
        sources, codes, names = _coded(table, "fingerprint")
        memory.sources += len(np.unique(sources))
        memory.begin = memory.begin or day
        tool = np.array([not name or is_tool(name) for name in names], np.bool_)
        good = ~tool[codes]
        # The fingerprint of a source is the one that most of its packets show.
        order = np.flatnonzero(good)
        order = order[np.lexsort((codes[order], -table["packets"].to_numpy()[order], sources[order]))]
        marked_source, first = np.unique(sources[order], return_index=True)
        marked_code = codes[order][first]
        _groups(memory, FINGERPRINT, sources[good], codes[good], names, set(), 1, day, key)
    table = tables.get(PORT_SETS)
    if table is None or not table.num_rows:
        return
    sources, codes, sets = _coded(table, "ports")
    at = np.minimum(np.searchsorted(marked_source, sources), max(len(marked_source) - 1, 0))
    known = marked_source[at] == sources if len(marked_source) else np.zeros(len(sources), np.bool_)
    mark = np.where(known, marked_code[at] if len(marked_code) else 0, -1)
    pair, count = np.unique((mark + 1) * len(sets) + codes, return_counts=True)
    for number, size in zip(pair.tolist(), count.tolist(), strict=True):
        name = names[number // len(sets) - 1] if number >= len(sets) else ""
        held = memory.sets.setdefault(name, {})
        ports = sets[number % len(sets)]
        held[ports] = held.get(ports, 0) + size
        for port in ports.split(","):
            memory.ports[port] = memory.ports.get(port, 0) + size
    # Sets that a link speaks of first, then those with most sources.
    wanted = {parts(mark)[1] for mark, _ in memory.links if mark.startswith(PORT_SET + SEPARATOR)}
    _groups(memory, PORT_SET, sources, codes, sets, wanted, _LEAST_SOURCES, day, key)


_NONE: Final = np.zeros(0, np.int64)


def _coded(table: pa.Table, column: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """(addresses, codes, texts) of a table's rows."""
    coded = table[column].combine_chunks().dictionary_encode()
    return (
        table["src"].to_numpy().astype(np.int64),
        coded.indices.to_numpy(zero_copy_only=False).astype(np.int64),
        coded.dictionary.to_pylist(),
    )


def _groups(
    memory: Memory, kind: str, sources: np.ndarray, codes: np.ndarray, names: list[str], wanted: set[str], least: int,
    day: int, key: int,
) -> None:  # fmt: skip
    """The sources of each mark on this day."""
    pairs = np.unique(codes << 32 | sources)
    group, begin, size = np.unique(pairs >> 32, return_index=True, return_counts=True)
    ordered = sorted(
        (names[code] not in wanted, -count, names[code], start, count)
        for code, start, count in zip(group.tolist(), begin.tolist(), size.tolist(), strict=True)
        if count >= least or names[code] in wanted
    )
    most = len(wanted) + (_DAILY_SETS if kind == PORT_SET else _DAILY_MARKS)
    for _, _, name, start, count in ordered[:most]:
        _daily(memory, item(kind, name), day, pairs[start : start + count] & 0xFFFFFFFF, key, count, 0)


def _daily(
    memory: Memory, one: str, day: int, addresses: np.ndarray, key: int, sessions: int, loaders: int
) -> None:
    """Sources of an item on a day, and the sample of those it ever had."""
    hashes = np.unique(hashed(addresses, key)).tolist()
    memory.days[one, day] = [len(addresses), hashes[:KMV], sessions, loaders]
    held = memory.stays.setdefault(one, {})
    for value in hashes[:SAMPLE]:
        if value in held:
            held[value][1] = day
        else:
            held[value] = [day, day]
    if len(held) > SAMPLE:
        memory.stays[one] = {value: held[value] for value in sorted(held)[:SAMPLE]}
