"""The clock that nobody can set: time since the machine started, sleep included (CLOCK_BOOTTIME).

The log keeps it beside the time of day, together with the kernel's id of this start, so that how long something has
held is known across a restart of the process even if the time of day was changed in between.
"""

from __future__ import annotations

import time
from pathlib import Path


def uptime() -> int:
    """ns since the machine started."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """Of this start of the machine, 8 characters; "" where the kernel does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:8]
    except (OSError, ValueError):
        return ""
