"""``andon run`` on a sensor and on an analyser: the same packets, the same findings, whoever is killed meanwhile."""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path

import pytest
from bus_broker import Broker
from bus_runs import analyser, count, rows_of, sensor, start, status, stop

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "live"))

from live_runs import findings, make_captures, metrics, wait_until


def _port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.mark.slow
def test_the_analyser_finds_what_the_sensor_finds(tmp_path: Path) -> None:
    rows = make_captures(tmp_path / "captures", packets=30_000, parts=4, days=3.0)
    port = _port()
    with Broker(andon=2) as broker:
        here = sensor(tmp_path, tmp_path / "captures", broker.address)
        there = analyser(
            tmp_path, broker.address, more=f'sensors = ["tokyo"]\n[metrics]\nlisten = "127.0.0.1:{port}"\n'
        )
        first = start(there)
        one = start(here, once=True)
        wait_until(lambda: count(tmp_path / "analyser") > 0, seconds=120)
        first.kill()
        first.wait()
        second = start(there)
        assert one.wait(timeout=300) == 0
        assert wait_until(lambda: count(tmp_path / "analyser") >= rows, seconds=120)
        assert wait_until(lambda: status(tmp_path, "analyser").get("backlog") == 0)
        assert wait_until(lambda: "bus" in status(tmp_path, "analyser").get("bus", {}))
        wanted = (
            'andon_bus_lag_messages{partition="0",source="bus"}',
            'andon_bus_read_lost_total{source="bus"} 0.0',
        )

        time.sleep(2.5)  # a checkpoint
        assert wait_until(lambda: all(one in metrics(port) for one in wanted)), metrics(port)
        # What the engines conclude comes after the rows: stopped before that, a store holds it for the next start.
        told = findings(tmp_path / "tokyo")
        assert wait_until(lambda: findings(tmp_path / "analyser").keys() == told.keys(), seconds=240)
        stop(second)
    assert rows_of(tmp_path / "analyser") == rows_of(tmp_path / "tokyo")
    assert findings(tmp_path / "analyser") == findings(tmp_path / "tokyo") != {}
    sent = status(tmp_path, "tokyo")["bus"][""]
    assert (sent["rows"], sent["waiting"]) == (rows, 0)


@pytest.mark.slow
def test_a_sensor_that_only_sends_runs_no_engine(tmp_path: Path) -> None:
    rows = make_captures(tmp_path / "captures", packets=5_000, parts=1, days=1.0)
    with Broker(andon=1) as broker:
        here = sensor(tmp_path, tmp_path / "captures", broker.address, more="analyse = false\n")
        one = start(here, once=True)
        assert one.wait(timeout=300) == 0, here.with_suffix(".log").read_text()[-2000:]
    assert status(tmp_path, "tokyo")["engines"] == {}
    assert status(tmp_path, "tokyo")["bus"][""]["rows"] == rows
