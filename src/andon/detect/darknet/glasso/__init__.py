"""Dark-GLASSO: networks that move together, found by the density of a sparse graph of partial correlations.

A reference engine: the method of Han, Shimamura, Takahashi, Inoue, Takeuchi, Nakao, "Real-Time Detection of Global
Cyberthreat Based on Darknet by Estimating Anomalous Synchronization Using Graphical Lasso", IEICE Trans. E103-D(10),
2020, and of Dark-TRACER (Han, Takeuchi, Takahashi, Inoue, IEEE Access 10, 2022), with the parameters of its
published code, to be compared with Andon's own engines. Ten minutes are cut into twelve samples of 50 s; the
packets of up to 1,000 source networks (/16) are counted in each; the log counts' covariance gives, by the
graphical lasso with six penalties rho, six sparse precision matrices (``solver``). The share of non-zero entries
is the density; a density that stands out of the last three days (``removal``) is an alert, and the ports asked by
many of the networks are named (``ports``).

What differs from the published form: time is cut in UTC; the choice among more than 1,000 networks is by a keyed hash
and not unseeded, so that a run can be repeated; rho is a list. Every known fault of the method can be set right by a
setting; ``docs/glasso.md`` lists them. The engine runs on request alone (``andon analyze --with darknet.glasso``).
"""

from __future__ import annotations

from andon.detect.darknet.glasso.engine import Glasso
from andon.records.contract import Site

__all__ = ["Glasso", "engine"]


def engine(site: Site) -> Glasso:
    """The engine for a site. Raises ValueError for settings that make no sense."""
    return Glasso(site)
