"""The zone file itself: what it holds, who may change it, and what is refused before it gets there."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.contain.contract import NotExpressible, Rejected, Unreachable
from andon.contain.enforcers import make_enforcer
from andon.contain.enforcers.files import write_atomically
from andon.contain.enforcers.rpz import RpzEnforcer, Settings
from andon.contain.enforcers.rpz.enforcer import serial_of
from andon.records.intent import ACTIONS, PARTIES, Intent, Party

START = 1_700_000_000_000_000_000
SECOND = 1_000_000_000
CHECK = shutil.which("named-checkzone", path="/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin")
LINE = re.compile(r"[a-z0-9*._-]+ (CNAME (\.|\*\.|rpz-passthru\.)|A [0-9.]+|AAAA [0-9a-f:]+|TXT \"[0-9]+\")")


def intent(number: int, action: str, subject: Party, ttl: float = 60, target: Party | None = None) -> Intent:
    return Intent(number, action, subject, target, round(ttl * SECOND), "because", "andon", START)


def domain(name: str) -> Party:
    return Party("domain", name)


class Clock:
    now = START

    def __call__(self) -> int:
        return self.now


def made(folder: Path, clock: Clock | None = None, **more: Any) -> RpzEnforcer:
    return RpzEnforcer("dns", Settings(zone="andon.rpz", file=folder / "zone", **more), clock or Clock())


def rules(folder: Path) -> list[str]:
    lines = (folder / "zone").read_text().split("\n")
    return [one for one in lines if one and one[0] not in ";$@" and " TXT " not in one]


def test_the_file_alone_says_what_is_held(tmp_path: Path) -> None:
    dns = made(tmp_path)
    receipts = dns.apply(
        [
            dns.plan(intent(1, "block", domain("evil.example"))),
            dns.plan(intent(2, "block", domain("b.example"))),
        ]
    )
    assert all(dns.verify(one) is None for one in receipts), "nobody can be asked whether it is in force"
    assert rules(tmp_path) == [
        "*.b.example CNAME .",
        "*.evil.example CNAME .",
        "b.example CNAME .",
        "evil.example CNAME .",
    ]

    later = made(tmp_path)
    assert later.actual() == {one.intent: one.digest for one in receipts}
    later.revoke([1, 77])
    assert rules(tmp_path) == ["*.b.example CNAME .", "b.example CNAME ."]
    assert sorted(dns.actual()) == [2], "the first one sees the change, too"
    later.revoke_all()
    assert rules(tmp_path) == []


@pytest.mark.skipif(CHECK is None, reason="named-checkzone is not installed")
def test_the_serial_rises_with_every_change_and_only_then_and_bind_takes_the_file(tmp_path: Path) -> None:
    clock = Clock()
    dns = made(tmp_path, clock, garden=(), check=(str(CHECK), "andon.rpz", str(tmp_path / "zone")))
    serials = []
    for number in range(1, 5):
        dns.apply([dns.plan(intent(number, "block", domain(f"n{number}.example")))])
        dns.apply([dns.plan(intent(number, "block", domain(f"n{number}.example")))])
        serials.append(serial_of(tmp_path / "zone"))
        clock.now -= 3600 * SECOND  # a clock that jumps back
    assert serials == [1_700_000_000 + n for n in range(4)]
    said = subprocess.run(
        [str(CHECK), "andon.rpz", str(tmp_path / "zone")], capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stdout
    assert f"serial {serials[-1]}" in said.stdout


def test_what_has_ended_is_taken_out_by_tick_and_not_told_as_held_before_that(tmp_path: Path) -> None:
    clock = Clock()
    dns = made(tmp_path, clock)
    dns.apply(
        [
            dns.plan(intent(1, "block", domain("a.example"), 10)),
            dns.plan(intent(2, "block", domain("b.example"), 20)),
        ]
    )
    assert sorted(dns.actual()) == [1, 2]
    clock.now += 10 * SECOND
    assert sorted(dns.actual()) == [2]
    assert list(dns.tick(clock.now)) == [1]
    assert rules(tmp_path) == ["*.b.example CNAME .", "b.example CNAME ."]
    dns.apply([dns.plan(intent(3, "block", domain("c.example"), 5))])
    assert sorted(dns.actual()) == [2], "what has ended is not begun"


def test_the_clock_may_be_set_while_intents_are_in_force(tmp_path: Path) -> None:
    clock = Clock()
    dns = made(tmp_path, clock, garden=())
    plan = dns.plan(intent(1, "block", domain("a.example")))
    dns.apply([plan])
    assert list(dns.tick(START)) == []
    clock.now += 86_400 * SECOND
    (tmp_path / "zone").write_text("")
    assert dns.actual() == {}
    dns.apply([plan])
    assert sorted(dns.actual()) == [1], "put back, though the clock says that it has ended a day ago"
    assert list(dns.tick(START + 59 * SECOND)) == []
    assert list(dns.tick(START + 60 * SECOND)) == [1]


def test_what_others_must_not_cut_off_is_told(tmp_path: Path) -> None:
    settings = {"name": "x", "walled_garden": ["192.0.2.80", "2001:db8::80"], "probe": "192.0.2.53"}
    dns = make_enforcer({**settings, "kind": "rpz", "file": str(tmp_path / "zone")})
    assert dns.control == ("192.0.2.80", "2001:db8::80", "192.0.2.53")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("evil.example CNAME .\n", ""),
        lambda text: text.replace("\nevil.example CNAME .", "\nevil.example CNAME rpz-passthru."),
        lambda text: text.replace("\n*.evil", "\n;*.evil"),
        lambda text: text.replace("@ NS localhost.\n", ""),
        lambda text: text.replace("$ORIGIN andon.rpz.", "$ORIGIN other."),
        lambda text: text.split("\n; andon")[0] + "\n",
        lambda text: text[: len(text) // 2],
    ],
)
def test_a_line_changed_by_hand_is_seen_and_mended(tmp_path: Path, spoil: Any) -> None:
    dns = made(tmp_path)
    plans = [
        dns.plan(intent(1, "block", domain("evil.example"))),
        dns.plan(intent(2, "block", domain("z.example"))),
    ]
    digests = {one.intent: one.digest for one in dns.apply(plans)}
    epoch = dns.health().epoch
    text = (tmp_path / "zone").read_text()
    assert spoil(text) != text
    (tmp_path / "zone").write_text(spoil(text))

    assert dns.actual() != digests
    assert dns.health().epoch > epoch
    dns.apply(plans)
    assert dns.actual() == digests
    assert sorted(rules(tmp_path)) == sorted(one.text for plan in plans for one in plan.native)
    assert dns.health().state == "ok"


def test_lines_that_somebody_added_are_told_and_go_with_the_next_change(tmp_path: Path) -> None:
    dns = made(tmp_path)
    dns.apply([dns.plan(intent(1, "block", domain("evil.example")))])
    with (tmp_path / "zone").open("a") as writing:
        writing.write("bank.example CNAME .\n")
    assert dns.health().state == "degraded"
    assert sorted(dns.actual()) == [1]
    dns.apply([dns.plan(intent(2, "block", domain("b.example")))])
    assert not any("bank" in one for one in rules(tmp_path))


def test_somebody_elses_zone_is_not_overwritten_but_an_empty_one_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "zone").write_text("$TTL 1\n@ SOA a. b. 7 1 1 1 1\n@ NS a.\nmine.example CNAME .\n")
    dns = made(tmp_path)
    with pytest.raises(Rejected, match="not ours"):
        dns.apply([dns.plan(intent(1, "block", domain("evil.example")))])
    assert dns.health().state == "down"
    (tmp_path / "zone").write_text("$TTL 1\n@ SOA a. b. 4000000000 1 1 1 1\n@ NS a.\n")
    dns.apply([dns.plan(intent(1, "block", domain("evil.example")))])
    assert serial_of(tmp_path / "zone") == 4_000_000_001


def test_the_operators_empty_zone_is_not_waited_for(tmp_path: Path) -> None:
    """Unbound starts with nothing less; nobody answers at the probe's address, and nobody is to be asked yet."""
    zone = "$TTL 1\n@ SOA a. b. 1 1 1 1 1\n@ NS a.\n"
    (tmp_path / "zone").write_text(zone)
    dns = made(tmp_path, probe="127.0.0.1:9", patience=1)
    assert dns.actual() == {} and dns.health().state == "ok"
    dns.revoke_all()
    assert (tmp_path / "zone").read_text() == zone


def test_a_check_that_fails_leaves_everything_as_it_was(tmp_path: Path) -> None:
    good = made(tmp_path)
    good.apply([good.plan(intent(1, "block", domain("evil.example")))])
    before = rules(tmp_path)
    strict = made(tmp_path, check=("sh", "-c", "echo no such zone >&2; exit 1"))
    with pytest.raises(Rejected, match="no such zone"):
        strict.apply([strict.plan(intent(2, "block", domain("b.example")))])
    assert rules(tmp_path) == before
    missing = made(tmp_path, check=("/nonexistent/check",))
    with pytest.raises(Unreachable, match="/nonexistent/check"):
        missing.apply([missing.plan(intent(2, "block", domain("b.example")))])
    assert rules(tmp_path) == before
    with pytest.raises(Unreachable, match="cannot be written"):
        write_atomically(tmp_path / "nowhere" / "zone", b"")


@pytest.mark.parametrize(
    "name",
    ["evil.example\n@ NS evil.", "evil.example CNAME .", "evil example", "com", "co.uk", "localhost", "1.2.3.4",
     "0x7f.1", "24.0.2.0.192.rpz-ip", "a.rpz-client-ip", "rpz-passthru", "x" * 64 + ".example",
     ".".join(["aaaaaaa"] * 31) + ".example",
     "evil.example;", "$INCLUDE.example", "-a-.e..x", "\\000.example", "", "*", "b\u00fccher..example"],
)  # fmt: skip
def test_hostile_names_never_reach_the_zone(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotExpressible):
        made(tmp_path).plan(intent(1, "block", domain(name)))


def test_what_a_policy_zone_cannot_say_is_said(tmp_path: Path) -> None:
    dns = made(tmp_path)
    host = Party("host", "ws", ("10.0.0.5",))
    with pytest.raises(NotExpressible, match="one client's question"):
        dns.plan(intent(1, "block", host, target=domain("evil.example")))
    with pytest.raises(NotExpressible, match="block-pair"):
        dns.plan(intent(1, "block-pair", host, target=domain("evil.example")))
    with pytest.raises(NotExpressible, match="url"):
        dns.plan(intent(1, "block", Party("url", "http://evil.example/x")))
    with pytest.raises(NotExpressible, match="walled_garden"):
        dns.plan(intent(1, "sinkhole", domain("evil.example")))
    with pytest.raises(NotExpressible, match="no known address"):
        dns.plan(intent(1, "quarantine", Party("host", "ws")))
    plan = dns.plan(intent(1, "block", domain("evil.example")))
    assert plan.open_paths == ("ipv4", "ipv6", "quic", "established", "elsewhere")
    assert dns.plan(intent(1, "quarantine", host)).native[0].text == "32.5.0.0.10.rpz-client-ip CNAME ."


def test_the_commands_of_a_plan_typed_by_hand_do_the_same_and_their_inverse_undoes_it(tmp_path: Path) -> None:
    dns = made(tmp_path)
    dns.apply([dns.plan(intent(1, "block", domain("b.example")))])
    before = sorted(rules(tmp_path))
    plan = dns.plan(intent(2, "block", domain("evil.example")))
    for command in plan.commands:
        subprocess.run(["sh", "-c", command], check=True)
    assert sorted(rules(tmp_path)) == sorted([*before, "evil.example CNAME .", "*.evil.example CNAME ."])
    for command in plan.inverse:
        subprocess.run(["sh", "-c", command], check=True)
    assert sorted(rules(tmp_path)) == before


NAME = st.one_of(
    st.text(max_size=20), st.from_regex(r"[a-z]{1,8}\.(example|jp|co\.uk)", fullmatch=True), st.ip_addresses().map(str),
    st.sampled_from(["203.0.113.0/24", "2001:db8::/48", "Bücher.example", "::ffff:10.0.0.1", "fe80::1%\n@ NS x."]),
)  # fmt: skip


@given(st.sampled_from(ACTIONS), st.sampled_from(PARTIES), NAME, st.lists(NAME, max_size=2))
def test_whatever_a_party_is_called_the_zone_has_only_whole_rules(
    action: str, kind: str, value: str, addresses: list[str]
) -> None:
    if action == "block-pair":
        return
    dns = made(Path("/nonexistent"), garden=())
    try:
        plan = dns.plan(intent(1, action, Party(kind, value, tuple(addresses))))
    except NotExpressible:
        return
    assert plan.native
    assert all(LINE.fullmatch(one.text) for one in plan.native), plan.native
    assert all(one.text.startswith(f"{one.key} ") for one in plan.native)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "file is missing"),
        ({"file": "z", "zone": "a b"}, "zone: "),
        ({"file": "z", "server": "powerdns"}, "server is one of"),
        ({"file": "z", "control": ["rndc"]}, "control is given, but server is none"),
        ({"file": "z", "walled_garden": ["here"]}, "walled_garden: "),
        ({"file": "z", "probe": "resolver"}, "probe is the address"),
        ({"file": "z", "probe": "127.0.0.1:99999"}, "probe is the address"),
        ({"file": "z", "wildcard": True}, "there is no setting 'wildcard'"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_by_name(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make_enforcer({"name": "dns", "kind": "rpz", **settings})
