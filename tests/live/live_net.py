"""Two network namespaces of the test's own with a pair of virtual interfaces between them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass

import pytest

needs_net = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("ip") is None,
    reason="network namespaces need root and the command ip (iproute2)",
)
_SENDER = """
import socket, sys, time
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
out.bind((sys.argv[1], 0))
frame, number = bytes.fromhex(sys.argv[2]), int(sys.argv[3])
for n in range(number):
    while True:
        try:
            out.send(frame)
            break
        except BlockingIOError:
            time.sleep(0.001)
        except OSError as error:
            if error.errno != 105:
                raise
            time.sleep(0.001)
"""


@dataclass(frozen=True)
class Wire:
    """``send`` puts frames in at one end; whatever listens in the namespace ``near`` on ``interface`` gets them."""

    near: str
    far: str
    interface: str = "near0"

    def run(self, *command: str, space: str = "") -> None:
        subprocess.run(["ip", "netns", "exec", space or self.near, *command], check=True, timeout=60)

    def send(self, frame: bytes, number: int = 1) -> None:
        self.run(sys.executable, "-c", _SENDER, "far0", frame.hex(), str(number), space=self.far)


def laid() -> Wire:
    tag = f"{os.getpid():x}"
    wire = Wire(f"andon-near-{tag}", f"andon-far-{tag}")
    for space in (wire.near, wire.far):
        subprocess.run(["ip", "netns", "add", space], check=True)
    subprocess.run(
        ["ip", "link", "add", "far0", "netns", wire.far, "type", "veth", "peer", "name", "near0", "netns", wire.near],
        check=True,
    )  # fmt: skip
    for space, name in ((wire.far, "far0"), (wire.near, "near0")):
        wire.run("sysctl", "-q", "-w", f"net.ipv6.conf.{name}.disable_ipv6=1", space=space)
        wire.run("ip", "link", "set", name, "up", space=space)
    return wire


def removed(wire: Wire) -> None:
    for space in (wire.near, wire.far):
        subprocess.run(["ip", "netns", "del", space], check=False)
