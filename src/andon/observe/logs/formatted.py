"""A reader of lines that a ``logformat`` describes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from andon.observe.logs.contacts import Contacts
from andon.observe.logs.logformat import compiled
from andon.observe.logs.reading import TextLines
from andon.observe.logs.scan import tokens


class Formatted(TextLines):
    """Lines of a ``logformat``: the name of a built-in one, or its text. Raises ValueError for one that is none."""

    source = "squid"

    def __init__(self, logformat: str, state: Mapping[str, Any] | None = None) -> None:
        super().__init__(state)
        self.plan = compiled(logformat)
        self.logformat = logformat

    def state(self) -> dict[str, Any]:
        return {**super().state(), "logformat": self.logformat}

    def _shape(self) -> Contacts:
        return self.plan.contacts

    def _cut(
        self, data: np.ndarray, lines: np.ndarray, stops: np.ndarray, states: np.ndarray,
        begins: np.ndarray, ends: np.ndarray, kinds: np.ndarray,
    ) -> None:  # fmt: skip
        plan = self.plan
        tokens(
            data, lines, stops, states, plan.text, plan.offsets, plan.steps, plan.tail, begins, ends, kinds
        )
