"""Dark-NTD: networks that ask for the same ports in the same minutes, found in one tensor.

The tensor engine of Dark-TRACER (IEEE Access 10, 2022), in the low-rank non-negative form lraNTD; parameters as in
the code its authors published. Half an hour of requests is a sparse tensor of minutes, /16 networks and ports; it is
brought to a small core by fibres of itself (``fibres``), decomposed into non-negative factors from several random
starts (``tucker``), and networks and ports above a threshold in coupled columns are alerted (``groups``). Setting
``rules = "corrected"`` mends the faults known of the published code, one switch each (docs/factorisation.md).

Runs on request. A detector of reference: for alerts to act on there is ``darknet.synchrony``.
"""

from __future__ import annotations

from typing import ClassVar

from andon.detect.darknet.ntd.settings import NAMES, NtdSetting
from andon.detect.darknet.ntd.span import analyse
from andon.records.contract import Site
from andon.sketch.factors.engine import FactorEngine, used


def engine(site: Site) -> NtdEngine:
    return NtdEngine(site)


class NtdEngine(FactorEngine[NtdSetting]):
    """See the module text."""

    name: ClassVar[str] = "darknet.ntd"
    version: ClassVar[int] = 1
    uses: ClassVar[tuple[str, ...]] = used("darknet.ntd", NAMES)

    def __init__(self, site: Site) -> None:
        super().__init__(site, NtdSetting.of(site, self.name), analyse)


__all__ = ["NtdEngine", "engine"]
