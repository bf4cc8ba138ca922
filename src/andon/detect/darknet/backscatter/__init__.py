"""Backscatter: who is attacked with forged senders, seen from addresses that nobody uses. See ``engine``."""

from __future__ import annotations

from andon.detect.darknet.backscatter.engine import Backscatter
from andon.records.contract import Site

__all__ = ["Backscatter", "engine"]


def engine(site: Site) -> Backscatter:
    """The engine for a site."""
    return Backscatter(site)
