"""Half an hour of a telescope by hand: background networks, and what Dark-NMF says of a span."""

from __future__ import annotations

from functools import partial

import numpy as np
import pyarrow as pa

import factor_traffic
from andon.detect.darknet.nmf import NmfEngine
from factor_traffic import NETWORK, START, batch

concluded = partial(factor_traffic.concluded, NmfEngine)


def background(seed: int, networks: int = 300, packets: int = 6000, start: int = START) -> pa.RecordBatch:
    """Networks that ask for popular and random ports whenever they like."""
    rng = np.random.default_rng(seed)
    block = rng.choice(1 << 15, networks, replace=False)
    return batch(
        start=start,
        second=rng.uniform(0, 1800, packets),
        src=rng.choice(block, packets) << 16 | rng.integers(0, 1 << 16, packets),
        dst=NETWORK + rng.integers(0, 1 << 16, packets),
        dst_port=np.where(
            rng.random(packets) < 0.5,
            rng.choice([81, 443, 8443, 6379], packets),
            rng.integers(1, 65536, packets),
        ),
    )


def heavy(start: int = START, rate: int = 70) -> pa.RecordBatch:
    """A network above sixty packets in one minute: what keeps the published code from losing the span."""
    return batch(start=start, second=np.linspace(300, 359, rate), src=0x7F010101, dst_port=9)
