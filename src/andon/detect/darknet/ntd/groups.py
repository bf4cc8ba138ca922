"""From a decomposition to groups of networks and their ports, by the published rules or with their faults mended.

A column of the network factor with at least ``LEAST`` entries from its threshold on is an abnormal group (more than
``MOST`` entries: ignored); ports from the threshold on in those columns of the port factor are told. The threshold is
Otsu's, of each column, or a fixed one.

Two faults of the published code can be had as they are: thresholds of columns are compared with a matrix that R walks
down its columns, so that entry (i, j) of n rows meets the threshold number (i + j n) modulo 5; and each group is paired
with each told port. Mended, thresholds belong to their columns, and group j is paired with the ports of column k only
where the core couples them: sum_i g[i, j, k] is at least a share of its maximum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from andon.detect.darknet.ntd.tucker import Tucker

LEAST, MOST = 2, 65_000
_BINS = 256


def otsu(values: np.ndarray) -> float:
    """Threshold between the two classes of values in 0..1 that differ most (Otsu, IEEE Trans. SMC 9, 1979), of 256
    bins; the middle of the best cuts if several are equally good.

    >>> round(otsu(np.array([0.0, 0.02, 0.9, 1.0])), 2)
    0.46
    """
    counts, edges = np.histogram(values, bins=_BINS, range=(0.0, 1.0))
    centre = (edges[:-1] + edges[1:]) / 2.0
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * centre)
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = sums / below - (sums[-1] - sums) / above
        between = np.nan_to_num(below * above * gap * gap)
    best = np.flatnonzero(between >= between.max() * (1.0 - 1e-12))
    return float((edges[best[0] + 1] + edges[best[-1] + 1]) / 2.0)


def over(factor: np.ndarray, fixed: float, mixed_up: bool) -> np.ndarray:
    """Which entries (rows, columns) are at their threshold or above. ``fixed`` 0 stands for Otsu's."""
    if fixed > 0.0:
        return np.asarray(factor >= fixed)
    levels = np.array([otsu(factor[:, j]) for j in range(factor.shape[1])])
    if mixed_up:
        rows, columns = factor.shape
        walk = np.arange(rows)[:, None] + rows * np.arange(columns)[None, :]
        return np.asarray(factor >= levels[walk % columns])
    return np.asarray(factor >= levels)


@dataclass(frozen=True)
class Group:
    """Networks (bool) of one column or, under the published pairing, of all abnormal columns together; ``ports``
    (bool) told of them; ``course``: float per minute; ``components``: (network column, port columns) from 1 on."""

    hosts: np.ndarray
    ports: np.ndarray
    course: np.ndarray
    components: tuple[tuple[int, tuple[int, ...]], ...]


def groups(found: Tucker, fixed: float, mixed_up: bool, coupled: bool, coupling: float) -> list[Group]:
    """The groups with their ports; ``coupled``: by the core, as mended."""
    minutes, networks, ports = found.factors
    members = over(networks, fixed, mixed_up)
    told = over(ports, fixed, mixed_up)
    size = members.sum(axis=0)
    abnormal = np.flatnonzero((size >= LEAST) & (size <= MOST)).tolist()
    weight = found.core.sum(axis=0)  # (network columns, port columns)
    course = minutes @ found.core.sum(axis=2)  # (minutes, network columns)
    if not coupled:
        columns = [j for j in abnormal if j < told.shape[1]]
        if not abnormal or not columns:
            return []
        pairs = tuple((j + 1, tuple(k + 1 for k in columns)) for j in abnormal)
        return [
            Group(
                hosts=np.asarray(members[:, abnormal].any(axis=1)),
                ports=np.asarray(told[:, columns].any(axis=1)),
                course=course[:, abnormal].sum(axis=1),
                components=pairs,
            )
        ]
    made = []
    for j in abnormal:
        columns = np.flatnonzero(weight[j] >= coupling * weight.max()).tolist()
        if not columns:
            continue
        made.append(
            Group(
                hosts=members[:, j],
                ports=np.asarray(told[:, columns].any(axis=1)),
                course=minutes @ found.core[:, j, columns].sum(axis=1),
                components=((j + 1, tuple(k + 1 for k in columns)),),
            )
        )
    return made
