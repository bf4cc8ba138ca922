"""The simulator's ends: a capture file with its truth, the same capture into a pipe, its packets as batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from andon.records import packet

from . import frames
from . import session as s
from .config import InternetConfig
from .options import OptionTable, PayloadTable, option_table, payload_table
from .population import Population, populate
from .stream import Stream
from .truth import Spoofed, event_table, truth_table

BATCH_ROWS = 65536


@dataclass(frozen=True)
class SimulationResult:
    """Where everything was written, and how much: ``capture`` and ``truth`` and ``events`` are files."""

    capture: Path
    truth: Path
    events: Path
    packets: int
    bytes: int
    sources: int


def simulate(
    config: InternetConfig, out: Path, progress: Callable[[int], None] | None = None
) -> SimulationResult:
    """Write ``out/capture.pcap``, ``out/truth.parquet`` and ``out/events.parquet``; ``out`` is made if absent.

    The capture is a classic little-endian pcap (microseconds, Ethernet) sorted by time, deterministic in ``config``.
    ``progress`` is called with the number of packets just written, every hundred thousand or so. Memory grows with
    the number of sources (about 0.6 KB each), not of packets. Raises OSError if the files cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    population = populate(config)
    planned = population.sessions["n"].copy()
    spoofed = Spoofed()
    capture = out / "capture.pcap"
    with capture.open("wb", buffering=0) as file:
        count, written = write_population(population, file, progress, spoofed)
    truth = truth_table(population, planned, spoofed)
    result = SimulationResult(
        capture,
        out / "truth.parquet",
        out / "events.parquet",
        count,
        written,
        len(np.unique(truth["src"].to_numpy())),
    )
    pq.write_table(truth, result.truth, compression="zstd")
    pq.write_table(event_table(population.events), result.events, compression="zstd")
    return result


def write_to(config: InternetConfig, file: IO[bytes], progress: Callable[[int], None] | None = None) -> int:
    """Write the capture of ``simulate(config)`` to a file that is open already, such as a pipe, as it is made; gives
    the number of packets. Nothing is kept of it: no truth, and memory as for ``simulate``. Raises OSError."""
    return write_population(populate(config), file, progress)[0]


def write_population(
    population: Population,
    file: IO[bytes],
    progress: Callable[[int], None] | None = None,
    spoofed: Spoofed | None = None,
) -> tuple[int, int]:
    """Play a population into an open file: (packets, bytes) written; made-up sources are counted in ``spoofed`` if
    it is given."""
    slices = iter(Stream(population))
    if spoofed is not None:
        slices = _noted(population, slices, spoofed)
    return write_slices(slices, file, progress)


def write_slices(
    slices: Iterable[tuple[np.ndarray, np.ndarray]], file: IO[bytes], progress: Callable[[int], None] | None
) -> tuple[int, int]:
    """Write packet rows, each lot in the order given with it, as a capture file; gives (packets, bytes) written."""
    options, payloads = option_table(), payload_table()
    buffer = np.empty(BATCH_ROWS * frames.LARGEST, np.uint8)
    _write_all(file, memoryview(frames.FILE_HEADER))
    count, written = 0, len(frames.FILE_HEADER)
    for rows, order in slices:
        for part in (order[i : i + BATCH_ROWS] for i in range(0, len(order), BATCH_ROWS)):
            size = frames.write(
                rows, part, options.words, options.length, options.total, options.clock,
                payloads.of_port, payloads.data, payloads.length, payloads.total, buffer,
            )  # fmt: skip
            _write_all(file, memoryview(buffer[:size]))  # type: ignore[arg-type]
            written += size
        count += len(order)
        if progress is not None:
            progress(len(order))
    return count, written


def _write_all(file: IO[bytes], data: memoryview) -> None:
    """A raw file may take less than it is given."""
    while len(data):
        data = data[file.write(data) :]


def _noted(
    population: Population, slices: Iterator[tuple[np.ndarray, np.ndarray]], spoofed: Spoofed
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The same slices; their made-up sources are counted in ``spoofed``."""
    for rows, order in slices:
        if population.spoofed.size:
            mine = rows[population.sessions["src_mode"][rows["session"]] == s.SPOOFED]
            if len(mine):
                spoofed.add(population.sessions["truth"][mine["session"]], mine["src"], mine["ts"])
        yield rows, order


def packets(config: InternetConfig) -> Iterator[pa.RecordBatch]:
    """The packets of ``simulate(config)`` in the same order, as batches of ``andon.records.packet.SCHEMA``."""
    options, payloads = option_table(), payload_table()
    for rows, order in Stream(populate(config)):
        for i in range(0, len(order), BATCH_ROWS):
            yield record_batch(rows[order[i : i + BATCH_ROWS]], options, payloads)


def truth(config: InternetConfig) -> tuple[pa.Table, pa.Table]:
    """(truth, events) of ``simulate(config)`` without a file; costs as much as ``packets``."""
    population = populate(config)
    planned = population.sessions["n"].copy()
    spoofed = Spoofed()
    for _ in _noted(population, iter(Stream(population)), spoofed):
        pass
    return truth_table(population, planned, spoofed), event_table(population.events)


_LAYER = np.array([packet.TCP, packet.UDP, packet.ICMP, packet.ICMP], np.uint8) | packet.IPV4
_PROTO = np.array([6, 17, 1, 1], np.uint8)


def record_batch(rows: np.ndarray, options: OptionTable, payloads: PayloadTable) -> pa.RecordBatch:
    """Rows in the columns of the packet record."""
    n = len(rows)
    kind = rows["kind"]
    tcp, ported = kind == s.TCP, kind <= s.UDP
    option = rows["options"]
    number = payloads.of_port[rows["dport"]]
    udp_length = np.where(number > 0, payloads.length[number], frames.PLAIN_UDP).astype(np.uint16)
    body = np.select(
        [tcp, kind == s.UDP, kind == s.ECHO],
        [20 + options.length[option].astype(np.uint16), 8 + udp_length, np.uint16(8 + frames.ECHO_DATA)],
        np.uint16(8 + frames.ERROR_QUOTE),
    ).astype(np.uint16)
    zero = np.zeros(n, np.uint8)
    frame = 34 + body.astype(np.uint32)
    columns = {
        "ts": rows["ts"],
        "src": rows["src"],
        "dst": rows["dst"],
        "src_port": rows["sport"] * ported,
        "dst_port": rows["dport"] * ported,
        "proto": _PROTO[kind],
        "tcp_flags": rows["flags"] * tcp,
        "tcp_seq": rows["seq"] * tcp,
        "tcp_ack": rows["ack"] * tcp,
        "ip_id": rows["ip_id"],
        "ttl": rows["ttl"],
        "tcp_window": rows["window"] * tcp,
        "ip_len": 20 + body,
        "layers": _LAYER[kind],
        "tos": rows["tos"],
        "frag": rows["frag"],
        "icmp_type": rows["icmp_type"] * ~ported,
        "icmp_code": rows["icmp_code"] * ~ported,
        "tcp_hlen": (20 + options.length[option]) * tcp,
        "tcp_mss": options.mss[option] * tcp,
        "tcp_options": options.layout[option] * tcp,
        "vlan_tags": zero,
        "vlan_id": np.full(n, packet.NO_VLAN, np.uint16),
        "cap_len": frame,
        "wire_len": frame,
    }
    arrays = []
    for name, kind_of in zip(packet.SCHEMA.names, packet.SCHEMA.types, strict=True):
        if name in columns:
            arrays.append(pa.array(np.ascontiguousarray(columns[name])).cast(kind_of))
        else:
            arrays.append(
                pa.FixedSizeBinaryArray.from_buffers(kind_of, n, [None, pa.py_buffer(bytes(16 * n))])
            )
    return pa.RecordBatch.from_arrays(arrays, schema=packet.SCHEMA)
