"""Tracing by constrained NMF, as Han et al., ICISSP 2023 (10.5220/0011769300003405), describe it: the baseline.

V (hours x cells) of a short window is factorised as W H (Lee and Seung, multiplicative updates, Frobenius norm) with a
given number of bases; the window is shifted by a day; on the hours that both windows hold W stays as it was, and only
H and the new hours of W are fitted. A basis is a group of scanners with one course in time; its number is its identity.

Read: abstract and introduction. Not read, and chosen here: window (three days), hours as bins, the spatial axis
(header class and port: with hosts, nothing would join two days between which all addresses change), 60 updates, the
start (keyed), and when a basis is alive (a hundredth of the day's packets or more).

Its faults, which the default method does not have: the number of bases is fixed before anything is seen, so campaigns
beyond it share a basis; two campaigns with one course in time are one basis; a campaign that changes its hours may
move to another basis; nothing is born or dies but by crossing a share of the packets; loud senders decide the fit;
and no reason can be shown why a basis of today is that of yesterday.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from andon.detect.darknet.campaigns.memory import Memory
from andon.detect.darknet.campaigns.profile import Profiles
from andon.detect.darknet.campaigns.units import Units, describe
from andon.sketch.hashing import mix64_array

WINDOW_DAYS = 3
CELLS = 1_500
_UPDATES = 60
_ALIVE = 0.01
_TINY = 1e-9


def trace(
    day: Profiles, memory: Memory, gap: int, bases: int, salt: int
) -> tuple[Units, dict[str, np.ndarray]]:
    """(units of the day with the campaign each continues, state for the next day)."""
    cell_of, keys, today = _cells(day)
    old = memory.bases
    hours_before = old.get("v", np.zeros((0, 0)))
    keys_before = old.get("keys", np.zeros(0, np.int64))
    w_before = old.get("w", np.zeros((0, bases)))
    if w_before.shape[1] != bases:  # another number of bases was set: nothing to hold on to
        hours_before, keys_before, w_before = np.zeros((0, 0)), np.zeros(0, np.int64), np.zeros((0, bases))
    silent = min(gap, WINDOW_DAYS - 1) * 24
    past = np.vstack([hours_before, np.zeros((silent, hours_before.shape[1]))])
    held = np.vstack([w_before, np.zeros((silent, bases))])
    keep = (WINDOW_DAYS - 1) * 24
    past, held = past[-keep:], held[-keep:]
    every = np.union1d(keys, keys_before)
    v = np.zeros((len(past) + 24, len(every)))
    v[: len(past), np.searchsorted(every, keys_before)] = past
    v[len(past) :, np.searchsorted(every, keys)] = today
    w, h = factorise(v, held, bases, salt)
    carried = w[len(past) :].sum(axis=0)[:, None] * h  # packets of today by basis and cell
    owner = carried.argmax(axis=0)[np.searchsorted(every, keys)]
    share = carried.sum(axis=1) / max(carried.sum(), _TINY)
    known = {c.label: n for n, c in enumerate(memory.campaigns)}
    hashes = mix64_array(day.address.astype(np.uint64), np.uint64(salt))
    basis_of = np.full(len(day), -1, np.int64)
    basis_of[cell_of >= 0] = owner[cell_of[cell_of >= 0]]
    units = []
    for basis in range(bases):
        mine = np.flatnonzero(basis_of == basis)
        if share[basis] < _ALIVE or not len(mine):
            continue
        classes, count = np.unique(day.klass[mine], return_counts=True)
        name = f"basis {basis}"
        unit = describe(day, int(classes[count.argmax()]), mine, hashes, 0.0, known.get(name, -1))
        units.append(replace(unit, label=name))
    return Units(units, 0, 0), _bounded(v[-keep:], every, w[-keep:])


def _bounded(v: np.ndarray, keys: np.ndarray, w: np.ndarray) -> dict[str, np.ndarray]:
    best = np.sort(np.lexsort((keys, -v.sum(axis=0)))[:CELLS])
    return {"v": v[:, best], "keys": keys[best], "w": w}


def _cells(day: Profiles) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(cell of each source's port drawn first, -1 if it is none of those kept; cells ascending; hours x cells). A
    source's packets are spread evenly over its hours and over the packets drawn of it."""
    header = day.klass >> 17
    rows, slots = np.nonzero(day.ports >= 0)
    cells = header[rows] << 16 | day.ports[rows, slots]
    each = day.packets / np.maximum((day.ports >= 0).sum(axis=1), 1)
    bits = ((day.hours[:, None] >> np.arange(24, dtype=np.uint32)) & 1).astype(float)
    bits /= np.maximum(bits.sum(axis=1, keepdims=True), 1)
    every, back = np.unique(cells, return_inverse=True)
    total = np.bincount(back, each[rows], minlength=len(every))
    best = np.sort(np.lexsort((every, -total))[:CELLS])
    place = np.full(len(every), -1, np.int64)
    place[best] = np.arange(len(best))
    local = place[back]
    kept = local >= 0
    v = np.zeros((24, len(best)))
    for hour in range(24):
        v[hour] = np.bincount(local[kept], (each[rows] * bits[rows, hour])[kept], minlength=len(best))
    cell_of = np.full(len(day), -1, np.int64)
    cell_of[rows[::-1]] = local[::-1]  # the first one stands
    return cell_of, every[best], v


def factorise(v: np.ndarray, held: np.ndarray, bases: int, salt: int) -> tuple[np.ndarray, np.ndarray]:
    """(W, H) of V by multiplicative updates; the first rows of W are held at ``held``. A new run has none."""
    rng = np.random.default_rng(salt & 0xFFFFFFFF)
    scale = float(np.sqrt(max(v.mean(), _TINY) / bases))
    w = rng.random((len(v), bases)) * scale + _TINY
    h = rng.random((bases, v.shape[1])) * scale + _TINY
    fixed = len(held)
    w[:fixed] = held
    for _ in range(_UPDATES):
        h *= (w.T @ v) / (w.T @ w @ h + _TINY)
        new = w[fixed:]
        new *= (v[fixed:] @ h.T) / (new @ (h @ h.T) + _TINY)
    return w, h
