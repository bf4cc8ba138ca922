"""The infected client looks for others to infect: SYNs to port 445 of the unused part of its own network.

python -m parts.scan FIRST LAST
"""

from __future__ import annotations

import contextlib
import socket
import sys
import time


def scan(first: int, last: int) -> None:
    opened = []
    for number in range(first, last + 1):
        made = socket.socket()
        made.setblocking(False)
        with contextlib.suppress(OSError):
            made.connect((f"10.10.200.{number}", 445))
        opened.append(made)
        time.sleep(0.005)


if __name__ == "__main__":
    scan(int(sys.argv[1]), int(sys.argv[2]))
