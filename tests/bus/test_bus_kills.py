"""Kills: of the analyser, of the sensor, of the broker's answers. Nothing is lost, nothing is there twice."""

from __future__ import annotations

import random
import time
from pathlib import Path

from bus_broker import Broker
from bus_machines import ROWS, Machine, events, numbers

PACKETS = 100 * ROWS


def test_an_analyser_that_is_killed_again_and_again(tmp_path: Path) -> None:
    when = random.Random(7)
    with (
        Broker(andon=2) as broker,
        Machine(
            "sense", tmp_path / "s", broker=broker.address, topic="andon", sensor="tokyo", packets=PACKETS
        ) as sensor,
        Machine("analyse", tmp_path / "a", broker=broker.address, topic="andon") as analyser,
    ):
        for _ in range(3):
            before = analyser.status.get("rows_in_journal", 0)
            analyser.until(
                lambda now, before=before: (
                    now["rows_in_journal"] > before or now["rows_in_journal"] == PACKETS
                )
            )
            time.sleep(when.random() * 0.1)
            analyser.kill()
            analyser.start()
        analyser.until(lambda now: now["rows_in_journal"] >= PACKETS)
        sensor.stop()
        analyser.stop()
        assert analyser.status["gaps"] == 0
    assert numbers(tmp_path / "a") == {"bus/tokyo/tap": list(range(PACKETS))}


def test_a_sensor_that_is_killed_again_and_again(tmp_path: Path) -> None:
    when = random.Random(8)
    with (
        Broker(andon=1) as broker,
        Machine(
            "sense", tmp_path / "s", broker=broker.address, topic="andon", sensor="tokyo", packets=PACKETS
        ) as sensor,
        Machine("analyse", tmp_path / "a", broker=broker.address, topic="andon") as analyser,
    ):
        for _ in range(3):
            before = sensor.status.get("last", 0)
            sensor.until(lambda now, before=before: now["last"] > before or now["last"] * ROWS >= PACKETS)
            time.sleep(when.random() * 0.15)
            sensor.kill()
            sensor.start()
        analyser.until(lambda now: now["rows_in_journal"] >= PACKETS)
        sensor.stop()
        analyser.stop()
        assert analyser.status["gaps"] == 0
    assert numbers(tmp_path / "a") == {"bus/tokyo/tap": list(range(PACKETS))}
    assert sum(event["type"] == "member" for event in events(tmp_path / "a")) == 1


def test_a_broker_that_stands_still_and_goes_on(tmp_path: Path) -> None:
    with (
        Broker(andon=1) as broker,
        Machine(
            "sense",
            tmp_path / "s",
            broker=broker.address,
            topic="andon",
            sensor="tokyo",
            packets=PACKETS,
            pause=0.15,
        ) as sensor,  # slow enough to have something left to send when the broker stops
        Machine("analyse", tmp_path / "a", broker=broker.address, topic="andon") as analyser,
    ):
        analyser.until(lambda now: now["rows_in_journal"] > 0)
        broker.stop()
        sensor.until(lambda now: now["trouble"])
        assert "acknowledged nothing" in sensor.status["trouble"][0]
        assert "wait in the journal" in sensor.status["trouble"][0]
        broker.go_on()
        analyser.until(lambda now: now["rows_in_journal"] >= PACKETS)
        sensor.until(lambda now: not now["trouble"] and not now["waiting"])
        sensor.stop()
        analyser.stop()
    assert numbers(tmp_path / "a") == {"bus/tokyo/tap": list(range(PACKETS))}


def test_a_broker_that_cuts_connections_and_answers_with_errors(tmp_path: Path) -> None:
    """Connections closed, produce requests refused for a while, and one message said to be too large, which fails what
    was sent behind it or lets it pass: whatever the order then, nothing is missing."""
    with (
        Broker(andon=1) as broker,
        Machine(
            "sense", tmp_path / "s", broker=broker.address, topic="andon", sensor="tokyo", packets=PACKETS
        ) as sensor,
        Machine("analyse", tmp_path / "a", broker=broker.address, topic="andon") as analyser,
    ):
        for error in (19, 7, 10):  # not enough replicas, timed out, message too large
            before = analyser.status.get("rows_in_journal", 0)
            analyser.until(
                lambda now, before=before: (
                    now["rows_in_journal"] > before or now["rows_in_journal"] == PACKETS
                )
            )
            broker.do("errors", 0, error, 2)
            broker.do("down")
            time.sleep(0.2)
            broker.do("up")
        analyser.until(lambda now: now["rows_in_journal"] >= PACKETS)
        sensor.stop()
        analyser.stop()
        assert analyser.status["rows"] == PACKETS
    assert sorted(numbers(tmp_path / "a")["bus/tokyo/tap"]) == list(range(PACKETS))
