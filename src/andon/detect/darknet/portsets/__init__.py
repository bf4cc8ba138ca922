"""Port sets: families of malware by the destination ports they scan, their lineage, and an alarm when one is born.

Malware comes with a list of ports and weights; the first Mirai scanned 23 and 2323 at nine to one. A family is such a
set with weights, found without a list: ports that sources scan together far more often than independent scanners
would (``chance``, ``candidates``), explained by a mixture over sources of which most show only a part of their set
(``mixture``, ``analysis``). Families are traced from day to day through the lattice of sets (``lineage``); a set that
was not there for 60 days raises an alarm within the hour (``births``); what neither a fingerprint nor a port set
explains is counted (``coverage``). Method: lists of ports as a trace of malware follow the port-set work of the NICTER
group of which only titles are public ("Destination port set analysis via Internet-wide scanner fingerprint", CSS
2022); the mixture, its background and the tests are our own.

Not seen by this engine: families of one port, which look like everybody's (they appear as the origin of a line, and
as a birth where the port is new); sets of more than 16 ports; ports with less than 0.4 % of a family's packets; a
source whose fifth packet goes elsewhere.
"""

from __future__ import annotations

from andon.detect.darknet.portsets.engine import PortSets
from andon.records.contract import Site


def engine(site: Site) -> PortSets:
    """The engine for a site."""
    return PortSets(site)


__all__ = ["PortSets", "engine"]
