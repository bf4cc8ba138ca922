"""The site of the lab: who is where. A LAN on the switch, a gateway, an Internet with a C2 server, a dark prefix.

port  who   what                                             IPv4          IPv6
1     c1    clean client                                     10.10.0.11    2001:db8:10::11
2     c2    infected client                                  10.10.0.12    2001:db8:10::12
3     web   critical server                                  10.10.0.20    2001:db8:10::20
4     px    Squid                                            10.10.0.3     2001:db8:10::3
5     ns    resolver                                         10.10.0.4     2001:db8:10::4
6     gw    gateway, nftables                                10.10.0.1     2001:db8:10::1
7     cap   capture host: quarantine page                    10.10.0.9     2001:db8:10::9
8     cap   its second card, without an address: the mirror
-     c2srv behind the gateway: C2 with several addresses    203.0.113.10-13, 2001:db8:66::10-11
            and an honest site                               198.51.100.80, 2001:db8:80::80
-     dark  10.10.200.0/24, unused; the gateway sends it to cap's third card ``dark0``, which answers nothing
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from parts.remote import Far, Near
from parts.spaces import addressed, cabled, inside, made, routed, run, run_in
from parts.switch import Switch


@dataclass(frozen=True)
class Host:
    name: str
    port: int  # on the switch
    number: int  # last part of its addresses

    @property
    def v4(self) -> str:
        return f"10.10.0.{self.number}"

    @property
    def v6(self) -> str:
        return f"2001:db8:10::{self.number}"

    @property
    def mac(self) -> str:
        return f"02:00:00:00:00:{self.port:02x}"


C1, C2, WEB, PX, NS, GW, CAP = (
    Host("c1", 1, 11), Host("c2", 2, 12), Host("web", 3, 20), Host("px", 4, 3), Host("ns", 5, 4), Host("gw", 6, 1),
    Host("cap", 7, 9),
)  # fmt: skip
HOSTS: Final = (C1, C2, WEB, PX, NS, GW, CAP)
MIRROR_PORT: Final = 8
INSIDE: Final = ("10.10.0.0/16", "2001:db8:10::/48")
LAN: Final = "10.10.0.0/24"
DARK: Final = "10.10.200.0/24"
C2_V4: Final = tuple(f"203.0.113.{n}" for n in (10, 11, 12, 13))
C2_V6: Final = tuple(f"2001:db8:66::{n}" for n in (10, 11))
GOOD_V4, GOOD_V6 = "198.51.100.80", "2001:db8:80::80"
C2_NAME, GOOD_NAME = "cdn.bad.example", "news.good.example"
INTERFACE: Final = {host.name: f"v_{host.name}" for host in HOSTS}


class Lab:
    """The whole site; a context manager. ``near`` sends (c1, c2, web), ``far`` receives and answers, and knows when
    what was sent. The switch forwards like any (priority 0, NORMAL) unless ``learning`` is False."""

    def __init__(self, folder: Path, *, learning: bool = True, fail_mode: str = "secure") -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._stack = contextlib.ExitStack()
        self.switch = Switch(folder / "ovs", fail_mode)
        for name in (*(host.name for host in HOSTS), "c2srv"):
            made(name)
        for host in HOSTS:
            cabled(host.name, "e0", host.mac, "", INTERFACE[host.name])
            addressed(host.name, "e0", f"{host.v4}/24", f"{host.v6}/64")
        cabled("cap", "m0", "02:00:00:00:00:08", "", "v_mirror")
        with inside("cap"):
            Path("/proc/sys/net/ipv6/conf/m0/disable_ipv6").write_text("1")
            run("ip", "link", "set", "m0", "promisc", "on")
        self.switch.plug(*((INTERFACE[host.name], host.port) for host in HOSTS), ("v_mirror", MIRROR_PORT))
        # What is flooded for want of a known address is no copy of anybody's traffic.
        self.switch.no_flood("v_mirror")
        self._outside()
        # Nobody has to ask for anybody's hardware address: what is measured is the switch, not ARP.
        for host in HOSTS:
            lines = [
                f"neigh replace {address} lladdr {other.mac} dev e0 nud permanent"
                for other in HOSTS
                if other is not host
                for address in (other.v4, other.v6)
            ]
            run("ip", "-n", host.name, "-batch", "-", given="\n".join(lines) + "\n")
        if learning:
            self.switch.learning()
        self.far = self._stack.enter_context(Far())
        self.near = self._stack.enter_context(Near())

    def _outside(self) -> None:
        cabled("gw", "out", "02:00:00:00:01:01", "c2srv", "e0", "02:00:00:00:01:02")
        addressed("gw", "out", "203.0.113.1/24", "2001:db8:66::1/64")
        addressed(
            "c2srv", "e0", *(f"{one}/24" for one in C2_V4), *(f"{one}/64" for one in C2_V6),
            f"{GOOD_V4}/32", f"{GOOD_V6}/128",
        )  # fmt: skip
        cabled("gw", "dark", "02:00:00:00:02:01", "cap", "dark0", "02:00:00:00:02:02")
        addressed("gw", "dark", "10.10.254.1/30")
        addressed("cap", "dark0", "10.10.254.2/30")
        with inside("gw"):
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
            Path("/proc/sys/net/ipv6/conf/all/forwarding").write_text("1")
            Path("/proc/sys/net/ipv4/conf/all/send_redirects").write_text("0")
        routed("gw", f"{DARK} via 10.10.254.2", f"{GOOD_V4} via {C2_V4[0]}", f"{GOOD_V6} via {C2_V6[0]}")
        routed("c2srv", "default via 203.0.113.1", "default via 2001:db8:66::1")
        for host in HOSTS:
            if host is not GW:
                routed(host.name, f"default via {GW.v4}", f"default via {GW.v6}")
        # The telescope: what is sent to the dark prefix arrives and is answered by nobody.
        run_in(
            "cap", "nft", "-f", "-",
            given="table ip dark { chain in { type filter hook prerouting priority raw; iifname dark0 drop; }; }",
        )  # fmt: skip

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
