"""What polled lists cost: 50,000 entries rewritten, one more, a restart, and readers that ask again and again.

    python benchmarks/contain/edl.py [--entries 50000] [--asks 5000]

CPU seconds are of this process. Latency is of requests over one kept connection on the loopback; throughput of the
server is measured without a client's share (requests given to the ASGI application directly) and, over the loopback,
as CPU seconds of server and client together.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import os
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from andon.contain.enforcers.edl import application, enforcer
from andon.contain.enforcers.edl.aggregate import aggregated
from andon.observe.live.http_thread import serve
from andon.records.intent import Intent, Party

_SECOND = 1_000_000_000


def intents(entries: int, now: int) -> list[Intent]:
    """Addresses of 203.0.0.0/8 and beyond, spread so that little of them lies side by side."""
    made = []
    for number in range(1, entries + 1):
        value = (203 << 24) + number * 7 % (1 << 24)
        text = ".".join(str(value >> at & 255) for at in (24, 16, 8, 0))
        made.append(Intent(number, "block", Party("address", text), None, 3600 * _SECOND, "x", "bench", now))
    return made


class Row:
    def __init__(self) -> None:
        self.begun, self.wall = time.process_time(), time.perf_counter()

    def __call__(self, what: str, bar: str = "") -> float:
        cpu, wall = time.process_time() - self.begun, time.perf_counter() - self.wall
        print(f"{what:<62} {cpu:>9.3f} {wall:>9.3f}   {bar}")
        return cpu


async def _asked(made: Any, path: str, headers: list[tuple[bytes, bytes]], times: int) -> int:
    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
             "root_path": "", "scheme": "http", "headers": headers, "client": ("127.0.0.1", 1), "server": ("x", 80),
             "http_version": "1.1"}  # fmt: skip
    seen: list[int] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            seen.append(message["status"])

    for _ in range(times):
        await made(dict(scope), receive, send)
    assert len(set(seen)) == 1
    return seen[0]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--entries", type=int, default=50_000)
    parser.add_argument("--asks", type=int, default=5_000)
    given = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.2f}, {given.entries:,} entries, Python {sys.version.split()[0]}\n")
    print(f"{'':<62} {'CPU s':>9} {'wall s':>9}")
    now = time.time_ns()
    every = intents(given.entries + 1, now)
    with tempfile.TemporaryDirectory() as folder:
        one = enforcer("bench", {"folder": "edl", "limits": {"ip": given.entries + 1}}, Path(folder))
        one.actual(), one.actual()
        row = Row()
        plans = [one.plan(intent) for intent in every]
        row("plans")
        row = Row()
        one.apply(plans[:-1])
        row("apply: all entries into an empty list", "the bar: < 1 CPU s")
        row = Row()
        one.apply(plans[-1:])
        row("apply: one more")
        row = Row()
        one._lists.change((), [], now)
        one._lists.release()
        row("look at every file and write the journal anew")
        row = Row()
        assert len(one.actual()) == given.entries + 1
        row("actual")
        row = Row()
        for _ in range(100):
            one.tick(now)
        row("100 ticks with nothing to do")
        row = Row()
        one.revoke([1])
        row("revoke: one")
        row = Row()
        other = enforcer("bench", {"folder": "edl", "limits": {"ip": given.entries + 1}}, Path(folder))
        row("restart: read the journal, look at the files")
        assert not other.held_back
        row = Row()
        count = len(aggregated((key[:2] for key, _ in one._lists._order["ip"]), 32))
        row(f"aggregation alone ({given.entries:,} -> {count:,} prefixes)")
        _http(one, given.asks)
        row = Row()
        one.revoke_all()
        row("kill switch")
    print(f"\nload {os.getloadavg()[0]:.2f}")
    return 0


def _http(one: Any, asks: int) -> None:
    snapshot = one.snapshot("ip")
    made = application(one)
    row = Row()
    size = len(snapshot.packed)
    row(f"gzip of a version, once ({len(snapshot.body):,} -> {size:,} bytes)")
    row = Row()
    assert asyncio.run(_asked(made, "/ip.txt", [(b"if-none-match", snapshot.etag.encode())], asks)) == 304
    cpu = row(f"{asks:,} answers 304, ASGI")
    print(f"{'  = per CPU second':<62} {asks / cpu:>9,.0f} {'':>9}   the bar: > 2,000")
    row = Row()
    assert asyncio.run(_asked(made, "/ip.txt", [(b"accept-encoding", b"gzip")], asks // 5)) == 200
    cpu = row(f"{asks // 5:,} answers 200 (gzip), ASGI")
    print(f"{'  = per CPU second':<62} {asks // 5 / cpu:>9,.0f}")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server, thread = serve(made, listening, None, None, None, "bench")
        client = http.client.HTTPConnection("127.0.0.1", listening.getsockname()[1])
        took = []
        row = Row()
        for _ in range(asks):
            begun = time.perf_counter()
            client.request("GET", "/ip.txt", headers={"If-None-Match": snapshot.etag})
            answer = client.getresponse()
            answer.read()
            assert answer.status == 304
            took.append(1000 * (time.perf_counter() - begun))
        cpu = row(f"{asks:,} answers 304, loopback HTTP, server and client")
        client.close()
        server.should_exit = True
        thread.join(10)
    took.sort()
    print(f"{'  = per CPU second':<62} {asks / cpu:>9,.0f}")
    p95 = took[int(0.95 * len(took))]
    print(
        f"  latency ms: p50 {statistics.median(took):.2f}  p95 {p95:.2f}  max {took[-1]:.2f}  (n = {asks:,})"
    )


if __name__ == "__main__":
    raise SystemExit(main())
