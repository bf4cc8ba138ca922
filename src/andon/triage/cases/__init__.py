"""Findings and episodes become cases: whose they are, which belong together, and what is to be made of each case."""

from __future__ import annotations

from andon.triage.cases.group import Grouping, OpenCase, case_id
from andon.triage.cases.hosts import HostNames
from andon.triage.cases.items import Item, item_of_episode, item_of_finding

__all__ = ["Grouping", "HostNames", "Item", "OpenCase", "case_id", "item_of_episode", "item_of_finding"]
