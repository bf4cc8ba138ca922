"""A learned model as arrays and a card: what an engine needs of it, and nothing that could run code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Model:
    """``kind``: what it is for ("url"); ``arrays``: its numbers by name; ``card``: model card (JSON values): version,
    data with licences and dates, how it was made, what it reached on what, what it must not be used for."""

    kind: str
    arrays: Mapping[str, np.ndarray]
    card: Mapping[str, Any]

    @cached_property
    def digest(self) -> str:
        """Hex digest of arrays and card: when it changes, summaries made before do not fit."""
        made = hashlib.sha256(json.dumps(dict(self.card), sort_keys=True).encode())
        for name in sorted(self.arrays):
            array = np.ascontiguousarray(self.arrays[name])
            made.update(f"{name} {array.dtype.str} {array.shape}".encode())
            made.update(array.tobytes())
        return made.hexdigest()[:32]
