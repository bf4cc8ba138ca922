"""From the sources of a span to its families and who belongs to them.

Two rounds: first chance is fitted to all sources; then, with the families known, to the scanners of several ports that
belong to none, since a family's ports say nothing of what an unrelated scanner draws. The second round's answer
stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from andon.detect.darknet.portsets.candidates import SINGLE, Candidates, candidates, popularities
from andon.detect.darknet.portsets.chance import Popularity, discoveries
from andon.detect.darknet.portsets.mixture import Mixture, assign, fit, popular
from andon.detect.darknet.portsets.rows import rows_of
from andon.detect.darknet.portsets.scanners import Scanners
from andon.sketch.hashing import mix64_array

SURE = 0.95
_MOST_SEVERAL = 40_000  # sources of several ports in the fit
_LEAST_INSIDE = 0.8
_LEVEL = 0.01  # share of starts that may be chance


@dataclass(frozen=True)
class Families:
    """Families of a span and its sources. Of each of ``scanners``: ``best`` family (-1: none), its ``posterior``, the
    posterior of *any* family ``any_family``, and whether all its ports are in the set of the best (``clean``).
    ``inside``: packets to ports of the best family. ``usable``: neither sweeper nor survey.
    ``one_in``: the fit saw one source in so many.

    ``assigned``: best family, where the posterior is 0.95 and no packet leaks, else -1; ``member``: best family where
    some family is that sure and no packet leaks; ``mixed``: likewise where packets leak, at most a fifth, and two ports
    of the family at least were scanned."""

    scanners: Scanners
    mixture: Mixture
    sets: list[tuple[int, ...]]
    found: Candidates
    best: np.ndarray
    posterior: np.ndarray
    any_family: np.ndarray
    clean: np.ndarray
    inside: np.ndarray
    ports_inside: np.ndarray
    usable: np.ndarray
    one_in: float

    @cached_property
    def assigned(self) -> np.ndarray:
        return np.where(self.clean & (self.posterior >= SURE), self.best, -1)

    @cached_property
    def member(self) -> np.ndarray:
        return np.where(self.clean & (self.any_family >= SURE), self.best, -1)

    @cached_property
    def mixed(self) -> np.ndarray:
        enough = (self.inside >= _LEAST_INSIDE * self.scanners.packets) & (self.ports_inside >= 2)
        return np.where(~self.clean & enough & (self.any_family >= SURE), self.best, -1)


def analyse(scanners: Scanners, left_out: np.ndarray, salt: int) -> Families:
    """``left_out`` (bool, surveys): these sources, and sweepers, teach nothing and belong to no family."""
    usable = ~scanners.sweeps & ~left_out
    some = scanners.only(usable)
    sample, one_in = _sample(some, salt)
    by_class = popularities(sample)
    mixture, found = _round(sample, by_class, popular(sample))
    if len(mixture):
        rows = rows_of(sample, mixture.ports, mixture.popularity, by_class)
        seen = assign(mixture, rows, 1.0)
        strangers = sample.only(seen.of_background >= 0.5)
        several = strangers.only(strangers.sizes > 1)
        if len(several):
            by_class = popularities(several)
            mixture, found = _round(sample, by_class, popular(strangers))
    rows = rows_of(some, mixture.ports, mixture.popularity, by_class)
    seen = assign(mixture, rows, one_in)
    best = np.where(seen.of_background > 0.5, -1, seen.best)
    families = np.full(len(scanners), -1, np.int64)
    posterior, any_family = np.zeros(len(scanners)), np.zeros(len(scanners))
    families[usable], posterior[usable] = best, np.where(best >= 0, seen.posterior, 0.0)
    any_family[usable] = 1 - seen.of_background
    inside, ports_inside = np.zeros(len(scanners), np.int64), np.zeros(len(scanners), np.int64)
    inside[usable], ports_inside[usable] = _inside(some, rows.at, best, mixture.weights)
    clean = (families >= 0) & (inside == scanners.packets)
    return Families(
        scanners,
        mixture,
        mixture.sets(),
        found,
        families,
        posterior,
        any_family,
        clean,
        inside,
        ports_inside,
        usable,
        one_in,
    )


def _round(
    sample: Scanners, by_class: list[Popularity], popularity: np.ndarray
) -> tuple[Mixture, Candidates]:
    found = candidates(sample, by_class)
    chosen = discoveries(found.log_p, found.tests, _LEVEL) & (found.kind != SINGLE)
    return fit(sample, found, chosen, by_class, popularity), found


def _sample(scanners: Scanners, salt: int) -> tuple[Scanners, float]:
    """Sources with the lowest keyed hashes, so that at most 40,000 have several ports."""
    several = scanners.sizes > 1
    hashed = mix64_array(scanners.address.astype(np.uint64), np.uint64(salt) ^ np.uint64(0x73616D706C65))
    if int(several.sum()) <= _MOST_SEVERAL:
        return scanners, 1.0
    limit = np.partition(hashed[several], _MOST_SEVERAL)[_MOST_SEVERAL]
    keep = hashed < limit
    return scanners.only(keep), len(scanners) / max(1, int(keep.sum()))


def _inside(
    some: Scanners, at: np.ndarray, best: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Packets of each source to ports of its family, and how many of these ports it has."""
    owner = some.owner
    of = best[owner]
    known = (of >= 0) & (at >= 0)
    hit = np.zeros(len(at), np.bool_)
    hit[known] = weights[of[known], at[known]] > 0
    packets = np.zeros(len(best), np.int64)
    np.add.at(packets, owner[hit], some.counts[hit])
    return packets, np.bincount(owner[hit], minlength=len(best))
