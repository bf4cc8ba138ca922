"""What is remembered between spans: the densities of each rho."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from andon.detect.darknet.glasso.removal import PUBLISHED_LENGTH, Removal, distance_of, remove, theta_at
from andon.sketch.state import StateError, pack, unpack

LEAST: Final = 12  # densities, below which nothing is judged: one of them could not stand out far enough


@dataclass(frozen=True)
class History:
    """For each rho the densities so far, oldest first; at most twice as many as are judged, so that the ones taken away
    as alerts can be made up for by older ones. ``seen`` is the number of spans taken in."""

    rho: tuple[float, ...]
    densities: tuple[np.ndarray, ...]
    seen: int = 0

    @classmethod
    def empty(cls, rho: tuple[float, ...] = ()) -> Self:
        return cls(rho, tuple(np.zeros(0) for _ in rho))

    def judge(
        self, found: list[float], theta: float, length: int, warm_up: int, forget: bool
    ) -> tuple[History, list[Removal | None]]:
        """Take in the densities of a span, in the order of ``rho``; gives the new history and a judgement each, None
        for the first ``warm_up`` - 1 spans. ``theta`` is meant for 432 densities; ``forget``: alerts do not stay."""
        distance = distance_of(theta)
        kept: list[np.ndarray] = []
        judged: list[Removal | None] = []
        for past, density in zip(self.densities, found, strict=True):
            grown = np.append(past, density)
            window = grown[-length:]
            n = len(window)
            result = None
            if self.seen + 1 >= warm_up and n >= LEAST:
                result = remove(window, theta if n == PUBLISHED_LENGTH else theta_at(distance, n))
                if forget and result.removed:
                    order = np.argsort(-window, kind="stable")[: result.removed]
                    grown = np.delete(grown, len(grown) - n + order)
            judged.append(result)
            kept.append(grown[-2 * length :])
        return History(self.rho, tuple(kept), min(self.seen + 1, 2 * length)), judged

    def to_bytes(self) -> bytes:
        arrays = {
            "rho": np.array(self.rho, np.float64),
            "lengths": np.array([len(d) for d in self.densities], np.int64),
            "densities": np.concatenate([np.zeros(0), *self.densities]),
        }
        return pack("glasso-history", 1, arrays, {"seen": self.seen})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        arrays, scalars = unpack("glasso-history", 1, data)
        try:
            rho, lengths, densities = arrays["rho"], arrays["lengths"], arrays["densities"]
            seen = scalars["seen"]
        except KeyError as error:
            raise StateError(f"damaged history: no {error}") from error
        if len(rho) != len(lengths) or np.any(lengths < 0) or int(lengths.sum()) != len(densities):
            raise StateError("damaged history: lengths do not fit")
        parts = np.split(densities, np.cumsum(lengths)[:-1]) if len(lengths) else []
        return cls(tuple(rho.tolist()), tuple(parts), seen)
