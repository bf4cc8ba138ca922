"""Sessions without the binaries that were sent in them (``records.binaries``), before anything else sees them.

Commands, URIs and bodies keep length and digest of a binary in its place. A payload that holds a program (ELF, PE, ZIP)
keeps the bytes before it: the request that carried it can still be read, and its SHA-256 is entered where the honeypot
gave none.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.records import binaries

# What may be a binary; RE2 looks through a whole column, Python at the few that it finds.
_MAY_BE: Final = (
    r"(?:\\{1,2}x[0-9a-fA-F]{2}|\\{1,2}0?[0-3][0-7]{2}){8}|[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]|"
    r"(?i:7f454c46|4d5a9000|504b0304)|PK\x03\x04|\x{fffd}{4}"
)
_SIGNS: Final = (  # of which a binary has one: an escape, digits of a magic in either case, characters that were lost
    b"\\", b"454c46", b"454C46", b"5a90", b"5A90", b"504b03", b"504B03", b"\xef\xbf\xbd" * 4,
)  # fmt: skip
_CONTROL: Final = bytes(byte for byte in (*range(32), 127) if byte not in (9, 10, 11, 12, 13, 27))
_MAGIC: Final = re.compile(r"7f454c46|4d5a9000|504b0304", re.I)


def scrubbed(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch of ``SESSION`` without binaries; the batch itself where it has none."""
    for name, members in (("commands", ("input",)), ("requests", ("uri", "body"))):
        batch = _with(batch, name, members)
    return _payloads(batch)


def _with(batch: pa.RecordBatch, name: str, members: tuple[str, ...]) -> pa.RecordBatch:
    values = batch.column(name).values
    if not any(_suspect(values.field(member)) for member in members):
        return batch
    flat = pc.list_flatten(batch.column(name))
    changed: dict[str, pa.Array] = {}
    for member in members:
        texts = flat.field(member)
        rows = np.flatnonzero(
            pc.fill_null(pc.match_substring_regex(texts, _MAY_BE), False).to_numpy(zero_copy_only=False)
        )
        if not len(rows):
            continue
        clean = [binaries.cut(one, undo=False) for one in texts.take(pa.array(rows)).to_pylist()]
        mask = np.zeros(len(texts), np.bool_)
        mask[rows] = True
        changed[member] = pc.replace_with_mask(texts, pa.array(mask), pa.array(clean, pa.string()))
    return _replaced(batch, name, flat, changed) if changed else batch


def _suspect(texts: pa.StringArray) -> bool:
    """Whether the bytes of a column can hold a binary at all; at the speed of memory."""
    data = bytes(texts.buffers()[2] or b"")
    return any(sign in data for sign in _SIGNS) or len(data) != len(data.translate(None, _CONTROL))


def _payloads(batch: pa.RecordBatch) -> pa.RecordBatch:
    flat = pc.list_flatten(batch.column("payloads"))
    sent = flat.field("hex")
    found = pc.fill_null(pc.match_substring_regex(sent, "(?i)7f454c46|4d5a9000|504b0304"), False)
    rows = np.flatnonzero(found.to_numpy(zero_copy_only=False))
    texts, digests = {}, {}
    for row, text in zip(rows.tolist(), sent.take(pa.array(rows)).to_pylist(), strict=True):
        # A magic begins at a whole byte, or these are other digits.
        at = next((one.start() for one in _MAGIC.finditer(text) if one.start() % 2 == 0), -1)
        if at >= 0:
            texts[row] = text[:at]
            digests[row] = _digest(text)
    if not texts:
        return batch
    mask = np.zeros(len(sent), np.bool_)
    mask[list(texts)] = True
    changed = {"hex": pc.replace_with_mask(sent, pa.array(mask), pa.array([*texts.values()], pa.string()))}
    own = flat.field("sha256")
    given = pc.replace_with_mask(own, pa.array(mask), pa.array([*digests.values()], pa.string()))
    changed["sha256"] = pc.coalesce(own, given)
    return _replaced(batch, "payloads", flat, changed)


def _digest(text: str) -> str | None:
    try:
        return sha256(bytes.fromhex(text)).hexdigest()
    except ValueError:
        return None


def _replaced(
    batch: pa.RecordBatch, name: str, flat: pa.StructArray, changed: dict[str, Any]
) -> pa.RecordBatch:
    fields = list(flat.type)
    parts = [changed.get(field.name, flat.field(field.name)) for field in fields]
    lengths = pc.fill_null(pc.list_value_length(batch.column(name)), 0).to_numpy(zero_copy_only=False)
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
    made = pa.ListArray.from_arrays(pa.array(offsets), pa.StructArray.from_arrays(parts, fields=fields))
    return batch.set_column(batch.schema.get_field_index(name), batch.schema.field(name), made)
