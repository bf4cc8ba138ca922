"""A socket for exports of flows: what comes is given, what is lost is counted."""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "netflow"))
from exports import T, flowset, ipfix, record5, rows, template, v5

from andon.observe.live.netflow import NetFlowSource
from andon.observe.live.source import SourceError
from andon.records.kinds import FLOW, kind_of

NS = 1_000_000_000
FOUR = [(8, 4), (12, 4), (2, 4)]
DATA = bytes([10, 0, 0, 1, 10, 0, 0, 2, 0, 0, 0, 9])


class Clock:
    def __init__(self) -> None:
        self.now = (T + 10) * NS

    def __call__(self) -> int:
        return self.now


def source(**settings: object) -> tuple[NetFlowSource, socket.socket, Clock]:
    clock = Clock()
    made = NetFlowSource("exports", "127.0.0.1", 0, clock=clock, **settings)  # type: ignore[arg-type]
    made.open(None)
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.connect(("127.0.0.1", made.port))
    return made, sender, clock


def test_exports_become_flows_with_a_place_and_a_promise() -> None:
    made, sender, clock = source(slack=60.0)
    assert made.poll(0.0) == [] and made.quiet() is None
    sender.send(v5([record5()] * 3))
    sender.send(ipfix(template(256, FOUR), flowset(256, DATA * 2)))
    pieces = made.poll(1.0)
    assert all(kind_of(piece.batch) == FLOW for piece in pieces)
    assert len(rows(piece.batch for piece in pieces)) == 5
    assert pieces[-1].position["rows"] == 5
    assert pieces[-1].position["promise"] == (T - 60) * NS + NS // 2 - 500_000_000
    assert made.poll(0.0) == [] and made.quiet() == clock.now - 60 * NS
    assert not made.replayable and not made.can_wait
    made.close()


def test_a_flow_of_the_future_moves_no_time() -> None:
    made, sender, clock = source()
    clock.now = (T - 1000) * NS
    sender.send(v5([record5()]))
    (piece,) = made.poll(1.0)
    assert piece.position["promise"] is None
    made.close()


def test_what_exporters_number_and_do_not_come_is_told_in_time() -> None:
    made, sender, clock = source()
    for sequence in (1, 2, 10):
        sender.send(v5([record5()], sequence))
    made.poll(1.0)
    assert made.events() == []
    clock.now += 6 * NS
    (event,) = made.events()
    assert event["type"] == "lost" and event["rows"] == 7 and event["exporter"] == "127.0.0.1"
    sender.send(b"nonsense")
    made.poll(1.0)
    clock.now += 6 * NS
    (event,) = made.events()
    assert event["type"] == "damage" and event["places"] == 1
    clock.now += 6 * NS
    assert made.events() == []
    made.close()


def test_datagrams_that_the_kernel_dropped_are_counted() -> None:
    made, sender, clock = source(buffer=4096)
    sent = 400
    for n in range(sent):
        sender.send(v5([record5()] * 20, 20 * n))
    time.sleep(0.05)
    found = 0
    while pieces := made.poll(0.1):
        found += sum(piece.batch.num_rows for piece in pieces)
    assert 0 < found < 20 * sent  # what did not fit is gone
    for n in range(2):  # the kernel tells with the next that it keeps
        sender.send(v5([record5()] * 20, 20 * (sent + n)))
        pieces = made.poll(1.0)
        found += sum(piece.batch.num_rows for piece in pieces)
    clock.now += 6 * NS
    lost = {event["why"]: event["rows"] for event in made.events() if event["type"] == "lost"}
    if "the socket's buffer was full" not in lost:
        pytest.skip("the kernel does not say what it drops (SO_RXQ_OVFL)")
    assert 20 * lost["the socket's buffer was full"] + found == 20 * (sent + 2)
    assert lost["the numbers of exporters skip them"] + found == 20 * (sent + 2)
    made.close()


def test_only_the_exporters_named_are_heeded() -> None:
    made, sender, clock = source(exporters=("192.0.2.0/24", "2001:db8::/32"))
    sender.send(v5([record5()]))
    assert made.poll(1.0) == []
    clock.now += 6 * NS
    (event,) = made.events()
    assert event["file"] == "datagrams of others than the exporters"
    made.close()


def test_a_port_that_is_taken_is_an_error_that_says_so() -> None:
    made, _, _ = source()
    with pytest.raises(SourceError, match=r"cannot listen on 127\.0\.0\.1 port \d+ \(UDP\)"):
        NetFlowSource("two", "127.0.0.1", made.port).open(None)
    made.close()


def test_ipv6_is_listened_on() -> None:
    made = NetFlowSource("six", "::1", 0)
    try:
        made.open(None)
    except SourceError:
        pytest.skip("no IPv6 here")
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
        sender.sendto(v5([record5()]), ("::1", made.port))
    assert len(made.poll(1.0)) == 1
    made.close()
