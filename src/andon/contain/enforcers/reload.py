"""Telling a daemon to read its files again: a command as an argument list, at most one at a time, not too often.

The first change after a pause is told at once; what follows within ``settle`` seconds is told together at its end, so
that a hundred changes are one or two reloads. A reload that failed stays owed and is tried again, once a minute at
least.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Sequence
from typing import IO, Final

from andon.contain.contract import Rejected, Unreachable

_LONGEST_PAUSE: Final = 60.0
_LONGEST_ERROR: Final = 500
# What control commands say when their daemon is not there: tried again, not refused.
_AWAY: Final = re.compile(r"connect|no running copy|no such process|timed out", re.I)
# A daemon's control command needs no secrets of ours, and no library path.
_KEPT: Final = ("PATH", "LANG", "LC_ALL", "TZ", "HOME")


class Reload:
    """``command`` empty: nobody is told (the other side looks for itself). ``patience``: seconds for one command."""

    def __init__(self, command: Sequence[str], settle: float, patience: float) -> None:
        self._command = tuple(command)
        self._settle = settle
        self._patience = patience
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None
        self._began = 0.0
        self._last = -1e9  # end of the last one
        self._pause = 0.0
        self._rejected = True
        self.owed = False
        self.error = ""
        self.count = 0  # that went well

    def ask(self) -> None:
        """A change has been written."""
        self.owed = bool(self._command)

    @property
    def due(self) -> bool:
        wait = max(self._settle, self._pause)
        return self.owed and self._process is None and time.monotonic() - self._last >= wait

    def poll(self) -> None:
        """Start what is due, fetch what has ended. Never blocks, never raises; ``error`` says what went wrong."""
        if self._process is not None:
            code = self._process.poll()
            if code is not None:
                self._ended(code)
            elif time.monotonic() - self._began > self._patience:
                self._kill()
        elif self.due:
            self._start()

    def settle(self, at_once: bool = False) -> None:
        """Until nothing is owed any more, waiting for the end of the pause unless ``at_once``. Raises Rejected (what
        the command said), Unreachable."""
        if not self.owed and self._process is None:
            return
        self._finish()
        if not self.owed:
            self._raise()
            return
        if not at_once:
            time.sleep(max(0.0, self._settle - (time.monotonic() - self._last)))
        self._start()
        self._finish()
        self._raise()

    def _finish(self) -> None:
        if self._process is None:
            return
        try:
            self._ended(self._process.wait(max(0.0, self._began + self._patience - time.monotonic())))
        except subprocess.TimeoutExpired:
            self._kill()

    def _start(self) -> None:
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  (kept until the process has ended)
        self._began = time.monotonic()
        # What is written from now on needs another one.
        self.owed = False
        try:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=self._output, stderr=self._output,
                env={name: os.environ[name] for name in _KEPT if name in os.environ}, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            self._failed(f"{self._command[0]}: {error.strerror}", rejected=False)

    def _ended(self, code: int) -> None:
        said = ""
        if self._output is not None:
            self._output.seek(0)
            said = self._output.read(1 << 16).decode(errors="replace")
            self._output.close()
        self._process = self._output = None
        if code:
            self._failed(f"{self._command[0]}: {_ending(said, code)}", rejected=not _AWAY.search(said))
            return
        self._last, self._pause, self.error = time.monotonic(), 0.0, ""
        self.count += 1

    def _kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        if self._output is not None:
            self._output.close()
        self._process = self._output = None
        self._failed(f"{self._command[0]} did not end within {self._patience:g} s", rejected=False)

    def _failed(self, text: str, rejected: bool) -> None:
        if self._output is not None:
            self._output.close()
            self._output = None
        self.error, self.owed, self._last, self._rejected = text, True, time.monotonic(), rejected
        self._pause = min(_LONGEST_PAUSE, max(1.0, self._pause * 2))

    def _raise(self) -> None:
        if self.error:
            raise (Rejected if self._rejected else Unreachable)(self.error)

    def close(self) -> None:
        if self._process is not None:
            try:
                self._process.wait(self._patience)
            except subprocess.TimeoutExpired:
                self._kill()


def _done(command: Sequence[str], patience: float) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            tuple(command), check=False, stdin=subprocess.DEVNULL, capture_output=True, timeout=patience,
            env={name: os.environ[name] for name in _KEPT if name in os.environ},
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise Unreachable(f"{command[0]} did not end within {patience:g} s") from error
    except OSError as error:
        raise Unreachable(f"{command[0]}: {error.strerror}") from error


def _complaint(done: subprocess.CompletedProcess[bytes]) -> str:
    return _ending((done.stdout + done.stderr).decode(errors="replace"), done.returncode)


def _ending(text: str, code: int) -> str:
    """What was said last: warnings come before the error that a command ends with."""
    words = " ".join(text.split())
    if len(words) > _LONGEST_ERROR:
        words = "... " + words[-_LONGEST_ERROR:]
    return words or f"ended with {code}"


def checked(command: Sequence[str], patience: float) -> str:
    """What a command complains of; "" if it ends well. Raises Unreachable if it cannot be run."""
    done = _done(command, patience)
    return _complaint(done) if done.returncode else ""


def said(command: Sequence[str], patience: float) -> str:
    """What a command answers. Raises Unreachable if it cannot be run or fails."""
    done = _done(command, patience)
    if done.returncode:
        raise Unreachable(f"{command[0]}: {_complaint(done)}")
    return done.stdout.decode(errors="replace")
