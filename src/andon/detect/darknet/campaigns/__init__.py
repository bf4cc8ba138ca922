"""Campaigns: groups of sources that act alike, traced over weeks under one name though their addresses change.

After Han, Tanaka, Takeuchi, Takahashi, Morikawa and Lin, "Towards long-term continuous tracing of Internet-wide
scanning campaigns based on darknet analysis", ICISSP 2023 (10.5220/0011769300003405): non-negative matrix factorisation
of a short window, shifted little by little and held on the overlap to the result before, so that a basis, a group of
scanners with one course in time, stays what it was. ``nmf`` is that method as far as it can be read.

The default differs in what it factorises and in how identity is kept. A day's sources are cut by header class, which
does not depend on addresses (``profile``), and told apart within a class by their ports, tools and networks in a
factorisation that starts from the campaigns known (``mixture``, ``units``). The groups of a day are then assigned to
the campaigns of before by evidence that is added up and shown (``evidence``, ``track``), so that a person sees why two
are called the same. A group that fits none is a birth if it is new in time as well (``usual``). Births, growth,
pauses, changes and deaths follow fixed rules (``changes``).
"""

from andon.detect.darknet.campaigns.engine import CampaignsEngine, engine

__all__ = ["CampaignsEngine", "engine"]
