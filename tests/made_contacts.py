"""Contacts written down as rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from andon.records.contact import CONTACT
from andon.records.kinds import CONTACT as KIND
from andon.records.kinds import marked


def contact_batch(rows: Sequence[Mapping[str, Any]]) -> pa.RecordBatch:
    """A batch of rows that have every field of ``CONTACT``; ``ts`` in ns."""
    return record_batch(rows, CONTACT, KIND)


def record_batch(rows: Sequence[Mapping[str, Any]], schema: pa.Schema, kind: str) -> pa.RecordBatch:
    """A batch of rows that have every field of a schema; times in ns."""
    columns = []
    for field in schema:
        values = [row[field.name] for row in rows]
        if pa.types.is_dictionary(field.type):
            columns.append(pa.array(values, pa.string()).dictionary_encode())
        elif pa.types.is_timestamp(field.type):
            columns.append(pa.array(values, pa.int64()).cast(field.type))
        else:
            columns.append(pa.array(values, field.type))
    return marked(pa.RecordBatch.from_arrays(columns, schema=schema), kind)
