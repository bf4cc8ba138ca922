"""tcpdump on an interface of a namespace, and what it has held, by its own filters and the kernel's time stamps."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from parts.spaces import started


class Capture:
    """A context manager. ``packets`` may be asked while it goes on, and afterwards."""

    def __init__(self, space: str, interface: str, path: Path, expression: str = "", snap: int = 128) -> None:
        self.path = path
        self._process = started(
            space,
            ["tcpdump", "-n", "-U", "--immediate-mode", "-Z", "root", "-B", "8192", "-s", str(snap),
             "-i", interface, "-w", str(path), *([expression] if expression else [])],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        end = time.monotonic() + 60
        while not path.exists() or path.stat().st_size < 24:  # the head is written once it listens
            if time.monotonic() > end or self._process.poll() is not None:
                raise RuntimeError(f"tcpdump does not listen on {interface}")
            time.sleep(0.01)

    def packets(self, expression: str, since: int = 0, until: int = 1 << 62) -> list[int]:
        """Times (ns, UTC) of the packets that fit ``expression``."""
        done = subprocess.run(
            ["tcpdump", "-r", str(self.path), "-tt", "-n", "-q", expression],
            check=False, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        if done.returncode and "truncated" not in done.stderr:  # its last packet may be half written
            raise RuntimeError(done.stderr)
        times = []
        for line in done.stdout.splitlines():
            with contextlib.suppress(ValueError):
                seconds, _, rest = line.partition(" ")[0].partition(".")
                at = int(seconds) * 10**9 + int(rest.ljust(9, "0"))
                if since <= at <= until:
                    times.append(at)
        return times

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
            self._process.kill()
            self._process.wait(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
