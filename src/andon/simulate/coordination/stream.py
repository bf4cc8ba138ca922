"""A scenario played out: packet records in time order, in bounded memory, one hour of sessions after the other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from ..internet.capture import BATCH_ROWS
from ..internet.emit import emit
from ..internet.options import option_table, payload_table
from ..internet.ordering import stable_order
from ..internet.session import NEVER, ROW, SESSION
from . import botnets, decoys
from .background import Background
from .bank import Bank
from .columns import Columns
from .decoys import REBOOT, Decoy
from .plan import Plan, plan
from .scenario import HOUR, Scenario
from .surveys import Surveys

SLICE_PACKETS = 131_072


class World:
    """Everything that will send in a scenario. ``planted``: sessions of botnets, then decoys; ``truth`` of a row is
    its number among ``plan.botnets + plan.decoys``."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.plan: Plan = plan(scenario)
        self.bank = Bank()
        self.background = Background(scenario, self.bank)
        self.surveys = Surveys(scenario, self.bank)
        self.planted = _planted(scenario, self.plan, self.bank, self.background.networks)
        self.ports = self.bank.pool.array()
        self.outages = [d for d in self.plan.decoys if d.kind == REBOOT]

    def hour(self, hour: int) -> np.ndarray:
        """Sessions that begin in an hour (counted since 1970)."""
        begin = hour * HOUR
        low, high = np.searchsorted(self.planted["start"], [begin, begin + HOUR])
        parts = [self.background.hour(hour), self.surveys.hour(hour), self.planted[low:high]]
        if begin == self.scenario.start_ns:
            parts += [self.background.before(), self.surveys.before(begin)]
        return np.concatenate(parts)


def _planted(scenario: Scenario, what: Plan, bank: Bank, networks: np.ndarray) -> np.ndarray:
    parts = [botnets.sessions(b, i, scenario, bank, networks) for i, b in enumerate(what.botnets)]
    first = len(what.botnets)
    parts += [decoys.sessions(d, first + i, scenario, bank, networks) for i, d in enumerate(what.decoys)]
    rows = np.concatenate(parts) if parts else np.zeros(0, SESSION)
    rows["end"] = np.minimum(rows["end"], scenario.end_ns)
    rows = rows[(rows["start"] < rows["end"]) & (rows["n"] > 0)]
    ordered: np.ndarray = rows[np.argsort(rows["start"], kind="stable")]
    return ordered


class Player:
    """Sessions in, rows of ``internet.session.ROW`` out."""

    def __init__(self, scenario: Scenario, ports: np.ndarray) -> None:
        self._space, self._ports = scenario.space, ports
        self.table = np.zeros(0, SESSION)
        self._next = np.zeros(0, np.int64)
        self._rows = np.zeros(SLICE_PACKETS * 2, ROW)
        self._when, self._where = np.zeros(1, np.int64), np.zeros(1, np.uint32)

    def add(self, sessions: np.ndarray) -> None:
        """Take more sessions in, and forget those that are over. Their first packet is sent at their start."""
        alive = self._next != NEVER
        fresh = sessions.copy()
        fresh["left"], fresh["gap"] = fresh["retries"], fresh["wait"]
        self.table = np.concatenate([self.table[alive], fresh])
        self._next = np.concatenate([self._next[alive], fresh["start"]])

    def until(self, time: int) -> np.ndarray:
        """All packets before ``time`` (ns) that were not given yet, session by session; the rows are used again."""
        active = np.flatnonzero(self._next < time)
        filled = position = 0
        while True:
            position, wrote = emit(
                self.table, active, position, self._next, time, self._ports, self._space.bases,
                self._space.granule, self._when, self._where, self._rows[filled:],
            )  # fmt: skip
            filled += wrote
            if position == len(active):
                return self._rows[:filled]
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])


def recorded(rows: np.ndarray, outages: list[Decoy], scenario: Scenario) -> np.ndarray:
    """Which rows the telescope recorded: True where no outage swallowed them."""
    kept = np.ones(len(rows), bool)
    for outage in outages:
        lost = (rows["ts"] >= outage.begins) & (rows["ts"] < outage.ends)
        if outage.block >= 0 and lost.any():
            block = scenario.blocks[outage.block]
            lost &= (rows["dst"] >= int(block.network_address)) & (
                rows["dst"] <= int(block.broadcast_address)
            )
        kept &= ~lost
    return kept


def packets(scenario: Scenario) -> Iterator[pa.RecordBatch]:
    """The packets of a scenario in time order, as batches of ``andon.records.packet.SCHEMA``.

    >>> sum(b.num_rows for b in packets(Scenario(1, ("192.0.2.0/24",), days=1 / 24))) > 10_000
    True
    """
    columns = Columns(option_table(), payload_table())
    for rows, order in slices(World(scenario)):
        for i in range(0, len(order), BATCH_ROWS):
            yield columns.batch(rows, order[i : i + BATCH_ROWS])


def slices(world: World) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(rows, order) of one stretch of time after the other; ``rows[order]`` are what was recorded, sorted by time."""
    scenario = world.scenario
    player = Player(scenario, world.ports)
    an_hour = scenario.rate * scenario.addresses * 3600
    pieces = max(1, round(an_hour / SLICE_PACKETS))
    for begin in range(scenario.start_ns, scenario.end_ns, HOUR):
        player.add(world.hour(begin // HOUR))
        near = [o for o in world.outages if o.begins < begin + HOUR and o.ends > begin]
        for i in range(pieces):
            low, until = begin + i * HOUR // pieces, begin + (i + 1) * HOUR // pieces
            rows = player.until(until)
            order = stable_order((rows["ts"] - low // 1000 * 1000) // 1000)
            if near:
                order = order[recorded(rows, near, scenario)[order]]
            if len(order):
                yield rows, order
