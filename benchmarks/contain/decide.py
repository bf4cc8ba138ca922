"""Under ``andon run``: a case is committed -> what it wants is enforced; its parts. And what handing over costs.

    python benchmarks/contain/decide.py [--cases 120] [--held 300] [--busy] [--hand-over 5 1] [--costs]

The containment thread of the service (``run.live.contain``) with a casebook on disk, the intent log on disk and the
``dryrun`` enforcer, which takes no time itself: all that is measured is Andon's own. Each case is about another host
and has two independent grounds; ``--held``: how many are in force before; ``--busy``: another thread computes in Python
without pause; ``--hand-over``: after how many ms the interpreter is handed over (``sys.setswitchinterval``), in turn,
case by case. ``--costs``: CPU and wall seconds of two threads of pure Python (JSON and dictionaries) and of two
threads of numba and Arrow (domains of names), while a third is woken every 2 ms as containment's are.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "casebook"), str(ROOT / "tests"), str(ROOT / "src")]

from triage_samples import case, episode_row, episodes  # noqa: E402

from andon.contain import controller as controllers  # noqa: E402
from andon.contain.controller.judging import Bench  # noqa: E402
from andon.records.asset import ASSET  # noqa: E402
from andon.records.contract import Site  # noqa: E402
from andon.records.domains import registered_domains  # noqa: E402
from andon.run.live import contain as live  # noqa: E402
from andon.run.live.config import load  # noqa: E402
from andon.run.live.trouble import Troubles  # noqa: E402
from andon.store.casebook import Casebook  # noqa: E402
from andon.store.intents import IntentLog  # noqa: E402

CONFIG = """
inside = ["10.0.0.0/8"]
[[source]]
name = "caps"
kind = "folder"
path = "caps"
[store]
path = "store"
[contain]
mode = "auto"
policy = "policy.yaml"
sinks = ["soc"]
[[sink]]
name = "soc"
kind = "file"
path = "soc.ndjson"
[[enforcer]]
name = "rehearsal"
kind = "dryrun"
"""
HOSTS = 6_000


class Clocked:
    """Seconds of each part, by the case that was being looked at; from the containment thread alone."""

    def __init__(self) -> None:
        self.now: dict[str, float] = defaultdict(float)
        self.at: dict[str, float] = {}

    def of(self, owner: Any, name: str, part: str) -> None:
        original = getattr(owner, name)

        @functools.wraps(original)
        def timed(*given: Any, **named: Any) -> Any:
            if threading.current_thread().name != "containment":
                return original(*given, **named)
            start = time.perf_counter()
            self.at.setdefault(part, start)
            try:
                return original(*given, **named)
            finally:
                self.now[part] += time.perf_counter() - start

        setattr(owner, name, timed)


def address(number: int) -> str:
    return f"10.0.{number >> 8}.{number & 255}"


def assets() -> pa.Table:
    empty = dict.fromkeys(("mac", "vendor", "product", "version", "os", "cpe", "owner", "contact"), "")
    rows = [
        {
            "asset": str(n), "first": (10 << 24) + n, "last": (10 << 24) + n, "address": address(n), "valid_from": None,
            "valid_to": None, "basis": "list", "hostname": f"pc{n}", "device": "Desktop", "services": [], "source": "b",
        }
        | empty
        for n in range(1, HOSTS + 1)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, ASSET)


def made_folder(path: Path) -> Path:
    path.mkdir()
    return path


def made(folder: Path, book: Casebook) -> live.Containment:
    text = (ROOT / "src/andon/contain/policy/default.yaml").read_text()
    text = text.replace("automatic_per_minute: 10", "automatic_per_minute: 1000")
    (folder / "policy.yaml").write_text(text.replace("share: 2 %", "share: 50 %"))
    (folder / "andon.toml").write_text(CONFIG)
    config = load(folder / "andon.toml")
    site = Site(inside=config.inside, assets=assets())
    whole = live.containment(
        config, folder / "andon.toml", site, book, time.time_ns, lambda *_: None, Troubles()
    )
    assert whole is not None
    return whole


def written(book: Casebook, number: int, items: int) -> None:
    """A case about host ``number``, committed when this returns."""
    now = time.time_ns()
    ids = [f"{number * 1000 + n:024x}" for n in range(items)]
    rows = [
        episode_row(number, id=id, host=f"pc{number}", address=address(number), first=now - 10**10, last=now - n,
                    product=("suricata", "wazuh")[n % 2])
        for n, id in enumerate(ids)
    ]  # fmt: skip
    book.episodes.put(episodes(*rows))
    book.cases.create(
        case(
            number, tier="act", level="high", entities=(("device", f"pc{number}"), ("ipv4-addr", address(number))),
            first_seen=now - 60 * 10**9, last_seen=now - 10**9, opened=now, updated=now,
            items=tuple(("episode", id) for id in ids),
            judgement={"threat": {"level": "high", "stage": "objective"}, "attacker": {"classes": []}},
        ),
        actor="casework",
    )  # fmt: skip


def path(given: argparse.Namespace) -> None:
    clocked = Clocked()
    clocked.of(live.Containment, "_look", "look")
    clocked.of(live, "material_of", "items of the case")
    clocked.of(controllers.Controller, "consider", "consider")
    clocked.of(Bench, "outcomes", "plan and guard")
    clocked.of(IntentLog, "append", "intent log")
    clocked.of(os, "fdatasync", "fsync of it")
    clocked.of(live.Teller, "once", "teller")
    clocked.of(controllers.Controller, "step", "step")
    with TemporaryDirectory() as name, Casebook(made_folder(Path(name) / "store")) as book:
        book.migrate()
        whole = made(Path(name), book)
        applied: dict[str, float] = {}
        arrived = threading.Condition()
        enforcer: Any = whole.made.enforcers["rehearsal"]
        apply = enforcer.apply

        def enforced(plans: Sequence[Any]) -> Any:
            receipts = apply(plans)
            with arrived:
                for plan in plans:
                    if plan.intent.action == "quarantine":
                        applied[plan.intent.subject.value] = time.perf_counter()
                arrived.notify_all()
            return receipts

        enforcer.apply = enforced
        thread = threading.Thread(target=whole.run, name="containment")
        thread.start()
        idle = threading.Event()
        if given.busy:
            threading.Thread(target=spin, args=(idle,), daemon=True).start()
        rows: dict[float, list[dict[str, float]]] = {ms: [] for ms in given.hand_over}
        for number in range(1, given.held + given.cases * len(rows) + 1):
            ms = given.hand_over[number % len(rows)]
            sys.setswitchinterval(ms / 1e3)
            host = f"pc{number}"
            written(book, number, given.items)
            clocked.now.clear()
            clocked.at.clear()
            start = time.perf_counter()
            whole.bell.set()
            with arrived:
                assert arrived.wait_for(lambda host=host: host in applied, 10), f"{host} was not enforced"
            end = applied[host]
            if number > given.held:
                parts = {**clocked.now, "bell -> looked at": clocked.at["look"] - start}
                parts["consider -> enforced"] = end - (
                    clocked.at["consider"] + clocked.now.get("consider", 0.0)
                )
                rows[ms].append({"committed -> enforced": end - start, **parts})
            time.sleep(0.02 if number > given.held else 0.0)  # what comes after has its own turn
        idle.set()
        whole.stopping.set()
        thread.join()
    for ms, found in rows.items():
        print(
            f"handed over after {ms:g} ms, {given.held} to {given.held + len(found) * len(rows)} in force, "
            f"n = {len(found)}, load {os.getloadavg()[0]:.1f}{', busy' if given.busy else ''}"
        )
        print(f"{'ms':28s}      p50      p95      max")
        for part in sorted({part for row in found for part in row}, key=_order):
            values = [1e3 * row.get(part, 0.0) for row in found]
            print(
                f"{part:28s} "
                + " ".join(f"{one:8.2f}" for one in (*np.percentile(values, [50, 95]), max(values)))
            )


def _order(part: str) -> int:
    whole = ("committed -> enforced", "bell -> looked at", "items of the case", "consider", "plan and guard",
             "intent log", "fsync of it", "consider -> enforced", "look", "teller", "step")  # fmt: skip
    return whole.index(part)


def spin(idle: threading.Event) -> None:
    while not idle.is_set():
        sum(range(1000))


def in_python(count: int) -> None:
    text = json.dumps({"user": "alice", "ports": list(range(20)), "names": {"a": 1, "b": [1, 2, 3]}})
    seen: dict[str, int] = {}
    for n in range(count):
        made = json.loads(text)
        made["ports"].sort(key=lambda port: -port)
        seen[f"{made['user']}{n % 997}"] = seen.get(f"{n}", 0) + len(made["names"])


def in_numba(names: pa.Array, count: int) -> None:
    for _ in range(count):
        registered_domains(names)


def costs(given: argparse.Namespace) -> None:
    names = pa.array([f"a{n}.b{n % 7}.c{n % 977}.example.co.uk" for n in range(100_000)])
    in_numba(names, 1)
    loads: dict[str, Callable[[], None]] = {
        "two threads of Python": lambda: in_python(150_000),
        "two threads of numba": lambda: in_numba(names, 60),
    }
    print(
        f"\n{'seconds, fastest of three':28s} handed over after     CPU    wall   load {os.getloadavg()[0]:.1f}"
    )
    found: dict[tuple[str, float], list[tuple[float, float]]] = defaultdict(list)
    for _ in range(3):
        for name, work in loads.items():
            for ms in given.hand_over:
                sys.setswitchinterval(ms / 1e3)
                idle = threading.Event()
                woken = threading.Thread(
                    target=lambda idle=idle: [None for _ in iter(lambda: idle.wait(0.002), True)]
                )
                woken.start()
                cpu, wall = time.process_time(), time.perf_counter()
                threads = [threading.Thread(target=work) for _ in range(2)]
                for one in threads:
                    one.start()
                for one in threads:
                    one.join()
                found[name, ms].append((time.process_time() - cpu, time.perf_counter() - wall))
                idle.set()
                woken.join()
    for (name, ms), times in found.items():
        print(
            f"{name:28s} {ms:14g} ms {min(one for one, _ in times):7.2f} {min(one for _, one in times):7.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=120)
    parser.add_argument("--held", type=int, default=0, help="in force before")
    parser.add_argument("--items", type=int, default=2, help="episodes of a case")
    parser.add_argument(
        "--hand-over", type=float, nargs="+", default=[1e3 * sys.getswitchinterval()], help="ms"
    )
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--costs", action="store_true")
    given = parser.parse_args()
    if given.cases:
        path(given)
    if given.costs:
        costs(given)


if __name__ == "__main__":
    main()
