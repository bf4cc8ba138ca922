"""Packets of families that are given by an expression: the solved field is set after the others are drawn."""

from __future__ import annotations

import numpy as np

from .population import Population


class Solver:
    """Applies the relations of a population to rows."""

    def __init__(self, population: Population) -> None:
        self._population = population

    def apply(self, rows: np.ndarray) -> None:
        """Set the field that each row's relation determines, in place."""
        if not self._population.relations:
            return
        raise NotImplementedError
