"""The daily tables of an organisation without its logs: what ``livenet.edges`` would publish, by counting hosts.

For engines that live on tables and need months of days (``livenet.userrisk``). Times within a day, sizes, agents and
sketches are left out or empty; which terminal visits which host how often, and when a host was first seen, is as in
the logs of the same scenario. ``livenet.proxygraph:terminals`` is a plain rule here, so that nothing of the truth
leaks: a terminal with two black-listed contacts is certainly infected, one with five of them a day is a scanner or
gateway. There are no gray suspects and no scores of URLs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from andon.records import livenet

from . import lines
from . import sites as where
from .build import World, happenings
from .lists import colours
from .scenario import DAY, HOUR

_TIME = pa.timestamp("ns", tz="UTC")


class Daily:
    """``tables(day)`` of ``world``, in the order of days."""

    def __init__(self, world: World) -> None:
        self.world, dest = world, world.dest
        self.colour = colours(world.scenario, dest, world.plan)
        names = world.who.names()
        self.names = names
        self._by_name = np.argsort(np.array(names, object))
        self._hosts = dest.names
        self._host_order = np.argsort(np.array(dest.names.to_pylist(), object), kind="stable")
        self._rank = np.empty(dest.count, np.int64)
        self._rank[self._host_order] = np.arange(dest.count)
        self._name_rank = np.empty(len(names), np.int64)
        self._name_rank[self._by_name] = np.arange(len(names))
        self._first = np.full(dest.count, -1, np.int64)  # ms
        self._black = np.zeros(len(names), np.int64)  # black-listed hosts met so far
        self._is_address = np.array([n.replace(".", "").isdigit() for n in dest.names.to_pylist()])

    def tables(self, number: int) -> dict[str, pa.Table]:
        """Keyed as an engine's context has them."""
        world, dest = self.world, self.world.dest
        day = happenings(world, number)
        read = day.pages
        loaded = dest.embeds[read.host]
        farm, many = dest.ranges[where.SUBDOMAIN]
        random = farm + world.scenario.rng("daily", number).integers(0, many, loaded.shape)
        loaded = np.where(loaded < -1, random, loaded)
        owner, slot = np.nonzero(loaded >= 0)
        terminal = np.concatenate([read.terminal, read.terminal[owner], day.rest["terminal"]]).astype(
            np.int64
        )
        host = np.concatenate([read.host, loaded[owner, slot], day.rest["host"]]).astype(np.int64)
        ts = np.concatenate([read.ts, read.ts[owner], day.rest["ts"]])
        rest = np.zeros(len(host) - len(day.rest), np.int64)
        status = np.concatenate([rest, day.rest["status"].astype(np.int64)])
        n = len(world.who.role)
        key = self._name_rank[terminal] * dest.count + self._rank[host]
        order = np.argsort(key, kind="stable")
        key, terminal, host, ts, status = key[order], terminal[order], host[order], ts[order], status[order]
        at = np.flatnonzero(np.r_[True, key[1:] != key[:-1]])
        count = np.diff(np.r_[at, len(key)])
        who, what = terminal[at], host[at]
        refused = np.add.reduceat(np.isin(status, lines.REFUSED).astype(np.int64), at)
        failed = np.add.reduceat(
            np.isin(status, (lines.NOT_FOUND, lines.UNAVAILABLE, lines.NO_TUNNEL)).astype(np.int64), at
        )
        begin = world.scenario.begin
        first, last = np.minimum.reduceat(ts, at), np.maximum.reduceat(ts, at)
        hour = (ts // HOUR % 24).astype(np.int64)
        hours = np.bitwise_or.reduceat(1 << hour, at)
        gray = self.colour[what] == "gray"
        no_referer = np.where(gray, (count + 1) // 2, count // 3)
        edges = _filled({
            "terminal": pa.array(self.names).take(pa.array(who)), "destination": self._hosts.take(pa.array(what)),
            "first": _times(begin + first), "last": _times(begin + last), "count": count, "bytes_in": count * 12_000,
            "bytes_out": count * 900, "refused": refused, "failed": failed, "no_referer": no_referer, "referers": count,
            "hours": pa.array(hours, pa.int32()), "times": _none(len(at)), "sizes": _none(len(at)),
            "unlisted": np.zeros(len(at), np.int64),
        }, livenet.EDGES)  # fmt: skip
        return {
            "livenet.edges:edges": edges,
            "livenet.edges:destinations": self._destinations(number, what, first, count, no_referer),
            **self._terminals(n, who, what, count, refused, failed, first, last, hours),
            "livenet.proxygraph:gray": livenet.GRAY.empty_table(),
            "livenet.url:hosts": livenet.URL_HOSTS.empty_table(),
        }

    def _destinations(
        self, number: int, what: np.ndarray, first: np.ndarray, count: np.ndarray, no_referer: np.ndarray
    ) -> pa.Table:
        world = self.world
        seen = self._host_order[np.isin(self._host_order, what)]
        earliest = np.full(world.dest.count, 1 << 60)
        np.minimum.at(earliest, what, first)
        fresh = self._first < 0
        self._first = np.where(fresh & (earliest < 1 << 60), earliest, self._first)
        visitors, total = (
            np.bincount(what, minlength=len(fresh)),
            np.bincount(what, count, len(fresh)).astype(np.int64),
        )
        bare = np.bincount(what, no_referer, len(fresh)).astype(np.int64)
        m = len(seen)
        columns = {
            "destination": self._hosts.take(pa.array(seen)), "domain": self._hosts.take(pa.array(seen)),
            "is_address": self._is_address[seen], "colour": pa.array(self.colour[seen].tolist()),
            "lists": pa.array([[]] * m, pa.list_(pa.string())), "fresh": np.zeros(m, bool),
            "servers": pa.array([[]] * m, pa.list_(pa.string())), "ports": pa.array([[]] * m, pa.list_(pa.int32())),
            "visitors": visitors[seen], "count": total[seen], "bytes_in": total[seen] * 12_000,
            "bytes_out": total[seen] * 900, "first_seen": _times(world.scenario.begin + self._first[seen]),
            "age_known": self._first[seen] >= DAY, "no_referer": bare[seen], "referers": total[seen],
            "rare_agent": np.zeros(m, np.int64), "agents": np.zeros(m, np.int64), "untitled": np.zeros(m, np.int64),
            "domain_seen": _times(world.scenario.begin + self._first[seen]), "folded": np.zeros(m, np.int64),
        }  # fmt: skip
        return _filled(columns, livenet.DESTINATIONS)

    def _terminals(
        self, n: int, who: np.ndarray, what: np.ndarray, count: np.ndarray, refused: np.ndarray, failed: np.ndarray,
        first: np.ndarray, last: np.ndarray, hours: np.ndarray,
    ) -> dict[str, pa.Table]:  # fmt: skip
        seen = self._by_name[np.isin(self._by_name, who)]

        def total(of: np.ndarray) -> np.ndarray:
            return np.bincount(who, of, n).astype(np.int64)[seen]

        earliest, latest, active = np.full(n, 1 << 60), np.zeros(n, np.int64), np.zeros(n, np.int64)
        np.minimum.at(earliest, who, first)
        np.maximum.at(latest, who, last)
        np.bitwise_or.at(active, who, hours)
        texts = pa.array([[]] * len(seen), pa.list_(pa.string()))
        names = pa.array(self.names).take(pa.array(seen))
        begin = self.world.scenario.begin
        terminals = _filled({
            "terminal": names, "addresses": texts, "users": texts, "count": total(count),
            "destinations": total(np.ones(len(who))), "bytes_in": total(count * 12_000),
            "bytes_out": total(count * 900), "refused": total(refused), "failed": total(failed),
            "agents": np.ones(len(seen), np.int64),
            "first": _times(begin + earliest[seen]), "last": _times(begin + latest[seen]),
            "hours": pa.array(active[seen], pa.int32()),
        }, livenet.TERMINALS)  # fmt: skip
        black = np.bincount(who[self.colour[what] == "black"], minlength=n)
        self._black += black
        clean = (black >= 5)[seen]
        suspects = _filled({
            "rank": np.arange(1, len(seen) + 1), "terminal": names,
            "probability": np.where(self._black[seen] > 1, 1.0, 0.0),
            "certain": (self._black[seen] > 1) & ~clean, "black": black[seen], "gray": np.zeros(len(seen), np.int64),
            "clean": clean,
        }, livenet.SUSPECTS)  # fmt: skip
        return {"livenet.edges:terminals": terminals, "livenet.proxygraph:terminals": suspects}


def _filled(columns: Mapping[str, Any], schema: pa.Schema) -> pa.Table:
    """A table of the schema; what it has besides ``columns`` is 0 or empty."""
    rows = len(next(iter(columns.values())))
    made = []
    for field in schema:
        if field.name in columns:
            made.append(pa.array(columns[field.name]).cast(field.type))
        elif pa.types.is_string(field.type):
            made.append(pa.array([""] * rows))
        elif pa.types.is_list(field.type):
            made.append(pa.array([[]] * rows, field.type))
        else:
            made.append(pa.array(np.zeros(rows, np.int64)).cast(field.type))
    return pa.table(made, schema=schema)


def _times(ms: np.ndarray) -> pa.Array:
    return pa.array(ms * 1_000_000, _TIME)


def _none(rows: int) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(np.zeros(rows + 1, np.int32)), pa.array([], pa.uint32()))
