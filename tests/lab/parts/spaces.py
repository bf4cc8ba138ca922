"""Network namespaces and the cables between them; entering one for as long as a socket or a process is made."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

_NEWNET: Final = 0x40000000
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
NAMED: Final = Path("/run/netns")


def run(*command: str, given: str | None = None, seconds: float = 30) -> str:
    """What a command says; raises RuntimeError with what it complained of."""
    done = subprocess.run(command, check=False, input=given, capture_output=True, text=True, timeout=seconds)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


@contextlib.contextmanager
def inside(space: str) -> Iterator[None]:
    """This thread is in the namespace ``space`` ("" for the first one); sockets and processes made meanwhile stay."""
    if not space:
        yield
        return
    back = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    there = os.open(NAMED / space, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(there)
        try:
            yield
        finally:
            _enter(back)
    finally:
        os.close(there)
        os.close(back)


def _enter(descriptor: int) -> None:
    if _LIBC.setns(descriptor, _NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def run_in(space: str, *command: str, given: str | None = None, seconds: float = 30) -> str:
    with inside(space):
        return run(*command, given=given, seconds=seconds)


def started(space: str, command: Sequence[str], **others: Any) -> subprocess.Popen[bytes]:
    """A process that goes on in ``space``."""
    with inside(space):
        return subprocess.Popen(command, **others)


def made(space: str) -> None:
    """A new namespace, with IPv6 addresses that are valid at once and only those that are given."""
    run("ip", "netns", "add", space)
    with inside(space):
        for scope in ("all", "default"):
            for name in ("accept_dad", "dad_transmits", "accept_ra", "autoconf"):
                Path(f"/proc/sys/net/ipv6/conf/{scope}/{name}").write_text("0")
        run("ip", "link", "set", "lo", "up")


def cabled(
    space: str, interface: str, mac: str, other: str, other_interface: str, other_mac: str = ""
) -> None:
    """A cable between ``space`` and ``other`` ("": the first namespace), both ends up.

    Checksums are filled in by the hosts: a switch in user space passes on what it reads, and a checksum that was left
    to a card that is not there stays wrong.
    """
    command = ["ip", "link", "add", interface, "netns", space, "address", mac, "type", "veth", "peer", "name"]
    command += [other_interface]
    command += ["netns", other] if other else []
    command += ["address", other_mac] if other_mac else []
    run(*command)
    for where, name in ((space, interface), (other, other_interface)):
        with inside(where):
            run("ethtool", "-K", name, "tx", "off")
            if not where:
                Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")
            run("ip", "link", "set", name, "up")


def addressed(space: str, interface: str, *addresses: str) -> None:
    """``addresses`` with their prefix lengths."""
    lines = [f"addr add {one} dev {interface}{' nodad' if ':' in one else ''}" for one in addresses]
    run("ip", "-n", space, "-batch", "-", given="\n".join(lines) + "\n")


def routed(space: str, *routes: str) -> None:
    """``routes`` as after `ip route add`; IPv6 ones are known by their colon."""
    for route in routes:
        run("ip", "-n", space, *(("-6",) if ":" in route else ()), "route", "add", *route.split())
