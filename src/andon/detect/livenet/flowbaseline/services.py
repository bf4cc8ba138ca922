"""What a flow is for: a service by what the sensor recognised, else by protocol and port.

Ports up to 9,999 stand for themselves where the other side answered; higher ones are mostly chosen at random and are
"high". What nobody answered is one service for each protocol, so that a scan does not make thousands of them.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

from andon.sketch.texts import text_keys

HIGH: Final = 10_000


def services(batch: pa.RecordBatch, bad: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """(code of each flow, names of the codes). ``bad``: of ``failed``."""
    protocol, service = batch.column("protocol"), batch.column("service")
    port = batch.column("dst_port").to_numpy()
    known = np.array([bool(name) for name in service.dictionary.to_pylist()] or [False])
    named = known[service.indices.to_numpy()] & ~bad
    what = np.where(bad, -2, np.where(named, -3, np.where(port >= HIGH, HIGH, np.maximum(port, -1)))).astype(
        np.int64
    )
    words = np.where(named, service.indices.to_numpy(), 0).astype(np.int64)
    mixed = ((protocol.indices.to_numpy().astype(np.int64) << 20) + what + 3) * (len(known) + 1) + words
    _, first, code = np.unique(mixed, return_index=True, return_inverse=True)
    names = []
    for row in first.tolist():
        if named[row]:
            names.append(str(service.dictionary[int(service.indices[row].as_py())].as_py())[:60])
            continue
        base = str(protocol.dictionary[int(protocol.indices[row].as_py())].as_py())[:20]
        kind = int(what[row])
        names.append(
            f"{base}/unanswered" if kind == -2
            else base if kind == -1
            else f"{base}/high" if kind == HIGH
            else f"{base}/{kind}"
        )  # fmt: skip
    return code.astype(np.int64), names


def name_keys(names: list[str]) -> np.ndarray:
    """uint64 key of each service."""
    return text_keys(pa.array(names, pa.string()), 3)
