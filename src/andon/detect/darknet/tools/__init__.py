"""Known tools: scanners and bots that give themselves away in the headers of their packets.

The catalogue (``catalogue.toml``) holds their relations, with source, date and chance rate; ``docs/known-tools.md``
explains it. A source is named when the number of its packets that satisfy a relation is out of reach of chance,
over all sources of the day: never on one 16-bit hit, and never by the share of its packets, which contamination,
several infections and address translation distort. Peers judge otherwise: CAIDA's corsaro3 marks single packets
by layout (TTL >= 200, window 1024, no options), Merit's darknet-events asks all sampled packets of an event to
match. ``benchmarks/tools`` measures the difference.
"""

from __future__ import annotations

from andon.detect.darknet.tools.engine import ToolsEngine
from andon.records.contract import Engine, Nothing, Site

from .summary import ToolsSummary


def engine(site: Site) -> Engine[ToolsSummary, Nothing]:
    """Entry point ``andon.engines``: the engine for this site."""
    return ToolsEngine(site)


__all__ = ["ToolsEngine", "ToolsSummary", "engine"]
