"""Tier 2: what an expert would check about a case, done by machine. See ``decide.verify`` and docs/verification.md.

Pure functions over a case (``Subject``) and what is known (``Facts``): no clock, no I/O, nothing looked up outside.
"""

from andon.triage.verification.decide import ACT, DISMISS, INSPECT, audited, verify
from andon.triage.verification.facts import Coverage, Facts, History, Service
from andon.triage.verification.subject import Subject
from andon.triage.verification.tables import VERDICTS, TableFacts
from andon.triage.verification.weights import Weights, fit

__all__ = [
    "ACT", "DISMISS", "INSPECT", "VERDICTS", "Coverage", "Facts", "History", "Service", "Subject", "TableFacts",
    "Weights", "audited", "fit", "verify",
]  # fmt: skip
