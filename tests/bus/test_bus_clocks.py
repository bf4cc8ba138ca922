"""Sensors behind a bus have a time each: the slow one is waited for, the one that is gone is not."""

from __future__ import annotations

import json

import numpy as np

from andon.records.kinds import HONEYPOT_SESSION, PACKET
from andon.run.live.clocks import Clocks


class Engine:
    def __init__(self, name: str, *reads: str) -> None:
        self.name, self.reads, self.needs = name, reads, ()


def clocks() -> Clocks:
    engines = [Engine("p", PACKET), Engine("h", HONEYPOT_SESSION)]
    return Clocks(engines, {"bus": ()})  # type: ignore[arg-type]


def rows(mark: Clocks, source: str, *ts: int) -> list[int]:
    return mark.rows(source, np.array(ts))["p"].tolist()


def test_a_slow_sensor_is_waited_for() -> None:
    mark = clocks()
    mark.member("bus", "bus/a/tap", [PACKET])
    rows(mark, "bus/a/tap", 100)
    assert mark.before("p") == 100
    mark.member("bus", "bus/b/tap", [PACKET])
    assert mark.before("p") is None  # it has not been heard yet
    assert rows(mark, "bus/b/tap", 50, 51) == [np.iinfo(np.int64).min, 50]
    assert mark.before("p") == 51
    mark.finish("bus/b/tap")
    assert mark.before("p") == 100


def test_packets_do_not_wait_for_another_kind() -> None:
    mark = clocks()
    mark.member("bus", "bus/a/tap", [PACKET])
    mark.member("bus", "bus/a/pot", [HONEYPOT_SESSION])
    rows(mark, "bus/a/tap", 100)
    mark.promise("bus/a/pot", 10)
    assert (mark.before("p"), mark.before("h")) == (100, 10)


def test_members_outlive_a_restart_and_go_with_their_source() -> None:
    mark = clocks()
    mark.member("bus", "bus/a/tap", [PACKET])
    mark.member("bus", "bus/b/tap", [PACKET])
    rows(mark, "bus/a/tap", 100)
    rows(mark, "bus/b/tap", 70)
    state = json.loads(json.dumps(mark.state()))
    again = clocks()
    again.restore(state)
    assert again.before("p") == 70
    rows(again, "bus/b/tap", 90)
    assert again.before("p") == 90
    without = Clocks([Engine("p", PACKET)], {"tap": PACKET})  # type: ignore[list-item]
    without.restore(state)
    without.heartbeat("tap", 500)
    assert without.before("p") == 500  # nobody waits for a bus that is not configured any more


def test_a_source_that_comes_to_give_another_kind() -> None:
    mark = clocks()
    mark.member("bus", "bus/a/log", [PACKET, HONEYPOT_SESSION])
    rows(mark, "bus/a/log", 100)
    mark.member("bus", "bus/a/log", [HONEYPOT_SESSION])
    mark.member("bus", "bus/a/tap", [PACKET])
    rows(mark, "bus/a/tap", 200)
    assert (mark.before("p"), mark.before("h")) == (200, 100)


def test_members_of_a_source_that_is_none_of_ours_are_nobody() -> None:
    mark = clocks()
    mark.member("other", "other/a/tap", [PACKET])
    assert mark.state().get("members") is None
