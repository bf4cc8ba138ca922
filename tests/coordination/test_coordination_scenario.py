"""The simulator of coordinated activity: what it promises about packets, background and truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from andon.cli.simulate import app
from andon.observe import read
from andon.records import packet
from andon.simulate.coordination import (
    Scenario,
    World,
    campaigns,
    event_table,
    events,
    packets,
    port_sets,
    stream,
)
from andon.simulate.coordination.baseline import Baseline
from andon.simulate.coordination.columns import Columns
from andon.simulate.coordination.limit import LEVEL, excess, is_missed, least_new
from andon.simulate.coordination.scenario import DAY, HOUR
from andon.simulate.coordination.sightings import sightings
from andon.simulate.coordination.stream import slices
from andon.simulate.internet.capture import record_batch
from andon.simulate.internet.options import option_table, payload_table

SMALL = Scenario(5, ("198.18.7.0/24",), days=0.5)
TWO_BLOCKS = Scenario(1, ("198.18.0.0/25", "203.0.113.0/25"), days=1)


def table(scenario: Scenario, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    parts = [batch.select(list(names)) for batch in packets(scenario)]
    whole = pa.Table.from_batches(parts)
    return {n: whole[n].cast(pa.int64()).to_numpy() if n == "ts" else whole[n].to_numpy() for n in names}


def test_packets_are_in_time_order_inside_the_scenario_and_addressed_to_the_telescope() -> None:
    got = table(SMALL, ("ts", "dst", "src"))
    assert (np.diff(got["ts"]) >= 0).all()
    assert SMALL.start_ns <= got["ts"][0] and got["ts"][-1] < SMALL.end_ns
    block = SMALL.blocks[0]
    assert got["dst"].min() >= int(block.network_address)
    assert got["dst"].max() <= int(block.broadcast_address)
    assert len(np.unique(got["dst"])) == 256


def test_the_rate_is_the_one_asked_for() -> None:
    scenario = Scenario(2, ("198.18.7.0/24",), days=3, quiet=True)
    count = sum(len(order) for _, order in slices(World(scenario)))
    assert count / (256 * 3 * 86400) == pytest.approx(scenario.rate, rel=0.15)


def test_packets_do_not_depend_on_how_time_is_sliced(monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = Scenario(3, ("198.18.7.0/24",), days=4 / 24)
    names = ("ts", "src", "dst", "dst_port", "tcp_seq", "ip_id")
    whole = table(scenario, names)
    monkeypatch.setattr(stream, "SLICE_PACKETS", 4096)
    cut = table(scenario, names)
    order = [np.lexsort(tuple(t[n] for n in reversed(names))) for t in (whole, cut)]
    for name in names:
        assert np.array_equal(whole[name][order[0]], cut[name][order[1]])


def test_another_seed_is_another_world_and_the_same_seed_the_same() -> None:
    first, again = (next(packets(Scenario(4, ("198.18.7.0/24",), days=1 / 24))) for _ in range(2))
    other = next(packets(Scenario(5, ("198.18.7.0/24",), days=1 / 24)))
    assert first.equals(again)
    assert not first.equals(other)


def test_columns_are_those_of_the_other_simulator() -> None:
    options, payloads = option_table(), payload_table()
    columns = Columns(options, payloads)
    for rows, order in slices(World(SMALL)):
        expected, got = record_batch(rows[order], options, payloads), columns.batch(rows, order)
        for name in packet.SCHEMA.names:
            assert got[name].equals(expected[name]), name


def test_new_sources_of_the_background_follow_the_law_that_the_limit_is_computed_from() -> None:
    scenario = Scenario(6, ("198.18.7.0/24",), days=2, quiet=True)
    world = World(scenario)
    chosen = {(23, 0): 6, (445, 0): 6, (22, 0): 6, (3389, 0): 6, (53, 1): 17, (5060, 1): 17}
    first: dict[tuple[int, int], dict[int, int]] = {pair: {} for pair in chosen}
    for rows, order in slices(world):
        part = rows[order]
        for port, kind in chosen:
            mine = part[(part["dport"] == port) & (part["kind"] == kind)]
            for src, ts in zip(mine["src"].tolist(), mine["ts"].tolist(), strict=True):
                first[(port, kind)].setdefault(src, ts)
    baseline = Baseline(world.background, world.surveys)
    starts = np.arange(scenario.start_ns + DAY, scenario.end_ns, HOUR)
    for (port, kind), protocol in chosen.items():
        times = np.array([t for t in first[(port, kind)].values() if t >= starts[0]])
        count = np.bincount((times - starts[0]) // HOUR, minlength=len(starts))
        expected = baseline.new(port, protocol, starts, HOUR)
        assert count.sum() == pytest.approx(expected.sum(), rel=0.1), (port, kind)
        assert ((count - expected) ** 2 / expected).mean() < 2.0, (port, kind)


def test_the_day_has_a_cycle_and_popularity_a_long_tail() -> None:
    scenario = Scenario(8, ("198.18.7.0/24",), days=1, quiet=True)
    got = table(scenario, ("dst_port", "proto", "src"))
    tcp = got["dst_port"][got["proto"] == 6]
    counts = np.sort(np.bincount(tcp, minlength=65536))[::-1]
    assert counts[0] > 0.05 * len(tcp)
    assert (counts > 0).sum() > 15_000
    a_source = np.unique(got["src"], return_counts=True)[1]
    assert np.median(a_source) <= 4
    assert np.sort(a_source)[::-1][: len(a_source) // 100].sum() > 0.5 * len(got["src"])


def test_truth_is_what_the_packets_show() -> None:
    world = World(TWO_BLOCKS)
    planted = sightings(world)
    got = table(TWO_BLOCKS, ("ts", "src", "dst_port", "proto"))
    kind = np.dtype([("ts", "i8"), ("src", "u4"), ("port", "u2"), ("protocol", "u1")])

    def packed(ts: np.ndarray, src: np.ndarray, port: np.ndarray, protocol: np.ndarray) -> np.ndarray:
        made = np.zeros(len(ts), kind)
        made["ts"], made["src"], made["port"], made["protocol"] = ts, src, port, protocol
        return made

    mine = np.isin(got["src"], planted["src"])
    seen = packed(*(got[n][mine] for n in ("ts", "src", "dst_port", "proto")))
    told = packed(*(planted[n] for n in ("ts", "src", "port", "protocol")))
    assert len(told) > 5000
    assert np.isin(told, seen).all()
    # An address of a bot that the background draws, too, is a chance of one in thousands.
    assert len(seen) - len(told) < 0.05 * len(told)


def test_events_say_what_can_be_counted() -> None:
    world = World(TWO_BLOCKS)
    planted = sightings(world)
    table_ = event_table(world)
    names = [b.name for b in world.plan.botnets]
    rows = {
        n: table_[n].cast(pa.int64()).to_pylist() if n in ("begins", "ends") else table_[n].to_pylist()
        for n in table_.column_names
    }
    kinds = set(rows["kind"])
    assert {"wake-up", "small-botnet", "fast-worm", "stop", "port-set-change"} <= kinds
    assert {"decoy-survey", "decoy-backscatter", "decoy-reboot"} <= kinds
    checked = 0
    for i, name in enumerate(rows["name"]):
        if rows["kind"][i] != "wake-up" or name not in names or len(rows["ports"][i]) != 1:
            continue
        number, port = names.index(name), rows["ports"][i][0]["port"]
        mine = planted[(planted["number"] == number) & (planted["port"] == port)]
        _, at = np.unique(mine["src"], return_index=True)
        new = mine["ts"][at]
        new = new[(new >= rows["begins"][i]) & (new <= rows["ends"][i] + 1000)]
        assert rows["sources"][i] == len(new)
        assert rows["most_new_1h"][i] == np.unique(new // HOUR, return_counts=True)[1].max()
        checked += 1
    assert checked


def test_a_sensor_that_fails_records_nothing() -> None:
    world = World(TWO_BLOCKS)
    got = table(TWO_BLOCKS, ("ts", "dst"))
    assert {o.way for o in world.outages} == {"all", "block"}
    for outage in world.outages:
        inside = (got["ts"] >= outage.begins) & (got["ts"] < outage.ends)
        if outage.way == "all":
            assert not inside.any()
        else:
            block = TWO_BLOCKS.blocks[outage.block]
            low, high = int(block.network_address), int(block.broadcast_address)
            assert inside.any()
            assert not ((got["dst"][inside] >= low) & (got["dst"][inside] <= high)).any()


def test_a_quiet_scenario_plants_nothing() -> None:
    scenario = Scenario(1, ("198.18.7.0/24",), days=1, quiet=True)
    assert events(scenario).num_rows == 0
    assert campaigns(scenario).num_rows == 0
    assert port_sets(scenario).num_rows == 0


def test_lineages_have_the_ports_and_dates_that_were_planted() -> None:
    rows = port_sets(Scenario(2, ("198.18.7.0/24",), days=7))
    telnet = [
        r
        for r in rows.drop_columns(["since", "until", "source_200"]).to_pylist()
        if r["lineage"] == "lineage-telnet"
    ]
    assert [[p["port"] for p in r["ports"]] for r in telnet] == [[23], [23, 2323], [23, 2323, 5555]]
    assert telnet[1]["weights"] == [9, 1]
    since = rows["since"].cast(pa.int64()).to_numpy()
    until = rows["until"].cast(pa.int64()).to_numpy()
    assert (since < until).all()
    early = [i for i, name in enumerate(rows["lineage"].to_pylist()) if name == "early-mirai"]
    assert len(early) == 1
    assert rows["source_200"][early[0]].value > since[early[0]]


def test_campaigns_turn_over_their_addresses() -> None:
    rows = campaigns(Scenario(2, ("198.18.7.0/24",), days=7))
    day = rows["day"].cast(pa.int64()).to_numpy()
    mine = np.array(rows["campaign"].to_pylist()) == "lineage-telnet"
    days = np.unique(day)
    first, last = (set(rows["src"].to_numpy()[mine & (day == d)].tolist()) for d in (days[0], days[-1]))
    assert len(first) > 50 and len(last) > 50
    assert len(first & last) < 0.8 * len(first)


def test_before_mirai_its_ports_are_empty() -> None:
    scenario = Scenario(1, ("198.18.7.0/24",), days=0.25, quiet=True, before_mirai=True)
    now = Scenario(1, ("198.18.7.0/24",), days=0.25, quiet=True)
    counts = [int((table(s, ("dst_port",))["dst_port"] == 2323).sum()) for s in (scenario, now)]
    assert counts[0] < 0.05 * counts[1]


def test_the_limit_is_the_tail_of_a_poisson_law() -> None:
    from scipy.stats import poisson

    for b in (0.001, 0.3, 4.0, 250.0):
        n = int(least_new(b)[0])
        assert poisson.sf(n - 1, b) <= LEVEL
        assert n == 2 or poisson.sf(n - 2, b) > LEVEL
    assert is_missed(200, 100) and not is_missed(5, 1000) and not is_missed(0, 0)
    assert (
        excess(np.array([60]), np.array([100.0]), 0.1)[0] < excess(np.array([60]), np.array([100.0]), 0.0)[0]
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"seed": -1}, "seed"),
        ({"seed": 1, "telescope": ()}, "block"),
        ({"seed": 1, "telescope": ("198.18.0.0/20", "198.18.1.0/24")}, "overlap"),
        ({"seed": 1, "telescope": ("198.18.0.0/31",)}, "16 dark addresses"),
        ({"seed": 1, "days": 0}, "days"),
        ({"seed": 1, "rate": 0.0}, "rate"),
        ({"seed": 1, "calm": 9.0}, "calm"),
    ],
)
def test_a_wrong_scenario_is_refused_with_a_reason(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Scenario(**arguments)  # type: ignore[arg-type]


def test_the_command_writes_a_capture_that_reads_as_the_packets(tmp_path: Path) -> None:
    arguments = [
        "coordination",
        "--seed",
        "5",
        "--telescope",
        "198.18.7.0/26",
        "--days",
        "0.25",
        "--out",
        str(tmp_path),
    ]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    scenario = Scenario(5, ("198.18.7.0/26",), days=0.25)
    names = ("ts", "src", "dst", "dst_port", "proto")
    got = pa.Table.from_batches(list(read(tmp_path / "capture.pcap", columns=names)))
    expected = pa.Table.from_batches([b.select(got.column_names) for b in packets(scenario)])
    for name in got.column_names:
        assert got[name].combine_chunks().equals(expected[name].combine_chunks()), name
    assert pq.read_table(tmp_path / "events.parquet").equals(events(scenario))
    assert {p.name for p in tmp_path.iterdir()} == {
        "capture.pcap", "events.parquet", "campaigns.parquet", "port-sets.parquet",
    }  # fmt: skip


def test_the_command_refuses_nonsense() -> None:
    result = CliRunner().invoke(app, ["coordination", "--telescope", "elephant", "--out", "x"])
    assert result.exit_code == 2
