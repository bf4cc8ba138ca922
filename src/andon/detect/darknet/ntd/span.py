"""One span and protocol from cells to alerts."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from andon.detect.darknet.ntd.fibres import Tensor, low_rank
from andon.detect.darknet.ntd.groups import Group, groups
from andon.detect.darknet.ntd.settings import NtdSetting
from andon.detect.darknet.ntd.tucker import nonnegative
from andon.sketch.factors.alerts import Alert
from andon.sketch.factors.engine import Span
from andon.sketch.factors.surprise import combined, concentration
from andon.sketch.factors.traffic import Pairs, Traffic, asked
from andon.sketch.factors.usual import WORTH_A_LOOK, Usual

_FLOOR = 0.1  # share of a group's networks that asked for a port, for a row of the table
_LOOKED_AT = 4000  # ports


@dataclass
class _Port:
    """What the restarts said of one port."""

    alerted: bool = False
    score: float = 0.0  # of concentration
    shared: int = 1  # ports told of the best group
    restarts: set[int] = field(default_factory=set)
    groups: list[tuple[int, Group]] = field(default_factory=list)  # those that tell it, with their restart
    best: Group | None = None


@dataclass(frozen=True)
class Cube:
    """The tensor of a span with the networks and ports its indices stand for."""

    tensor: Tensor
    hosts: np.ndarray
    ports: np.ndarray

    def pairs(self) -> Pairs:
        codes = np.unique(self.tensor.at[1] * len(self.ports) + self.tensor.at[2])
        return Pairs(self.hosts, self.ports, codes // len(self.ports), codes % len(self.ports))


def cube(seen: Traffic, least: int) -> Cube:
    """Packets by minute, /16 network and port; cells of fewer than ``least`` are dropped."""
    code = (seen.host() << 16 | seen.port) * seen.minutes + seen.minute
    distinct, at = np.unique(code, return_inverse=True)
    packets = np.bincount(at, weights=seen.packets, minlength=len(distinct))
    kept = packets >= least
    distinct, packets = distinct[kept], packets[kept]
    pair = distinct // seen.minutes
    hosts, host_at = np.unique(pair >> 16, return_inverse=True)
    ports, port_at = np.unique(pair & 0xFFFF, return_inverse=True)
    where = np.stack([distinct % seen.minutes, host_at, port_at]).astype(np.int64)
    return Cube(Tensor(where, packets, (seen.minutes, len(hosts), len(ports))), hosts, ports)


def analyse(seen: Traffic, setting: NtdSetting, usual: Usual, scale: int = 1) -> Span:
    """Alerts of the cells that are left after surveys and ports were taken out. ``scale``: networks for each one
    in the sample."""
    whole = cube(seen, setting.least_packets)
    pairs = whole.pairs()
    keys = np.int64(seen.protocol) << 16 | whole.ports
    hosts = pairs.hosts_of_ports() * scale
    tensor = whole.tensor
    surprise = usual.surprise(keys, hosts)
    if setting.usual_ports:
        kept = (surprise >= WORTH_A_LOOK)[tensor.at[2]] & usual.knows
        tensor = Tensor(tensor.at[:, kept], tensor.value[kept], tensor.shape)
    if len(tensor.value) < 2:
        return Span([], [], keys, hosts)
    found = _restarts(tensor, setting)
    told, unseen = _told(found, whole, pairs, usual.share(keys, hosts, scale * len(whole.hosts)))
    notes = []
    if unseen:
        notes.append(
            f"{unseen:,} ports were paired only with networks that never asked for them, and are not alerted."
        )
    seen = seen.take(np.argsort(seen.port, kind="stable"))
    order = sorted(told, key=lambda at: (not told[at].alerted, -told[at].score, at))[:_LOOKED_AT]
    alerts = []
    for at in order:
        one = told[at]
        alerted = one.alerted
        score = combined(one.score, float(surprise[at]), one.shared)
        if setting.usual_ports:
            alerted = alerted and surprise[at] >= setting.surprise
        alerts.append(_alert(seen, one, whole, at, setting, score, alerted))
    return Span(alerts, notes, keys, hosts)


def _restarts(tensor: Tensor, setting: NtdSetting) -> list[tuple[int, Group]]:
    """Groups of every restart, with its number from 1 on."""
    ranks = (setting.core, setting.core, setting.core)
    fibres = low_rank(tensor, ranks)
    made = []
    for restart in range(setting.restarts):
        rng = np.random.default_rng((setting.seed, restart))
        found = nonnegative(fibres, ranks, rng)
        made += [
            (restart + 1, group)
            for group in groups(
                found, setting.threshold, not setting.own_thresholds, setting.core_couples, setting.coupling
            )
        ]
    return made


def _told(
    found: list[tuple[int, Group]], whole: Cube, pairs: Pairs, everywhere: np.ndarray
) -> tuple[dict[int, _Port], int]:
    """Ports by index, and the number of told ports that no network of their groups asked for. ``everywhere``: of each
    port the share of all hosts, for the score."""
    told: dict[int, _Port] = {}
    if not found:
        return told, 0
    members = np.stack([group.hosts for _, group in found], axis=1)
    hits = asked(pairs, whole.hosts, members)
    size = members.sum(axis=0)
    named = np.stack([group.ports for _, group in found], axis=1)
    unseen = int((named.any(axis=1) & ~(named & (hits > 0)).any(axis=1)).sum())
    at, of = np.nonzero((named & (hits > 0)) | ((hits >= 2) & (hits >= _FLOOR * size)))
    scores = concentration(hits[at, of], size[of], everywhere[at])
    for port, number, score in zip(at.tolist(), of.tolist(), scores.tolist(), strict=True):
        one = told.setdefault(port, _Port())
        restart, group = found[number]
        if named[port, number]:
            if not one.alerted:  # a group below the threshold does not speak for it any more
                one.alerted, one.score, one.best = True, 0.0, None
            one.restarts.add(restart)
            one.groups.append((restart, group))
        elif one.alerted:
            continue
        if one.best is None or score > one.score:
            one.score, one.best, one.shared = score, group, max(int(group.ports.sum()), 1)
    return told, unseen


def _alert(
    seen: Traffic, one: _Port, whole: Cube, at: int, setting: NtdSetting, score: float, alerted: bool
) -> Alert:
    best = one.best
    assert best is not None
    port = int(whole.ports[at])
    telling = [group for _, group in one.groups] or [best]
    members = np.logical_or.reduce([group.hosts for group in telling])
    to_port = np.arange(*np.searchsorted(seen.port, [port, port + 1]))  # cells are sorted by port
    mine = seen.take(to_port[np.isin(seen.host()[to_port], whole.hosts[members])])
    components = sorted({(restart, *pair) for restart, group in one.groups for pair in group.components})
    how = (
        f"{len(one.restarts)} of {setting.restarts} random starts of the decomposition tell it."
        if one.restarts
        else "No decomposition tells it."
    )
    return Alert(
        protocol=seen.protocol,
        port=port,
        mine=mine,
        minutes=best.course >= 0.5 * best.course.max(),
        score=score,
        alerted=alerted,
        others=int(seen.packets[to_port].sum()) - int(mine.packets.sum()),
        how=how,
        told={
            "restarts": sorted(one.restarts),
            "components": [[restart, j, list(ks)] for restart, j, ks in components],
            "networks_of_groups": int(members.sum()),
        },
    )
