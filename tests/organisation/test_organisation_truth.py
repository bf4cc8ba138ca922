"""The truth beside the logs: what it says of terminals, hosts, beacons, chains and anomalies is what the logs show."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from andon.simulate.organisation import Scenario, simulate
from andon.simulate.organisation.build import World, happenings
from andon.simulate.score_organisation import Ranking, Truth, score

HOUR_NS = 3_600_000_000_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    scenario = Scenario(
        seed=23, terminals=220, days=2, camera="203.0.113.9", exposure=0.3, inspect=0.8, campaigns=12
    )
    return simulate(scenario, tmp_path_factory.mktemp("truth"), ("squid", "flows")).folder


@pytest.fixture(scope="module")
def log(folder: Path) -> list[tuple[float, str, str, str]]:
    """(begin in s, terminal, host, URL) of each line."""
    made = []
    for line in (folder / "access.log").read_text().splitlines():
        end, elapsed, client, _, _, _, url, user, *_ = line.split()
        host = re.sub(r"^https?://", "", url).split("/")[0].split(":")[0].split("?")[0]
        made.append((float(end) - int(elapsed) / 1000, client if user == "-" else user, host, url))
    return made


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    table = pq.read_table(folder / "truth" / f"{name}.parquet")
    plain = [c.cast(pa.int64()) if pa.types.is_timestamp(c.type) else c for c in table.columns]
    return pa.table(plain, names=table.column_names).to_pylist()


def test_who_touched_black_and_who_is_hidden_can_be_counted_in_the_log(
    folder: Path, log: list[tuple[float, str, str, str]]
) -> None:
    with (folder / "lists" / "black.csv").open() as file:
        black = {row["value"] for row in csv.DictReader(file)}
    touched = {terminal for _, terminal, host, _ in log if host in black}
    terminals = rows(folder, "terminals")
    assert touched == {t["terminal"] for t in terminals if t["touched_black"]}
    hosts = {d["host"]: d for d in rows(folder, "destinations")}
    assert {host for _, _, host, _ in log} == hosts.keys()
    own: dict[str, set[int]] = defaultdict(set)
    for _, terminal, host, _ in log:
        if hosts[host]["kind"] == "malicious" and hosts[host]["campaign"] >= 0:
            own[terminal].add(hosts[host]["campaign"])
    infected = {t["terminal"]: t for t in terminals if t["infected_from"] is not None}
    assert len(infected) > 15 and all(t["campaign"] in own[name] for name, t in infected.items())
    hidden = {name for name, t in infected.items() if t["hidden"]}
    assert hidden == infected.keys() - touched and hidden


def test_victims_share_about_45_in_100_of_their_campaigns_hosts(folder: Path) -> None:
    world = World(Scenario(seed=9, terminals=600, days=12, campaigns=40))
    plan, first = world.plan, world.dest.ranges[12][0]
    shares = []
    for c in np.nonzero(np.bincount(plan.campaign[plan.campaign >= 0]) > 3)[0]:
        victims, mine = np.nonzero(plan.campaign == c)[0], first + np.nonzero(plan.host_campaign == c)[0]
        lines = plan.contacts[
            np.isin(plan.contacts["terminal"], victims) & np.isin(plan.contacts["host"], mine)
        ]
        pairs = {(a, b) for a, b in zip(lines["terminal"].tolist(), lines["host"].tolist(), strict=True)}
        shares.append(len(pairs) / (len(victims) * len(mine)))
    assert 0.4 < np.mean(shares) < 0.6  # the beacon's host is among them for certain
    assert 0.2 < plan.black[plan.host_campaign >= 0].mean() < 0.5
    spear = [np.unique(world.who.department[plan.campaign == c]).size for c in np.nonzero(plan.kind == 0)[0]]
    assert set(spear) <= {0, 1} and np.mean(spear) > 0.5


def test_beacons_beat_with_their_period(folder: Path, log: list[tuple[float, str, str, str]]) -> None:
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    for at, terminal, host, _ in log:
        times[terminal, host].append(at)
    seen = [b for b in rows(folder, "beacons") if b["contacts"] >= 60]
    assert {b["kind"] for b in seen} == {"c2", "telemetry"}
    for b in seen:
        mine = np.sort(times[b["terminal"], b["host"]])
        assert len(mine) == b["contacts"]
        gap = np.median(np.diff(mine))
        if b["kind"] == "telemetry":
            assert abs(gap / b["period"] - 1) < 0.3, b


def test_chains_are_in_the_log_hop_by_hop(folder: Path, log: list[tuple[float, str, str, str]]) -> None:
    by_terminal: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for at, terminal, _, url in log:
        by_terminal[terminal].append((at, re.sub(r"^https?://", "", url).replace(":443", "")))
    chains = rows(folder, "chains")
    kinds = Counter(c["class"] for c in chains)
    assert kinds["benign"] > kinds["drive-by"] > 5 and kinds["social-engineering"] > 5
    for chain in chains:
        begin = chain["ts"] / 1e9
        around = [
            url for at, url in sorted(by_terminal[chain["terminal"]]) if begin - 0.01 <= at <= begin + 400
        ]
        for hop in chain["hops"]:
            assert any(url == hop or re.sub(r":\d+", "", url, count=1) == hop for url in around), (chain, hop)
        assert (chain["malicious"] is None) == (chain["class"] == "benign")
    assert any(chain["missing_referers"] for chain in chains)


def test_anomalies_are_in_the_flows(folder: Path) -> None:
    anomalies = rows(folder, "anomalies")
    about = {a["address"] for a in anomalies}
    lines = (folder / "zeek" / "conn.log").read_text().splitlines()
    flows = defaultdict(list)
    for line in lines:
        if line[0] != "#" and (address := line.split("\t", 3)[2]) in about:
            flows[address].append(line.split("\t"))
    kinds = Counter(a["kind"] for a in anomalies)
    assert kinds["internet-scan"] == 1 and len(kinds) >= 4
    for a in anomalies:
        begin, end = a["begin"] / 1e9 - 0.01, a["end"] / 1e9 + 0.01
        mine = [f for f in flows[a["address"]] if begin <= float(f[0]) <= end]
        if a["kind"] != "exfiltration":
            assert sum(int(f[5]) == a["port"] for f in mine) > 0.4 * a["flows"], a
        if a["kind"] == "exfiltration":
            assert sum(int(f[9]) for f in mine if f[9] != "-") >= a["bytes_out"], a
        if a["kind"].endswith("scan"):
            assert np.mean([f[11] in ("S0", "REJ") for f in mine if int(f[5]) == a["port"]]) > 0.6
    assert Counter(f[5] for f in flows["203.0.113.9"]).most_common(1)[0][0] == "23"


def test_nobody_works_on_a_holiday_and_some_shifts_change() -> None:
    world = World(Scenario(seed=4, terminals=400, days=18))
    pages = {day: happenings(world, day).pages for day in (7, 8, 9, 12, 15)}
    usual = len(pages[8].ts)
    assert abs(len(pages[7].ts) / usual - 1) < 0.2
    assert len(pages[9].ts) < 0.15 * usual  # the holiday
    assert len(pages[12].ts) < 0.4 * usual  # a Saturday
    moved = world.who.changes[world.who.department] != 0

    def middle(day: int, who: np.ndarray) -> float:
        mine = pages[day].ts[np.isin(pages[day].terminal, np.nonzero(who & (world.who.late < 0.1))[0])]
        return float(np.median(mine % (24 * 3_600_000))) / 3_600_000

    assert moved.any() and abs(middle(15, ~moved) - middle(8, ~moved)) < 0.7
    for department in np.unique(world.who.department[moved])[:3]:
        mine = world.who.department == department
        assert abs(middle(15, mine) - middle(8, mine)) > 1.5


def test_options_make_it_harder(tmp_path: Path) -> None:
    plain = Truth(simulate(Scenario(seed=3, terminals=200, days=2), tmp_path / "plain", ("squid",)).folder)
    poisoned = Truth(
        simulate(Scenario(seed=3, terminals=200, days=2, poison=True), tmp_path / "p", ("squid",)).folder
    )
    clean = [len(t.where("touched_black") - t.infected()) for t in (plain, poisoned)]
    assert clean[1] > clean[0] + 5
    cdn = Truth(
        simulate(Scenario(seed=3, terminals=200, days=2, black_cdn=True), tmp_path / "c", ("squid",)).folder
    )
    assert len(cdn.where("touched_black")) > 150
    assert len(cdn.hosts(("cdn",), "black")) == 1
    assert json.loads((tmp_path / "p" / "truth" / "scenario.json").read_text())["poison"] is True


def test_scoring_gives_a_perfect_analysis_full_marks_and_a_random_one_less(folder: Path) -> None:
    truth = Truth(folder)
    names, n = truth.terminals["terminal"], len(truth.terminals["terminal"])
    hidden, infected, touched = truth.where("hidden"), truth.infected(), truth.where("touched_black")

    def tables(order: list[str]) -> dict[str, list[pa.Table]]:
        gray = [*sorted(truth.hosts(("malicious", "compromised"), "gray")), "a.example", "b.example"]
        return {
            "livenet.proxygraph:terminals": [pa.table({
                "rank": np.arange(1, n + 1), "terminal": order,
                "certain": [t in infected and t in touched for t in order],
            })],
            "livenet.proxygraph:gray": [pa.table({"rank": np.arange(1, len(gray) + 1), "destination": gray})],
        }  # fmt: skip

    perfect = score(truth, [], tables(sorted(names, key=lambda t: (t not in infected, t))))
    assert perfect["hidden"]["average"] == 1.0 and perfect["hidden"]["true"] == len(hidden)
    assert perfect["certain"]["precision"] == perfect["certain"]["recall"] == 1.0
    assert perfect["gray"]["good"]["average"] == 1.0
    shuffled = score(truth, [], tables(sorted(names, key=lambda t: (t in infected, t))))
    assert shuffled["hidden"]["average"] < 0.3
    assert perfect["beacons"] is None and perfect["risk"] is None
    assert sum(perfect["chains"]["confusion"].values()) == perfect["chains"]["malicious"] > 10


def test_scoring_counts_found_and_false_anomalies(folder: Path) -> None:
    truth = Truth(folder)
    one = rows(folder, "anomalies")[0]

    def told(who: str, begin: int) -> dict[str, Any]:
        stamp = [f"{np.datetime64(t, 'ns')}Z" for t in (begin, begin + HOUR_NS)]
        return {
            "kind": "flow-anomaly", "subject": {"type": "ipv4-addr", "value": who}, "entities": [], "attributes": {},
            "window": {"start": stamp[0], "end": stamp[1]},
        }  # fmt: skip

    said = [told(one["address"], one["begin"]), told("10.99.99.99", one["begin"])]
    made = score(truth, said, {})["anomalies"]
    assert made["found"][one["kind"]][0] >= 1 and made["false"] == 1


def test_ranking_precision_is_none_where_the_truth_is_shorter() -> None:
    made = Ranking.of(["a", "x", "b", "y"], {"a", "b"}, (2, 3))
    assert made.precision == {2: 0.5, 3: None} and made.average == pytest.approx((1 + 2 / 3) / 2)
