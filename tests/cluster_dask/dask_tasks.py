"""Tasks for workers of the tests: they import this module, so what they do is done in real processes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def upper(text: str) -> str:
    """Nothing goes wrong."""
    return text.upper()


def slow(text: str) -> str:
    """A tenth of a second."""
    time.sleep(0.1)
    return text.upper()


def lasting(text: str) -> str:
    """A second."""
    time.sleep(1.0)
    return text.upper()


def raising(text: str) -> str:
    """Fails wherever it is tried."""
    if "bad.pcap" in text:
        raise OSError("Stale file handle")
    return text.upper()


def deadly(text: str) -> str:
    """``/killer.pcap`` kills its worker whenever it runs; ``/once.FOLDER`` the first time."""
    if "/killer.pcap" in text:
        os.kill(os.getpid(), signal.SIGKILL)
    if "/once." in text:
        mark = Path(text.partition("/once.")[2].partition('"')[0])
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    return text.upper()
