"""Extremely randomised trees (Geurts, Ernst, Wehenkel 2006), grown by one compiled kernel.

At each node ``tries`` features that are not constant there are drawn, each with one threshold drawn uniformly between
its least and greatest value; the split with the least weighted Gini impurity is taken. Whole sample for every tree, no
bootstrap. Differences from the paper: rows have weights (classes are balanced by them), leaves hold at least
``leaf`` rows, and the random numbers are a keyed hash of (seed, tree, draw), so that a forest is the same wherever it
is grown.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from andon.sketch.hashing import mix64

_GOLD = np.uint64(0x9E3779B97F4A7C15)
_SCALE = 1.0 / 9007199254740992.0


@njit(cache=True, nogil=True)
def _grow(
    x: np.ndarray,
    label: np.ndarray,
    weight: np.ndarray,
    rows: np.ndarray,
    tries: int,
    leaf: int,
    deepest: int,
    key: np.uint64,
    feature: np.ndarray,
    threshold: np.ndarray,
    right: np.ndarray,
    value: np.ndarray,
) -> int:
    """One tree into the arrays, in preorder: the left child of node i is i + 1, ``right`` the other; a leaf has feature
    -1. ``rows`` is permuted. Gives the number of nodes."""
    columns = x.shape[1]
    order = np.arange(columns)
    stack = np.empty((2 * deepest + 8, 4), np.int64)  # begin, end, depth, parent whose right child it is (-1)
    stack[0, 0], stack[0, 1], stack[0, 2], stack[0, 3] = 0, rows.shape[0], 0, -1
    height, nodes, draws = 1, 0, np.uint64(0)
    while height:
        height -= 1
        begin, end, depth, parent = stack[height, 0], stack[height, 1], stack[height, 2], stack[height, 3]
        node = nodes
        nodes += 1
        if parent >= 0:
            right[parent] = node
        all_w, true_w = 0.0, 0.0
        for i in range(begin, end):
            all_w += weight[rows[i]]
            true_w += weight[rows[i]] * label[rows[i]]
        feature[node] = -1
        right[node] = -1
        threshold[node] = 0.0
        value[node] = true_w / all_w
        if end - begin < 2 * leaf or depth >= deepest or true_w <= 1e-12 or true_w >= all_w - 1e-12:
            continue
        best, best_feature, best_threshold = -1.0, -1, np.float32(0.0)
        seen, left_over = 0, columns
        while seen < tries and left_over > 0:
            draws += np.uint64(1)
            u = np.float64(mix64(draws * _GOLD, key) >> np.uint64(11)) * _SCALE
            pick = int(u * left_over)
            f = order[pick]
            left_over -= 1
            order[pick] = order[left_over]
            order[left_over] = f
            low, high = x[rows[begin], f], x[rows[begin], f]
            for i in range(begin + 1, end):
                v = x[rows[i], f]
                if v < low:
                    low = v
                elif v > high:
                    high = v
            if not high > low:
                continue
            seen += 1
            draws += np.uint64(1)
            u = np.float64(mix64(draws * _GOLD, key) >> np.uint64(11)) * _SCALE
            cut = np.float32(low + u * (high - low))
            if not cut < high:
                cut = low
            w, s, many = 0.0, 0.0, 0
            for i in range(begin, end):
                r = rows[i]
                if x[r, f] <= cut:
                    w += weight[r]
                    s += weight[r] * label[r]
                    many += 1
            if many < leaf or end - begin - many < leaf:
                continue
            # Less impurity is more of sum of squares of the true and false shares, each over its side's weight.
            other_w, other_s = all_w - w, true_w - s
            gain = (s * s + (w - s) * (w - s)) / w
            gain += (other_s * other_s + (other_w - other_s) * (other_w - other_s)) / other_w
            if gain > best:
                best, best_feature, best_threshold = gain, f, cut
        if best_feature < 0:
            continue
        feature[node] = best_feature
        threshold[node] = best_threshold
        a, b = begin, end - 1
        while a <= b:
            if x[rows[a], best_feature] <= best_threshold:
                a += 1
            else:
                rows[a], rows[b] = rows[b], rows[a]
                b -= 1
        stack[height, 0], stack[height, 1], stack[height, 2], stack[height, 3] = a, end, depth + 1, node
        stack[height + 1, 0], stack[height + 1, 1] = begin, a
        stack[height + 1, 2], stack[height + 1, 3] = depth + 1, -1
        height += 2
    return nodes


def grow(
    x: np.ndarray,
    label: np.ndarray,
    weight: np.ndarray,
    seed: int = 1,
    trees: int = 300,
    tries: int = 0,
    leaf: int = 2,
    deepest: int = 40,
) -> dict[str, np.ndarray]:
    """A forest as arrays (see ``sketch.trees``) from ``x`` (n, d) f4, ``label`` (n,) 0 or 1 (or a share between) and
    ``weight`` (n,) above 0. ``tries`` 0: the root of d. Raises ValueError for input that holds no two classes."""
    if len(label) < 2 or not 0 < float((weight * label).sum()) < float(weight.sum()):
        raise ValueError("a forest needs rows of both classes")
    x = np.ascontiguousarray(x, np.float32)
    label, weight = np.ascontiguousarray(label, np.float64), np.ascontiguousarray(weight, np.float64)
    tries = tries or max(1, int(np.sqrt(x.shape[1])))
    room = 2 * len(label) + 1
    feature, right = np.empty(room, np.int32), np.empty(room, np.int32)
    threshold, value = np.empty(room, np.float32), np.empty(room, np.float32)
    parts: list[tuple[np.ndarray, ...]] = []
    roots = [0]
    for tree in range(trees):
        key = np.uint64(mix64(np.uint64(tree + 1), np.uint64(seed)))
        rows = np.arange(len(label), dtype=np.int64)
        n = _grow(x, label, weight, rows, tries, leaf, deepest, key, feature, threshold, right, value)
        parts.append((feature[:n].astype(np.int16), threshold[:n].copy(), right[:n].copy(), value[:n].copy()))
        roots.append(roots[-1] + n)
    names = ("feature", "threshold", "right", "value")
    made = {name: np.concatenate([part[k] for part in parts]) for k, name in enumerate(names)}
    return made | {"roots": np.array(roots, np.int32)}
