"""A receiver of the webhook enforcer as anybody could write one: a real HTTP server that checks signatures, acts once
for each key, and keeps what it holds. ``fault`` makes it lie, hang, fail or babble."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from andon.share.outbox import verify as signature_is_right


class Receiver:
    """``held``: id -> digest. ``done``: answers by idempotency key. ``fault``: (operation -> what goes wrong)."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.held: dict[str, str] = {}
        self.done: dict[str, bytes] = {}
        self.seen: list[tuple[str, dict[str, Any], str]] = []
        self.acted = 0
        self.fault: dict[str, str] = {}
        self.state: dict[str, Any] = {"state": "ok", "statement": "", "epoch": 1}
        self.url = ""

    def act(self, operation: str, asked: dict[str, Any]) -> dict[str, Any]:
        self.acted += 1
        if operation == "apply":
            for one in asked["intents"]:
                self.held[one["intent"]["id"]] = one["digest"]
            return {
                "receipts": [{"intent": o["intent"]["id"], "digest": o["digest"]} for o in asked["intents"]]
            }
        if operation == "revoke":
            wanted = list(self.held) if asked.get("all") else asked["intents"]
            return {"revoked": sum(self.held.pop(one, None) is not None for one in wanted)}
        if operation == "verify":
            return {"held": self.held.get(asked["intent"]) == asked["digest"]}
        if operation == "actual":
            return {"intents": self.held}
        return self.state


class _Handler(BaseHTTPRequestHandler):
    outer: Receiver

    def do_POST(self) -> None:
        outer, operation = self.outer, self.path.rsplit("/", 1)[-1]
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not signature_is_right(outer.key, self.headers["X-Andon-Signature"], body, int(time.time())):
            self._say(401, b"signature")
            return
        asked = json.loads(body)
        key = self.headers["Idempotency-Key"]
        outer.seen.append((operation, asked, key))
        fault = outer.fault.get(operation, "")
        if fault.startswith("status "):
            self._say(int(fault[7:]), b"no, and my key is " + outer.key)
        elif fault == "redirect":
            self.send_response(307)
            self.send_header("Location", "http://127.0.0.1:9/")
            self.end_headers()
        elif fault == "hang":
            time.sleep(1.5)
        elif fault == "drip":
            self.send_response(200)
            self.end_headers()
            for _ in range(20):
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(0.1)
        elif fault == "huge":
            self._say(200, b'{"held": true, "x": "' + b"a" * (2 << 20) + b'"}')
        elif fault == "deep":
            self._say(200, b"[" * 200_000)
        elif fault == "cut":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"held": true')
            self.wfile.flush()
            self.connection.close()
        elif fault == "lost answer":  # it acts, and then the line goes dead
            outer.done.setdefault(key, json.dumps(outer.act(operation, asked)).encode())
            self.connection.close()
        elif fault:
            self._say(200, fault.encode())
        else:
            if key not in outer.done:
                outer.done[key] = json.dumps(outer.act(operation, asked)).encode()
            self._say(200, outer.done[key])

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def receiving(key: bytes) -> Iterator[Receiver]:
    """A receiver that runs."""
    outer = Receiver(key)
    handler = type("Handler", (_Handler,), {"outer": outer})

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            return

    server = Server(("127.0.0.1", 0), handler)
    outer.url = f"http://127.0.0.1:{server.server_address[1]}/andon"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield outer
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
