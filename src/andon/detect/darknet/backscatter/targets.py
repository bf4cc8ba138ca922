"""What one address receives: reflection aimed at it, and floods from forged sources.

A dark address gets its share of whatever the telescope gets. These rules look for one address that stands far above
the others within the same 60 seconds; in a capture of a single address, where there are no others, they ask for
rates that scans of one address do not reach.

Reflection: many senders of answers, each to this address alone, that were not asked for. Forged sources: many new
sources, about one packet each; supported by sources in space that is never routed (13.3 % of random addresses: 0/8,
127/8, 224/3), or by few TTL values from all over the address space, since packets that really
come from everywhere arrive with dozens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from andon.detect.darknet.backscatter import classes
from andon.detect.darknet.backscatter.thresholds import Thresholds

MINUTE = 60_000_000_000
UNROUTABLE_EXPECTED = (2 + 32) / 256  # of addresses drawn at random
_FEW_TTLS = 4
_MANY_EIGHTHS = 30  # /8 blocks that forged sources come from, if there are so many sources
_COMPARABLE = 16  # dark addresses, from which on the others say what is usual
_SURE = 10  # times the least rate at which no further sign of forgery is asked for


@dataclass(frozen=True)
class Reflection:
    """Answers aimed at one address. ``sources`` are those kept; ``scale`` of them stand behind each."""

    target: int
    sources: np.ndarray  # uint32, ascending
    scale: int
    packets: int  # of the sources kept
    first: int
    last: int
    burst: int  # sources that began within the densest 60 s, scaled
    others: float  # mean of the same over the other dark addresses


@dataclass(frozen=True)
class Flood:
    """Packets from forged sources to one address. Counts are estimates if ``scale`` > 1."""

    target: int
    sources: int
    packets: int
    scale: int
    burst: int  # new sources in the densest 60 s
    others: float
    first: int
    last: int
    kind: int  # of classes.KINDS
    kinds: np.ndarray  # packets by kind, scaled
    per_source: float
    unroutable: float  # share of sources in space that is never routed
    eighths: int  # distinct /8 among the sources kept
    top_ttls: tuple[int, ...]
    ttl_share: float  # share of sources with one of ``top_ttls``
    src_port: tuple[int, float]  # commonest and its share of sources
    dst_port: tuple[int, float]
    signs: tuple[str, ...]
    reflected: bool  # from one source port: answers of a service that is not in the table


def densest(times: np.ndarray, width: int = MINUTE) -> tuple[int, int]:
    """(start, number) of the window that holds most of the times (int64, ascending).

    >>> densest(np.array([0, 50, 60, 70, 200]), 30)
    (50, 3)
    """
    ends = np.searchsorted(times, times + width, side="right")
    counts = ends - np.arange(len(times))
    best = int(np.argmax(counts))
    return int(times[best]), int(counts[best])


def unroutable(addresses: np.ndarray) -> np.ndarray:
    """Whether an address can be nobody's source anywhere: 0/8, 127/8, multicast and reserved (224/3).

    Private space is left out on purpose: behind a border it is where packets truly come from."""
    first = addresses >> 24
    return np.asarray((first == 0) | (first == 127) | (first >= 224))


def _by_target(target: np.ndarray, first: np.ndarray, least: int) -> list[tuple[int, np.ndarray]]:
    """(address, its rows in time order) for every target that stands in at least ``least`` rows, most rows first."""
    order = np.lexsort((first, target))
    ordered = target[order]
    start = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(order) else order
    count = np.diff(np.r_[start, len(order)])
    heavy = np.argsort(-count, kind="stable")
    heavy = heavy[count[heavy] >= least]
    return [(int(ordered[start[n]]), order[start[n] : start[n] + count[n]]) for n in heavy]


def _stands_out(
    count: int, begin: int, times: np.ndarray, dark: int, times_others: float
) -> tuple[bool, float]:
    """Whether ``count`` of the times in the minute from ``begin`` is far above the mean of the other addresses."""
    inside = np.searchsorted(times, begin + MINUTE, side="right") - np.searchsorted(times, begin)
    others = max(int(inside) - count, 0) / max(dark - 1, 1)
    return count >= times_others * others, others


def find_reflections(
    source: np.ndarray,
    bins: dict[str, np.ndarray],
    live: np.ndarray,
    scale: int,
    dark: int,
    rules: Thresholds,
) -> list[Reflection]:
    """Addresses that answers are aimed at, from bins sorted by source and time.

    ``live``: bool per row, whether its source was sent requests or is in conversation (an asked-for answer)."""
    single = (bins["dst_low"] == bins["dst_high"]) & ~live
    source, target, packets = source[single], bins["dst_low"][single], bins["packets"][single]
    first, last = bins["first"][single], bins["last"][single]
    # One row per (target, source), at the time its first answer came.
    pair = target.astype(np.uint64) << np.uint64(32) | source
    order = np.lexsort((first, pair))
    start = np.flatnonzero(np.r_[True, pair[order][1:] != pair[order][:-1]]) if len(order) else order
    new = order[start]
    all_times = np.sort(first[new])
    # A source's last answer and its packets, over all of its rows to this target.
    last_of = np.maximum.reduceat(last[order], start) if len(order) else last
    sum_of = np.add.reduceat(packets[order].astype(np.int64), start) if len(order) else last
    found = []
    for address, mine in _by_target(target[new], first[new], max(8, rules.reflectors // scale)):
        begin, count = densest(first[new[mine]])
        apart, others = _stands_out(count, begin, all_times, dark, rules.times_others)
        if count * scale < rules.reflectors or count < 8 or not apart:
            continue
        found.append(
            Reflection(
                target=address,
                sources=np.sort(source[new[mine]]),
                scale=scale,
                packets=int(sum_of[mine].sum()),
                first=int(first[new[mine]].min()),
                last=int(last_of[mine].max()),
                burst=count * scale,
                others=others * scale,
            )
        )
    return found


def find_floods(pairs: dict[str, np.ndarray], scale: int, dark: int, rules: Thresholds) -> list[Flood]:
    """Addresses that forged sources flood, from the sample of (source, destination) pairs."""
    kinds = pairs["packets"].astype(np.int64)
    asking = kinds[:, : classes.ANSWER_KIND].sum(axis=1) > 0
    rows = {name: array[asking] for name, array in pairs.items()}
    order = np.argsort(rows["first"], kind="stable")
    rows = {name: array[order] for name, array in rows.items()}
    found = []
    for address, mine in _by_target(rows["dst"], rows["first"], max(10, rules.flood_sources // scale)):
        times = rows["first"][mine]
        begin, count = densest(times)
        apart, others = _stands_out(count, begin, rows["first"], dark, rules.times_others)
        if count * scale < rules.flood_sources or count < 10 or not apart:
            continue
        begin, end = _extent(times, begin, count)
        here = mine[(times >= begin) & (times <= end)]
        answered = np.count_nonzero(pairs["src"] == address) / len(mine)
        flood = _judged(address, {n: a[here] for n, a in rows.items()}, scale, (count, others), answered)
        if flood is not None and flood.burst >= rules.flood_sources * (1 if _forged(flood, dark) else _SURE):
            found.append(flood)
    return found


def _forged(flood: Flood, dark: int) -> bool:
    """Whether a flood at the least rate is already believed.

    Without a sign of forgery this takes a telescope to compare with: its other addresses show that nobody scans.
    UDP is not believed so easily, because former peers go on asking for an address long after it went dark."""
    return bool(flood.signs) or (
        dark >= _COMPARABLE and flood.kind != classes.UDP_KIND and flood.per_source <= 1.5
    )


def _judged(
    address: int,
    rows: dict[str, np.ndarray],
    scale: int,
    burst: tuple[int, float],
    answered: float,
) -> Flood | None:
    """The flood that these rows (in time order) are, or None. ``answered``: share of sources it sent packets to."""
    count, others = burst
    kinds = rows["packets"].astype(np.int64)
    by_kind = kinds.sum(axis=0)
    kind = int(np.argmax(by_kind[: classes.ANSWER_KIND]))
    total = len(rows["src"])
    handshakes = float(np.mean((kinds[:, classes.SYN_KIND] > 0) & (kinds[:, classes.TCP_KIND] > 0)))
    tcp = kind in (classes.SYN_KIND, classes.TCP_KIND)
    if handshakes > 0.2 or (not tcp and answered > 0.5):
        return None  # a busy server: its clients are answered, or complete their connections
    per_source = float(kinds.sum() / total)
    outside = float(np.mean(unroutable(rows["src"])))
    eighths = len(np.unique(rows["src"] >> 24))
    spread = eighths >= min(_MANY_EIGHTHS, 0.6 * total)
    steady = rows["ttl_low"] == rows["ttl_high"]
    ttls, ttl_counts = np.unique(rows["ttl_low"][steady], return_counts=True)
    top = np.argsort(-ttl_counts, kind="stable")[:_FEW_TTLS]
    top = top[ttl_counts[top] >= 0.02 * total]
    ttl_share = float(ttl_counts[top].sum() / total)
    src_port, dst_port = _commonest(rows["sport"]), _commonest(rows["dport"])
    signs = []
    if outside >= 0.03 and outside * total >= 5:
        signs.append(f"{outside:.1%} of the sources lie in address space that is never routed")
    if ttl_share >= 0.8 and spread and total >= _MANY_EIGHTHS:
        values = ", ".join(str(int(ttls[n])) for n in sorted(top.tolist()))
        signs.append(
            f"{ttl_share:.0%} of the sources, spread over {eighths} of 256 /8 blocks, arrive with TTL {values} only"
        )
    reflected = kind == classes.UDP_KIND and not signs and src_port[1] >= 0.8 and src_port[0] != dst_port[0]
    if not signs and (per_source > 2.0 or not spread) and not reflected:
        return None
    return Flood(
        target=address,
        sources=total * scale,
        packets=int(kinds.sum()) * scale,
        scale=scale,
        burst=count * scale,
        others=others * scale,
        first=int(rows["first"][0]),
        last=int((rows["last"] if per_source <= 2.0 else rows["first"]).max()),
        kind=kind,
        kinds=by_kind * scale,
        per_source=per_source,
        unroutable=outside,
        eighths=eighths,
        top_ttls=tuple(int(ttls[n]) for n in top),
        ttl_share=ttl_share,
        src_port=src_port,
        dst_port=dst_port,
        signs=tuple(signs),
        reflected=reflected,
    )


def _extent(times: np.ndarray, begin: int, peak: int) -> tuple[int, int]:
    """(first, last) time of the run around ``begin`` in which every 60 s hold a tenth of the peak or more."""
    ahead = np.searchsorted(times, times + MINUTE, side="right") - np.arange(len(times))
    behind = np.arange(len(times)) + 1 - np.searchsorted(times, times - MINUTE)
    quiet_before = np.flatnonzero((ahead < 0.1 * peak) & (times < begin))
    quiet_after = np.flatnonzero((behind < 0.1 * peak) & (times > begin + MINUTE))
    start = quiet_before[-1] + 1 if len(quiet_before) else 0
    stop = quiet_after[0] - 1 if len(quiet_after) else len(times) - 1
    return int(times[start]), int(times[stop])


def _commonest(values: np.ndarray) -> tuple[int, float]:
    found, counts = np.unique(values, return_counts=True)
    best = int(np.argmax(counts))
    return int(found[best]), float(counts[best] / len(values))
