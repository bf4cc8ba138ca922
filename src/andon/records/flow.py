"""A flow: what two addresses exchanged in one connection (or the piece of it that an exporter reports).

Zeek's conn.log, Suricata's flow events, NetFlow and IPFIX. ``src`` is who began it, where the sensor knows.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.records.contact import WORDS

_FIELDS: list[pa.Field[Any]] = [
    pa.field("ts", pa.timestamp("ns", tz="UTC"), nullable=False),  # its first packet
    pa.field("duration", pa.int64(), nullable=False),  # ns; -1 if unknown
    pa.field("terminal", WORDS, nullable=False),  # who `src` is: user or device where known, else the address
    pa.field("src", WORDS, nullable=False),  # address as text, IPv4 or IPv6
    pa.field("dst", WORDS, nullable=False),
    pa.field("src_port", pa.int32(), nullable=False),  # -1 if there is none
    pa.field("dst_port", pa.int32(), nullable=False),
    pa.field("protocol", WORDS, nullable=False),  # "tcp", "udp", "icmp", "ipv6-icmp", or the number as text
    pa.field("service", WORDS, nullable=False),  # as the sensor recognised it: "http", "ssl"; ""
    pa.field("state", WORDS, nullable=False),  # Zeek's conn_state, Suricata's state, TCP flags as "SAF"; ""
    pa.field("answered", pa.bool_()),  # the other side sent something; null if unknown
    pa.field(
        "bytes_out", pa.int64(), nullable=False
    ),  # from src; payload or wire as the sensor counts; -1 unknown
    pa.field("bytes_in", pa.int64(), nullable=False),
    pa.field("packets_out", pa.int64(), nullable=False),
    pa.field("packets_in", pa.int64(), nullable=False),
    pa.field(
        "source", WORDS, nullable=False
    ),  # "zeek-conn", "suricata-flow", "netflow5", "netflow9", "ipfix"
]
FLOW: Final = pa.schema(_FIELDS)

# States of Zeek, Suricata and TCP flags in which a connection never came about.
FAILED_STATES: Final = ("S0", "REJ", "RSTOS0", "RSTRH", "SH", "SHR", "new", "S", "SR", "RS")


def failed(batch: pa.RecordBatch) -> np.ndarray:
    """Which flows came to nothing, as a bool of each: the other side sent nothing, or the state says so."""
    answered = batch.column("answered").fill_null(True).to_numpy(zero_copy_only=False)
    state = batch.column("state")
    bad = pc.is_in(state.dictionary, pa.array(FAILED_STATES)).to_numpy(zero_copy_only=False)
    codes = state.indices.to_numpy()
    made: np.ndarray = ~answered | (bad[codes] if len(bad) else np.zeros(len(codes), np.bool_))
    return made
