"""Packets made by hand for the tests of known tools: a few lines of NumPy per family, no simulator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from andon.detect.darknet.tools import ToolsEngine
from andon.records.contract import Context, Outcome, Site
from andon.records.packet import IPV4, SCHEMA, SYN, TCP, UDP

DAY = 86_400_000_000_000
DARK = np.uint32(0x0A000000)
_FIELDS = {
    "src": np.uint32, "dst": np.uint32, "src_port": np.uint16, "dst_port": np.uint16, "tcp_seq": np.uint32,
    "ip_id": np.uint16, "ttl": np.uint8, "tcp_window": np.uint16, "ip_len": np.uint16,
}  # fmt: skip


def syn(rng: np.random.Generator, n: int, **given: Any) -> dict[str, np.ndarray]:
    """n SYN packets of unrelated header values, with the given columns instead."""
    columns: dict[str, np.ndarray] = {
        "src": rng.integers(1 << 24, 224 << 24, n, dtype=np.uint32),
        "dst": DARK + rng.integers(0, 1 << 16, n, dtype=np.uint32),
        "src_port": rng.integers(1024, 65536, n, dtype=np.uint16),
        "dst_port": rng.choice(np.array([23, 80, 443, 22, 445, 8080], np.uint16), n),
        "tcp_seq": rng.integers(0, 1 << 32, n, dtype=np.uint32),
        "ip_id": rng.integers(0, 1 << 16, n, dtype=np.uint16),
        "ttl": rng.integers(40, 120, n, dtype=np.uint8),
        "tcp_window": rng.choice(np.array([29200, 64240, 8192, 65535, 5840], np.uint16), n),
        "ip_len": np.full(n, 60, np.uint16),
        "ts": rng.integers(0, DAY, n),
        "tcp_flags": np.full(n, SYN, np.uint8),
        "layers": np.full(n, IPV4 | TCP, np.uint8),
    }
    for name, value in given.items():
        columns[name] = np.broadcast_to(
            np.asarray(value).astype(_FIELDS.get(name, columns[name].dtype)), (n,)
        ).copy()
    return columns


def mirai(rng: np.random.Generator, n: int, **given: Any) -> dict[str, np.ndarray]:
    made = syn(rng, n, **given)
    made["tcp_seq"] = made["dst"].copy()
    return made


def masscan(rng: np.random.Generator, n: int, **given: Any) -> dict[str, np.ndarray]:
    made = syn(rng, n, **{"ttl": 240, "tcp_window": 1024, **given})
    made["ip_id"] = ((made["dst"] ^ made["dst_port"] ^ made["tcp_seq"]) & 0xFFFF).astype(np.uint16)
    return made


def zmap(rng: np.random.Generator, n: int, **given: Any) -> dict[str, np.ndarray]:
    return syn(rng, n, **{"ip_id": 54321, "ttl": 240, "tcp_window": 65535, **given})


def zmap_udp(rng: np.random.Generator, n: int, **given: Any) -> dict[str, np.ndarray]:
    made = zmap(rng, n, **given)
    made["layers"][:], made["tcp_flags"][:], made["tcp_seq"][:] = IPV4 | UDP, 0, 0
    return made


def unicornscan(
    rng: np.random.Generator, n: int, swapped: bool = True, **given: Any
) -> dict[str, np.ndarray]:
    made = syn(rng, n, **{"tcp_window": 4096, **given})
    address = made["dst"].byteswap() if swapped else made["dst"]
    ports = made["src_port"] ^ (made["dst_port"].astype(np.uint32) << 16)
    made["tcp_seq"] = (address ^ ports ^ rng.integers(0, 1 << 32, dtype=np.uint32)).astype(np.uint32)
    return made


def nmap(rng: np.random.Generator, n: int, tries: int = 2, **given: Any) -> dict[str, np.ndarray]:
    made = syn(rng, n, **{"tcp_window": 1024, "ttl": rng.integers(30, 53, n), **given})
    attempt = rng.integers(0, tries, n).astype(np.uint32)
    made["tcp_seq"] = rng.integers(0, 1 << 32, dtype=np.uint32) ^ (attempt << np.uint32(16) | attempt)
    return made


def together(*parts: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def batch(columns: dict[str, np.ndarray]) -> pa.RecordBatch:
    """A record batch of packets in order of time; columns that are not given are 0."""
    n = len(columns["ts"])
    order = np.argsort(columns["ts"], kind="stable")
    arrays = []
    for field in SCHEMA:
        if field.name in ("src6", "dst6"):
            arrays.append(pa.array([bytes(16)] * n, field.type))
        elif field.name == "ts":
            arrays.append(pa.array(columns["ts"][order].astype("i8")).cast(field.type))
        else:
            values = columns.get(field.name, np.zeros(n, np.int64))
            arrays.append(pa.array(values[order].astype(field.type.to_pandas_dtype()), field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def analyse(*parts: dict[str, np.ndarray], **settings: Any) -> Outcome[Any]:
    """The engine's outcome on these packets as one day."""
    engine = ToolsEngine(Site(settings={f"darknet.tools.{name}": value for name, value in settings.items()}))
    summary = engine.empty()
    for part in parts:
        if len(part["ts"]):
            summary = engine.summarise(batch(part).select(list(engine.columns)), summary)
    return engine.conclude(summary, None, Context("1d", 0, DAY))


def named(outcome: Outcome[Any]) -> dict[str, set[int]]:
    """Sources by tool, from the published table."""
    table = outcome.tables["sources"]
    found: dict[str, set[int]] = {}
    for tool, source in zip(table["tool"].to_pylist(), table["src"].to_pylist(), strict=True):
        found.setdefault(tool, set()).add(source)
    return found
