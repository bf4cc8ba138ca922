"""Screening: which of a hundred thousand alerts are worth a look today?

Alerts of other products (``records.alert``) are put in order and folded (``summary``), become episodes (``episodes``)
with counters of what went on around them (``counters``, ``features``), get a score (``rank``), a place in the day's
queue (``queue``), a tier (``tiers``, ``conformal``) and reasons (``reasons``). Spans of ten minutes publish
``episodes`` for those who watch; the span of a day publishes its final ranks and raises a finding for each one to
inspect or to audit. Sites (tenants) are independent of one another.

Settings ``triage.screening.*``: ``model`` ("shipped": the learned model that is there, else rarity; "rarity":
first-seen rarity, no labels), ``budget`` (100 looks a day and site), ``audit`` (0.01 of what is screened out),
``audit_budget`` (0.1: audits are at most so much of the budget),
``alpha`` (0.1 of true episodes that may be missed), ``confidence`` (0.95), ``findings`` (1,000 a day), ``pairs``
(500,000 of rule and host in a span), ``remembered`` (1,000,000).
"""

from andon.triage.screening.engine import ScreeningEngine, engine

__all__ = ["ScreeningEngine", "engine"]
