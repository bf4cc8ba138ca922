"""A second property for a window that others share: ports that only its users favour.

A constant such as window 14600 is a default of an operating system too, and hosts with that system also try
several ports. What tells a bot is that many of *its* sources go to the same few ports, which other ordinary hosts
visit less. So ports are compared between the sources that pass the guard and ordinary ones (those that pass
``compare``): a port is favoured when its number of sources is out of reach of the ordinary share (binomial tail
over all ports, with the false-alarm budget). A source is named on one favoured port (two, where ordinary hosts go
there too) and ``min_ports`` ports in all, and believed as far as ordinary hosts do not do the same: with f and q
the shares of such sources in the two groups, (f - q) / (f (1 - q)) of them are something else.

This replaces the rule of public classifiers (window and more than two ports), which names every such Linux host.
"""

from __future__ import annotations

import math

import numpy as np

from andon.detect.darknet.tools.catalogue import Signature
from andon.detect.darknet.tools.chance import log_tail
from andon.detect.darknet.tools.sample import Sample, distinct

_LEAST_ORDINARY = 30  # sources to compare with
_FAVOURED = 2  # favoured ports asked of a source where one is not enough
_PURE = 0.95  # one is enough when so few ordinary hosts do the same
_PORTS = 65536


def named_by_ports(
    signature: Signature, sample: Sample, budget: float
) -> tuple[np.ndarray, float, list[int]]:
    """(sources, trust in each, favoured ports). With fewer than 30 ordinary sources there is nothing to compare
    with: then ``min_ports`` ports alone name a source, at ``trust_by_ports``."""
    inside, ordinary = sample.matching(signature.guard), sample.matching(signature.compare)
    ports = sample.columns["dst_port"]
    several = (distinct(inside, [ports]) >= signature.min_ports) & inside.any(axis=1)
    compared = ordinary.sum(axis=1) >= signature.min_ports
    if int(compared.sum()) < _LEAST_ORDINARY:
        return sample.sources[several], signature.trust_by_ports, []
    judged = inside.sum(axis=1) >= signature.min_ports
    favoured = _favoured(inside[judged], ports[judged], ordinary[compared], ports[compared], budget)
    is_favoured = np.zeros(_PORTS, np.bool_)
    is_favoured[favoured] = True
    mine = distinct(inside & is_favoured[ports], [ports])
    theirs = distinct(ordinary & is_favoured[ports], [ports])
    alike = compared & (distinct(ordinary, [ports]) >= signature.min_ports)
    named, purity = np.zeros(len(several), np.bool_), 0.0
    for least in range(1, min(_FAVOURED, len(favoured)) + 1):
        named = several & (mine >= least)
        share = float(named[judged].mean())
        common = (float((alike & (theirs >= least)).sum()) + 1.0) / (float(compared.sum()) + 2.0)
        purity = (share - common) / (share * (1.0 - common)) if share > common else 0.0
        if purity >= _PURE:
            break
    if purity <= 0.0:
        return sample.sources[:0], 0.0, []
    return sample.sources[named], min(signature.trust, purity), favoured.tolist()


def _favoured(
    inside: np.ndarray, ports: np.ndarray, ordinary: np.ndarray, ordinary_ports: np.ndarray, budget: float
) -> np.ndarray:
    """Ports with more sources inside than the ordinary share explains, ascending."""
    many, few = _sources_per_port(inside, ports), _sources_per_port(ordinary, ordinary_ports)
    here = np.flatnonzero(many)
    limit = math.log(budget / max(1, len(here)))
    trials = np.array([inside.shape[0]])
    kept = []
    for port in here.tolist():
        rate = (few[port] + 1.0) / (ordinary.shape[0] + 2.0)
        rate = min(0.999, rate + 2.33 * math.sqrt(rate * (1.0 - rate) / ordinary.shape[0]))
        if log_tail(trials, np.array([many[port]]), rate)[0] <= limit:
            kept.append(port)
    return np.array(kept, np.int64)


def _sources_per_port(group: np.ndarray, ports: np.ndarray) -> np.ndarray:
    rows = np.repeat(np.arange(group.shape[0], dtype=np.int64), group.shape[1]).reshape(group.shape)
    pairs = np.unique((rows[group] << 16) | ports[group])
    return np.bincount(pairs & 0xFFFF, minlength=_PORTS)
