"""ChangeFinder: does the number of packets or of sources change its course, on a port or on the whole telescope?

A reference engine: two-stage learning of autoregressive models with forgetting (Takeuchi and Yamanishi, "A Unifying
Framework for Detecting Outliers and Change Points from Time Series", IEEE TKDE 18(4), 2006), with the parameters with
which Dark-TRACER (Han, Takeuchi, Takahashi, Inoue, IEEE Access 10, 2022) was compared with it: order 2, forgetting
0.005, means over 10 and then 5 points, threshold 3, the first 15 points ignored (``sdar``). There it looked at the
packets and hosts of a day; here also at each port, every ten minutes, so that it can be compared with the other
engines on one table of alerts. ``docs/glasso.md`` has its settings. It runs on request alone (``andon analyze --with
darknet.changefinder``).
"""

from __future__ import annotations

from andon.detect.darknet.changefinder.engine import ChangeFinder
from andon.records.contract import Site

__all__ = ["ChangeFinder", "engine"]


def engine(site: Site) -> ChangeFinder:
    """The engine for a site. Raises ValueError for settings that make no sense."""
    return ChangeFinder(site)
