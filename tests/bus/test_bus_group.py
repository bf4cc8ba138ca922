"""Two analysers of one group: one joins, one leaves, one is killed and comes back."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from bus_broker import Broker
from bus_machines import ROWS, Machine, events, numbers

SENSORS = "tokyo,osaka,nagoya,sapporo"  # two in each of two partitions
PACKETS = 5000 * ROWS  # more than there is time for
MOST = 120 * ROWS  # that both may have


def sensors_of(folder: Path, broker: Broker) -> Machine:
    return Machine(
        "sense",
        folder / "s",
        broker=broker.address,
        topic="andon",
        sensor=SENSORS,
        packets=PACKETS,
        pause=0.3,
    )


def analyser(folder: Path, broker: Broker, name: str) -> Machine:
    return Machine(
        "analyse", folder / name, broker=broker.address, topic="andon", group="soc", balance=True, commit=0.3
    )


def together(folder: Path, *stores: str) -> dict[str, Counter[int]]:
    """How often each packet of each sensor is in the journals."""
    found: dict[str, Counter[int]] = {}
    for store in stores:
        for source, held in numbers(folder / store).items():
            found.setdefault(source, Counter()).update(held)
    return found


def sent(folder: Path, name: str) -> int:
    return len(numbers(folder / "s" / name)["tap"])


def ended(folder: Path, sensors: Machine, a: Machine, b: Machine) -> int:
    """Both have read everything and are stopped; how many messages they say that both have."""
    sensors.stop()
    total = sum(sent(folder, name) for name in SENSORS.split(","))
    time.sleep(4.5)  # lag is told every two seconds
    a.until(lambda now: sum(now["lag"].values()) == 0)
    b.until(lambda now: sum(now["lag"].values()) == 0)
    b.until(lambda now: a.status["rows_in_journal"] + now["rows_in_journal"] >= total)
    a.until(lambda now: have(a, b) - (now["doubled"] + b.status["doubled"]) * ROWS <= total)
    a.stop()
    b.stop()
    assert a.status["gaps"] == b.status["gaps"] == 0
    return int(a.status["doubled"] + b.status["doubled"])


def have(a: Machine, b: Machine) -> int:
    return int(a.status["rows_in_journal"] + b.status["rows_in_journal"])


def twice(folder: Path) -> int:
    """How many packets are in both journals; every packet is in one."""
    found = together(folder, "a", "b")
    for name in SENSORS.split(","):
        assert sorted(found[f"bus/{name}/tap"]) == list(range(sent(folder, name)))
    assert max(times for held in found.values() for times in held.values()) <= 2
    return sum(times - 1 for held in found.values() for times in held.values())


def test_one_joins_and_one_leaves(tmp_path: Path) -> None:
    """Partitions change hands in order: every packet is in one journal, once."""
    with (
        Broker(andon=2) as broker,
        sensors_of(tmp_path, broker) as sensors,
        analyser(tmp_path, broker, "a") as a,
    ):
        a.until(lambda now: len(now["partitions"]) == 2 and now["sensors"] == 4)
        with analyser(tmp_path, broker, "b") as b:
            a.until(lambda now: len(now["partitions"]) == 1)
            b.until(lambda now: len(now["partitions"]) == 1 and now["rows"] > 0)
            a.stop()
            b.until(lambda now: len(now["partitions"]) == 2)
            before = b.status["messages"]
            b.until(lambda now: now["messages"] > before + 8)
            sensors.stop()
            b.until(lambda now: sum(now["lag"].values()) == 0)
            total = sum(sent(tmp_path, name) for name in SENSORS.split(","))
            b.until(lambda now: a.status["rows_in_journal"] + now["rows_in_journal"] >= total)
            b.stop()
            assert a.status["gaps"] == b.status["gaps"] == a.status["doubled"] == b.status["doubled"] == 0
    found = together(tmp_path, "a", "b")
    assert found == {f"bus/{name}/tap": Counter(range(sent(tmp_path, name))) for name in SENSORS.split(",")}
    # What was given up does not hold the time of the rest back.
    over = {event["source"] for event in events(tmp_path / "a") if event["type"] == "finished"}
    assert over in ({"bus/tokyo/tap", "bus/osaka/tap"}, {"bus/nagoya/tap", "bus/sapporo/tap"})


def test_one_is_killed_and_comes_back(tmp_path: Path) -> None:
    """Nothing is lost. What both have is what the dead one had in its journal and had not told the group: it is
    counted, to the message, by whoever had it first."""
    with (
        Broker(andon=2) as broker,
        sensors_of(tmp_path, broker) as sensors,
        analyser(tmp_path, broker, "a") as a,
    ):
        a.until(lambda now: len(now["partitions"]) == 2 and now["sensors"] == 4)
        with analyser(tmp_path, broker, "b") as b:
            b.until(lambda now: len(now["partitions"]) == 1 and now["rows"] > 0)
            before = a.status["messages"]
            a.until(lambda now: len(now["partitions"]) == 1 and now["messages"] > before + 8)
            a.kill()
            b.until(lambda now: len(now["partitions"]) == 2)
            before = b.status["messages"]
            b.until(lambda now: now["messages"] > before + 8)
            a.start()
            a.until(lambda now: len(now["partitions"]) == 1)
            doubled = ended(tmp_path, sensors, a, b)
    assert twice(tmp_path) == doubled * ROWS <= MOST


@pytest.mark.skipif(
    int(os.environ.get("ANDON_KILLS", "5")) < 6, reason="a minute of waiting: make nightly-bus"
)
def test_one_stands_still_and_goes_on(tmp_path: Path) -> None:
    """It is out of the group before it knows: what it reads until then both have, and it is counted."""
    with (
        Broker(andon=2) as broker,
        sensors_of(tmp_path, broker) as sensors,
        analyser(tmp_path, broker, "a") as a,
    ):
        a.until(lambda now: len(now["partitions"]) == 2 and now["sensors"] == 4)
        with analyser(tmp_path, broker, "b") as b:
            b.until(lambda now: len(now["partitions"]) == 1 and now["rows"] > 0)
            before = a.status["messages"]
            a.until(lambda now: len(now["partitions"]) == 1 and now["messages"] > before + 4)
            a.process.send_signal(signal.SIGSTOP)
            b.until(lambda now: len(now["partitions"]) == 2)
            before = b.status["messages"]
            b.until(lambda now: now["messages"] > before + 8)
            a.process.send_signal(signal.SIGCONT)
            b.until(lambda now: len(now["partitions"]) == 1)
            a.until(lambda now: len(now["partitions"]) == 1)
            doubled = ended(tmp_path, sensors, a, b)
    assert twice(tmp_path) == doubled * ROWS <= MOST
