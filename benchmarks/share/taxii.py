"""What serving, pulling and taking cost: TAXII objects and hub reports per CPU second.

    python benchmarks/share/taxii.py [--objects 50000] [--medallion PYTHON]

Servers run in a process of their own, whose CPU time is read from /proc; the asking side is a plain socket client, so
that its cost is not counted. ``--medallion``: a Python that has OASIS's reference server, as a baseline (its memory
backend, pages of 100, its own default). taxii2-client is the baseline for pulling.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from andon.share.hub import protocol as p
from andon.share.hub.members import member
from andon.share.hub.store import HubStore, Rules
from andon.share.outbox import Secret
from andon.share.outbox.webhook import sign
from andon.share.taxii.client import Account
from andon.share.taxii.objects import ObjectStore
from andon.share.taxii.pull import pull
from andon.share.taxii.wire import TAXII, stix

_SERVER = """
import sys
from pathlib import Path
import uvicorn
folder, port, what = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
if what == "taxii":
    from andon.share.taxii.server import application
    from andon.share.taxii.settings import settings_from
    made = application(folder, settings_from({"user": [{"name": "u", "password_file": str(folder / "pw")}]}))
else:
    from andon.share.hub.app import application
    from andon.share.hub.store import Rules
    made = application(folder, Rules(reports=10**9, sightings=10**12))
    import andon.share.hub.app as app
    app._RATE = 10**9
uvicorn.run(made, port=port, log_level="critical", access_log=False, lifespan="off")
"""
_BASIC = "Basic " + b64encode(b"u:pw").decode()
_TICK = os.sysconf("SC_CLK_TCK")


def cpu(pid: int) -> float:
    """User and system seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


@contextmanager
def server(command: list[str], port: int) -> Iterator[int]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            break
        except OSError:
            time.sleep(0.05)
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def made(number: int) -> dict[str, Any]:
    """An indicator of usual size (about 600 bytes)."""
    time_ = "2026-01-01T00:00:00.000Z"
    return {
        "type": "indicator", "spec_version": "2.1", "id": f"indicator--{uuid.uuid5(uuid.NAMESPACE_OID, str(number))}",
        "created": time_, "modified": time_, "name": f"Scanner {number}", "description": "It scanned. " * 10,
        "pattern": f"[ipv4-addr:value = '{IPv4Address(0x64000000 + number)}']", "pattern_type": "stix",
        "valid_from": time_, "indicator_types": ["anomalous-activity"], "confidence": 90,
        "object_marking_refs": ["marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"],
        "external_references": [{"source_name": "andon", "external_id": f"{number:024x}"}],
    }  # fmt: skip


def read_pages(port: int, path: str, limit: int, auth: str = _BASIC) -> int:
    """Objects of all pages, read by a client that looks at nothing but ``next``."""
    connection, found, token = http.client.HTTPConnection("127.0.0.1", port), 0, ""
    while True:
        connection.request(
            "GET", f"{path}?limit={limit}{token}", headers={"Accept": TAXII, "Authorization": auth}
        )
        body = json.loads(connection.getresponse().read())
        found += len(body.get("objects", ()))
        if not body.get("more"):
            return found
        token = f"&next={body['next']}"


def row(name: str, number: int, seconds: float, what: str) -> None:
    print(f"{name:<52}{number:>9,}{seconds:>9.2f}{number / max(seconds, 0.01):>14,.0f}  {what}", flush=True)


def taxii(folder: Path, objects: int, medallion: str) -> None:
    (folder / "pw").write_text("pw")
    items = [stix(made(n)) for n in range(objects)]
    store, begun = ObjectStore(folder), time.process_time()
    for at in range(0, objects, 100):
        store.add(items[at : at + 100], at)
    row("store, 100 objects a commit (fsync)", objects, time.process_time() - begun, "objects")
    store.close()
    port = free_port()
    with server([sys.executable, "-c", _SERVER, str(folder), str(port), "taxii"], port) as pid:
        client = http.client.HTTPConnection("127.0.0.1", port)
        client.request("GET", "/andon/collections/", headers={"Accept": TAXII, "Authorization": _BASIC})
        number = json.loads(client.getresponse().read())["collections"][0]["id"]
        base = f"/andon/collections/{number}"
        for limit in (1000, 100):
            before = cpu(pid)
            assert read_pages(port, f"{base}/objects/", limit) == objects
            row(f"server, pages of {limit:,}", objects, cpu(pid) - before, "objects")
        before = cpu(pid)
        assert read_pages(port, f"{base}/manifest/", 1000) == objects
        row("server, manifest, pages of 1,000", objects, cpu(pid) - before, "records")
        asked, before = 500, cpu(pid)
        for n in range(asked):
            client = http.client.HTTPConnection("127.0.0.1", port)
            where = f"{base}/objects/{made(n * 7)['id']}/"
            client.request("GET", where, headers={"Accept": TAXII, "Authorization": _BASIC})
            assert len(json.loads(client.getresponse().read())["objects"]) == 1
            client.close()
        row("server, one object by id, a connection each", asked, cpu(pid) - before, "requests")
        account = Account(f"http://127.0.0.1:{port}/", "u", Secret(folder / "pw"))
        out, begun = folder / "out.json", time.process_time()
        assert pull(account, "green", out).new == objects
        row("pull into a bundle file (checked, synced)", objects, time.process_time() - begun, "objects")
        begun = time.process_time()
        assert pull(account, "green", out).new == 0
        row("pull again: nothing new (reads the file)", objects, time.process_time() - begun, "objects held")
        from taxii2client.v21 import Collection, as_pages

        begun = time.process_time()
        theirs = Collection(f"http://127.0.0.1:{port}{base}/", user="u", password="pw")
        assert sum(len(page["objects"]) for page in as_pages(theirs.get_objects, per_request=1000)) == objects
        row(
            "taxii2-client, pages into memory, nothing checked",
            objects,
            time.process_time() - begun,
            "objects",
        )
    if medallion:
        baseline(folder, medallion, min(objects, 2000))


def baseline(folder: Path, python: str, objects: int) -> None:
    number, port = str(uuid.uuid4()), free_port()
    root = f"http://127.0.0.1:{port}/api1/"
    kept = {"id": number, "title": "c", "can_read": True, "can_write": True, "media_types": [],
            "objects": [made(n) for n in range(objects)],
            "manifest": [{"id": made(n)["id"], "date_added": f"2026-01-01T00:00:00.{n:06d}Z",
                          "version": made(n)["modified"], "media_type": "application/stix+json;version=2.1"}
                         for n in range(objects)]}  # fmt: skip
    about = {"title": "r", "versions": [TAXII], "max_content_length": 9_000_000}
    data = {"/discovery": {"title": "m", "default": root, "api_roots": [root]},
            "api1": {"information": about, "status": [], "collections": [kept]}}  # fmt: skip
    (folder / "medallion.json").write_text(json.dumps(data))
    backend = {"module": "medallion.backends.memory_backend", "module_class": "MemoryBackend",
               "filename": str(folder / "medallion.json")}  # fmt: skip
    settings = {"backend": backend, "users": {"u": "pw"}, "taxii": {"max_page_size": 1000}}
    (folder / "settings.json").write_text(json.dumps(settings))
    command = [python, "-m", "medallion.scripts.run", "--port", str(port), str(folder / "settings.json")]
    with server(command, port) as pid:
        before = cpu(pid)
        assert read_pages(port, f"/api1/collections/{number}/objects/", 1000) == objects
        row("medallion (memory), pages of 1,000", objects, cpu(pid) - before, "objects")


def hub(folder: Path) -> None:
    keys = folder / "keys"
    store = HubStore(folder, Rules())
    keys.mkdir()
    for name, prefixes in (("a", ["100.64.0.0/10"]), ("b", ["198.51.100.0/24"])):
        store.add_member(member(name, prefixes), 1)
        (keys / f"{name}.key").write_text("key")
    store.add_member(member("many", [f"101.{n // 250}.{n % 250}.0/24" for n in range(1000)]), 2)
    store.close()
    port, hour = free_port(), time.time_ns() // p.HOUR * p.HOUR - p.HOUR
    with server([sys.executable, "-c", _SERVER, str(folder), str(port), "hub"], port) as pid:
        connection = http.client.HTTPConnection("127.0.0.1", port)

        def post(body: bytes) -> None:
            said = p.signed_bytes("POST", "/v1/reports", body)
            mark = sign(b"key", said, int(time.time()))
            connection.request(
                "POST", "/v1/reports", body, {"X-Andon-Member": "b", "X-Andon-Signature": mark}
            )
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            answer.read()

        def sightings(number: int, first: int) -> bytes:
            # Half of them are somebody's.
            listed = [
                p.Sighting(str(IPv4Address((0x65000000 if n % 2 else 0x08000000) + (first + n) % 60_000)), "scan", hour,
                           5, (("tcp", 23, 5),))
                for n in range(number)
            ]  # fmt: skip
            return p.Report(f"{first:032x}", tuple(listed)).to_json().encode()

        for size, count in ((1, 1000), (100, 200), (1000, 30)):
            bodies = [sightings(size, 10_000_000 * size + n * size) for n in range(count)]
            before, walls = cpu(pid), []
            for body in bodies:
                begun = time.perf_counter()
                post(body)
                walls.append(1000 * (time.perf_counter() - begun))
            used = cpu(pid) - before
            walls.sort()
            row(f"hub, reports of {size:,}, stored before the answer", count, used, "reports")
            row("", count * size, used, "sightings")
            print(f"{'':<52}answer p50 {walls[count // 2]:.1f} ms, p95 {walls[int(count * 0.95)]:.1f} ms, "
                  f"max {walls[-1]:.1f} ms")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=50_000)
    parser.add_argument("--medallion", default="")
    given = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.2f} {os.getloadavg()[1]:.2f}\n")
    print(f"{'':<52}{'number':>9}{'CPU s':>9}{'per CPU s':>14}")
    parts: list[Callable[[Path], None]] = [lambda folder: taxii(folder, given.objects, given.medallion), hub]
    for part in parts:
        with tempfile.TemporaryDirectory() as folder:
            part(Path(folder))
    print(f"\nload {os.getloadavg()[0]:.2f} {os.getloadavg()[1]:.2f}")


if __name__ == "__main__":
    main()
