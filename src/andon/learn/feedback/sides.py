"""Which labelled episodes are learnt from and which are only ever compared on.

The unit is the *group*: a case with all its episodes, joined with whatever repeats one of them (same site, same
signature, same features to the bit). A group's side is a keyed hash of its name, so a thing once on the side of
evaluation is never learnt from, by this model or the next, and the last 30 days can be looked at without retraining
anything. Whole sites can be kept on the side of evaluation. Sides that earlier data sets gave are kept; an episode
that would join both sides is left out."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import numpy as np

SHARE: Final = 0.2  # of the groups, for evaluation
TRAIN, EVALUATION, LEFT_OUT = "train", "evaluation", "left-out"
_KEY: Final = b"andon.learn.feedback.sides/1"


def grouped(id: Sequence[str], case: Sequence[str], repeats: Sequence[str]) -> np.ndarray:
    """Name of each one's group: the smallest id in it. ``case``: "" for none; ``repeats``: equal for repetitions.

    >>> grouped(["a", "b", "c", "d"], ["1", "1", "", ""], ["x", "y", "y", "z"]).tolist()
    ['a', 'a', 'a', 'd']
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    count = len(id)
    if not count:
        return np.zeros(0, dtype=object)
    nodes = np.arange(count)
    sort = np.argsort(np.array(id, dtype=object).astype(str), kind="stable")
    links = []
    for kind in (case, repeats):
        texts = np.array(kind, dtype=object).astype(str)
        given = np.flatnonzero(texts != "")
        _, first, inverse = np.unique(texts[given], return_index=True, return_inverse=True)
        links.append((given, given[first][inverse]))
    left = np.concatenate([a for a, _ in links])
    right = np.concatenate([b for _, b in links])
    graph = coo_matrix((np.ones(len(left), np.int8), (left, right)), shape=(count, count))
    _, part = connected_components(graph, directed=False)
    order = np.full(part.max() + 1, count)
    rank = np.empty(count, np.int64)
    rank[sort] = nodes
    np.minimum.at(order, part, rank)
    return np.asarray(np.array(id, dtype=object)[sort[order[part]]])


def on_side(
    group: Sequence[str],
    id: Sequence[str],
    site: Sequence[str],
    before: Mapping[str, str],
    held_sites: Collection[str] = (),
    share: float = SHARE,
) -> np.ndarray:
    """TRAIN, EVALUATION or LEFT_OUT for each row. ``before``: sides that ids had in the data set before."""
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(group):
        rows.setdefault(name, []).append(row)
    out = np.full(len(id), LEFT_OUT, dtype=object)
    for name, own in rows.items():
        known = {before[id[row]] for row in own if id[row] in before} - {LEFT_OUT}
        away = any(site[row] in held_sites for row in own)
        if len(known) == 2 or (away and TRAIN in known):
            for row in own:  # what is on a side stays there; what is new joins neither
                out[row] = before.get(id[row], LEFT_OUT)
            continue
        side = known.pop() if known else EVALUATION if away or bucket(name) < share else TRAIN
        out[own] = side
    return out


def bucket(name: str) -> float:
    """0..1, the same for a name everywhere."""
    digest = hashlib.blake2b(name.encode("utf-8", "replace"), key=_KEY, digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
