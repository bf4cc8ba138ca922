"""Who is infected with what, from when to when: logistic growth, cleaning, second families, the next wave.

Devices clean themselves (a Mirai bot is gone after a reboot) and some are infected again; 3 % carry a second family at
the same time; one family takes over part of what another one loses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from .catalogue import EXPLOITS, INFECTABLE, PRODUCTS
from .families import Family
from .leases import World
from .scenario import HOUR, Scenario

DOUBLE: Final = 0.03
AGAIN: Final = 0.06
TAKEN_OVER: Final = 0.3
_TARGETS: Final = np.unique([exploit.product for exploit in EXPLOITS])


@dataclass(frozen=True)
class Infections:
    """Columns, one row an infection; ``product`` is of every device, the clean ones too."""

    device: np.ndarray
    family: np.ndarray
    begin: np.ndarray  # ns
    end: np.ndarray
    product: np.ndarray


def infections(scenario: Scenario, families: Sequence[Family], world: World) -> Infections:
    """Draw them."""
    rng = scenario.rng("infections")
    n = world.infected
    weights = np.array([f.size for f in families])
    family = rng.choice(len(families), n, p=weights / weights.sum())
    product = rng.integers(0, INFECTABLE, world.devices)
    clean = np.arange(n, world.devices)
    # Among devices that are never infected all products are met, servers and telephones too.
    product[clean] = rng.integers(0, len(PRODUCTS), len(clean))
    for f in families:
        if f.exploit is not None:
            mine = np.flatnonzero(family == f.number)
            product[mine[rng.random(len(mine)) < f.focus]] = f.exploit.product
    begin = _onsets(rng, scenario, families, family)
    end = begin + _stays(rng, families, family)
    parts = [(np.arange(n), family, begin, end)]

    double = np.flatnonzero(rng.random(n) < DOUBLE)
    other = (family[double] + rng.integers(1, max(2, len(families)), len(double))) % len(families)
    births = np.array([f.birth for f in families])
    first = np.maximum(births[other], begin[double])
    later = (first + rng.random(len(double)) * np.maximum(end[double] - first, HOUR)).astype(np.int64)
    parts.append((double, other, later, later + _stays(rng, families, other)))

    again = np.flatnonzero((rng.random(n) < AGAIN) & (end < scenario.end))
    back = end[again] + (rng.exponential(24.0, len(again)) * HOUR).astype(np.int64) + HOUR
    parts.append((again, family[again], back, back + _stays(rng, families, family[again])))

    parts.append(_taken_over(rng, families, family, end))
    device, which, begin, end = (np.concatenate(column) for column in zip(*parts, strict=True))
    end = np.minimum(end, scenario.end)
    kept = (begin < scenario.end - HOUR // 2) & (end > begin) & (device < n)
    if len(families) == 1:  # nothing can be infected by two at a time
        kept &= np.arange(len(device)) < n
    order = np.lexsort((begin[kept], which[kept]))
    return Infections(
        device[kept][order], which[kept][order], begin[kept][order] // 1000 * 1000, end[kept][order] // 1000 * 1000,
        product,
    )  # fmt: skip


def _onsets(
    rng: np.random.Generator, scenario: Scenario, families: Sequence[Family], family: np.ndarray
) -> np.ndarray:
    """Times of infection along each family's logistic curve, none before its birth."""
    u = rng.uniform(0.005, 0.995, len(family))
    half = np.array([f.half for f in families], np.float64)[family]
    efold = np.array([f.efold for f in families])[family]
    birth = np.array([f.birth for f in families])[family]
    at = half + efold * np.log(u / (1 - u))
    early = at < birth
    at[early] = birth[early] + rng.exponential(efold[early] / 2)
    found: np.ndarray = np.clip(at.astype(np.int64), scenario.begin, scenario.end + HOUR)
    return found


def _stays(rng: np.random.Generator, families: Sequence[Family], family: np.ndarray) -> np.ndarray:
    mean = np.array([f.stays for f in families])[family]
    return np.asarray(rng.gamma(1.3, mean / 1.3).astype(np.int64) + HOUR)


def _taken_over(
    rng: np.random.Generator, families: Sequence[Family], family: np.ndarray, end: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A later family of the same kind takes over devices that an earlier one has lost."""
    by_birth = sorted(families, key=lambda f: f.birth)
    pairs = [(a, b) for a in by_birth for b in by_birth if a.kind == b.kind and a.half < b.birth]
    if not pairs:
        nothing = np.zeros(0, np.int64)
        return nothing, nothing, nothing, nothing
    old, new = pairs[int(rng.integers(len(pairs)))]
    lost = np.flatnonzero((family == old.number) & (end > new.birth) & (rng.random(len(family)) < TAKEN_OVER))
    begin = end[lost] + (rng.exponential(6.0, len(lost)) * HOUR).astype(np.int64)
    which = np.full(len(lost), new.number)
    return lost, which, begin, begin + _stays(rng, families, which)
