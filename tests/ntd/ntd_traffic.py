"""Half an hour of a telescope by hand: networks that talk now and then, and what Dark-NTD says of a span."""

from __future__ import annotations

from functools import partial

import numpy as np
import pyarrow as pa

import factor_traffic
from andon.detect.darknet.ntd import NtdEngine
from factor_traffic import NETWORK, START, batch

concluded = partial(factor_traffic.concluded, NtdEngine)


def chatter(seed: int, networks: int = 200, talks: int = 1500, start: int = START) -> pa.RecordBatch:
    """Networks that now and then send two or three packets to a popular or random port within a few seconds."""
    rng = np.random.default_rng(seed)
    block = rng.choice(1 << 15, networks, replace=False)
    popular = rng.random(talks) < 0.5
    port = np.where(popular, rng.choice([443, 8443, 6379, 21], talks), rng.integers(1, 65536, talks))
    each = rng.integers(1, 4, talks)
    return batch(
        start=start,
        second=np.repeat(rng.uniform(0, 1790, talks), each),
        src=np.repeat(rng.choice(block, talks) << 16 | 5, each),
        dst=NETWORK + rng.integers(0, 1 << 16, int(each.sum())),
        dst_port=np.repeat(port, each),
    )
