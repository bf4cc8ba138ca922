"""The kinds of record there are: what each is called, its columns, and which of them is its time.

A batch says of what kind it is in the metadata of its schema (``andon.kind``); a batch that says nothing holds packets.
Engines name the kinds they read in ``Engine.reads``. Packets come with the columns of ``Engine.columns`` alone, since
they are many; records of other kinds come whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import pyarrow as pa

from andon.records import alert, contact, flow, honeypot, packet, report, sighting

PACKET: Final = "packet"
HONEYPOT_SESSION: Final = "honeypot-session"
DARKNET_SOURCE: Final = "darknet-source"
REPORT: Final = "report"
CONTACT: Final = "contact"
FLOW: Final = "flow"
ALERT: Final = "alert"
_MARK: Final = b"andon.kind"


@dataclass(frozen=True)
class Kind:
    """``time`` is the column (timestamp ns UTC) that puts a record into a window."""

    name: str
    schema: pa.Schema
    time: str


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            Kind(PACKET, packet.SCHEMA, "ts"),
            Kind(HONEYPOT_SESSION, honeypot.SESSION, "start"),
            Kind(DARKNET_SOURCE, sighting.SIGHTING, "first"),
            Kind(REPORT, report.REPORT, "published"),
            Kind(CONTACT, contact.CONTACT, "ts"),
            Kind(FLOW, flow.FLOW, "ts"),
            Kind(ALERT, alert.ALERT, "ts"),
        )
    }
)


def marked(batch: pa.RecordBatch, kind: str) -> pa.RecordBatch:
    """The batch, saying of what kind its records are."""
    return batch.replace_schema_metadata({_MARK: kind.encode()})


def kind_of(batch: pa.RecordBatch) -> str:
    """Name of the kind of the records in a batch.

    >>> kind_of(marked(pa.RecordBatch.from_pylist([], sighting.SIGHTING), DARKNET_SOURCE))
    'darknet-source'
    """
    said = (batch.schema.metadata or {}).get(_MARK, PACKET.encode())
    return bytes(said).decode()
