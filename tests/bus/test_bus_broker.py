"""The forwarder and the source against a broker that loses, refuses and is away."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bus_broker import Broker
from bus_machines import numbered, pieces_of, pump_of
from confluent_kafka import Producer
from test_bus_message import PART, sessions, with_headers

from andon.observe.live.source import Piece
from andon.records.kinds import HONEYPOT_SESSION, marked
from andon.run.bus.client import Brokers
from andon.run.bus.forwarder import Forwarder
from andon.run.bus.message import encode
from andon.run.bus.source import KafkaSource
from andon.run.live.past import Past
from andon.run.live.pump import _Given
from andon.run.live.records import RecordFiles
from andon.run.live.upkeep import Upkeep
from andon.store.journal import Journal


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker(andon=1) as made:
        yield made


def brokers(broker: Broker, topic: str = "andon") -> Brokers:
    return Brokers((broker.address,), topic, "plaintext")


class Sensor:
    """A journal and its forwarder, in a thread."""

    def __init__(self, folder: Path, broker: Broker, topic: str = "andon", limit: int = 900_000) -> None:
        self.journal = Journal(folder / "journal")
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.forwarder = Forwarder(
            self.journal, None, folder / "bus", brokers(broker, topic), "tokyo", lambda: {"tap": ("packet",)},
            limit=limit, log=lambda event, values: self.said.append((event, values)),
        )  # fmt: skip
        self.thread = threading.Thread(target=self.forwarder.run)

    def commit(self, segments: int, rows: int = 100) -> None:
        for _ in range(segments):
            self.journal.append("tap", numbered(self.journal.next_row, rows), {})
            self.journal.commit(time.time_ns())

    def send(self, seconds: float = 90.0) -> None:
        """Until all of the journal is with the broker."""
        if not self.thread.is_alive():
            self.thread.start()
        end = time.monotonic() + seconds
        while self.forwarder.through < self.journal.last:
            assert time.monotonic() < end, (self.forwarder.status(), self.forwarder.troubles.texts())
            time.sleep(0.01)

    def __enter__(self) -> Sensor:
        return self

    def __exit__(self, *_: object) -> None:
        self.forwarder.stopping.set()
        if self.thread.is_alive():
            self.thread.join()


def opened(broker: Broker, position: Any = None, **more: Any) -> KafkaSource:
    source = KafkaSource("bus", brokers(broker), "g", **more)
    source.open(position)
    return source


def packets(pieces: list[Piece]) -> list[int]:
    return [n for piece in pieces for n in piece.batch.column("src").to_pylist()]


def told(pieces: list[Piece]) -> list[dict[str, Any]]:
    return [dict(event) for piece in pieces for event in piece.events]


def test_the_journal_is_kept_until_the_broker_has_it(tmp_path: Path, broker: Broker) -> None:
    with Sensor(tmp_path, broker) as sensor:
        sensor.commit(3)
        assert sensor.forwarder.through == 0
        sensor.send()
        assert json.loads((tmp_path / "bus" / "position.json").read_text())["through"] == 3
    again = Forwarder(sensor.journal, None, tmp_path / "bus", brokers(broker), "tokyo", dict)
    assert again.through == 3


def test_upkeep_drops_nothing_that_the_broker_has_not_got(tmp_path: Path, broker: Broker) -> None:
    with Sensor(tmp_path, broker) as sensor:
        sensor.commit(5)
        past = Past(sensor.journal, None, None)
        nobody: Any = None
        upkeep = Upkeep(
            past, nobody, nobody, time.time_ns, 1, 0, 1.0, lambda: 5, sent=lambda: sensor.forwarder.through
        )
        upkeep._append()
        assert sensor.journal.first == 1
        sensor.send()
        upkeep._append()
        assert sensor.journal.first == 5  # the last one stays, it knows the positions


def test_a_source_goes_on_where_the_journal_says_and_not_where_the_group_does(
    tmp_path: Path, broker: Broker
) -> None:
    with Sensor(tmp_path, broker) as sensor:
        sensor.commit(4)
        sensor.send()
        source = opened(broker)
        first = pieces_of(source, rows=400)
        position = json.loads(json.dumps(first[-1].position))
        source.kept(position)
        source.close()  # commits to the group
        sensor.commit(2)
        sensor.send()
        later = opened(broker, position)
        assert packets(pieces_of(later, rows=200)) == list(range(400, 600))
        later.close()
        fresh = opened(broker)  # no position: the group's offset is not looked at
        assert packets(pieces_of(fresh, rows=600)) == list(range(600))
        fresh.close()


def test_what_retention_took_is_told_to_the_packet(tmp_path: Path, broker: Broker) -> None:
    with Sensor(tmp_path, broker) as sensor:
        sensor.commit(2)
        sensor.send()
        source = opened(broker)
        position = pieces_of(source, rows=200)[-1].position
        source.close()
        sensor.commit(8)
        sensor.send()
        broker.do("trim", "andon", 0, 7)
        later = opened(broker, position)
        pieces = pieces_of(later, rows=300)
        assert packets(pieces) == list(range(700, 1000))
        gap, lost = (event for event in told(pieces) if event["type"] in ("gap", "lost"))
        assert gap["source"] == "bus" and "5 messages were removed" in gap["why"]
        assert lost["source"] == "bus/tokyo" and lost["rows"] == 500
        assert later.status()["lost"] == 500
        later.close()


def test_a_topic_that_is_made_anew_is_read_from_its_begin(tmp_path: Path, broker: Broker) -> None:
    with Sensor(tmp_path, broker) as sensor:
        sensor.commit(3)
        sensor.send()
        source = opened(broker)
        position = pieces_of(source, rows=300)[-1].position
        source.close()
    position = {
        **position,
        "partitions": {"0": 50},
    }  # as if 50 messages had been read of the topic of that name
    later = opened(broker, position)
    pieces = pieces_of(later, messages=3)
    assert [event["why"] for event in told(pieces) if event["type"] == "gap"] == [
        "partition 0 ends at 3 and was read up to 50: the topic was made anew"
    ]
    assert packets(pieces) == [] and later.status()["duplicates"] == 3  # they were taken already
    later.close()


def test_a_broker_that_takes_only_small_messages_gets_small_ones(tmp_path: Path, broker: Broker) -> None:
    with Sensor(tmp_path, broker) as sensor:
        broker.do("errors", 0, 10, 1)
        sensor.commit(3, rows=20_000)
        sensor.send()
        assert sensor.forwarder.limit == 450_000 and sensor.forwarder.status()["restarts"] == 1
        assert any("no messages of that size" in values.get("what", "") for _, values in sensor.said)
    source = opened(broker)
    assert sorted(packets(pieces_of(source, rows=60_000))) == list(range(60_000))
    source.close()


def test_a_journal_that_is_another_one_gets_another_epoch(tmp_path: Path, broker: Broker) -> None:
    with Sensor(tmp_path / "one", broker) as sensor:
        sensor.commit(5)
        sensor.send()
    (tmp_path / "two").mkdir()
    (tmp_path / "one" / "bus").rename(tmp_path / "two" / "bus")
    with Sensor(tmp_path / "two", broker) as sensor:
        sensor.commit(2)
        sensor.send()
    source = opened(broker)
    pieces = pieces_of(source, rows=700)
    assert packets(pieces) == [*range(500), *range(200)]
    assert [event["why"] for event in told(pieces) if event["type"] == "gap"] == [
        "the sensor has a new store: what it had not sent is lost"
    ]
    source.close()


def test_a_topic_that_is_not_there_is_said_on_both_sides(tmp_path: Path, broker: Broker) -> None:
    source = KafkaSource("bus", brokers(broker, "nowhere"), "g")
    broker.do("down")
    source.open(None)
    assert source.poll(0.2) == []
    assert "it is tried again" in source.trouble and broker.address in source.trouble
    source.close()
    broker.do("up")


def test_messages_that_cannot_be_used_are_counted_and_passed_over(tmp_path: Path, broker: Broker) -> None:
    good = encode(PART)
    bad = [
        with_headers(good, schema="andon.bus/9"), with_headers(good, crc=1), with_headers(good, rows=99, count=99),
        with_headers(good, sensor="osaka"),
    ]  # fmt: skip
    producer = Producer({"bootstrap.servers": broker.address})
    for message in [*bad, bad[0], good, good]:
        producer.produce("andon", key=message.key, value=message.value, headers=list(message.headers))
    producer.produce("andon", key=None, value=None)
    assert producer.flush(60) == 0
    source = opened(broker, sensors=("tokyo",))
    assert source.members.keys() == {"bus/tokyo"}
    pieces = pieces_of(source, messages=8)
    assert packets(pieces) == list(range(100))
    status = source.status()
    assert (status["refused"], status["duplicates"]) == (6, 1)
    assert status["reasons"]["it is of another version of the bus"] == 2
    damage = [event for event in told(pieces) if event["type"] == "damage"]
    assert sum(event["places"] for event in damage) == 6
    # The place that was held for tokyo is given to its sources.
    assert {"type": "finished", "source": "bus/tokyo"} in told(pieces)
    source.close()


def test_a_sensor_that_is_silent_holds_nobody_up(broker: Broker) -> None:
    now = [0.0]
    source = KafkaSource("bus", brokers(broker), "g", sensors=("tokyo",), idle=300.0, now=lambda: now[0])
    source.open(None)
    assert source.events() == []
    now[0] = 301.0
    assert source.events() == [{"type": "idle", "source": "bus/tokyo"}]
    assert source.events() == []
    source.close()


def test_records_of_other_kinds_come_with_their_promise_and_their_origin(
    tmp_path: Path, broker: Broker
) -> None:
    """What the sensor says of a log (until when it is complete, that anybody could have sent it) holds for the
    analyser's engines too."""
    journal, records = Journal(tmp_path / "s" / "journal"), RecordFiles(tmp_path / "s" / "records", 0)
    records.forgeable = frozenset({"pot"})
    journal.event(records.stage("pot", Piece(marked(sessions(3), HONEYPOT_SESSION), {"promise": 99})))
    journal.append("tap", numbered(0, 10), {})
    records.write(1)
    journal.commit(1)
    records.committed()
    kinds = {"tap": ("packet",), "pot": (HONEYPOT_SESSION,)}
    forwarder = Forwarder(journal, records, tmp_path / "s" / "bus", brokers(broker), "tokyo", lambda: kinds)
    forwarder.stopping.set()
    forwarder.run()
    assert forwarder.through == 1
    source = opened(broker)
    pump = pump_of(tmp_path / "a", source)
    pump.records = RecordFiles(tmp_path / "a" / "records", 0)
    pump._take(_Given(source, pieces_of(source, messages=2)))
    assert pump._commit(2)
    (kept,) = pump.records.kept(1)
    assert (kept.source, kept.forgeable, kept.batch.num_rows) == ("bus/tokyo/pot", True, 3)
    (segment,) = pump.journal.segments()
    assert [event["promise"] for event in segment.events if event["type"] == "records"] == [99]
    members = {event["source"]: event["kinds"] for event in segment.events if event["type"] == "member"}
    assert members == {"bus/tokyo/tap": ["packet"], "bus/tokyo/pot": [HONEYPOT_SESSION]}
    assert segment.positions.keys() == {"bus"} and segment.positions["bus"]["partitions"] == {"0": 2}
    source.close()
