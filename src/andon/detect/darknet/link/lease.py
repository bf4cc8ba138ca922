"""How long an address stays with whoever has it, estimated for each /20 from sources that show a fingerprint.

A source shows the same fingerprint from its first sighting to its last: a stay, cut short by the end of the lease, of
the infection, or of what is remembered. Under a constant rate of leaving, the mean stay is the sum of all stays over
the number of those that ended (the estimator of exponential lifetimes with censoring; Moura et al., "How dynamic is
the ISPs address space?", IFIP Networking 2015, find that such rates differ between providers by orders of magnitude).
Infections that end make a stay look shorter than the lease, so a match is at worst thrown away, never made up. Where a
/20 has fewer than five sources its /16 answers, and where that has fewer too, a day is assumed.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from andon.detect.darknet.link.history import Darknet

DEFAULT: Final = 86_400
STRONG: Final = 86_400
SHORTEST: Final = 6 * 3600
_LEAST = 5
_SILENT = 2 * 86_400  # a source not seen for so long has left


class Leases:
    """Mean stays (s) by /20 and /16."""

    def __init__(self, dark: Darknet, end: int) -> None:
        marked = np.flatnonzero(dark.fingerprint >= 0)
        key = dark.src[marked].astype(np.int64) << 32 | dark.fingerprint[marked]
        order = np.argsort(key, kind="stable")
        _, begin = np.unique(key[order], return_index=True)
        first, last, src = (
            getattr(dark, n)[marked][order].astype(np.int64) for n in ("first", "last", "src")
        )
        if len(begin):
            start, until = np.minimum.reduceat(first, begin), np.maximum.reduceat(last, begin)
        else:
            start = until = first
        stay, ended = until - start, end - until > _SILENT
        source = src[begin]
        # Seen once: it may have stayed for a second or a week, and says nothing.
        often = stay > 0
        self._by = {
            prefix: _means((source >> (32 - prefix))[often], stay[often], ended[often]) for prefix in (20, 16)
        }

    def of(self, addresses: np.ndarray) -> np.ndarray:
        """Estimated stay (int64 s) at each address, ``DEFAULT`` where nothing is known."""
        out = np.full(len(addresses), DEFAULT, np.int64)
        for prefix in (16, 20):
            network, mean = self._by[prefix]
            if len(network):
                at = addresses.astype(np.int64) >> (32 - prefix)
                place = np.minimum(np.searchsorted(network, at), len(network) - 1)
                out = np.where(network[place] == at, mean[place], out)
        return out

    def reach(self, addresses: np.ndarray, farthest: int = STRONG) -> np.ndarray:
        """How far apart (s) a sighting and a session of an address may be to be of one device: its stay, but at least
        six hours and at most ``farthest``. Beyond a day the address may be the same and the tenant another, in the
        house or in the device: such matches (up to ``FARTHEST``) are counted beside a link and make none."""
        return np.asarray(np.clip(self.of(addresses), SHORTEST, farthest))


def _means(network: np.ndarray, stay: np.ndarray, ended: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    members, which, count = np.unique(network, return_inverse=True, return_counts=True)
    total = np.bincount(which, weights=stay, minlength=len(members))
    left = np.bincount(which, weights=ended, minlength=len(members))
    enough = count >= _LEAST
    mean = (total / np.maximum(left, 1)).astype(np.int64)
    return members[enough], mean[enough]
