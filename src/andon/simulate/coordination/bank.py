"""Header behaviour for many sessions at once: a finished row per tool, to which each session adds its constants."""

from __future__ import annotations

import numpy as np

from ..internet.apportion import SECOND
from ..internet.builder import PortPool, fill
from ..internet.session import SESSION, UNIFORM
from ..internet.tools import STACKS, TOOLS

ALL_PORTS = 65536  # the pool begins with every port at the place of its number


class Bank:
    """Makes rows of ``internet.session.SESSION``. ``pool`` may be extended until the first packet is played."""

    def __init__(self) -> None:
        self.pool = PortPool()
        self.pool.add(np.arange(ALL_PORTS, dtype=np.uint16))
        self._names = list(TOOLS)
        rng = np.random.default_rng(0)
        self._rows = np.zeros(len(self._names), SESSION)
        for i, name in enumerate(self._names):
            row = self._rows[i : i + 1].copy()
            fill(row, TOOLS[name], rng)
            row["dst_mode"] = UNIFORM
            self._rows[i] = row[0]
        tools = [TOOLS[name] for name in self._names]
        self._ttl = np.array([tool.ttl for tool in tools], np.int64)
        self._low = np.array([tool.sport_range[0] for tool in tools], np.int64)
        self._width = np.array([tool.sport_range[1] - tool.sport_range[0] for tool in tools], np.int64)
        self._own_port = np.array([tool.sport is None for tool in tools])
        self._own_window = np.array([tool.window is None for tool in tools])
        stacks = np.array([self._names.index(name) for name in STACKS])
        self._stacks = np.repeat(stacks, [round(100 * share) for share in STACKS.values()])

    def tools(self, weights: tuple[tuple[str, int], ...], size: int = 64) -> np.ndarray:
        """``size`` tool numbers in proportion to ``weights``; "os" stands for the mixture of operating systems."""
        total = sum(weight for _, weight in weights)
        found: list[int] = []
        for name, weight in weights:
            count = max(round(size * weight / total), 1)
            if name == "os":
                found += self._stacks[(np.arange(count) * 37) % len(self._stacks)].tolist()
            else:
                found += [self._names.index(name)] * count
        return np.array(found, np.int64)

    def rows(self, tool: np.ndarray, src: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Sessions of these tools and sources; ports, targets, times and numbers of packets are still to be set."""
        n = len(tool)
        made: np.ndarray = self._rows[tool]
        made["key"] = rng.integers(0, 2**64, n, dtype=np.uint64)
        word = rng.integers(0, 2**64, n, dtype=np.uint64)
        made["secret"] = word >> np.uint64(32)
        made["src"] = src
        made["id_state"] = np.where(made["id_mode"] == 0, made["id_state"], word & np.uint64(0xFFFF))
        made["hops"] = 6 + (word >> np.uint64(16) & np.uint64(0xFF)) % np.uint64(19)
        made["ttl"] = self._ttl[tool] - made["hops"]
        other = mixed(word)
        ports = self._low[tool] + (other >> np.uint64(40)).astype(np.int64) % self._width[tool]
        made["sport"] = np.where(self._own_port[tool], ports, made["sport"])
        made["window"] = np.where(self._own_window[tool], other & np.uint64(0xFFFF), made["window"])
        made["truth"] = -1
        return made


def mixed(x: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 on whole arrays (uint64)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    found: np.ndarray = x ^ (x >> np.uint64(31))
    return found


def set_ports(rows: np.ndarray, offset: int, length: int) -> None:
    """All rows send to the ports at this place of the pool."""
    rows["ports_off"], rows["ports_len"] = offset, length


def calm(rows: np.ndarray) -> None:
    """No retransmissions where a session sends too fast for its timer."""
    tries = rows["retries"].astype(np.int64) + 1
    busy = rows["n"] / tries * rows["wait"] * (2.0 ** (tries - 1) - 1)
    rows["retries"][busy > 0.5 * (rows["end"] - rows["start"])] = 0
    rows["retries"][rows["end"] - rows["start"] < 10 * SECOND] = 0
