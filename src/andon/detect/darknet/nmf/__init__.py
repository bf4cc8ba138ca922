"""Dark-NMF: groups of networks that are busy in the same minutes, and the ports they share.

Han, Shimamura, Takahashi, Inoue, Takeuchi, Nakao, "Dark-NMF" (TrustCom 2021), one of the three engines of Dark-TRACER
(IEEE Access 10, 2022); parameters as in the code its authors published. Half an hour of requests is a matrix of minutes
by /16 networks; it is factorised into 1, 2, ... 10 components (``factorise``); each component is a group, and ports
that a third of its networks ask for are alerted (``groups``). In mode 0 a second factorisation, of addresses and ports,
has to agree (``second``). Setting ``rules = "corrected"`` mends the faults known of the published code, one switch each
(docs/factorisation.md).

Runs on request. A detector of reference: for alerts to act on there is ``darknet.synchrony``.
"""

from __future__ import annotations

from typing import ClassVar

from andon.detect.darknet.nmf.settings import NAMES, NmfSetting
from andon.detect.darknet.nmf.span import analyse
from andon.records.contract import Site
from andon.sketch.factors.engine import FactorEngine, used


def engine(site: Site) -> NmfEngine:
    return NmfEngine(site)


class NmfEngine(FactorEngine[NmfSetting]):
    """See the module text."""

    name: ClassVar[str] = "darknet.nmf"
    version: ClassVar[int] = 1
    uses: ClassVar[tuple[str, ...]] = used("darknet.nmf", NAMES)

    def __init__(self, site: Site) -> None:
        super().__init__(site, NmfSetting.of(site, self.name), analyse)


__all__ = ["NmfEngine", "engine"]
