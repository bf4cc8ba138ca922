"""What was acknowledged is there after a kill, and a reader never gets a list that is half of one version."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from edl_world import Clock, apply, intent, made, served

from andon.contain.enforcers.edl import enforcer

_CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from edl_world import Clock, apply, intent, made
one = made(Path(sys.argv[1]), Clock())
for number in range(1, 100_000):
    apply(one, intent(number, f"203.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"))
    print(number, flush=True)
    if number % 3 == 0:
        one.revoke([number])
        print(-number, flush=True)
"""


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(tmp_path), str(Path(__file__).parent)],
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    assert child.stdout is not None
    said: list[int] = []
    for line in child.stdout:
        said.append(int(line))
        if len(said) >= 60:
            child.send_signal(signal.SIGKILL)
            break
    said += [int(line) for line in child.stdout if line.endswith("\n")]
    child.wait(60)
    child.stdout.close()
    one = enforcer("perimeter", {"folder": "edl"}, tmp_path, Clock())
    assert not one.held_back
    held = set(one.actual())
    taken_back = {-number for number in said if number < 0}
    acknowledged = {number for number in said if number > 0} - taken_back
    last = max(abs(number) for number in said)
    assert acknowledged - {last} <= held and not (taken_back & held)
    assert held - acknowledged <= {last, last + 1}
    snapshot = one.snapshot("ip")
    assert snapshot is not None and snapshot.lines == len(held)
    assert (tmp_path / "edl" / "ip.txt").read_bytes() == snapshot.body


def test_readers_get_whole_versions_while_lists_change(tmp_path: Path) -> None:
    one = made(tmp_path, Clock())
    bad: list[str] = []
    seen: set[str] = set()
    stop = threading.Event()
    with served(one) as client:

        def read() -> None:
            while not stop.is_set():
                _, headers, body = client.ask("/ip.txt")
                seen.add(headers["etag"])
                if headers["etag"] != f'"{hashlib.sha256(body).hexdigest()[:32]}"':
                    bad.append(headers["etag"])

        thread = threading.Thread(target=read)
        thread.start()
        number, until = 0, time.monotonic() + 60
        while len(seen) < 8 and time.monotonic() < until:
            number += 1
            apply(one, intent(number, f"203.0.{number >> 8}.{number & 255}"))
            time.sleep(0.005)
        stop.set()
        thread.join(60)
    assert bad == [] and len(seen) >= 8
