"""Sources of one header class told apart by what they scan: a penalised, warm-started non-negative factorisation.

V (sources x ports, drawn packets) is explained as W H with rows of H the port mixes of campaigns and one row, kept
fixed, for the background. Under the Kullback-Leibler divergence and rows of W that sum to one, the multiplicative
updates of NMF are the EM steps of a mixture of multinomials (Gaussier and Goutte, "Relation between PLSA and NMF",
SIGIR 2005), which is the form used here, with W a posterior over groups for each source. As in long-term tracing by
NMF (Han et al., ICISSP 2023, 10.5220/0011769300003405), a factorisation starts from that of the days before and is
held near it: mu pseudo-packets of the former mix are added to each row of H.

What differs: a new group is added only where the residual's Poisson deviance says so (a port, a known tool or a /24
that far more sources of the class show than sources of other classes do), and is dropped the same way, so there is no
number of bases to choose. Known tools and /24 networks are two more columns of evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

LEAST_SOURCES = 8  # of a group that is new
LEAST_KNOWN = 3  # of a group that continues one
_LEAST_RATIO = 3.0  # to what the background explains
_DEVIANCE, _KNOWN_DEVIANCE = 30.0, 12.0
_MU = 20.0  # pseudo-packets of the former mix
_STEPS = 4
_SEEDS = 4  # at most so many new groups at a time
LEAK = 0.02
_LABEL_CAP, _BLOCK = 4.0, 4.0  # nats
_LONG = 0.3  # leak from which a list of ports is long
_ALIKE = 0.85  # groups whose port mixes agree so far (Bhattacharyya) are one


@dataclass
class Group:
    """A group while it is fitted. ``mix`` over the class's ports; ``label`` 0 for none; ``block`` a /24 or -1;
    ``known`` the number of the campaign that it continues, -1 for a new one."""

    mix: np.ndarray
    prior: np.ndarray | None = None
    label: int = 0
    block: int = -1
    known: int = -1
    share: float = 0.05
    leak: float = LEAK
    label_share: float = 0.0


@dataclass(frozen=True)
class Background:
    """What sources that belong to no campaign scan: ``mix`` is the share of packets, ``seen`` the share of sources
    that show a port at all, over the class's ports; ``label`` the share of sources by label."""

    mix: np.ndarray
    seen: np.ndarray
    label: np.ndarray


@dataclass(frozen=True)
class Class:
    """Sources of a header class: ``ports`` (n, 6), indices into ``codes``, -1 for none; ``label``; ``block`` (/24)."""

    codes: np.ndarray
    ports: np.ndarray
    label: np.ndarray
    block: np.ndarray
    order: np.ndarray = field(repr=False)  # a fixed shuffle, for fitting on a part

    @property
    def size(self) -> int:
        return len(self.ports)


def deviance(seen: np.ndarray | float, expected: np.ndarray | float) -> np.ndarray:
    """Poisson deviance of counts above their expectation; 0 below it."""
    n, e = np.asarray(seen, float), np.maximum(np.asarray(expected, float), 1e-9)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = 2 * (np.where(n > 0, n * np.log(n / e), 0.0) - (n - e))
    return np.asarray(np.where(n > e, value, 0.0))


def _evidence(members: Class, background: Background, groups: Sequence[Group]) -> np.ndarray:
    """Log-likelihood ratio of each group to the background for each source, (n, k), without shares."""
    there = members.ports >= 0
    place = np.maximum(members.ports, 0)
    out = np.zeros((members.size, len(groups)))
    log_q = np.log(background.mix)
    for k, group in enumerate(groups):
        gain = np.log((1 - group.leak) * group.mix + group.leak * background.mix) - log_q
        out[:, k] = np.where(there, gain[place], 0.0).sum(axis=1)
        if group.label:
            rate = min(max(group.label_share, 0.05), 0.99)
            usual = np.maximum(background.label, 1e-3)
            same = members.label == group.label
            none = members.label == 0
            out[same, k] += min(_LABEL_CAP, float(np.log(rate / usual[group.label])))
            out[none, k] += max(-_LABEL_CAP, float(np.log((1 - rate) / usual[0])))
            out[~same & ~none, k] -= _LABEL_CAP
        else:
            out[members.label > 0, k] -= 1.0
        if group.block >= 0:
            out[:, k] += np.where(members.block == group.block, _BLOCK, -_BLOCK)
    return out


def _posterior(members: Class, background: Background, groups: Sequence[Group]) -> np.ndarray:
    """(n, k + 1), the background last."""
    if not groups:
        return np.ones((members.size, 1))
    share = np.array([group.share for group in groups])
    rest = max(0.05, 1 - share.sum())
    odds = np.c_[_evidence(members, background, groups) + np.log(share / rest), np.zeros(members.size)]
    odds -= odds.max(axis=1, keepdims=True)
    np.exp(odds, out=odds)
    odds /= odds.sum(axis=1, keepdims=True)
    return np.asarray(odds)


def assign(members: Class, background: Background, groups: Sequence[Group]) -> np.ndarray:
    """Group of each source by the largest posterior, -1 for the background."""
    best = _posterior(members, background, groups).argmax(axis=1)
    return np.asarray(np.where(best == len(groups), -1, best))


def fit(members: Class, background: Background, groups: Sequence[Group]) -> None:
    """EM steps; changes the groups."""
    if not groups:
        return
    rows, columns = np.nonzero(members.ports >= 0)
    port = members.ports[rows, columns]
    size = len(members.codes)
    for _ in range(_STEPS):
        posterior = _posterior(members, background, groups)
        for k, group in enumerate(groups):
            weight = posterior[:, k]
            total = weight.sum()
            group.share = float(min(max(total / members.size, 1e-4), 0.98))
            counts = np.bincount(port, weight[rows], minlength=size).astype(float)
            group.leak = unseen(counts)
            if group.prior is not None:
                counts = counts + _MU * group.prior
            group.mix = counts / max(counts.sum(), 1e-9)
            if group.label:
                named = weight[members.label == group.label].sum()
                group.label_share = float((named + 0.5) / (total + 1))
            elif total >= 1:
                names = np.bincount(members.label, weight, minlength=len(background.label))
                names[0] = 0
                best = int(names.argmax())
                if names[best] >= 0.5 * total:
                    group.label, group.label_share = best, float((names[best] + 0.5) / (total + 1))


def unseen(counts: np.ndarray) -> float:
    """Good and Turing: the mass of ports not seen yet is about that of ports seen once."""
    once = counts[(counts > 0.5) & (counts < 1.5)].sum()
    return float(min(max((once + 1) / (counts.sum() + 2), LEAK), 0.9))


def seeds(members: Class, background: Background, groups: Sequence[Group], least: int) -> list[Group]:
    """New groups where the residual is far above the background, strongest first."""
    left = assign(members, background, groups) < 0
    made: list[Group] = []
    size = len(members.codes)
    for _ in range(_SEEDS):
        total = int(left.sum())
        if total < least:
            break
        showing = _showing(members, left, size)
        value = deviance(showing, total * background.seen)
        value[(showing < least) | (showing < _LEAST_RATIO * total * background.seen)] = 0
        labels = np.bincount(members.label[left], minlength=len(background.label))
        labels[0] = 0
        of_label = deviance(labels, total * background.label)
        of_label[labels < least] = 0
        blocks, in_block = np.unique(members.block[left], return_counts=True)
        of_block = np.where(in_block >= least, deviance(in_block, total / 65536.0), 0.0)
        best = [float(value.max(initial=0)), float(of_label.max(initial=0)), float(of_block.max(initial=0))]
        if max(best) < _DEVIANCE:
            break
        group = Group(np.zeros(size))
        # A network or a tool is told first: a list of many ports shows each port too rarely.
        if best[2] >= max(best[0], _DEVIANCE):
            group.block = int(blocks[of_block.argmax()])
            core = left & (members.block == group.block)
        elif best[1] >= max(best[0], _DEVIANCE):
            group.label, group.label_share = int(of_label.argmax()), 0.9
            core = left & (members.label == group.label)
        else:
            core = left & (members.ports == int(value.argmax())).any(axis=1)
        drawn = members.ports[core]
        group.mix = np.bincount(drawn[drawn >= 0], minlength=size).astype(float)
        group.leak = unseen(group.mix)
        group.mix /= max(group.mix.sum(), 1e-9)
        group.share = float(min(max(core.sum() / members.size, 1e-3), 0.9))
        made.append(group)
        left &= ~core
    return made


def _showing(members: Class, which: np.ndarray, size: int) -> np.ndarray:
    """How many of the sources show each port at all."""
    part = np.sort(members.ports[which], axis=1)
    fresh = part >= 0
    fresh[:, 1:] &= part[:, 1:] != part[:, :-1]
    return np.bincount(part[fresh], minlength=size)


def standing(members: Class, background: Background, groups: list[Group], least: int) -> list[Group]:
    """Groups that are still far more than the background would put there; the others' sources go back to it."""
    while groups:
        of = assign(members, background, groups)
        keep = []
        rest = of < 0
        for k, group in enumerate(groups):
            mine = of == k
            enough = least if group.known < 0 else LEAST_KNOWN
            if mine.sum() >= enough and _stands(members, background, group, mine, int(rest.sum())):
                keep.append(group)
        if len(keep) == len(groups):
            return groups
        groups = keep
    return groups


def _stands(members: Class, background: Background, group: Group, mine: np.ndarray, rest: int) -> bool:
    size = len(members.codes)
    count = int(mine.sum())
    threshold = _DEVIANCE if group.known < 0 else _KNOWN_DEVIANCE
    # Chance: the background sources of the class, as many as there are here and in the background together.
    showing = _showing(members, mine, size)
    expected = (rest + count) * background.seen
    value = deviance(showing, expected)
    value[showing < _LEAST_RATIO * expected] = 0
    if value.max(initial=0) >= threshold:
        return True
    if group.label:
        named = int((members.label[mine] == group.label).sum())
        if deviance(named, (rest + count) * background.label[group.label]) >= threshold:
            return True
    if group.block >= 0:
        inside = int((members.block[mine] == group.block).sum())
        return bool(deviance(inside, (rest + count) / 65536.0) >= threshold)
    return False


def merged(groups: list[Group]) -> list[Group]:
    """Without groups that are as good as another one before them."""
    kept: list[Group] = []
    for group in sorted(groups, key=lambda g: (g.known < 0, -g.share)):
        twin = next((other for other in kept if _alike(group, other)), None)
        if twin is None:
            kept.append(group)
        else:
            twin.share = min(twin.share + group.share, 0.98)
    return kept


def _alike(a: Group, b: Group) -> bool:
    """Ports that agree, or lists so long that their draws cannot, with the same name or network."""
    if a.block != b.block or a.label != b.label:
        return False
    long = min(a.leak, b.leak) >= _LONG and (a.block >= 0 or a.label > 0)
    return long or float(np.sqrt(a.mix * b.mix).sum()) > _ALIKE
