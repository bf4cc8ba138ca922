"""Samples of scans whose address order is known, made from the group itself and not from the engine's search."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import numpy as np

from andon.detect.darknet.fingerprint.sample import COLUMNS, Sample
from andon.sketch.cyclic import ORDER, elements, log3

BLOCKS = ("23.90.64.0/18", "58.181.128.0/18", "101.44.0.0/18", "146.71.192.0/18", "203.8.0.0/18")
DAY = 86_400_000_000_000
_KINDS = {
    "dst": np.uint32, "ip_id": np.uint16, "ttl": np.uint8, "ip_len": np.uint16, "src_port": np.uint16,
    "dst_port": np.uint16, "tcp_seq": np.uint32, "tcp_ack": np.uint32, "tcp_window": np.uint16,
}  # fmt: skip
Packets = dict[str, np.ndarray]


def telescope(blocks: Sequence[str] = BLOCKS) -> np.ndarray:
    """All addresses (uint32) of the blocks."""
    networks = [ipaddress.IPv4Network(block) for block in blocks]
    return np.concatenate(
        [np.arange(int(n[0]), int(n[0]) + n.num_addresses, dtype=np.int64) for n in networks]
    ).astype(np.uint32)


def zmap_order(
    space: np.ndarray, generator: int, offset: int, threads: int = 1, blocklist: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """(addresses in the order of the scan, when: 0 to 1) of a whole scan."""
    logs = log3(elements(space, blocklist))
    of_generator = int(log3(np.array([generator], np.uint64))[0])
    inverse = pow(of_generator, -1, ORDER)
    position = np.array([(int(log) * inverse - offset) % ORDER for log in logs])
    piece = ORDER // threads
    step = position % piece
    order = np.argsort(step, kind="stable")
    return space[order], step[order] / piece


def visits(
    source: int, dst: np.ndarray, when: np.ndarray, count: int, rng: np.random.Generator, port: int = 443
) -> Packets:
    """``count`` of a scan's packets, chosen at random, over a day."""
    chosen = np.sort(rng.choice(len(dst), min(count, len(dst)), replace=False))
    return {
        "src": np.full(len(chosen), source, np.uint32),
        "dst": dst[chosen].astype(np.uint32),
        "ts": (when[chosen] * DAY * 0.99).astype(np.int64),
        "dst_port": np.full(len(chosen), port, np.uint16),
    }


def aimless(source: int, space: np.ndarray, count: int, rng: np.random.Generator, port: int = 443) -> Packets:
    """Packets to addresses drawn at random."""
    when = np.sort(rng.random(count))
    return {
        **visits(source, rng.choice(space, count), when, count, rng),
        "dst_port": np.full(count, port, np.uint16),
    }


def together(*parts: Packets) -> Packets:
    """All packets, in order of time, with the columns of the packet record."""
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    n = len(columns["ts"])
    for name in COLUMNS:
        columns.setdefault(name, np.full(n, 50, _KINDS[name]))
    order = np.argsort(columns["ts"], kind="stable")
    return {name: column[order] for name, column in columns.items()}


def sample(*parts: Packets) -> Sample:
    return Sample.of_packets(together(*parts), 96)
