"""The example of docs/write-your-own-engine.md keeps the contract and runs."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from andon.observe import read
from andon.records.contract import Site
from andon.run.batch import analyze
from andon.run.contract import ContractBroken, check_engine

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "ttl_engine.py"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ttl_engine", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_example_engine_keeps_the_contract(example: ModuleType, andon_data: Path) -> None:
    capture = andon_data / "darknet-data" / "captures" / "nmap_80_all.pcap"
    made = example.engine(Site())
    outcome = check_engine(made, list(read(capture, columns=made.columns)))
    assert outcome.findings


def test_its_check_is_counted_by_the_runner(example: ModuleType, andon_data: Path) -> None:
    capture = andon_data / "darknet-data" / "captures" / "zmap_syn80_10k.pcap"
    (finding,) = analyze([capture], engines=[example.engine(Site())]).findings
    check = finding.evidence[0].check
    assert check.expected == finding.count
    assert "ip[8]" in check.expression


def test_an_engine_that_depends_on_batch_order_is_caught(example: ModuleType, andon_data: Path) -> None:
    class Forgetful(example.TtlEngine):
        def summarise(self, batch, into):
            fresh = self.empty()  # keeps only the last batch
            return super().summarise(batch, fresh)

    capture = andon_data / "darknet-data" / "captures" / "zmap_syn80_10k.pcap"
    with pytest.raises(ContractBroken, match="many small batches"):
        check_engine(Forgetful(), list(read(capture, columns=("ts", "ttl"))))


def test_an_engine_whose_merge_touches_its_second_argument_is_caught(
    example: ModuleType, andon_data: Path
) -> None:
    class Greedy(example.TtlEngine):
        def merge(self, a, b):
            super().merge(a, b)
            b.packets += np.int64(1)
            return a

    capture = andon_data / "darknet-data" / "captures" / "nmap_80_all.pcap"
    with pytest.raises(ContractBroken, match="second argument"):
        check_engine(Greedy(), list(read(capture, columns=("ts", "ttl"))))
