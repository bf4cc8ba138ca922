"""The contract of enforcers, kept by every one of ours that needs no root and by the documented example; and broken."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from enforce_receiver import receiving

from andon.contain.check import ContractBroken, check_enforcer
from andon.contain.contract import Enforcer, Health, Plan, Receipt
from andon.contain.enforcers import make_enforcer
from andon.records.intent import Intent, Party

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "text_file_enforcer.py"
SECOND = 1_000_000_000
# Seconds, of an enforcer that is right on a machine that is busy: how long a call takes says nothing there.
BUSY = {"seconds": 60.0, "prompt": 60.0}


def intents(*parties: Party, action: str = "block") -> list[Intent]:
    now = time.time_ns()
    return [
        Intent(7 + n, action, party, None, 600 * SECOND, "test", "test", now)
        for n, party in enumerate(parties)
    ]


ADDRESSES = intents(
    Party("address", "203.0.113.7"), Party("address", "2001:db8::7"), Party("address", "203.0.113.8")
)
NAMES = intents(Party("domain", "evil.example"), Party("domain", "b.example"))
HOSTS = intents(Party("host", "pc1", ("192.0.2.1",)), Party("host", "pc2", ("192.0.2.2", "2001:db8::2")))
PUBLIC = intents(
    Party("address", "45.33.32.156"), Party("address", "45.33.32.157"), Party("domain", "evil.com")
)


def text_file(path: Path) -> Enforcer:
    spec = importlib.util.spec_from_file_location("text_file_enforcer", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: Enforcer = module.enforcer("list", {"path": path.name}, path.parent)
    return made


@pytest.mark.parametrize(
    ("settings", "held"),
    [
        ({"kind": "dryrun"}, ADDRESSES),
        ({"kind": "edl", "folder": "edl"}, PUBLIC),
        ({"kind": "edl", "folder": "edl"}, HOSTS),
        ({"kind": "rpz", "zone": "andon.rpz", "file": "zone"}, NAMES),
        ({"kind": "squid", "folder": "squid", "reconfigure": ["true"], "settle": 0.1}, ADDRESSES),
        ({"kind": "squid", "folder": "squid", "reconfigure": ["true"], "settle": 0.1}, NAMES),
    ],
    ids=lambda one: one["kind"] if isinstance(one, dict) else one[0].subject.kind,
)
def test_every_enforcer_without_a_machine_behind_it_keeps_the_contract(
    tmp_path: Path, settings: dict[str, Any], held: list[Intent]
) -> None:
    (tmp_path / "squid").mkdir()

    def make() -> Enforcer:
        return make_enforcer({"name": "tried", **settings}, tmp_path)

    done = check_enforcer(make, held, remembers=settings["kind"] != "dryrun", **BUSY)
    assert len(done) == (12 if settings["kind"] == "dryrun" else 13)


def test_the_webhook_keeps_it_with_an_honest_receiver(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k" * 40)
    with receiving(b"k" * 40) as receiver:
        settings = {"name": "soar", "kind": "webhook", "url": receiver.url, "key_file": "key"}
        check_enforcer(lambda: make_enforcer(settings, tmp_path), [*ADDRESSES, HOSTS[0].with_(id=99)], **BUSY)
        assert receiver.held == {}


def test_the_documented_example_keeps_it(tmp_path: Path) -> None:
    check_enforcer(lambda: text_file(tmp_path / "blocked"), [*ADDRESSES, HOSTS[1].with_(id=99)], **BUSY)
    assert (tmp_path / "blocked").read_text() == ""


def test_the_page_about_it_shows_the_code_that_is_tested_and_its_check_runs_as_it_stands(
    tmp_path: Path,
) -> None:
    page = (ROOT / "docs" / "write-your-own-enforcer.md").read_text()
    *shown, check = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(shown) == 3 and all(part in EXAMPLE.read_text() for part in shown)
    env = {**os.environ, "PYTHONPATH": str(EXAMPLE.parent)}
    said = subprocess.run(
        [sys.executable, "-c", check], cwd=tmp_path, env=env, check=True, capture_output=True
    )
    assert said.stdout.count(b"\n") == 13


class Wrong:
    """The example with one thing wrong."""

    def __init__(self, inner: Any, **wrong: Callable[..., Any]) -> None:
        self._inner, self._wrong = inner, wrong

    def __getattr__(self, name: str) -> Any:
        wrong = self._wrong.get(name)
        inner = getattr(self._inner, name)
        return inner if wrong is None else lambda *given: wrong(inner, *given)


def other(plans: Sequence[Plan]) -> list[Plan]:
    more = "198.51.100.1  # 0000000000000001 1"
    return [Plan(p.intent, p.enforcer, p.commands, p.inverse, native=(*p.native, more)) for p in plans]


COUNT = iter(range(1_000_000))


def unclear(intent: Intent) -> Plan:
    return Plan(intent, "list", (f"line {next(COUNT)}",), ("undo",))


def late(seconds: float) -> list[int]:
    time.sleep(seconds)
    return []


def raising(*_: object) -> Any:
    raise OSError("no such host")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"plan": lambda inner, intent: unclear(intent)}, "not pure"),
        ({"plan": lambda inner, intent: Plan(intent, "list", ("x",), ())}, "undone"),
        ({"plan": lambda inner, intent: Plan(intent, "list", ("x",), ("y",), open_paths=("wifi",))}, "open_paths"),
        ({"plan": lambda inner, intent: inner(intent) if intent.action != "allow" else raising()}, "NotExpressible"),
        ({"apply": lambda inner, plans: list(inner(plans))[::-1]}, "in their order"),
        ({"apply": lambda inner, plans: inner(other(plans))}, "actual has 0000000000000001"),
        ({"apply": lambda inner, plans: [Receipt(p.intent.id, "list", "d", 0.0) for p in plans]}, "does not have"),
        ({"actual": lambda inner: {}}, "does not have"),
        ({"actual": lambda inner: dict.fromkeys(inner(), "x")}, "its receipt says"),
        ({"verify": lambda inner, receipt: True}, "verify of one that was revoked"),
        ({"verify": lambda inner, receipt: False}, "not in force"),
        ({"revoke": lambda inner, ids: inner(ids) if len(ids) < 2 else raising()}, "OSError"),
        ({"revoke": lambda inner, ids: None}, "which is not held"),
        ({"revoke_all": lambda inner: None}, "after revoke_all"),
        ({"health": lambda inner: raising()}, "health raised"),
        ({"health": lambda inner: Health("down")}, "without a statement"),
        ({"health": lambda inner: Health("fine")}, "fine"),
        ({"tick": lambda inner, now: [7]}, "time left"),
        ({"tick": lambda inner, now: late(1.2)}, "tick took"),
        ({"close": lambda inner: inner.__self__.revoke_all()}, "came after close"),
    ],
)  # fmt: skip
def test_what_does_not_keep_it_is_told(tmp_path: Path, wrong: Mapping[str, Any], says: str) -> None:
    def make() -> Any:
        return Wrong(text_file(tmp_path / "blocked"), **wrong)

    with pytest.raises((ContractBroken, OSError)) as raised:
        check_enforcer(make, ADDRESSES)
    assert says in f"{type(raised.value).__name__} {raised.value}"


METADATA = "Metadata-Version: 2.1\nName: text-file-enforcer\nVersion: 1.0\n"
ENTRY = "[andon.enforcers]\ntext-file = text_file_enforcer:enforcer\n"
CONFIG = """
inside = ["10.0.0.0/8"]
[[source]]
name = "caps"
kind = "folder"
path = "caps"
[store]
path = "store"
[[assets]]
path = "assets.csv"
[contain]
mode = "manual"
[[enforcer]]
name = "lists"
kind = "text-file"
path = "blocked"
"""


def installed(folder: Path) -> dict[str, str]:
    """The example as a distribution that is on the path; gives the environment."""
    about = folder / "text_file_enforcer-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(METADATA)
    (about / "entry_points.txt").write_text(ENTRY)
    (folder / "text_file_enforcer.py").write_bytes(EXAMPLE.read_bytes())
    return {**os.environ, "PYTHONPATH": str(folder)}


def test_an_enforcer_of_another_distribution_is_used_by_its_entry_point(tmp_path: Path) -> None:
    (tmp_path / "andon.toml").write_text(CONFIG)
    rows = [f"10.0.1.{n},pc{n},,workstation" for n in range(1, 120)]
    (tmp_path / "assets.csv").write_text("address,hostname,mac,device\n" + "\n".join(rows) + "\n")
    words = ["contain", "propose", "--action", "quarantine", "--host", "pc7", "--reason", "ticket 12", "--as", "ito",
             "--config", str(tmp_path / "andon.toml"), "--format", "json"]  # fmt: skip
    command = [sys.executable, "-c", "from andon.cli import main; main()", *words]
    without = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert without.returncode == 2 and "not 'text-file'" in without.stderr
    env = installed(tmp_path / "site")
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, env=env)
    assert done.returncode == 0, done.stderr
    held = (tmp_path / "blocked").read_text()
    assert held.startswith("10.0.1.7  # ") and held.count("\n") == 1
    (tmp_path / "andon.toml").write_text(CONFIG.replace('path = "blocked"', 'paht = "blocked"'))
    wrong = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, env=env)
    assert wrong.returncode == 2 and "one setting, path" in wrong.stderr and "andon.toml:" in wrong.stderr
