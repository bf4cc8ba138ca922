"""Settings that cannot work are said when they are read, and warning lists come before any list."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from edl_world import Clock, apply, body, host, intent, made

from andon.contain.contract import DEGRADED, NotExpressible, Rejected
from andon.contain.enforcers import make_enforcer
from andon.contain.enforcers.edl import EdlEnforcer


def warning(folder: Path, name: str, kind: str, *entries: str) -> None:
    document = {"name": name, "description": "", "version": 1, "type": kind, "list": list(entries)}
    (folder / "lists").mkdir(exist_ok=True)
    (folder / "lists" / f"{name}.json").write_text(json.dumps(document))


def test_the_table_makes_an_enforcer(tmp_path: Path) -> None:
    table = {"name": "fw", "kind": "edl", "folder": "edl", "format": "pan-os", "max_age": 60}
    one = make_enforcer(table, tmp_path)
    assert isinstance(one, EdlEnforcer) and one.name == "fw" and one.limits.rules == 150_000
    assert ("block", "address") in one.supports and ("block-pair", "host") not in one.supports


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"folder": 3}, "folder"),
        ({"folder": "edl", "format": "cisco"}, "format"),
        ({"folder": "edl", "colour": 1}, "no setting 'colour'"),
        ({"folder": "edl", "max_age": -1}, "max_age"),
        ({"folder": "edl", "max_age": True}, "max_age"),
        ({"folder": "edl", "stale_after": 0}, "stale_after"),
        ({"folder": "edl", "verify": "some"}, "verify"),
        ({"folder": "edl", "limits": {"mac": 3}}, "mac"),
        ({"folder": "edl", "limits": {"ip": 0}}, "ip"),
        ({"folder": "edl", "limits": {"ip": "many"}}, "ip"),
        ({"folder": "edl", "aggregate": "yes"}, "aggregate"),
        ({"folder": "edl", "warning_lists": "x"}, "warning_lists"),
        ({"folder": "edl", "warning_lists": ["missing.json"]}, "missing.json"),
        ({"folder": "edl", "reader": {"name": "x"}}, "reader"),
        ({"folder": "edl", "reader": [{"name": "x"}]}, "token_file"),
        ({"folder": "edl", "reader": [{"name": "x", "token": "secret"}]}, "does not belong"),
        ({"folder": "edl", "reader": [{"name": "a:b", "token_file": "t"}]}, "colon"),
        ({"folder": "edl", "reader": [{"name": "x", "token_file": "t", "lists": ["mac"]}]}, "no list 'mac'"),
        ({"folder": "edl", "reader": [{"name": "x", "token_file": "t"}] * 2}, "same name"),
        ({"folder": "file/edl"}, "folder"),
    ],
)
def test_a_setting_that_cannot_work_is_named(tmp_path: Path, settings: dict[str, Any], said: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=said):
        make_enforcer({"name": "fw", "kind": "edl", **settings}, tmp_path)


@pytest.mark.parametrize(
    ("kind", "entry", "value", "party"),
    [
        ("cidr", "8.8.8.0/24", "8.8.8.8", "address"),
        ("cidr", "8.8.8.0/24", "8.8.8.0/24", "prefix"),
        ("cidr", "8.8.8.0/24", "8.8.8.128/25", "prefix"),
        ("cidr", "8.8.8.8/32", "8.8.0.0/16", "prefix"),
        ("cidr", "8.8.8.8", "8.8.8.0/24", "prefix"),
        ("cidr", "8.8.8.8", "::ffff:8.8.8.8", "address"),
        ("cidr", "2001:4860::/32", "2001:4860:4860::8888", "address"),
        ("cidr", "2001:4860:4860::8888", "2001:4860::/32", "prefix"),
        ("cidr", "8.8.8.8", "http://8.8.8.8/x", "url"),
        ("string", "8.8.8.0/24", "8.8.8.8", "address"),
        ("hostname", "google.com", "www.google.com", "domain"),
        ("hostname", "www.google.com", "google.com", "domain"),
        ("hostname", ".google.com", "www.google.com", "domain"),
        ("string", "www.google.com", "www.google.com", "domain"),
        ("hostname", "google.com", "https://www.google.com/a", "url"),
        ("substring", "google", "www.google.com", "domain"),
        ("regex", r"/^(www|mail)\.google\./i", "mail.google.com", "domain"),
    ],
)
def test_what_a_warning_list_names_goes_on_no_list(
    tmp_path: Path, kind: str, entry: str, value: str, party: str
) -> None:
    warning(tmp_path, "known", kind, entry)
    one = made(tmp_path, Clock(), warning_lists=["lists"])
    with pytest.raises(NotExpressible, match="warning list 'known'"):
        one.plan(intent(1, value, party))
    one.plan(intent(2, "203.0.113.9"))
    one.plan(intent(3, "evil.example.org", "domain"))
    one.plan(intent(4, "http://evil.example.org/g", "url"))


def test_systems_of_ours_can_be_listed_though_their_range_is_known(tmp_path: Path) -> None:
    warning(tmp_path, "rfc1918", "cidr", "10.0.0.0/8")
    one = made(tmp_path, Clock(), warning_lists=["lists"])
    apply(one, host(1, "10.0.0.5"))
    assert body(one, "host-ip") == "10.0.0.5\n"


def test_a_warning_list_that_comes_later_takes_entries_off(tmp_path: Path) -> None:
    clock = Clock()
    warning(tmp_path, "a", "cidr", "192.88.99.0/24")
    one = made(tmp_path, clock, warning_lists=["lists"])
    plan = one.plan(intent(1, "203.0.113.9"))
    apply(one, intent(1, "203.0.113.9"), intent(2, "203.0.113.10"))
    warning(tmp_path, "b", "string", "203.0.113.9")
    assert one.tick(clock.on(11)) == [1]
    assert body(one, "ip") == "203.0.113.10\n" and set(one.actual()) == {2}
    with pytest.raises(Rejected, match="'b'"):
        one.apply([plan])
    path = tmp_path / "lists" / "b.json"
    path.write_text("{")
    os.utime(path, ns=(1, 1))
    assert one.tick(clock.on(11)) == []
    health = one.health()
    assert health.state == DEGRADED and "b.json" in health.statement
    with pytest.raises(Rejected):
        one.apply([plan])  # the lists from before still hold


def test_patterns_that_could_run_away_are_left_out_and_said(tmp_path: Path) -> None:
    warning(tmp_path, "slow", "regex", r"(a+)+$", r"^evil\.example\.net$")
    one = made(tmp_path, Clock(), warning_lists=["lists"])
    assert "cannot be used, such as slow" in one.health().statement
    with pytest.raises(NotExpressible):
        one.plan(intent(1, "evil.example.net", "domain"))


def test_a_plan_can_be_typed_and_undone(tmp_path: Path) -> None:
    one = made(tmp_path, Clock())
    plan = one.plan(host(1, "10.0.0.5", "2001:db8::5"))
    assert plan.commands == ("host-ip.txt: + 10.0.0.5", "host-ip6.txt: + 2001:db8::5")
    assert plan.inverse == ("host-ip.txt: - 10.0.0.5", "host-ip6.txt: - 2001:db8::5")
    assert plan.rules == 2 and plan.to_dict()["enforcer"] == "perimeter"
    assert one.actual() == {}
