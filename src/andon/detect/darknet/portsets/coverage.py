"""How much of a day is explained, and by what: each source counts once, under the first of these that holds.

1. a fingerprint that ``darknet.fingerprint`` found, or a tool that ``darknet.tools`` names;
2. a survey (``darknet.purpose`` or a list), or a sweeper of more than 16 ports: a set of ports is not asked for;
3. a port set: a family of two ports or more has it at 0.95, and no packet goes elsewhere (or, as ``mixed``, at most a
   fifth does, and two of its ports are there);
4. one of several families, at 0.95 together, none by itself;
5. a single port that was born here within 60 days;
6. nothing. Of these ``one_port`` scan a single port: they may belong to anybody. A busy port is no explanation, so they
   are never counted as explained, whatever their number.

Of a source with a family only the packets to its ports count as explained.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from andon.detect.darknet.portsets.analysis import SURE, Families

MARKED, SURVEY, SWEEPER, SET, MIXED, SEVERAL, NEW_PORT, ONE_PORT, OTHER = range(9)
NAMES = (
    "with_fingerprint", "survey", "sweeper", "port_set", "port_set_mixed", "several_sets", "new_port", "one_port",
    "other",
)  # fmt: skip
UNEXPLAINED = (ONE_PORT, OTHER)


@dataclass(frozen=True)
class Coverage:
    """``kind`` of each source; ``sources`` and ``packets`` by kind; ``one_target``: of the unexplained sources those
    that sent to a single dark address (perhaps forged, or a mistake)."""

    kind: np.ndarray
    sources: np.ndarray
    packets: np.ndarray
    one_target: int

    @property
    def total(self) -> int:
        return int(self.sources.sum())

    @property
    def by_port_set(self) -> int:
        return int(self.sources[[SET, MIXED, SEVERAL]].sum())

    @property
    def neither(self) -> int:
        return int(self.sources[list(UNEXPLAINED)].sum())

    @property
    def all_packets(self) -> int:
        return int(self.packets.sum())


def coverage(
    found: Families, real: np.ndarray, marked: np.ndarray, surveys: np.ndarray, new_ports: np.ndarray
) -> Coverage:
    """``found`` of all sources; ``real`` (bool by family): large enough to be told; ``marked``: with a fingerprint or
    tool; ``surveys``: by purpose or list; ``new_ports``: codes of single ports that were born."""
    s = found.scanners
    of_real = np.zeros(len(s), np.bool_)
    known = found.best >= 0
    of_real[known] = real[found.best[known]] if len(real) else False
    single = s.sizes == 1
    first = s.codes[s.begin[:-1]] if len(s) else s.codes
    kind = np.select(
        [
            marked,
            surveys,
            s.sweeps,
            of_real & (found.assigned >= 0),
            of_real & (found.mixed >= 0) & (found.posterior >= SURE),
            of_real & ((found.member >= 0) | (found.mixed >= 0)),
            single & np.isin(first, new_ports),
            single,
        ],
        [MARKED, SURVEY, SWEEPER, SET, MIXED, SEVERAL, NEW_PORT, ONE_PORT],
        OTHER,
    )
    explained = np.where(np.isin(kind, (SET, MIXED, SEVERAL)), found.inside, s.packets)
    packets = np.bincount(kind, explained, minlength=len(NAMES)).astype(np.int64)
    packets[OTHER] += int((s.packets - explained).sum())
    left = np.isin(kind, UNEXPLAINED) & s.one_target
    return Coverage(kind, np.bincount(kind, minlength=len(NAMES)), packets, int(left.sum()))
