"""What lists may cost: bounds at five times the bar (50,000 entries in a CPU second, 2,000 answers 304 in one)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from edl_world import Clock, intent, made

from andon.contain.enforcers.edl import application
from spent import spent


def test_ten_thousand_entries_and_five_hundred_readers(tmp_path: Path) -> None:
    one = made(tmp_path, Clock())
    plans = [one.plan(intent(i, f"203.{i >> 16}.{i >> 8 & 255}.{i & 255}")) for i in range(1, 10_001)]
    with spent() as cost:
        one.apply(plans)
    assert cost.seconds < 5 * 10_000 / 50_000
    snapshot = one.snapshot("ip")
    assert snapshot is not None and snapshot.lines == 10_000
    endpoint = application(one)
    seen: list[int] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            seen.append(message["status"])

    async def ask() -> None:
        headers = [(b"if-none-match", snapshot.etag.encode())]
        for _ in range(500):
            scope = {"type": "http", "method": "GET", "path": "/ip.txt", "raw_path": b"/ip.txt", "query_string": b"",
                     "root_path": "", "scheme": "http", "headers": headers, "client": ("127.0.0.1", 1),
                     "server": ("x", 80), "http_version": "1.1"}  # fmt: skip
            await endpoint(scope, receive, send)

    with spent() as cost:
        asyncio.run(ask())
    assert seen == [304] * 500 and cost.seconds < 5 * 500 / 2_000
