"""Made-up networks for the tests of the coordination baselines, as packet batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from andon.detect.darknet.glasso import Glasso
from andon.records.contract import Context, Site
from made_packets import DARK, packets, summary_of

SECOND = 1_000_000_000
SPAN = 600 * SECOND
START = 2_800_000 * SPAN


def batch(**given: Any) -> pa.RecordBatch:
    """``second`` counts from ``start``, the rest as in ``made_packets``."""
    return packets(Glasso.columns, **{"start": START, "src": 1 << 16, **given})


def noise(
    rng: np.random.Generator, networks: int, packets: int, start: int = START, ports: int = 200
) -> pa.RecordBatch:
    """Independent packets of so many networks over a whole span, the first at its start, the last at its end."""
    second = np.sort(rng.uniform(0, 600, packets))
    second[0], second[-1] = 0.0, 599.9
    network = 0x1000 + rng.integers(0, networks, packets)
    return batch(
        start=start,
        second=second,
        src=network << 16 | rng.integers(0, 1 << 16, packets),
        dst=DARK + rng.integers(0, 4096, packets),
        dst_port=1000 + np.minimum(rng.geometric(0.05, packets), ports),
    )


def wake_up(
    rng: np.random.Generator,
    networks: int,
    port: int,
    start: int = START,
    first: float = 210.0,
    each: int = 4,
) -> pa.RecordBatch:
    """A botnet whose members, each in its own network, send some packets to one port within half a minute."""
    size = networks * each
    return batch(
        start=start,
        second=first + rng.uniform(0, 30, size),
        src=np.repeat((0x6000 + np.arange(networks)) << 16 | 5, each),
        dst=DARK + rng.integers(0, 4096, size),
        dst_port=port,
    )


def glasso(**settings: Any) -> Glasso:
    return Glasso(Site(settings={f"darknet.glasso.{name}": value for name, value in settings.items()}))


def conclude(
    engine: Any, *batches: pa.RecordBatch, carry: Any = None, start: int = START, **more: Any
) -> Any:
    context: Context[Any] = Context("10min", start, start + SPAN, **more)
    return engine.conclude(summary_of(engine, *batches), carry, context)
