"""Zeek's notice.log (``logs.zeek`` reads the lines): the rule is the type of a notice (SSH::Password_Guessing)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pyarrow as pa

from andon.observe.alerts.columns import Inside, alerts
from andon.observe.alerts.documents import raw_of
from andon.observe.alerts.shape import settled
from andon.observe.jsonlines import Block, Skipped
from andon.observe.jsonlines.kernel import ABSENT
from andon.observe.logs import encode
from andon.records.alert import BLOCKED, NOT_TOLD

NO_NOTE: Final = "notice log of Zeek: no note"


def records(
    block: Block, times: np.ndarray, skipped: Skipped, name: Callable[[str], str], inside: Inside
) -> tuple[str, pa.RecordBatch] | None:
    """Alerts of a block. ``name``: how a field is spelled."""
    good = block.filled(name("note"))
    if not good.all():
        bad = block.line[~good]
        skipped.add(int(bad[0]), NO_NOTE, len(bad))
        if not good.any():
            return None
        block, times = block.of(good), times[good]

    def places(field: str) -> encode.Places:
        data, begins, ends, kinds = block.places(name(field))
        unset = (
            (kinds != ABSENT) & (ends - begins == 1) & (data[np.where(kinds != ABSENT, begins, 0)] == 0x2D)
        )
        return data, begins, ends, np.where(unset, ABSENT, kinds)

    def word(*fields: str) -> Any:
        made = places(fields[0])
        for field in fields[1:]:
            made = encode.either(made, places(field))
        return encode.words(made)

    port = encode.clamped(block.integers(name("p")))
    responder = encode.clamped(block.integers(name("id.resp_p")))
    dropped = word("dropped")
    columns: dict[str, Any] = {
        "ts": times,
        "rule": word("note"),
        "title": word("note"),
        "src": word("src", "id.orig_h"),
        "dst": word("dst", "id.resp_h"),
        "src_port": encode.clamped(block.integers(name("id.orig_p"))),
        "dst_port": np.where(port >= 0, port, responder),
        "protocol": word("proto"),
        "uid": word("uid"),
        "disposition": np.where(
            np.isin(np.asarray(dropped.cast(pa.string())), ("T", "true")), BLOCKED, NOT_TOLD
        ),
        "raw": raw_of(block),
    }
    settled(columns, fixed=True)
    columns["product"] = encode.constant("zeek", len(block))
    return alerts(len(block), "zeek-notice", columns, inside, block.line - 1)
