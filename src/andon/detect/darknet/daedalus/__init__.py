"""DAEDALUS: tells organisations which of their own addresses the darknet hears. See ``engine``."""

from __future__ import annotations

from andon.detect.darknet.daedalus.engine import Daedalus
from andon.records.contract import Site

__all__ = ["Daedalus", "engine"]


def engine(site: Site) -> Daedalus | None:
    """The engine for a site; None where no organisation is registered. Raises ValueError for prefixes, names,
    relations or settings that make no sense."""
    return Daedalus(site) if site.organisations else None
