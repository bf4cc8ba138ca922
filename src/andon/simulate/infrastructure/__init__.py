"""Campaigns with known infrastructure in a world of innocent owners, as the operator's feeds would show them.

Written before and apart from ``triage.infrastructure`` and sharing no code with it: names, servers, personas and
samples are drawn from a story of how campaigns are run, not from a model of how graphs are read.
"""

from .scenario import Scenario
from .write import Made, simulate

__all__ = ["Made", "Scenario", "simulate"]
