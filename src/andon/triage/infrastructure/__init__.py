"""The infrastructure graph: names, addresses, owners, certificates, files and cases, and who stands behind them.

    graph = build([relations...])                       # records.infrastructure.RELATION
    growth = grow(graph, ["evil.example"])              # one case to the whole campaign
    relations = from_findings(findings)                 # what Andon found, as relations

Pure functions over arrays; readers of feeds are in ``observe.enrichment``, STIX in ``share.infrastructure``.
"""

from andon.triage.infrastructure.communities import Community, communities, weekly
from andon.triage.infrastructure.export import graphml
from andon.triage.infrastructure.files import BadGraph, load, save
from andon.triage.infrastructure.findings import from_case, from_findings
from andon.triage.infrastructure.graph import Graph, build
from andon.triage.infrastructure.grow import grow
from andon.triage.infrastructure.growth import Growth, Member, Shared, Step
from andon.triage.infrastructure.lists import Warnings

__all__ = [
    "BadGraph", "Community", "Graph", "Growth", "Member", "Shared", "Step", "Warnings", "build", "communities",
    "from_case", "from_findings", "graphml", "grow", "load", "save", "weekly",
]  # fmt: skip
