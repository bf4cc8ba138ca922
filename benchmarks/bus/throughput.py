"""What the bus costs: rows per CPU second of the sink and the source, bytes a row on the wire, latency.

    python benchmarks/bus/throughput.py [--rows 600000] [--tries 150]

Rows are those of a simulated telescope (``andon simulate internet``). The broker is librdkafka's mock cluster in a
process of its own, so its CPU is not counted; all threads of librdkafka in this process are. It keeps about 5 MB of a
partition, so rows go through in rounds of some 100,000, each with a topic of its own.

- *sink*: segments are in the journal's files; read, checked, encoded, produced, acknowledged, and the place written.
- *source*: fetched, checked, decoded, given as pieces (``KafkaSource.poll``); *and journal*: and in the analyser's
  journal after that, as in ``andon run``.
- *latency*: from the end of a segment's commit on the sensor until the analyser's ``poll`` gives its rows.
- Baselines: the same values produced and consumed without a word of ours (librdkafka alone); what a row takes in the
  journal, as Arrow with compressed buffers, and in a capture (54 bytes of headers and 16 of the record).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "bus"))

from bus_broker import Broker
from confluent_kafka import Consumer, Producer, TopicPartition

from andon.run.bus.client import Brokers
from andon.run.bus.forwarder import Forwarder
from andon.run.bus.source import KafkaSource
from andon.run.bus.split import messages
from andon.simulate.internet import InternetConfig, packets
from andon.store.journal import Journal

ROUND = 100_000


def rows_of(count: int) -> pa.Table:
    """Simulated packets, at least so many."""
    config = InternetConfig(seed=5, packets=count, duration=600.0)
    return pa.Table.from_batches(list(packets(config))).combine_chunks()


def journal_of(folder: Path, table: pa.Table, size: int) -> Journal:
    journal = Journal(folder / "journal")
    for batch in table.to_batches(max_chunksize=size):
        journal.append("tap", batch, {})
        journal.commit(time.time_ns())
    return journal


class Cpu:
    """CPU seconds of all threads of this process within a block."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> Cpu:
        self._begin = time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds += time.process_time() - self._begin


def send(journal: Journal, folder: Path, brokers: Brokers, cpu: Cpu) -> int:
    forwarder = Forwarder(journal, None, folder / "bus", brokers, "tokyo", lambda: {"tap": ("packet",)})
    thread = threading.Thread(target=forwarder.run)
    with cpu:
        thread.start()
        while forwarder.through < journal.last:
            time.sleep(0.005)
        forwarder.stopping.set()
        thread.join()
    assert forwarder.sent.restarts == 0
    return forwarder.sent.nbytes


def receive(brokers: Brokers, rows: int, folder: Path, cpu: Cpu, kept: Cpu) -> None:
    source = KafkaSource("bus", brokers, "g")
    journal = Journal(folder / "analyser")
    given = 0
    with cpu:
        source.open(None)
    while given < rows:
        with cpu, kept:
            pieces = source.poll(0.2)
        with kept:
            for piece in pieces:
                if piece.batch.num_rows:
                    journal.append("bus", piece.batch, {})
                    given += piece.batch.num_rows
            journal.commit(time.time_ns())
    assert source.status()["refused"] == source.status()["gaps"] == 0
    source.close()


def librdkafka(brokers: Brokers, values: list[bytes], there: Cpu, back: Cpu) -> None:
    """The same values, in and out, by librdkafka alone."""
    with there:
        producer = Producer(
            {"bootstrap.servers": brokers.addresses[0], "acks": "all", "enable.idempotence": True}
        )
        for value in values:
            producer.produce(brokers.topic, value=value)
            producer.poll(0)
        producer.flush(30)
    with back:
        consumer = Consumer(
            {"bootstrap.servers": brokers.addresses[0], "group.id": "g", "enable.auto.commit": False}
        )
        consumer.assign([TopicPartition(brokers.topic, 0, 0)])
        count = 0
        while count < len(values):
            count += consumer.poll(1.0) is not None
        consumer.close()


def throughput(broker: Broker, table: pa.Table, size: int) -> Iterator[tuple[str, str]]:
    sink, source, kept, there, back = Cpu(), Cpu(), Cpu(), Cpu(), Cpu()
    nbytes = 0
    for n, at in enumerate(range(0, table.num_rows, ROUND)):
        part = table.slice(at, ROUND)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            journal = journal_of(folder, part, size)
            for topic in (f"t{size}-{n}", f"r{size}-{n}"):
                broker.do("topic", topic, 1)
            brokers = Brokers((broker.address,), f"t{size}-{n}", "plaintext")
            nbytes += send(journal, folder, brokers, sink)
            receive(brokers, part.num_rows, folder, source, kept)
            values = [
                one.message.value
                for segment in journal.segments()
                for one in messages(segment, [], "tokyo", "0" * 32, {"tap": ("packet",)}, 900_000)
            ]
            librdkafka(Brokers((broker.address,), f"r{size}-{n}", "plaintext"), values, there, back)
    rows = table.num_rows
    yield (
        f"{size:,} rows a segment",
        (
            f"sink {rows / sink.seconds / 1e6:5.2f} M rows/CPU s, source {rows / source.seconds / 1e6:5.2f} M, "
            f"and journal {rows / kept.seconds / 1e6:5.2f} M; {nbytes / rows:.1f} bytes a row; "
            f"librdkafka alone {rows / there.seconds / 1e6:.1f} M in, {rows / back.seconds / 1e6:.1f} M out"
        ),
    )


def sizes(table: pa.Table, size: int) -> str:
    batch = table.to_batches(max_chunksize=size)[0]
    made = {}
    for codec in ("lz4", "zstd"):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(
            sink, batch.schema, options=pa.ipc.IpcWriteOptions(compression=codec)
        ) as writer:
            writer.write_batch(batch)
        made[codec] = len(sink.getvalue()) / batch.num_rows
    return f"journal (lz4 buffers) {made['lz4']:.1f}, Arrow with zstd buffers {made['zstd']:.1f}, capture 70 and more"


def latency(broker: Broker, table: pa.Table, tries: int, size: int) -> list[float]:
    """ms from the end of a commit until ``poll`` gives the rows, a segment every 50 ms."""
    broker.do("topic", "latency", 1)
    brokers = Brokers((broker.address,), "latency", "plaintext")
    committed: dict[int, float] = {}
    found: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        journal = Journal(folder / "journal")
        forwarder = Forwarder(journal, None, folder / "bus", brokers, "tokyo", lambda: {"tap": ("packet",)})
        threads = [threading.Thread(target=forwarder.run)]
        source = KafkaSource("bus", brokers, "g")
        source.open(None)
        ended = threading.Event()

        def listen() -> None:
            rows = 0
            while not ended.is_set():
                for piece in source.poll(0.2):
                    if piece.batch.num_rows:
                        rows += piece.batch.num_rows
                        found[rows] = time.monotonic()

        threads.append(threading.Thread(target=listen))
        for thread in threads:
            thread.start()
        time.sleep(1.0)
        for n in range(tries):
            batch: Any = (
                table.slice((n * size) % (table.num_rows - size), size).combine_chunks().to_batches()[0]
            )
            journal.append("tap", batch, {})
            journal.commit(time.time_ns())
            committed[journal.next_row] = time.monotonic()
            time.sleep(0.05)
        end = time.monotonic() + 30
        while len(found) < tries and time.monotonic() < end:
            time.sleep(0.05)
        ended.set()
        forwarder.stopping.set()
        for thread in threads:
            thread.join()
        source.close()
    return [1000 * (found[row] - at) for row, at in committed.items() if row in found]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=600_000)
    parser.add_argument("--tries", type=int, default=150)
    given = parser.parse_args()
    table = rows_of(given.rows)
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores, {table.num_rows:,} rows")
    with Broker() as broker:
        for size in (5_000, 20_000, 50_000):
            for name, text in throughput(broker, table, size):
                print(f"{name:>22}: {text}", flush=True)
        print(f"{'bytes a row otherwise':>22}: {sizes(table, 20_000)}")
        ms = np.array(latency(broker, table, given.tries, 1000))
        print(
            f"{'latency':>22}: p50 {np.percentile(ms, 50):.0f} ms, p95 {np.percentile(ms, 95):.0f} ms, "
            f"max {ms.max():.0f} ms, n = {len(ms)}, of segments of 1,000 rows; load {os.getloadavg()[0]:.1f}"
        )


if __name__ == "__main__":
    main()
