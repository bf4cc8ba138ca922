"""A Sail server of our own: Spark Connect on this machine without Java, for one job.

It listens on a free port of 127.0.0.1, in a process of its own that ends with this one.
"""

from __future__ import annotations

import importlib.util
import os
import select
import subprocess
import sys
import tempfile
from typing import Final

from andon.run.cluster.errors import ClusterError
from andon.run.cluster.executors.spark_address import TOKEN, TOKEN_FILE

_START = 120.0  # seconds until it must listen; a second or two on a machine with nothing else to do
_STOP = 10.0
_IDLE = 7 * 86_400  # seconds until a session that nobody uses is forgotten
_PLAIN: Final = {
    "SAIL_MODE": "local",
    "SAIL_SPARK__SESSION_TIMEOUT_SECS": str(_IDLE),
    "RUST_LOG": "error",
    # One thread a task: numerical libraries must not start threads of their own.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


class Sail:
    """Started when it is made. ``memory``: bytes that the process may take, 0 for no limit. Raises ClusterError."""

    def __init__(self, memory: int = 0) -> None:
        if importlib.util.find_spec("pysail") is None:
            raise ClusterError(
                "no Spark server is given, and none can be started here: give its address (--cluster sc://HOST:PORT), "
                "or install Sail, which needs no Java: pip install 'andon[sail]'"
            )
        # Not a pipe: nobody reads it while the job runs.
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "andon.run.cluster.executors.spark_sail_server", str(memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env={**_without_settings(), **_PLAIN},
            start_new_session=True,  # Ctrl-C is for this process, which stops the other
        )
        try:
            self.address = f"sc://127.0.0.1:{self._port()}"
        except BaseException:
            self.close()
            raise

    def _port(self) -> int:
        out = self._process.stdout
        assert out is not None
        ready, _, _ = select.select([out], [], [], _START)
        line = out.readline() if ready else b""
        if not line.strip().isdigit():
            why = self.last_words() or ("it does not answer" if not ready else "it ended")
            raise ClusterError(f"the Sail server did not start: {why}")
        return int(line)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Does it run?"""
        return self._process.poll() is None

    def last_words(self) -> str:
        """The last line that it wrote, or how it ended; "" if there is nothing to say."""
        self._said.seek(0, os.SEEK_END)
        self._said.seek(max(self._said.tell() - 4096, 0))
        lines = self._said.read().decode(errors="replace").split("\n")
        last = next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")
        code = self._process.poll()
        if not last and code is not None:
            return f"it was killed by signal {-code}" if code < 0 else f"it ended with status {code}"
        return last

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._said.close()


def _without_settings() -> dict[str, str]:
    """The environment without what would make this another server than the one we mean, and without secrets that are
    none of its business."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SAIL_", "OTEL_")) and name not in (TOKEN, TOKEN_FILE)
    }
