"""Findings and episodes become cases in the casebook: after a batch analysis, and while ``andon run`` goes on."""

from __future__ import annotations

from andon.run.casework.published import InMemory, Published, Stored
from andon.run.casework.work import Casework

__all__ = ["Casework", "InMemory", "Published", "Stored"]
