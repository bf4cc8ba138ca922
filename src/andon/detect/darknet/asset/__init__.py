"""Suspected infected devices: lists of systems against what the telescope and the honeypots saw of their addresses.

A family's marks (fingerprint, set of ports, token, ...) seen from an address that somebody has listed is a suspicion.
It is one about the *device* only where leases show that this system, and no other, had the address (``cases``);
otherwise it is one about the address, and says so. One finding for each (system or address, family), with a revision on
material change.

Survey organisations, scans with public tools and loaders are no infections. Nobody is scanned back and nothing is
looked up. Addresses of the telescope are in no text, nor are those of honeypots.

Settings ``darknet.asset.*``: ``rows`` (500,000 episodes of listed addresses remembered), ``days`` (30), ``least`` (3
sightings in the darknet, where no honeypot has seen it), ``told`` (500 findings a day).
"""

from __future__ import annotations

from andon.detect.darknet.asset.engine import AssetEngine
from andon.records.contract import Site


def engine(site: Site) -> AssetEngine | None:
    """None where no list of systems is given."""
    if site.assets is None or not site.assets.num_rows:
        return None
    return AssetEngine(site)


__all__ = ["AssetEngine", "engine"]
