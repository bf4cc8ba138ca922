"""Redirect chains: how terminals came to a malicious page, and whether they were lured or hit (see ``engine``)."""

from __future__ import annotations

from andon.detect.livenet.redirects.engine import RedirectEngine
from andon.records.contract import Site


def engine(site: Site) -> RedirectEngine:
    return RedirectEngine(site)


__all__ = ["RedirectEngine", "engine"]
