"""Name servers and the proxy: from the decision to a daemon that goes by it, one change at a time; large lists.

    python benchmarks/contain/rpz_squid.py [--tries 100] [--entries 20000]

Needs root, BIND, Unbound and Squid; runs in private namespaces. *Verified* is when ``apply`` and ``verify`` have
returned, the latter by the serial that resolver or proxy tell of the rules in force. Each try is a name of its own.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
TESTS = [ROOT / "tests" / name for name in ("lab", "contain_dns", "contain_squid")]
sys.path[:0] = [*map(str, TESTS), str(ROOT / "src")]

from parts.private import missing, privately  # noqa: E402

from andon.contain.enforcers import make_enforcer  # noqa: E402
from andon.records.intent import BLOCK, DOMAIN, Intent, Party  # noqa: E402


def blocked(number: int, name: str) -> Intent:
    return Intent(
        id=number, action=BLOCK, subject=Party(DOMAIN, name), target=None, ttl=3_600_000_000_000,
        reason="benchmark", requested_by="andon", created=time.time_ns(),
    )  # fmt: skip


def measured(made: Any, tries: int, entries: int) -> dict[str, Any]:
    seen: dict[str, Any] = {"load": [os.getloadavg()[0]]}
    times = []
    for number in range(1, tries + 1):
        plan = made.plan(blocked(number, f"n{number}.blocked.test"))
        start = time.perf_counter()
        receipt = made.apply([plan])[0]
        assert made.verify(receipt), made.health()
        times.append(1e3 * (time.perf_counter() - start))
    seen["one"] = times
    plans = [
        made.plan(blocked(number, f"m{number}.blocked.test"))
        for number in range(tries + 1, tries + 1 + entries)
    ]
    cpu, start = time.process_time(), time.perf_counter()
    receipts = made.apply(plans)
    seen["applied"] = time.perf_counter() - start
    assert made.verify(receipts[-1]), made.health()
    seen["many"] = time.perf_counter() - start
    seen["cpu"] = time.process_time() - cpu
    start = time.perf_counter()
    held = made.actual()
    seen["right"] = sum(held[one.intent] == one.digest for one in receipts)
    seen["actual"] = time.perf_counter() - start
    start = time.perf_counter()
    made.revoke_all()
    seen["kill"] = time.perf_counter() - start
    seen["load"].append(os.getloadavg()[0])
    made.close()
    return seen


def dns(given: dict[str, Any]) -> dict[str, Any]:
    from dns_servers import BIND, UNBOUND, Servers

    servers = Servers(Path(given["folder"]))
    port = {"bind": BIND, "unbound": UNBOUND}[given["server"]]
    made = make_enforcer(
        {"name": "dns", "kind": "rpz", "server": given["server"], "control": servers.control[given["server"]],
         "file": str(servers.zone), "probe": f"127.0.0.1:{port}", "settle": 0.0, "patience": 60.0}
    )  # fmt: skip
    return measured(made, given["tries"], given["entries"])


def proxy(given: dict[str, Any]) -> dict[str, Any]:
    from squid_proxy import PORT, Proxy

    started = Proxy(Path(given["folder"]))
    made = make_enforcer(
        {"name": "proxy", "kind": "squid", "folder": str(started.lists), "reconfigure": started.reconfigure,
         "probe": f"127.0.0.1:{PORT}", "settle": 0.0, "patience": 60.0}
    )  # fmt: skip
    return measured(made, given["tries"], given["entries"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tries", type=int, default=100)
    parser.add_argument("--entries", type=int, default=20_000)
    asked = parser.parse_args()
    lacks = missing("named", "rndc", "unbound", "unbound-control", "squid")
    if lacks:
        sys.exit(lacks)
    print(f"{'one change, verified; ms':26} {'tries':>5} {'p50':>8} {'p95':>8} {'max':>8}   load")
    found = {}
    for name in ("bind", "unbound", "squid"):
        with TemporaryDirectory(prefix="andon-bench-") as top:
            folder = Path(top) / "work"
            folder.mkdir()
            given = {"folder": str(folder), "server": name, "tries": asked.tries, "entries": asked.entries}
            work = "rpz_squid:proxy" if name == "squid" else "rpz_squid:dns"
            one = found[name] = privately(
                work, given, seconds=300, paths=(*TESTS, Path(__file__).resolve().parent)
            )
        p50, p95 = np.percentile(one["one"], [50, 95])
        load = f"{one['load'][0]:.2f} - {one['load'][1]:.2f}"
        print(f"{name:26} {len(one['one']):5} {p50:8.1f} {p95:8.1f} {max(one['one']):8.1f}   {load}")
    for name, one in found.items():
        print(
            f"{name}: {asked.entries:,} names in one call: applied {one['applied']:.2f} s,"
            f" verified {one['many']:.2f} s,"
            f" {one['cpu']:.2f} CPU s of Andon; read back {one['actual']:.2f} s, right {one['right']:,};"
            f" kill switch {one['kill']:.2f} s"
        )


if __name__ == "__main__":
    main()
