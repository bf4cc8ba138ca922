"""What calls itself a switch and is none, or lies, or falls silent: an error in time, and nothing that grows."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from openflow_made import intent

from andon.contain.contract import Rejected, Unreachable
from andon.contain.enforcers import make_enforcer
from andon.contain.enforcers.openflow import OpenFlowEnforcer, ovsdb, session, wire
from andon.contain.enforcers.openflow.session import Session
from andon.contain.enforcers.openflow.settings import Endpoint, Settings

Answers = Callable[[wire.Message], bytes]


def honest(message: wire.Message, tables: int = 254) -> bytes:
    """A switch without bundles, roles and rules that says yes to everything."""
    kind, xid = message.kind, message.xid
    if kind == wire.HELLO:
        return wire.hello(1)
    if kind == wire.FEATURES_REQUEST:
        return wire.encode(wire.FEATURES_REPLY, xid, struct.pack("!QIBB2xII", 1, 0, tables, 0, 0, 0))
    if kind in (wire.ROLE_REQUEST, wire.EXPERIMENTER):
        return wire.encode(wire.ERROR, xid, struct.pack("!HH", 1, 1))
    if kind == wire.ECHO_REQUEST:
        return wire.encode(wire.ECHO_REPLY, xid, message.body)
    if kind == wire.BARRIER_REQUEST:
        return wire.encode(wire.BARRIER_REPLY, xid)
    if kind == wire.MULTIPART_REQUEST:
        asked = struct.unpack_from("!H", message.body)[0]
        body = {wire.STATS_DESCRIPTION: bytes(1056), wire.STATS_AGGREGATE: bytes(24)}.get(asked, b"")
        return wire.encode(wire.MULTIPART_REPLY, xid, struct.pack("!HH4x", asked, 0) + body)
    return b""


class Switch:
    """The other end of a connection; ``answers`` says what it sends for each message."""

    def __init__(self, answers: Answers) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.answers = answers
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        framer = wire.Framer()
        try:
            while data := self.theirs.recv(1 << 16):
                for message in framer.feed(data):
                    self.theirs.sendall(self.answers(message))
        except OSError:
            return

    def close(self) -> None:
        self.theirs.close()
        self.thread.join(5)


@pytest.fixture
def connected() -> Iterator[Callable[[Answers], tuple[Session, list[Any]]]]:
    made: list[Any] = []

    def one(answers: Answers) -> tuple[Session, list[Any]]:
        switch, heard = Switch(answers), []
        talk = Session(switch.ours, heard.append)
        made.extend((talk, switch))
        return talk, heard

    yield one
    for each in made:
        each.close()


def but(kind: int, octets: Callable[[wire.Message], bytes]) -> Answers:
    return lambda message: octets(message) if message.kind == kind else honest(message)


def test_a_plain_switch_without_bundles_and_roles_is_taken(connected: Any) -> None:
    talk, _ = connected(honest)
    talk.start(0, 60)
    assert (talk.features.tables, talk.bundles, talk.role) == (254, False, None)
    talk.commit([wire.delete(0, 1)])
    assert talk.flows(1, 1) == [] and talk.watch([(1, 1, 2), (0, 0, 2)], 60.0) == [0, 0]


@pytest.mark.parametrize(
    ("octets", "said"),
    [
        (b"SSH-2.0-OpenSSH_9.2p1\r\n" * 3, "not OpenFlow"),
        (bytes.fromhex("0400000700000001"), "a message says it has 7 octets"),
        (bytes.fromhex("0100000800000001"), r"speaks OpenFlow 1\.0: switch on 1\.3"),
        (bytes.fromhex("06000010000000010001000800000070"), r"speaks OpenFlow 1\.3, 1\.4, 1\.5|1\.4"),
        (bytes.fromhex("0400000c000000010001ffff"), "an element of HELLO"),
        (wire.encode(wire.ERROR, 1, struct.pack("!HH", 0, 1)), "refuses the connection: it does not permit"),
    ],
)
def test_what_is_no_switch_of_this_version_is_told_apart(connected: Any, octets: bytes, said: str) -> None:
    talk, _ = connected(but(wire.HELLO, lambda _: octets))
    if octets[:1] == b"\x06":  # it offers 1.3 among others: that is fine
        talk.start(0, 60)
        return
    with pytest.raises(Unreachable, match=said):
        talk.start(0, 60)


def test_who_says_nothing_is_given_up(connected: Any) -> None:
    talk, _ = connected(lambda _: b"")
    start = time.monotonic()
    with pytest.raises(Unreachable, match=r"no HELLO within 0\.3 s"):
        talk.start(0, seconds=0.3)
    assert time.monotonic() - start < 60


def test_a_barrier_that_is_never_answered_ends_the_connection(connected: Any) -> None:
    talk, _ = connected(but(wire.BARRIER_REQUEST, lambda _: b""))
    talk.start(0, 60)
    with pytest.raises(Unreachable, match=r"no answer within 0\.2"):
        talk.commit([wire.delete(0, 1)], seconds=0.2)
    assert talk.ended.is_set()
    with pytest.raises(Unreachable):
        talk.watch([], 1.0)


def test_an_error_names_the_change_and_the_next_one_goes_through(connected: Any) -> None:
    full = struct.pack("!HH", *wire.TABLE_FULL)
    talk, _ = connected(
        but(wire.FLOW_MOD, lambda m: wire.encode(wire.ERROR, m.xid, full) if m.body[0] else b"")
    )
    talk.start(0, 60)
    with pytest.raises(Rejected, match="the table is full") as caught:
        talk.commit([wire.delete(0, 1), wire.delete(0, 1), wire.delete(0, 1 << 63)])
    assert isinstance(caught.value, session.Refused) and caught.value.index == 2
    talk.commit([wire.delete(0, 1)])


def test_changes_and_questions_at_once_get_each_their_own_answer(connected: Any) -> None:
    def answers(message: wire.Message) -> bytes:
        if message.kind == wire.ROLE_REQUEST:
            return wire.encode(wire.ROLE_REPLY, message.xid, struct.pack("!I4xQ", wire.MASTER, 7))
        return honest(message)

    talk, _ = connected(answers)
    talk.start(0, 60)
    seen: list[Any] = []

    def ask() -> None:
        seen.extend((talk.watch([(1, 1, 2)], 60.0), talk.role) for _ in range(300))

    asking = threading.Thread(target=ask)
    asking.start()
    for n in range(300):
        talk.commit([wire.delete(0, 1)] * (n % 3 + 1), 60)
    asking.join(120)
    assert seen == [([0], wire.MASTER)] * 300


def endless(message: wire.Message) -> bytes:
    part = struct.pack("!HH4x", wire.STATS_FLOW, 1) + bytes(60_000)
    return wire.encode(wire.MULTIPART_REPLY, message.xid, part) * 20


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda m: wire.encode(wire.MULTIPART_REPLY, m.xid, b"\0\1"), "MULTIPART_REPLY is cut off"),
        (
            lambda m: wire.encode(wire.MULTIPART_REPLY, m.xid, struct.pack("!HH4x", 1, 0) + bytes(56)),
            "0 octets",
        ),
        (
            lambda m: wire.encode(wire.FLOW_REMOVED, 0, bytes(12)),
            "FLOW_REMOVED is cut off|a match is cut off",
        ),
        (lambda m: wire.encode(wire.ECHO_REQUEST, 0) * 200_000, "floods|closed|takes no more|no answer"),
    ],
)
def test_an_answer_that_lies_ends_the_connection(
    connected: Any, answer: Callable[[wire.Message], bytes], said: str
) -> None:
    """(Echo requests are answered as long as the other side reads: then only the answer is missing.)"""
    asked = [0]

    def answers(message: wire.Message) -> bytes:
        if message.kind == wire.MULTIPART_REQUEST and message.body[:2] == b"\0\1":
            asked[0] += 1
            return answer(message)
        return honest(message)

    talk, _ = connected(answers)
    talk.start(0, 60)
    with pytest.raises(Unreachable, match=said):
        talk.flows(1, 1)
    assert talk.ended.wait(60) and asked[0] == 1


def test_a_list_that_never_ends_is_cut_off(connected: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_MOST_ANSWER", 1 << 20)
    talk, _ = connected(
        lambda m: endless(m) if m.body[:2] == b"\0\1" and m.kind == wire.MULTIPART_REQUEST else honest(m)
    )
    talk.start(0, 60)
    with pytest.raises(Unreachable, match="an answer of more than 1 MiB"):
        talk.flows(1, 1)


def serving(path: Path, answers: Answers) -> socket.socket:
    """A switch at a local socket, for as many connections as come."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen(4)

    def run() -> None:
        while True:
            try:
                sock, _ = listening.accept()
            except OSError:
                return
            switch = Switch.__new__(Switch)
            switch.theirs, switch.answers = sock, answers
            threading.Thread(target=switch._run, daemon=True).start()

    threading.Thread(target=run, daemon=True).start()
    return listening


def at(path: Path) -> OpenFlowEnforcer:
    made = make_enforcer({"name": "sw", "kind": "openflow", "connect": f"unix:{path}", "fail_mode": "secure"})
    assert isinstance(made, OpenFlowEnforcer)
    return made


def test_a_switch_with_too_few_tables_is_refused_and_told_why(tmp_path: Path) -> None:
    listening = serving(tmp_path / "s", lambda message: honest(message, tables=1))
    made = at(tmp_path / "s")
    try:
        health = made.health()
        assert health.state == "down" and "has 1 tables and the pipeline needs 10" in health.statement
        with pytest.raises(Unreachable, match="1 tables"):
            made.apply([made.plan(intent())])
    finally:
        made.close()
        listening.close()


def test_where_nobody_listens_every_call_ends_and_says_so(tmp_path: Path) -> None:
    made = at(tmp_path / "nobody")
    start = time.monotonic()
    for call in (
        lambda: made.apply([made.plan(intent())]),
        made.actual,
        made.revoke_all,
        lambda: made.revoke([1]),
    ):
        with pytest.raises(Unreachable, match="No such file"):
            call()  # type: ignore[operator]
    assert made.health().state == "down" and made.tick(0) == []
    made.close()
    assert time.monotonic() - start < 60


def database(path: Path, answer: bytes) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen(1)

    def run() -> None:
        sock, _ = listening.accept()
        sock.recv(4096)
        sock.sendall(answer)
        time.sleep(0.2)
        sock.close()

    threading.Thread(target=run, daemon=True).start()
    return listening


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b'{"id":1,"result":[{"rows":[]},{"rows":[]}],"error":null}', "knows no bridge"),
        (b'{"id":1,"result":[],"error":null}', "none of OVSDB"),
        (b'{"id":1,"result":null,"error":"x"}', "none of OVSDB"),
        (
            b'{"id":1,"result":[{"rows":[{"fail_mode":"secure","controller":7}]},{"rows":[]}]}',
            "none of OVSDB",
        ),
        (b"[" * 100_000, "closed|OVSDB|recursion|answer"),
        (b"not json", "closed|answer"),
        (b"", "closed|answer"),
    ],
)
def test_a_database_that_says_something_else_is_an_error(tmp_path: Path, answer: bytes, said: str) -> None:
    listening = database(tmp_path / "db", answer)
    with pytest.raises(Unreachable, match=said):
        ovsdb.ask_bridge(Endpoint("unix", str(tmp_path / "db")), "br0", Settings())
    listening.close()


def test_the_database_is_understood_in_pieces_and_between_its_own_questions(tmp_path: Path) -> None:
    one = ["uuid", "7"]
    rows = [{"fail_mode": ["set", []], "controller": one}]
    answer = {
        "id": 1,
        "error": None,
        "result": [{"rows": rows}, {"rows": [{"_uuid": one, "target": "tcp:192.0.2.1"}]}],
    }
    said = b'{"id":"echo","method":"echo","params":[]}' + json.dumps(answer).encode()
    listening = database(tmp_path / "db", said)
    found = ovsdb.ask_bridge(Endpoint("unix", str(tmp_path / "db")), "br0", Settings())
    assert found == ovsdb.Bridge("standalone", ("tcp:192.0.2.1",))
    listening.close()
