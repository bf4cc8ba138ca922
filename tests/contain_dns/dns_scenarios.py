"""What the tests of the rpz enforcer do in a private place; each function gives back what it saw."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from dns_servers import BIND, UNBOUND, Servers, asked

from andon.contain.enforcers import make_enforcer
from andon.records.intent import Intent, Party

PORTS = {"bind": BIND, "unbound": UNBOUND}


def made(servers: Servers, server: str, **more: Any) -> Any:
    return make_enforcer(
        {"name": "dns", "kind": "rpz", "server": server, "control": servers.control[server],
         "file": str(servers.zone), "probe": f"127.0.0.1:{PORTS[server]}", **more}
    )  # fmt: skip


def intent(number: int, action: str, subject: Party, ttl: float = 600, **more: Any) -> Intent:
    more.setdefault("created", time.time_ns())
    return Intent(
        id=number, action=action, subject=subject, target=more.pop("target", None), ttl=round(ttl * 1e9),
        reason="test", requested_by="test", **more,
    )  # fmt: skip


def domain(name: str) -> Party:
    return Party("domain", name)


def policies(given: dict[str, Any]) -> dict[str, Any]:
    """Every trigger and every policy, as real servers understand them."""
    servers = Servers(Path(given["folder"]))
    server = given["server"]
    port = PORTS[server]
    dns = made(servers, server, walled_garden=["192.0.2.80", "2001:db8::80"])

    def ask(name: str, kind: str = "A", source: str = "127.0.0.1") -> str:
        return asked(port, f"{name}.example.test", kind, source)

    seen: dict[str, Any] = {"before": [ask("evil"), ask("a.evil"), ask("good"), ask("six", "AAAA")]}
    began = time.perf_counter()
    receipts = list(dns.apply([dns.plan(intent(1, "block", domain("Evil.Example.Test.")))]))
    seen["verified"] = dns.verify(receipts[0])
    seen["seconds"] = time.perf_counter() - began
    seen["blocked"] = [ask("evil"), ask("a.evil"), ask("evil", "AAAA"), ask("good"), ask("other")]
    receipts += dns.apply(
        [
            dns.plan(intent(2, "allow", domain("fine.evil.example.test"))),
            dns.plan(intent(3, "sinkhole", domain("bücher.example.test"))),
            dns.plan(intent(4, "block", Party("prefix", "203.0.113.0/29"))),
            dns.plan(intent(5, "block", Party("address", "2001:db8:f::7"))),
        ]
    )
    seen["all verified"] = all(dns.verify(one) for one in receipts)
    seen["others"] = [
        ask("fine.evil"), ask("a.evil"), ask("xn--bcher-kva"), ask("xn--bcher-kva", "AAAA"), ask("other"),
        ask("near"), ask("six", "AAAA"), ask("good"),
    ]  # fmt: skip
    seen["actual"] = dns.actual() == {one.intent: one.digest for one in receipts}
    dns.apply([dns.plan(intent(6, "quarantine", Party("host", "ws-2", ("127.0.0.2",))))])
    dns.actual()
    seen["client"] = [ask("good", source="127.0.0.2"), ask("good", "AAAA", source="127.0.0.2"), ask("good")]
    seen["health"] = [dns.health().state, dns.health().statement]
    # Two intents for one name: the one that lets pass decides, and when it has gone the other one does.
    dns.apply([dns.plan(intent(7, "allow", domain("evil.example.test")))])
    dns.actual()
    seen["allowed over blocked"] = [ask("near"), "NXDOMAIN" in ask("evil"), sorted(dns.actual())]
    dns.revoke([7])
    dns.actual()
    seen["blocked again"] = ask("evil")
    dns.revoke_all()
    seen["cleared"] = [ask("evil"), ask("xn--bcher-kva"), ask("good", source="127.0.0.2"), dns.actual()]
    dns.close()
    servers.stop()
    return seen


def expiry(given: dict[str, Any]) -> dict[str, Any]:
    servers = Servers(Path(given["folder"]))
    server = given["server"]
    port = PORTS[server]
    dns = made(servers, server, settle=0.1)
    dns.apply([dns.plan(intent(1, "block", domain("evil.example.test"), ttl=8))])
    dns.apply([dns.plan(intent(2, "block", domain("other.example.test")))])
    before = [sorted(dns.actual()), asked(port, "evil.example.test")]
    ended: list[int] = []
    end = time.monotonic() + 60
    while time.monotonic() < end and asked(port, "evil.example.test") == "NXDOMAIN":
        ended += dns.tick(time.time_ns())
        time.sleep(0.05)
    left = [asked(port, "evil.example.test"), asked(port, "other.example.test"), sorted(dns.actual())]
    # A server that is away is told when it is back.
    (servers.bind if server == "bind" else servers.unbound).kill()
    (servers.bind if server == "bind" else servers.unbound).wait()
    time.sleep(0.2)
    try:
        dns.apply([dns.plan(intent(3, "block", domain("near.example.test")))])
        said = "nothing"
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
    down = [dns.health().state, _refused(dns)]
    if server == "bind":
        servers.start_bind()
        dns.apply([dns.plan(intent(3, "block", domain("near.example.test")))])
        held = sorted(dns.actual())  # it looks whether the server has them
        back = [asked(port, "near.example.test"), dns.health().state, held]
    else:
        back = []
    dns.close()
    return {"before": before, "ended": ended, "left": left, "said": said, "down": down, "back": back}


def _refused(dns: Any) -> str:
    """What ``actual`` says while the daemon was not told."""
    try:
        return str(dns.actual())
    except Exception as error:
        return type(error).__name__
