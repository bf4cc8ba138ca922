"""Telling a daemon: not too often, never two at a time, and never forgotten."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from andon.contain.contract import Rejected, Unreachable
from andon.contain.enforcers.reload import Reload, said


def counting(path: Path) -> tuple[str, ...]:
    return ("sh", "-c", f"echo x >> {path}")


def test_what_comes_within_the_pause_is_told_together(tmp_path: Path) -> None:
    count = tmp_path / "count"
    reload = Reload(counting(count), 0.3, 5.0)
    for _ in range(50):
        reload.ask()
        if reload.due:
            reload.settle()
    assert reload.owed
    reload.settle()
    assert count.read_text().count("x") == reload.count == 2
    reload.settle()
    assert reload.count == 2, "nothing is owed"


def test_poll_never_waits_and_sees_to_what_is_owed(tmp_path: Path) -> None:
    reload = Reload(("sleep", "2"), 0.0, 60.0)
    reload.ask()
    began = time.monotonic()
    reload.poll()
    reload.ask()  # something was written while it ran
    reload.poll()
    assert time.monotonic() - began < 1.5
    end = time.monotonic() + 60
    while (reload.owed or reload.count < 2) and time.monotonic() < end:
        reload.poll()
        time.sleep(0.01)
    assert reload.count == 2


def test_a_command_that_fails_or_hangs_stays_owed_and_says_why() -> None:
    refused = Reload(("sh", "-c", "echo warning; echo bad line 3 >&2; exit 1"), 0.0, 5.0)
    refused.ask()
    with pytest.raises(Rejected, match="bad line 3"):
        refused.settle()
    assert refused.owed
    away = Reload(("sh", "-c", "echo rndc: connect failed >&2; exit 1"), 0.0, 5.0)
    away.ask()
    with pytest.raises(Unreachable, match="connect failed"):
        away.settle()
    hanging = Reload(("sleep", "60"), 0.0, 0.2)
    hanging.ask()
    began = time.monotonic()
    with pytest.raises(Unreachable, match="did not end"):
        hanging.settle()
    assert time.monotonic() - began < 30
    absent = Reload(("/nonexistent/rndc",), 0.0, 1.0)
    absent.ask()
    with pytest.raises(Unreachable, match="/nonexistent/rndc"):
        absent.settle()
    assert not absent.due, "not again at once"
    with pytest.raises(Unreachable, match="ended with 3"):
        said(("sh", "-c", "exit 3"), 5.0)


def test_commands_get_no_secrets_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANDON_SMTP_PASSWORD", "hunter2")
    assert "hunter2" not in said(("env",), 5.0)
