"""Two campaigns in one group: when a fit has drawn a newcomer into a group that was there before it.

Two campaigns of one header class that share a port can end up in one group. A group is split in two where the sources
say so: the gain in log-likelihood of two mixes over one must exceed the price of the second (Schwarz, "Estimating the
dimension of a model", Ann. Statist. 6, 1978, doubled), and the mixes must differ. A campaign that changes its ports
is not split: all its sources change alike, so two mixes explain them no better than one.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from andon.detect.darknet.campaigns.mixture import LEAK, Background, Class, Group, unseen

_STEPS = 8
_LEAST_GAIN = 30.0
_DIFFER, _DIFFER_FROM_BEFORE = (
    0.5,
    0.75,
)  # largest likeness of the two mixes: any two; the former mix and the rest
_MOST_PORTS = 3  # tried as what sets the two apart


def split(members: Class, background: Background, group: Group, mine: np.ndarray, least: int) -> list[Group]:
    """The group, or the two that it is made of; the one nearer to the former mix continues it."""
    if group.block >= 0 or mine.sum() < 2 * least:
        return [group]
    ports = members.ports[mine]
    size = len(members.codes)
    counts = _counts(ports, np.ones(len(ports)), size)
    one = _log(ports, _mix(counts), unseen(counts), background).sum()
    best: tuple[float, np.ndarray] | None = None
    price = float((counts >= 0.01 * counts.sum()).sum() + 1) * float(np.log(max(counts.sum(), 2)))
    for first, limit in _beginnings(ports, background, group, counts):
        weight = first
        for _ in range(_STEPS):
            share = min(max(float(weight.mean()), 1e-3), 1 - 1e-3)
            in_a, in_b = _counts(ports, weight, size), _counts(ports, 1 - weight, size)
            if min(in_a.sum(), in_b.sum()) < 1:
                break
            a = _log(ports, _mix(in_a), unseen(in_a), background) + np.log(share)
            b = _log(ports, _mix(in_b), unseen(in_b), background) + np.log(1 - share)
            weight = 1 / (1 + np.exp(np.clip(b - a, -50, 50)))
        else:
            gain = float(np.logaddexp(a, b).sum() - one)
            in_a, in_b = _counts(ports, weight, size), _counts(ports, 1 - weight, size)
            near = float(np.sqrt(_mix(in_a) * _mix(in_b)).sum())
            enough = min((weight > 0.5).sum(), (weight <= 0.5).sum()) >= least
            if (
                enough
                and near < limit
                and gain >= max(price, _LEAST_GAIN)
                and (best is None or gain > best[0])
            ):
                best = (gain, weight)
    if best is None:
        return [group]
    parts = [_counts(ports, w, size) for w in (best[1], 1 - best[1])]
    if group.prior is not None:
        former = group.prior
        parts.sort(key=lambda part: -float(np.sqrt(_mix(part) * former).sum()))
    labels = members.label[mine]
    made = []
    for n, part in enumerate(parts):
        weight = best[1] if part is parts[0] else 1 - best[1]
        share = group.share * float(part.sum() / max(counts.sum(), 1e-9))
        label = group.label if group.label and (labels == group.label).any() and weight.sum() else 0
        made.append(
            replace(
                group, mix=_mix(part), leak=unseen(part), share=max(share, 1e-4), label=label,
                prior=group.prior if n == 0 else None, known=group.known if n == 0 else -1,
            )
        )  # fmt: skip
    return made


def _beginnings(
    ports: np.ndarray, background: Background, group: Group, counts: np.ndarray
) -> list[tuple[np.ndarray, float]]:
    """Where the search for two may begin: those the former mix explains; those that show one of the heaviest ports."""
    out = []
    if group.prior is not None and group.known >= 0:
        fits = _log(ports, group.prior, LEAK, background) > _log(ports, background.mix, LEAK, background)
        out.append((np.where(fits, 0.95, 0.05), _DIFFER_FROM_BEFORE))
    for port in np.argsort(-counts, kind="stable")[:_MOST_PORTS].tolist():
        shows = (ports == port).any(axis=1)
        out.append((np.where(shows, 0.95, 0.05), _DIFFER))
    return [(weight, limit) for weight, limit in out if 0.06 < weight.mean() < 0.94]


def _mix(counts: np.ndarray) -> np.ndarray:
    return np.asarray(counts / max(counts.sum(), 1e-9))


def _counts(ports: np.ndarray, weight: np.ndarray, size: int) -> np.ndarray:
    rows, columns = np.nonzero(ports >= 0)
    return np.bincount(ports[rows, columns], weight[rows], minlength=size)


def _log(ports: np.ndarray, mix: np.ndarray, leak: float, background: Background) -> np.ndarray:
    """Log-likelihood of each source's drawn ports."""
    value = np.log((1 - leak) * mix + leak * background.mix)
    return np.asarray(np.where(ports >= 0, value[np.maximum(ports, 0)], 0.0).sum(axis=1))
