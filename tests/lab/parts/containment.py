"""How the lab's site is told to the product: policy, places, enforcers, and the quarantine page on the capture host.

The switch is asked over its management socket, the gateway's nftables in its namespace; the resolver reads a zone and
the proxy a list that the product writes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from parts.services import Proxy, Resolver
from parts.site import C1, C2, CAP, GW, LAN, MIRROR_PORT, NS, PX, WEB, Host, Lab
from parts.spaces import run_in

KEY: Final = "6c61622d6c61622d6c61622d6c61622d6c61622d6c61622d6c61622d6c61622d\n"


def _both(*hosts: Host) -> str:
    return ", ".join(f'"{address}"' for host in hosts for address in (host.v4, host.v6))


def policy(quarantine: str = "24h", mirror: str = "1h", pair: bool = False, by: str = "br0, gateway") -> str:
    """Rules as in the built-in policy, with the times that a test can wait for. ``pair``: the infected client is to be
    cut off from the known C2 alone."""
    cut = "action: block-pair, without_target: quarantine" if pair else "action: quarantine"
    return f"""version: 1
rules:
  - name: infected
    because: the attacker is on the host, so the host is cut off
    when: {{level: [high, critical], stage: [foothold, spread, objective]}}
    then: {{{cut}, ttl: {quarantine}, mirror: true, enforcers: [{by}]}}
  - name: medium
    because: weak evidence is made stronger first
    when: {{level: [medium]}}
    then: {{action: mirror, ttl: {mirror}}}
protect:
  critical: [{_both(WEB)}]
  control: [{_both(CAP)}]
  gateways: [{_both(GW)}]
  resolvers: [{_both(NS)}]
  ports: {{br0: [{GW.port}]}}
  networks: ["{LAN}"]
"""


def places() -> str:
    """Who is plugged in where, as a switch's inventory would say it."""
    lines = ["key,switch,port,mac"]
    for host, name in ((C1, "ws-clean"), (C2, "ws-infected"), (WEB, "erp-web"), (PX, "proxy"), (NS, "ns")):
        lines.append(f"{name}.lab.example,br0,{host.port},{host.mac}")
    return "\n".join(lines) + "\n"


def openflow(lab: Lab, name: str = "br0") -> str:
    return f"""[[enforcer]]
name = "{name}"
kind = "openflow"
connect = "unix:{lab.switch.management}"
ovsdb = "unix:{lab.switch.folder}/db.sock"
bridge = "br0"
ports = {{ uplink = {GW.port}, capture = {MIRROR_PORT}, quarantine = {CAP.port}, proxy = {PX.port} }}
quarantine_mac = "{CAP.mac}"
proxy_mac = "{PX.mac}"
protect = [{_both(WEB)}]
"""


def nft(name: str = "gateway") -> str:
    return f"""[[enforcer]]
name = "{name}"
kind = "nft"
netns = "gw"
protect = [{_both(WEB)}]
segments = ["{LAN}", "2001:db8:10::/64"]
"""


def rpz(resolver: Resolver, name: str = "names") -> str:
    return f"""[[enforcer]]
name = "{name}"
kind = "rpz"
zone = "andon.rpz"
file = "{resolver.zone}"
server = "unbound"
control = ["unbound-control", "-c", "{resolver.conf}"]
"""


def squid(proxy: Proxy, name: str = "web-proxy") -> str:
    return f"""[[enforcer]]
name = "{name}"
kind = "squid"
folder = "{proxy.rules}"
reconfigure = {json.dumps(proxy.reconfigure)}
direct = true
probe = "{PX.v4}:3128"
"""


def edl(folder: Path, name: str = "perimeter", stale_after: int = 3) -> str:
    """Lists on port 8080 of the capture host, for one reader that is missed after some seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fw1-token").write_text("0123456789abcdef0123456789abcdef\n")
    (folder / "fw1-token").chmod(0o600)
    return f"""[[enforcer]]
name = "{name}"
kind = "edl"
folder = "edl"
stale_after = {stale_after}
[[enforcer.reader]]
name = "fw1"
token_file = "fw1-token"
[serve]
listen = "{CAP.v4}:8080"
"""


def quarantine_page() -> None:
    """What is steered to the capture host arrives with the address that it was meant for; its port 80 answers for all
    of them, and nothing is passed on."""
    run_in(
        "cap", "nft", "-f", "-",
        given="table inet page { chain pre { type nat hook prerouting priority dstnat; "
        "iifname e0 tcp dport 80 redirect to :80; }; }",
    )  # fmt: skip


def written(folder: Path, enforcers: str, mode: str = "auto", **rules: Any) -> str:
    """The files of containment under ``folder``, and the lines of the configuration that name them."""
    (folder / "policy.yaml").write_text(policy(**rules))
    (folder / "places.csv").write_text(places())
    key = folder / "chain.key"
    key.write_text(KEY)
    key.chmod(0o600)
    quarantine_page()
    return (
        f'[contain]\nmode = "{mode}"\npolicy = "policy.yaml"\nplaces = "places.csv"\nkey_file = "chain.key"\n'
        f'sinks = ["soc"]\n{enforcers}'
    )
