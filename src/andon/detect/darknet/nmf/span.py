"""One span and protocol from cells to alerts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from andon.detect.darknet.nmf.factorise import Factors, all_ranks, description_length, matrix
from andon.detect.darknet.nmf.groups import Group, Rule, Told, groups, ports
from andon.detect.darknet.nmf.settings import NmfSetting
from andon.sketch.factors.alerts import Alert
from andon.sketch.factors.engine import Span
from andon.sketch.factors.surprise import combined
from andon.sketch.factors.traffic import Traffic, pairs
from andon.sketch.factors.usual import WORTH_A_LOOK, Usual

_ADDRESS_LIMIT = 30  # packets of an address in a minute, in the second stage


@dataclass(frozen=True)
class Columns:
    """``v`` (minutes, columns) of the columns ``names``; ``beyond``: columns left out because there were too many."""

    v: np.ndarray
    names: np.ndarray
    beyond: int


def counted(seen: Traffic, name: np.ndarray, limit: int, setting: NmfSetting) -> Columns:
    """V of cells by column ``name``, without columns of fewer packets than ``setting.least_packets`` and without those
    above ``limit`` packets in a minute.

    The published code indexes with minus the list of the latter: if nobody is above the limit the list is empty, and in
    R that selects no column at all, so the span is lost. ``setting.quiet_spans`` mends it. ``setting.logarithm``: n
    packets count log2(1 + n), so that one still counts 1 and a loud network does not set the measure for its group."""
    minutes = seen.minutes
    names, at = np.unique(name, return_inverse=True)
    v = np.bincount(at * minutes + seen.minute, weights=seen.packets, minlength=len(names) * minutes)
    v = v.reshape(len(names), minutes)
    total = v.sum(axis=1)
    heavy = v.max(axis=1, initial=0.0) > limit
    enough = total >= setting.least_packets
    kept = enough & ~heavy
    if not (heavy & enough).any() and not setting.quiet_spans:
        kept[:] = False
    rows = np.flatnonzero(kept)
    beyond = max(len(rows) - setting.columns, 0)
    if beyond:  # those with most packets stay
        rows = np.sort(rows[np.lexsort((names[rows], -total[rows]))[: setting.columns]])
    v = v[rows].T
    return Columns(np.ascontiguousarray(np.log2(1.0 + v) if setting.logarithm else v), names[rows], beyond)


def _factorised(columns: Columns, setting: NmfSetting, rule: Rule) -> tuple[list[Group], list[Factors]]:
    v = matrix(columns.v)
    found = all_ranks(v, setting.ranks, setting.iterations, setting.stop, setting.solver)
    if setting.mdl and found:
        found = [min(found, key=lambda factors: description_length(v, factors))]
    return [group for factors in found for group in groups(factors, v.of, rule)], found


def analyse(seen: Traffic, setting: NmfSetting, usual: Usual, scale: int = 1) -> Span:
    """Alerts of the cells that are left after surveys and ports were taken out. ``scale``: networks for each one
    in the sample."""
    seen = seen.take(np.argsort(seen.port, kind="stable"))
    asked = pairs(seen, setting.octets)
    keys = np.int64(seen.protocol) << 16 | asked.ports
    hosts = asked.hosts_of_ports() * scale
    surprise = usual.surprise(keys, hosts)
    share = usual.share(keys, hosts, scale * len(asked.hosts))
    looked_at = seen
    if setting.usual_ports:
        worth = asked.ports[surprise >= WORTH_A_LOOK] if usual.knows else keys[:0]
        looked_at = seen.take(np.isin(seen.port, worth))
    columns = counted(looked_at, looked_at.host(setting.octets), setting.over_limit, setting)
    if len(columns.names) < setting.rule.least:
        return Span([], [], keys, hosts)
    found, _ = _factorised(columns, setting, setting.rule)
    told = ports(found, asked, columns.names, share, setting.rule)
    notes = []
    if columns.beyond:
        notes.append(
            f"{columns.beyond:,} networks with fewest packets were left out (raise darknet.nmf.columns)."
        )
    confirmed = None
    if setting.rule.mode == 0 and setting.second_stage:
        confirmed, note = second_stage(seen, asked.ports[[t.port for t in told if t.alerted]], setting)
        notes += [note] if note else []
    alerts = []
    # Of ports below the threshold only those with the highest scores are looked at further.
    for one in sorted(told, key=lambda t: (not t.alerted, -t.score, t.port))[:4000]:
        port = int(asked.ports[one.port])
        alerted = one.alerted
        score = combined(one.score, float(surprise[one.port]), one.shared)
        if confirmed is not None:
            alerted = alerted and port in confirmed
        if setting.usual_ports:
            alerted = alerted and surprise[one.port] >= setting.surprise
        alerts.append(_alert(seen, one, port, found, columns, setting, score, alerted))
    return Span(alerts, notes, keys, hosts)


def _alert(
    seen: Traffic,
    one: Told,
    port: int,
    found: list[Group],
    columns: Columns,
    setting: NmfSetting,
    score: float,
    alerted: bool,
) -> Alert:
    of = [found[number] for number in one.groups]
    members = np.logical_or.reduce([group.hosts for group in of])
    common = np.logical_and.reduce([group.hosts for group in of])
    to_port = np.arange(*np.searchsorted(seen.port, [port, port + 1]))  # cells are sorted by port
    host = seen.host(setting.octets)[to_port]
    mine = seen.take(to_port[np.isin(host, columns.names[members])])
    ranks = sorted({group.rank for group in of})
    percent = np.array(one.percent)
    how = (
        f"{len(of)} component{'s' * (len(of) != 1)} of the factorisations into {_listed(ranks)} tell it; of their "
        f"networks {percent.min():.0f} to {percent.max():.0f} % asked for the port."
    )
    return Alert(
        protocol=seen.protocol,
        port=port,
        mine=mine,
        minutes=found[one.best].minutes,
        score=score,
        alerted=alerted,
        others=int(seen.packets[to_port].sum()) - int(mine.packets.sum()),
        how=how,
        told={
            "groups": len(of),
            "ranks": ranks,
            "components": [[group.rank, group.number + 1] for group in of],
            "networks_of_any_group": len(np.unique(mine.host(setting.octets))),
            "networks_of_every_group": int(np.isin(columns.names[common], host).sum()),
            "percent_max": round(float(percent.max()), 2),
            "percent_min": round(float(percent.min()), 2),
            "percent_median": round(float(np.median(percent)), 2),
        },
    )


def second_stage(seen: Traffic, told: np.ndarray, setting: NmfSetting) -> tuple[set[int], str]:
    """Ports (of those told by the first stage) that stand when addresses and ports are factorised themselves.

    Columns are (address, port) with the limit of an address; a column is anomalous from 98 % of its group's largest, a
    group from two such columns on, and its ports stand. Gives them and what was left out, in words."""
    cells = seen.take(np.isin(seen.port, told))
    columns = counted(cells, cells.source << 16 | cells.port, _ADDRESS_LIMIT, setting)
    if len(columns.names) < 2:
        return set(), ""
    found, _ = _factorised(columns, setting, Rule(peak=setting.second_peak, least=2, mode=1))
    stand = {port for group in found for port in (columns.names[group.hosts] & 0xFFFF).tolist()}
    note = (
        f"{columns.beyond:,} pairs of address and port were left out of the second stage."
        if columns.beyond
        else ""
    )
    return stand, note


def _listed(numbers: list[int]) -> str:
    """
    >>> _listed([1, 2, 5])
    '1, 2 and 5'
    """
    words = [str(number) for number in numbers]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


__all__ = ["Columns", "Span", "analyse", "counted", "second_stage"]
