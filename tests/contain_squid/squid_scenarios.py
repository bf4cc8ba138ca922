"""What the tests of the squid enforcer do in a private place; each function gives back what it saw."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from squid_proxy import PORT, Proxy

from andon.contain.enforcers import make_enforcer
from andon.records.intent import Intent, Party


def made(proxy: Proxy, **more: Any) -> Any:
    return make_enforcer(
        {"name": "proxy", "kind": "squid", "folder": str(proxy.lists), "reconfigure": proxy.reconfigure,
         "probe": f"127.0.0.1:{PORT}", **more}
    )  # fmt: skip


def intent(
    number: int, action: str, subject: Party, target: Party | None = None, ttl: float = 600, **more: Any
) -> Intent:
    more.setdefault("created", time.time_ns())
    return Intent(
        id=number, action=action, subject=subject, target=target, ttl=round(ttl * 1e9), reason="test",
        requested_by="test", **more,
    )  # fmt: skip


def domain(name: str) -> Party:
    return Party("domain", name)


def lists(given: dict[str, Any]) -> dict[str, Any]:
    """Every kind of list, as a real proxy understands it."""
    proxy = Proxy(Path(given["folder"]))
    squid = made(proxy, check=proxy.check, quarantine_page="http://good.example.test/quarantine", settle=0.1)

    def asked(*names: str, source: str = "127.0.0.1") -> list[int]:
        return [proxy.asked(f"http://{one}", source) for one in names]

    seen: dict[str, Any] = {"before": asked("evil.example.test/", "good.example.test/")}
    began = time.perf_counter()
    receipts = list(squid.apply([squid.plan(intent(1, "block", domain("evil.example.test")))]))
    seen["verified"] = squid.verify(receipts[0])
    seen["seconds"] = time.perf_counter() - began
    seen["blocked"] = asked(
        "evil.example.test/",
        "a.evil.example.test/x",
        "EVIL.example.test/",
        "same.example.test/",
        "good.example.test/",
    )
    receipts += squid.apply(
        [
            # A name within one that is listed: Squid would end itself over it.
            squid.plan(intent(2, "block", domain("a.evil.example.test"))),
            squid.plan(intent(3, "block", Party("url", "http://other.example.test/a.b?c=(d)"))),
            squid.plan(intent(4, "quarantine", Party("host", "ws-2", ("127.0.0.2",)))),
            squid.plan(
                intent(5, "block-pair", Party("host", "ws-3", ("127.0.0.3",)), domain("other.example.test"))
            ),
        ]
    )
    seen["all verified"] = all(squid.verify(one) for one in receipts)
    seen["url"] = asked(
        "other.example.test/a.b?c=(d)", "other.example.test:80/a.b?c=(d)", "other.example.test/axb?c=(d)",
        "other.example.test/a.b", "good.example.test/?u=http://other.example.test/a.b?c=(d)",
    )  # fmt: skip
    seen["client"] = asked("good.example.test/", source="127.0.0.2")
    seen["page"] = "Location: http://good.example.test/quarantine" in proxy.head(
        "http://other.example.test/", "127.0.0.2"
    )
    seen["pair"] = asked("other.example.test/", "good.example.test/", source="127.0.0.3")
    seen["clean"] = asked("other.example.test/", "good.example.test/", "same.example.test/")
    squid.apply(
        [
            squid.plan(intent(6, "block", Party("prefix", "127.0.0.80/31"))),
            squid.plan(intent(7, "block", Party("address", "127.0.0.81"))),
            squid.plan(intent(8, "allow", domain("good.example.test"))),
        ]
    )
    seen["actual"] = sorted(squid.actual())
    seen["health"] = [squid.health().state, squid.health().statement]
    seen["addresses"] = asked("same.example.test/", "good.example.test/", "other.example.test/")
    squid.revoke([1])
    squid.actual()
    squid.health()
    seen["the narrower is left"] = asked("a.evil.example.test/")
    squid.revoke_all()
    seen["cleared"] = [squid.health().state, squid.actual()]
    seen["after"] = asked("evil.example.test/", "same.example.test/", "other.example.test/a.b?c=(d)")
    seen["alive"] = proxy.process.poll() is None
    squid.close()
    proxy.stop()
    return seen


def batches(given: dict[str, Any]) -> dict[str, Any]:
    """A hundred changes; expiry; a proxy that is away; changes by hand."""
    proxy = Proxy(Path(given["folder"]))
    squid = made(proxy, settle=1.0)
    before = proxy.reconfigured
    began = time.perf_counter()
    for number in range(1, 101):
        squid.apply([squid.plan(intent(number, "block", domain(f"n{number}.example.test")))])
    calls = time.perf_counter() - began
    there = len(squid.actual())
    loaded = squid.health().state
    seen: dict[str, Any] = {
        "there": there, "loaded": loaded, "calls": calls, "reconfigured": proxy.reconfigured - before,
    }  # fmt: skip
    squid.revoke(list(range(1, 101)))
    short = squid.plan(intent(200, "block", domain("evil.example.test"), ttl=8))
    squid.apply([short])
    squid.actual()
    squid.health()
    seen["short"] = proxy.asked("http://evil.example.test/")
    ended: list[int] = []
    end = time.monotonic() + 60
    while time.monotonic() < end and proxy.asked("http://evil.example.test/") == 403:
        ended += squid.tick(time.time_ns())
        time.sleep(0.05)
    seen["ended"] = [ended, proxy.asked("http://evil.example.test/")]
    plan = squid.plan(intent(300, "block", domain("evil.example.test")))
    receipt = squid.apply([plan])[0]
    squid.actual()
    seen["hands"] = []
    rules = proxy.lists / "andon.conf"
    for spoil in (
        lambda: (proxy.lists / "domains").write_text(
            "# Andon, list of the proxy. Written by the enforcer; changes by hand are undone.\n"
        ),
        lambda: (proxy.lists / "domains").write_text(
            (proxy.lists / "domains").read_text().replace("evil", "live")
        ),
        lambda: rules.write_text(
            rules.read_text().replace("http_access deny andon_domains", "http_access deny andon_urls")
        ),
        (proxy.lists / "urls").unlink,
        (proxy.lists / "domains").unlink,
    ):
        spoil()
        there = squid.actual().get(300) == receipt.digest
        epoch = squid.health().epoch
        squid.apply([plan])
        seen["hands"].append([there, epoch, squid.actual() == {300: receipt.digest}, squid.verify(receipt)])
    (proxy.lists / "urls").write_text((proxy.lists / "urls").read_text() + "by-hand\n")
    seen["foreign"] = [squid.health().state, squid.actual() == {300: receipt.digest}]
    proxy.process.kill()
    proxy.process.wait()
    time.sleep(1.1)
    try:
        squid.apply([squid.plan(intent(301, "block", domain("same.example.test")))])
        seen["away"] = "nothing"
    except Exception as error:
        seen["away"] = f"{type(error).__name__}: {error}"[:120]
    seen["down"] = squid.health().state
    proxy.start()
    squid.apply([squid.plan(intent(301, "block", domain("same.example.test")))])
    seen["back"] = [sorted(squid.actual()), squid.health().state, proxy.asked("http://same.example.test/")]
    later = made(proxy)
    seen["another"] = sorted(later.actual())
    later.close()
    squid.close()
    proxy.stop()
    return seen
