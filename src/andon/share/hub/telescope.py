"""What the own telescope heard, ready to be reported: from the table of ``darknet.sightings``, or from alerts.

The table (``tables/darknet.sightings.sources.parquet`` of ``andon analyze --out``, ``records.sighting``) holds every
source, by port and episode, so nobody has to be registered for it. Fingerprints leave by the name of a known tool
alone: a relation may hold constants that show where the telescope is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING, Final

from andon.share.hub.protocol import HOUR, PORTS, Network, Sighting, sighting_of

if TYPE_CHECKING:
    import pyarrow as pa

_PROTOCOLS: Final = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp6"}
_NAME: Final = re.compile(r"[a-z]{3,20}")  # mirai, zmap, masscan, ...: no relation, no number
_LONGEST: Final = 7 * 24 * HOUR - 2 * HOUR  # a little less than the hub takes


def heard(path: Path, cover: Sequence[Network], now: int) -> Iterator[Sighting]:
    """Sightings of the last seven days of a file: a Parquet table, or findings or alerts as lines of JSON. ``cover``:
    of a table, only addresses in it are looked at. Raises ValueError, OSError."""
    with path.open("rb") as file:
        parquet = file.read(4) == b"PAR1"
    if parquet:
        import pyarrow.parquet as pq

        found = of_table(pq.read_table(path), cover)
    else:
        found = _of_lines(path)
    return (one for one in found if one.hour >= now - _LONGEST)


def of_table(table: pa.Table, cover: Sequence[Network]) -> Iterator[Sighting]:
    """Sightings of a table of ``records.sighting``; an episode counts in the hour in which it ended.

    Raises ValueError for a table of another kind."""
    import numpy as np

    from andon.records.sighting import SIGHTING

    missing = set(SIGHTING.names) - set(table.column_names)
    if missing:
        raise ValueError(f"no table of darknet.sightings: it has no column {', '.join(sorted(missing))}")
    try:
        table = table.select(SIGHTING.names).cast(SIGHTING)
    except (ValueError, TypeError) as error:  # pyarrow's errors are among them
        raise ValueError(f"no table of darknet.sightings: {str(error)[:200]}") from error
    sources = table.column("src").to_numpy()
    kept = np.zeros(len(sources), bool)
    for block in cover:
        if block.version == 4:
            bits = 32 - block.prefixlen
            kept |= sources >> bits == int(block.network_address) >> bits
    table = table.filter(kept)
    hours = table.column("last").cast("int64").to_numpy() // HOUR * HOUR
    order = np.lexsort((hours, table.column("src").to_numpy()))
    rows = table.take(order)
    columns = [
        rows.column(name).to_pylist() for name in ("src", "dst_port", "protocol", "packets", "fingerprint")
    ]
    held: tuple[int, int] | None = None
    ports: dict[tuple[str, int], int] = {}
    total, tool = 0, ""
    for hour, src, port, protocol, packets, fingerprint in zip(hours[order].tolist(), *columns, strict=True):
        if held is not None and held != (src, hour):
            yield _one(*held, total, ports, tool)
            ports, total, tool = {}, 0, ""
        held = (src, hour)
        total += packets
        if protocol in _PROTOCOLS:
            place = (_PROTOCOLS[protocol], port)
            ports[place] = ports.get(place, 0) + packets
        if _NAME.fullmatch(fingerprint):
            tool = fingerprint
    if held is not None:
        yield _one(*held, total, ports, tool)


def _one(src: int, hour: int, packets: int, ports: dict[tuple[str, int], int], tool: str) -> Sighting:
    most = sorted(ports.items(), key=lambda item: (-item[1], item[0]))[:PORTS]
    listed = tuple((protocol, port, n) for (protocol, port), n in most)
    return Sighting(str(IPv4Address(src)), "scan", hour, packets, listed, tool)


def _of_lines(path: Path) -> Iterator[Sighting]:
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                document = json.loads(line)
            except (ValueError, RecursionError):
                raise ValueError(f"{path}: line {number} is no JSON") from None
            one = sighting_of(document) if isinstance(document, dict) else None
            if one is not None:
                yield one
