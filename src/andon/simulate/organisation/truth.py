"""The truth about a scenario, counted from the lines that were written, in files of its own."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from . import sites as where
from .automatic import C2
from .build import Day, World, kinds
from .campaigns import KINDS
from .chains import BENIGN, CLASSES, Chains, Hops
from .lines import CONNECT, LINE
from .lists import colours
from .people import ROLES
from .scenario import DAY

_TIME = pa.timestamp("ns", tz="UTC")


class Ledger:
    """Takes the blocks as they are written, and the days; then writes ``truth/``."""

    def __init__(self, world: World) -> None:
        self.world, dest, n = world, world.dest, world.who.count
        self.colours = colours(world.scenario, dest, world.plan)
        self._black = self.colours == "black"
        self._bad = dest.kind == where.MALICIOUS
        self._lines = np.zeros(dest.count, np.int64)
        self._of = np.zeros(n, np.int64)
        self._touched = np.zeros(n, bool)
        self._shown = np.full(n, -1, np.int64)  # first contact with a host of its own campaign
        weeks = -(-world.scenario.days // 7)
        self._met, self._met_black, self._met_new = (np.zeros((n, weeks), np.int64) for _ in range(3))
        self._pairs = np.empty(0, np.int64)
        streams = world.streams
        keys = streams.terminal.astype(np.int64) * dest.count + streams.host
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]
        self._calls = np.zeros(len(keys), np.int64)
        self._first, self._last = np.full(len(keys), -1, np.int64), np.full(len(keys), -1, np.int64)
        self._chains: list[dict[str, list[Any]]] = []
        self.lines = 0

    def take(self, block: np.ndarray) -> None:
        """Counts a block of lines."""
        dest = self.world.dest
        self.lines += len(block)
        self._lines += np.bincount(block["host"], minlength=dest.count)
        self._of += np.bincount(block["terminal"], minlength=len(self._of))
        kind = dest.kind[block["host"]]
        bad = block[(kind == where.MALICIOUS) | self._black[block["host"]]]
        self._touched[bad["terminal"][self._black[bad["host"]]]] = True
        self._exposed(bad)
        calls = block[(kind == where.MALICIOUS) | (kind == where.TELEMETRY)]
        key = calls["terminal"].astype(np.int64) * dest.count + calls["host"]
        place = np.searchsorted(self._keys, key)
        place[place == len(self._keys)] = 0
        hit = self._keys[place] == key if len(self._keys) else np.zeros(len(key), bool)
        np.add.at(self._calls, place[hit], 1)
        fresh = hit & (self._first[place] < 0)
        self._first[place[fresh][::-1]] = calls["ts"][fresh][::-1]
        self._last[place[hit]] = calls["ts"][hit]

    def _exposed(self, bad: np.ndarray) -> None:
        week = (bad["ts"] + bad["elapsed"]) // (7 * DAY)
        terminal, host = bad["terminal"].astype(np.int64), bad["host"].astype(np.int64)
        malicious, black = self._bad[host], self._black[host]
        np.add.at(self._met, (terminal[malicious], week[malicious]), 1)
        np.add.at(self._met_black, (terminal[black], week[black]), 1)
        key, first = np.unique(terminal * self.world.dest.count + host, return_index=True)
        fresh = ~np.isin(key, self._pairs)
        np.add.at(self._met_new, (terminal[first[fresh]], week[first[fresh]]), 1)
        self._pairs = np.concatenate([self._pairs, key[fresh]])
        campaign = np.full(self.world.dest.count, -2)
        start = self.world.dest.ranges[where.MALICIOUS][0]
        campaign[start : start + len(self.world.plan.host_campaign)] = self.world.plan.host_campaign
        own = self.world.plan.campaign[terminal]
        mine = (own >= 0) & (campaign[host] == own) & (self._shown[terminal] < 0)
        self._shown[terminal[mine][::-1]] = bad["ts"][mine][::-1]

    def day(self, of: Day) -> None:
        """Takes down the redirect chains of a day."""
        for chains, made in (of.bad, of.good):
            self._chains.append(self._chain_rows(chains, made))

    def _chain_rows(self, of: Chains, made: Hops) -> dict[str, list[Any]]:
        world = self.world
        hosts, places = world.dest.names, world.pool.text
        cut = np.cumsum(np.bincount(made.chain, minlength=len(of)))[:-1]
        seen = made.lines["path"] >= 0
        name = hosts.take(pa.array(made.lines["host"])).to_pylist()
        path = places.take(pa.array(np.maximum(made.lines["path"], 0))).to_pylist()
        urls = [n + (p if s else "") for n, p, s in zip(name, path, seen.tolist(), strict=True)]
        tunnels = np.bincount(made.chain[made.lines["method"] == CONNECT], minlength=len(of))
        bounds = [0, *cut.tolist(), len(urls)]
        lists = [urls[a:b] for a, b in pairwise(bounds)] if len(of) else []
        begin = world.scenario.begin
        return {
            "terminal": of.terminal.tolist(),
            "ts": [(begin + t) * 1_000_000 for t in of.ts.tolist()],
            "class": [CLASSES[k] for k in of.kind.tolist()],
            "campaign": of.campaign.tolist(),
            "hops": lists,
            "malicious": [
                urls[-1] if k != BENIGN else None for urls, k in zip(lists, of.kind.tolist(), strict=True)
            ],
            "missing_referers": made.missing.tolist(),
            "tunnelled": tunnels.tolist(),
        }

    def write(self, out: Path, anomalies: pa.Table) -> dict[str, int]:
        """All files; gives what there is of what."""
        out.mkdir(parents=True, exist_ok=True)
        world = self.world
        names = self.names()
        terminals, hidden = self._terminals(names)
        _write(out / "terminals.parquet", terminals)
        _write(out / "destinations.parquet", self._destinations())
        _write(out / "beacons.parquet", self._beacons(names))
        joined: dict[str, list[Any]] = {k: [] for k in self._chain_rows(*_no_chains())}
        for rows in self._chains:
            for key, values in rows.items():
                joined[key] += values
        joined["terminal"] = [names[t] for t in joined["terminal"]]
        _write(out / "chains.parquet", {
            **joined, "ts": pa.array(joined["ts"], _TIME), "hops": pa.array(joined["hops"], pa.list_(pa.string())),
            "malicious": pa.array(joined["malicious"], pa.string()),
        })  # fmt: skip
        _write(out / "exposures.parquet", self._exposures(names))
        pq.write_table(anomalies, out / "anomalies.parquet", compression="zstd")
        plan = world.plan
        body = {
            **{k: str(v) if k == "start" else v for k, v in asdict(world.scenario).items()},
            "holiday": world.scenario.holiday, "shift_change": world.scenario.shift_change,
            "departments": world.who.departments, "lines": self.lines,
            "campaign": [
                {"campaign": c, "kind": KINDS[k], "victims": int((plan.campaign == c).sum()),
                 "hosts": int((plan.host_campaign == c).sum()), "black": int(plan.black[plan.host_campaign == c].sum())}
                for c, k in enumerate(plan.kind.tolist())
            ],
        }  # fmt: skip
        (out / "scenario.json").write_text(json.dumps(body, indent=1) + "\n")
        return {
            "infected": int((self._shown >= 0).sum()),
            "hidden": hidden,
            "malicious": int(self._bad.sum()),
        }

    def names(self) -> list[str]:
        """What an analysis calls the terminals (``People.names``)."""
        return self.world.who.names()

    def _terminals(self, names: list[str]) -> tuple[dict[str, Any], int]:
        world, plan = self.world, self.world.plan
        shown = self._shown >= 0
        begin = world.scenario.begin
        hidden = shown & ~self._touched
        return {
            "terminal": names,
            "address": world.who.addresses(0),
            "device": [world.who.device(i) for i in range(world.who.count)],
            "user": world.who.users,
            "department": pa.array(world.who.department, pa.int32()),
            "role": [ROLES[r] for r in world.who.role.tolist()],
            "campaign": pa.array(np.where(shown, plan.campaign, -1), pa.int64()),
            "infected_from": pa.array((begin + self._shown) * 1_000_000, _TIME, mask=~shown),
            "hidden": hidden,
            "touched_black": self._touched,
            "risk": world.who.risk,
            "lines": pa.array(self._of, pa.int64()),
        }, int(hidden.sum())  # fmt: skip

    def _destinations(self) -> dict[str, Any]:
        world, plan = self.world, self.world.plan
        (seen,) = np.nonzero(self._lines)
        campaign = np.full(world.dest.count, -1)
        first = world.dest.ranges[where.MALICIOUS][0]
        campaign[plan.landings[:, 0]] = plan.landings[:, 1]
        campaign[first : first + len(plan.host_campaign)] = plan.host_campaign
        return {
            "host": world.dest.names.take(pa.array(seen)),
            "server": where.dotted(world.dest.server[seen]),
            "kind": kinds(world)[seen],
            "seed": self.colours[seen],
            "campaign": pa.array(campaign[seen], pa.int64()),
            "lines": pa.array(self._lines[seen], pa.int64()),
        }

    def _beacons(self, names: list[str]) -> dict[str, Any]:
        world, streams = self.world, self.world.streams
        (kept,) = np.nonzero(self._calls)
        which = self._order[kept]
        begin = world.scenario.begin
        return {
            "terminal": [names[t] for t in streams.terminal[which].tolist()],
            "host": world.dest.names.take(pa.array(streams.host[which])),
            "kind": ["c2" if k == C2 else "telemetry" for k in streams.kind[which].tolist()],
            "campaign": pa.array(streams.campaign[which], pa.int64()),
            "period": streams.period[which] / 1000,
            "jitter": streams.jitter[which],
            "contacts": pa.array(self._calls[kept], pa.int64()),
            "first": pa.array([(begin + t) * 1_000_000 for t in self._first[kept].tolist()], _TIME),
            "last": pa.array([(begin + t) * 1_000_000 for t in self._last[kept].tolist()], _TIME),
        }

    def _exposures(self, names: list[str]) -> dict[str, Any]:
        world = self.world
        n, weeks = self._met.shape
        terminal, week = np.repeat(np.arange(n), weeks), np.tile(np.arange(weeks), n)
        there = world.who.joined[terminal] < 7 * (week + 1)
        terminal, week = terminal[there], week[there]
        return {
            "terminal": [names[t] for t in terminal.tolist()],
            "user": [world.who.users[t] for t in terminal.tolist()],
            "week": pa.array(week, pa.int64()),
            "met": self._met[terminal, week] > 0,
            "met_black": self._met_black[terminal, week] > 0,
            "met_new": self._met_new[terminal, week] > 0,  # one that it had not met before
        }


def _no_chains() -> tuple[Chains, Hops]:
    none = np.empty(0, np.int64)
    return Chains(none, none, none, none, np.empty((0, 6), np.int32)), Hops(np.empty(0, LINE), none, none)


def _write(path: Path, columns: dict[str, Any]) -> None:
    pq.write_table(pa.table(columns), path, compression="zstd")
