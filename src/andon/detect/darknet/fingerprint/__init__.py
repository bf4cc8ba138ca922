"""Fingerprints that nobody has listed: relations that many scanners' packets share, found by exact search.

Scanners put a mark into the packets they send so as to know the answers again. ``discover`` finds such marks by
algebra, layer by layer; ``ga`` is the published genetic search, as a baseline; this engine samples the packets,
runs the search once a day and remembers what it found. ``docs/fingerprints.md`` explains it in plain words.
"""

from __future__ import annotations

# Importing the module ``engine`` sets a name of the package; the function below must be the later one.
from andon.detect.darknet.fingerprint.engine import FingerprintEngine
from andon.records.contract import Engine, Site

from .carry import Families
from .summary import FingerprintSummary


def engine(site: Site) -> Engine[FingerprintSummary, Families]:
    """Entry point ``andon.engines``: the engine for this site."""
    return FingerprintEngine(site)


__all__ = ["FingerprintEngine", "FingerprintSummary", "engine"]
