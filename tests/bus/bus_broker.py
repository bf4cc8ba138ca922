"""A Kafka broker in a process of its own: librdkafka's mock cluster, and what can be done to it.

It speaks the real protocol over TCP (idempotent producers, groups, offsets), keeps all in memory, the newest 5 MB of a
partition or so. Run as a program it takes one command a line on standard input and answers each with one line.
"""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

PRODUCE, FETCH, OFFSET_COMMIT = 0, 1, 8
MSG_SIZE_TOO_LARGE, NOT_ENOUGH_REPLICAS, REQUEST_TIMED_OUT = 10, 19, 7


class Broker:
    """``address`` is HOST:PORT. Closing it ends the process, stopped or not."""

    def __init__(self, **topics: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip().split(",")[0]
        for name, partitions in topics.items():
            self.do("topic", name, partitions)

    def do(self, *words: Any) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        print(*words, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline().strip()
        assert answer == "0", f"{words}: {answer}"

    def stop(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()

    def __enter__(self) -> Broker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _serve() -> None:
    import confluent_kafka

    folder = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
    lib = ctypes.CDLL(str(next(folder.glob("librdkafka*.so*"))))
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    lib.rd_kafka_conf_new.restype = pointer
    lib.rd_kafka_new.restype = pointer
    lib.rd_kafka_new.argtypes = [ctypes.c_int, pointer, text, ctypes.c_size_t]
    lib.rd_kafka_mock_cluster_new.restype = pointer
    lib.rd_kafka_mock_cluster_new.argtypes = [pointer, ctypes.c_int]
    lib.rd_kafka_mock_cluster_bootstraps.restype = text
    lib.rd_kafka_mock_cluster_bootstraps.argtypes = [pointer]
    lib.rd_kafka_mock_topic_create.argtypes = [pointer, text, ctypes.c_int, ctypes.c_int]
    lib.rd_kafka_mock_topic_delete.argtypes = [pointer, text]
    lib.rd_kafka_mock_partition_delete_records.argtypes = [pointer, text, ctypes.c_int32, ctypes.c_int64]
    for name in ("down", "up"):
        getattr(lib, f"rd_kafka_mock_broker_set_{name}").argtypes = [pointer, ctypes.c_int32]
    lib.rd_kafka_mock_broker_set_host_port.argtypes = [pointer, ctypes.c_int32, text, ctypes.c_int]
    lib.rd_kafka_mock_broker_set_rtt.argtypes = [pointer, ctypes.c_int32, ctypes.c_int]
    lib.rd_kafka_mock_push_request_errors_array.argtypes = [pointer, ctypes.c_int16, ctypes.c_size_t, pointer]
    lib.rd_kafka_mock_group_initial_rebalance_delay_ms.argtypes = [pointer, ctypes.c_int32]
    why = ctypes.create_string_buffer(512)
    handle = lib.rd_kafka_new(0, lib.rd_kafka_conf_new(), why, 512)
    cluster = lib.rd_kafka_mock_cluster_new(handle, 1)
    lib.rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, 500)
    print(lib.rd_kafka_mock_cluster_bootstraps(cluster).decode(), flush=True)
    for line in sys.stdin:
        what, *rest = line.split()
        answer = 0
        if what == "topic":
            answer = lib.rd_kafka_mock_topic_create(cluster, rest[0].encode(), int(rest[1]), 1)
        elif what == "delete":
            answer = lib.rd_kafka_mock_topic_delete(cluster, rest[0].encode())
        elif what == "trim":  # topic, partition, offset: what is before it is gone
            answer = lib.rd_kafka_mock_partition_delete_records(
                cluster, rest[0].encode(), int(rest[1]), int(rest[2])
            )
        elif what in ("down", "up"):
            answer = getattr(lib, f"rd_kafka_mock_broker_set_{what}")(cluster, 1)
        elif what == "called":  # HOST PORT: where clients are told to go
            answer = lib.rd_kafka_mock_broker_set_host_port(cluster, 1, rest[0].encode(), int(rest[1])) or 0
        elif what == "rtt":
            answer = lib.rd_kafka_mock_broker_set_rtt(cluster, 1, int(rest[0]))
        elif what == "errors":  # request, error, how often
            errors = (ctypes.c_int * int(rest[2]))(*([int(rest[1])] * int(rest[2])))
            lib.rd_kafka_mock_push_request_errors_array(cluster, int(rest[0]), int(rest[2]), errors)
        print(answer, flush=True)


if __name__ == "__main__":
    _serve()
