"""One day as rows of the history: tables of the other engines in, rows and texts out, what is set aside counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, ip_network
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.detect.darknet.link.history import Darknet, History, Sessions
from andon.records import joint
from andon.records.contract import Site
from andon.sketch.surveys import surveys

ROLES: Final = (joint.BOT, joint.LOADER, joint.SURVEY, joint.RELAY, joint.PERSON, joint.UNKNOWN)
LOADER: Final = ROLES.index(joint.LOADER)
SEPARATOR: Final = "\x1f"  # between kind and value of a behaviour
# A port says nothing that the set of ports does not; tactics are shared by half the world.
LINKED: Final = frozenset(joint.BEHAVIOUR_KINDS) - {joint.PORT, joint.TACTICS}
MOST_OF_A_KIND = 64  # behaviours of one kind in one session
MOST_A_DAY = 100  # sessions of one address
_LONGEST = 512  # characters of a value
_NOT_MATCHED = (joint.SURVEY, joint.RELAY)
_NANO = 1_000_000_000
LISTED, FORGED = 1, 2
# Addresses that nobody on the Internet has; 100.64.0.0/10 and 198.18.0.0/15 are left in, as laboratories use them.
_NOBODY = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "224.0.0.0/3",
)


class Aside:
    """Addresses that are set aside: of nobody and of the telescope itself (dropped), and of the operator's lists
    (survey organisations, Tor exits), which only help to set the clock. ``unreadable`` entries are no prefixes."""

    def __init__(self, site: Site) -> None:
        self.unreadable = 0
        networks: dict[str, list[IPv4Network]] = {
            "nobody": [IPv4Network(text) for text in _NOBODY],
            "telescope": self._read(list(site.telescope)),
        }
        for name in sorted(site.lists):
            networks[f"list {name}"] = self._read(site.lists[name]["cidr"].to_pylist())
        self._ranges = {
            why: np.array(
                [(int(n.network_address), int(n.broadcast_address)) for n in found], np.int64
            ).reshape(-1, 2)
            for why, found in networks.items()
        }

    def _read(self, texts: list[Any]) -> list[IPv4Network]:
        found = []
        for text in texts:
            try:
                network = ip_network(str(text).strip(), strict=False)
            except ValueError:
                self.unreadable += 1
                continue
            if isinstance(network, IPv4Network):
                found.append(network)
        return found

    def find(self, addresses: np.ndarray, counted: Counter[str]) -> np.ndarray:
        """For each address (uint32) 0, LISTED or FORGED; how many distinct ones for each reason goes into
        ``counted``."""
        out = np.zeros(len(addresses), np.uint8)
        wide = addresses.astype(np.int64)
        for why, ranges in self._ranges.items():
            if not len(ranges):
                continue
            order = np.argsort(ranges[:, 0], kind="stable")
            low, high = ranges[order, 0], np.maximum.accumulate(ranges[order, 1])
            at = np.searchsorted(low, wide, "right") - 1
            inside = (at >= 0) & (wide <= high[np.maximum(at, 0)])
            inside &= out == 0
            if inside.any():
                counted[why] += len(np.unique(addresses[inside]))
            out[inside] = LISTED if why.startswith("list ") else FORGED
        return out


@dataclass(frozen=True)
class Day:
    """Rows of a day in the numbers of ``history``, which has their texts; ``left_out`` says how many and why."""

    history: History
    darknet: Darknet
    sessions: Sessions
    left_out: Counter[str]


def read_day(history: History, tables: dict[str, pa.Table | None], aside: Aside) -> Day:
    """``tables``: "sources", "portsets", "behaviours", "sessions", "purposes"; each may be None."""
    left_out: Counter[str] = Counter()
    surveying = surveys(tables.get("purposes"))
    history, dark = _darknet(
        history, tables.get("sources"), tables.get("portsets"), aside, surveying, left_out
    )
    history, sessions = _sessions(
        history, tables.get("sessions"), tables.get("behaviours"), aside, surveying, left_out
    )
    return Day(history, dark, sessions, left_out)


def _seconds(column: pa.ChunkedArray) -> np.ndarray:
    ns = column.cast(pa.int64()).to_numpy()
    return np.asarray(np.clip(ns // _NANO, 0, 0xFFFFFFFF), np.uint32)


def _numbers(column: pa.ChunkedArray, texts: list[str]) -> tuple[np.ndarray, list[str]]:
    """Numbers of a column of texts, "" is -1; and the texts, new ones added."""
    encoded = pc.dictionary_encode(column.combine_chunks())
    known = {text: number for number, text in enumerate(texts)}
    grown = list(texts)
    number = []
    for text in encoded.dictionary.to_pylist():
        if text and text not in known:
            known[text] = len(grown)
            grown.append(text)
        number.append(known[text] if text else -1)
    indices = encoded.indices.to_numpy(zero_copy_only=False)
    return np.array(number or [0], np.int32)[indices], grown


def _darknet(
    history: History,
    sources: pa.Table | None,
    portsets: pa.Table | None,
    aside: Aside,
    surveying: np.ndarray,
    left_out: Counter[str],
) -> tuple[History, Darknet]:
    empty = History.empty().darknet
    if sources is None or not sources.num_rows:
        return history, empty
    src = sources["src"].to_numpy().astype(np.uint32)
    prints, texts = _numbers(sources["fingerprint"], history.fingerprints)
    out = aside.find(src, left_out)
    survey = np.isin(src, surveying) & (out == 0)
    left_out["survey in the darknet"] += len(np.unique(src[survey]))
    keep = np.flatnonzero(out != FORGED)
    src, prints, out = src[keep], prints[keep], ((out == LISTED) | survey)[keep]
    first, last = (_seconds(sources[name])[keep] for name in ("first", "last"))
    # A source that shows a fingerprint on one port and none on another is one with the fingerprint.
    marked = np.unique(src[prints >= 0])
    keep = np.flatnonzero((prints >= 0) | ~np.isin(src, marked))
    order = keep[np.lexsort((prints[keep], src[keep]))]
    src, prints, first, last, out = src[order], prints[order], first[order], last[order], out[order]
    new = (
        np.flatnonzero(np.r_[True, (src[1:] != src[:-1]) | (prints[1:] != prints[:-1])])
        if len(src)
        else order
    )
    sets, set_texts = np.full(len(new), -1, np.int32), history.port_sets
    if portsets is not None and portsets.num_rows and len(new):
        number, set_texts = _numbers(portsets["ports"], history.port_sets)
        owner = portsets["src"].to_numpy().astype(np.uint32)
        by = np.argsort(owner, kind="stable")
        at = np.minimum(np.searchsorted(owner[by], src[new]), len(by) - 1)
        sets = np.where(owner[by][at] == src[new], number[by][at], -1).astype(np.int32)
    dark = Darknet(
        src[new],
        np.minimum.reduceat(first, new) if len(new) else first,
        np.maximum.reduceat(last, new) if len(new) else last,
        prints[new],
        sets,
        out[new].astype(np.uint8),
    )
    return replace(history, fingerprints=texts, port_sets=set_texts), dark


def _sessions(
    history: History,
    sessions: pa.Table | None,
    behaviours: pa.Table | None,
    aside: Aside,
    surveying: np.ndarray,
    left_out: Counter[str],
) -> tuple[History, Sessions]:
    empty = History.empty().sessions
    if sessions is None or not sessions.num_rows:
        return history, empty
    address = sessions["address"].to_numpy()
    role = np.array([ROLES.index(r) if r in ROLES else len(ROLES) - 1 for r in sessions["role"].to_pylist()])
    numbered = address >= 0
    left_out["sessions from IPv6"] += int((~numbered).sum())
    source = np.where(numbered, address, 0).astype(np.uint32)
    out = aside.find(source, Counter())
    aside.find(np.unique(source[numbered]), left_out)
    not_matched = np.isin(role, [ROLES.index(name) for name in _NOT_MATCHED]) | np.isin(source, surveying)
    left_out["survey and relay sessions"] += int((not_matched & numbered & (out == 0)).sum())
    keep = np.flatnonzero(numbered & (out != FORGED))
    at = _seconds(sessions["start"])
    order = keep[np.lexsort((at[keep], source[keep]))]
    rank = np.arange(len(order)) - np.searchsorted(source[order], source[order])
    left_out["sessions of an address beyond a hundred a day"] += int((rank >= MOST_A_DAY).sum())
    keep = np.sort(order[rank < MOST_A_DAY])
    names = sessions["session"].to_pylist()
    # One session may be told twice: Heralding writes it as CSV and as JSON, and both may be given.
    first_of: dict[str, int] = {}
    for row in keep.tolist():
        first_of.setdefault(names[row], row)
    left_out["sessions told twice"] += len(keep) - len(first_of)
    keep = np.array(list(first_of.values()), np.int64)
    position = {name: n for n, name in enumerate(first_of)}
    made, behaviour_texts, sensors, sensor = _behaviours(history, behaviours, position, left_out)
    at_session, code = made
    count = np.bincount(at_session, minlength=len(keep)).astype(np.int32)
    return replace(history, behaviours=behaviour_texts, sensors=sensors), Sessions(
        address=source[keep],
        at=at[keep],
        port=sessions["dst_port"].to_numpy()[keep].astype(np.int32),
        sensor=sensor,
        role=role[keep].astype(np.uint8),
        aside=((out == LISTED) | not_matched)[keep].astype(np.uint8),
        count=count,
        behaviour=code.astype(np.int32),
        name=[names[n] for n in keep.tolist()],
    )


def _behaviours(
    history: History, behaviours: pa.Table | None, position: dict[str, int], left_out: Counter[str]
) -> tuple[tuple[np.ndarray, np.ndarray], list[str], list[str], np.ndarray]:
    """((row of the session, number of the behaviour) in order, texts, sensors, sensor of each session)."""
    sensor = np.full(len(position), -1, np.int32)
    none = np.zeros(0, np.int64)
    if behaviours is None or not behaviours.num_rows:
        return (none, none), history.behaviours, history.sensors, sensor
    row = np.array([position.get(name, -1) for name in behaviours["session"].to_pylist()], np.int64)
    numbers, sensors = _numbers(behaviours["sensor"], history.sensors)
    sensor[row[row >= 0]] = numbers[row >= 0]
    kinds = behaviours["kind"].to_pylist()
    values = behaviours["value"].to_pylist()
    linked = np.array([kind in LINKED and value != "" for kind, value in zip(kinds, values, strict=True)])
    long = np.array([len(value) > _LONGEST for value in values])
    left_out["behaviours longer than 512 characters"] += int((linked & long & (row >= 0)).sum())
    keep = np.flatnonzero(linked & ~long & (row >= 0))
    joined = pa.chunked_array(
        [pa.array([kinds[n] + SEPARATOR + values[n] for n in keep.tolist()], pa.string())]
    )
    code, texts = _numbers(joined, history.behaviours)
    row = row[keep]
    pair = np.unique(row << 32 | code.astype(np.int64)) if len(keep) else none
    row, code = pair >> 32, (pair & 0xFFFFFFFF).astype(np.int32)
    kind_number = {kind: number for number, kind in enumerate(joint.BEHAVIOUR_KINDS)}
    kind = np.array([kind_number[texts[c].split(SEPARATOR, 1)[0]] for c in code.tolist()], np.int64)
    group = row * len(kind_number) + kind
    # Of very many of one kind those with the lowest text stay, whatever order they came in.
    text_rank = np.argsort(np.argsort(np.array(texts, dtype=object), kind="stable"), kind="stable")
    order = np.lexsort((text_rank[code], group)) if len(code) else code
    group = group[order]
    within = np.arange(len(group)) - np.searchsorted(group, group)
    left_out["behaviours beyond 64 of a kind in a session"] += int((within >= MOST_OF_A_KIND).sum())
    order = np.sort(order[within < MOST_OF_A_KIND])
    return (row[order], code[order]), texts, sensors, sensor
