"""Countries and autonomous systems of the sources, if the operator gave a table of places."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from andon.records.contract import Locator

Places = Locator | None
_MOST = 200_000  # sources that are looked up; those with most packets first


@dataclass(frozen=True)
class Located:
    """Tops as (name, packets, sources), most packets first; ``looked_up`` of ``sources`` sources."""

    countries: tuple[tuple[str, int, int], ...]
    systems: tuple[tuple[str, int, int], ...]
    looked_up: int
    sources: int


def locate(locator: Places, sources: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Located | None:
    """Countries and systems by packets; None without a table."""
    if locator is None:
        return None
    address, packets, _ = sources
    if len(address) > _MOST:
        keep = np.sort(np.lexsort((address, -packets))[:_MOST])
        address, packets = address[keep], packets[keep]
    countries, systems = locator.locate(address)
    return Located(_tops(countries, packets), _tops(systems, packets), len(address), len(sources[0]))


def _tops(names: list[str], packets: np.ndarray) -> tuple[tuple[str, int, int], ...]:
    total: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for name, count in zip(names, packets.tolist(), strict=True):
        entry = total[name or "unknown"]
        entry[0] += count
        entry[1] += 1
    ranked = sorted(total.items(), key=lambda item: (-item[1][0], item[0]))
    return tuple((name, sent, number) for name, (sent, number) in ranked[:10])
