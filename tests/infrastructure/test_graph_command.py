"""``andon graph`` from simulated feeds to exports that other libraries read."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import networkx as nx
import stix2
from typer.testing import CliRunner

from andon.cli import app
from andon.records.finding import Entity, Finding
from andon.store.casebook import Casebook


def run(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, [str(part) for part in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_from_feeds_to_a_campaign_and_out_to_others(tmp_path: Path) -> None:
    sim, graph = tmp_path / "sim", tmp_path / "g.npz"
    run(
        "simulate",
        "infrastructure",
        "--seed",
        "3",
        "--campaigns",
        "2",
        "--owners",
        "60",
        "--missing",
        "0",
        "--out",
        sim,
    )
    run("graph", "build", *sorted(sim.glob("*.*")), "--out", graph)
    rows = list(csv.DictReader((sim / "truth" / "members.csv").open()))
    seed = next(row["value"] for row in rows if row["kind"] == "file")
    grown = json.loads(run("graph", "grow", "--graph", graph, "--seed", seed, "--format", "json"))
    own = {row["value"] for row in rows if row["campaign"] == "0"}
    assert len(grown["members"]) > 5
    assert all(member["path"] for member in grown["members"] if not member["seed"])
    assert own & {member["value"] for member in grown["members"]}
    run("graph", "export", "--graph", graph, "--seed", seed, "--to", "stix", "--out", tmp_path / "b.json")
    bundle = stix2.parse((tmp_path / "b.json").read_text(), allow_custom=False)
    assert any(thing.type == "grouping" for thing in bundle.objects)
    run(
        "graph",
        "export",
        "--graph",
        graph,
        "--seed",
        seed,
        "--to",
        "graphml",
        "--out",
        tmp_path / "b.graphml",
    )
    assert nx.read_graphml(tmp_path / "b.graphml", force_multigraph=True).number_of_edges() > 5
    assert seed in run("graph", "show", seed, "--graph", graph)


def test_findings_of_a_casebook_become_a_graph(tmp_path: Path) -> None:
    def finding(number: int, name: str) -> Finding:
        return Finding(
            engine="livenet.beacon",
            engine_version=1,
            kind="beacon",
            title=f"{name} is called every minute",
            statement="A machine calls it.",
            confidence=0.9,
            calibration="by chance",
            window=(number * 86_400 * 10**9, (number + 1) * 86_400 * 10**9),
            subject=("ipv4-addr", "192.0.2.5"),
            first_seen=number * 86_400 * 10**9 + 1,
            last_seen=number * 86_400 * 10**9 + 2,
            count=10,
            entities=(Entity("domain-name", name, 5),),
        )

    store = tmp_path / "store"
    store.mkdir()
    with Casebook(store) as book:
        book.migrate()
        assert book.record([finding(1, "c2.evil.com"), finding(2, "else.org")]) == 2
    out = run("graph", "build", "--findings", store, "--own", "192.0.2.0/24", "--out", tmp_path / "g.npz")
    assert not out
    shown = json.loads(run("graph", "show", "c2.evil.com", "--graph", tmp_path / "g.npz", "--format", "json"))
    assert ["livenet.beacon"] in [edge["origins"] for edge in shown["edges"]]
    grown = json.loads(
        run("graph", "grow", "--graph", tmp_path / "g.npz", "--seed", "c2.evil.com", "--format", "json")
    )
    assert "else.org" not in {member["value"] for member in grown["members"]}
    nothing = CliRunner().invoke(
        app, ["graph", "build", "--findings", str(tmp_path / "no"), "--out", str(tmp_path / "h")]
    )
    assert nothing.exit_code == 1


def test_what_is_no_graph_and_no_seed_is_said(tmp_path: Path) -> None:
    (tmp_path / "g").write_text("x")
    result = CliRunner().invoke(app, ["graph", "grow", "--graph", str(tmp_path / "g"), "--seed", "a.com"])
    assert result.exit_code == 1
    assert CliRunner().invoke(app, ["graph", "build", "--out", str(tmp_path / "h")]).exit_code == 2
