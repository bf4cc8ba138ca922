"""Files of export packets of NetFlow 5, 9 and IPFIX (``observe.netflow``)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from andon.records.kinds import FLOW

if TYPE_CHECKING:
    from andon.observe.jsonlines import Skipped


class NetFlow:
    name = "netflow"
    kind = FLOW

    def recognise(self, head: bytes, name: str) -> bool:
        if head[:2] not in (b"\0\5", b"\0\x09", b"\0\x0a"):
            return False
        from andon.observe.netflow.files import recognise

        return recognise(head)

    def read(self, path: str | Path, skipped: Skipped) -> Iterator[pa.RecordBatch]:
        from andon.observe.netflow.files import records

        return records(path, skipped)


def sensor() -> NetFlow:
    return NetFlow()
