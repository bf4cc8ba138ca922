"""A task that workers of the tests run: found there by name, as ours are."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path


def task(text: str) -> str:
    """Leaves a file in ``runs`` each time that it is begun. ``deaths``: so often, it kills the process that it runs
    in; ``failures``: so often, it raises an error; ``seconds``: that it takes then; ``until``: a file that it waits
    for, a minute at most. With ``crowd``, the answer is how many are at work at once, this one included."""
    said = json.loads(text)
    folder = Path(said["runs"])
    (folder / f"{said['number']}.{time.monotonic_ns()}").touch()
    begun = len(list(folder.glob(f"{said['number']}.*")))
    if begun <= said.get("deaths", 0):
        os.kill(os.getpid(), signal.SIGKILL)
    if begun <= said.get("failures", 0):
        raise OSError(f"nothing to read for {said['number']}")
    mark = folder / f"at-work-{os.getpid()}-{threading.get_ident()}"
    mark.touch()
    time.sleep(said.get("seconds", 0.0))
    if "until" in said:
        end = time.monotonic() + 60
        while not Path(said["until"]).exists():
            if time.monotonic() > end:
                return f"{said['number']} waited in vain"
            time.sleep(0.01)
    crowd = len(list(folder.glob("at-work-*"))) if said.get("crowd") else 0
    mark.unlink()
    return f"{crowd}" if crowd else f"{said['number']} done"
