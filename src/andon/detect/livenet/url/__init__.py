"""URLs and host names that look malicious: a learned model over what contacts show (see ``engine``)."""

from __future__ import annotations

from andon.detect.livenet.url.engine import UrlEngine
from andon.records.contract import Site


def engine(site: Site) -> UrlEngine:
    return UrlEngine(site)


__all__ = ["UrlEngine", "engine"]
