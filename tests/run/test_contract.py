"""Every engine of ours keeps the contract, on simulated and on real traffic."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from andon.observe import read
from andon.records.contract import Site
from andon.records.kinds import KINDS, PACKET, marked
from andon.run.contract import check_engine
from andon.run.engines import EngineError, in_order, known_settings, load_engines
from andon.simulate.internet import InternetConfig, packets

REAL = ("backscatter_synack_reflection.pcap", "nmap_synscan_2010.pcap", "masscan_tcp_0_1000_vlan.pcap")

ON_REQUEST = ("darknet.glasso", "darknet.nmf", "darknet.ntd", "darknet.changefinder")


def hold_all_to_the_contract(batches: list[pa.RecordBatch]) -> dict[str, pa.Table]:
    tables: dict[str, pa.Table] = {}
    for engine in load_engines(Site()):
        # Of an earlier span there may be nothing yet, and tables of a shorter span are not made here.
        needed = {need: tables[need] for need in engine.needs if need in tables}
        outcome = check_engine(engine, batches, needed)
        tables |= {f"{engine.name}:{name}": table for name, table in outcome.tables.items()}
    return tables


def test_every_engine_keeps_the_contract_on_the_simulated_internet() -> None:
    config = InternetConfig(seed=11, packets=120_000, telescope=("198.18.0.0/18",), contamination=0.1)
    tables = hold_all_to_the_contract(list(packets(config)))
    assert set(tables) >= {"darknet.census:telescope", "darknet.tools:sources", "darknet.purpose:sources"}


@pytest.mark.parametrize("name", REAL)
def test_every_engine_keeps_the_contract_on_real_captures(andon_data: Path, name: str) -> None:
    hold_all_to_the_contract(list(read(andon_data / "darknet-data" / "captures" / name)))


def test_an_empty_batch_changes_no_summary() -> None:
    empty = next(iter(packets(InternetConfig(seed=1, packets=1)))).slice(0, 0)
    for engine in load_engines(Site(), also=ON_REQUEST):
        for kind in engine.reads:
            if kind == PACKET:
                batch = empty.select(list(engine.columns))
            else:
                batch = marked(pa.RecordBatch.from_pylist([], KINDS[kind].schema), kind)
            assert engine.empty().to_bytes() == engine.summarise(batch, engine.empty()).to_bytes()


def test_costly_engines_run_where_they_are_asked_for() -> None:
    usual = {engine.name for engine in load_engines(Site())}
    assert not usual & set(ON_REQUEST)
    assert {e.name for e in load_engines(Site(), also=ON_REQUEST)} == usual | set(ON_REQUEST)
    switched = Site(settings={"darknet.glasso.on": True})
    assert {e.name for e in load_engines(switched)} == usual | {"darknet.glasso"}
    assert "darknet.glasso.on" in known_settings(Site())


def test_engines_that_need_one_another_in_a_circle_are_refused() -> None:
    class Made:
        def __init__(self, name: str, needs: tuple[str, ...]) -> None:
            self.name, self.needs = name, needs
            self.publishes = {"t": pa.schema([])}

    with pytest.raises(EngineError, match="circle"):
        in_order([Made("a.x", ("b.y:t",)), Made("b.y", ("a.x:t",))])
    with pytest.raises(EngineError, match="no engine publishes"):
        in_order([Made("a.x", ("c.z:t",))])
