"""A real interface: packets through a pair of virtual ones into a runner of its own process."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from live_files import frame
from live_net import Wire, laid, needs_net, removed
from live_runs import COMMAND, wait_until

from andon.store.casebook import Casebook
from andon.store.history import History

pytestmark = needs_net


class Runner:
    """`andon run` on the near end of a wire."""

    def __init__(self, wire: Wire, folder: Path) -> None:
        self.wire, self.store = wire, folder / "store"
        config = folder / "andon.toml"
        config.write_text(
            f'[telescope]\nprefixes = ["192.0.2.0/24"]\n[[source]]\nname = "tap"\nkind = "interface"\n'
            f'interface = "{wire.interface}"\nring = "4 MB"\n[store]\npath = "store"\ncheckpoint = "1s"\n'
            f'history_every = "1s"\nretention = "3650d"\n'
        )
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", wire.near, *COMMAND, "run", "--config", str(config), "--log", "json"],
            stderr=(folder / "said").open("wb"),
        )
        self.said = folder / "said"

    def status(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.store / "status.json").read_text())
        except (OSError, ValueError):
            return {"received": -1, "state": "", "trouble": []}
        return found

    def gaps(self) -> list[Any]:
        with Casebook(self.store, read_only=True) as book:
            return [found for found in book.findings() if found.kind == "capture-gap"]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=120)


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    wire = laid()
    try:
        runner = Runner(wire, tmp_path_factory.mktemp("interface"))
        assert wait_until(lambda: runner.status()["state"] == "running", 120), runner.said.read_text()
        yield runner
        if runner.process.poll() is None:
            runner.process.kill()
    finally:
        removed(wire)


def tagged(data: bytes, vlan: int) -> bytes:
    return data[:12] + struct.pack(">HH", 0x8100, vlan) + data[12:]


def test_packets_arrive_and_a_vlan_tag_that_the_kernel_took_off_is_put_back(runner: Runner) -> None:
    runner.wire.send(frame(), 10)
    runner.wire.send(tagged(frame(port=80), 77), 5)
    assert wait_until(lambda: runner.status()["received"] == 15)
    assert wait_until(lambda: History(runner.store / "history").next_row == 15)
    rows = list(History(runner.store / "history").read(0, 1 << 62, ("dst_port", "vlan_tags", "src")))
    found = [
        (port, tags)
        for b in rows
        for port, tags in zip(*(b.column(n).to_pylist() for n in ("dst_port", "vlan_tags")), strict=True)
    ]
    assert found == [(23, 0)] * 10 + [(80, 1)] * 5


def test_what_the_kernel_drops_is_counted(runner: Runner) -> None:
    before = runner.status()["received"]
    os.kill(runner.process.pid, signal.SIGSTOP)
    runner.wire.send(frame() + b"\0" * 1200, 20_000)  # a ring of 4 MB holds fewer
    os.kill(runner.process.pid, signal.SIGCONT)
    assert wait_until(lambda: any(gap.count for gap in runner.gaps()))

    def told() -> int:
        return sum(int(gap.count) for gap in runner.gaps())

    assert wait_until(lambda: runner.status()["received"] - before + told() == 20_000)
    assert 0 < told() < 20_000


def test_an_interface_that_goes_down_is_waited_for_and_the_gap_is_told(runner: Runner) -> None:
    before = runner.status()["received"]
    runner.wire.run("ip", "link", "set", runner.wire.interface, "down")
    assert wait_until(lambda: any("down" in text for text in runner.status()["trouble"]))
    assert wait_until(lambda: any("was down" in gap.document for gap in runner.gaps()))
    runner.wire.run("ip", "link", "set", runner.wire.interface, "up")
    assert wait_until(lambda: not runner.status()["trouble"])
    runner.wire.send(frame(), 7)
    assert wait_until(lambda: runner.status()["received"] == before + 7)
    assert wait_until(lambda: [gap.revision for gap in runner.gaps() if "was down" in gap.document] == [2])
    (gap,) = [gap for gap in runner.gaps() if "was down" in gap.document]
    assert " between " in gap.to_dict()["statement"]


def test_a_runner_on_an_interface_stops_cleanly_and_the_restart_is_a_gap(runner: Runner) -> None:
    assert runner.stop() == 0, runner.said.read_text()
    assert "Traceback" not in runner.said.read_text()
    with_gaps = len(runner.gaps())
    again = Runner(runner.wire, runner.store.parent)
    assert wait_until(lambda: len(runner.gaps()) > with_gaps, 120)
    assert again.stop() == 0
    assert any("(restart)" in gap.document for gap in runner.gaps())


def test_an_interface_that_is_not_there_is_said_in_a_sentence(tmp_path: Path) -> None:
    wire = Wire("", "", "nothing0")
    config = tmp_path / "andon.toml"
    config.write_text(
        f'[[source]]\nname = "tap"\nkind = "interface"\ninterface = "{wire.interface}"\n[store]\npath = "store"\n'
    )
    done = subprocess.run(
        [*COMMAND, "run", "--config", str(config)], capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 1
    assert b"there is no interface nothing0" in done.stderr
    assert b"Traceback" not in done.stderr
