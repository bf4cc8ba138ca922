"""Run a function where nothing of the machine can be touched: own network, mounts and process ids (unshare -nmp).

The function is named as "module:function" (a module of this folder), takes one dict of JSON values and gives JSON
values back. It runs in a process of its own whose death takes everything with it that it started: the process
namespace ends with its first process. /run is an empty tmpfs, so that `ip netns add` names nothing outside.

    found = privately("scenarios:pair_block", {"tries": 3}, seconds=60)
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

TOOLS: Final = (
    "unshare",
    "ip",
    "ethtool",
    "ovs-vsctl",
    "ovs-vswitchd",
    "ovsdb-server",
    "ovsdb-tool",
    "ovs-ofctl",
)
HERE: Final = Path(__file__).resolve().parent.parent
_CAP_NET_ADMIN: Final = 12


class Failed(RuntimeError):
    """The function raised, was killed, or took too long; the text is what it said."""


def missing(*more: str) -> str:
    """Why the lab cannot run here; "" if it can. ``more``: further commands that are needed."""
    if os.geteuid() != 0:
        return "the lab needs root"
    with contextlib.suppress(OSError, ValueError, StopIteration):
        line = next(
            one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("CapEff")
        )
        if not int(line.split()[1], 16) >> _CAP_NET_ADMIN & 1:
            return "the lab needs CAP_NET_ADMIN"
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return "the lab needs /dev/net/tun (a switch in user space opens it)"
    absent = [tool for tool in (*TOOLS, *more) if shutil.which(tool, path=SEARCH) is None]
    if absent:
        return f"not installed: {', '.join(absent)} (scripts/lab.sh installs what is missing)"
    try:
        tried = subprocess.run(
            ["unshare", "-nmp", "--fork", "true"], check=False, capture_output=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"namespaces cannot be made: {error}"
    return (
        "" if tried.returncode == 0 else f"namespaces cannot be made: {tried.stderr.decode()[:200].strip()}"
    )


SEARCH: Final = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))


def privately(
    function: str, arguments: Mapping[str, Any], seconds: float, *, paths: Sequence[Path] = (HERE,)
) -> Any:
    """What ``function`` gives in a private place. Raises Failed with its traceback, or after ``seconds``."""
    writing = os.memfd_create("answer", 0)
    search = os.pathsep.join([*map(str, paths), os.environ.get("PYTHONPATH", "")]).strip(os.pathsep)
    process = subprocess.Popen(
        [
            "unshare", "-nmp", "--fork", "--kill-child", "--mount-proc",
            sys.executable, "-m", "parts.private", function, json.dumps(dict(arguments)), str(writing),
        ],
        pass_fds=(writing,), stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True,
        env={**os.environ, "PYTHONPATH": search, "PATH": SEARCH},
    )  # fmt: skip
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(writing)
        raise Failed(f"{function} was not done after {seconds:g} s") from None
    with os.fdopen(writing, encoding="utf-8") as answered:
        answered.seek(0)
        text = answered.read()
    if not text:
        raise Failed(f"{function} ended with {process.returncode} and gave nothing")
    answer = json.loads(text)
    if "error" in answer:
        raise Failed(answer["error"])
    return answer["value"]


def _inside(function: str, arguments: str, writing: int) -> None:
    for command in (
        ("mount", "-t", "tmpfs", "none", "/run"),
        ("mkdir", "/run/netns"),
        ("ip", "link", "set", "lo", "up"),
    ):
        subprocess.run(command, check=True, timeout=20)
    module, name = function.split(":")
    try:
        answer = {"value": getattr(importlib.import_module(module), name)(json.loads(arguments))}
        text = json.dumps(answer)
    except BaseException:
        text = json.dumps({"error": traceback.format_exc()})
    with os.fdopen(writing, "w", encoding="utf-8") as answered:
        answered.write(text)


if __name__ == "__main__":
    _inside(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    os._exit(0)
