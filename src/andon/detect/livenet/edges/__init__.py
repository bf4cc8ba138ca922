"""Who talked to whom inside: contacts folded once, for every engine that looks at terminals and destinations.

Lines of proxies and sensors (``records.contact``) become one row for a terminal and a destination, with counts and a
sketch of its times (``store``, ``gather``, ``kernels``); at the end of a day hosts become destinations (``fold``),
lists give them colours (``lists``), the memory says since when the organisation knows them (``memory``), and
``tables`` writes ``edges``, ``destinations``, ``terminals`` and ``coverage`` (``records.livenet``). It makes no
findings but of what its bounds left out. docs/edges.md says how to read the tables.

Settings: ``livenet.edges.edges`` (8,000,000) rows that are kept of a span; ``names`` (200) of a registered domain
before they fold into ``*.domain``; ``days`` (60) until a destination is forgotten and ``memory`` (8,000,000)
destinations that are remembered; ``rank`` (10,000), the last place of a popularity list that is white; ``fresh``
(30) days that a black entry is fresh; ``flows`` (2): when flows count
as contacts (``flows``): 0 never, 1 where no contact names the address, 2 on days without any contact.
"""

from andon.detect.livenet.edges.engine import EdgesEngine, engine

__all__ = ["EdgesEngine", "engine"]
