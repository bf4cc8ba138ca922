"""What a person is shown of a bus: by ``andon status`` and the table of ``andon run``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def lines(bus: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A line for what is sent and one for each source that reads.

    >>> sent = {"topic": "andon", "sensor": "tokyo", "waiting": 0, "messages": 2, "rows": 900, "nbytes": 25_000,
    ...         "left_out": 0}
    >>> lines({"": sent})
    ['bus       tokyo to topic andon: 2 messages, 900 rows, 0.0 MB sent, 0 segments wait']
    """
    said = []
    for name, one in bus.items():
        if not name:
            left = f", {one['left_out']:,} records too large" if one["left_out"] else ""
            said.append(
                f"bus       {one['sensor']} to topic {one['topic']}: {one['messages']:,} messages, "
                f"{one['rows']:,} rows, {one['nbytes'] / 1e6:,.1f} MB sent, {one['waiting']:,} segments wait{left}"
            )
            continue
        odd = [
            f"{one[key]:,} {word}"
            for key, word in (
                ("duplicates", "messages twice"), ("refused", "messages passed over"), ("gaps", "gaps"),
                ("lost", "packets lost"), ("doubled", "messages taken by another analyser too"),
            )
            if one[key]
        ]  # fmt: skip
        behind = sum(one["lag"].values())
        said.append(
            f"bus       {name}: topic {one['topic']}, {len(one['partitions'])} partitions, {behind:,} messages behind, "
            f"{one['sensors']:,} sensors, {one['rows']:,} rows{', ' if odd else ''}{', '.join(odd)}"
        )
    return said
