"""One source's packets of one span, as the state machine takes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from andon.detect.darknet.daedalus import flavours
from andon.detect.darknet.daedalus.kernel import SAMPLE, WORDS
from andon.detect.darknet.daedalus.state import SEEN
from andon.detect.darknet.daedalus.summary import Heard
from andon.records import packet

_FREE = np.uint64(0xFFFFFFFFFFFFFFFF)


@dataclass(frozen=True)
class Packets:
    """The kept packets of a span as columns of the packet record, and ``row``, the row each belongs to."""

    row: np.ndarray
    columns: dict[str, np.ndarray]
    flavour: np.ndarray

    def seen(self) -> np.ndarray:
        """Their headers (SEEN) without destination, sequence number and what may be computed from them.

        Source ports that equal a half of the destination, in either byte order, are hidden too."""
        c = self.columns
        made = np.zeros(len(self.row), SEEN)
        for name in ("ts", "src_port", "dst_port", "proto", "ttl", "icmp_type"):
            made[name] = c[name]
        made["length"], made["flags"], made["flavour"] = c["ip_len"], c["tcp_flags"], self.flavour
        high, low = (c["dst"] >> np.uint32(16)).astype(np.uint16), c["dst"].astype(np.uint16)
        v4 = (c["layers"] & packet.IPV4) != 0
        tells = np.zeros(len(self.row), np.bool_)
        for half in (high, low, high.byteswap(), low.byteswap()):
            tells |= c["src_port"] == half
        made["hidden"] = tells & v4
        made["src_port"][tells & v4] = 0
        return made


@dataclass
class Observation:
    """``kind`` is the class of the row (flavours.INSIDE, ...); ``ports``: (protocol, port) -> packets."""

    hi: int
    lo: int
    kind: int
    first: int
    last: int
    packets: int
    flags: int
    counts: np.ndarray  # by flavour
    dsts: np.ndarray
    ports: dict[tuple[int, int], int]
    sampled: bool
    seen: np.ndarray
    looked_at: int
    hits: np.ndarray
    family: int
    family_hits: int

    @property
    def top_port(self) -> tuple[int, int]:
        """(protocol, port) with the most packets; the smaller one of equals."""
        return min(self.ports, key=lambda port: (-self.ports[port], port))


def kept_packets(rows: Rows) -> Packets:
    """The packets in the samples of the rows."""
    items = rows.columns["sample"].reshape(-1, WORDS)
    used = np.flatnonzero(items[:, 0] != _FREE)
    w = items[used]
    shift = np.uint64

    def bits(column: int, at: int, kind: str) -> np.ndarray:
        part: np.ndarray = (w[:, column] >> shift(at)).astype(kind)
        return part

    row = used // SAMPLE
    columns: dict[str, np.ndarray] = {
        "src": rows.columns["lo"][row].astype(
            np.uint32
        ),  # of IPv6, `layers` tells that it is no IPv4 address
        "ts": w[:, 1].astype(np.int64),
        "dst": bits(2, 32, "u4"),
        "tcp_seq": bits(2, 0, "u4"),
        "tcp_ack": bits(3, 32, "u4"),
        "src_port": bits(3, 16, "u2"),
        "dst_port": bits(3, 0, "u2"),
        "ip_id": bits(4, 48, "u2"),
        "ip_len": bits(4, 32, "u2"),
        "tcp_window": bits(4, 16, "u2"),
        "ttl": bits(4, 8, "u1"),
        "tcp_flags": bits(4, 0, "u1"),
        "layers": bits(5, 24, "u1"),
        "proto": bits(5, 16, "u1"),
        "icmp_type": bits(5, 8, "u1"),
    }
    return Packets(row, columns, bits(5, 0, "u1"))


@dataclass(frozen=True)
class Rows:
    """The rows of one organisation in a span, by time: arrays of ``summary.SPEC``, ``kind``, and one source in
    ``scale`` was kept."""

    columns: dict[str, np.ndarray]
    kind: np.ndarray
    scale: int
    left_out: int  # packets of sources that were not kept

    def __len__(self) -> int:
        return len(self.kind)


def rows_of(heard: Heard) -> Rows:
    """Rows in the order of their first packet; equals by address and class."""
    keys, columns = heard.rows.table()
    kind = (keys & np.uint64(3)).astype(np.int64)
    order = np.lexsort((kind, columns["lo"], columns["hi"], columns["first"]))
    columns = {name: array[order] for name, array in columns.items()}
    return Rows(
        columns,
        kind[order],
        1 << heard.rows.level,
        int(heard.totals.sum()) - int(columns["packets"].sum()),
    )


def observations(
    rows: Rows, which: np.ndarray, kept: Packets, hits: np.ndarray, family: np.ndarray
) -> list[Observation]:
    """Of the rows ``which``. ``hits`` (bool, packet by relation) and ``family`` (uint32, 0 none) are of ``kept``."""
    order = np.argsort(kept.row, kind="stable")
    starts = np.searchsorted(kept.row[order], np.arange(len(rows) + 1))
    seen = kept.seen()
    found = []
    c = rows.columns
    for at in which.tolist():
        mine = order[starts[at] : starts[at + 1]]
        packets = int(c["packets"][at].sum())
        requests = mine if rows.kind[at] != flavours.ANSWERS else mine[:0]
        families, counts = np.unique(family[requests], return_counts=True)
        known = np.flatnonzero(families)
        best = known[np.argmax(counts[known])] if len(known) else -1
        found.append(
            Observation(
                hi=int(c["hi"][at]),
                lo=int(c["lo"][at]),
                kind=int(rows.kind[at]),
                first=int(c["first"][at]),
                last=int(c["last"][at]),
                packets=packets,
                flags=int(c["flags"][at]),
                counts=c["packets"][at].astype(np.int64),
                dsts=c["dsts"][at],
                ports=_ports(kept, mine, packets),
                sampled=packets > len(mine),
                seen=seen[mine[np.argsort(seen["ts"][mine], kind="stable")]],
                looked_at=len(requests),
                hits=hits[requests].sum(axis=0),
                family=int(families[best]) if best >= 0 else 0,
                family_hits=int(counts[best]) if best >= 0 else 0,
            )
        )
    return found


def _ports(kept: Packets, mine: np.ndarray, packets: int) -> dict[tuple[int, int], int]:
    """Packets by (protocol, port): the destination port of a request, the source port of an answer, the type of an
    ICMP packet; of a sample by largest remainders, so that they add up."""
    c = kept.columns
    has_ports = (c["layers"][mine] & (packet.TCP | packet.UDP)) != 0
    answers = kept.flavour[mine] >= flavours.FIRST_ANSWER
    port = np.where(answers, c["src_port"][mine], c["dst_port"][mine])
    port = np.where(has_ports, port, c["icmp_type"][mine])
    code, number = np.unique(c["proto"][mine].astype(np.int64) << 16 | port, return_counts=True)
    share, rest = np.divmod(number * packets, max(1, len(mine)))
    missing = packets - int(share.sum())
    share[np.argsort(-rest, kind="stable")[:missing]] += 1
    return {(int(key) >> 16, int(key) & 0xFFFF): int(n) for key, n in zip(code, share, strict=True)}
