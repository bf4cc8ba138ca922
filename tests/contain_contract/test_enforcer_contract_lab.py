"""The contract of enforcers at a real Open vSwitch and a real nftables gateway; skipped where there is no root."""

from __future__ import annotations

from pathlib import Path

import pytest
from parts.private import HERE as LAB
from parts.private import missing, privately

HERE = Path(__file__).resolve().parent

pytestmark = pytest.mark.skipif(bool(missing("nft")), reason=missing("nft") or "the lab can run")


@pytest.mark.parametrize("kind", ["openflow", "nft"])
def test_the_enforcers_of_the_lab_keep_the_contract(tmp_path: Path, kind: str) -> None:
    paths = (LAB, HERE, LAB.parents[1] / "src")
    done = privately(f"contract_scenarios:{kind}", {"folder": str(tmp_path)}, 240, paths=paths)
    assert len(done) == 13 and "what is held survives close and is found by the next process" in done
