"""An Open vSwitch of our own: user-space datapath, everything in one folder, secure fail mode, one bridge ``br0``."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Final

from parts.spaces import run

SCHEMA: Final = Path("/usr/share/openvswitch/vswitch.ovsschema")


class Switch:
    """``management`` is the socket that takes OpenFlow without a controller; names of ports are interfaces of the first
    namespace."""

    def __init__(self, folder: Path, fail_mode: str = "secure") -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("RUNDIR", "DBDIR", "LOGDIR", "SYSCONFDIR"):
            os.environ[f"OVS_{name}"] = str(folder)
        self.management = folder / "br0.mgmt"
        self._database = f"unix:{folder}/db.sock"
        run("ovsdb-tool", "create", f"{folder}/conf.db", str(SCHEMA))
        run(
            "ovsdb-server", f"{folder}/conf.db", f"--remote=punix:{folder}/db.sock", f"--unixctl={folder}/o.ctl",
            f"--pidfile={folder}/o.pid", f"--log-file={folder}/o.log", "--detach",
        )  # fmt: skip
        self.vsctl("--no-wait", "init")
        self._start()
        self.vsctl(
            "add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev", f"fail_mode={fail_mode}",
            "protocols=OpenFlow10,OpenFlow13,OpenFlow14", "other-config:hwaddr=02:00:00:00:0b:00",
        )  # fmt: skip

    def _start(self) -> None:
        run(
            "ovs-vswitchd", self._database, f"--unixctl={self.folder}/v.ctl", f"--pidfile={self.folder}/v.pid",
            f"--log-file={self.folder}/v.log", "--detach",
        )  # fmt: skip

    def vsctl(self, *words: str) -> str:
        return run("ovs-vsctl", f"--db={self._database}", *words)

    def ofctl(self, command: str, *words: str, given: str | None = None) -> str:
        """``ovs-ofctl COMMAND br0 WORDS``; "-" as a word takes lines of flows from ``given``."""
        return run("ovs-ofctl", "-O", "OpenFlow13", command, f"unix:{self.management}", *words, given=given)

    def plug(self, *ports: tuple[str, int]) -> None:
        """Interfaces of the first namespace as ports with these numbers."""
        words: list[str] = []
        for interface, number in ports:
            words += ["--", "add-port", "br0", interface, "--", "set", "interface", interface]
            words += [f"ofport_request={number}"]
        self.vsctl(*words[1:])

    def no_flood(self, interface: str) -> None:
        """What is flooded for want of a known address does not go there. (Newer OpenFlow has no word for it.)"""
        run("ovs-ofctl", "-O", "OpenFlow10", "mod-port", f"unix:{self.management}", interface, "no-flood")

    def learning(self) -> None:
        """No pipeline: an ordinary switch."""
        self.ofctl("add-flow", "priority=0,actions=NORMAL")

    def flows(self) -> list[str]:
        """Every flow, as ovs-ofctl shows it without counters."""
        return [
            line.strip() for line in self.ofctl("dump-flows", "--no-stats").splitlines() if "actions=" in line
        ]

    def dropped(self) -> int:
        """Packets that the switch itself had no room for, on all ports."""
        text = self.ofctl("dump-ports")
        return sum(
            int(word[5:])
            for word in text.replace(",", " ").split()
            if word[:5] == "drop=" and word[5:].isdigit()
        )

    def kill(self) -> None:
        """kill -9 of the daemon that forwards; the database stays."""
        number = int((self.folder / "v.pid").read_text())
        os.kill(number, signal.SIGKILL)
        for _ in range(3000):
            # Its first thread may be a zombie while others still hold the lock of its pid file.
            try:
                threads = len(list(Path(f"/proc/{number}/task").iterdir()))
                dead = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
            except OSError:
                return
            if dead and threads <= 1:
                return
            time.sleep(0.01)

    def restart(self) -> None:
        self.kill()
        self._start()

    def controller(self, target: str) -> None:
        """``target`` as the bridge's controller; "" for none. Either flushes every flow."""
        self.vsctl(*(("set-controller", "br0", target) if target else ("del-controller", "br0")))
