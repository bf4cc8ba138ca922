"""What every detector of coordinated activity publishes, so that they can be compared and can agree.

``ALERTS``: one row per (span, port, direction) that an engine looked at twice. ``score`` grows with surprise and is
comparable within one engine only; rows below the engine's own threshold are there too (``alerted`` false) down to a
floor of its choice, so that a benchmark can move the threshold and compare engines at an equal rate of false alerts.

``ACTIVITY``: the course of a port around an alert, for plots.
"""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

START, STOP = "start", "stop"
_TIME = pa.timestamp("ns", tz="UTC")


def _schema(*fields: tuple[str, pa.DataType]) -> pa.Schema:
    made: list[pa.Field[Any]] = [pa.field(name, kind, nullable=False) for name, kind in fields]
    return pa.schema(made)


ALERTS: Final = _schema(
    ("start", _TIME),  # of the span that was concluded: nobody could have been told before its end
    ("end", _TIME),
    ("begins", _TIME),  # when the activity began (START) or ended (STOP), as the engine estimates it
    ("direction", pa.string()),  # START or STOP
    ("port", pa.uint16()),  # destination port; 0 for protocols without ports
    ("protocol", pa.uint8()),  # IP protocol: 6 TCP, 17 UDP, 1 ICMP
    ("sources", pa.int64()),  # addresses that take part, as far as the engine knows
    ("blocks", pa.int64()),  # distinct /16 networks of these
    ("score", pa.float64()),
    ("alerted", pa.bool_()),  # the engine's own threshold was passed, and a finding says so
    ("series", pa.string()),  # Finding.series of that finding, or ""
)

ACTIVITY: Final = _schema(
    ("series", pa.string()),  # of the finding it belongs to
    ("port", pa.uint16()),
    ("protocol", pa.uint8()),
    ("start", _TIME),  # of the bin
    ("end", _TIME),
    ("sources", pa.int64()),  # distinct in the bin
    ("new_sources", pa.int64()),  # of these, not seen before
    ("expected", pa.float64()),  # new sources the baseline expects
)
