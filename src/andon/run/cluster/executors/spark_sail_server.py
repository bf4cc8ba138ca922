"""The process of a Sail server that a job has started for itself. It ends when its standard input does.

``python -m andon.run.cluster.executors.spark_sail_server MEMORY`` writes the port that it listens on, on loopback, and
a line break. MEMORY: bytes that the process may take (0: no limit). Tasks run in this process, in threads.
"""

from __future__ import annotations

import os
import resource
import sys


def main() -> None:
    """Serve until standard input ends: the process that started this one stops it so, or is gone."""
    memory = int(sys.argv[1])
    if memory:
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    from pysail.spark import SparkConnectServer

    server = SparkConnectServer("127.0.0.1", 0)
    server.start(background=True)
    address = server.listening_address
    if address is None:
        sys.exit("the server has no address")
    sys.stdout.write(f"{address[1]}\n")
    sys.stdout.flush()
    sys.stdin.buffer.read()
    os._exit(0)  # not to wait for tasks whose answers nobody wants


if __name__ == "__main__":
    main()
