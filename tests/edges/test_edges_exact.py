"""The tables against the same sums made by polars, and the promises of the contract."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from edges_world import DAY, START, batches, conclude, contacts, entries, random_rows, rows_of

from andon.detect.livenet.edges import engine
from andon.detect.livenet.edges.summary import Talk
from andon.records.contract import Site
from andon.run.contract import check_engine
from andon.sketch.state import StateError

LISTS = entries(
    {"value": "site3.example"},
    {"value": "site4.example", "colour": "white"},
    {"value": "198.51.100.0/26", "type": "prefix", "port": 443},
)


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return random_rows(4000, seed=5)


def _expected(rows: list[dict[str, Any]]) -> pl.DataFrame:
    frame = pl.DataFrame(rows, schema_overrides={"referer": pl.String, "agent": pl.String})
    frame = frame.filter(~pl.col("terminal").is_in(["", "-"]) & (pl.col("host") != ""))
    dns = pl.col("via") == "dns"
    return frame.with_columns(
        failed=pl.when(dns)
        .then(pl.col("status") > 0)
        .otherwise((pl.col("status") >= 400) | (pl.col("status") == 0)),
        no_referer=(pl.col("referer") == "").fill_null(False),
        has_referer=pl.col("referer").is_not_null(),
        hour=pl.lit(2).pow((pl.col("ts") - START) // (3600 * 10**9)).cast(pl.Int64),
        size=pl.col("bytes_in").clip(0, 2**32 - 1),
        ms=(pl.col("ts") - START) // 10**6,
    )


def test_edges_are_the_sums_of_the_contacts(rows: list[dict[str, Any]]) -> None:
    outcome = conclude(batches(rows), LISTS)
    expected = (
        _expected(rows)
        .group_by("terminal", pl.col("host").alias("destination"))
        .agg(
            first=pl.col("ts").min(), last=pl.col("ts").max(), count=pl.len(),
            bytes_in=pl.col("bytes_in").clip(0).sum(), bytes_out=pl.col("bytes_out").clip(0).sum(),
            refused=pl.col("refused").sum(), failed=pl.col("failed").sum(), no_referer=pl.col("no_referer").sum(),
            referers=pl.col("has_referer").sum(), hours=pl.col("hour").unique().sum(),
            events=pl.struct("ms", "size").sort(),
        )
        .sort("terminal", "destination")
    )  # fmt: skip
    colour = {row["destination"]: row["colour"] for row in rows_of(outcome.tables["destinations"])}
    got = rows_of(outcome.tables["edges"])
    assert [(row["terminal"], row["destination"]) for row in got] == list(
        expected.select("terminal", "destination").rows()
    )
    for ours, theirs in zip(got, expected.to_dicts(), strict=True):
        events = (
            theirs.pop("events") if colour[theirs["destination"]] != "white" else theirs.pop("events")[:0]
        )
        assert list(zip(ours.pop("times"), ours.pop("sizes"), strict=True)) == [
            tuple(e.values()) for e in events
        ]
        assert ours.pop("unlisted") == ours["count"] - len(events)
        assert ours == theirs


def test_destinations_and_terminals_are_the_sums_of_the_edges(rows: list[dict[str, Any]]) -> None:
    outcome = conclude(batches(rows), LISTS)
    frame = _expected(rows)
    terminals_of = (
        frame.filter(~pl.col("agent").is_in([""])).group_by("agent").agg(pl.col("terminal").n_unique())
    )
    rare = set(terminals_of.filter(pl.col("terminal") <= 2)["agent"]) | {""}
    for row in rows_of(outcome.tables["destinations"]):
        here = frame.filter(pl.col("host") == row["destination"])
        assert row["visitors"] == here["terminal"].n_unique()
        assert row["count"] == len(here)
        assert row["agents"] == here["agent"].is_not_null().sum()
        assert row["rare_agent"] == here["agent"].is_in(list(rare)).sum()
        assert row["first_seen"] == here["ts"].min()
        assert set(row["ports"]) == set(sorted(set(here["port"]) - {-1})[:8])
        servers = set(here["server"]) - {""}
        assert set(row["servers"]) <= servers and len(row["servers"]) == min(8, len(servers))
        named = here.filter((pl.col("via") == "tls") & (pl.col("server") == pl.col("host")))
        assert row["untitled"] == len(named)
    for row in rows_of(outcome.tables["terminals"]):
        here = frame.filter(pl.col("terminal") == row["terminal"])
        assert (row["count"], row["destinations"]) == (len(here), here["host"].n_unique())
        assert row["agents"] == len(set(here["agent"]) - {None, ""})
        assert set(row["addresses"]) <= set(here["address"]) and len(row["addresses"]) == 8
        assert (row["first"], row["last"]) == (here["ts"].min(), here["ts"].max())
    said = rows_of(outcome.tables["coverage"])[0]
    assert said["contacts"] == 4000 and said["left_out"] == 0 and outcome.findings == ()
    assert said["unnamed"] + said["nowhere"] == 4000 - len(frame)


@pytest.mark.parametrize("settings", [{}, {"edges": 700, "names": 5}, {"edges": 40}, {"edges": 1}])
def test_the_summary_is_the_same_however_the_contacts_are_cut(
    rows: list[dict[str, Any]], settings: dict[str, int]
) -> None:
    site = Site(
        reputation=LISTS, settings={f"livenet.edges.{name}": value for name, value in settings.items()}
    )
    outcome = check_engine(engine(site), batches(rows, 500))
    assert outcome.tables["coverage"].num_rows == 1


def test_the_contract_holds_for_an_empty_day_and_over_several_days() -> None:
    assert check_engine(engine(Site()), []).tables["edges"].num_rows == 0
    check_engine(engine(Site()), batches(random_rows(500, seed=2, span=3 * DAY)))


def test_of_each_hour_the_earliest_256_contacts_are_listed() -> None:
    made = [{"ts": START + n * 10**9, "bytes_in": n} for n in range(1000)] + [
        {"ts": START + 2 * 3600 * 10**9}
    ]
    row = rows_of(conclude([contacts(*reversed(made))]).tables["edges"])[0]
    assert row["times"] == [n * 1000 for n in range(256)] + [2 * 3600 * 1000]
    assert row["sizes"][:3] == [0, 1, 2] and row["unlisted"] == 1000 - 256 and row["count"] == 1001


def test_a_damaged_state_is_refused() -> None:
    made = engine(Site())
    summary = made.summarise(contacts({"host": "a.example"}, {"host": "b.example"}), made.empty())
    data = bytearray(summary.to_bytes())
    data[len(data) // 2] ^= 1
    with pytest.raises(StateError):
        Talk.from_bytes(bytes(data))
