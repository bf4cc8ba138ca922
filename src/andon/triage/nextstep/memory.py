"""What is remembered of steps: the two chains, numbers of hosts and signatures, and how well each day was
foretold."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Final, Self

import numpy as np

from andon.sketch.state import join, pack, split, unpack
from andon.triage.prediction.gate import KEPT
from andon.triage.prediction.markov import Chain

SIGNATURES: Final = 65_536
_SIZE: Final = 1 << 16

Signature = tuple[str, str, str]  # product, rule, title


@dataclass
class Steps:
    """``chain``: of order 5; ``one``: of order 1, the bar. ``errors``: (2, KEPT) share of a day's steps that they
    did not foretell, NaN before. ``counts`` of today: steps, foretold by the chain, by the bar, said with
    confidence, of these foretold. ``day`` since 1970. ``left_out``: steps for which there was no room."""

    chain: Chain = field(default_factory=lambda: Chain.new(_SIZE))
    one: Chain = field(default_factory=lambda: Chain.new(_SIZE, 1))
    hosts: dict[tuple[str, str], int] = field(default_factory=dict)  # (site, host)
    signatures: dict[Signature, int] = field(default_factory=dict)
    errors: np.ndarray = field(default_factory=lambda: np.full((2, KEPT), np.nan))
    counts: np.ndarray = field(default_factory=lambda: np.zeros(5, np.int64))
    day: int = -1
    left_out: int = 0
    shown: bool = False

    def copy(self) -> Steps:
        return Steps(
            self.chain.copy(), self.one.copy(), dict(self.hosts), dict(self.signatures), self.errors.copy(),
            self.counts.copy(), self.day, self.left_out, self.shown,
        )  # fmt: skip

    def to_bytes(self) -> bytes:
        names = json.dumps([list(self.hosts), list(self.signatures)], ensure_ascii=True).encode()
        own = pack(
            "steps",
            1,
            {"names": np.frombuffer(names, np.uint8), "errors": self.errors, "counts": self.counts},
            {"day": self.day, "left_out": self.left_out, "shown": int(self.shown)},
        )
        return join(own, join(self.chain.to_bytes(), self.one.to_bytes()))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        own, rest = split(data)
        chain, one = (Chain.from_bytes(part) for part in split(rest))
        arrays, scalars = unpack("steps", 1, own)
        hosts, signatures = json.loads(arrays["names"].tobytes())
        return cls(
            chain, one, {(a, b): at for at, (a, b) in enumerate(hosts)},
            {(a, b, c): at for at, (a, b, c) in enumerate(signatures)}, arrays["errors"], arrays["counts"],
            scalars["day"], scalars["left_out"], bool(scalars["shown"]),
        )  # fmt: skip
