"""The site's services, as Debian packages them: Squid on px, Unbound with a response policy zone on ns."""

from __future__ import annotations

import pwd
import shutil
import subprocess
import time
from pathlib import Path

from parts.names import question, replied
from parts.near import opened
from parts.site import C1, C2_NAME, C2_V4, C2_V6, GOOD_NAME, GOOD_V4, GOOD_V6, LAN, NS, PX, Lab
from parts.spaces import run, started


def wait_for(what: str, tried: object, seconds: float = 60.0) -> None:
    """Until ``tried()`` is true. Raises TimeoutError."""
    end = time.monotonic() + seconds
    while not tried():  # type: ignore[operator]
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come within {seconds:g} s")
        time.sleep(0.05)


class Resolver:
    """Unbound on ns with the zone ``andon.rpz`` from a file that others write, and another one on the Internet that
    knows the names of the lab."""

    def __init__(self, lab: Lab) -> None:
        self.folder = lab.folder / "unbound"
        self.folder.mkdir(exist_ok=True)
        self.zone = self.folder / "andon.rpz"
        self.conf = self.folder / "unbound.conf"
        self.control = self.folder / "control"
        # A server wants the file to be there when it starts.
        self.zone.write_text(
            "$ORIGIN andon.rpz.\n$TTL 5\n@ SOA localhost. root.localhost. 1 60 60 3600 60\n@ NS localhost.\n"
        )
        records = "".join(
            f'  local-data: "{name}. 5 {"AAAA" if ":" in address else "A"} {address}"\n'
            for name, addresses in ((C2_NAME, (*C2_V4, *C2_V6)), (GOOD_NAME, (GOOD_V4, GOOD_V6)))
            for address in addresses
        )
        # The Internet's side. A policy zone speaks of what comes from elsewhere: own data would go before it.
        above = self.folder / "above.conf"
        above.write_text(
            f"{self._server('above')}  interface: {GOOD_V4}\n  access-control: 0.0.0.0/0 allow\n"
            f'  local-zone: "." static\n{records}remote-control:\n  control-enable: no\n'
        )
        self.conf.write_text(
            f"{self._server('ns')}  interface: {NS.v4}\n  interface: {NS.v6}\n  access-control: {LAN} allow\n"
            '  access-control: 2001:db8:10::/64 allow\n  module-config: "respip iterator"\n'
            f'forward-zone:\n  name: "."\n  forward-addr: {GOOD_V4}\n'
            f'rpz:\n  name: andon.rpz\n  zonefile: "{self.zone}"\n'
            f'remote-control:\n  control-enable: yes\n  control-use-cert: no\n  control-interface: "{self.control}"\n'
        )
        self.above = started("c2srv", ["unbound", "-d", "-c", str(above)], stderr=subprocess.DEVNULL)
        self.process = started("ns", ["unbound", "-d", "-c", str(self.conf)], stderr=subprocess.DEVNULL)
        wait_for("the resolver", lambda: self.addresses(GOOD_NAME) == [GOOD_V4])

    def _server(self, name: str) -> str:
        return (
            f'server:\n  directory: "{self.folder}"\n  chroot: ""\n  username: ""\n  use-syslog: no\n  num-threads: 1\n'
            f'  pidfile: "{self.folder}/{name}.pid"\n  logfile: "{self.folder}/{name}.log"\n'
        )

    def addresses(self, name: str, space: str = C1.name, *, six: bool = False) -> list[str]:
        """What a client is told; [] if nothing, or that there is nothing."""
        with opened(space, NS.v4, 2) as asking:
            asking.settimeout(0.5)
            try:
                asking.connect((NS.v4, 53))
                asking.send(question(name, 7, six=six))
                return replied(asking.recv(4096))
            except (OSError, ValueError):
                return []

    @property
    def reload(self) -> list[str]:
        """The command that makes it read the zone again."""
        return ["unbound-control", "-c", str(self.conf), "auth_zone_reload", "andon.rpz"]


class Proxy:
    """Squid as an explicit proxy on port 3128. What others write into ``rules`` is included, and read again after
    ``reconfigure``."""

    def __init__(self, lab: Lab) -> None:
        self.folder = lab.folder / "squid"
        self.rules = self.folder / "rules"
        self.rules.mkdir(parents=True, exist_ok=True)
        (self.rules / "nothing.conf").write_text("# Squid does not start if nothing is there to include.\n")
        self.log = self.folder / "access.log"
        self.log.touch()
        self.conf = self.folder / "squid.conf"
        self.conf.write_text(
            f"http_port {PX.v4}:3128\nhttp_port [{PX.v6}]:3128\nvisible_hostname px.lab.example\n"
            f"pid_filename {self.folder}/pid\ncache deny all\ndns_nameservers {NS.v4}\n"
            f"access_log stdio:{self.log} combined\nlogfile_rotate 0\nbuffered_logs off\n"
            f"cache_log {self.folder}/cache.log\ncoredump_dir {self.folder}\npinger_enable off\n"
            "shutdown_lifetime 0 seconds\n"
            "negative_dns_ttl 1 seconds\npositive_dns_ttl 2 seconds\nconnect_timeout 3 seconds\n"
            f"include {self.rules}/*.conf\nacl lan src {LAN} 2001:db8:10::/64\n"
            "http_access allow lan\nhttp_access deny all\n"
        )
        try:
            owner = pwd.getpwnam("proxy")
        except KeyError:
            owner = pwd.getpwnam("squid")
        for path in (self.folder, self.log):
            shutil.chown(path, owner.pw_uid, owner.pw_gid)
        self.start()

    def start(self) -> None:
        self.process = started(
            "px", ["squid", "-N", "-f", str(self.conf)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for("the proxy", self._answers)

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError((self.folder / "cache.log").read_text()[-2000:])
        with opened("c1", PX.v4, 1) as asking:
            asking.settimeout(1)
            try:
                asking.connect((PX.v4, 3128))
            except OSError:
                return False
        return True

    @property
    def reconfigure(self) -> list[str]:
        return ["squid", "-k", "reconfigure", "-f", str(self.conf)]


def parents_open(folder: Path) -> None:
    """Squid gives up root: the way to its folder has to be passable."""
    run("chmod", "a+x", *(str(parent) for parent in (folder, *folder.parents) if parent != Path("/")))
