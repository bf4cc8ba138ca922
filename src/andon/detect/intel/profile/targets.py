"""What a family is after: from its exploits, from reports, and from what the systems that it runs on are.

The last one: of the addresses known from partners' lists, those seen with the family's marks are compared by class of
device with all that were seen in the darknet with any mark (Fisher's exact test, one side, Benjamini and Hochberg over
all classes and families). A list's address counts at the day it was seen, within the lease that the list gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from andon.detect.intel.profile.items import FINGERPRINT, PORT_SET, SEPARATOR, is_tool, item
from andon.detect.intel.profile.memory import Memory

_FALSE: Final = 0.01  # share of false classes among those told
_LEAST: Final = 3  # devices of the class
_MOST: Final = 2_000  # assets of a class that are remembered for a mark
ANY: Final = ""  # all marks together
_MARKS: Final = 100  # of one day and kind
_SOURCES: Final = 3  # of a mark on a day


class KnownSystems:
    """The addresses of the lists as intervals, with class of device and lease."""

    def __init__(self, assets: pa.Table | None) -> None:
        self.first = np.zeros(0, np.int64)
        if assets is None or not assets.num_rows:
            return
        first = assets["first"].to_numpy(zero_copy_only=False).astype(np.int64)
        last = assets["last"].to_numpy(zero_copy_only=False).astype(np.int64)
        device = np.array(assets["device"].to_pylist(), dtype=object)
        # A prefix of an organisation says nothing of a device.
        good = (first >= 0) & (last - first < 4) & (device != "")
        order = np.flatnonzero(good)
        order = order[np.argsort(first[order], kind="stable")]
        self.first, self.last, self.device = first[order], last[order], device[order]
        names = assets["asset"].to_pylist()
        self.name = [names[n] or f"{first[n]}" for n in order.tolist()]
        self.begin = _times(assets["valid_from"], np.iinfo(np.int64).min)[order]
        self.end = _times(assets["valid_to"], np.iinfo(np.int64).max)[order]

    def __len__(self) -> int:
        return len(self.first)

    def of(self, addresses: np.ndarray, begin: int, end: int) -> dict[str, set[int]]:
        """Class -> hashes of the assets that had one of these addresses at some time of the span (ns)."""
        found: dict[str, set[int]] = {}
        if not len(self.first):
            return found
        low = np.searchsorted(self.first, addresses - 3)
        high = np.searchsorted(self.first, addresses, "right")
        for address, a, b in zip(addresses.tolist(), low.tolist(), high.tolist(), strict=True):
            for place in range(a, b):
                if self.last[place] >= address and self.begin[place] < end and self.end[place] > begin:
                    found.setdefault(self.device[place], set()).add(_number(self.name[place]))
        return found


def _times(column: Any, missing: int) -> np.ndarray:
    found: np.ndarray = column.cast(pa.int64()).fill_null(missing).to_numpy(zero_copy_only=False)
    return found.astype(np.int64)


def _number(name: str) -> int:
    import hashlib

    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=6).digest(), "little")


def enter(
    memory: Memory, known: KnownSystems, sources: pa.Table | None, sets: pa.Table | None, begin: int, end: int
) -> None:
    """The known systems among the day's sources of each mark."""
    if not len(known):
        return
    groups: dict[str, np.ndarray] = {}
    for kind, table, column in ((FINGERPRINT, sources, "fingerprint"), (PORT_SET, sets, "ports")):
        if table is None or not table.num_rows:
            continue
        coded = table[column].combine_chunks().dictionary_encode()
        codes = coded.indices.to_numpy(zero_copy_only=False)
        address = table["src"].to_numpy().astype(np.int64)
        counts = np.bincount(codes, minlength=len(coded.dictionary))
        names = coded.dictionary.to_pylist()
        ordered = sorted(range(len(names)), key=lambda n: (-int(counts[n]), names[n]))
        for code in [n for n in ordered if counts[n] >= _SOURCES and names[n] and not is_tool(names[n])][
            :_MARKS
        ]:
            groups[item(kind, names[code])] = np.unique(address[codes == code])
        if kind == PORT_SET or ANY not in groups:
            groups[ANY] = np.unique(np.concatenate([groups.get(ANY, address[:0]), address]))
    for mark, addresses in sorted(groups.items()):
        held = memory.kinds.setdefault(mark, {})
        for device, assets in sorted(known.of(addresses, begin, end).items()):
            held[device] = sorted({*held.get(device, []), *assets})[:_MOST]


@dataclass(frozen=True)
class Enriched:
    """``seen`` of ``known`` systems with the family's marks are of this class; ``expected`` if they were as all are."""

    device: str
    seen: int
    known: int
    expected: float
    p: float


def enriched(memory: Memory, marks: Mapping[int, list[str]]) -> dict[int, list[Enriched]]:
    """For each family (place -> its marks) the classes of device that it is on more often than scanners at large."""
    base = {device: set(assets) for device, assets in memory.kinds.get(ANY, {}).items()}
    total = len(set().union(*base.values())) if base else 0
    tests: list[tuple[float, int, Enriched]] = []
    if not total:
        return {}
    from scipy.stats import hypergeom

    for place, mine in sorted(marks.items()):
        of: dict[str, set[int]] = {}
        for mark in mine:
            for device, numbers in memory.kinds.get(mark, {}).items():
                of.setdefault(device, set()).update(numbers)
        known = len(set().union(*of.values())) if of else 0
        for device, assets in sorted(of.items()):
            everywhere = max(len(base.get(device, ())), len(assets))
            p = float(hypergeom.sf(len(assets) - 1, max(total, known), everywhere, known))
            tests.append(
                (p, place, Enriched(device, len(assets), known, round(known * everywhere / total, 2), p))
            )
    tests.sort(key=lambda one: (one[0], one[1], one[2].device))
    passed = 0
    for rank, (p, _, _) in enumerate(tests, 1):
        if p <= _FALSE * rank / len(tests):
            passed = rank
    found: dict[int, list[Enriched]] = {}
    for _, place, one in tests[:passed]:
        if one.seen >= _LEAST:
            found.setdefault(place, []).append(one)
    return found


__all__ = ["SEPARATOR", "Enriched", "KnownSystems", "enriched", "enter"]
