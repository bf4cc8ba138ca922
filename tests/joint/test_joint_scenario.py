"""A made-up scenario is in its readers' formats, agrees with its own truth, and differs from seed to seed."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from andon.observe import honeypot
from andon.observe.jsonlines import Skipped
from andon.records.expression import compile_program, evaluate, parse
from andon.records.honeypot import SESSION
from andon.simulate.joint import Made, Scenario, simulate
from andon.simulate.joint.evidence import Evidence, seconds
from andon.simulate.joint.families import families
from andon.simulate.joint.leases import SHARED, world

LOGS = {
    "cowrie.json": {"cowrie"},
    "tanner_report.json": {"tanner"},
    "adbhoney.json": {"adbhoney"},
    "log_session.json": {"heralding"},
    "dionaea.json": {"dionaea"},
}
KINDS = {"telnet", "ssh", "web", "ports"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    scenario = Scenario(seed=3, days=10.0, devices=900, families=16, honeypots=2, nat=0.2, clock_offset=90.0)
    return simulate(scenario, tmp_path_factory.mktemp("joint"))


def truth(made: Made, name: str) -> pa.Table:
    return pq.read_table(made.folder / "truth" / f"{name}.parquet")


def family_list(made: Made) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads((made.folder / "truth" / "families.json").read_text())
    return loaded


def sessions(made: Made, name: str) -> pa.Table:
    skipped = Skipped()
    table = pa.Table.from_batches(list(honeypot.sessions(made.folder / name, skipped)), schema=SESSION)
    assert not skipped.lines, skipped.reasons
    return table


def test_every_log_is_recognised_and_read_whole_by_its_reader(made: Made) -> None:
    ids: set[str] = set()
    there = [name for name in LOGS if (made.folder / name).exists()]
    assert {"cowrie.json", "tanner_report.json"} < set(there)
    for name in there:
        table = sessions(made, name)
        assert set(table["honeypot"].to_pylist()) == LOGS[name]
        ids |= set(table["session"].to_pylist())
    said = truth(made, "sessions")
    # Dionaea numbers nothing; every other visit is one session under its own number.
    numbered = {
        s
        for s, h in zip(said["session"].to_pylist(), said["honeypot"].to_pylist(), strict=True)
        if h != "mqtt"
    }
    assert numbered <= ids
    assert said.num_rows == made.visits


def test_a_session_comes_from_the_address_its_device_had_and_shows_its_familys_token(made: Made) -> None:
    tokens = {f["family"]: f["token"] for f in family_list(made)}
    creds = {f["family"]: {tuple(pair) for pair in f["creds"]} for f in family_list(made)}
    loaders = {f["family"]: set(f["loaders"]) for f in family_list(made)}
    rows = {row["session"]: row for row in truth(made, "sessions").to_pylist()}
    homes = defaultdict(list)
    for row in truth(made, "addresses").to_pylist():
        homes[row["device"]].append((seconds(row["from"]), seconds(row["to"]), row["ip"]))
    ill = defaultdict(list)
    for row in truth(made, "infections").to_pylist():
        ill[row["device"], row["family"]].append((seconds(row["infected_from"]), seconds(row["infected_to"])))
    checked: Counter[str] = Counter()
    for session in sessions(made, "cowrie.json").to_pylist():
        row = rows[session["session"]]
        at = session["start"].timestamp() - 90.0  # the honeypots' clocks are 90 s ahead
        typed = " ".join(c["input"] for c in session["commands"])
        if row["role"] == "bot":
            assert any(a <= at <= b and ip == session["src"] for a, b, ip in homes[row["device"]])
            assert any(a <= at <= b for a, b in ill[row["device"], row["family"]])
            pairs = {(c["username"], c["password"]) for c in session["credentials"]}
            assert pairs and pairs <= creds[row["family"]]
            assert session["login"] == (f"busybox {tokens[row['family']]}" in typed)
        elif row["role"] == "loader":
            assert session["src"] in loaders[row["family"]]
            assert session["login"] and len(session["hashes"]) == 1 and len(session["urls"]) == 1
        checked[row["role"]] += 1
    assert min(checked[role] for role in ("bot", "loader", "survey", "other")) >= 10


def test_sightings_are_of_infected_devices_at_their_addresses_but_for_the_share_that_is_not(
    made: Made,
) -> None:
    table = pq.read_table(made.folder / "darknet_sources.parquet")
    assert [str(t) for t in table.schema.types] == ["double", "string", "int64", "string"]
    assert np.all(np.diff(table["ts"].to_numpy()) >= 0)
    fingerprint = {f["family"]: f["fingerprint"] for f in family_list(made)}
    ports = {f["family"]: set(f["ports"]) for f in family_list(made)}
    ill = defaultdict(list)
    for row in truth(made, "infections").to_pylist():
        ill[row["device"]].append((seconds(row["infected_from"]), seconds(row["infected_to"]), row["family"]))
    homes = defaultdict(list)
    for row in truth(made, "addresses").to_pylist():
        homes[row["ip"]].append((seconds(row["from"]), seconds(row["to"]), row["device"]))
    right = marked = 0
    for ts, src, port, mark in zip(*(table[name].to_pylist() for name in table.column_names), strict=True):
        if mark is None or not mark.startswith("F"):
            continue
        marked += 1
        right += any(
            a <= ts <= b
            and any(x <= ts <= y and fingerprint[f] == mark and port in ports[f] for x, y, f in ill[d])
            for a, b, d in homes.get(src, ())
        )
    share = json.loads((made.folder / "truth" / "scenario.json").read_text())["contamination"]
    assert marked > 3000
    assert 1 - 1.5 * share <= right / marked <= 1 - 0.4 * share


def test_loaders_never_scan_and_surveys_are_of_few_networks(made: Made) -> None:
    table = pq.read_table(made.folder / "darknet_sources.parquet")
    sources = set(table["src"].to_pylist())
    assert not sources & {loader for f in family_list(made) for loader in f["loaders"]}
    tools = {s for s, f in zip(table["src"].to_pylist(), table["fingerprint"].to_pylist(), strict=True)
             if f in ("ZMAP", "MASSCAN")}  # fmt: skip
    assert tools and len({s.rsplit(".", 1)[0] for s in tools}) <= 12


def test_families_are_as_varied_as_promised(made: Made) -> None:
    bots = family_list(made)
    assert {f["kind"] for f in bots} >= KINDS
    assert 2 <= sum(f["fingerprint"] is None for f in bots) <= 4
    tokens = Counter(f["token"] for f in bots)
    assert sorted(tokens.values())[-2:] == [1, 2]  # one token is copied by one other family
    assert len({tuple(sorted(f["ports"])) for f in bots}) == len(bots)
    assert len({f["family"] for f in bots}) == len(bots)
    assert any(not f["services"] for f in bots)
    for f in bots:
        if f["expression"]:
            parse(f["expression"])


def test_leases_follow_their_pools_and_no_address_is_held_twice_outside_carriers() -> None:
    w = world(Scenario(seed=5, days=12.0, devices=600, nat=0.3))
    assert w.carrier.any() and not w.carrier.all()
    line = np.repeat(np.arange(len(w.pool)), np.diff(w.offset))
    own = ~w.carrier[w.pool[line]]
    by = defaultdict(list)
    for address, begin, end in zip(
        w.address[own].tolist(), w.begin[own].tolist(), w.end[own].tolist(), strict=True
    ):
        by[address].append((begin, end))
    assert max(len(held) for held in by.values()) > 1  # addresses are used again
    for held in by.values():
        assert all(a[1] <= b[0] for a, b in pairwise(sorted(held)))
    for p in np.flatnonzero(w.carrier):
        assert len(np.unique(w.address[w.pool[line] == p])) <= SHARED
    # A line always has an address, and one only.
    for i in range(len(w.pool)):
        mine = slice(w.offset[i], w.offset[i + 1])
        assert np.array_equal(w.begin[mine][1:], w.end[mine][:-1])
    # The mean of an exponential, cut where the scenario ends: many leases, and about as many as days / mean.
    for p in np.flatnonzero(~w.carrier & (w.held <= 1.0)):
        lines = np.flatnonzero(w.pool == p)
        count = np.mean(np.diff(w.offset)[lines])
        assert abs(count - 1 - 12.0 / w.held[p]) < 5 * math.sqrt(12.0 / w.held[p] / len(lines))


def test_what_is_said_of_assets_is_what_their_lines_had(made: Made) -> None:
    homes = defaultdict(set)
    for row in truth(made, "addresses").to_pylist():
        homes[row["device"]].add((row["ip"], row["from"], row["to"]))
    device = dict(zip(*(truth(made, "assets")[n].to_pylist() for n in ("asset_id", "device")), strict=True))
    products = {row["device"]: row["product"] for row in truth(made, "infections").to_pylist()}
    with (made.folder / "assets.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["asset_id"] for row in rows} == set(device)
    for row in rows:
        owner = device[row["asset_id"]]
        if owner is not None:
            assert (row["ip"], row["lease_start"], row["lease_end"]) in homes[owner]
            assert row["product"] == products[owner]
    assert 0.15 < sum(d is not None for d in device.values()) / len(device) < 0.6
    lines = (made.folder / "assets_ja.csv").read_bytes().decode("cp932").splitlines()
    assert lines[0].startswith("資産番号,IPアドレス")
    at_begin = {row["asset_id"]: row["ip"] for row in reversed(rows)}
    said = [line.split(",")[:2] for line in lines[1:]]
    agree = sum(at_begin[asset] == ip for asset, ip in said) / len(said)
    assert 0.9 < agree < 1.0  # a snapshot with a few rows that were wrong from the start


def test_some_reports_come_before_and_some_after_and_decoys_are_of_nobody() -> None:
    early = late = 0
    for seed in range(12):
        from andon.simulate.joint.reports import reports

        scenario = Scenario(seed=seed)
        bots = families(scenario)
        made = reports(scenario, bots)
        assert 6 <= sum(r.family < 0 for r in made) <= 15
        assert len({r.id for r in made}) == len(made)
        for r in made:
            if r.family >= 0:
                assert bots[r.family].name in r.title
                early += r.published < bots[r.family].birth
                late += r.published > bots[r.family].birth
            else:
                assert not any(f.name in r.text or f.token in r.text for f in bots)
    assert early >= 5 and late >= 50


def test_the_same_seed_gives_the_same_files_and_another_one_others(tmp_path: Path) -> None:
    small = {"days": 2.0, "devices": 60, "families": 5}
    a, b, c = (
        simulate(Scenario(seed, **small), tmp_path / name) for seed, name in ((1, "a"), (1, "b"), (2, "c"))
    )
    assert [p.name for p in a.files] == [p.name for p in b.files]
    for one, other in zip(a.files, b.files, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name
    assert (a.folder / "cowrie.json").read_bytes() != (c.folder / "cowrie.json").read_bytes()
    assert Scenario(1).drawn != Scenario(2).drawn


def test_packets_of_a_capture_keep_the_relations_of_the_devices_that_sent_them(tmp_path: Path) -> None:
    from andon.observe.reader import read
    from andon.records.packet import SCHEMA

    scenario = Scenario(seed=4, days=2.0, devices=80, families=6)
    made = simulate(scenario, tmp_path, capture_days=0.25)
    table = pa.Table.from_batches(
        [b.select(SCHEMA.names) for b in read(tmp_path / "capture.pcap", SCHEMA.names)]
    )
    assert table.num_rows == made.packets
    columns = {name: table[name].to_numpy() for name in table.column_names if name not in ("src6", "dst6")}
    ts = columns["ts"].astype(np.int64) / 1e9
    homes = defaultdict(list)
    for row in pq.read_table(tmp_path / "truth" / "addresses.parquet").to_pylist():
        homes[row["device"]].append((seconds(row["from"]), seconds(row["to"]), row["ip"]))
    checked = 0
    bots = {f["family"]: f for f in json.loads((tmp_path / "truth" / "families.json").read_text())}
    cases = pq.read_table(tmp_path / "truth" / "infections.parquet").to_pylist()
    alone = Counter(row["device"] for row in cases)
    users = Counter(ip for held in homes.values() for _, _, ip in held)
    for row in cases:
        f = bots[row["family"]]
        for begin, end, ip in homes[row["device"]]:
            if not f["expression"] or alone[row["device"]] > 1 or users[ip] > 1:
                continue
            a, b, c, d = (int(part) for part in ip.split("."))
            mine = (columns["src"] == (a << 24 | b << 16 | c << 8 | d)) & (ts >= begin) & (ts < end)
            if mine.any():
                part = {name: np.ascontiguousarray(values[mine]) for name, values in columns.items()}
                assert evaluate(compile_program(parse(f["expression"])), part).all()
                assert set(part["dst_port"].tolist()) <= set(f["ports"])
                checked += int(mine.sum())
    assert checked > 500


def test_a_shifted_log_is_two_hundred_days_away_and_a_renamed_one_tells_nothing_of_its_sources(
    tmp_path: Path,
) -> None:
    size = {"days": 14.0, "devices": 500, "families": 8, "honeypots": 3}
    plain = Evidence(simulate(Scenario(6, **size), tmp_path / "plain").folder)
    assert plain.linkable
    shifted = simulate(Scenario(6, null="shift", **size), tmp_path / "shift").folder
    first = json.loads((shifted / "cowrie.json").open().readline())["timestamp"]
    start = json.loads((shifted / "truth" / "scenario.json").read_text())["start"]
    assert 198 < (seconds(start) - seconds(first)) / 86400 < 201
    renamed = Evidence(simulate(Scenario(6, null="rename", **size), tmp_path / "rename").folder)
    # Behaviours are handed out at random: a family's share of the sources with its token is that of all sources.
    real = {f["family"]: f["token"] for f in plain.families}
    kept = total = 0
    said = {r["session"]: r["family"] for r in pq.read_table(tmp_path / "rename/truth/sessions.parquet").to_pylist()
            if r["role"] == "bot"}  # fmt: skip
    for line in (tmp_path / "rename/cowrie.json").open():
        event = json.loads(line)
        if "busybox" in event.get("input", "") and event["session"] in said:
            total += 1
            kept += real[said[event["session"]]] in event["input"]
    assert total > 20 and kept / total < 0.5
    assert all(not r["id"].startswith("R") or not any(f["family"] in r["text"] for f in renamed.families)
               for r in renamed.reports.values())  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"seed": -1}, "seed"),
        ({"days": 0.1}, "quarter of a day"),
        ({"devices": 3}, "20 and 200,000"),
        ({"families": 0}, "1 to 60"),
        ({"null": "both"}, "null is one of"),
        ({"honeypots": 0}, "honeypots lies"),
        ({"contamination": 2.0}, "contamination lies"),
        ({"detection": 0.0}, "detection lies"),
        ({"lease": 0.0}, "0.02"),
    ],
)
def test_a_scenario_that_cannot_be_is_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Scenario(**{"seed": 1, **wrong})


def test_every_file_is_known_to_a_sensor_and_read_without_loss(made: Made) -> None:
    """Rows that each reader gives: as many as were written."""
    from andon.observe.sensors import sniff

    rows = {}
    for path in made.files:
        sensor = sniff(path)
        assert sensor is not None, path.name
        skipped = Skipped()
        rows[path.name] = sensor.kind, sum(batch.num_rows for batch in sensor.read(path, skipped))
        assert not skipped.lines, (path.name, skipped.reasons)
    leases = sum(1 for _ in (made.folder / "assets.csv").open()) - 1
    assert rows["assets.csv"] == ("asset", leases)
    for name in ("assets_censys.jsonl", "assets_runzero.jsonl", "assets_ocsf.jsonl"):
        assert rows[name] == ("asset", sum(1 for _ in (made.folder / name).open()))
    shodan = [json.loads(line)["ip_str"] for line in (made.folder / "assets_shodan.jsonl").open()]
    # One line a service: those of one address and system become one row.
    assert len(set(shodan)) <= rows["assets_shodan.jsonl"][1] <= len(shodan)
    assert rows["assets_ja.csv"][1] == len((made.folder / "assets_ja.csv").read_bytes().split(b"\r\n")) - 2
    assert rows["assets_nmap.xml"][1] == (made.folder / "assets_nmap.xml").read_text().count("<host ")
    assert rows["dhcpd.leases"] == ("asset", (made.folder / "dhcpd.leases").read_text().count("\nlease "))
    assert rows["darknet_sources.parquet"] == ("darknet-source", made.sightings)
    parameters = json.loads((made.folder / "truth" / "scenario.json").read_text())
    assert sum(n for kind, n in rows.values() if kind == "report") == len(parameters["reports"])


def test_reports_mention_what_their_families_are_known_by(made: Made) -> None:
    from andon.observe.sensors import sniff

    bots = {f["family"]: f for f in family_list(made)}
    whose = {
        r["id"]: r["family"] for r in json.loads((made.folder / "truth/scenario.json").read_text())["reports"]
    }
    checked: Counter[str] = Counter()
    for path in made.files:
        sensor = sniff(path)
        if sensor is None or sensor.kind != "report":
            continue
        for batch in sensor.read(path, Skipped()):
            for report in batch.to_pylist():
                number = path.stem if path.suffix in (".md", ".html") else report["id"]
                said = {(m["type"], m["value"]) for m in report["mentions"]}
                name = whose[number]
                if name is None:
                    checked["decoys"] += 1
                    continue
                f = bots[name]
                checked["names"] += ("malware", name) in said
                assert {v for t, v in said if t == "cve"} <= set(f["cve"]), number
                assert {v for t, v in said if t == "token"} <= {f["token"]}, number
                assert {v for t, v in said if t == "hash"} <= set(f["sha256"]), number
                assert {int(v) for t, v in said if t == "port" and v.isdigit()} <= {*f["ports"], 22, 23}, (
                    number
                )
                checked["reports"] += 1
                checked["tokens"] += any(t == "token" for t, _ in said)
    assert checked["decoys"] >= 6 and checked["reports"] >= 8
    assert checked["names"] == checked["reports"] and checked["tokens"] >= 2
